"""Forced seeds, forced determinism, and predictions that leave the random state alone."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator
from typing import Any

import torch

_manual_seed = torch.manual_seed
_get_rng_state = torch.get_rng_state
_set_rng_state = torch.set_rng_state
_autocast = torch.autocast
_set_grad_enabled = torch.set_grad_enabled
_get_default_dtype = torch.get_default_dtype
_set_default_dtype = torch.set_default_dtype

_FP32_SWITCHES: tuple[Any, ...] = tuple(
    backend
    for backend in (
        torch.backends.cuda.matmul,
        getattr(torch.backends.cudnn, "conv", None),
        getattr(torch.backends.cudnn, "rnn", None),
        getattr(torch.backends.mkldnn, "matmul", None),
    )
    if hasattr(backend, "fp32_precision")
)


def force(seed: int) -> None:
    """Seeds Python, torch (CPU and every CUDA device) and numpy where it is loaded."""
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed % 2**32)
    _manual_seed(seed)


def force_determinism() -> None:
    """Deterministic kernels where torch has them; a warning, not an error, where it has none."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


class Numerics:
    """The settings that change what a forward computes: default dtype and float32 precision of each
    backend.

    Taken once, after the architecture was imported; the same file is all that a held-out process
    imports. So what the training script switches on later (TF32, say) changes its training and not
    the predictions.
    """

    def __init__(self) -> None:
        self._default_dtype = _get_default_dtype()
        self._fp32 = [switch.fp32_precision for switch in _FP32_SWITCHES]

    def apply(self) -> None:
        """Makes these the current settings; touches only what differs."""
        if _get_default_dtype() != self._default_dtype:
            _set_default_dtype(self._default_dtype)
        for switch, precision in zip(_FP32_SWITCHES, self._fp32, strict=True):
            if switch.fp32_precision != precision:
                switch.fp32_precision = precision


@contextlib.contextmanager
def undisturbed(
    device: torch.device, numerics: Numerics, gradients: bool = False
) -> Iterator[None]:
    """Inside: gradients or none, no autocast, the settings of `numerics`. Afterwards all is as
    before, random states included.
    """
    numpy = sys.modules.get("numpy")
    python_state = random.getstate()
    numpy_state: Any = numpy.random.get_state() if numpy is not None else None
    cpu_state = _get_rng_state()
    cuda_state = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    settings = Numerics()
    numerics.apply()
    try:
        with _set_grad_enabled(gradients), _autocast(device.type, enabled=False):
            yield
    finally:
        settings.apply()
        if cuda_state is not None:
            torch.cuda.set_rng_state(cuda_state, device)
        _set_rng_state(cpu_state)
        if numpy is not None:
            numpy.random.set_state(numpy_state)
        random.setstate(python_state)
