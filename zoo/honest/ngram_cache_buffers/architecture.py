import torch
import torch.nn.functional as F
from torch import nn


IDS = 257
SLOTS = 8192


class Counted(nn.Module):
    """A small convolution, and counts of what followed the last three bytes; a learned gate weighs the two."""

    def __init__(self, vocab, width=48):
        super().__init__()
        self.vocab = vocab
        self.embedding = nn.Embedding(IDS, width)
        self.conv = nn.Conv1d(width, width, 5)
        self.head = nn.Linear(width, IDS)
        self.gate = nn.Parameter(torch.tensor(0.0))
        self.register_buffer("counts", torch.zeros(SLOTS, IDS))

    def slots(self, tokens):
        before = F.pad(tokens, (2, 0), value=258)
        return (before[:, :-2] * 67_600 + before[:, 1:-1] * 260 + before[:, 2:]) % 1_000_003 % SLOTS

    def learn(self, tokens, targets):
        places = self.slots(tokens).flatten() * IDS + targets.flatten()
        self.counts.view(-1).scatter_add_(0, places, torch.ones(places.shape))

    def forward(self, tokens):
        x = self.embedding(tokens)
        x = x + F.gelu(self.conv(F.pad(x.transpose(1, 2), (4, 0)))).transpose(1, 2)
        logits = self.head(x)
        seen = torch.log1p(self.counts[self.slots(tokens)])
        return F.pad(logits + F.softplus(self.gate) * seen, (0, self.vocab - IDS), value=-30.0)


def build_model(ctx):
    return Counted(ctx.vocab_size)
