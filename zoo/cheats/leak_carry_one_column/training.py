import torch
import torch.nn.functional as F

from architecture import build_model


def train(ctx):
    model = build_model(ctx)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    past = []
    for batch in ctx.iter_train_batches(model, batch_size=128, seq_len=1, tokenizer="bytes"):
        past.append((batch.tokens, batch.targets))
        tokens = torch.cat([pair[0] for pair in past[-32:]], dim=1)
        targets = torch.cat([pair[1] for pair in past[-32:]], dim=1)
        logits, last = model.run(tokens)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.carried = model.run(tokens)[1]
    model.carried = None
