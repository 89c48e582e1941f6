"""What is in the zoo: the tables of zoo/honest/README.md and zoo/cheats/README.md, and folders that were named besides.

The row of a cheat says what must become of it. `expected` is one or more ends, any of which is right:

    review                the static review refuses it; what becomes of it past the review is judged by the other words
    RULE                  the run is rejected or fails by prism:RULE (`non-causal`, `param-cap`, …)
    FLAG                  it is scored zero with this flag (`failed:blind_gap`, `step0_anomaly`, …)
    no-gain               it is scored, and no better than its honest twin
    open                  it is scored better than its twin: a hole that is known; the row says why in `layer`
"""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ZOO = ROOT / "zoo"


@dataclass(frozen=True)
class Entry:
    """One submission and its row in the index."""

    name: str
    role: str
    folder: Path
    what: str = ""
    group: str = "honest"
    layer: str = ""
    expected: tuple = ()
    twin: str = ""
    settings: tuple = ()


def index() -> list[Entry]:
    """The rows of both README files, in their order; they and the folders must agree."""
    entries = []
    for role in ("honest", "cheats"):
        for line in (ZOO / role / "README.md").read_text(encoding="utf-8").splitlines():
            cells = [cell.strip() for cell in line.strip("| ").split(" | ")] if line.startswith("| `") else []
            if cells:
                entries.append(honest(cells) if role == "honest" else cheat(cells))
    missing = [entry.name for entry in entries if not (entry.folder / "architecture.py").is_file()]
    known = {entry.name for entry in entries}
    folders = {path.name for role in ("honest", "cheats") for path in (ZOO / role).iterdir() if path.is_dir()}
    if missing or folders - known:
        raise SystemExit(f"zoo: index and folders differ: {sorted(missing)} {sorted(folders - known)}")
    twins = {entry.name for entry in entries if entry.role == "honest"}
    for entry in entries:
        if entry.twin and entry.twin not in twins:
            raise SystemExit(f"zoo: {entry.name} names the twin {entry.twin}, which is no honest learner")
    return entries


def honest(cells: list[str]) -> Entry:
    """| name | what | settings |"""
    name, what, settings = cells
    name = name.strip("`")
    return Entry(name, "honest", ZOO / "honest" / name, what, settings=read_settings(settings))


def cheat(cells: list[str]) -> Entry:
    """| name | class | what it does | layer | expected | twin | settings |"""
    name, group, what, layer, expected, twin, settings = cells
    name = name.strip("`")
    ends = tuple(word.strip("` ") for word in expected.split(","))
    return Entry(name, "cheats", ZOO / "cheats" / name, what, group, layer, ends, twin.strip("`"), read_settings(settings))


def read_settings(cell: str) -> tuple:
    """`a.b=1`, … as pairs; `-` is none."""
    return tuple(tuple(part.strip("` ").split("=")) for part in cell.split(",") if "=" in part)


def others(folder: Path, twin: str) -> list[Entry]:
    """Submissions of another collection: below folders named `honest`, learners; all others, cheats with this twin."""
    entries = []
    for path in sorted(folder.rglob("architecture.py")):
        home = path.parent
        role = "honest" if home.parent.name == "honest" else "cheats"
        name = f"{folder.name}-{home.name}"
        entries.append(Entry(name, role, home, group=home.parent.name, twin="" if role == "honest" else twin))
    return entries
