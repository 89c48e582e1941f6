"""Bytes through dilated causal convolutions (the residual blocks of WaveNet, without its gates)."""

import torch
import torch.nn.functional as F
from torch import nn

from prism_challenge.evaluator.interface import PrismContext

# 256 bytes and end of text: the ids that the `bytes` tokenizer has
IDS = 257
WIDTH = 128
KERNEL = 2
DILATIONS = (1, 2, 4, 8, 16)
# logit of an id that never occurs
NEVER = -30.0


class CausalBlock(nn.Module):
    """x [rows, width, length] plus a convolution that sees only positions at or before its own."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.left = (KERNEL - 1) * dilation
        self.norm = nn.LayerNorm(WIDTH)
        self.mix = nn.Conv1d(WIDTH, 2 * WIDTH, KERNEL, dilation=dilation)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = F.pad(self.norm(x).transpose(1, 2), (self.left, 0))
        value, gate = self.mix(seen).transpose(1, 2).chunk(2, dim=-1)
        return x + self.out(value * F.silu(gate))


class ByteConv(nn.Module):
    """tokens int64 [rows, length] to logits float32 [rows, length, IDS]."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(IDS, WIDTH)
        self.blocks = nn.ModuleList([CausalBlock(dilation) for dilation in DILATIONS])
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, IDS)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class CausalConvModel(nn.Module):
    """The logits of `body`, widened to the vocabulary of the contest; training needs only `body`."""

    def __init__(self, vocab: int) -> None:
        super().__init__()
        self.body = ByteConv()
        self.unused = vocab - IDS

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return F.pad(self.body(tokens), (0, self.unused), value=NEVER)


def build_model(ctx: PrismContext) -> nn.Module:
    return CausalConvModel(ctx.vocab_size)
