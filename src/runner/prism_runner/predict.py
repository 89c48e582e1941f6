"""One prediction: the model in eval mode, no gradients, no trace left behind."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from . import seeds

_DisableTorchFunction = torch._C.DisableTorchFunctionSubclass
_Tensor = torch.Tensor
_WRAPPERS = {
    "DistributedDataParallel": "module",
    "DataParallel": "module",
    "AveragedModel": "module",
}
_COMPILED = {"OptimizedModule": "_orig_mod"}


def unwrap(model: nn.Module) -> nn.Module:
    """The submission's own module inside torch's wrappers (DDP, DataParallel, averaging,
    torch.compile).

    FullyShardedDataParallel stays wrapped: its inner module cannot run alone. A submission's class
    that happens to have an attribute `module` is not a wrapper.
    """
    while type(model).__module__.split(".")[0] == "torch":
        attribute = (_WRAPPERS | _COMPILED).get(type(model).__name__)
        inner = getattr(model, attribute, None) if attribute else None
        if not isinstance(inner, nn.Module):
            break
        model = inner
    return model


def device_of(model: nn.Module, default: str) -> torch.device:
    """Where the model's first parameter (else buffer) lies, else `default`."""
    for tensors in (model.parameters(), model.buffers()):
        for tensor in tensors:
            return tensor.device
    return torch.device(default)


def logits_of(output: Any) -> torch.Tensor:
    """The logits in what forward returned: a tensor, the first of a tuple or list, or an object's
    `.logits`. Its graph, if it has one, is still attached.
    """
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, _Tensor):
        output = getattr(output, "logits", output)
    if not isinstance(output, _Tensor):
        raise TypeError(
            "forward must return a tensor of logits, a tuple that starts with it, or an object "
            f"with .logits; got {type(output).__name__}"
        )
    return output


def plain(logits: torch.Tensor) -> torch.Tensor:
    """The same values as an ordinary tensor without a graph."""
    with _DisableTorchFunction():
        return logits.detach().as_subclass(_Tensor)


def run_forward(
    model: nn.Module, ids: torch.Tensor, numerics: seeds.Numerics, gradients: bool = False
) -> torch.Tensor:
    """Logits of `model` for `ids` (int64 [batch, seq], a copy that forward may change), of whatever
    shape it returns; with `gradients` as forward left them, graph included.

    The train/eval mode of every submodule, the random states and the numeric settings are put back.
    """
    model = unwrap(model)
    modes = [(module, module.training) for module in model.modules()]
    was_training = model.training
    with seeds.undisturbed(ids.device, numerics, gradients):
        model.eval()
        try:
            logits = logits_of(model(ids))
            return logits if gradients else plain(logits)
        finally:
            # train() first: a model that overrides it (merged adapters, say) must see both switches
            if was_training:
                model.train()
            for module, mode in modes:
                module.training = mode
