#!/usr/bin/env python3
"""Zip a submission's folder: the same files always give the same bytes.

    python3 scripts/pack.py examples/tiny-1m inbox/tiny-1m.zip
    python3 scripts/pack.py --all examples inbox

Members are sorted by name, stored with a fixed time and mode, and only files that an archive may hold go in. With --all,
every folder that holds an architecture.py is packed, and a ready-made NAME/NAME.zip is copied as it is (that is how
the broken archive of examples/bad-zip gets there).

A zip is written under a hidden temporary name and then renamed, so that an inbox never shows half of one.
"""

import argparse
import os
import sys
import zipfile
from pathlib import Path

# what the archive rules let in
SUFFIXES = {".json", ".md", ".py", ".toml", ".txt", ".yaml", ".yml"}
# the earliest time that a zip can hold
TIME = (1980, 1, 1, 0, 0, 0)
REGULAR_FILE_0644 = 0o100644 << 16
UNIX = 3


def members(folder: Path) -> list[Path]:
    """Files that go in, sorted; hidden names and caches stay out."""
    found = []
    for path in folder.rglob("*"):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
        if path.is_file() and not path.is_symlink() and not hidden and path.suffix in SUFFIXES:
            found.append(inside)
    return sorted(found, key=lambda inside: inside.as_posix())


def place(out: Path, write) -> None:
    """Let write(temporary path) make the file, then give it its name."""
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.part")
    write(temporary)
    os.replace(temporary, out)


def pack(folder: Path, out: Path) -> None:
    """Write the folder's zip to `out`."""
    inside = members(folder)
    if not inside:
        raise SystemExit(f"{folder}: no {', '.join(sorted(SUFFIXES))} file to pack")

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name in inside:
                info = zipfile.ZipInfo(name.as_posix(), TIME)
                info.create_system = UNIX
                info.external_attr = REGULAR_FILE_0644
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, (folder / name).read_bytes(), compresslevel=9)

    place(out, write)


def pack_all(examples: Path, out: Path) -> int:
    """Zip every submission below `examples` into `out`; returns how many."""
    count = 0
    for folder in sorted(path for path in examples.iterdir() if path.is_dir()):
        ready = folder / f"{folder.name}.zip"
        target = out / f"{folder.name}.zip"
        if ready.is_file():
            data = ready.read_bytes()
            place(target, lambda temporary: temporary.write_bytes(data))
        elif (folder / "architecture.py").is_file():
            pack(folder, target)
        else:
            continue
        count += 1
    return count


def main() -> int:
    parser = argparse.ArgumentParser(description="Zip a submission's folder, reproducibly.")
    parser.add_argument("--all", action="store_true", help="SOURCE holds submissions, OUT is a folder")
    parser.add_argument("source", type=Path, metavar="SOURCE")
    parser.add_argument("out", type=Path, metavar="OUT")
    arguments = parser.parse_args()
    if not arguments.source.is_dir():
        raise SystemExit(f"{arguments.source}: not a folder")
    if arguments.all:
        count = pack_all(arguments.source, arguments.out)
        if count == 0:
            raise SystemExit(f"{arguments.source}: no submission in it")
        print(f"{count} submissions in {arguments.out}")
    else:
        pack(arguments.source, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
