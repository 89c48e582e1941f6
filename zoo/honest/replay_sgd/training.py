import torch
import torch.nn.functional as F

from architecture import build_model


def train(ctx):
    model = build_model(ctx).to(ctx.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.15, momentum=0.9, nesterov=True)
    past = []
    for batch in ctx.iter_train_batches(model, batch_size=8, seq_len=64, tokenizer="bytes"):
        past.append((batch.tokens, batch.targets))
        for tokens, targets in (past[-1], past[torch.randint(len(past), (1,)).item()]):
            loss = F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
