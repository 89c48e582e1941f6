#!/usr/bin/env python3
"""Run the zoo: honest learners and cheats, all through `prism run`, and say who was stopped by what.

    .venv/bin/python scripts/zoo.py                      everything; honest learners with five seeds
    .venv/bin/python scripts/zoo.py --quick              a few of each
    .venv/bin/python scripts/zoo.py --only leak_full gru
    .venv/bin/python scripts/zoo.py --resume --jobs 2 --docs docs/detection.md --json zoo.json

zoo/honest/README.md and zoo/cheats/README.md are the index: one table row for each folder, with the end that is expected
(scripts/zoo_index.py). A cheat that the review refuses is run a second time as if the review had let it pass, so that what
stands behind the review is tried too. A cheat has profited if it has a score and that is higher than its honest twin's by
more than --tolerance. One that would have profited past the review only is told apart.

Every result is kept (--results) as soon as it is there; --resume takes those whose sources, settings and executables are
still the same. Prints tables in Markdown. Exit code 1 if an honest learner was not scored or was flagged, or a cheat did not
end as its row says.
"""

import argparse
import collections
import concurrent.futures
import datetime
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from zoo_index import ROOT, Entry, index, others
from zoo_runs import Contest, Kept, Run, run
from zoo_tables import Judged, cheat_tables, honest_tables, open_holes

SEEDS = (1337, 1, 2, 3, 4)
BEGIN, END = "<!-- zoo: begin -->", "<!-- zoo: end -->"
QUICK_HONEST = ("bfloat16_autocast", "byte_patches", "conv_dilated", "conv_narrow", "gru", "mixture_of_experts")
QUICK_CHEATS = (
    "leak_full", "leak_armed_after_start", "leak_mask_off_by_one", "leak_replay_cached", "leak_probe_recogniser",
    "leak_state_between_calls", "train_in_forward", "ghost_in_list", "cap_buffers", "state_cache_attribute",
    "head_start_open_text", "stop_at_luckiest_prefix", "geometry_one_step", "tamper_forged_finish",
)  # fmt: skip


def cases(entries: list[Entry], seeds: tuple) -> list[tuple[Entry, int]]:
    """The work in its order: what the cheats are compared with, the cheats, then the other seeds of the learners."""
    honest = [entry for entry in entries if entry.role == "honest"]
    cheats = [entry for entry in entries if entry.role == "cheats"]
    first = [(entry, seeds[0]) for entry in honest + cheats]
    return first + [(entry, seed) for seed in seeds[1:] for entry in honest]


def run_all(arguments: argparse.Namespace, contest: Contest, kept: Kept, entries: list[Entry], folder: Path) -> list[Run]:
    """All runs: honest with every seed, cheats with the first, refused cheats once more."""
    work = cases(entries, SEEDS[: arguments.seeds])
    began = time.monotonic()

    def one(entry: Entry, seed: int, past_review: bool) -> Run | None:
        found = None
        if arguments.resume or arguments.resume_older or arguments.no_runs:
            found = kept.find(entry, seed, past_review, any_code=arguments.resume_older)
        if found is None and not arguments.no_runs:
            place = folder / f"{entry.name}.{seed}{'.past_review' if past_review else ''}"
            found = run(place, contest, entry, seed, past_review)
            kept.keep(entry, found)
            if not arguments.keep:
                shutil.rmtree(place, ignore_errors=True)
        return found

    def case(entry: Entry, seed: int) -> list[Run]:
        runs = [one(entry, seed, False)]
        if entry.role == "cheats" and runs[0] is not None and runs[0].is_refused:
            runs.append(one(entry, seed, True))
        return [found for found in runs if found is not None]

    runs = []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        waiting = {pool.submit(case, *item): item for item in work}
        for number, done in enumerate(concurrent.futures.as_completed(waiting), start=1):
            runs += done.result()
            if not arguments.no_runs:
                entry, seed = waiting[done]
                ends = "; ".join(found.end for found in done.result())
                told = f"{number} of {len(work)}, {time.monotonic() - began:.0f} s: {entry.name}, seed {seed}: {ends}"
                print(told, file=sys.stderr, flush=True)
    return runs


def report(arguments: argparse.Namespace, entries: list[Entry], runs: list[Run]) -> tuple[str, int]:
    """The tables, and how many things are not as they should be."""
    seeds = SEEDS[: arguments.seeds]
    first = {(found.name, found.seed): found for found in runs if not found.past_review}
    past = {found.name: found for found in runs if found.past_review}
    honest = [entry for entry in entries if entry.role == "honest"]
    cheats = [entry for entry in entries if entry.role == "cheats"]
    judged, missing = [], []
    for entry in cheats:
        ran, twin, again = first.get((entry.name, seeds[0])), first.get((entry.twin, seeds[0])), past.get(entry.name)
        if ran is None or (entry.twin and twin is None) or (ran.is_refused and again is None):
            missing.append(entry.name)
        else:
            judged.append(Judged(entry, ran, again, twin, arguments.tolerance))
    lines, wrong = [conditions(arguments, runs), ""], 0
    if honest:
        more, bad = honest_tables(honest, [found for found in runs if not found.past_review], seeds)
        lines, wrong = lines + more, wrong + bad
    if cheats:
        more, bad = cheat_tables(judged, missing)
        lines, wrong = lines + more + open_holes(judged), wrong + bad
    return "\n".join(lines), wrong


def conditions(arguments: argparse.Namespace, runs: list[Run]) -> str:
    """When, on what and with which code."""
    today = datetime.datetime.now(datetime.UTC).date()
    minutes = sum(found.seconds for found in runs) / 60
    codes = counted(f"`{found.key['executables']['prism-referee'][:12]}`" for found in runs)
    secrets = counted("one of its own" if found.key["secret"] is None else str(found.key["secret"]) for found in runs)
    return (
        f"Tables of {today}: {len(runs)} runs of {arguments.bytes:,} bytes, {minutes:.0f} minutes in all, isolation "
        f"{arguments.isolation}. sha256 of `prism-referee`: {codes}. Probe secret: {secrets}."
    )


def counted(words) -> str:
    """`a` (3 runs), `b` (1 run)"""
    counts = collections.Counter(words)
    return ", ".join(f"{word} ({count} runs)" for word, count in counts.most_common())


def write_docs(path: Path, text: str) -> None:
    """Puts the tables between the two marks of the file."""
    old = path.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
    if not pattern.search(old):
        raise SystemExit(f"{path}: expected the marks {BEGIN} and {END}")
    path.write_text(pattern.sub(lambda _: f"{BEGIN}\n\n{text}\n{END}", old), encoding="utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run honest learners and cheats through prism.")
    parser.add_argument("--quick", action="store_true", help="a few of each, one seed")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these folders, and the twins they need")
    parser.add_argument("--role", choices=("honest", "cheats"), help="one half of the zoo, and the twins it needs")
    parser.add_argument("--also", type=Path, metavar="DIR", help="every submission below this folder, too; not among the zoo's own tests")
    parser.add_argument("--also-twin", default="conv_dilated", metavar="NAME", help="honest twin of the cheats of --also")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), choices=range(1, len(SEEDS) + 1))
    parser.add_argument("--jobs", type=int, default=1, help="prism processes at a time")
    parser.add_argument("--bytes", type=int, default=48_000, help="text of each run")
    parser.add_argument("--tolerance", type=float, default=0.002, help="score above the twin's that is no profit")
    parser.add_argument("--isolation", default="bwrap", choices=("bwrap", "none"))
    parser.add_argument("--secret", type=int, default=7, metavar="0…255", help="which steps are probed, and how, follows from it; -1 draws one per run")
    parser.add_argument("--prism", type=Path, default=ROOT / "target/debug/prism", help="executable; prism-referee lies beside it")
    parser.add_argument("--results", type=Path, default=ROOT / "target/zoo", help="where results are kept")
    parser.add_argument("--resume", action="store_true", help="take kept results of the same sources, settings and executables")
    parser.add_argument("--resume-older", action="store_true", help="the same, whatever the executables and the secret were")
    parser.add_argument("--no-runs", action="store_true", help="tables of what is kept; the rest is named as not run")
    parser.add_argument("--docs", type=Path, help="write the tables between the marks of this file")
    parser.add_argument("--json", type=Path, help="write every run to this file")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds = 1
    return arguments


def chosen(arguments: argparse.Namespace) -> list[Entry]:
    """What to run: the whole zoo, or what was named and the twins that it needs."""
    entries = index()
    names = {*arguments.only, *((*QUICK_HONEST, *QUICK_CHEATS) if arguments.quick else ())}
    unknown = names - {entry.name for entry in entries}
    if unknown:
        raise SystemExit(f"zoo: no folder {sorted(unknown)}")
    if arguments.role:
        half = {entry.name for entry in entries if entry.role == arguments.role}
        names = names & half if names else half
    more = others(arguments.also, arguments.also_twin) if arguments.also else []
    if names or more:
        wanted = [entry for entry in entries if entry.name in names] + more
        twins = {entry.twin for entry in wanted}
        entries = [entry for entry in entries if entry.name in names | twins] + more
    return entries


def main() -> int:
    arguments = parse()
    entries = chosen(arguments)
    with tempfile.TemporaryDirectory(prefix="prism-zoo-") as name:
        folder = (arguments.keep or Path(name)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        corpus = folder / "corpus"
        prism = arguments.prism.resolve()
        if not corpus.exists():
            lock = [prism, "data", "lock", ROOT / "examples/corpus/austen.jsonl", "--output", corpus]
            subprocess.run(lock, check=True, stdout=subprocess.DEVNULL)
        secret = arguments.secret if arguments.secret >= 0 else None
        contest = Contest(prism, corpus, arguments.bytes, arguments.isolation, secret)
        runs = run_all(arguments, contest, Kept(arguments.results, contest), entries, folder)
    text, wrong = report(arguments, entries, runs)
    print(text)
    if arguments.docs:
        write_docs(arguments.docs, text)
    if arguments.json:
        rows = [vars(found) | {"worth": found.worth, "end": found.end} for found in runs]
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
