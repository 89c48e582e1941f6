"""Frames to and from the referee: 4 bytes little-endian length, then one JSON object."""

from __future__ import annotations

import os
import socket
import struct
from json import (
    dumps,
    loads,
)  # bound at import: a submission that patches json does not reach these
from typing import Any

MAX_FRAME_BYTES = 65_536
MAX_FDS_PER_READ = 4
HEADER = struct.Struct("<I")


class ChannelClosed(Exception):
    """The referee is gone; the run is over."""


class ProtocolError(Exception):
    """The other side said something that the protocol does not allow here."""


class Channel:
    """One connection to the referee. Blocking; the referee keeps all deadlines."""

    def __init__(self, socket_path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # a socket's path has at most 108 bytes; the folder's descriptor stands for the rest of it
        folder = os.open(os.path.dirname(socket_path) or ".", os.O_PATH | os.O_DIRECTORY)
        try:
            self._socket.connect(f"/proc/self/fd/{folder}/{os.path.basename(socket_path)}")
        finally:
            os.close(folder)
        self._unread = bytearray()
        self._fds: list[int] = []

    def send(self, kind: str, **fields: Any) -> None:
        """Sends one frame. ChannelClosed if nobody listens, ProtocolError if it is too long."""
        body = dumps({"kind": kind, **fields}, allow_nan=False).encode("ascii")
        if len(body) > MAX_FRAME_BYTES:
            raise ProtocolError(
                f"frame {kind!r} has {len(body)} bytes, at most {MAX_FRAME_BYTES} fit"
            )
        try:
            self._socket.sendall(HEADER.pack(len(body)) + body)
        except OSError as error:
            raise ChannelClosed(str(error)) from None

    def receive(self) -> dict[str, Any]:
        """The next frame. ChannelClosed at the end of the stream."""
        (length,) = HEADER.unpack(self._take(HEADER.size))
        if not 1 <= length <= MAX_FRAME_BYTES:
            raise ProtocolError(f"frame length {length}, expected 1 to {MAX_FRAME_BYTES}")
        frame = loads(self._take(length))
        if not isinstance(frame, dict) or not isinstance(frame.get("kind"), str):
            raise ProtocolError("frame is not an object with a kind")
        return frame

    def take_fd(self) -> int:
        """The file descriptor that came with the last frame; the caller closes it."""
        if not self._fds:
            raise ProtocolError("attach came without a file descriptor")
        newest = self._fds.pop()
        for stray in self._fds:
            os.close(stray)
        self._fds.clear()
        return newest

    def _take(self, count: int) -> bytes:
        while len(self._unread) < count:
            try:
                data, fds, _, _ = socket.recv_fds(self._socket, MAX_FRAME_BYTES, MAX_FDS_PER_READ)
            except OSError as error:
                raise ChannelClosed(str(error)) from None
            if not data:
                raise ChannelClosed("end of stream")
            self._unread += data
            self._fds += fds
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken
