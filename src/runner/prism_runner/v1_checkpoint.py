"""Checkpoints of the first contract: where `save_checkpoint` may write, what it may return, and what a
run that goes on gives to `load_checkpoint`.

What is checked here is checked again outside the sandbox, where it counts; here it gives the author
a traceback.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from .v1_submission import Submission

MAX_RETURN_BYTES = 16_384


def folder(submission_id: str, attempt: int) -> str:
    """The folder of an attempt's checkpoint, relative to the artifact root."""
    return f"checkpoints/{submission_id}/attempt-{attempt}/current"


def save(
    hook: Callable[..., Any] | None, model: nn.Module, submission: Submission
) -> dict[str, Any] | None:
    """Calls the hook with the unwrapped model and an empty folder. `{"path": ...}`, with `metadata`
    if it gave some; None where nothing is to be recorded.

    TypeError for a return that is neither None, a str, nor a dict with exactly `path` and
    `metadata`; ValueError for a path that is not a plain relative one.
    """
    if hook is None:
        return None
    _empty(Path(submission.ctx.checkpoint_dir))
    returned = hook(model, submission.ctx.checkpoint_dir, submission.ctx)
    if returned is None:
        return None
    if isinstance(returned, str):
        returned = {"path": returned}
    elif not isinstance(returned, dict) or set(returned) != {"path", "metadata"}:
        raise TypeError(
            "save_checkpoint must return None, a relative path, or a dict with exactly path and "
            f"metadata; got {_shown(returned)}"
        )
    elif not isinstance(returned["path"], str) or not isinstance(returned["metadata"], dict):
        raise TypeError("save_checkpoint: path must be a str and metadata a dict")
    check_path(returned["path"])
    if len(json.dumps(returned, allow_nan=False)) > MAX_RETURN_BYTES:
        raise ValueError(f"save_checkpoint: more than {MAX_RETURN_BYTES} bytes of metadata")
    return returned


def load(hook: Callable[..., Any], model: nn.Module, submission: Submission) -> None:
    """Calls the hook with the unwrapped model and the folder of the checkpoint that the run goes on
    from. TypeError or ValueError for a return that JSON cannot hold.
    """
    returned = hook(model, submission.ctx.resume_checkpoint_dir, submission.ctx)
    try:
        text = json.dumps(returned, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"load_checkpoint must return None or JSON: {error}") from None
    if len(text) > MAX_RETURN_BYTES:
        raise ValueError(f"load_checkpoint: more than {MAX_RETURN_BYTES} bytes returned")


def _empty(folder: Path) -> None:
    """An earlier checkpoint was copied out before the next one is asked for."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def check_path(path: str) -> None:
    """ValueError for anything but a relative path of plain segments."""
    segments = path.split("/")
    is_drive = len(path) > 1 and path[0].isalpha() and path[1] == ":"
    if "\\" in path or is_drive or any(segment in ("", ".", "..") for segment in segments):
        raise ValueError(
            f"save_checkpoint: got the path {path!r}, expected one below checkpoint_dir, relative, "
            "without empty segments, '.', '..' and backslashes"
        )


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return f"a dict with {sorted(str(key) for key in value)}"
    return type(value).__name__
