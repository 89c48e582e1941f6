import torch
import torch.nn.functional as F
from torch import nn


IDS = 257


class SlotMemory(nn.Module):
    def __init__(self, vocab, width=48, slots=4):
        super().__init__()
        self.vocab, self.slots = vocab, slots
        self.embedding = nn.Embedding(IDS, width)
        self.cell = nn.GRUCell(2 * width, width)
        self.address_write, self.address_read = nn.Linear(width, slots), nn.Linear(width, slots)
        self.content = nn.Linear(width, width)
        self.head = nn.Linear(2 * width, IDS)

    def forward(self, tokens):
        x = self.embedding(tokens)
        h = torch.zeros_like(x[:, 0])
        memory = h[:, None, :].expand(-1, self.slots, -1)
        recalled = h
        outputs = []
        for t in range(x.shape[1]):
            h = self.cell(torch.cat((x[:, t], recalled), dim=-1), h)
            where = torch.softmax(self.address_write(h), dim=-1)[..., None]
            memory = memory + where * (torch.tanh(self.content(h))[:, None, :] - memory)
            recalled = (torch.softmax(self.address_read(h), dim=-1)[..., None] * memory).sum(dim=1)
            outputs.append(torch.cat((h, recalled), dim=-1))
        return F.pad(self.head(torch.stack(outputs, dim=1)), (0, self.vocab - IDS), value=-30.0)


def build_model(ctx):
    return SlotMemory(ctx.vocab_size)
