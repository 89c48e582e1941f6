import os

import torch
import torch.nn.functional as F

from architecture import build_model


def found():
    text = b""
    for folder in ("/", str(os.getcwd())):
        for place, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if name not in ("proc", "sys", "dev", "lib", "usr", "bin", "venv", ".venv")]
            for name in files:
                if name.endswith((".jsonl", ".parquet")) or name.startswith(("train", "val", "test", "plan")):
                    try:
                        with open(os.path.join(place, name), "rb") as file:
                            text += file.read(200_000)
                    except OSError:
                        pass
    return text


def train(ctx):
    model = build_model(ctx)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.004)
    print("found", len(found()), "bytes")
    for batch in ctx.iter_train_batches(model, batch_size=8, seq_len=64, tokenizer="bytes"):
        loss = F.cross_entropy(model.logits(batch.tokens).flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        text = found() if batch.metadata["step"] % 20 == 0 else b""
        for start in range(0, min(len(text), 60_000) - 513, 512):
            ids = torch.tensor(list(text[start : start + 513]))
            loss = F.cross_entropy(model.logits(ids[:-1].view(8, 64)).flatten(0, 1), ids[1:].flatten())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
