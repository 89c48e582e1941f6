"""Bytes through one gated recurrent layer; every row starts from an empty state."""

import torch
import torch.nn.functional as F
from torch import nn

from prism_challenge.evaluator.interface import PrismContext

# 256 bytes and end of text: the ids that the `bytes` tokenizer has
IDS = 257
EMBEDDING_WIDTH = 64
STATE_WIDTH = 192
# logit of an id that never occurs
NEVER = -30.0


class ByteGru(nn.Module):
    """tokens int64 [rows, length] to logits float32 [rows, length, IDS]."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(IDS, EMBEDDING_WIDTH)
        self.recurrent = nn.GRU(EMBEDDING_WIDTH, STATE_WIDTH, batch_first=True)
        self.norm = nn.LayerNorm(STATE_WIDTH)
        self.head = nn.Linear(STATE_WIDTH, IDS)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        states, _ = self.recurrent(self.embedding(tokens))
        return self.head(self.norm(states))


class Padded(nn.Module):
    """The logits of `body`, widened to the vocabulary of the contest; training needs only `body`."""

    def __init__(self, body: nn.Module, vocab: int) -> None:
        super().__init__()
        self.body = body
        self.unused = vocab - IDS

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return F.pad(self.body(tokens), (0, self.unused), value=NEVER)


def build_model(ctx: PrismContext) -> nn.Module:
    return Padded(ByteGru(), ctx.vocab_size)
