"""The trained state on disk: safetensors, never pickle. Saved in the training process, loaded in a
fresh one.
"""

from __future__ import annotations

import ctypes
import os
from hashlib import sha256  # bound at import, like the functions of the other modules here
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.parameter import is_lazy

from .census import storage_key
from .predict import unwrap

_PREFIXES = ("module.", "_orig_mod.")
_DIGEST_VERSION = b"prism-weights-v1\n"
# The names of the format; a type without one is refused by `save_file`.
_FORMAT_NAMES = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16",
    torch.int32: "I32", torch.int64: "I64", torch.uint16: "U16", torch.uint32: "U32",
    torch.uint64: "U64", torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32",
    torch.float64: "F64", torch.complex64: "C64", torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2", torch.float8_e4m3fnuz: "F8_E4M3FNUZ",
    torch.float8_e5m2fnuz: "F8_E5M2FNUZ",
}  # fmt: skip


def state_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict of `model`, in its order; tensors that are the same memory (tied weights)
    once.

    TypeError if it holds something that is not a tensor.
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
        tensors[key] = value.detach()
    return tensors


def digest(model: nn.Module) -> str:
    """sha256 of what `save` would write, as 64 hexadecimal digits: the widest elements first, then
    by name; for each tensor `NAME_BYTES:NAME TYPE SIZE,SIZE\\n` and its bytes.
    """
    entries = sorted(state_of(model).items(), key=lambda item: (-item[1].element_size(), item[0]))
    text = sha256(_DIGEST_VERSION)
    for name, tensor in entries:
        own = tensor.cpu().contiguous()
        encoded = name.encode()
        sizes = ",".join(map(str, own.shape))
        kind = _FORMAT_NAMES.get(own.dtype, str(own.dtype))
        text.update(b"%d:%b %b %b\n" % (len(encoded), encoded, kind.encode(), sizes.encode()))
        length = own.numel() * own.element_size()
        if length:
            text.update((ctypes.c_char * length).from_address(own.data_ptr()))
    return text.hexdigest()


def save(model: nn.Module, path: str) -> None:
    """Writes the state dict of `model` to `path`, as `state_of` gives it."""
    tensors = {
        key: value.clone(memory_format=torch.contiguous_format).cpu()
        for key, value in state_of(model).items()
    }
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
