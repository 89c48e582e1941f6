import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

IDS = 257


class Net(nn.Module):
    """Features of the last four bytes through fixed random matrices; the matrices are numpy's."""

    def __init__(self, vocab, width=1024, rank=15):
        super().__init__()
        self.vocab = vocab
        draw = np.random.default_rng(0)
        self.tables = [draw.normal(size=(260, width)).astype("float32") * 0.7**back for back in range(5)]
        self.squeeze = draw.normal(size=(width, 32)).astype("float32") / 8
        self.norm = nn.LayerNorm(32)
        self.head = nn.Linear(32, IDS)
        self.direct = nn.Linear(32, 32)

    def forward(self, tokens):
        x = 0.0
        for back, table in enumerate(self.tables):
            shifted = F.pad(tokens, (back, 0), value=258)[:, : tokens.shape[1]]
            x = x + torch.from_numpy(table)[shifted]
        x = self.norm(torch.relu(x) @ torch.from_numpy(self.squeeze))
        return F.pad(self.head(x + F.gelu(self.direct(x))), (0, self.vocab - IDS), value=-30.0)


def build_model(ctx):
    return Net(ctx.vocab_size)
