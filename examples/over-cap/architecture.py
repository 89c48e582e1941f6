"""Must be rejected by the parameter cap: 201 million parameters, where 150 million are allowed."""

import torch
from torch import nn

from prism_challenge.evaluator.interface import PrismContext

WIDTH = 4096
LAYERS = 11


class Wide(nn.Module):
    """tokens int64 [rows, length] to logits float32 [rows, length, vocab]: 11 square layers and a tied embedding."""

    def __init__(self, vocab: int) -> None:
        super().__init__()
        # half-size numbers and no initialisation: the model is only there to be counted
        kind = {"dtype": torch.bfloat16}
        self.embedding = nn.utils.skip_init(nn.Embedding, vocab, WIDTH, **kind)
        square = [nn.utils.skip_init(nn.Linear, WIDTH, WIDTH, bias=False, **kind) for _ in range(LAYERS)]
        self.layers = nn.ModuleList(square)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        for layer in self.layers:
            x = x + torch.tanh(layer(x))
        return nn.functional.linear(x, self.embedding.weight).float()


def build_model(ctx: PrismContext) -> nn.Module:
    return Wide(ctx.vocab_size)
