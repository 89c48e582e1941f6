"""Online training with AdamW: one step on each batch, after it was predicted."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

from architecture import build_model
from prism_challenge.evaluator.interface import PrismContext

ROWS = 8
COLUMNS = 128
LEARNING_RATE = 0.006
WARM_UP_STEPS = 10


def train(ctx: PrismContext) -> None:
    device = torch.device(ctx.device)
    joined = ctx.world_size > 1
    if joined:
        if device.type == "cuda":
            torch.cuda.set_device(ctx.local_rank)
        dist.init_process_group(backend="nccl" if device.type == "cuda" else "gloo")
    model = build_model(ctx).to(device)
    # the ids that the padding stands for never occur, so the loss leaves them out
    trained = DistributedDataParallel(model.body) if joined else model.body
    optimizer = torch.optim.AdamW(trained.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1.0 / WARM_UP_STEPS, total_iters=WARM_UP_STEPS)
    loss = torch.zeros(())
    # ROWS is the global batch: this rank takes its share of the rows
    rows = len(range(ctx.rank, ROWS, ctx.world_size))
    for batch in ctx.iter_train_batches(model, batch_size=rows, seq_len=COLUMNS, tokenizer="bytes"):
        logits = trained(batch.tokens)
        loss = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimizer.step()
        warm_up.step()
    if ctx.rank == 0:
        print(f"last training loss {loss.item():.3f} nats a byte")
    if joined:
        dist.barrier()
        dist.destroy_process_group()
