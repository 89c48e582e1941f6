import torch
import torch.nn.functional as F
from torch import nn


class Recurrent(nn.Module):
    def __init__(self, vocab, width=64):
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        self.cell = nn.LSTM(width, width, num_layers=2, dropout=0.1, batch_first=True)
        self.head = nn.Linear(width, vocab)

    def forward(self, tokens):
        return self.head(self.cell(self.embedding(tokens))[0])


def build_model(ctx):
    return Recurrent(ctx.vocab_size)
