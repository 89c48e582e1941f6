"""How a run ends badly: one `failed` frame with what the submission raised, then exit status 1."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from typing import NoReturn

from .wire import Channel, ChannelClosed, ProtocolError

MAX_MESSAGE_CHARS = 2_000
MAX_NAME_CHARS = 200

_exit = os._exit


def leave(status: int) -> NoReturn:
    """Ends the process now: the submission's exit handlers and threads are not waited for."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):  # the submission may have replaced or closed it
            stream.flush()
    _exit(status)


def leave_with(message: str) -> NoReturn:
    """Ends the process with status 1 and one line on stderr: no fault of the submission's."""
    with suppress(BaseException):
        print(f"prism: {message}", file=sys.__stderr__)
    leave(1)


def report(channel: Channel, project_dir: str, stage: str, error: BaseException) -> NoReturn:
    """Sends `failed` and ends the process with status 1."""
    with suppress(BaseException):  # an exception's own __str__ may raise
        traceback.print_exception(error, file=sys.stderr)
    with suppress(ChannelClosed, ProtocolError):
        channel.send(
            "failed",
            stage=stage,
            type=_plain(type(error).__name__, MAX_NAME_CHARS),
            message=_plain(_text(error), MAX_MESSAGE_CHARS),
            where=_plain(_where(error, project_dir), MAX_NAME_CHARS),
        )
    leave(1)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as second:
        return f"(its __str__ raised {type(second).__name__})"


def _plain(text: str, limit: int) -> str:
    """Valid Unicode (no lone surrogates), at most `limit` characters."""
    return str(text)[:limit].encode("utf-8", "replace").decode("utf-8")


def _where(error: BaseException, project_dir: str) -> str:
    """ "training.py:17": the innermost line inside the project, else ""."""
    root = os.path.realpath(project_dir) + os.sep
    places: list[tuple[object, object]] = []
    trace = error.__traceback__
    while trace is not None:
        places.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        places.append((error.filename, error.lineno))
    for filename, line in reversed(places):
        path = os.path.realpath(filename) if isinstance(filename, str) else ""
        if path.startswith(root):
            return f"{path[len(root) :]}:{line}"
    return ""
