import torch
import torch.nn.functional as F

from architecture import build_model


def train(ctx):
    model = build_model(ctx)
    masters = [part.clone().requires_grad_() for part in model.weights()]
    optimizer = torch.optim.AdamW(masters, lr=0.004)
    for batch in ctx.iter_train_batches(model, batch_size=8, seq_len=64, tokenizer="bytes"):
        loss = F.cross_entropy(model.run(batch.tokens, masters).flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            flat = torch.cat([part.flatten() for part in masters])
            model.packed.view(torch.bfloat16)[: flat.numel()] = flat.to(torch.bfloat16)
