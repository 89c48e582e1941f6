import torch
import torch.nn.functional as F
from torch import nn


class LinearAttention(nn.Module):
    """phi(q) . cumsum(phi(k) v^T), with phi = elu + 1 (Katharopoulos et al. 2020)."""

    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        q, k = F.elu(q) + 1, F.elu(k) + 1
        state = torch.einsum("bti,btj->btij", k, v).cumsum(dim=1)
        total = (q * k.cumsum(dim=1)).sum(dim=-1, keepdim=True)
        return x + self.out(torch.einsum("bti,btij->btj", q, state) / (total + 1e-6))


class Model(nn.Module):
    def __init__(self, vocab, width=32):
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        self.mix = nn.Conv1d(width, width, 3)
        self.layers = nn.Sequential(LinearAttention(width), LinearAttention(width))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocab)

    def forward(self, tokens):
        x = self.embedding(tokens)
        x = x + F.gelu(self.mix(F.pad(x.transpose(1, 2), (2, 0)))).transpose(1, 2)
        return self.head(self.norm(self.layers(x)))


def build_model(ctx):
    return Model(ctx.vocab_size)
