#!/usr/bin/env python3
"""A bounded time of random arrivals, kills and faults, and then the proof that nothing was lost and nothing happened twice.

    ./prism-dev soak [SECONDS] [--seed N] [--folder DIR] [--no-measuring]

Two thirds of the time `prism watch` is started, disturbed and killed again and again: kill -9, SIGTERM, and the faults of
PRISM_TEST_FAULT (docs/operation.md). In the last third one undisturbed watch shows that its memory and its open files do
not grow. At last `prism run` ends what is left, and the outbox is looked at. The same seed makes the same decisions; which
instant they meet differs. Where run.python has torch, a real example is measured now and then. Exit code 1: an invariant
does not hold; the folder is kept.
"""

import argparse
import hashlib
import io
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRISM = ROOT / "target/debug/prism"
PYTHON = ROOT / ".venv/bin/python"
FINAL = {"scored", "rejected", "failed"}
DRAFTS = (".prism-", ".stream-")
LAST_PASSES = 40
LONGEST_PASS_S = 600
MOST_NEW_DESCRIPTORS = 8
MOST_GROWTH_BYTES = 24 << 20
MEASURED_EVERY_S = 45


def zipped(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, text in files.items():
            file.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


def submission_id(content: bytes) -> str:
    return hashlib.sha256(b"prism-submission\0\0" + content).hexdigest()[:24]


class Arrivals:
    """Files that somebody drops into the inbox."""

    def __init__(self, inbox: Path, chance: random.Random, measures: bool):
        self.inbox = inbox
        self.chance = chance
        self.measures = measures
        self.count = 0
        self.kinds: Counter[str] = Counter()
        # id to content of what was dropped whole and stayed
        self.whole: dict[str, bytes] = {}
        # ids of what was taken away again: it may have a result or none
        self.withdrawn: set[str] = set()
        self.last_measured = 0.0

    def forbidden(self) -> bytes:
        """A sound archive that one rule rejects."""
        architecture = f"import ctypes\n\n\ndef build_model(ctx):\n    return {self.count}\n"
        training = "def train(ctx):\n    pass\n"
        return zipped({"architecture.py": architecture, "training.py": training})

    def example(self) -> bytes:
        """One that is measured, each time another."""
        folder = ROOT / "examples/ngram-linear"
        files = {
            path.name: path.read_text(encoding="utf-8")
            for path in sorted(folder.iterdir())
            if path.suffix in {".py", ".yaml"}
        }
        files["architecture.py"] += f"\n# soak {self.count}\n"
        return zipped(files)

    def drop(self) -> None:
        self.count += 1
        kinds = ["forbidden", "junk", "truncated", "again", "in place", "withdrawn"]
        kind = self.chance.choices(kinds, weights=[8, 3, 2, 1, 2, 1])[0]
        if self.measures and time.monotonic() - self.last_measured > MEASURED_EVERY_S:
            self.last_measured = time.monotonic()
            kind = "measured"
        if kind == "again" and not self.whole:
            kind = "forbidden"
        self.kinds[kind] += 1
        if kind == "measured":
            content = self.example()
        elif kind == "junk":
            content = self.chance.randbytes(self.chance.randrange(0, 20_000))
        elif kind == "again":
            content = self.chance.choice(list(self.whole.values()))
        else:
            content = self.forbidden()
        if kind == "truncated":
            content = content[: self.chance.randrange(1, len(content))]
        path = self.inbox / f"{self.count:06}-{kind.replace(' ', '-')}.zip"
        if kind == "in place":
            half = len(content) // 2
            with path.open("wb") as file:
                file.write(content[:half])
                file.flush()
                time.sleep(self.chance.uniform(0, 0.05))
                file.write(content[half:])
        else:
            draft = path.with_name(f".{path.name}.part")
            draft.write_bytes(content)
            draft.rename(path)
        if kind == "withdrawn":
            time.sleep(self.chance.uniform(0, 0.4))
            path.unlink()
            self.withdrawn.add(submission_id(content))
        else:
            self.whole[submission_id(content)] = content


class Outbox:
    """What is visible, and what of it may not change any more."""

    def __init__(self, path: Path):
        self.path = path
        self.results: dict[str, bytes] = {}
        self.broken: list[str] = []

    def look(self) -> dict[str, dict]:
        """Every status; what is half, or was another result before, is written down."""
        statuses = {}
        for status in sorted(self.path.glob("[!.]*/status.json")):
            name = status.parent.name
            try:
                text = status.read_bytes()
                value = json.loads(text)
            except (OSError, ValueError) as error:
                self.broken.append(f"{status}: {error}")
                continue
            statuses[name] = value
            if value["submission_id"] != name:
                self.broken.append(f"{status}: it is of {value['submission_id']}")
            if name in self.results and self.results[name] != text:
                self.broken.append(f"{status}: a result has changed")
            if value["state"] in FINAL:
                self.results.setdefault(name, text)
        for name in self.results.keys() - statuses.keys():
            self.broken.append(f"{name}: a result has gone")
        for name in ("leaderboard.json", "weights.json", "families.json"):
            path = self.path / name
            try:
                json.loads(path.read_bytes())
            except FileNotFoundError:
                continue
            except ValueError as error:
                self.broken.append(f"{path}: {error}")
        return statuses

    def leftovers(self) -> list[str]:
        """Drafts that are visible, and work that was not cleared away."""
        found = [
            str(path)
            for path in self.path.rglob("*")
            if path.name.startswith(DRAFTS) or path.name.endswith(".tmp")
        ]
        work = self.path / ".work"
        return found + [str(path) for path in (work.iterdir() if work.is_dir() else ())]

    def unsealed(self) -> list[str]:
        """Concluded folders whose files are not those of their list of digests."""
        bad = []
        for name in self.results:
            folder = self.path / name
            listed = json.loads((folder / "digests.json").read_bytes())["files"]
            for entry in listed:
                path = folder / entry["path"]
                if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
                    bad.append(str(path))
        return bad


class Soak:
    def __init__(self, folder: Path, seed: int, measures: bool):
        self.folder = folder
        self.chance = random.Random(seed)
        (folder / "inbox").mkdir()
        self.arrivals = Arrivals(folder / "inbox", self.chance, measures)
        self.outbox = Outbox(folder / "outbox")
        self.endings: Counter[str] = Counter()
        self.samples: list[tuple[int, int]] = []
        self.config = folder / "config.yaml"
        settings = {
            "inbox": str(folder / "inbox"),
            "outbox": str(folder / "outbox"),
            "corpus": {"root": str(folder / "corpus"), "tokenizers": str(ROOT / "tokenizers")},
            "duplicates": {"policy": "off"},
            "intake": {"settle_ms": 100, "rescan_ms": 500},
            "budget": {"bytes": 40_000, "wall_clock_s": 120, "grace_s": 10},
            "held_out": {"val_bytes": 8_192, "train_tail_bytes": 4_096},
            "audit": {"snapshots": 0},
            "run": {"python": str(PYTHON), "threads": 1, "referee_threads": 1, "retry_after_s": 0, "max_attempts": 100},
            "sandbox": {"isolation": "bwrap" if has_bwrap() else "none"},
            "log": {"format": "json"},
            "metrics": {"textfile": str(folder / "prism.prom")},
        }
        self.config.write_text(json.dumps(settings), encoding="utf-8")

    def command(self, *arguments: str) -> list[str]:
        return [str(PRISM), "--config", str(self.config), *arguments]

    def watch(self, fault: str | None) -> subprocess.Popen:
        environment = os.environ | ({"PRISM_TEST_FAULT": fault} if fault else {})
        with (self.folder / "log.jsonl").open("ab") as log:
            return subprocess.Popen(
                self.command("watch"), env=environment, stdout=subprocess.DEVNULL, stderr=log
            )

    def disturbed(self, until: float) -> None:
        """Starts prism and kills it, again and again."""
        while time.monotonic() < until:
            kinds = [None, "kill", "enospc", "eio", "full"]
            kind = self.chance.choices(kinds, weights=[6, 4, 2, 2, 1])[0]
            fault = kind and f"{kind}:{self.chance.randrange(1, 400)}"
            watch = self.watch(fault)
            end = min(until, time.monotonic() + self.chance.uniform(0.3, 8))
            while time.monotonic() < end and watch.poll() is None:
                self.arrivals.drop()
                time.sleep(self.chance.expovariate(8))
            how = self.chance.choice(["kill -9", "kill -9", "SIGTERM", "SIGTERM twice"])
            if watch.poll() is not None:
                how = f"by itself ({kind})"
            elif how == "kill -9":
                watch.kill()
            else:
                watch.terminate()
                if how == "SIGTERM twice":
                    time.sleep(self.chance.uniform(0, 0.3))
                    watch.terminate()
            watch.wait(timeout=LONGEST_PASS_S)
            self.endings[how] += 1
            self.outbox.look()

    def steady(self, until: float) -> None:
        """One watch that nobody disturbs, and what it holds."""
        watch = self.watch(None)
        try:
            while time.monotonic() < until:
                self.arrivals.drop()
                time.sleep(self.chance.expovariate(6))
                if watch.poll() is not None:
                    self.outbox.broken.append(f"watch ended with {watch.returncode}")
                    return
                self.samples.append(held(watch.pid))
        finally:
            watch.terminate()
            watch.wait(timeout=LONGEST_PASS_S)

    def conclude(self) -> dict[str, dict]:
        """Runs prism until nothing waits any more."""
        for _ in range(LAST_PASSES):
            with (self.folder / "log.jsonl").open("ab") as log:
                subprocess.run(
                    self.command("run"), stdout=subprocess.DEVNULL, stderr=log, timeout=LONGEST_PASS_S, check=False
                )
            statuses = self.outbox.look()
            arrived = self.arrivals.whole.keys() <= statuses.keys()
            if arrived and all(status["state"] in FINAL for status in statuses.values()):
                break
        return statuses


def held(pid: int) -> tuple[int, int]:
    """Resident bytes of private memory, and open files."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    resident = next(line for line in status.splitlines() if line.startswith("RssAnon:"))
    return int(resident.split()[1]) << 10, len(os.listdir(f"/proc/{pid}/fd"))


def has_bwrap() -> bool:
    if shutil.which("bwrap") is None:
        return False
    probe = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def has_torch() -> bool:
    if not PYTHON.exists():
        return False
    return subprocess.run([PYTHON, "-c", "import torch"], capture_output=True, check=False).returncode == 0


def growth(samples: list[tuple[int, int]]) -> tuple[int, int]:
    """Bytes and open files that the last quarter has more than the second: the first is the warming-up."""
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[3 * quarter :]

    def grown(place: int) -> int:
        return int(
            statistics.median(sample[place] for sample in late)
            - statistics.median(sample[place] for sample in early)
        )

    return grown(0), grown(1)


def judge(soak: Soak, statuses: dict[str, dict]) -> bool:
    """Prints every invariant and whether it holds."""
    arrivals, outbox = soak.arrivals, soak.outbox
    missing = [name for name in arrivals.whole if statuses.get(name, {}).get("state") not in FINAL]
    known = arrivals.whole.keys() | arrivals.withdrawn
    # What was seen while it was cut off, or before the writer was done, is another submission.
    strange = [
        name for name, status in statuses.items() if name not in known and status["state"] == "scored"
    ]
    queue = subprocess.run(soak.command("--format", "json", "queue"), capture_output=True, check=False)
    unreadable = json.loads(queue.stdout)["unreadable"] if queue.returncode == 0 else [queue.stderr.decode()]
    invariants = [
        ("every arrival has exactly one final result", missing),
        ("no result changed, went or was half", outbox.broken),
        ("nothing has a score that nobody sent", strange),
        ("no draft and no work is left", outbox.leftovers()),
        ("every status fits its schema", unreadable),
        ("every concluded folder is as its digests say", outbox.unsealed()),
    ]
    if len(soak.samples) >= 16:
        more_bytes, more_files = growth(soak.samples)
        print(f"watch: {soak.samples[-1][0] >> 20} MiB, {soak.samples[-1][1]} open files; grown by {more_bytes >> 10} KiB, {more_files}")
        invariants.append(("memory is flat", [more_bytes] if more_bytes > MOST_GROWTH_BYTES else []))
        invariants.append(("open files are flat", [more_files] if more_files > MOST_NEW_DESCRIPTORS else []))
    else:
        print(f"watch: {len(soak.samples)} samples of memory and open files are too few to judge")
    for name, exceptions in invariants:
        print(f"{'holds' if not exceptions else 'FAILS'}  {name}")
        for exception in exceptions[:10]:
            print(f"         {exception}")
    return not any(exceptions for _, exceptions in invariants)


def main() -> int:
    parser = argparse.ArgumentParser(description="Random arrivals, kills and faults, then the invariants.")
    parser.add_argument("seconds", type=float, nargs="?", default=120)
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--no-measuring", action="store_true")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="prism-soak-", dir=arguments.folder))
    measures = not arguments.no_measuring and has_torch()
    print(f"seed {arguments.seed}, {arguments.seconds:.0f} s, measuring: {'yes' if measures else 'no'}, in {folder}")
    soak = Soak(folder, arguments.seed, measures)
    if measures:
        source = ROOT / "examples/corpus/austen.jsonl"
        subprocess.run([PRISM, "data", "lock", source, "--output", folder / "corpus", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    began = time.monotonic()
    soak.disturbed(began + arguments.seconds * 2 / 3)
    soak.steady(began + arguments.seconds)
    statuses = soak.conclude()
    print(f"arrivals: {dict(soak.arrivals.kinds)}")
    print(f"prism ended: {dict(soak.endings)}")
    print(f"results: {dict(Counter(status['state'] for status in statuses.values()))}")
    holds = judge(soak, statuses)
    if holds:
        shutil.rmtree(folder)
    else:
        print(f"kept: {folder}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
