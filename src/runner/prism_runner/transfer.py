"""Logits from where the model lies into the shared memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

# elements of a stage: 16 MiB of float32, some milliseconds of a bus
_STAGE_ELEMENTS = 1 << 22

_empty = torch.empty
_float32 = torch.float32
_Event = torch.cuda.Event
_stages: list[torch.Tensor] = []


def to_host(logits: torch.Tensor, target: torch.Tensor) -> None:
    """Copies `logits` of any float dtype to `target`, float32 of the same shape in pageable memory.

    From a GPU through two pinned buffers in turn: while the bus fills one, the other is emptied.
    """
    if not logits.is_cuda:
        target.copy_(logits)
        return
    if not _stages:
        _stages.extend(_empty(_STAGE_ELEMENTS, dtype=_float32, pin_memory=True) for _ in range(2))
    through_stages(logits, target, _stages, _recorded)


def through_stages(
    source: torch.Tensor,
    target: torch.Tensor,
    stages: list[torch.Tensor],
    record: Callable[[], Any],
) -> None:
    """The copy in parts of a stage's size. `record()` returns what can `synchronize()` with all
    copies that were queued before.
    """
    flat_source, flat_target = source.reshape(-1), target.view(-1)
    size = stages[0].numel()
    queued: tuple[Any, torch.Tensor, int] | None = None
    for index, start in enumerate(range(0, flat_target.numel(), size)):
        part = flat_source[start : start + size].to(_float32)
        stage = stages[index % 2][: part.numel()]
        stage.copy_(part, non_blocking=True)
        before, queued = queued, (record(), stage, start)
        _land(before, flat_target)
    _land(queued, flat_target)


def _land(queued: tuple[Any, torch.Tensor, int] | None, flat_target: torch.Tensor) -> None:
    if queued is None:
        return
    event, stage, start = queued
    event.synchronize()
    flat_target[start : start + stage.numel()].copy_(stage)


def _recorded() -> Any:
    event = _Event()
    event.record()
    return event
