"""The text that a submission may read: the open sample, then what was charged of the stream."""

from __future__ import annotations

import os
from collections.abc import Iterator
from json import loads


def documents(data_dir: str) -> Iterator[str]:
    """Texts in `data_dir`, the open sample first, then in the order in which they were charged whole.

    Each call reads what is there now. A document comes in one line, written at once.
    """
    for name in sorted(os.listdir(data_dir)):  # "open-…" comes before "past-…"
        if name.endswith(".jsonl"):
            with open(os.path.join(data_dir, name), encoding="utf-8") as file:
                for line in file:
                    yield loads(line)["text"]
