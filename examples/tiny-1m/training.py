"""Online training: each batch, once it was predicted, gets one step, and so does an earlier batch drawn at random."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from architecture import build_model
from prism_challenge.evaluator.interface import PrismContext

ROWS = 4
COLUMNS = 128
WARM_UP_BATCHES = 10
# the embedding's rows are seen seldom and take larger steps than the matrices
TABLE_RATE = 0.01
MATRIX_RATE = 0.002
MATRIX_DECAY = 1.0


def join_ranks(ctx: PrismContext) -> bool:
    """Start the process group when there is more than one rank."""
    if ctx.world_size == 1:
        return False
    on_gpu = ctx.device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(ctx.local_rank)
    dist.init_process_group(backend="nccl" if on_gpu else "gloo")
    return True


def make_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """AdamW with two groups; `peak` is the rate after the warm-up."""
    tables = [model.embedding.weight, model.bias]
    # decay of the norms' gains too: it flattens the predictions of a model that sees its batches again
    decayed = [*model.blocks.parameters(), *model.embedding_norm.parameters(), *model.norm.parameters()]
    groups = [
        {"params": tables, "peak": TABLE_RATE, "weight_decay": 0.0},
        {"params": decayed, "peak": MATRIX_RATE, "weight_decay": MATRIX_DECAY},
    ]
    return torch.optim.AdamW(groups, lr=TABLE_RATE, betas=(0.9, 0.95))


def step_on(model: nn.Module, optimizer: torch.optim.Optimizer, tokens: torch.Tensor, targets: torch.Tensor) -> float:
    """One optimizer step; returns the loss before it, in nats a token."""
    loss = F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def train(ctx: PrismContext) -> None:
    joined = join_ranks(ctx)
    model = build_model(ctx).to(ctx.device)
    trained = DistributedDataParallel(model) if joined else model
    optimizer = make_optimizer(model)
    past = []
    loss = 0.0
    # ROWS is the global batch: this rank takes its share of the rows
    rows = len(range(ctx.rank, ROWS, ctx.world_size))
    for batch in ctx.iter_train_batches(model, batch_size=rows, seq_len=COLUMNS, tokenizer="prism-4096"):
        past.append((batch.tokens.clone(), batch.targets.clone()))
        warmth = min(1.0, len(past) / WARM_UP_BATCHES)
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * warmth
        loss = step_on(trained, optimizer, batch.tokens, batch.targets)
        tokens, targets = past[torch.randint(len(past), (1,)).item()]
        step_on(trained, optimizer, tokens, targets)
    if ctx.rank == 0:
        print(f"{len(past)} batches, loss on the last {loss:.3f} nats a token")
    if joined:
        dist.barrier()
        dist.destroy_process_group()
