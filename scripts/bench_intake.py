#!/usr/bin/env python3
"""Everything but the device: arrivals to the verdict of the review, many at once and one at a time.

    ./prism-dev bench-intake [--zips 3000] [--singles 200] [--cores 2] [--folder DIR]

`prism watch` is idle when the zips are renamed into its inbox. Their times of modification are older than
`intake.settle_ms`, as those of files that were written elsewhere and moved; a file that was written a moment ago waits
for that time first, whatever the machine. Half of them are accepted, the other half is rejected by a rule. There is no
corpus, so that nothing is measured. The inbox and the outbox are in a temporary folder under DIR: what is measured is its
file system, fsync included, too.
"""

import argparse
import hashlib
import io
import json
import os
import random
import signal
import statistics
import subprocess
import tempfile
import time
import zipfile
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRISM = ROOT / "target/debug/prism"
EXAMPLE = ROOT / "examples/tiny-1m"
AGE_S = 60
PATIENCE_S = 300


def archive(number: int, is_accepted: bool) -> bytes:
    """A submission of its own: the example with a comment, and with an import that no rule lets pass."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(EXAMPLE.iterdir()):
            text = path.read_text(encoding="utf-8")
            if path.name == "architecture.py":
                text = f"{'' if is_accepted else 'import ctypes'}\n{text}\n# submission {number}\n"
            if path.suffix in {".py", ".yaml"}:
                file.writestr(path.name, text)
    return buffer.getvalue()


def submission_id(content: bytes) -> str:
    return hashlib.sha256(b"prism-submission\0\0" + content).hexdigest()[:24]


def seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Intake:
    """An idle `prism watch` over an inbox of its own."""

    def __init__(self, folder: Path, cores: int):
        self.folder = folder
        for name in ("inbox", "stage"):
            (folder / name).mkdir()
        settings = {
            "inbox": str(folder / "inbox"),
            "outbox": str(folder / "outbox"),
            "corpus": {"root": str(folder / "no-corpus")},
            "duplicates": {"policy": "off"},
            "run": {"retry_after_s": 3600},
        }
        config = folder / "config.yaml"
        config.write_text(json.dumps(settings), encoding="utf-8")
        first = sorted(os.sched_getaffinity(0))[:cores]
        self.log = (folder / "stderr").open("wb")
        self.watch = subprocess.Popen(
            [PRISM, "watch", "--config", config],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=self.log,
            preexec_fn=lambda: os.sched_setaffinity(0, first),
        )
        deadline = time.monotonic() + PATIENCE_S
        while b"watching" not in (folder / "stderr").read_bytes():
            if time.monotonic() > deadline or self.watch.poll() is not None:
                raise SystemExit((folder / "stderr").read_text(encoding="utf-8"))
            time.sleep(0.01)

    def end(self) -> None:
        self.watch.send_signal(signal.SIGTERM)
        self.watch.wait(timeout=PATIENCE_S)
        self.log.close()

    def stage(self, number: int, is_accepted: bool) -> tuple[Path, Path]:
        """A zip beside the inbox, and the status that it will have."""
        content = archive(number, is_accepted)
        path = self.folder / "stage" / f"{number}.zip"
        path.write_bytes(content)
        then = time.time() - AGE_S
        os.utime(path, (then, then))
        return path, self.folder / "outbox" / submission_id(content) / "status.json"

    def arrive(self, staged: Path) -> None:
        staged.rename(self.folder / "inbox" / staged.name)


def verdict_at(status: Path) -> float | None:
    """When the review had its verdict; none: not yet."""
    try:
        transitions = json.loads(status.read_bytes())["transitions"]
    except FileNotFoundError:
        return None
    for step in transitions:
        if step["state"] in {"reviewed", "rejected"}:
            return seconds(step["at"])
    return None


def wait_for(status: Path, pause_s: float) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while verdict_at(status) is None:
        if time.monotonic() > deadline:
            raise SystemExit(f"no verdict in {status} after {PATIENCE_S} s")
        time.sleep(pause_s)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far: on a busy machine it tells more than the clock."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def throughput(intake: Intake, count: int) -> None:
    staged = [intake.stage(number, number % 2 == 0) for number in range(count)]
    time.sleep(1)
    cpu_before = cpu_seconds(intake.watch.pid)
    began = time.time()
    for path, _ in staged:
        intake.arrive(path)
    for _, status in reversed(staged):
        wait_for(status, 0.05)
    took = max(verdict_at(status) for _, status in staged) - began
    cpu_ms = (cpu_seconds(intake.watch.pid) - cpu_before) / count * 1e3
    print(
        f"{count} zips: {took:.2f} s from the first rename to the last verdict, {count / took:.0f} zips/s, "
        f"{cpu_ms:.1f} ms of CPU each"
    )


def latency(intake: Intake, count: int) -> None:
    chance = random.Random(8)
    times_ms = []
    for number in range(count):
        path, status = intake.stage(10_000_000 + number, number % 2 == 0)
        # long enough that it is idle again: a look at the queue follows every arrival
        time.sleep(chance.uniform(0.5, 0.8))
        began = time.perf_counter()
        intake.arrive(path)
        wait_for(status, 0.0005)
        times_ms.append((time.perf_counter() - began) * 1e3)
    cuts = statistics.quantiles(times_ms, n=100, method="inclusive")
    print(
        f"{count} single arrivals, rename to verdict on disk: p50 {statistics.median(times_ms):.1f} ms, "
        f"p99 {cuts[98]:.1f} ms, most {max(times_ms):.1f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Throughput and latency of intake and review.")
    parser.add_argument("--zips", type=int, default=3_000)
    parser.add_argument("--singles", type=int, default=200)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None)
    arguments = parser.parse_args()
    for measure, count in ((latency, arguments.singles), (throughput, arguments.zips)):
        if count == 0:
            continue
        with tempfile.TemporaryDirectory(prefix="prism-intake-", dir=arguments.folder) as folder:
            intake = Intake(Path(folder), arguments.cores)
            try:
                measure(intake, count)
            finally:
                intake.end()


if __name__ == "__main__":
    main()
