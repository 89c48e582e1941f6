"""Losses that are said before all logits are shown: the arithmetic of a commitment.

For every column but the last the label is the next id of the row, which the inputs hold. The referee
computes the same losses in float64 and allows a difference of 1e-5 nats, about the largest error of
a sum of float32 exponentials. All the rest is float64 here.
"""

from __future__ import annotations

import torch

# elements of a block: its temporaries stay in the cache of a CPU; a GPU would wait for small ones
_CPU_BLOCK = 1 << 18
_GPU_BLOCK = 1 << 27

_zeros = torch.zeros
_maximum = torch.amax
_sum = torch.sum
_gather = torch.gather
_float32, _float64, _int64 = torch.float32, torch.float64, torch.int64


def losses(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """-ln softmax(logits)[next id] as float64 [batch, seq]; 0 in the last column.

    `logits` [batch, seq, vocab] of any float dtype are taken as float32; `ids` is int64 [batch, seq].
    A row of logits without a finite maximum gives NaN, a label of probability zero infinity.
    """
    batch, seq, vocab = logits.shape
    labels = _zeros((batch, seq), dtype=_int64, device=logits.device)
    labels[:, :-1] = ids[:, 1:]
    flat, labels = logits.reshape(batch * seq, vocab), labels.view(-1, 1)
    nats = _zeros(batch * seq, dtype=_float64, device=logits.device)
    elements = _GPU_BLOCK if logits.is_cuda else _CPU_BLOCK
    rows = max(1, elements // vocab)
    for start in range(0, batch * seq, rows):
        part = slice(start, start + rows)
        block = flat[part].to(_float32)
        highest = _maximum(block, 1, keepdim=True)
        # a zero sum is impossible: the highest logit gives exp(0)
        mass = _sum((block - highest).exp_(), 1, keepdim=True).to(_float64)
        label = _gather(block, 1, labels[part]).to(_float64)
        nats[part] = (highest.to(_float64) + mass.log() - label).squeeze(1)
    nats = nats.view(batch, seq).clamp_(min=0)
    nats[:, -1] = 0
    return nats
