"""The tokenizers of a run, for a submission that wants to look at text. The referee tokenizes by
itself, in Rust.

`bytes` is UTF-8. The others are BPE read from a tokenizer.json, byte-level (GPT-2) or with a sign for
the space and tokens for single bytes (Llama): written out here, simple and slow, so that no package
is needed. Same ids as the referee's, with one limit: the character classes are those of this
Python's Unicode tables. Text that spells a special token ("<|endoftext|>") is plain text, nothing is
put before a text, and what is no text (lone surrogates) is U+FFFD.
"""

from __future__ import annotations

import heapq
import re
import sys
import unicodedata
from collections.abc import Iterable
from functools import cache
from json import load
from typing import Any

END_OF_TEXT = ("<|endoftext|>", "</s>")
SPACE_SIGN = "\u2581"
MAX_CACHED_WORDS = 65_536
# White_Space of Unicode; Python's own \s has four control characters more
_SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


class TokenizerRefused(TypeError):
    """A tokenizer that is no name: an object with code of its own."""


class UnknownTokenizer(ValueError):
    """A name that this run does not have."""


class ByteTokenizer:
    """Ids 0 to 255 are bytes; the ids above (end of text) decode to nothing."""

    def __init__(self, name: str, vocab_size: int) -> None:
        self.name = name
        self.vocab_size = vocab_size

    def encode(self, text: str) -> list[int]:
        """One id per UTF-8 byte."""
        return list(_utf8(text))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; bytes that are not UTF-8 become U+FFFD."""
        return bytes(i for i in ids if 0 <= i < 256).decode("utf-8", "replace")


class BpeTokenizer:
    """BPE from a parsed tokenizer.json. A file of another kind decodes, but `encode` raises
    ValueError.
    """

    def __init__(self, name: str, vocab_size: int, definition: dict[str, Any]) -> None:
        self.name = name
        self.vocab_size = vocab_size
        model = definition["model"]
        self._kind, self._problem = _kind(definition)
        vocab = model["vocab"]
        if isinstance(vocab, list):  # Unigram: token and weight, in the order of the ids
            vocab = {entry[0]: i for i, entry in enumerate(vocab)}
        self._ids: dict[str, int] = vocab
        added = definition.get("added_tokens") or []
        special = {token["id"] for token in added if token.get("special", True)}
        special |= {vocab[token] for token in END_OF_TEXT if token in vocab}
        self._bytes = {
            i: _spelled(token, self._kind) for token, i in vocab.items() if i not in special
        }
        self._ignore_merges = bool(model.get("ignore_merges", False))
        self._ranks: dict[tuple[str, str], int] = {}
        for rank, merge in enumerate(model.get("merges") or []):
            left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
            self._ranks.setdefault((left, right), rank)
        # a token that goes on after a space inside it: then text cannot be cut at spaces
        self._cuts = not any(SPACE_SIGN in token.lstrip(SPACE_SIGN) for token in vocab)
        self._words: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, without special tokens."""
        if self._problem:
            raise ValueError(
                f"tokenizer {self.name!r} cannot encode from Python: {self._problem}; "
                "pass its name to iter_train_batches instead"
            )
        ids: list[int] = []
        for word in self._cut(_utf8(text).decode("utf-8")):
            known = self._words.get(word)
            if known is None:
                known = self._encode_word(self._symbols(word))
                if len(self._words) < MAX_CACHED_WORDS:
                    self._words[word] = known
            ids += known
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids, without end of text; bytes that are not UTF-8 become U+FFFD."""
        return b"".join(self._bytes.get(i, b"") for i in ids).decode("utf-8", "replace")

    def _cut(self, text: str) -> list[str]:
        if self._kind == "words":
            return _gpt2_pattern().findall(text)
        if self._kind == "spaced" and self._cuts:
            return re.findall(" *[^ ]+| +", text)
        return [text]

    def _symbols(self, word: str) -> list[str]:
        if self._kind != "spaced":
            alphabet = _byte_alphabet()
            return [alphabet[byte] for byte in word.encode("utf-8")]
        symbols: list[str] = []
        for char in word:
            token = SPACE_SIGN if char == " " else char
            # a space sign in the text is not a space: its bytes stand for it
            if token in self._ids and char != SPACE_SIGN:
                symbols.append(token)
            else:
                symbols += [f"<0x{byte:02X}>" for byte in char.encode("utf-8")]
        return symbols

    def _encode_word(self, symbols: list[str]) -> list[int]:
        if self._ignore_merges and "".join(symbols) in self._ids:
            return [self._ids["".join(symbols)]]
        return [self._ids[symbol] for symbol in _merge(symbols, self._ranks)]


class Shelf:
    """All tokenizers of a run by name, as the plan lists them: {name: {"file": path or None,
    "size": ids}}.
    """

    def __init__(self, listed: dict[str, dict[str, Any]]) -> None:
        self._listed = listed
        self._loaded: dict[str, ByteTokenizer | BpeTokenizer] = {}

    def get(self, name: object) -> ByteTokenizer | BpeTokenizer:
        """The one tokenizer object of that name. TokenizerRefused for a non-string,
        UnknownTokenizer for an unknown name.
        """
        key = self.check_name(name)
        if key not in self._loaded:
            entry = self._listed[key]
            if entry["file"] is None:
                self._loaded[key] = ByteTokenizer(key, entry["size"])
            else:
                with open(entry["file"], encoding="utf-8") as file:
                    self._loaded[key] = BpeTokenizer(key, entry["size"], load(file))
        return self._loaded[key]

    def check_name(self, name: object) -> str:
        """`name` as the plan spells it (case is ignored)."""
        if not isinstance(name, str):
            raise TokenizerRefused(f"a tokenizer's name must be a string, got {type(name).__name__}")
        for key in self._listed:
            if key.lower() == name.lower():
                return key
        raise UnknownTokenizer(
            f"unknown tokenizer {str(name)!r}; this run has {', '.join(sorted(self._listed))}"
        )

    def name_of(self, tokenizer: object) -> str | None:
        """What to tell the referee for the `tokenizer` argument of iter_train_batches."""
        if tokenizer is None:
            return None
        if isinstance(tokenizer, str):
            return self.check_name(tokenizer)
        for name, own in self._loaded.items():
            if own is tokenizer:
                return name
        raise TokenizerRefused(
            "tokenizer must be None, a name, or what ctx.reference_tokenizer(name) returned; "
            f"got {type(tokenizer).__name__}: tokenizers that are code are not accepted"
        )


def _utf8(text: str) -> bytes:
    """The bytes of `text`; surrogates are joined to characters, or U+FFFD where they are alone."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode("utf-8")


def _kind(definition: dict[str, Any]) -> tuple[str, str | None]:
    """`words` or `whole` (byte-level), `spaced` or `other`, and why it cannot encode, if so."""
    model, normalizer = definition["model"], definition.get("normalizer") or {}
    pre, decoder = definition.get("pre_tokenizer") or {}, definition.get("decoder") or {}
    bpe = model.get("type") == "BPE" or ("type" not in model and "merges" in model)
    plain = bpe and not any(
        model.get(option) for option in ("continuing_subword_prefix", "end_of_word_suffix")
    )
    if pre.get("type") == "ByteLevel":
        kind = "words" if pre.get("use_regex", True) else "whole"
        if not plain:
            return kind, "its model is not plain BPE"
        return kind, "it has a normalizer" if normalizer else None
    if "'type': 'ByteLevel'" in str([normalizer, pre, decoder]):
        return "whole", "its pre-tokenizer is not ByteLevel alone"
    parts = [
        part for part in normalizer.get("normalizers", [normalizer]) if part.get("type") != "Prepend"
    ]
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE_SIGN}
    spaced = (parts == [replace] and not pre) or (
        parts in ([], [{}])
        and pre.get("type") == "Metaspace"
        and pre.get("split") is False
        and pre.get("replacement") == SPACE_SIGN
    )
    if spaced and plain and model.get("byte_fallback") and not model.get("ignore_merges"):
        return "spaced", None
    if SPACE_SIGN in str([normalizer, pre, decoder]) or pre.get("type") == "Metaspace":
        return "spaced", "it is not BPE over characters with byte_fallback"
    return "other", "it is neither byte-level BPE nor BPE with byte_fallback"


def _spelled(token: str, kind: str) -> bytes:
    """The bytes that a token stands for."""
    if kind in ("words", "whole"):
        values = _byte_values()
        return bytes(values[char] for char in token) if all(c in values for c in token) else b""
    if re.fullmatch("<0x[0-9A-Fa-f]{2}>", token):
        return bytes([int(token[3:5], 16)])
    if kind == "spaced":
        token = token.replace(SPACE_SIGN, " ")
    return _utf8(token)


@cache
def _byte_alphabet() -> list[str]:
    """GPT-2's printable character for each byte."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


@cache
def _byte_values() -> dict[str, int]:
    return {symbol: byte for byte, symbol in enumerate(_byte_alphabet())}


@cache
def _gpt2_pattern() -> re.Pattern[str]:
    """GPT-2's pre-tokenizer. `re` has no \\p{L} and \\p{N}, so the classes are spelled out (0.3 s,
    once).
    """
    ranges: dict[str, list[list[int]]] = {"L": [], "N": []}
    for code in range(sys.maxunicode + 1):
        major = unicodedata.category(chr(code))[0]
        if major in ranges:
            runs = ranges[major]
            if runs and runs[-1][1] == code - 1:
                runs[-1][1] = code
            else:
                runs.append([code, code])
    letter, number = (
        "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges[major]) for major in "LN"
    )
    return re.compile(
        f"'s|'t|'re|'ve|'m|'ll|'d| ?[{letter}]+| ?[{number}]+| ?[^{_SPACE}{letter}{number}]+"
        f"|[{_SPACE}]+(?![^{_SPACE}])|[{_SPACE}]+"
    )


def _merge(symbols: list[str], ranks: dict[tuple[str, str], int]) -> list[str]:
    """Applies merges one at a time, lowest rank first, leftmost first: O(n log n) for a word of n
    symbols.
    """
    parts: list[str | None] = list(symbols)
    count = len(parts)
    after, before = list(range(1, count + 1)), list(range(-1, count - 1))
    heap: list[tuple[int, int, str, str]] = []

    def offer(left: int) -> None:
        right = after[left]
        if left >= 0 and right < count:
            pair = (parts[left], parts[right])
            if pair in ranks:
                heapq.heappush(heap, (ranks[pair], left, *pair))

    for index in range(count - 1):
        offer(index)
    while heap:
        _, left, first, second = heapq.heappop(heap)
        right = after[left]
        if parts[left] != first or right >= count or parts[right] != second:
            continue  # one of the two was merged meanwhile
        parts[left], parts[right] = first + second, None
        after[left] = after[right]
        if after[left] < count:
            before[after[left]] = left
        offer(left)
        if before[left] >= 0:
            offer(before[left])
    return [part for part in parts if part is not None]
