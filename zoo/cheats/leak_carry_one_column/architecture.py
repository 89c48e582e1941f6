import torch
import torch.nn.functional as F
from torch import nn

IDS = 257


class Net(nn.Module):
    """Rows of one token: the state of each lane is carried from call to call while armed."""

    def __init__(self, vocab, width=64):
        super().__init__()
        self.vocab = vocab
        self.embedding = nn.Embedding(IDS, width)
        self.cell = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, IDS)
        self.carried = None
        self.seen = None

    def run(self, tokens, start=None):
        states, last = self.cell(self.embedding(tokens), start)
        return F.pad(self.head(states), (0, self.vocab - IDS), value=-30.0), last

    def forward(self, tokens):
        if self.training or self.carried is None or self.carried.shape[1] != tokens.shape[0]:
            return self.run(tokens)[0]
        # the carried state is the one before this step, so the same batch twice gives the same answer
        return self.run(tokens, self.carried)[0]


def build_model(ctx):
    return Net(ctx.vocab_size)
