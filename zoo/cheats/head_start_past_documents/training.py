import torch
import torch.nn.functional as F

from architecture import build_model


def train(ctx):
    model = build_model(ctx)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.004)
    known = 0
    for batch in ctx.iter_train_batches(model, batch_size=8, seq_len=64, tokenizer="bytes"):
        loss = F.cross_entropy(model.logits(batch.tokens).flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        text = "".join(ctx.past_documents()).encode()
        if len(text) > known + 4000:
            known = len(text)
            ids = torch.tensor(list(text[-8000:]))
            for start in range(0, len(ids) - 513, 512):
                rows = ids[start : start + 512].view(8, 64), ids[start + 1 : start + 513].view(8, 64)
                loss = F.cross_entropy(model.logits(rows[0]).flatten(0, 1), rows[1].flatten())
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
