#!/usr/bin/env python3
"""Tokens per second and core: prism against the Python packages tokenizers and tiktoken, on the same text.

    just bench-tokenizers [--megabytes 20] [--rounds 5]

Everything runs with one thread, in turns, and the best of the rounds counts. The text is the demo corpus, repeated
with a number before each paragraph so that no repetition is exact. prism's time includes what the packages do not do:
comparing every document with the bytes of its ids. Exit status 1 if prism is slower than any package on any
tokenizer, or if ids differ in number.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ |= {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

import tiktoken
import tokenizers
from make_gpt2_fixture import encoding as tiktoken_gpt2

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("prism-4096", "gpt2")


def texts_of(megabytes: float) -> list[str]:
    """Documents of the demo corpus until there are enough bytes, each paragraph numbered."""
    lines = (ROOT / "examples/corpus/austen.jsonl").read_text(encoding="utf-8").splitlines()
    originals = [json.loads(line)["text"] for line in lines]
    texts: list[str] = []
    total = number = 0
    while total < megabytes * 1e6:
        paragraphs = []
        for paragraph in originals[len(texts) % len(originals)].split("\n\n"):
            number += 1
            paragraphs.append(f"{number}. {paragraph}")
        texts.append("\n\n".join(paragraphs))
        total += len(texts[-1].encode("utf-8"))
    return texts


def prism(file: Path, name: str) -> Callable[[], tuple[float, int]]:
    """One round by `prism data tokenizers`: seconds of encoding, tokens."""
    command = [ROOT / "target/debug/prism", "data", "tokenizers", "--format", "json"]
    command += ["--threads", "1", "--name", name, "--text", file]

    def round_() -> tuple[float, int]:
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout
        (row,) = json.loads(printed)
        return row["text"]["seconds"], row["text"]["tokens"]

    return round_


def package(encode: Callable[[list[str]], int], texts: list[str]) -> Callable[[], tuple[float, int]]:
    """One round by a package."""

    def round_() -> tuple[float, int]:
        begun = time.perf_counter()
        tokens = encode(texts)
        return time.perf_counter() - begun, tokens

    return round_


def contenders(name: str, file: Path, texts: list[str]) -> dict[str, Callable[[], tuple[float, int]]]:
    library = tokenizers.Tokenizer.from_file(str(ROOT / f"tokenizers/{name}.json"))

    def by_library(texts: list[str]) -> int:
        return sum(len(encoded.ids) for encoded in library.encode_batch_fast(texts, add_special_tokens=False))

    rounds = {"prism": prism(file, name), "tokenizers": package(by_library, texts)}
    if name == "gpt2":
        gpt2 = tiktoken_gpt2()
        rounds["tiktoken"] = package(lambda texts: sum(len(gpt2.encode_ordinary(text)) for text in texts), texts)
    return rounds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    texts = texts_of(arguments.megabytes)
    total = sum(len(text.encode("utf-8")) for text in texts)
    print(f"{len(texts)} documents, {total} bytes; tokenizers {tokenizers.__version__}, tiktoken {tiktoken.__version__}; "
          f"best of {arguments.rounds} rounds, one thread each")
    failed = False
    with tempfile.TemporaryDirectory(prefix="prism-bench-") as folder:
        file = Path(folder) / "text.jsonl"
        with file.open("w", encoding="utf-8") as out:
            for index, text in enumerate(texts):
                out.write(json.dumps({"id": str(index), "text": text}, ensure_ascii=False) + "\n")
        for name in NAMES:
            rounds = contenders(name, file, texts)
            best: dict[str, tuple[float, int]] = {}
            for _ in range(arguments.rounds):
                for who, round_ in rounds.items():
                    best[who] = min(best.get(who, (float("inf"), 0)), round_())
            ours = best["prism"]
            for who, (seconds, tokens) in best.items():
                ratio = seconds / ours[0]
                print(f"{name:<12} {who:<12} {tokens / seconds:>12,.0f} tokens/s {total / seconds / 1e6:>8.1f} MB/s  "
                      f"prism is {ratio:.2f} times as fast")
                failed |= ratio < 1 or tokens != ours[1]
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
