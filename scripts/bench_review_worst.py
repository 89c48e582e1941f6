"""CPU time and memory of the review on the worst files that we know, each at the size limit.

    python scripts/bench_review_worst.py [--prism FILE] [--bytes N]

One process for each file, with its start-up; the first line is a file of nothing. The limits are
250 ms and 256 MiB above that.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT_MS = 250
LIMIT_MIB = 256
REPEATS = 3


def shapes(size: int) -> dict[str, str]:
    """Sources of about `size` bytes."""

    def fill(part: str, head: str = "", tail: str = "") -> str:
        return head + part * ((size - len(head) - len(tail)) // len(part)) + tail

    def lines(make: object, start: str = "") -> str:
        text, index = [start], 0
        length = len(start)
        while length < size - 60:
            line = make(index)  # type: ignore[operator]
            text.append(line)
            length += len(line)
            index += 1
        return "".join(text)

    tangle = 8_000
    return {
        "nothing": "\n",
        "ordinary lines": fill("x = x * 1.0 + y.z(1)\n"),
        "comments": fill("#\n"),
        "numbers in other bases": fill("f(0x1)\n"),
        "a name beyond ASCII at the end": fill("x = x * 1.0 + y.z(1)\n", tail="é = 1\n"),
        "f-strings before an error": fill("f'{a}'\n", tail="x = =\n"),
        "brackets": fill("(", "x = "),
        "attribute chains": fill(f"x = a{'.a' * 900}\n"),
        "library chains": fill(f"x = torch{'.a' * 900}\n", "import torch\n"),
        "call chains": fill(f"x = a{'()' * 900}\n"),
        "alias ladder": lines(lambda n: f"a{n + 1} = a{n}\n"),
        "alias ladder, last first": lines(lambda n: f"a{n} = a{n + 1}\n"),
        "alias diamonds": lines(lambda n: f"a{n + 1} = a{n}\na{n + 1} = a{n}.b\n"),
        "alias ring": lines(lambda n: f"a{(n + 1) % 4000} = a{n % 4000}\n"),
        "alias tangle": lines(
            lambda n: f"a{n % tangle} = a{(n * 7 + 1) % tangle}\na{n % tangle} = a{(n * 13 + 5) % tangle}.b\n"
        ),
        "rebound to itself": fill("x.b\n", "x = x.a\n" * 900),
        "references and values": lines(lambda n: f"x = a.b{n}\nx = 1\n"),
        "lambdas": fill("lambda a,b:", "x = ", "1\n"),
        "names under lambdas": fill("q,", "x = " + "lambda a,b:" * 250 + "[", "]\n"),
        "findings": fill("open(eval)\n"),
        "nested findings": fill("x = " + "getattr(" * 190 + ",n)" * 190 + "\n"),
        "names that are not defined": fill("x = undefined_name\n"),
        "big text": fill("a", "x = '", "'\n"),
        "texts": fill("'a' ", "x = (", ")\n"),
        "table": fill("1,", "x = [", "]\n"),
        "tables in tables": fill("[[[[1,2],[3,4]]]],", "x = [", "]\n"),
        "f-strings": fill("f'{a!r:>{b}}' ", "x = (", ")\n"),
        "nested f-string": fill("{a:", "x = f'", "'\n"),
        "digits": fill("9" * 4_000 + "+", "x = ", "1\n"),
        "classes": lines(lambda n: f"class A{n}(B{n}):\n x = y\n"),
        "functions": lines(lambda n: f"def f{n}(a, b=1, *c, d: int = 2, **e) -> f{n}: pass\n"),
        "imports": fill("import torch\n"),
        "imports of members": fill("from torch import nn\n"),
        "match": fill(" case [1, {2: x}, A(b=y)] | None: pass\n", "match z:\n"),
        "calls of build_model": fill("def build_model(ctx): return build_model(ctx)\n"),
    }


def measure(prism: Path, source: Path) -> tuple[float, float]:
    """Milliseconds of CPU (best of some) and MiB of one review."""
    best_ms, mib = float("inf"), 0.0
    for _ in range(REPEATS):
        process = subprocess.Popen(
            [prism, "review", "--source", source],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        took = (usage.ru_utime + usage.ru_stime) * 1e3
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1):
            sys.exit(f"{source.name}: prism ended with {process.returncode}")
        best_ms = min(best_ms, took)
        mib = max(mib, usage.ru_maxrss / 1024)
    return best_ms, mib


def main() -> None:
    """Prints a line for each shape; exits with 1 if one is over a limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prism", type=Path, default=ROOT / "target" / "debug" / "prism")
    parser.add_argument("--bytes", type=int, default=200_000)
    options = parser.parse_args()
    over = []
    base_ms = base_mib = 0.0
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "case.py"
        for name, text in shapes(options.bytes).items():
            source.write_text(text)
            took_ms, mib = measure(options.prism, source)
            if name == "nothing":
                base_ms, base_mib = took_ms, mib
            took_ms, mib = took_ms - base_ms, mib - base_mib
            if took_ms > LIMIT_MS or mib > LIMIT_MIB:
                over.append(name)
            print(f"{took_ms:8.1f} ms {mib:7.1f} MiB {len(text):8} bytes  {name}", flush=True)
    print(f"start-up: {base_ms:.1f} ms, {base_mib:.1f} MiB; over a limit: {over or 'none'}")
    sys.exit(int(bool(over)))


if __name__ == "__main__":
    main()
