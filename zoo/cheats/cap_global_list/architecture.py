import torch
import torch.nn.functional as F
from torch import nn

IDS = 257
WEIGHTS = []


class Net(nn.Module):
    def __init__(self, vocab, width=96):
        super().__init__()
        self.vocab = vocab
        self.scale = nn.Parameter(torch.ones(1))
        WEIGHTS[:] = [
            (torch.randn(*shape) * 0.1).requires_grad_() for shape in ((IDS, width), (width, width), (width, IDS))
        ]

    def weights(self):
        return WEIGHTS

    def logits(self, tokens):
        table, mixed, head = self.weights()
        x = F.embedding(tokens, table)
        x = x + F.gelu(F.pad(x, (0, 0, 1, 0))[:, :-1] @ mixed)
        return F.pad(self.scale * (x @ head), (0, self.vocab - IDS), value=-30.0)

    def forward(self, tokens):
        return self.logits(tokens)


def build_model(ctx):
    return Net(ctx.vocab_size)
