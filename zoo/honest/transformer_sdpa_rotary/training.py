import torch
import torch.nn.functional as F

from architecture import build_model


def rate(step, warm_up=8, decay=200):
    """Linear warm-up, then a cosine."""
    warmth = min(1.0, (step + 1) / warm_up)
    return warmth * (0.55 + 0.45 * torch.cos(torch.tensor(min(step / decay, 1.0) * 3.14159)).item())


def train(ctx):
    model = build_model(ctx).to(ctx.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.006, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    for batch in ctx.iter_train_batches(model, batch_size=4, seq_len=128, tokenizer="prism-4096"):
        loss = F.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
