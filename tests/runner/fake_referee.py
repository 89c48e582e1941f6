"""A small referee for tests: it speaks the protocol of docs/protocol.md to real runner processes.

No losses, no budgets, no probes of its own: a test says which frames to send and looks at what
comes back.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

RUNNER = Path(__file__).resolve().parents[2] / "src" / "runner" / "runner.py"
TIMEOUT_S = 60.0
VOCAB_SIZE = 300
SEQUENCE_LENGTH = 16
SEED = 1337
ALIGNMENT_BYTES = 4096


class Peer:
    """One rank's connection and its shared memory."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(TIMEOUT_S)
        self._socket = connection
        self._calls = 0
        self.hello = self.receive()
        self.plan: dict[str, Any] = {}
        self.sources: dict[str, str | None] = {}

    def send(self, kind: str, fds: Sequence[int] = (), **fields: Any) -> None:
        """Sends one frame, in two pieces: a stream has no message borders."""
        body = json.dumps({"kind": kind, **fields}).encode()
        data = struct.pack("<I", len(body)) + body
        if fds:
            socket.send_fds(self._socket, [data[:3]], list(fds))
        else:
            self._socket.sendall(data[:3])
        self._socket.sendall(data[3:])

    def receive(self) -> dict[str, Any]:
        """The next frame; {"kind": "closed"} at the end of the stream."""
        header = self._take(4)
        if len(header) < 4:
            return {"kind": "closed"}
        (length,) = struct.unpack("<I", header)
        assert 1 <= length <= 65_536, length
        return json.loads(self._take(length))

    def expect(self, kind: str) -> dict[str, Any]:
        """The next frame, which must be of that kind."""
        frame = self.receive()
        assert frame["kind"] == kind, f"expected {kind}, got {frame}"
        return frame

    def attach(self, batch_size: int, seq_len: int, vocab_size: int = VOCAB_SIZE) -> None:
        """Makes sealed shared memory of a geometry and sends it."""
        positions = batch_size * seq_len
        ids_bytes = -(-positions * 4 // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        nats_bytes = -(-positions * 8 // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        logits_offset = 2 * ids_bytes + nats_bytes
        total = logits_offset + positions * vocab_size * 4
        fd = os.memfd_create("fake-referee", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, total)
        seals = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        memory = mmap.mmap(fd, total)
        shape = (batch_size, seq_len)
        self._ids = np.frombuffer(memory, np.int32, positions).reshape(shape)
        self._targets = np.frombuffer(memory, np.int32, positions, ids_bytes).reshape(shape)
        self.nats = np.frombuffer(memory, np.float64, positions, 2 * ids_bytes).reshape(shape)
        self.logits = np.frombuffer(memory, np.float32, positions * vocab_size, logits_offset)
        self.logits = self.logits.reshape((*shape, vocab_size))
        self.send(
            "attach",
            [fd],
            batch_size=batch_size,
            seq_len=seq_len,
            vocab_size=vocab_size,
            shm_bytes=total,
            ids_offset=0,
            targets_offset=ids_bytes,
            nats_offset=2 * ids_bytes,
            logits_offset=logits_offset,
        )
        os.close(fd)

    def ask(self, ids: np.ndarray, commit: bool = False) -> None:
        """Sends `predict` for ids [batch, seq]; losses and logits are filled with NaN first."""
        self._ids[:] = ids
        self.nats[:] = np.nan
        self.logits[:] = np.nan
        self._calls += 1
        rows, cols = ids.shape
        self.send("predict", call=self._calls, rows=rows, cols=cols, commit=commit)

    def commit(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Committed losses [batch, seq] and what else lies in the logits' memory."""
        self.ask(ids, commit=True)
        frame = self.expect("committed")
        assert frame["call"] == self._calls, frame
        return self.nats.copy(), self.logits.copy()

    def show(self) -> np.ndarray:
        """All logits of what was committed last."""
        self.send("show", call=self._calls)
        return self.answer()[0]

    def answer(self) -> tuple[np.ndarray, dict[str, Any]]:
        """A copy of the logits and the `predicted` frame."""
        frame = self.expect("predicted")
        assert frame["call"] == self._calls, frame
        return self.logits.copy(), frame

    def predict(self, ids: np.ndarray) -> np.ndarray:
        """Logits for ids [batch, seq]."""
        self.ask(ids)
        return self.answer()[0]

    def reveal(self, ids: np.ndarray, targets: np.ndarray, step: int, bytes_charged: int) -> None:
        """Shows a batch. The ids are written again: the last prediction may have been a probe's."""
        self._ids[:] = ids
        self._targets[:] = targets
        self.send("reveal", step=step, bytes_charged=bytes_charged)

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()

    def _take(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            if not piece:
                break
            data += piece
        return data


class Run:
    """A runner at work on a project: use as a context manager, `peers` are its ranks in order."""

    def __init__(
        self,
        files: dict[str, str],
        phase: str,
        *,
        world_size: int = 1,
        weights: str | None = None,
        commit: bool = False,
        context: dict[str, Any] | None = None,
        tokenizers: dict[str, Any] | None = None,
        architecture: str = "architecture.py",
        training: str = "training.py",
        v1: dict[str, Any] | None = None,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="runner-test-")
        root = Path(self._folder.name)
        self.artifacts = root / "artifacts"
        self.artifacts.mkdir()
        project = root / "project"
        for name, text in files.items():
            path = project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._log = open(root / "run.log", "w+", errors="replace")  # noqa: SIM115 - closed by stop
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(root / "socket"))
        listener.listen(8)
        listener.settimeout(TIMEOUT_S)
        command = [sys.executable, "-u"]
        if phase == "train" and world_size > 1:
            command += ["-m", "torch.distributed.run", "--standalone", "--nnodes=1"]
            command += [f"--nproc-per-node={world_size}"]
        environment = os.environ | {
            "PRISM_SOCKET": str(root / "socket"),
            "PYTHONHASHSEED": str(SEED),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        }
        self._process = subprocess.Popen(
            [*command, str(RUNNER)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=environment,
            cwd=root,
            start_new_session=True,
        )
        with listener:
            peers = [Peer(listener.accept()[0]) for _ in range(world_size)]
        self.peers = sorted(peers, key=lambda peer: peer.hello["rank"])
        for peer in self.peers:
            rank = peer.hello["rank"]
            peer.plan = {
                "phase": phase,
                "submission_id": "test",
                "project_dir": str(project),
                "architecture": {"path": architecture, "symbol": "build_model"},
                "training": {"path": training, "symbol": "train"},
                "v1": v1,
                "context": {
                    "vocab_size": VOCAB_SIZE,
                    "sequence_length": SEQUENCE_LENGTH,
                    "seed": SEED,
                    "data_dir": str(root),
                    "artifacts_dir": str(self.artifacts),
                    "device": "cpu",
                    "rank": rank,
                    "local_rank": rank,
                    "world_size": world_size,
                    **(context or {}),
                },
                "tokenizers": tokenizers or {"bytes": {"file": None, "size": 257}},
                "weights": weights,
                "commit": commit,
                "threads": 1,
                "determinism": True,
            }
            peer.send("plan", **peer.plan)
            peer.sources = peer.expect("sources")["digests"]

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, 9)
        self._process.wait()
        for peer in self.peers:
            peer.close()
        self._log.close()
        self._folder.cleanup()

    def end(self) -> int:
        """Sends `end` to every rank; the exit status."""
        for peer in self.peers:
            peer.send("end", reason="done")
        return self.status()

    def status(self) -> int:
        """Waits for the process; its exit status."""
        return self._process.wait(TIMEOUT_S)

    def log(self) -> str:
        """What the process printed."""
        self._log.seek(0)
        return self._log.read()
