import torch
import torch.nn.functional as F
from torch import nn

IDS = 257


class Net(nn.Module):
    def __init__(self, vocab, width=64):
        super().__init__()
        self.vocab = vocab
        self.embedding = nn.Embedding(IDS, width)
        self.cell = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, IDS)
        self.last = None

    def forward(self, tokens):
        start = self.last if self.last is not None and self.last.shape[1] == tokens.shape[0] else None
        states, last = self.cell(self.embedding(tokens), start)
        if not self.training:
            self.last = last.detach()
        return F.pad(self.head(states), (0, self.vocab - IDS), value=-30.0)


def build_model(ctx):
    return Net(ctx.vocab_size)
