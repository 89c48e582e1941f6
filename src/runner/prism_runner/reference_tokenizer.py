"""The tokenizers of a run, for a submission that wants to look at text. The referee tokenizes by
itself, in Rust.

`bytes` is UTF-8. The others are byte-level BPE read from a tokenizer.json: written out here, simple
and slow, so that no package is needed. Same ids as the Rust tokenizer for ordinary text, with two
limits: the character classes are those of this Python's Unicode tables, and text that spells a
special token ("<|endoftext|>") is encoded as plain text.
"""

from __future__ import annotations

import heapq
import re
import sys
import unicodedata
from functools import cache
from json import load
from typing import Any

END_OF_TEXT = "<|endoftext|>"
MAX_CACHED_WORDS = 65_536
# White_Space of Unicode; Python's own \s has four control characters more
_SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


class ByteTokenizer:
    """Ids 0 to 255 are bytes; the ids above (end of text) decode to nothing."""

    def __init__(self, name: str, vocab_size: int) -> None:
        self.name = name
        self.vocab_size = vocab_size

    def encode(self, text: str) -> list[int]:
        """One id per UTF-8 byte."""
        return list(text.encode("utf-8"))

    def decode(self, ids: list[int]) -> str:
        """The text of the ids; bytes that are not UTF-8 become U+FFFD."""
        return bytes(i for i in ids if 0 <= i < 256).decode("utf-8", "replace")


class BpeTokenizer:
    """Byte-level BPE from a parsed tokenizer.json. ValueError for any other kind of file."""

    def __init__(self, name: str, vocab_size: int, definition: dict[str, Any]) -> None:
        self.name = name
        self.vocab_size = vocab_size
        model = definition["model"]
        _require(model.get("type", "BPE") == "BPE", name, "model is not BPE")
        for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
            _require(not model.get(option), name, f"model.{option} is set")
        _require(definition.get("normalizer") is None, name, "a normalizer is set")
        pre = definition.get("pre_tokenizer") or {}
        _require(pre.get("type") == "ByteLevel", name, "the pre-tokenizer is not ByteLevel")
        self._add_prefix_space = bool(pre.get("add_prefix_space", True))
        self._use_regex = bool(pre.get("use_regex", True))
        self._ignore_merges = bool(model.get("ignore_merges", False))
        self._ids: dict[str, int] = model["vocab"]
        special = {token["id"] for token in definition.get("added_tokens") or []}
        self._tokens = {
            i: token for token, i in self._ids.items() if i not in special and token != END_OF_TEXT
        }
        self._ranks: dict[tuple[str, str], int] = {}
        for rank, merge in enumerate(model["merges"]):
            left, right = merge.split(" ") if isinstance(merge, str) else merge
            self._ranks.setdefault((left, right), rank)
        self._words: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, without special tokens."""
        if self._add_prefix_space and text and not text.startswith(" "):
            text = " " + text
        alphabet = _byte_alphabet()
        ids: list[int] = []
        for word in _gpt2_pattern().findall(text) if self._use_regex else [text]:
            known = self._words.get(word)
            if known is None:
                symbols = [alphabet[byte] for byte in word.encode("utf-8")]
                known = self._encode_word(symbols)
                if len(self._words) < MAX_CACHED_WORDS:
                    self._words[word] = known
            ids += known
        return ids

    def decode(self, ids: list[int]) -> str:
        """The text of the ids, without special tokens; bytes that are not UTF-8 become U+FFFD."""
        values = {symbol: byte for byte, symbol in enumerate(_byte_alphabet())}
        symbols = "".join(self._tokens.get(i, "") for i in ids)
        return bytes(values[symbol] for symbol in symbols).decode("utf-8", "replace")

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
        """The one tokenizer object of that name. TypeError for a non-string, ValueError for an
        unknown name.
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
            raise TypeError(f"a tokenizer's name must be a string, got {type(name).__name__}")
        for key in (str(name), name.lower()):
            if key in self._listed:
                return key
        raise ValueError(
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
        raise TypeError(
            "tokenizer must be None, a name, or what ctx.reference_tokenizer(name) returned; "
            f"got {type(tokenizer).__name__}: tokenizers that are code are not accepted"
        )


def _require(holds: bool, name: str, problem: str) -> None:
    if not holds:
        raise ValueError(
            f"tokenizer {name!r} cannot be used from Python: {problem}; "
            "pass its name to iter_train_batches instead"
        )


@cache
def _byte_alphabet() -> list[str]:
    """GPT-2's printable character for each byte."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


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
    bytes.
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
