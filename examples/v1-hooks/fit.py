"""The training hooks: an optimizer of its own, and a step that clips."""

import torch
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from model import inference_logits as predict


def configure_optimizer(model, recipe, ctx):
    return torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )


def train_step(model, batch, optimizer, ctx):
    optimizer.zero_grad(set_to_none=True)
    logits = predict(model, batch, ctx)
    loss = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
    loss.backward()
    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.detach()


def save_checkpoint(model, checkpoint_dir, ctx):
    torch.save(model.state_dict(), checkpoint_dir / "model.pt")
    return "model.pt"
