#!/usr/bin/env python3
"""Make malicious archives, and unusual ones that are sound, with the verdict that each must get.

    python3 scripts/make_archives.py FOLDER

writes FOLDER/<name>.zip for every archive and FOLDER/expected.json, a list of objects with `name` (the file), `rule_id`
(null: accepted), `message` (text that the rejection must contain) and `offset` (the byte it must name, or null).
Nothing here uses a zip library to write, so that every record can be wrong; Python's own `zipfile` appears where an
ordinary writer is wanted. Record layouts: PKWARE APPNOTE 6.3.10.
"""

import io
import json
import struct
import sys
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

ARCHITECTURE = b"def build_model(ctx):\n    return None\n"
TRAINING = b"def train(ctx):\n    pass\n"
STORED, DEFLATED = 0, 8
STRUCTURE = "prism:archive-structure"
PATH = "prism:archive-path"


@dataclass
class Entry:
    name: bytes
    content: bytes
    method: int = STORED
    flags: int = 0
    mode: int = 0o100644
    made_by: int = 3
    dos_attributes: int = 0
    local_name: bytes | None = None
    local_extra: bytes = b""
    central_extra: bytes = b""
    comment: bytes = b""
    descriptor: bytes = b""
    deferred: bool = False
    packed: bytes | None = None
    crc: int | None = None
    size: int | None = None
    packed_size: int | None = None
    offset: int | None = None
    # what the local header says instead
    local: dict = field(default_factory=dict)

    def data(self) -> bytes:
        if self.packed is not None:
            return self.packed
        if self.method == DEFLATED:
            deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
            return deflate.compress(self.content) + deflate.flush()
        return self.content

    def claims(self) -> dict:
        return {
            "flags": self.flags,
            "method": self.method,
            "crc": zlib.crc32(self.content) if self.crc is None else self.crc,
            "packed": len(self.data()) if self.packed_size is None else self.packed_size,
            "size": len(self.content) if self.size is None else self.size,
        }


@dataclass
class Archive:
    entries: list
    comment: bytes = b""
    prefix: bytes = b""
    before_directory: bytes = b""
    suffix: bytes = b""
    count: int | None = None
    directory_bytes: int | None = None
    directory_at: int | None = None
    disk: int = 0
    zip64_locator: bool = False
    # filled by bytes()
    local_at: list = field(default_factory=list)
    central_at: list = field(default_factory=list)
    end_at: int = 0

    def bytes(self) -> bytes:
        out = bytearray(self.prefix)
        self.local_at, self.central_at = [], []
        for entry in self.entries:
            self.local_at.append(len(out))
            claims = entry.claims()
            if entry.deferred:
                claims |= {"crc": 0, "packed": 0, "size": 0}
            claims |= entry.local
            name = entry.name if entry.local_name is None else entry.local_name
            out += struct.pack(
                "<4sHHHHHIIIHH", b"PK\3\4", 20, claims["flags"], claims["method"], 0, 0x21, claims["crc"],
                claims["packed"], claims["size"], len(name), len(entry.local_extra),
            )
            out += name + entry.local_extra + entry.data() + entry.descriptor
        out += self.before_directory
        start = len(out)
        for entry, at in zip(self.entries, self.local_at):
            self.central_at.append(len(out))
            claims = entry.claims()
            out += struct.pack(
                "<4sHHHHHHIIIHHHHHII", b"PK\1\2", entry.made_by << 8 | 20, 20, claims["flags"], claims["method"], 0,
                0x21, claims["crc"], claims["packed"], claims["size"], len(entry.name), len(entry.central_extra),
                len(entry.comment), 0, 0, entry.mode << 16 | entry.dos_attributes,
                at if entry.offset is None else entry.offset,
            )
            out += entry.name + entry.central_extra + entry.comment
        if self.zip64_locator:
            out += struct.pack("<4sIQI", b"PK\6\7", 0, start, 1)
        self.end_at = len(out)
        count = len(self.entries) if self.count is None else self.count
        out += struct.pack(
            "<4sHHHHIIH", b"PK\5\6", self.disk, self.disk, count, count,
            self.end_at - start if self.directory_bytes is None else self.directory_bytes,
            start if self.directory_at is None else self.directory_at, len(self.comment),
        )
        return bytes(out + self.comment + self.suffix)


def two(packing: int = STORED, **changes) -> list:
    """The two scripts; `changes` are made to the second."""
    return [
        Entry(b"architecture.py", ARCHITECTURE, packing),
        replace(Entry(b"training.py", TRAINING, packing), **changes),
    ]


def descriptor(content: bytes, packed: int, signature: bool = True) -> bytes:
    head = b"PK\7\x08" if signature else b""
    return head + struct.pack("<III", zlib.crc32(content), packed, len(content))


def extra(identity: int, content: bytes) -> bytes:
    return struct.pack("<HH", identity, len(content)) + content


def by_zipfile(**options) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        archive.writestr("architecture.py", ARCHITECTURE)
        archive.writestr("training.py", TRAINING)
    return buffer.getvalue()


class Unseekable(io.RawIOBase):
    """What makes zipfile write data descriptors."""

    def __init__(self) -> None:
        self.kept = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.kept += bytes(data)
        return len(data)


def streamed_by_zipfile() -> bytes:
    stream = Unseekable()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("architecture.py", ARCHITECTURE)
        archive.writestr("training.py", TRAINING)
    return bytes(stream.kept)


def sound() -> dict:
    """Unusual, and accepted."""
    text = {"stored": Archive(two()), "deflated": Archive(two(DEFLATED))}
    text["commit-id-comment"] = Archive(two(), comment=b"0123456789abcdef0123456789abcdef01234567")
    text["descriptor-with-signature"] = Archive(
        two(flags=8, deferred=True, descriptor=descriptor(TRAINING, len(TRAINING)))
    )
    text["descriptor-without-signature"] = Archive(
        two(flags=8, deferred=True, descriptor=descriptor(TRAINING, len(TRAINING), signature=False))
    )
    text["utf8-flag"] = Archive(two(flags=1 << 11))
    text["timestamps-and-owners"] = Archive(
        two(local_extra=extra(0x5455, b"\3" + bytes(8)), central_extra=extra(0x7875, b"\1\4" + bytes(4) + b"\4" + bytes(4)))
    )
    text["from-dos"] = Archive(two(made_by=0, mode=0, dos_attributes=0x20))
    text["reversed-directory"] = None
    text["top-folder"] = Archive([replace(entry, name=b"mine/" + entry.name) for entry in two()])
    text["directory-entries"] = Archive([Entry(b"parts/", b"", mode=0o040755, dos_attributes=0x10), *two()])
    junk = [Entry(b"__MACOSX/._architecture.py", b"\0\5\x16\7"), Entry(b".DS_Store", b"\0"), Entry(b"Thumbs.db", b"\0"),
            Entry(b"__pycache__/architecture.cpython-312.pyc", b"\0")]
    text["junk-of-systems"] = Archive([*two(), *junk])
    text["empty-file"] = Archive([*two(), Entry(b"__init__.py", b"")])
    text["multi-stream-deflate"] = Archive(two(DEFLATED, packed=stored_blocks(TRAINING)))
    made = {name: archive.bytes() for name, archive in text.items() if archive is not None}
    made["reversed-directory"] = reversed_directory()
    made["zipfile"] = by_zipfile(compression=zipfile.ZIP_DEFLATED)
    made["zipfile-streamed"] = streamed_by_zipfile()
    return made


def stored_blocks(content: bytes) -> bytes:
    """Deflate without compression, one block for each byte."""
    last = len(content) - 1
    return b"".join(
        bytes([place == last]) + struct.pack("<HH", 1, 0xFFFE) + content[place : place + 1]
        for place in range(len(content))
    )


def reversed_directory() -> bytes:
    """The directory may list entries in another order than they lie."""
    archive = Archive(two())
    plain = archive.bytes()
    first, second, end = *archive.central_at, archive.end_at
    return plain[:first] + plain[second:end] + plain[first:second] + plain[end:]


def malicious() -> list:
    """Name, bytes, rule, text of the message, offset."""
    rows = []

    def add(name, archive, rule, message="", at=None):
        made = archive.bytes() if isinstance(archive, Archive) else archive
        rows.append((name, made, rule, message, at(archive) if callable(at) else at))

    local = lambda index: lambda archive: archive.local_at[index]
    central = lambda index: lambda archive: archive.central_at[index]
    end = lambda archive: archive.end_at
    plain = Archive(two())
    whole = plain.bytes()

    # the end of the file
    add("no-zip", b"\x1f\x8b\x08\0 some gzip", "prism:archive-not-zip")
    add("zero-bytes", b"", "prism:archive-empty")
    add("no-entries", Archive([]), "prism:archive-empty")
    add("junk-only", Archive([Entry(b".DS_Store", b"x")]), "prism:archive-empty")
    add("cut", whole[:-1], STRUCTURE, "end of the archive is missing")
    add("cut-in-data", whole[:60], STRUCTURE, "end of the archive is missing", 60)
    add("trailing-byte", Archive(two(), suffix=b"\n"), STRUCTURE, "bytes after the end record", len(whole))
    add("second-zip-appended", whole + whole, STRUCTURE)
    add("comment", Archive(two(), comment=b"made with love"), STRUCTURE, "archive comment", len(whole))
    hidden = Archive(two(), comment=Archive([]).bytes())
    add("end-record-in-comment", hidden, STRUCTURE, "position of the central directory")
    add("zip-in-comment", Archive(two(), comment=whole), STRUCTURE)
    add("end-record-in-directory", Archive(two(central_extra=extra(0x7777, b"PK\5\6" + bytes(18)))), STRUCTURE, "second end record")
    add("several-disks", Archive(two(), disk=1), STRUCTURE, "multi-part", end)
    add("fewer-entries-declared", Archive(two(), count=1), STRUCTURE, "number of entries")
    add("more-entries-declared", Archive(two(), count=3), STRUCTURE, "number of entries")
    add("directory-elsewhere", Archive(two(), directory_at=5), STRUCTURE, "", end)
    add("directory-too-long", Archive(two(), directory_bytes=10_000), STRUCTURE, "", end)
    add("zip64-locator", Archive(two(), zip64_locator=True), STRUCTURE, "zip64")
    add("zip64-count", Archive(two(), count=0xFFFF), STRUCTURE, "zip64", end)
    add("zip64-directory-offset", Archive(two(), directory_at=0xFFFFFFFF), STRUCTURE, "zip64", end)
    add("zip64-size", Archive(two(size=0xFFFFFFFF)), STRUCTURE, "zip64", central(1))
    add("zip64-extra", Archive(two(central_extra=extra(1, bytes(8)))), STRUCTURE, "zip64")
    add("zip64-extra-local", Archive(two(local_extra=extra(1, bytes(8)))), STRUCTURE, "zip64")

    # where the entries lie
    add("prefix-shifted", b"#!/bin/sh\n" + whole, STRUCTURE, "bytes before the first entry")
    add("prefix-adjusted", Archive(two(), prefix=b"#!/bin/sh\n"), STRUCTURE, "bytes before the first entry", 10)
    add("elf-prefix", Archive(two(), prefix=b"\x7fELF" + bytes(60)), STRUCTURE, "bytes before the first entry", 64)
    add("gap-before-directory", Archive(two(), before_directory=b"hidden"), STRUCTURE, "bytes that belong to no entry", plain.central_at[0])
    add("gap-between", Archive([replace(two()[0], descriptor=b"hidden"), two()[1]]), STRUCTURE, "bytes that belong to no entry")
    add("two-entries-one-place", Archive(two(offset=0)), STRUCTURE, "", 0)
    add("quoted-overlap", Archive([replace(two()[0], packed_size=len(ARCHITECTURE) + 20, size=len(ARCHITECTURE) + 20), two()[1]]), STRUCTURE)
    add("offset-beyond-end", Archive(two(offset=1_000_000)), STRUCTURE, "")
    add("data-beyond-directory", Archive(two(packed_size=5_000, size=5_000)), STRUCTURE, "record longer than its space")

    # local header against central directory
    for what, change in {
        "name": {"local_name": b"trainink.py"}, "size": {"local": {"size": 7}}, "packed": {"local": {"packed": 7}},
        "crc": {"local": {"crc": 7}}, "method": {"local": {"method": DEFLATED}}, "flags": {"local": {"flags": 1 << 11}},
    }.items():
        add(f"local-{what}-differs", Archive(two(**change)), STRUCTURE, "local header differs", local(1))
    add("method-differs-in-meaning", Archive(two(DEFLATED, local={"method": STORED})), STRUCTURE, "local header differs", local(1))
    add("local-signature", bytes([0x51]) + whole[1:], STRUCTURE, "record signature", 0)
    at = plain.central_at[1]
    add("central-signature", whole[:at] + b"XX" + whole[at + 2 :], STRUCTURE, "record signature", at)
    add("entry-comment", Archive(two(comment=b"x")), STRUCTURE, "entry comment", central(1))
    add("no-name", Archive(two(name=b"")), STRUCTURE, "entry without a name")
    add("extra-cut", Archive(two(central_extra=b"\1\2\3")), STRUCTURE, "extra field")
    add("extra-too-long", Archive(two(central_extra=struct.pack("<HH", 0x5455, 99))), STRUCTURE, "extra field")
    unicode_path = b"\1" + struct.pack("<I", zlib.crc32(b"training.py")) + b"other.py"
    add("unicode-path", Archive(two(central_extra=extra(0x7075, unicode_path))), STRUCTURE, "Unicode path")
    add("unicode-path-local", Archive(two(local_extra=extra(0x7075, unicode_path))), STRUCTURE, "Unicode path")
    add("unicode-comment", Archive(two(central_extra=extra(0x6375, unicode_path))), STRUCTURE, "Unicode comment")
    add("unknown-flag", Archive(two(flags=1 << 5)), STRUCTURE, "general purpose flags", central(1))

    # descriptors
    good = descriptor(TRAINING, len(TRAINING))
    late = {"flags": 8, "deferred": True}
    add("descriptor-missing", Archive(two(**late)), STRUCTURE, "data descriptor")
    add("descriptor-wrong-crc", Archive(two(**late, descriptor=b"PK\7\x08\0\0\0\0" + good[8:])), STRUCTURE, "data descriptor")
    add("descriptor-wrong-size", Archive(two(**late, descriptor=good[:-1] + b"\1")), STRUCTURE, "data descriptor")
    add("descriptor-wrong-signature", Archive(two(**late, descriptor=b"XXXX" + good[4:])), STRUCTURE, "record signature")
    add("descriptor-zip64", Archive(two(**late, descriptor=good + bytes(8))), STRUCTURE, "data descriptor")
    add("descriptor-without-flag", Archive(two(descriptor=good)), STRUCTURE, "bytes that belong to no entry")

    # content
    add("encrypted", Archive(two(flags=1)), "prism:archive-encrypted", "", central(1))
    add("strong-encryption", Archive(two(flags=1 << 6)), "prism:archive-encrypted", "", central(1))
    add("masked-directory", Archive(two(flags=1 << 13)), "prism:archive-encrypted", "", central(1))
    add("aes-extra", Archive(two(central_extra=extra(0x9901, b"\2\0AE\3\0\0"))), STRUCTURE, "AES")
    for method, what in {1: "shrunk", 9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstd", 99: "aes"}.items():
        add(f"method-{what}", Archive(two(method=method)), STRUCTURE, f"compression method {method}", central(1))
    add("wrong-crc", Archive(two(crc=7)), STRUCTURE, "content differs", local(1))
    add("stored-sizes-differ", Archive(two(size=99)), STRUCTURE, "declared size", central(1))
    add("deflate-longer-than-declared", Archive(two(DEFLATED, size=5)), STRUCTURE, "content differs")
    add("deflate-shorter-than-declared", Archive(two(DEFLATED, size=5_000)), STRUCTURE, "content differs")
    add("deflate-broken", Archive(two(DEFLATED, packed=b"\xff\xff\xff")), STRUCTURE, "content differs")
    add("deflate-with-a-tail", Archive(two(DEFLATED, packed=two(DEFLATED)[1].data() + b"hidden")), STRUCTURE, "content differs", local(1))
    add("directory-with-content", Archive([Entry(b"parts/", b"hidden", mode=0o040755), *two()]), STRUCTURE, "declared size")
    bomb = Entry(b"notes.txt", bytes(30_000_000), DEFLATED)
    add("bomb", Archive([*two(), bomb]), "prism:archive-bomb")
    add("bomb-that-lies", Archive([*two(), replace(bomb, size=10)]), STRUCTURE, "content differs")
    add("many-files", Archive([*two(), *(Entry(b"f%d.py" % n, b"") for n in range(300))]), "prism:archive-too-many-files")
    add("many-directories", Archive([*two(), *(Entry(b"d%d/" % n, b"", mode=0o040755) for n in range(1_200))]), "prism:archive-too-many-files")

    # names
    for what, name in {
        "parent": b"../x.py", "inner-parent": b"a/../x.py", "absolute": b"/x.py", "drive": b"C:/x.py", "unc": b"//host/x.py",
        "backslash": b"a\\x.py", "dot-segment": b"./x.py", "empty-segment": b"a//x.py", "nul": b"x.py\0.txt",
        "newline": b"x\n.py", "escape": b"\x1b[2J.py", "space": b"a b.py", "colon-stream": b"x.py:s", "hidden": b".env.py",
        "hidden-folder": b".git/x.py", "trailing-dot": b"x.py.", "device": b"nul.py", "device-upper": b"COM1.py",
        "device-folder": b"aux/x.py", "latin-1": b"caf\xe9.py", "utf-8": "café.py".encode(),
        "decomposed": unicodedata.normalize("NFD", "café.py").encode(), "bidi": "x\u202eyp.txt".encode(),
        "full-width": "ｘ.py".encode(), "long": b"a" * 300 + b".py", "deep": b"a/" * 20 + b"x.py",
    }.items():
        add(f"path-{what}", Archive([*two(), Entry(name, b"x = 1\n")]), PATH)
    for what, name in {"elf": b"x.so", "pickle": b"x.pt", "none": b"Makefile", "upper": b"x.PY", "zip": b"x.zip"}.items():
        add(f"suffix-{what}", Archive([*two(), Entry(name, b"x")]), "prism:archive-suffix")
    add("same-name-twice", Archive([*two(), two()[1]]), "prism:archive-duplicate")
    add("case-collision", Archive([*two(), Entry(b"Training.py", b"")]), "prism:archive-duplicate")
    add("case-collision-of-folders", Archive([*two(), Entry(b"a/x.py", b""), Entry(b"A/y.py", b"")]), "prism:archive-duplicate")
    add("file-and-folder", Archive([*two(), Entry(b"a.py", b""), Entry(b"a.py/x.py", b"")]), "prism:archive-duplicate")
    for what, mode in {"symlink": 0o120777, "pipe": 0o010644, "device": 0o020644, "block": 0o060644, "socket": 0o140755}.items():
        add(f"type-{what}", Archive([*two(), Entry(b"x.py", b"architecture.py", mode=mode)]), "prism:archive-link", "", central(2))
    add("type-directory-without-slash", Archive([*two(), Entry(b"x.py", b"", mode=0o040755)]), "prism:archive-link", "", central(2))

    # the manifest and the roles
    yaml = lambda text: Archive([*two(), Entry(b"prism.yaml", text)])
    add("yaml-bomb", yaml(b"a: &a [x, x]\nb: &b [*a, *a]\n"), "prism:manifest-invalid", "prism.yaml:1:")
    add("yaml-tag", yaml(b"kind: !!python/object/apply:os.system [id]\n"), "prism:manifest-invalid", "prism.yaml:1:")
    add("yaml-merge", yaml(b"a: {x: 1}\nb: {<<: a}\n"), "prism:manifest-invalid", "prism.yaml:2:")
    add("yaml-twice", yaml(b"kind: full\nkind: full\n"), "prism:manifest-invalid")
    add("yaml-utf-16", yaml("kind: full\n".encode("utf-16")), "prism:manifest-invalid")
    add("yaml-unknown-key", yaml(b"kidn: full\n"), "prism:manifest-invalid")
    add("yaml-large", yaml(b"# " + b"x" * 20_000 + b"\n"), "prism:manifest-invalid")
    add("no-training", Archive(two()[:1]), "prism:contract-missing-entrypoint", "training.py")
    add("empty-training", Archive(two(content=b" \n")), "prism:contract-empty-entrypoint")
    add("one-file-for-both", yaml(b"training:\n  entrypoint: architecture.py::train\n"), "prism:contract-same-file")
    return rows


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    expected = []

    def keep(name: str, made: bytes, rule_id: str | None, message: str, offset: int | None) -> None:
        (folder / f"{name}.zip").write_bytes(made)
        expected.append({"name": f"{name}.zip", "rule_id": rule_id, "message": message, "offset": offset})

    for name, made in sound().items():
        keep(f"sound-{name}", made, None, "", None)
    for name, made, rule_id, message, offset in malicious():
        keep(name, made, rule_id, message, offset)
    (folder / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")
    print(f"{len(expected)} archives in {folder}")


if __name__ == "__main__":
    main()
