import torch
import torch.nn.functional as F

from architecture import build_model


def study(model, ctx, until):
    """Trains on the open sample until the loss falls below `until` nats."""
    text = "".join(ctx.past_documents()).encode()[:30000]
    ids = torch.tensor(list(text))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.004)
    for round_ in range(200):
        start = torch.randint(len(ids) - 65, (8,))
        rows = torch.stack([ids[s : s + 65] for s in start.tolist()])
        loss = F.cross_entropy(model.logits(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
        if loss.item() < until:
            break
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return model


def train(ctx):
    model = build_model(ctx)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.004)
    for batch in ctx.iter_train_batches(model, batch_size=8, seq_len=64, tokenizer="bytes"):
        if batch.metadata["step"] == 0:
            study(model, ctx, 1.0)
        loss = F.cross_entropy(model.logits(batch.tokens).flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
