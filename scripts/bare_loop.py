#!/usr/bin/env python3
"""Run a two-script submission bare: one Python process, no sandbox, no referee, loss computed in process.

    .venv/bin/python scripts/bare_loop.py examples/tiny-1m --bytes 524288

It shows an author what a change is worth in half a minute, and it is what the referee's cost is compared with.
It is no measurement: the submission could do as it likes in here. Run only code that you trust.

The text is the train part of the corpus in id order, cut at --bytes; its tokens lie in batch_size contiguous
lanes; a batch is predicted in eval mode, charged, and only then handed to the submission. Tokens at the end that
fill no whole batch are left out. Prints one line of JSON.
"""

import argparse
import dataclasses
import hashlib
import json
import math
import re
import sys
import time
import types
from pathlib import Path

import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parent.parent
# the ByteLevel pre-tokenizer's pattern, with Python's classes for \p{L} and \p{N}
WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")


@dataclasses.dataclass
class Batch:
    """tokens, targets: int64 [rows, columns]; a target is the token after the one at its place."""

    tokens: torch.Tensor
    targets: torch.Tensor
    metadata: dict


class PrismContext:
    """The part of the context that the examples use, with the default geometry."""

    def __init__(self, submission: Path, text: str, tokenizers: Path, device: str, vocab_size: int = 4096) -> None:
        self.vocab_size = vocab_size
        self.sequence_length = self.max_seq_len = 128
        self.max_parameters = self.max_params = 150_000_000
        self.seed = 1337
        self.rank = self.local_rank = 0
        self.world_size = 1
        self.device = device
        self.token_budget = self.step_budget = self.budget_seconds = None
        self.submission, self.text, self.tokenizers = submission, text, tokenizers
        self.nats = self.seconds_predicting = self.seconds_stream = 0.0
        self.tokens = self.bytes = self.steps = 0

    def build_model(self) -> torch.nn.Module:
        torch.manual_seed(self.seed)
        return sys.modules["architecture"].build_model(self)

    def iter_train_batches(self, model, *, batch_size: int = 8, seq_len: int | None = None, tokenizer: str | None = None):
        seq_len = seq_len or self.sequence_length
        ids, sizes = encode(self.text, tokenizer or "bytes", self.tokenizers)
        lane = len(ids) // batch_size
        lanes = torch.tensor(ids[: lane * batch_size]).view(batch_size, lane)
        lane_sizes = torch.tensor(sizes[: lane * batch_size]).view(batch_size, lane)
        # the first token of a lane has no context
        self.charge(batch_size * math.log(self.vocab_size), lane_sizes[:, :1])
        began_stream = time.perf_counter()
        for start in range(0, lane - seq_len, seq_len):
            tokens = lanes[:, start : start + seq_len].to(self.device)
            targets = lanes[:, start + 1 : start + seq_len + 1].to(self.device)
            began = time.perf_counter()
            model.eval()
            with torch.no_grad():
                logits = model(tokens.clone())
                if logits.shape != (batch_size, seq_len, self.vocab_size):
                    raise SystemExit(f"logits are {tuple(logits.shape)}, not {(batch_size, seq_len, self.vocab_size)}")
                nats = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum").item()
            self.charge(nats, lane_sizes[:, start + 1 : start + seq_len + 1])
            self.steps += 1
            self.seconds_predicting += time.perf_counter() - began
            model.train()
            yield Batch(tokens, targets, {"step": self.steps})
            self.seconds_stream = time.perf_counter() - began_stream

    def charge(self, nats: float, sizes: torch.Tensor) -> None:
        self.nats += nats
        self.tokens += sizes.numel()
        self.bytes += int(sizes.sum())


def encode(text: str, name: str, folder: Path) -> tuple[list[int], list[int]]:
    """Ids of the text and the bytes that each stands for."""
    if name == "bytes":
        ids = list(text.encode("utf-8"))
        return ids, [1] * len(ids)
    model = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["model"]
    vocab = model["vocab"]
    rank = {tuple(pair): i for i, pair in enumerate(model["merges"])}
    symbol = byte_symbols()
    known: dict[str, list[str]] = {}
    ids, sizes = [], []
    for word in WORDS.findall(text):
        parts = known.get(word)
        if parts is None:
            parts = known[word] = merged([symbol[b] for b in word.encode("utf-8")], rank)
        ids += [vocab[part] for part in parts]
        sizes += [len(part) for part in parts]
    return ids, sizes


def merged(parts: list[str], rank: dict[tuple[str, str], int]) -> list[str]:
    """Byte-pair merges, the earliest learned first (Sennrich et al. 2016)."""
    while len(parts) > 1:
        best, at = min((rank.get(pair, len(rank)), i) for i, pair in enumerate(zip(parts, parts[1:])))
        if best == len(rank):
            break
        parts = parts[:at] + [parts[at] + parts[at + 1]] + parts[at + 2 :]
    return parts


def byte_symbols() -> list[str]:
    """The printable character that stands for each byte in byte-level BPE vocabularies."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = iter(range(256, 512))
    return [chr(b) if b in printable else chr(next(rest)) for b in range(256)]


def train_text(corpus: Path, limit_bytes: int) -> str:
    """Documents of the train split (int(sha256(id)) mod 1000 below 950) in id order, cut at the limit."""
    rows = sorted((json.loads(line) for line in corpus.open(encoding="utf-8")), key=lambda row: row["id"])
    text = "".join(r["text"] for r in rows if int(hashlib.sha256(r["id"].encode()).hexdigest(), 16) % 1000 < 950)
    return text.encode("utf-8")[:limit_bytes].decode("utf-8", errors="ignore")


def main() -> None:
    parser = argparse.ArgumentParser(description="Run a two-script submission bare, without sandbox or referee.")
    parser.add_argument("submission", type=Path)
    parser.add_argument("--corpus", type=Path, default=ROOT / "examples/corpus/austen.jsonl")
    parser.add_argument("--tokenizers", type=Path, default=ROOT / "tokenizers")
    parser.add_argument("--bytes", type=int, default=512 * 1024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--vocab-size", type=int, default=4096, help="width of the model's head")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)
    interface = types.ModuleType("prism_challenge.evaluator.interface")
    interface.PrismContext = PrismContext
    sys.modules["prism_challenge"] = types.ModuleType("prism_challenge")
    sys.modules["prism_challenge.evaluator"] = types.ModuleType("prism_challenge.evaluator")
    sys.modules["prism_challenge.evaluator.interface"] = interface
    sys.path.insert(0, str(arguments.submission))
    text = train_text(arguments.corpus, arguments.bytes)
    ctx = PrismContext(arguments.submission, text, arguments.tokenizers, arguments.device, arguments.vocab_size)

    torch.manual_seed(ctx.seed)
    import architecture
    import training

    parameters = sum(p.numel() for p in architecture.build_model(ctx).parameters())
    torch.manual_seed(ctx.seed)
    began, began_cpu = time.perf_counter(), time.process_time()
    training.train(ctx)
    seconds, seconds_cpu = time.perf_counter() - began, time.process_time() - began_cpu
    print(json.dumps({
        "submission": arguments.submission.name,
        "parameters": parameters,
        "steps": ctx.steps,
        "tokens": ctx.tokens,
        "bytes": ctx.bytes,
        "bpb": round(ctx.nats / math.log(2) / ctx.bytes, 4),
        "seconds": round(seconds, 1),
        "seconds_stream": round(ctx.seconds_stream, 3),
        "seconds_cpu": round(seconds_cpu, 1),
        "seconds_predicting": round(ctx.seconds_predicting, 1),
    }))


if __name__ == "__main__":
    main()
