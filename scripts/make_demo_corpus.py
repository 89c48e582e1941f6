#!/usr/bin/env python3
"""Make examples/corpus/austen.jsonl from the Debian package r-cran-janeaustenr.

    apt-get download r-cran-janeaustenr
    dpkg-deb -x r-cran-janeaustenr_*.deb unpacked
    python3 scripts/make_demo_corpus.py \
        unpacked/usr/lib/R/site-library/janeaustenr/data/Rdata.rdb examples/corpus/austen.jsonl

The package stores each novel as an R character vector, one element per printed line. R is not needed: the
file is a row of records, each a 4-byte length and a zlib stream, and a character vector in R's XDR
serialisation is a count and then length-prefixed strings.

What is kept is the author's prose: title pages, chapter headings, rows of asterisks, editors' notes in square
brackets or after the last chapter, and the underscores that stand for italics are dropped. Lines of a paragraph
are joined with single spaces, paragraphs are separated by one blank line, and every chapter is cut at paragraph
boundaries into documents of about 4 KB. The same input gives the same bytes.
"""

import json
import re
import struct
import sys
import zlib

# first line of the vector -> name in the document id; the other novels of the package are left out for size
NOVELS = {
    "NORTHANGER ABBEY": "northanger-abbey",
    "Persuasion": "persuasion",
    "PRIDE AND PREJUDICE": "pride-and-prejudice",
    "SENSE AND SENSIBILITY": "sense-and-sensibility",
}
DOCUMENT_BYTES = 4000
CHAPTER = re.compile(r"^chapter ([0-9]+|[ivxlc]+)$", re.IGNORECASE)
BOOK = re.compile(r"^volume ([0-9]+|[ivxlc]+)$", re.IGNORECASE)
END = re.compile(r"^(the end|finis|a note on the text)$", re.IGNORECASE)
ORNAMENT = re.compile(r"^[* ]+$")
NOTE = re.compile(r"\[[^\]]*editions[^\]]*\]")
FOOTNOTE = re.compile(r"^\*Vide ")

XDR_HEADER = b"X\n"
STRING_VECTOR = 16
STRING = 9


def records(rdb: bytes):
    """Yield each record of an .rdb file, decompressed."""
    at = 0
    while at < len(rdb):
        (size,) = struct.unpack_from(">I", rdb, at)
        stream = zlib.decompressobj()
        body = stream.decompress(rdb[at + 4 :])
        if len(body) != size or not stream.eof:
            raise SystemExit(f"record at byte {at}: {len(body)} bytes unpacked, {size} announced")
        yield body
        at = len(rdb) - len(stream.unused_data)


def lines_of(record: bytes) -> list[str]:
    """The strings of one serialised character vector (R serialisation version 3)."""
    if not record.startswith(XDR_HEADER):
        raise SystemExit(f"a record starts with {record[:2]!r}, not with {XDR_HEADER!r}")
    version, _, _, name_bytes = struct.unpack_from(">IIII", record, 2)
    at = 18 + name_bytes
    kind, count = struct.unpack_from(">II", record, at)
    if version != 3 or kind & 0xFF != STRING_VECTOR:
        raise SystemExit(f"serialisation version {version}, type {kind & 0xFF}: a character vector was expected")
    at += 8
    lines = []
    for _ in range(count):
        kind, size = struct.unpack_from(">Ii", record, at)
        if kind & 0xFF != STRING or size < 0:
            raise SystemExit(f"byte {at}: type {kind & 0xFF} of length {size}, a string was expected")
        lines.append(record[at + 8 : at + 8 + size].decode("utf-8"))
        at += 8 + size
    return lines


def chapters(lines: list[str]) -> list[list[str]]:
    """Paragraphs by chapter, from the first chapter heading to the end mark."""
    found: list[list[str]] = []
    paragraph: list[str] = []

    def close() -> None:
        text = NOTE.sub("", " ".join(" ".join(paragraph).replace("_", "").split())).strip()
        paragraph.clear()
        if text and found and not FOOTNOTE.match(text):
            # the one footnote of the four novels is dropped above, its mark here
            found[-1].append(text.replace("is declared,* it", "is declared, it"))

    for line in lines:
        bare = line.strip()
        if END.match(bare):
            break
        if CHAPTER.match(bare):
            close()
            found.append([])
        elif not bare or ORNAMENT.match(bare) or BOOK.match(bare):
            close()
        else:
            paragraph.append(bare)
    close()
    return found


def documents(paragraphs: list[str]) -> list[str]:
    """Cut one chapter at paragraph boundaries into parts of nearly equal size, about DOCUMENT_BYTES each."""
    sizes = [len(p.encode("utf-8")) + 2 for p in paragraphs]
    parts = max(1, round(sum(sizes) / DOCUMENT_BYTES))
    cut = [[] for _ in range(parts)]
    before = 0
    for paragraph, size in zip(paragraphs, sizes):
        middle = before + size / 2
        cut[min(parts - 1, int(middle * parts / sum(sizes)))].append(paragraph)
        before += size
    return ["\n\n".join(part) for part in cut if part]


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit("usage: make_demo_corpus.py Rdata.rdb OUT.jsonl")
    with open(sys.argv[1], "rb") as file:
        rdb = file.read()
    rows = []
    for record in records(rdb):
        lines = lines_of(record)
        name = NOVELS.get(lines[0].strip())
        if name is None:
            continue
        texts = [text for chapter in chapters(lines) for text in documents(chapter)]
        rows += [{"id": f"austen/{name}/{i:04d}", "text": text} for i, text in enumerate(texts, start=1)]
    if not rows:
        raise SystemExit(f"{sys.argv[1]}: none of the novels {', '.join(NOVELS)} is in it")
    rows.sort(key=lambda row: row["id"])
    with open(sys.argv[2], "w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n")
    text_bytes = sum(len(row["text"].encode("utf-8")) for row in rows)
    print(f"{sys.argv[2]}: {len(rows)} documents, {text_bytes} bytes of text")


if __name__ == "__main__":
    main()
