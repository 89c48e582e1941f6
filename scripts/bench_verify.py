#!/usr/bin/env python3
"""`prism data verify` against the time that sha256 alone needs for the same bytes on the same cores.

    just bench-verify [--megabytes 500] [--large-shards] [--pairs 5]

Makes a corpus of text in a temporary folder, then takes turns, all in this one run and from the page cache: verify;
Python's hashlib (OpenSSL) in one thread per core; and sha256sum by xargs -P. Both only read and hash.
The ratio is verify to the faster of the two, each with its median. --large-shards makes one shard of a split
(what cannot be spread over cores: a sha256 runs through a file from its beginning to its end).
"""

import argparse
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WORDS_PER_DOCUMENT = 800


def write_source(path: Path, megabytes: int) -> None:
    """Documents of about 5 KB, words with line breaks, quotes and non-ASCII letters among them."""
    generator = random.Random(1)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    vocabulary = ["".join(generator.choices(letters, k=generator.randint(1, 10))) for _ in range(20_000)]
    vocabulary += ["“quoted”", '"plain"', "naïve", "漢字", "end.\n", "\n\n"] * 20
    left = megabytes * 1_000_000
    number = 0
    with path.open("w", encoding="utf-8") as file:
        while left > 0:
            text = " ".join(generator.choices(vocabulary, k=WORDS_PER_DOCUMENT))
            line = json.dumps({"id": f"<urn:uuid:{number:032x}>", "text": text}, ensure_ascii=False)
            left -= file.write(line + "\n")
            number += 1


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seconds(work) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--large-shards", action="store_true")
    parser.add_argument("--prism", default="target/debug/prism")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="prism-bench-verify-") as folder:
        source, corpus = Path(folder, "source.jsonl"), Path(folder, "corpus")
        write_source(source, arguments.megabytes)
        lock = [arguments.prism, "data", "lock", source, "--output", corpus, "--quiet"]
        if arguments.large_shards:
            lock += ["--docs-per-shard", "1000000000"]
        lock_s = seconds(lambda: subprocess.run(lock, check=True, stdout=subprocess.DEVNULL))
        source_bytes = source.stat().st_size
        source.unlink()
        print(f"lock    {source_bytes / 1e6:.0f} MB in {lock_s:.1f} s, {source_bytes / lock_s / 1e6:.0f} MB/s")
        shards = sorted(corpus.glob("*/*.jsonl"), key=lambda path: -path.stat().st_size)
        total = sum(path.stat().st_size for path in shards)
        verify = [arguments.prism, "data", "verify", corpus, "--quiet"]
        names = "\0".join(map(str, shards)).encode()
        sums = ["xargs", "-0", "-n", "8", "-P", str(cores), "sha256sum"]
        ways = {
            "verify": lambda: subprocess.run(verify, check=True, stdout=subprocess.DEVNULL),
            "hashlib": lambda: list(ThreadPoolExecutor(cores).map(digest, shards)),
            "sha256sum": lambda: subprocess.run(sums, input=names, check=True, stdout=subprocess.DEVNULL),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for work in ways.values():
            work()
        for _ in range(arguments.pairs):
            for name, work in ways.items():
                taken[name].append(seconds(work))
        median = {name: statistics.median(times) for name, times in taken.items()}
        print(f"{len(shards)} shards, {total / 1e6:.0f} MB, {cores} cores, median of {arguments.pairs}")
        for name, median_s in median.items():
            spread = f"{min(taken[name]):.3f} to {max(taken[name]):.3f}"
            print(f"{name:<10} {median_s:.3f} s ({spread}), {total / median_s / 1e6:.0f} MB/s")
        bound = min(median["hashlib"], median["sha256sum"])
        print(f"ratio      {median['verify'] / bound:.2f} (verify to the faster of the others)")


if __name__ == "__main__":
    sys.exit(main())
