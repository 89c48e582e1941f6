import torch
import torch.nn.functional as F
from torch import nn


IDS = 257


class LongConv(nn.Module):
    """A filter as long as the row, from a small network of the position, applied by FFT (Poli et al. 2023)."""

    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.short = nn.Conv1d(3 * width, 3 * width, 3, groups=3 * width)
        self.filter = nn.Sequential(nn.Linear(8, 32), nn.SiLU(), nn.Linear(32, width))
        self.decay = nn.Parameter(torch.linspace(-4.0, 0.0, width))
        self.out = nn.Linear(width, width)

    def kernel(self, length):
        t = torch.arange(length).float()[:, None]
        waves = torch.cat([torch.sin(t / 4.0**n) for n in range(4)] + [torch.cos(t / 4.0**n) for n in range(4)], dim=-1)
        return self.filter(waves) * torch.exp(-t * self.decay.exp())

    def forward(self, x):
        length = x.shape[1]
        mixed = self.short(F.pad(self.project(self.norm(x)).transpose(1, 2), (2, 0))).transpose(1, 2)
        a, b, v = mixed.chunk(3, dim=-1)
        # twice the length: the convolution must not wrap around
        spectrum = torch.fft.rfft(a * v, n=2 * length, dim=1) * torch.fft.rfft(self.kernel(length), n=2 * length, dim=0)
        return x + self.out(b * torch.fft.irfft(spectrum, n=2 * length, dim=1)[:, :length])


class Model(nn.Module):
    def __init__(self, vocab, width=48):
        super().__init__()
        self.vocab = vocab
        self.embedding = nn.Embedding(IDS, width)
        self.layers = nn.Sequential(LongConv(width), LongConv(width))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, IDS)

    def forward(self, tokens):
        return F.pad(self.head(self.norm(self.layers(self.embedding(tokens)))), (0, self.vocab - IDS), value=-30.0)


def build_model(ctx):
    return Model(ctx.vocab_size)
