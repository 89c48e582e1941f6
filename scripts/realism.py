"""How the reviewer takes honest code: findings per rule in torch's own sources, and examples.

    python scripts/realism.py [--prism FILE] [--examples N] [FOLDER...]

Without folders: torch's nn/modules and optim. torch's own files are not submissions; they use the
internals that the review refuses, and docs/review_realism.md says of each rule whether it is right.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import sysconfig
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Reviews and counts."""
    torch = Path(sysconfig.get_path("purelib")) / "torch"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, default=[torch / "nn/modules", torch / "optim"])
    parser.add_argument("--prism", type=Path, default=ROOT / "target" / "debug" / "prism")
    parser.add_argument("--examples", type=int, default=3)
    options = parser.parse_args()
    for folder in options.folders:
        command = [options.prism, "--format", "json", "review", "--source", folder]
        ran = subprocess.run(command, capture_output=True, check=False)
        if ran.returncode not in (0, 1):
            sys.exit(ran.stderr.decode())
        reviewed = json.loads(ran.stdout)
        counts: Counter[str] = Counter()
        examples: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for file in reviewed:
            for finding in file["review"]["findings"]:
                rule = finding["rule_id"]
                counts[rule] += 1
                what = finding["explanation"].split(". ")[0]
                examples[rule][what] += 1
        accepted = sum(file["accepted"] for file in reviewed)
        print(f"{folder}: {len(reviewed)} files, {accepted} accepted, {counts.total()} findings")
        for rule, count in counts.most_common():
            print(f"{count:7} {rule}")
            for what, times in examples[rule].most_common(options.examples):
                print(f"          {times:4} x {what}")


if __name__ == "__main__":
    main()
