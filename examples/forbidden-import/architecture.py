"""A bigram model; nothing is wrong with this half."""

import torch
from torch import nn

from prism_challenge.evaluator.interface import PrismContext

WIDTH = 32


class Bigram(nn.Module):
    """tokens int64 [rows, length] to logits float32 [rows, length, vocab]."""

    def __init__(self, vocab: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, WIDTH)
        self.head = nn.Linear(WIDTH, vocab)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.embedding(tokens))


def build_model(ctx: PrismContext) -> nn.Module:
    return Bigram(ctx.vocab_size)
