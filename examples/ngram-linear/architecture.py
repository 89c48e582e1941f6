"""A low-rank n-gram model: one vector per (distance, token), added up, and a linear map to the logits."""

import torch
import torch.nn.functional as F
from torch import nn

from prism_challenge.evaluator.interface import PrismContext

# how many tokens back the model looks, the current one included
ORDER = 3
RANK = 64


class NgramLinear(nn.Module):
    """tokens int64 [rows, length] to logits float32 [rows, length, vocab]; nothing in it but sums."""

    def __init__(self, vocab: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList([nn.Embedding(vocab, RANK) for _ in range(ORDER)])
        for distance, table in enumerate(self.tables):
            nn.init.normal_(table.weight, std=0.1 / (1 + distance))
        self.head = nn.Linear(RANK, vocab)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        length = tokens.shape[1]
        total = self.tables[0](tokens)
        for distance in range(1, min(ORDER, length)):
            seen = self.tables[distance](tokens[:, : length - distance])
            total = total + F.pad(seen, (0, 0, distance, 0))
        return self.head(total)


def build_model(ctx: PrismContext) -> nn.Module:
    return NgramLinear(ctx.vocab_size)
