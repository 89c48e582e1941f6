#!/usr/bin/env python3
"""Run the zoo: honest learners and cheats, all through `prism run`, and say who was stopped by what.

    .venv/bin/python scripts/zoo.py                      everything; honest learners with five seeds
    .venv/bin/python scripts/zoo.py --quick              a few of each
    .venv/bin/python scripts/zoo.py --only leak_full gru
    .venv/bin/python scripts/zoo.py --docs docs/detection.md --json zoo.json

zoo/honest/README.md and zoo/cheats/README.md are the index: one table row for each folder. A cheat that the review
refuses is run a second time as if the review had let it pass, so that what stands behind the review is tried too.
A cheat has profited if it has a score and that is higher than its honest twin's by more than --tolerance. One that would
have profited past the review only is told apart.

Prints a table in Markdown. Exit code 1 if an honest learner was not scored or flagged, or a cheat profited.
"""

import argparse
import concurrent.futures
import datetime
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import pack

ROOT = Path(__file__).resolve().parent.parent
PRISM = ROOT / "target/debug/prism"
SEEDS = (1337, 1, 2, 3, 4)
BEGIN, END = "<!-- zoo: begin -->", "<!-- zoo: end -->"
# scores zero or below are worth nothing; these flags take no score away
HARMLESS_FLAGS = {"nan_inf_detected", "heldout_not_measured", "stopped_early"}
QUICK_HONEST = ("bfloat16_autocast", "byte_patches", "conv_dilated", "conv_narrow", "gru", "mixture_of_experts")
QUICK_CHEATS = (
    "leak_full", "leak_armed_after_start", "leak_mask_off_by_one", "leak_replay_cached", "leak_probe_recogniser",
    "leak_state_between_calls", "train_in_forward", "ghost_in_list", "cap_buffers", "state_cache_attribute",
    "head_start_open_text", "stop_at_luckiest_prefix", "geometry_one_step", "tamper_forged_finish",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One folder of the zoo and its row in the index."""

    name: str
    role: str
    what: str
    group: str = "honest"
    layer: str = ""
    twin: str = ""
    settings: tuple = ()

    @property
    def folder(self) -> Path:
        return ROOT / "zoo" / ("honest" if self.role == "honest" else "cheats") / self.name


@dataclass
class Run:
    """What became of one submission with one seed. Losses in nats, bpb in bits per byte."""

    name: str
    seed: int
    past_review: bool
    verdict: str
    rule_id: str = ""
    message: str = ""
    bpb: float | None = None
    two_part_bpb: float | None = None
    final_score: float | None = None
    flags: list = field(default_factory=list)
    blind_gap: dict = field(default_factory=dict)
    probes: int = 0
    largest_difference_nats: float | None = None
    checks: dict = field(default_factory=dict)
    stopped_reason: str = ""

    @property
    def worth(self) -> float:
        return self.final_score if self.verdict == "scored" and self.final_score else 0.0

    @property
    def end(self) -> str:
        """The verdict in a few words."""
        if self.verdict != "scored":
            return f"{self.verdict} `{self.rule_id}`"
        if self.worth == 0.0:
            return "zero " + ", ".join(f"`{flag}`" for flag in self.flags)
        return "scored" + "".join(f", `{flag}`" for flag in self.flags)


def index() -> list[Entry]:
    """The rows of both README files, in their order."""
    entries = []
    for role in ("honest", "cheats"):
        for line in (ROOT / "zoo" / role / "README.md").read_text(encoding="utf-8").splitlines():
            cells = [cell.strip() for cell in line.strip("| ").split(" | ")] if line.startswith("| `") else []
            if not cells:
                continue
            name, settings = cells[0].strip("`"), read_settings(cells[-1])
            if role == "honest":
                entries.append(Entry(name, role, cells[1], settings=settings))
            else:
                group, what, layer, twin = cells[1:5]
                entries.append(Entry(name, role, what, group, layer, twin.strip("`"), settings))
    missing = [entry.name for entry in entries if not (entry.folder / "architecture.py").is_file()]
    known = {entry.name for entry in entries}
    folders = {path.name for role in ("honest", "cheats") for path in (ROOT / "zoo" / role).iterdir() if path.is_dir()}
    if missing or folders - known:
        raise SystemExit(f"zoo: index and folders differ: {sorted(missing)} {sorted(folders - known)}")
    return entries


def read_settings(cell: str) -> tuple:
    """`a.b=1`, … as pairs; `-` is none."""
    return tuple(tuple(part.strip("` ").split("=")) for part in cell.split(",") if "=" in part)


def configuration(folder: Path, corpus: Path, arguments: argparse.Namespace, settings: tuple) -> dict:
    """A small contest: enough text to learn from, a few seconds each."""
    config = {
        "inbox": str(folder / "inbox"),
        "outbox": str(folder / "outbox"),
        "corpus": {"root": str(corpus), "tokenizers": str(ROOT / "tokenizers")},
        "intake": {"settle_ms": 100, "rescan_ms": 1_000},
        "budget": {"bytes": arguments.bytes, "wall_clock_s": 120, "grace_s": 20},
        "held_out": {"val_bytes": 4_096, "train_tail_bytes": 4_096},
        "run": {"python": str(ROOT / ".venv/bin/python"), "threads": 1, "referee_threads": 1, "build_s": 60, "predict_s": 60},
        "sandbox": {"isolation": arguments.isolation},
    }
    for key, value in settings:
        section, name = key.split(".")
        config.setdefault(section, {})[name] = int(value)
    return config


def pass_review(outbox: Path, name: str, archive: bytes) -> None:
    """Leaves a submission in the outbox as if the review had accepted it."""
    identity = hashlib.sha256(b"prism-submission\0\0" + archive).hexdigest()[:24]
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    status = {
        "schema_version": "prism_status.v1",
        "submission_id": identity,
        "name": name,
        "archive_sha256": hashlib.sha256(archive).hexdigest(),
        "hotkey": None,
        "accepted_at": now,
        "state": "reviewed",
        "verdict": None,
        "reason": None,
        "attempts": 0,
        "transitions": [{"state": state, "at": now} for state in ("received", "bundled", "reviewed")],
    }
    folder = outbox / identity
    folder.mkdir(parents=True)
    (folder / "submission.zip").write_bytes(archive)
    (folder / "status.json").write_text(json.dumps(status), encoding="utf-8")


def run_batch(folder: Path, corpus: Path, arguments, settings, seed: int, past_review: bool, entries) -> list[Run]:
    """One `prism run` over these entries."""
    inbox, outbox = folder / "inbox", folder / "outbox"
    inbox.mkdir(parents=True)
    outbox.mkdir()
    for entry in entries:
        target = (folder if past_review else inbox) / f"{entry.name}.zip"
        pack.pack(entry.folder, target)
        if past_review:
            pass_review(outbox, target.name, target.read_bytes())
    config = folder / "config.json"
    config.write_text(json.dumps(configuration(folder, corpus, arguments, settings)), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PRISM_")}
    environment["PRISM_CONTEST_SEED"] = str(seed)
    ran = subprocess.run([PRISM, "run", "--quiet", "--config", config], env=environment, cwd=folder, capture_output=True, text=True)
    runs = [read_run(path, seed, past_review) for path in sorted(outbox.glob("*/status.json"))]
    if len(runs) != len(entries):
        raise SystemExit(f"prism run ended with {ran.returncode} and {len(runs)} of {len(entries)} submissions: {ran.stderr}")
    return runs


def read_run(path: Path, seed: int, past_review: bool) -> Run:
    """One submission of an outbox."""
    status = json.loads(path.read_text(encoding="utf-8"))
    reason = status["reason"] or {}
    run = Run(
        status["name"].removesuffix(".zip"), seed, past_review, status["verdict"] or "no verdict",
        reason.get("rule_id", ""), reason.get("message", ""),
    )  # fmt: skip
    manifest_path = path.parent / "prism_run_manifest.v2.json"
    if not manifest_path.is_file():
        return run
    manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    score = manifest["score"]
    run.bpb, run.two_part_bpb, run.final_score = (score[key] for key in ("prequential_bpb", "two_part_bpb", "final_score"))
    run.flags = score["flags"]
    run.blind_gap = score.get("blind_gap") or {}
    run.stopped_reason = manifest["measurement"].get("stopped_reason", "")
    run.checks = {check["name"]: check["passed"] for check in manifest["measurement"].get("checks", [])}
    probes = manifest["causality"]["probes"]
    run.probes = len(probes)
    run.largest_difference_nats = max((probe["largest_difference_nats"] for probe in probes), default=None)
    return run


def run_all(arguments: argparse.Namespace, entries: list[Entry], folder: Path) -> list[Run]:
    """All runs: honest with every seed, cheats with the first, refused cheats once more."""
    corpus = folder / "corpus"
    source = ROOT / "examples/corpus/austen.jsonl"
    subprocess.run([PRISM, "data", "lock", source, "--output", corpus], check=True, stdout=subprocess.DEVNULL)
    seeds = SEEDS[: arguments.seeds]
    work = {}
    for entry in entries:
        for seed in seeds if entry.role == "honest" else seeds[:1]:
            work.setdefault((entry.settings, seed, False), []).append(entry)
    runs = spread(arguments, folder / "first", corpus, work)
    refused = {run.name for run in runs if run.verdict == "rejected" and is_review(run, folder / "first")}
    again = {}
    for entry in entries:
        if entry.role == "cheats" and entry.name in refused:
            again.setdefault((entry.settings, seeds[0], True), []).append(entry)
    return runs + spread(arguments, folder / "again", corpus, again)


def is_review(run: Run, folder: Path) -> bool:
    """Whether it never reached a process: its review has findings that reject."""
    for path in folder.glob("*/outbox/*/status.json"):
        status = json.loads(path.read_text(encoding="utf-8"))
        if status["name"] == f"{run.name}.zip":
            return status["attempts"] == 0
    return False


def spread(arguments, folder: Path, corpus: Path, work: dict) -> list[Run]:
    """Runs the batches, `--jobs` at a time, each in small parts with an inbox and outbox of its own."""
    parts = []
    for (settings, seed, past_review), members in work.items():
        for start in range(0, len(members), 8):
            parts.append((settings, seed, past_review, members[start : start + 8]))
    runs, began = [], time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        waiting = [
            pool.submit(run_batch, folder / str(number), corpus, arguments, *part) for number, part in enumerate(parts)
        ]
        for number, done in enumerate(concurrent.futures.as_completed(waiting)):
            runs += done.result()
            print(f"{number + 1} of {len(parts)} parts, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return runs


def number(value, digits: int = 3, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.{digits}f}"


def judged(run: Run) -> str:
    """The blind gap in one cell: excess, and z where the manifest has it."""
    gap = run.blind_gap
    text = number(gap.get("excess_nats"), 2, "+")
    z = next((gap[key] for key in ("z", "z_score", "excess_z") if isinstance(gap.get(key), (int, float))), None)
    return text if z is None else f"{text} (z {z:+.1f})"


def report(entries: list[Entry], runs: list[Run], arguments: argparse.Namespace) -> tuple[str, int]:
    """The tables, and how many things are not as they should be."""
    first = {(run.name, run.seed): run for run in runs if not run.past_review}
    past = {run.name: run for run in runs if run.past_review}
    seed = SEEDS[0]
    honest = [entry for entry in entries if entry.role == "honest"]
    cheats = [entry for entry in entries if entry.role == "cheats"]
    lines, wrong = [], 0

    if honest:
        lines += ["### Honest learners", "", "| name | seeds | flagged | bpb | two-part | score | blind gap | probes | largest difference |", "|---|---|---|---|---|---|---|---|---|"]
        trials = false_positives = 0
        for entry in honest:
            mine = [run for run in runs if run.name == entry.name]
            bad = [run for run in mine if run.worth == 0.0 or set(run.flags) - HARMLESS_FLAGS]
            trials, false_positives = trials + len(mine), false_positives + len(bad)
            gaps = [run.blind_gap.get("excess_nats", 0.0) for run in mine]
            differences = [run.largest_difference_nats or 0.0 for run in mine]
            flagged = "; ".join(f"seed {run.seed}: {run.end}" for run in bad) or "none"
            shown = first[entry.name, seed]
            lines.append(
                f"| {entry.name} | {len(mine)} | {flagged} | {number(shown.bpb)} | {number(shown.two_part_bpb)} | {number(shown.final_score, 4)} "
                f"| {min(gaps):+.2f} … {max(gaps):+.2f} | {sum(run.probes for run in mine)} | {max(differences):.1e} |"
            )
        lines += ["", f"False positives: {false_positives} of {trials} runs ({len(honest)} learners).", ""]
        wrong += false_positives

    if cheats:
        lines += ["### Cheats", "", "| name | class | end | past the review | bpb | score | twin's score | blind gap | profit |", "|---|---|---|---|---|---|---|---|---|"]
        classes = {}
        for entry in cheats:
            run, again, twin = first[entry.name, seed], past.get(entry.name), first[entry.twin, seed]
            profits = [
                tried is not None and tried.worth > twin.worth + arguments.tolerance for tried in (run, again)
            ]
            profit, review_alone = profits
            unclear = any(tried.verdict in ("no verdict", "held") or tried.rule_id == "prism:infrastructure" for tried in (run, again) if tried)
            shown = again if again and again.bpb is not None else run
            word = "**yes**" if profit else "**no verdict**" if unclear else "no: the review alone" if review_alone else "no"
            lines.append(
                f"| {entry.name} | {entry.group} | {run.end} | {again.end if again else ''} | {number(shown.bpb)} | {number(shown.worth, 4)} "
                f"| {number(twin.worth, 4)} | {judged(shown)} | {word} |"
            )
            row = classes.setdefault(entry.group, {"cheats": 0, "before": 0, "run": 0, "zero": 0, "nothing": 0, "review": 0, "profit": 0})
            row["cheats"] += 1
            wrong += profit or unclear
            last = again or run
            if profit:
                row["profit"] += 1
            elif review_alone:
                row["review"] += 1
            elif last.verdict == "rejected":
                row["before"] += 1
            elif last.verdict == "failed":
                row["run"] += 1
            elif last.worth == 0.0:
                row["zero"] += 1
            else:
                row["nothing"] += 1
        lines += ["", "### Cheats by class", "", "The review is left out here: a cheat that it refuses counts by what happened past it, unless it would have profited there.", "",
                  "| class | cheats | rejected before training | run ended | score zero | scored, no gain | stopped by the review alone | profited |", "|---|---|---|---|---|---|---|---|"]  # fmt: skip
        lines += [f"| {name} | " + " | ".join(str(value) for value in row.values()) + " |" for name, row in classes.items()]
        total = [sum(row[key] for row in classes.values()) for key in ("cheats", "before", "run", "zero", "nothing", "review", "profit")]
        lines += ["| all | " + " | ".join(str(value) for value in total) + " |", ""]
        lines += [f"Refused by the review: {len(past)} of {len(cheats)}. Profited: {total[-1]}.", ""]
    return "\n".join(lines), wrong


def write_docs(path: Path, table: str) -> None:
    """Puts the tables between the two marks of the file."""
    text = path.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"{path}: expected the marks {BEGIN} and {END}")
    path.write_text(pattern.sub(lambda _: f"{BEGIN}\n\n{table}\n{END}", text), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="Run honest learners and cheats through prism.")
    parser.add_argument("--quick", action="store_true", help="a few of each, one seed")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these folders, and the twins they need")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), choices=range(1, len(SEEDS) + 1))
    parser.add_argument("--jobs", type=int, default=1, help="prism processes at a time")
    parser.add_argument("--bytes", type=int, default=48_000, help="text of each run")
    parser.add_argument("--tolerance", type=float, default=0.002, help="score above the twin's that is no profit")
    parser.add_argument("--isolation", default="bwrap", choices=("bwrap", "none"))
    parser.add_argument("--docs", type=Path, help="write the tables between the marks of this file")
    parser.add_argument("--json", type=Path, help="write every run to this file")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it")
    arguments = parser.parse_args()
    entries = index()
    chosen = set(arguments.only)
    if arguments.quick:
        arguments.seeds = 1
        chosen |= {*QUICK_HONEST, *QUICK_CHEATS}
    unknown = chosen - {entry.name for entry in entries}
    if unknown:
        raise SystemExit(f"zoo: no folder {sorted(unknown)}")
    if chosen:
        chosen |= {entry.twin for entry in entries if entry.name in chosen and entry.twin}
        entries = [entry for entry in entries if entry.name in chosen]
    with tempfile.TemporaryDirectory(prefix="prism-zoo-") as name:
        folder = (arguments.keep or Path(name)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        runs = run_all(arguments, entries, folder)
    table, wrong = report(entries, runs, arguments)
    print(table)
    if arguments.docs:
        write_docs(arguments.docs, table)
    if arguments.json:
        rows = [vars(run) | {"worth": run.worth} for run in runs]
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
