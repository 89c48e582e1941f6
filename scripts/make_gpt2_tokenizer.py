#!/usr/bin/env python3
"""Make tokenizers/gpt2.json from the vocabulary files of GPT-2, as the crate `tiktoken-rs` 0.12.1 ships them.

    cargo add tiktoken-rs@0.12.1 && cargo fetch     # in a scratch crate
    python3 scripts/make_gpt2_tokenizer.py ASSETS tokenizers/gpt2.json

ASSETS is the crate's folder `assets/`, of which two files are read: `r50k_base.tiktoken` (bytes and id of every
token) gives the vocabulary, `vocab.bpe` (pairs in the order in which they were learned) the merges; what the
merges build must be the vocabulary. The files are known by their SHA-256; any others are refused. Same
input, same bytes.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

IDS = 50_257
END_OF_TEXT = "<|endoftext|>"
SHA256 = {
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
    "r50k_base.tiktoken": "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
}


def read(assets: Path, name: str) -> str:
    """The text of one file, if it is the one that is known."""
    content = (assets / name).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256[name]:
        raise SystemExit(f"{assets / name}: got sha256 {digest}, expected {SHA256[name]}")
    return content.decode("utf-8")


def alphabet() -> list[str]:
    """GPT-2's printable character for each byte."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def vocabulary(ranks: str) -> dict[str, int]:
    """Token to id, in order of the ids, end of text last."""
    symbols = alphabet()
    vocab = {}
    for line in ranks.splitlines():
        token, rank = line.split()
        vocab["".join(symbols[byte] for byte in base64.b64decode(token))] = int(rank)
    vocab[END_OF_TEXT] = IDS - 1
    if sorted(vocab.values()) != list(range(IDS)):
        raise SystemExit(f"r50k_base.tiktoken: the ids are not 0 to {IDS - 2}")
    return dict(sorted(vocab.items(), key=lambda item: item[1]))


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit("usage: make_gpt2_tokenizer.py ASSETS OUT.json")
    assets, out = Path(sys.argv[1]), sys.argv[2]
    vocab = vocabulary(read(assets, "r50k_base.tiktoken"))
    # the first line is a version comment
    merges = [line.split(" ") for line in read(assets, "vocab.bpe").splitlines()[1:] if line]
    if [vocab.get("".join(pair)) for pair in merges] != list(range(256, IDS - 1)):
        raise SystemExit("the merges of vocab.bpe do not build the tokens of r50k_base.tiktoken")
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": merges,
        },
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
    Path(out).write_text(text, encoding="utf-8", newline="\n")
    print(f"{out}: sha256 {hashlib.sha256(text.encode()).hexdigest()}, {len(vocab)} ids, {len(merges)} merges")


if __name__ == "__main__":
    main()
