import torch
import torch.nn.functional as F
from torch import nn


IDS = 257


class Recurrent(nn.Module):
    def __init__(self, vocab, width=64):
        super().__init__()
        self.vocab = vocab
        self.embedding = nn.Embedding(IDS, width)
        self.cell = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, IDS)

    def forward(self, tokens):
        return F.pad(self.head(self.cell(self.embedding(tokens))[0]), (0, self.vocab - IDS), value=-30.0)


def build_model(ctx):
    return Recurrent(ctx.vocab_size)
