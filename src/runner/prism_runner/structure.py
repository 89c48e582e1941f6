"""Writes down what a forward does: every operation on tensors, what it reads, and the shapes it
gives. The referee makes the family's identity of it; names and values of weights are not in it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from json import dumps
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from . import census, predict, seeds

ROWS, COLS = 1, 8
MAX_OPERATIONS = 40_000
MAX_ATOMS = 2_000
MAX_KEPT_BYTES = 1 << 30
MAX_SECONDS = 10.0
MAX_LEAVES = 10_000
MAX_LISTING_JSON_BYTES = 12_000_000
MAX_LINES_JSON_BYTES = 60_000  # a frame holds 65,536 bytes
FILL_VALUES = 65_537

# [operation, arguments, [[shape, dtype], ...]]; an argument is a text, a number or, for a tensor,
# {"t": [line, output]} with the line of the last write to its memory as a third number.
Line = list[Any]

_Tensor = torch.Tensor
_clock = time.monotonic


class Listing(TorchDispatchMode):
    """Records what runs while it is active. `failure` says why it gave up, if it did."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # the guard against the compiler would import it: as long again as torch itself
        return False

    def __init__(self, model: nn.Module, ids: torch.Tensor) -> None:
        super().__init__()
        self.lines: list[Line] = []
        self.failure: str | None = None
        self._at: dict[int, list[int]] = {}  # id of a tensor: its line and output
        self._storages: dict[Any, list[int]] = {}
        self._writes: dict[Any, int] = {}
        self._kept: list[Any] = []  # ids are compared: nothing seen may be freed meanwhile
        self._kept_bytes = 0
        self._deadline = _clock() + MAX_SECONDS
        for parameter in model.parameters():
            self._leaf("parameter", parameter)
        for buffer in model.buffers():
            self._leaf("buffer", buffer)
        self.leaves = len(self.lines)
        self._leaf("input", ids)

    def __torch_dispatch__(  # noqa: D105
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.failure is None:
            atoms = self._atoms(args, kwargs)
        out = func(*args, **kwargs)
        if self.failure is None:
            self._record(func, args, kwargs, atoms, out)
        return out

    def place_of(self, tensor: torch.Tensor) -> list[int]:
        """The line and output of a tensor, and the last later write to its memory."""
        place = self._at.get(id(tensor))
        key = census.storage_key(tensor)
        if place is None:
            # another view of known memory (.data), or a tensor made elsewhere
            place = self._storages.get(key) or self._leaf("constant", tensor)
        write = self._writes.get(key, -1)
        return [*place, write] if write > place[0] else place

    def _leaf(self, kind: str, tensor: torch.Tensor) -> list[int]:
        return self._add([kind, [], [_form(tensor)]], [tensor])

    def _add(self, line: Line, outputs: list[Any]) -> list[int]:
        number = len(self.lines)
        self.lines.append(line)
        for index, tensor in enumerate(outputs):
            if not isinstance(tensor, _Tensor):
                continue
            key = census.storage_key(tensor)
            if key not in self._storages:
                self._storages[key] = [number, index]
                if number > 0 and line[0] not in ("parameter", "buffer"):
                    self._kept_bytes += tensor.numel() * tensor.element_size()
            self._at[id(tensor)] = [number, index]
            self._kept.append(tensor)
        return [number, 0]

    def _atoms(self, args: Any, kwargs: Any) -> list[Any]:
        atoms: list[Any] = []
        for value in args:
            self._push(atoms, value)
        for name in sorted(kwargs):
            if name not in ("device", "pin_memory", "layout"):
                atoms.append(f"{name}=")
                self._push(atoms, kwargs[name])
        return atoms

    def _push(self, atoms: list[Any], value: Any) -> None:
        if isinstance(value, _Tensor):
            atoms.append({"t": self.place_of(value)})
        elif isinstance(value, (list, tuple)):
            atoms.append("(")
            for item in value[: MAX_ATOMS + 1]:
                self._push(atoms, item)
            atoms.append(")")
        elif isinstance(value, bool) or value is None:
            atoms.append(str(value))
        elif isinstance(value, int):
            atoms.append(value if abs(value) < 1 << 62 else "i")
        elif isinstance(value, float):
            # values are not structure; 0 and 1 are told apart for what does nothing
            atoms.append(f"f{value:.0f}" if value in (0.0, 1.0) else "f")
        else:
            atoms.append(str(value)[:64])

    def _record(self, func: Any, args: Any, kwargs: Any, atoms: list[Any], out: Any) -> None:
        outputs = list(_flat(out))
        line = [str(func), atoms, [_form(tensor) for tensor in outputs]]
        number, _ = self._add(line, outputs)
        for tensor in _written(func, args, kwargs):
            self._writes[census.storage_key(tensor)] = number
            self._at[id(tensor)] = self._at.get(id(tensor), [number, 0])
        if len(atoms) > MAX_ATOMS or len(outputs) > MAX_ATOMS:
            self._give_up(f"an operation with more than {MAX_ATOMS} arguments")
        elif number >= MAX_OPERATIONS:
            self._give_up(f"more than {MAX_OPERATIONS} operations for {COLS} tokens")
        elif self._kept_bytes > MAX_KEPT_BYTES:
            self._give_up(f"more than {MAX_KEPT_BYTES} bytes of tensors for {COLS} tokens")
        elif _clock() > self._deadline:
            self._give_up(f"more than {MAX_SECONDS:.0f} s")

    def _give_up(self, why: str) -> None:
        self.failure = why
        self._kept.clear()


def listing_of(
    model: nn.Module, numerics: seeds.Numerics, vocab_size: int
) -> tuple[list[Line], str | None]:
    """One forward on 8 tokens, line by line, ending with `output`. Where that fails: the parameters
    and buffers, and why.

    The weights are replaced first: where the flow depends on their values, it is on values that
    the order in which parameters were drawn does not move. The model is of no use afterwards.
    """
    model = predict.unwrap(model)
    leaves: list[Line] = []
    try:
        device = predict.device_of(model, "cpu")
        ids = torch.arange(COLS, device=device).remainder(vocab_size).expand(ROWS, COLS).clone()
        _fill(model)
        listing = Listing(model, ids)
        leaves = listing.lines[: listing.leaves]
        # run_forward predicts on what it is given: the ids above are the input's line
        with _without_compiler(), listing:
            logits = predict.run_forward(model, ids, numerics)
            listing.lines.append(["output", [{"t": listing.place_of(logits)}], []])
    except Exception as error:
        return leaves[:MAX_LEAVES], f"{type(error).__name__} while the forward was written down"
    failure = listing.failure
    if failure is None and sum(len(dumps(line)) for line in listing.lines) > MAX_LISTING_JSON_BYTES:
        failure = f"a listing of more than {MAX_LISTING_JSON_BYTES} bytes"
    if failure is not None:
        return leaves[:MAX_LEAVES], failure
    return listing.lines, None


def frames(lines: list[Line]) -> Iterator[tuple[list[Line], bool]]:
    """The lines in pieces that fit a frame, and whether another piece follows."""
    start, used = 0, 0
    for index, line in enumerate(lines):
        size = len(dumps(line)) + 2
        if used + size > MAX_LINES_JSON_BYTES and index > start:
            yield lines[start:index], True
            start, used = index, 0
        used += size
    yield lines[start:], False


def _fill(model: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(FILL_VALUES, generator=generator) * 0.02
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point():
                repeats = parameter.numel() // FILL_VALUES + 1
                tiled = values.repeat(repeats)[: parameter.numel()].view(parameter.shape)
                # other memory, not other values: the next model may be built from the same tensor
                parameter.data = tiled.to(parameter.device, parameter.dtype)


def _without_compiler() -> AbstractContextManager[Any]:
    if "torch._dynamo" in sys.modules:
        stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
        return stance
    return nullcontext()


def _form(tensor: Any) -> Line:
    if not isinstance(tensor, _Tensor):
        return [[], type(tensor).__name__[:64]]
    return [list(tensor.shape), str(tensor.dtype).removeprefix("torch.")]


def _flat(out: Any) -> Iterator[Any]:
    if isinstance(out, (list, tuple)):
        for item in out:
            yield from _flat(item)
    else:
        yield out


def _written(func: Any, args: Any, kwargs: Any) -> Iterator[torch.Tensor]:
    schema = getattr(func, "_schema", None)
    if schema is None or not schema.is_mutable:
        return
    for index, argument in enumerate(schema.arguments):
        alias = argument.alias_info
        if alias is not None and alias.is_write:
            value = args[index] if index < len(args) else kwargs.get(argument.name)
            for item in _flat(value):
                if isinstance(item, _Tensor):
                    yield item
