"""Counts the tensors of a model by distinct storage: registered, unregistered and module-global
ones.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from json import dumps
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

MAX_ENTRIES = 4_096
MAX_ENTRIES_JSON_BYTES = 60_000  # the frame holds 65,536 bytes
MAX_VISITED = 1_000_000

Entry = list[Any]  # [elements, bytes per element, "parameter" | "buffer" | "other"]

_RANK = {"parameter": 0, "buffer": 1, "other": 2}
_ATOMS = (str, bytes, bytearray, int, float, complex, bool, type(None), type, ModuleType,
          FunctionType, BuiltinFunctionType, torch.dtype, torch.device, torch.Size)  # fmt: skip
_OPAQUE_PACKAGES = {"torch", "numpy", "builtins", "prism_runner", "prism_challenge"}


def count_tensors(model: nn.Module, namespaces: Iterable[dict[str, Any]] = ()) -> list[Entry]:
    """One entry per distinct storage (its largest view) reachable from `model` or the given
    namespaces.

    Numpy arrays count as tensors. Followed: attributes of modules and of a submission's own objects,
    lists, tuples, dicts, sets.
    Not followed: closures, classes. ValueError if more than MAX_VISITED objects are met, or if a
    lazy tensor has no shape yet.
    """
    found: dict[Any, Entry] = {}
    keep: list[Any] = []  # ids are compared below: nothing visited may be freed meanwhile
    seen: set[int] = set()
    stack: list[Any] = [model, *namespaces]
    numpy = sys.modules.get("numpy")
    while stack:
        item = stack.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        keep.append(item)
        if len(keep) > MAX_VISITED:
            raise ValueError(f"more than {MAX_VISITED} objects are reachable from the model")
        if isinstance(item, torch.Tensor):
            _add(found, item, "other")
        elif numpy is not None and isinstance(item, numpy.ndarray):
            if item.size:
                found[("array", id(item))] = [item.size, item.itemsize, "other"]
        elif isinstance(item, nn.Module):
            state = vars(item)
            for kind, name in (("parameter", "_parameters"), ("buffer", "_buffers")):
                for tensor in (state.get(name) or {}).values():
                    if isinstance(tensor, torch.Tensor):
                        _add(found, tensor, kind)
            _push(stack, state.values())
        elif isinstance(item, dict):
            _push(stack, item.values())
        elif isinstance(item, (list, tuple, set, frozenset, deque)):
            _push(stack, item)
        elif type(item).__module__.split(".")[0] not in _OPAQUE_PACKAGES:
            _push(stack, getattr(item, "__dict__", {}).values())
    return list(found.values())


def fit_frame(entries: list[Entry]) -> list[Entry]:
    """The same count in a list that fits a frame: the largest first, the smallest added up in one
    entry "other".
    """
    ordered = sorted(entries, key=lambda entry: (-entry[0] * entry[1], _RANK[entry[2]]))
    used = 0
    for index, entry in enumerate(ordered):
        used += len(dumps(entry)) + 2
        if index + 1 >= MAX_ENTRIES or used > MAX_ENTRIES_JSON_BYTES:
            rest = ordered[index:]
            total = sum(elements for elements, _, _ in rest)
            return [*ordered[:index], [total, max(width for _, width, _ in rest), "other"]]
    return ordered


def lazy_name(model: nn.Module) -> str | None:
    """The name of a tensor that has no shape yet, or None."""
    for tensors in (model.named_parameters(), model.named_buffers()):
        for name, tensor in tensors:
            if is_lazy(tensor):
                return name
    return None


def storage_key(tensor: torch.Tensor) -> Any:
    """Equal for two tensors exactly if they share a storage."""
    try:
        return tensor.untyped_storage()._cdata
    except (NotImplementedError, RuntimeError, AttributeError):
        return ("no storage", id(tensor))  # sparse layouts


def _push(stack: list[Any], items: Iterable[Any]) -> None:
    stack.extend(item for item in list(items) if not isinstance(item, _ATOMS))


def _add(found: dict[Any, Entry], tensor: torch.Tensor, kind: str) -> None:
    if is_lazy(tensor):
        raise ValueError("a lazy tensor has no shape, even after one forward pass")
    width = torch.Tensor.element_size(tensor)
    elements = torch.Tensor.numel(tensor)
    with suppress(NotImplementedError, RuntimeError, AttributeError):
        # an expanded view has more elements than its storage
        elements = min(elements, tensor.untyped_storage().nbytes() // max(width, 1))
    if elements == 0:
        return
    old = found.setdefault(storage_key(tensor), [elements, width, kind])
    if elements * width > old[0] * old[1]:
        old[0], old[1] = elements, width
    if _RANK[kind] < _RANK[old[2]]:
        old[2] = kind
