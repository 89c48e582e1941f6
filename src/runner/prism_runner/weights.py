"""The trained state on disk: safetensors, never pickle. Saved in the training process, loaded in a
fresh one.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.parameter import is_lazy

from .census import storage_key
from .predict import unwrap

_PREFIXES = ("module.", "_orig_mod.")


def save(model: nn.Module, path: str) -> None:
    """Writes the state dict of `model` to `path`; tensors that are the same memory (tied weights)
    once.

    TypeError if the state dict holds something that is not a tensor.
    """
    tensors: dict[str, torch.Tensor] = {}
    written: set[Any] = set()
    for key, value in unwrap(model).state_dict().items():
        if not isinstance(value, torch.Tensor):
            raise TypeError(
                f"state_dict()[{key!r}] is {type(value).__name__}, only tensors are saved"
            )
        identity = _identity(value)
        if identity in written:
            continue
        written.add(identity)
        tensors[key] = value.detach().clone(memory_format=torch.contiguous_format).cpu()
    # renamed into place: whatever lies at `path` by then, a link too, is replaced and not followed
    partial = f"{path}.partial"
    if os.path.lexists(partial):
        os.unlink(partial)
    save_file(tensors, partial)
    os.replace(partial, path)


def load(model: nn.Module, path: str) -> None:
    """Loads `path` into `model` strictly.

    ValueError for a tensor of the model that is neither in the file nor the same memory as one that
    is, and for a key that the model does not have; RuntimeError (torch) for another shape. A tensor
    saved in another dtype than build_model gives keeps the saved dtype: a model trained in bfloat16
    predicts in bfloat16.
    """
    saved = load_file(path, device="cpu")
    for prefix in _PREFIXES:
        if saved and all(key.startswith(prefix) for key in saved):
            saved = {key[len(prefix) :]: value for key, value in saved.items()}
    model = unwrap(model)
    own = model.state_dict(keep_vars=True)
    unknown = sorted(saved.keys() - own.keys())
    if unknown:
        raise ValueError(
            f"the saved weights have {len(unknown)} unknown keys, first {unknown[0]!r}"
        )
    loaded = {_identity(own[key]) for key in saved}
    missing = sorted(key for key in own.keys() - saved.keys() if _identity(own[key]) not in loaded)
    if missing:
        raise ValueError(
            f"the saved weights lack {len(missing)} tensors of the model, first {missing[0]!r}"
        )
    for key, value in saved.items():
        if not is_lazy(own[key]) and own[key].dtype != value.dtype:
            own[key].data = own[key].data.to(value.dtype)
    model.load_state_dict(saved, strict=False)  # strictness was checked above, ties included


def _identity(tensor: torch.Tensor) -> Any:
    if is_lazy(tensor) or tensor.layout != torch.strided:
        return id(tensor)
    return (
        storage_key(tensor),
        tensor.storage_offset(),
        tuple(tensor.shape),
        tensor.stride(),
        tensor.dtype,
    )
