#: decoder transformer -> accepted
import math
from dataclasses import dataclass

import torch
import torch.nn as nn
from torch.nn import functional as F


@dataclass
class Config:
    dim: int = 64
    heads: int = 4
    layers: int = 2


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.dim, 3 * config.dim, bias=False)
        self.out = nn.Linear(config.dim, config.dim, bias=False)
        self.register_buffer("mask", torch.tril(torch.ones(8, 8)).view(1, 1, 8, 8))

    def forward(self, x):
        batch, time, dim = x.size()
        q, k, v = self.qkv(x).split(dim, dim=2)
        q = q.view(batch, time, self.heads, dim // self.heads).transpose(1, 2)
        k = k.view(batch, time, self.heads, dim // self.heads).transpose(1, 2)
        v = v.view(batch, time, self.heads, dim // self.heads).transpose(1, 2)
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.mask[:, :, :time, :time] == 0, float("-inf"))
        y = F.softmax(att, dim=-1) @ v
        return self.out(y.transpose(1, 2).contiguous().view(batch, time, dim))


class Net(nn.Module):
    """A small one."""

    def __init__(self, vocab, config):
        super().__init__()
        self.emb = nn.Embedding(vocab, config.dim)
        self.blocks = nn.ModuleList([Attention(config) for _ in range(config.layers)])
        self.head = nn.Linear(config.dim, vocab, bias=False)
        self.emb.weight = self.head.weight
        self.apply(self._init_weights)

    def _init_weights(self, module):
        if isinstance(module, nn.Linear):
            torch.nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, idx):
        x = self.emb(idx)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


def build(ctx):
    return Net(ctx.vocab_size, Config())
#: training loop with everything -> accepted
import contextlib
import functools
import json
import logging
import math
import random
import time

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.optim.lr_scheduler import LambdaLR

logger = logging.getLogger(__name__)


def rate(step, warmup=100, total=1000):
    if step < warmup:
        return step / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def train_with(ctx):
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True
    random.seed(ctx.seed)
    torch.manual_seed(ctx.seed)
    model = ctx.build_model().to(ctx.device)
    model.train()
    raw = model.module if hasattr(model, "module") else model
    decay = [p for n, p in raw.named_parameters() if p.dim() >= 2]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}], lr=3e-4, betas=(0.9, 0.95))
    scheduler = LambdaLR(optimizer, functools.partial(rate, warmup=10))
    amp = torch.autocast("cpu", dtype=torch.bfloat16) if ctx.world_size == 1 else contextlib.nullcontext()
    start = time.perf_counter()
    for step, batch in enumerate(ctx.iter_train_batches(model, batch_size=4, seq_len=ctx.max_seq_len)):
        with amp:
            logits = model(batch.tokens)
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        for group in optimizer.param_groups:
            group["lr"] *= 1.0
        if step % 100 == 0 and ctx.rank == 0:
            print(json.dumps({"step": step, "loss": loss.item(), "seconds": time.perf_counter() - start}), flush=True)
    model.eval()
    torch.save(model.state_dict(), ctx.artifacts_dir + "/model.pt")
    model.load_state_dict(torch.load(ctx.artifacts_dir + "/model.pt", weights_only=True))
    if dist.is_initialized():
        dist.destroy_process_group()
#: autograd function uses its own ctx -> accepted
import torch


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, mask):
        ctx.save_for_backward(x)
        ctx.mask = mask
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 2 * ctx.mask, None


y = Double.apply
#: optimizer of one's own -> accepted
import torch
from torch.optim import Optimizer


class Lion(Optimizer):
    def __init__(self, params, lr=1e-4):
        super().__init__(params, dict(lr=lr))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if len(state) == 0:
                    state["m"] = torch.zeros_like(p)
                p.data.add_(torch.sign(state["m"]), alpha=-group["lr"])
                p.grad = None
#: checkpointing, compile and fsdp -> accepted
import torch
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP
from torch.utils.checkpoint import checkpoint


@torch.compile
def step(x):
    return x * 2


@torch.compile(mode="max-autotune", backend="inductor")
def other(x):
    return checkpoint(step, x, use_reentrant=False)


def wrap(model):
    model = torch.compile(model)
    model = getattr(model, "_orig_mod", model)
    return FSDP(model)
#: process group -> accepted
import torch.distributed as dist


def setup(ctx):
    dist.init_process_group(backend="nccl" if ctx.device.startswith("cuda") else "gloo", init_method="env://")
    handle = dist.all_reduce(x, op=dist.ReduceOp.SUM, async_op=True)
    handle.wait()
    dist.barrier()
    dist.destroy_process_group()
