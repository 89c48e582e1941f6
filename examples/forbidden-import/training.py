"""Must be rejected by the review: a submission has no use for a network module, even one it only prints."""

import socket

import torch
import torch.nn.functional as F

from architecture import build_model
from prism_challenge.evaluator.interface import PrismContext


def train(ctx: PrismContext) -> None:
    print(f"this machine is called {socket.gethostname()}")
    model = build_model(ctx).to(ctx.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for batch in ctx.iter_train_batches(model, batch_size=8, seq_len=128, tokenizer="bytes"):
        loss = F.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
