"""Compares what the reviewer's parser reads with what CPython reads, file by file.

    python scripts/differential.py [--limit N] [--prism FILE] FOLDER...

Every Python file below the folders is digested twice: by `prism review --source` and by the
runner's own `prism_runner/sources.py`. Prints how many agree, and each file that does not; exits
with 1 if there is one that no rule refuses for it. Files that the reviewer refuses to parse have no
digest and are counted by rule.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src" / "runner"))

from prism_runner.sources import ast_digest  # noqa: E402

FILES_AT_ONCE = 500
# Rules that refuse what the two parsers are known to read differently.
KNOWN_TO_DIFFER = {"prism:unsupported-syntax", "prism:identifier-encoding"}


def reviewed(prism: Path, files: list[Path]) -> list[dict]:
    """The reviewer's answer for each file."""
    command = [prism, "--format", "json", "review", "--source", *files]
    ran = subprocess.run(command, capture_output=True, check=False)
    if ran.returncode not in (0, 1):
        sys.exit(f"prism ended with {ran.returncode}: {ran.stderr.decode()}")
    return json.loads(ran.stdout)


def cpython(path: Path) -> str | None:
    """CPython's digest; None for what it cannot parse."""
    try:
        return ast_digest(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def main() -> None:
    """Compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--limit", type=int, default=0, help="at most that many files, spread out")
    parser.add_argument("--prism", type=Path, default=ROOT / "target" / "debug" / "prism")
    options = parser.parse_args()
    warnings.simplefilter("ignore")

    files = sorted({path for folder in options.folders for path in folder.rglob("*.py")})
    if options.limit:
        files = files[:: max(1, len(files) // options.limit)]
    counts: Counter[str] = Counter()
    for start in range(0, len(files), FILES_AT_ONCE):
        for answer in reviewed(options.prism, files[start : start + FILES_AT_ONCE]):
            path = Path(answer["path"])
            review = answer["review"]
            ours = review["files"][0].get("ast_sha256")
            theirs = cpython(path)
            if ours is None:
                finding = review["findings"][0]
                counts[f"not parsed by the reviewer: {finding['rule_id']}"] += 1
                if theirs is not None and finding["rule_id"] == "prism:syntax-error":
                    print(f"only CPython parses {path}:{finding['line']}")
            elif theirs is None:
                counts["parsed by the reviewer only"] += 1
            elif ours == theirs:
                counts["the same"] += 1
            else:
                rules = {finding["rule_id"] for finding in review["findings"]}
                if rules & KNOWN_TO_DIFFER:
                    counts["different, and refused for it"] += 1
                else:
                    counts["DIFFERENT"] += 1
                    print(f"different: {path} ({review['verdict']})")
    for what, count in counts.most_common():
        print(f"{count:7} {what}")
    sys.exit(int("DIFFERENT" in counts))


if __name__ == "__main__":
    main()
