#!/usr/bin/env python3
"""Train tokenizers/prism-4096.json: a byte-level BPE of exactly 4096 ids, on the train part of the demo corpus.

    python3 -m venv .venv-tokenizers && .venv-tokenizers/bin/pip install tokenizers==0.23.3
    .venv-tokenizers/bin/python scripts/train_prism_4096.py examples/corpus/austen.jsonl tokenizers/prism-4096.json

Ids 0 to 255 are the byte symbols, 256 to 4094 the merges in the order they were learned, and 4095 is
"<|endoftext|>". That last one is in the vocabulary but no merge produces it and it is not an added token, so
no text encodes to it: the literal characters "<|endoftext|>" in a document are text like any other.
The same corpus and the same library version give the same bytes.
"""

import hashlib
import json
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

IDS = 4096
END_OF_TEXT = "<|endoftext|>"
# the locked split: int(sha256(id)) mod 1000, train is 0 to 949
MODULUS = 1000
TRAIN_BELOW = 950
ODD_TEXTS = [
    "",
    " ",
    "\n\n\n \t\r\n",
    "\x00\x01\x7f\x00",
    "<|endoftext|>",
    "a<|endoftext|>b <|endoftext|>",
    "\u00e9 \u00df \u0416 \u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4 \u0627\u0644",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1f7 \U0010ffff",
    "e\u0301 \ufeff\u200b\u00a0\u3000x",
    "a" * 20_000,
    " " * 20_000,
    "\n" * 5_000,
    "it's I'LL don't 'S ''s 12345678901234567890 --_--",
    "".join(chr(c) for c in range(0x2500)),
]


def texts_of(corpus: str, train_only: bool) -> list[str]:
    """Texts of the corpus in id order, all of them or those of the train split."""
    with open(corpus, encoding="utf-8") as file:
        rows = sorted((json.loads(line) for line in file), key=lambda row: row["id"])

    def bucket(row) -> int:
        return int(hashlib.sha256(row["id"].encode("utf-8")).hexdigest(), 16) % MODULUS

    return [row["text"] for row in rows if not train_only or bucket(row) < TRAIN_BELOW]


def train(texts: list[str]) -> dict:
    """The tokenizer.json document as plain data."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=IDS - 1,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    document = json.loads(tokenizer.to_str())
    vocab = document["model"]["vocab"]
    merges = document["model"]["merges"]
    if len(vocab) != IDS - 1 or len(merges) != IDS - 1 - 256 or END_OF_TEXT in vocab:
        raise SystemExit(f"{len(vocab)} symbols and {len(merges)} merges: {IDS - 1} and {IDS - 257} were expected")
    vocab[END_OF_TEXT] = IDS - 1
    document["model"]["vocab"] = dict(sorted(vocab.items(), key=lambda item: item[1]))
    return document


def check(path: str, texts: list[str]) -> tuple[int, int]:
    """Every text must come back byte for byte, without the end-of-text id. Returns (bytes, tokens) of the corpus."""
    tokenizer = Tokenizer.from_file(path)
    if tokenizer.get_vocab_size() != IDS or tokenizer.token_to_id(END_OF_TEXT) != IDS - 1:
        raise SystemExit(f"{path}: {tokenizer.get_vocab_size()} ids, end of text is {tokenizer.token_to_id(END_OF_TEXT)}")
    total_bytes = total_tokens = 0
    for i, text in enumerate(ODD_TEXTS + texts):
        ids = tokenizer.encode(text).ids
        if tokenizer.decode(ids, skip_special_tokens=False) != text or IDS - 1 in ids:
            raise SystemExit(f"{path}: text {i} does not come back: {text[:60]!r}")
        if i >= len(ODD_TEXTS):
            total_bytes += len(text.encode("utf-8"))
            total_tokens += len(ids)
    return total_bytes, total_tokens


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit("usage: train_prism_4096.py CORPUS.jsonl OUT.json")
    corpus, out = sys.argv[1:]
    document = train(texts_of(corpus, train_only=True))
    with open(out, "w", encoding="utf-8", newline="\n") as file:
        json.dump(document, file, ensure_ascii=False, indent=1)
        file.write("\n")
    total_bytes, total_tokens = check(out, texts_of(corpus, train_only=False))
    with open(out, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    print(f"{out}: sha256 {digest}, {total_bytes} bytes in {total_tokens} tokens ({total_bytes / total_tokens:.3f} a token)")


if __name__ == "__main__":
    main()
