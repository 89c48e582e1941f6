#!/usr/bin/env python3
"""Ask tiktoken for the ids of the demo corpus and of hard cases: what the tests of `gpt2` compare with.

    python3 -m venv .venv-tokenizers
    .venv-tokenizers/bin/pip install --require-hashes --no-deps -r requirements-bench.txt
    .venv-tokenizers/bin/python scripts/make_gpt2_fixture.py src/dataset/tokenizer/fixtures/gpt2_tiktoken.json

No network: tiktoken is given the vocabulary of tokenizers/gpt2.json, which scripts/make_gpt2_tokenizer.py made from
the file that tiktoken itself would download (same SHA-256), and its own pattern and merging. Long lists of ids
are told as their number and the SHA-256 of the ids as 32-bit little-endian numbers.
"""

import hashlib
import json
import struct
import sys
from pathlib import Path

import tiktoken
from tiktoken_ext.openai_public import r50k_pat_str

ROOT = Path(__file__).resolve().parent.parent
END_OF_TEXT = "<|endoftext|>"
# name, unit, how often
CASES = [
    ("empty", "", 1),
    ("plain", "It is a truth universally acknowledged,\n\nthat", 1),
    ("contractions", "it's I'LL don't 'S ''s we're they've I'm he'd she'll 'tis rock'n'roll '' '", 1),
    ("numbers", "12345678901234567890 --_-- 3.14159 1,000 ½ ² Ⅷ ٣ ๔ 一二三", 1),
    ("emoji", "🙂🙃 👩‍👩‍👧 🇫🇷 ☕️ 🏳️‍🌈", 1),
    ("cjk", "漢字仮名交じり文。日本語の文章、한국어 문장, 中文句子。", 1),
    ("scripts", "Жизнь العربية עברית हिन्दी ไทย ελληνικά é ß e\u0301 ﬁ", 1),
    ("nul", "a\u0000b\u0000\u0000 \u0001\u007f\u001b[0m", 1),
    ("controls", "".join(chr(c) for c in range(0x40)) + "\u0080\u0085\u009f\u00a0\u00ad", 1),
    ("spaces", "a  b   c\t\t d\n \n\n  e \u00a0f \u2003g\u3000h \u200b i\r\nj  ", 1),
    ("special text", "<|endoftext|> a<|endoftext|>b <|endoftext", 1),
    ("escapes", "\\ud83d\\ude00 \\ud800 \\u0000 &#xd800;", 1),
    ("lone surrogates", "a\ud800b \udc00 \ud83d\ude00 \udbff", 1),
    ("edges of planes", "\ufffd\ufffe\uffff\U00010000\U0010fffd\U0010ffff\ue000\ufeff", 1),
    ("long letters", "a", 100_000),
    ("long mixed letters", "abcdefghij", 10_000),
    ("long spaces", " ", 100_000),
    ("long newlines", "\n", 100_000),
    ("long punctuation", "=-", 50_000),
    ("long digits", "0", 100_000),
    ("long cjk", "漢", 30_000),
    ("long emoji", "🙂", 30_000),
]
# characters of the basic plane one after another, without the surrogates
PLANE_0 = [[0, 0xD7FF], [0xE000, 0xFFFF]]


def digest(lists: list[list[int]]) -> str:
    hash_ = hashlib.sha256()
    for ids in lists:
        hash_.update(struct.pack(f"<{len(ids)}I", *ids))
    return hash_.hexdigest()


def without_surrogates(text: str) -> str:
    """`text` as tiktoken reads it: pairs of surrogates are one character, lone ones U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def encoding() -> tiktoken.Encoding:
    """tiktoken's gpt2, from the vocabulary in the repository."""
    vocab = json.loads((ROOT / "tokenizers/gpt2.json").read_text(encoding="utf-8"))["model"]["vocab"]
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    bytes_of = {chr(b) if b in printable else chr(next(others)): b for b in range(256)}
    end_of_text = vocab.pop(END_OF_TEXT)
    ranks = {bytes(bytes_of[c] for c in token): i for token, i in vocab.items()}
    return tiktoken.Encoding(
        "gpt2", pat_str=r50k_pat_str, mergeable_ranks=ranks, special_tokens={END_OF_TEXT: end_of_text}
    )


def main() -> None:
    gpt2 = encoding()
    cases = []
    for name, unit, times in CASES:
        ids = gpt2.encode_ordinary(unit * times)
        case = {"name": name, "unit": without_surrogates(unit), "times": times}
        if case["unit"] != unit:
            case["python_unit"] = json.dumps(unit)
        case |= {"tokens": len(ids), "sha256": digest([ids])}
        if len(ids) <= 200:
            case["ids"] = ids
        cases.append(case)
    plane = "".join(chr(c) for low, high in PLANE_0 for c in range(low, high + 1))
    ids = gpt2.encode_ordinary(plane)
    cases.append({"name": "plane 0", "ranges": PLANE_0, "tokens": len(ids), "sha256": digest([ids])})
    lines = (ROOT / "examples/corpus/austen.jsonl").read_text(encoding="utf-8").splitlines()
    corpus = [gpt2.encode_ordinary(json.loads(line)["text"]) for line in lines]
    fixture = {
        "made_by": "scripts/make_gpt2_fixture.py",
        "tiktoken": tiktoken.__version__,
        "corpus": {
            "file": "examples/corpus/austen.jsonl",
            "documents": len(corpus),
            "tokens": sum(map(len, corpus)),
            "sha256": digest(corpus),
        },
        "cases": cases,
    }
    Path(sys.argv[1]).write_text(json.dumps(fixture, indent=1) + "\n", encoding="ascii", newline="\n")
    print(f"{sys.argv[1]}: {len(cases)} cases, {fixture['corpus']['tokens']} tokens of the corpus")


if __name__ == "__main__":
    main()
