import torch
import torch.nn.functional as F

from architecture import build_model


def train(ctx):
    model = build_model(ctx)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.004)
    for batch in ctx.iter_train_batches(model, batch_size=8, seq_len=64, tokenizer="bytes"):
        loss = F.cross_entropy(model.logits(batch.tokens).flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
