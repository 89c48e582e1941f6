#!/usr/bin/env python3
"""What the referee costs: a refereed run against the same loop run bare in Python, in pairs.

    ./prism-dev bench-referee [--rounds 3] [--vocab 257,4096,50257] [--size 1m,5m] [--docs docs/cost.md]

Both sides run examples/tiny-1m, with the vocabulary and the width of a case, on the same text in the same geometry with
the same number of threads; the bare side computes the loss in process. Compared is the stream: from the first
prediction to the last training step, all audits on. Beside it stands the same submission written for one forward
(`batch.logits(model)`), against the same bare loop of two. Start-up (sandbox, torchrun, twin, held-out) is left out: it
does not grow with the text. Times are the machine's: run it on one that does nothing else.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRISM = ROOT / "target/debug/prism"
EXAMPLE = ROOT / "examples/tiny-1m"
LIMIT = 1.15
# vocabulary -> tokenizer, bytes of text; 257 (bytes and end of text) is the smallest that a contest may have
VOCABULARIES = {257: ("bytes", 98_304), 4_096: ("prism-4096", 262_144), 50_257: ("gpt2", 131_072)}
# name -> width, layers
SIZES = {"1m": (128, 3), "5m": (256, 6)}
MARKS = ("<!-- bench-referee: begin -->", "<!-- bench-referee: end -->")


def variant(folder: Path, vocab: int, size: str, single_forward: bool) -> Path:
    """examples/tiny-1m with another tokenizer, width and depth; the folder that holds it."""
    width, layers = SIZES[size]
    tokenizer = VOCABULARIES[vocab][0]
    changes = {
        "architecture.py": [("WIDTH = 128", f"WIDTH = {width}"), ("LAYERS = 3", f"LAYERS = {layers}")],
        "training.py": [('tokenizer="prism-4096"', f'tokenizer="{tokenizer}"')],
    }
    if single_forward:
        changes["training.py"] += [
            ("targets: torch.Tensor) -> float:", "targets: torch.Tensor, logits=None) -> float:"),
            (
                "loss = F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())",
                "logits = model(tokens) if logits is None else logits\n"
                "    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())",
            ),
            (
                "loss = step_on(trained, optimizer, batch.tokens, batch.targets)",
                "loss = step_on(trained, optimizer, batch.tokens, batch.targets, batch.logits(model))",
            ),
            (f'tokenizer="{tokenizer}"', f'tokenizer="{tokenizer}", single_forward=True'),
        ]
    target = folder / f"{vocab}-{size}-{'one' if single_forward else 'two'}"
    target.mkdir()
    for name, pairs in changes.items():
        text = (EXAMPLE / name).read_text(encoding="utf-8")
        for old, new in pairs:
            if text.count(old) != 1:
                raise SystemExit(f"{EXAMPLE / name}: {old!r} stands there {text.count(old)} times, expected once")
            text = text.replace(old, new)
        (target / name).write_text(text, encoding="utf-8")
    return target


def bare(arguments: argparse.Namespace, submission: Path, vocab: int) -> float:
    """Seconds a step of one bare run."""
    command = [sys.executable, ROOT / "scripts/bare_loop.py", submission, "--vocab-size", str(vocab)]
    command += ["--bytes", str(text_bytes(arguments, vocab)), "--threads", str(arguments.threads)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    ran = json.loads(answer.splitlines()[-1])
    # it leaves out end-of-text tokens and the last, partial step: compared is a step
    return ran["seconds_stream"] / ran["steps"]


def refereed(arguments: argparse.Namespace, folder: Path, submission: Path, vocab: int, round_: int) -> dict:
    """One run through the whole pipeline, from a fresh outbox."""
    root = folder / f"{submission.name}-{round_}"
    (root / "inbox").mkdir(parents=True)
    pack = [sys.executable, ROOT / "scripts/pack.py", submission, root / "inbox/submission.zip"]
    subprocess.run(pack, check=True, stdout=subprocess.DEVNULL)
    environment = os.environ | {
        "PRISM_INBOX": str(root / "inbox"),
        "PRISM_OUTBOX": str(root / "outbox"),
        "PRISM_CORPUS_ROOT": str(folder / "corpus"),
        "PRISM_CORPUS_TOKENIZERS": str(ROOT / "tokenizers"),
        "PRISM_CONTEST_VOCAB_SIZE": str(vocab),
        "PRISM_BUDGET_BYTES": str(text_bytes(arguments, vocab)),
        "PRISM_HELD_OUT_VAL_BYTES": "4000",
        "PRISM_HELD_OUT_TRAIN_TAIL_BYTES": "4000",
        "PRISM_RUN_THREADS": str(arguments.threads),
        "PRISM_RUN_REFEREE_THREADS": str(arguments.threads),
        "PRISM_AUDIT_TRANSPORT": arguments.transport,
        "PRISM_INTAKE_SETTLE_MS": "0",
        "PRISM_SANDBOX_ISOLATION": arguments.isolation,
    }
    subprocess.run([PRISM, "run", "--quiet"], check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    [manifest] = (root / "outbox").glob("*/prism_run_manifest.v2.json")
    manifest = json.loads(manifest.read_text(encoding="utf-8"))
    seconds, steps = manifest["referee"]["seconds"], manifest["metrics"]["consumed_batches"]
    return {
        "step": seconds["stream"] / steps,
        "referee": seconds["referee"] / steps,
        "steps": steps,
        "probes": len(manifest["causality"]["probes"]),
        "transport": manifest["referee"]["transport"],
        "bpb": manifest["metrics"]["prequential_bpb"],
    }


def text_bytes(arguments: argparse.Namespace, vocab: int) -> int:
    return arguments.bytes or VOCABULARIES[vocab][1]


def case(arguments: argparse.Namespace, folder: Path, vocab: int, size: str) -> list[str]:
    """The cells of one row of the table."""
    two, one = (variant(folder, vocab, size, single) for single in (False, True))
    ratios, singles, shares = [], [], []
    for round_ in range(arguments.rounds):
        ours = refereed(arguments, folder, two, vocab, round_)
        single = refereed(arguments, folder, one, vocab, round_)
        theirs = bare(arguments, two, vocab)
        ratios.append(ours["step"] / theirs)
        singles.append(single["step"] / theirs)
        shares.append(ours["referee"] / ours["step"])
        print(
            f"vocabulary {vocab}, {size}, round {round_ + 1}: a step {1e3 * theirs:.1f} ms bare, {1e3 * ours['step']:.1f} ms "
            f"refereed ({ours['steps']} steps, {ours['probes']} probes, {ours['transport']['audited']} of "
            f"{ours['transport']['batches']} batches in full, {ours['bpb']:.4f} bpb), {1e3 * single['step']:.1f} ms with one "
            f"forward ({single['bpb']:.4f} bpb); ratios {ratios[-1]:.3f} and {singles[-1]:.3f}",
            flush=True,
        )
    mode = ours["transport"]["mode"]
    median = statistics.median(ratios)
    return [
        f"{vocab:,}", size, mode, f"{1e3 * theirs:.0f} ms",
        f"{median:.3f} ({min(ratios):.3f} to {max(ratios):.3f})", "yes" if median <= LIMIT else "no",
        f"{100 * statistics.median(shares):.1f} %", f"{statistics.median(singles):.3f}",
    ]  # fmt: skip


def table(rows: list[list[str]]) -> str:
    head = [
        "vocabulary", "size", "transport", "bare step", "refereed / bare: median (range)", f"at most {LIMIT}",
        "losses and records", "one forward / bare",
    ]  # fmt: skip
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def write_into(path: Path, text: str) -> None:
    """Puts the table between its marks."""
    page = path.read_text(encoding="utf-8")
    before, rest = page.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    path.write_text(f"{before}{MARKS[0]}\n{text}{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Refereed runs against bare loops, in pairs.")
    parser.add_argument("--vocab", default=",".join(map(str, VOCABULARIES)), help="some of 257,4096,50257")
    parser.add_argument("--size", default=",".join(SIZES), help="some of 1m,5m")
    parser.add_argument("--bytes", type=int, help="text of each run; by default as much as suits the vocabulary")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--transport", default="auto", help="audit.transport: auto, full or committed")
    parser.add_argument("--isolation", default="bwrap")
    parser.add_argument("--docs", type=Path, help="file to write the table into, between its marks")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="prism-bench-") as name:
        folder = Path(name)
        lock = [PRISM, "data", "lock", ROOT / "examples/corpus/austen.jsonl", "--output", folder / "corpus"]
        subprocess.run(lock, check=True, stdout=subprocess.DEVNULL)
        for vocab in map(int, arguments.vocab.split(",")):
            for size in arguments.size.split(","):
                rows.append(case(arguments, folder, vocab, size))
    print(table(rows), end="")
    if arguments.docs:
        write_into(arguments.docs, table(rows))


if __name__ == "__main__":
    main()
