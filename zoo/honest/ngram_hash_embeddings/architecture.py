import torch
import torch.nn.functional as F
from torch import nn


IDS = 257
SLOTS = 4096


class Hashed(nn.Module):
    def __init__(self, vocab, width=32):
        super().__init__()
        self.vocab = vocab
        self.tables = nn.ModuleList([nn.Embedding(SLOTS, width) for _ in range(4)])
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.3)
        self.hidden = nn.Linear(width, 4 * width)
        self.head = nn.Linear(4 * width, IDS)

    def forward(self, tokens):
        code = torch.zeros_like(tokens)
        x = 0.0
        for back, table in enumerate(self.tables):
            code = (code * 260 + F.pad(tokens, (back, 0), value=258)[:, : tokens.shape[1]] + 1) % 1_000_003
            x = x + table(code % SLOTS)
        return F.pad(self.head(F.relu(self.hidden(x))), (0, self.vocab - IDS), value=-30.0)


def build_model(ctx):
    return Hashed(ctx.vocab_size)
