#!/usr/bin/env python3
"""What the referee costs: a refereed run against the same loop run bare in Python, in pairs.

    ./prism-dev bench-referee [--rounds 5] [--bytes 393216] [--submission examples/tiny-1m]

Both sides run the same submission on the same text in the same geometry with the same number of threads; the bare side
computes the loss in process. Compared is the stream: from the first prediction to the last training step, all audits on.
Start-up (sandbox, torchrun, twin, held-out) is told beside it: it does not grow with the text.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRISM = Path(os.environ.get("BENCH_PRISM", ROOT / "target/debug/prism"))


def bare(arguments: argparse.Namespace) -> dict:
    """One bare run."""
    command = [sys.executable, ROOT / "scripts/bare_loop.py", arguments.submission]
    command += ["--bytes", str(arguments.bytes), "--threads", str(arguments.threads)]
    began = time.perf_counter()
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(answer.splitlines()[-1]) | {"wall": time.perf_counter() - began}


def refereed(arguments: argparse.Namespace, folder: Path, round_: int) -> dict:
    """One run through the whole pipeline, from a fresh outbox."""
    environment = os.environ | {
        "PRISM_INBOX": str(folder / "inbox"),
        "PRISM_OUTBOX": str(folder / f"outbox-{round_}"),
        "PRISM_CORPUS_ROOT": str(folder / "corpus"),
        "PRISM_CORPUS_TOKENIZERS": str(ROOT / "tokenizers"),
        "PRISM_BUDGET_BYTES": str(arguments.bytes),
        "PRISM_HELD_OUT_VAL_BYTES": "20000",
        "PRISM_RUN_THREADS": str(arguments.threads),
        "PRISM_RUN_REFEREE_THREADS": str(arguments.threads),
        "PRISM_INTAKE_SETTLE_MS": "0",
        "PRISM_SANDBOX_ISOLATION": arguments.isolation,
    }
    began = time.perf_counter()
    subprocess.run([PRISM, "run", "--quiet"], check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - began
    [manifest] = (folder / f"outbox-{round_}").glob("*/prism_run_manifest.v2.json")
    manifest = json.loads(manifest.read_text(encoding="utf-8"))
    seconds = manifest["referee"]["seconds"]
    return {
        "stream": seconds["stream"],
        "referee": seconds["referee"],
        "wall": wall,
        "steps": manifest["metrics"]["consumed_batches"],
        "probes": len(manifest["causality"]["probes"]),
        "bpb": manifest["metrics"]["prequential_bpb"],
    }


def spread(values: list[float]) -> str:
    return f"min {min(values):.3f}  median {statistics.median(values):.3f}  max {max(values):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Refereed run against bare loop, in pairs.")
    parser.add_argument("--submission", type=Path, default=ROOT / "examples/tiny-1m")
    parser.add_argument("--bytes", type=int, default=393_216)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--isolation", default="bwrap")
    arguments = parser.parse_args()
    ratios, shares = [], []
    with tempfile.TemporaryDirectory(prefix="prism-bench-") as name:
        folder = Path(name)
        (folder / "inbox").mkdir()
        pack = [sys.executable, ROOT / "scripts/pack.py", arguments.submission, folder / "inbox/submission.zip"]
        subprocess.run(pack, check=True, stdout=subprocess.DEVNULL)
        corpus = ROOT / "examples/corpus/austen.jsonl"
        lock = [PRISM, "data", "lock", corpus, "--output", folder / "corpus"]
        subprocess.run(lock, check=True, stdout=subprocess.DEVNULL)
        for round_ in range(arguments.rounds):
            a, b = refereed(arguments, folder, round_), bare(arguments)
            # The bare side leaves out end-of-text tokens and the last, partial step: compared is a step.
            ratios.append(a["stream"] / a["steps"] / (b["seconds_stream"] / b["steps"]))
            shares.append(a["referee"] / a["stream"])
            print(
                f"round {round_ + 1}: refereed {a['stream']:.2f} s ({a['steps']} steps, {a['probes']} probes, "
                f"{a['bpb']:.4f} bpb), bare {b['seconds_stream']:.2f} s ({b['steps']} steps, {b['bpb']:.4f} bpb), "
                f"ratio {ratios[-1]:.3f}; whole process {a['wall']:.1f} s against {b['wall']:.1f} s",
                flush=True,
            )
    print(f"ratio a step, refereed / bare   {spread(ratios)}")
    print(f"losses and records      {spread(shares)} of the refereed stream")


if __name__ == "__main__":
    main()
