//! The example of the rule about duplicates: it takes two submissions to break it.

/// What the earlier submission says.
pub const EARLIER: &str = "\
import torch
from torch import nn


class Mixer(nn.Module):
    def __init__(self, vocab, width):
        super().__init__()
        self.embed = nn.Embedding(vocab, width)
        self.decay = nn.Parameter(torch.zeros(width))
        self.head = nn.Linear(width, vocab)

    def forward(self, tokens):
        x = self.embed(tokens)
        keep = torch.sigmoid(self.decay)
        state = torch.zeros_like(x[:, 0])
        states = []
        for step in range(x.shape[1]):
            state = keep * state + (1 - keep) * x[:, step]
            states.append(state)
        return self.head(torch.stack(states, dim=1))


def build_model(ctx):
    return Mixer(ctx.vocab_size, 64)
";

/// The same under other names, with a function that nothing uses.
pub const COPY: &str = "\
import torch
from torch import nn


class MyModel(nn.Module):
    def __init__(self, symbols, size):
        super().__init__()
        self.table = nn.Embedding(symbols, size)
        self.rate = nn.Parameter(torch.zeros(size))
        self.out = nn.Linear(size, symbols)

    def forward(self, ids):
        inputs = self.table(ids)
        kept = torch.sigmoid(self.rate)
        memory = torch.zeros_like(inputs[:, 0])
        collected = []
        for place in range(inputs.shape[1]):
            memory = kept * memory + (1 - kept) * inputs[:, place]
            collected.append(memory)
        return self.out(torch.stack(collected, dim=1))


def unused(x):
    return x + 1


def build_model(ctx):
    return MyModel(ctx.vocab_size, 64)
";

/// Work of one's own on the same contract.
pub const OWN_WORK: &str = "\
import torch
from torch import nn


class Shifted(nn.Module):
    def __init__(self, vocab, width):
        super().__init__()
        self.embed = nn.Embedding(vocab, width)
        self.mix = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(3))
        self.head = nn.Linear(width, vocab)

    def forward(self, tokens):
        x = self.embed(tokens)
        for distance, layer in enumerate(self.mix, start=1):
            before = nn.functional.pad(x, (0, 0, distance, 0))[:, :-distance]
            x = x + torch.tanh(layer(torch.cat([x, before], dim=-1)))
        return self.head(x)


def build_model(ctx):
    return Shifted(ctx.vocab_size, 64)
";
