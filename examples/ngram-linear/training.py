"""Online training with Adam and a large learning rate: a linear model takes it."""

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from architecture import build_model
from prism_challenge.evaluator.interface import PrismContext

ROWS = 4
COLUMNS = 128
LEARNING_RATE = 0.01


def train(ctx: PrismContext) -> None:
    on_gpu = ctx.device.startswith("cuda")
    joined = ctx.world_size > 1
    if joined:
        if on_gpu:
            torch.cuda.set_device(ctx.local_rank)
        dist.init_process_group(backend="nccl" if on_gpu else "gloo")
    model = build_model(ctx).to(ctx.device)
    trained = DistributedDataParallel(model) if joined else model
    optimizer = torch.optim.Adam(trained.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99))
    loss_of = nn.CrossEntropyLoss()
    # ROWS is the global batch: this rank takes its share of the rows
    rows = len(range(ctx.rank, ROWS, ctx.world_size))
    for batch in ctx.iter_train_batches(model, batch_size=rows, seq_len=COLUMNS, tokenizer="prism-4096"):
        optimizer.zero_grad(set_to_none=True)
        loss_of(trained(batch.tokens).flatten(0, 1), batch.targets.flatten()).backward()
        nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimizer.step()
    if ctx.rank == 0:
        print("every batch was trained on once")
    if joined:
        dist.destroy_process_group()
