import torch
import torch.nn.functional as F
from torch import nn


IDS = 257


class Dropped(nn.Module):
    def __init__(self, vocab, width=96):
        super().__init__()
        self.vocab = vocab
        self.embedding = nn.Embedding(IDS, width)
        self.drop = nn.Dropout(0.5)
        self.convs = nn.ModuleList([nn.Conv1d(width, width, 4) for _ in range(2)])
        self.head = nn.Linear(width, IDS)

    def forward(self, tokens):
        x = self.drop(self.embedding(tokens))
        for conv in self.convs:
            x = x + self.drop(F.gelu(conv(F.pad(x.transpose(1, 2), (3, 0))))).transpose(1, 2)
        return F.pad(self.head(x), (0, self.vocab - IDS), value=-30.0)


def build_model(ctx):
    return Dropped(ctx.vocab_size)
