"""A small decoder-only transformer whose input and output embeddings are one matrix."""

import torch
import torch.nn.functional as F
from torch import nn

from prism_challenge.evaluator.interface import PrismContext

WIDTH = 128
HEADS = 4
LAYERS = 3


class Rotary(nn.Module):
    """Rotary positions (Su et al. 2021): angles for up to max_len positions."""

    def __init__(self, head_width: int, max_len: int) -> None:
        super().__init__()
        speed = 10_000.0 ** (-torch.arange(0, head_width, 2).float() / head_width)
        angle = torch.outer(torch.arange(max_len).float(), speed)
        self.register_buffer("cosine", angle.cos(), persistent=False)
        self.register_buffer("sine", angle.sin(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        length = x.shape[-2]
        cosine, sine = self.cosine[:length], self.sine[:length]
        first, second = x.chunk(2, dim=-1)
        return torch.cat((first * cosine - second * sine, first * sine + second * cosine), dim=-1)


class Block(nn.Module):
    """Pre-norm causal attention, then a pre-norm feed-forward layer with squared ReLU."""

    def __init__(self, width: int, heads: int, rotary: Rotary) -> None:
        super().__init__()
        self.heads = heads
        self.rotary = rotary
        self.attention_norm = nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.feed_norm = nn.RMSNorm(width)
        self.feed_in = nn.Linear(width, 4 * width, bias=False)
        self.feed_out = nn.Linear(4 * width, width, bias=False)
        # each block starts as the identity
        nn.init.zeros_(self.attention_out.weight)
        nn.init.zeros_(self.feed_out.weight)

    def attend(self, x: torch.Tensor) -> torch.Tensor:
        rows, length, width = x.shape
        query, key, value = self.qkv(x).view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(self.rotary(query), self.rotary(key), value, is_causal=True)
        return self.attention_out(mixed.transpose(1, 2).reshape(rows, length, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attend(self.attention_norm(x))
        return x + self.feed_out(F.relu(self.feed_in(self.feed_norm(x))).square())


class TinyTransformer(nn.Module):
    """tokens int64 [rows, length] to logits float32 [rows, length, vocab]."""

    def __init__(self, vocab: int, max_len: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, WIDTH)
        nn.init.normal_(self.embedding.weight, std=0.05)
        self.embedding_norm = nn.RMSNorm(WIDTH)
        rotary = Rotary(WIDTH // HEADS, max_len)
        self.blocks = nn.ModuleList([Block(WIDTH, HEADS, rotary) for _ in range(LAYERS)])
        self.norm = nn.RMSNorm(WIDTH)
        self.bias = nn.Parameter(torch.zeros(vocab))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding_norm(self.embedding(tokens))
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.embedding.weight, self.bias)


def build_model(ctx: PrismContext) -> nn.Module:
    return TinyTransformer(ctx.vocab_size, ctx.max_seq_len)
