#: nn.Module subclass -> accepted
import torch
import torch.nn.functional as F
from torch import nn


class LM(nn.Module):
    def __init__(self, vocab, dim):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim)
        self.head = nn.Linear(dim, vocab, bias=False)

    def forward(self, tokens):
        return self.head(self.emb(tokens))


def build_model(ctx):
    return LM(ctx.vocab_size, 16)

#: dataclasses.replace on own config -> accepted
import dataclasses


@dataclasses.dataclass
class Config:
    dim: int = 64
    heads: int = 4


SMALL = dataclasses.replace(Config(), dim=32)
AS_DICT = dataclasses.asdict(SMALL)
NAMES = [f.name for f in dataclasses.fields(Config)]

#: hasattr feature test -> accepted
import torch
import torch.nn.functional as F
from torch import nn


def fused_ok():
    return hasattr(torch.optim, 'AdamW') and torch.cuda.is_available()

#: state_dict / load_state_dict in memory -> accepted
import torch
import torch.nn.functional as F
from torch import nn


def copy_weights(src, dst):
    state = {k: v.detach().clone() for k, v in src.state_dict().items()}
    dst.load_state_dict(state, strict=True)
    return dst


A, B = nn.Linear(2, 2), nn.Linear(2, 2)
copy_weights(A, B)

#: FSDP import and wrap -> accepted
import torch
import torch.nn.functional as F
from torch import nn


from torch.distributed.fsdp import FullyShardedDataParallel as FSDP


def wrap(model, ctx):
    return FSDP(model) if ctx.world_size > 1 else model

#: str.format with plain positional fields -> accepted
import torch
import torch.nn.functional as F
from torch import nn


LINE = 'step {} loss {:.3f} width {w}'.format(3, 2.5, w=64)

#: einsum attention -> accepted
import torch
import torch.nn.functional as F
from torch import nn


def attend(q, k, v):
    w = torch.einsum('bhid,bhjd->bhij', q, k) * q.shape[-1] ** -0.5
    t = q.shape[2]
    mask = torch.ones(t, t, dtype=torch.bool).triu(1)
    return torch.einsum('bhij,bhjd->bhid', w.masked_fill(mask, float('-inf')).softmax(-1), v)


attend(torch.ones(1, 1, 3, 2), torch.ones(1, 1, 3, 2), torch.ones(1, 1, 3, 2))

#: __call__/__len__/__getitem__/__iter__/__repr__ definitions -> accepted
import torch
import torch.nn.functional as F
from torch import nn


class Bag:
    def __init__(self, items):
        self.items = list(items)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]

    def __iter__(self):
        return iter(self.items)

    def __call__(self, x):
        return [x + i for i in self.items]

    def __repr__(self):
        return f'Bag({len(self)})'

    def __eq__(self, other):
        return self.items == other.items


B = Bag([1, 2])
print(B, len(B), B[0], B(1))

#: class attributes and staticmethod/classmethod -> accepted
import torch
import torch.nn.functional as F
from torch import nn


class Sched:
    WARMUP = 100
    decay: float = 0.1

    @staticmethod
    def ramp(step):
        return min(1.0, step / Sched.WARMUP)

    @classmethod
    def build(cls, decay):
        out = cls()
        out.decay = decay
        return out


Sched.build(0.2).ramp(5)

#: type hints with typing -> accepted
import torch
import torch.nn.functional as F
from torch import nn


from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple, Union


def f(a: Optional[int], b: Dict[str, List[torch.Tensor]], c: Callable[[int], int] | None = None) -> Tuple[int, Union[int, str]]:
    out: List[Any] = []
    return len(out), 'x'


f(None, {})

#: from __future__ import annotations -> accepted
from __future__ import annotations

import torch


def f(x: torch.Tensor, y: Missing = None) -> list[torch.Tensor]:
    return [x]

#: own optimizer class -> accepted
import torch
import torch.nn.functional as F
from torch import nn


class SignSGD(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3):
        super().__init__(params, dict(lr=lr))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group['params']:
                if p.grad is not None:
                    state = self.state[p]
                    if not state:
                        state['m'] = torch.zeros_like(p)
                    state['m'].mul_(0.9).add_(p.grad, alpha=0.1)
                    p.add_(state['m'].sign(), alpha=-group['lr'])


SignSGD(nn.Linear(2, 2).parameters())

#: RMSNorm / rsqrt -> accepted
import torch
import torch.nn.functional as F
from torch import nn


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


RMSNorm(4)(torch.ones(2, 4))

#: scaled_dot_product_attention -> accepted
import torch
import torch.nn.functional as F
from torch import nn


def attend(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


attend(torch.ones(1, 1, 3, 4), torch.ones(1, 1, 3, 4), torch.ones(1, 1, 3, 4))

#: activation checkpointing -> accepted
import torch
import torch.nn.functional as F
from torch import nn


from torch.utils.checkpoint import checkpoint


def run(block, x):
    return checkpoint(block, x, use_reentrant=False)


run(nn.Linear(2, 2), torch.ones(1, 2, requires_grad=True))

#: list.remove -> accepted
names = ['a', 'b', 'c']
names.remove('b')

#: ModuleList; ModuleDict; Sequential; ParameterList -> accepted
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.heads = nn.ModuleDict({'a': nn.Linear(4, 2), 'b': nn.Linear(4, 2)})
        self.seq = nn.Sequential(nn.Linear(4, 4), nn.SiLU())
        self.bias = nn.ParameterList([nn.Parameter(torch.zeros(2)) for _ in range(2)])

    def forward(self, x):
        for block in self.blocks:
            x = x + block(x)
        return self.heads['a'](self.seq(x)) + self.bias[0]


Net()(torch.ones(1, 4))

#: model.apply(init) and nn.init -> accepted
import torch
import torch.nn.functional as F
from torch import nn


def init(module):
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
        if getattr(module, 'bias', None) is not None:
            nn.init.zeros_(module.bias)


nn.Sequential(nn.Linear(2, 2), nn.Embedding(3, 2)).apply(init)

#: own context manager class -> accepted
import torch
import torch.nn.functional as F
from torch import nn


class Freeze:
    def __init__(self, model):
        self.model = model

    def __enter__(self):
        for p in self.model.parameters():
            p.requires_grad_(False)
        return self.model

    def __exit__(self, kind, value, tb):
        for p in self.model.parameters():
            p.requires_grad_(True)
        return False


with Freeze(nn.Linear(2, 2)) as m:
    m(torch.ones(1, 2))

#: exponential moving average of own weights -> accepted
import torch
import torch.nn.functional as F
from torch import nn


class EMA:
    def __init__(self, model, decay=0.99):
        self.decay = decay
        self.shadow = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model):
        for k, v in model.state_dict().items():
            self.shadow[k].lerp_(v, 1 - self.decay)


m = nn.Linear(2, 2)
EMA(m).update(m)

#: lambda; map; filter; sorted; zip; enumerate -> accepted
xs = sorted(map(lambda v: v * 2, filter(None, [3, 0, 1])), key=lambda v: -v)
pairs = list(zip(xs, enumerate(reversed(xs))))
total = sum(x for x in xs if (y := x) > 1)

#: nn.Module with __call__ through forward and repr -> accepted
import torch
import torch.nn.functional as F
from torch import nn


class Act(nn.Module):
    __constants__ = ['slope']
    slope: float

    def __init__(self, slope=0.1):
        super().__init__()
        self.slope = slope

    def forward(self, x):
        return torch.where(x > 0, x, self.slope * x)


print(Act()(torch.ones(1)))

#: strings and comments that mention forbidden words -> accepted
MESSAGE = 'please import os; then eval(x), exec(y), open(z), __globals__, subprocess'
# os.system('rm') is only a comment, eval too
KEYS = {'open': 1, 'close': 2, 'load': 3, 'system': 4}
print(KEYS['open'], MESSAGE[:6])

#: own methods called load/open/run/compile/remove-like names -> accepted
class Gate:
    def open(self):
        return 1

    def load(self, x):
        return x

    def run(self):
        return self.open() + self.load(2)

    def compile(self):
        return self


Gate().compile().run()

#: Conv1d causal with F.pad -> accepted
import torch
import torch.nn.functional as F
from torch import nn


class Causal(nn.Module):
    def __init__(self, d, k):
        super().__init__()
        self.k = k
        self.conv = nn.Conv1d(d, d, k)

    def forward(self, x):
        return self.conv(F.pad(x, (self.k - 1, 0)))


Causal(2, 3)(torch.ones(1, 2, 5))

#: selective scan with python loop and cumsum -> accepted
import torch
import torch.nn.functional as F
from torch import nn


def scan(a, b):
    state = torch.zeros_like(b[:, 0])
    outs = []
    for t in range(b.shape[1]):
        state = a[:, t] * state + b[:, t]
        outs.append(state)
    return torch.stack(outs, dim=1)


scan(torch.ones(1, 3, 2), torch.ones(1, 3, 2).cumsum(1))

#: torch.nn.utils.parametrizations weight_norm -> accepted
import torch
import torch.nn.functional as F
from torch import nn


from torch.nn.utils.parametrizations import weight_norm

layer = weight_norm(nn.Linear(3, 3))
layer(torch.ones(1, 3))

#: mask construction and torch.finfo -> accepted
import torch
import torch.nn.functional as F
from torch import nn


def mask(t, window, dtype=torch.float32):
    i = torch.arange(t)
    keep = (i[:, None] >= i[None, :]) & (i[:, None] - i[None, :] < window)
    return torch.zeros(t, t, dtype=dtype).masked_fill(~keep, torch.finfo(dtype).min)


mask(4, 2)

#: DistributedSampler with own tensors -> accepted
import torch
import torch.nn.functional as F
from torch import nn


from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

ds = TensorDataset(torch.arange(8))
sampler = DistributedSampler(ds, num_replicas=2, rank=0, shuffle=False)
for (x,) in DataLoader(ds, batch_size=2, sampler=sampler):
    pass

#: filtering named_parameters and freezing -> accepted
import torch
import torch.nn.functional as F
from torch import nn


m = nn.Linear(2, 2)
for name, p in m.named_parameters():
    if name.endswith('bias'):
        p.requires_grad_(False)
print(sum(p.numel() for p in m.parameters() if p.requires_grad))

#: long straight-line code -> accepted
def f(x):
    x = x * 1.0001 + 0
    x = x * 1.0001 + 1
    x = x * 1.0001 + 2
    x = x * 1.0001 + 3
    x = x * 1.0001 + 4
    x = x * 1.0001 + 5
    x = x * 1.0001 + 6
    x = x * 1.0001 + 7
    x = x * 1.0001 + 8
    x = x * 1.0001 + 9
    x = x * 1.0001 + 10
    x = x * 1.0001 + 11
    x = x * 1.0001 + 12
    x = x * 1.0001 + 13
    x = x * 1.0001 + 14
    x = x * 1.0001 + 15
    x = x * 1.0001 + 16
    x = x * 1.0001 + 17
    x = x * 1.0001 + 18
    x = x * 1.0001 + 19
    x = x * 1.0001 + 20
    x = x * 1.0001 + 21
    x = x * 1.0001 + 22
    x = x * 1.0001 + 23
    x = x * 1.0001 + 24
    x = x * 1.0001 + 25
    x = x * 1.0001 + 26
    x = x * 1.0001 + 27
    x = x * 1.0001 + 28
    x = x * 1.0001 + 29
    x = x * 1.0001 + 30
    x = x * 1.0001 + 31
    x = x * 1.0001 + 32
    x = x * 1.0001 + 33
    x = x * 1.0001 + 34
    x = x * 1.0001 + 35
    x = x * 1.0001 + 36
    x = x * 1.0001 + 37
    x = x * 1.0001 + 38
    x = x * 1.0001 + 39
    x = x * 1.0001 + 40
    x = x * 1.0001 + 41
    x = x * 1.0001 + 42
    x = x * 1.0001 + 43
    x = x * 1.0001 + 44
    x = x * 1.0001 + 45
    x = x * 1.0001 + 46
    x = x * 1.0001 + 47
    x = x * 1.0001 + 48
    x = x * 1.0001 + 49
    x = x * 1.0001 + 50
    x = x * 1.0001 + 51
    x = x * 1.0001 + 52
    x = x * 1.0001 + 53
    x = x * 1.0001 + 54
    x = x * 1.0001 + 55
    x = x * 1.0001 + 56
    x = x * 1.0001 + 57
    x = x * 1.0001 + 58
    x = x * 1.0001 + 59
    x = x * 1.0001 + 60
    x = x * 1.0001 + 61
    x = x * 1.0001 + 62
    x = x * 1.0001 + 63
    x = x * 1.0001 + 64
    x = x * 1.0001 + 65
    x = x * 1.0001 + 66
    x = x * 1.0001 + 67
    x = x * 1.0001 + 68
    x = x * 1.0001 + 69
    x = x * 1.0001 + 70
    x = x * 1.0001 + 71
    x = x * 1.0001 + 72
    x = x * 1.0001 + 73
    x = x * 1.0001 + 74
    x = x * 1.0001 + 75
    x = x * 1.0001 + 76
    x = x * 1.0001 + 77
    x = x * 1.0001 + 78
    x = x * 1.0001 + 79
    x = x * 1.0001 + 80
    x = x * 1.0001 + 81
    x = x * 1.0001 + 82
    x = x * 1.0001 + 83
    x = x * 1.0001 + 84
    x = x * 1.0001 + 85
    x = x * 1.0001 + 86
    x = x * 1.0001 + 87
    x = x * 1.0001 + 88
    x = x * 1.0001 + 89
    x = x * 1.0001 + 90
    x = x * 1.0001 + 91
    x = x * 1.0001 + 92
    x = x * 1.0001 + 93
    x = x * 1.0001 + 94
    x = x * 1.0001 + 95
    x = x * 1.0001 + 96
    x = x * 1.0001 + 97
    x = x * 1.0001 + 98
    x = x * 1.0001 + 99
    x = x * 1.0001 + 100
    x = x * 1.0001 + 101
    x = x * 1.0001 + 102
    x = x * 1.0001 + 103
    x = x * 1.0001 + 104
    x = x * 1.0001 + 105
    x = x * 1.0001 + 106
    x = x * 1.0001 + 107
    x = x * 1.0001 + 108
    x = x * 1.0001 + 109
    x = x * 1.0001 + 110
    x = x * 1.0001 + 111
    x = x * 1.0001 + 112
    x = x * 1.0001 + 113
    x = x * 1.0001 + 114
    x = x * 1.0001 + 115
    x = x * 1.0001 + 116
    x = x * 1.0001 + 117
    x = x * 1.0001 + 118
    x = x * 1.0001 + 119
    x = x * 1.0001 + 120
    x = x * 1.0001 + 121
    x = x * 1.0001 + 122
    x = x * 1.0001 + 123
    x = x * 1.0001 + 124
    x = x * 1.0001 + 125
    x = x * 1.0001 + 126
    x = x * 1.0001 + 127
    x = x * 1.0001 + 128
    x = x * 1.0001 + 129
    x = x * 1.0001 + 130
    x = x * 1.0001 + 131
    x = x * 1.0001 + 132
    x = x * 1.0001 + 133
    x = x * 1.0001 + 134
    x = x * 1.0001 + 135
    x = x * 1.0001 + 136
    x = x * 1.0001 + 137
    x = x * 1.0001 + 138
    x = x * 1.0001 + 139
    x = x * 1.0001 + 140
    x = x * 1.0001 + 141
    x = x * 1.0001 + 142
    x = x * 1.0001 + 143
    x = x * 1.0001 + 144
    x = x * 1.0001 + 145
    x = x * 1.0001 + 146
    x = x * 1.0001 + 147
    x = x * 1.0001 + 148
    x = x * 1.0001 + 149
    x = x * 1.0001 + 150
    x = x * 1.0001 + 151
    x = x * 1.0001 + 152
    x = x * 1.0001 + 153
    x = x * 1.0001 + 154
    x = x * 1.0001 + 155
    x = x * 1.0001 + 156
    x = x * 1.0001 + 157
    x = x * 1.0001 + 158
    x = x * 1.0001 + 159
    x = x * 1.0001 + 160
    x = x * 1.0001 + 161
    x = x * 1.0001 + 162
    x = x * 1.0001 + 163
    x = x * 1.0001 + 164
    x = x * 1.0001 + 165
    x = x * 1.0001 + 166
    x = x * 1.0001 + 167
    x = x * 1.0001 + 168
    x = x * 1.0001 + 169
    x = x * 1.0001 + 170
    x = x * 1.0001 + 171
    x = x * 1.0001 + 172
    x = x * 1.0001 + 173
    x = x * 1.0001 + 174
    x = x * 1.0001 + 175
    x = x * 1.0001 + 176
    x = x * 1.0001 + 177
    x = x * 1.0001 + 178
    x = x * 1.0001 + 179
    x = x * 1.0001 + 180
    x = x * 1.0001 + 181
    x = x * 1.0001 + 182
    x = x * 1.0001 + 183
    x = x * 1.0001 + 184
    x = x * 1.0001 + 185
    x = x * 1.0001 + 186
    x = x * 1.0001 + 187
    x = x * 1.0001 + 188
    x = x * 1.0001 + 189
    x = x * 1.0001 + 190
    x = x * 1.0001 + 191
    x = x * 1.0001 + 192
    x = x * 1.0001 + 193
    x = x * 1.0001 + 194
    x = x * 1.0001 + 195
    x = x * 1.0001 + 196
    x = x * 1.0001 + 197
    x = x * 1.0001 + 198
    x = x * 1.0001 + 199
    x = x * 1.0001 + 200
    x = x * 1.0001 + 201
    x = x * 1.0001 + 202
    x = x * 1.0001 + 203
    x = x * 1.0001 + 204
    x = x * 1.0001 + 205
    x = x * 1.0001 + 206
    x = x * 1.0001 + 207
    x = x * 1.0001 + 208
    x = x * 1.0001 + 209
    x = x * 1.0001 + 210
    x = x * 1.0001 + 211
    x = x * 1.0001 + 212
    x = x * 1.0001 + 213
    x = x * 1.0001 + 214
    x = x * 1.0001 + 215
    x = x * 1.0001 + 216
    x = x * 1.0001 + 217
    x = x * 1.0001 + 218
    x = x * 1.0001 + 219
    x = x * 1.0001 + 220
    x = x * 1.0001 + 221
    x = x * 1.0001 + 222
    x = x * 1.0001 + 223
    x = x * 1.0001 + 224
    x = x * 1.0001 + 225
    x = x * 1.0001 + 226
    x = x * 1.0001 + 227
    x = x * 1.0001 + 228
    x = x * 1.0001 + 229
    x = x * 1.0001 + 230
    x = x * 1.0001 + 231
    x = x * 1.0001 + 232
    x = x * 1.0001 + 233
    x = x * 1.0001 + 234
    x = x * 1.0001 + 235
    x = x * 1.0001 + 236
    x = x * 1.0001 + 237
    x = x * 1.0001 + 238
    x = x * 1.0001 + 239
    x = x * 1.0001 + 240
    x = x * 1.0001 + 241
    x = x * 1.0001 + 242
    x = x * 1.0001 + 243
    x = x * 1.0001 + 244
    x = x * 1.0001 + 245
    x = x * 1.0001 + 246
    x = x * 1.0001 + 247
    x = x * 1.0001 + 248
    x = x * 1.0001 + 249
    x = x * 1.0001 + 250
    x = x * 1.0001 + 251
    x = x * 1.0001 + 252
    x = x * 1.0001 + 253
    x = x * 1.0001 + 254
    x = x * 1.0001 + 255
    x = x * 1.0001 + 256
    x = x * 1.0001 + 257
    x = x * 1.0001 + 258
    x = x * 1.0001 + 259
    x = x * 1.0001 + 260
    x = x * 1.0001 + 261
    x = x * 1.0001 + 262
    x = x * 1.0001 + 263
    x = x * 1.0001 + 264
    x = x * 1.0001 + 265
    x = x * 1.0001 + 266
    x = x * 1.0001 + 267
    x = x * 1.0001 + 268
    x = x * 1.0001 + 269
    x = x * 1.0001 + 270
    x = x * 1.0001 + 271
    x = x * 1.0001 + 272
    x = x * 1.0001 + 273
    x = x * 1.0001 + 274
    x = x * 1.0001 + 275
    x = x * 1.0001 + 276
    x = x * 1.0001 + 277
    x = x * 1.0001 + 278
    x = x * 1.0001 + 279
    x = x * 1.0001 + 280
    x = x * 1.0001 + 281
    x = x * 1.0001 + 282
    x = x * 1.0001 + 283
    x = x * 1.0001 + 284
    x = x * 1.0001 + 285
    x = x * 1.0001 + 286
    x = x * 1.0001 + 287
    x = x * 1.0001 + 288
    x = x * 1.0001 + 289
    x = x * 1.0001 + 290
    x = x * 1.0001 + 291
    x = x * 1.0001 + 292
    x = x * 1.0001 + 293
    x = x * 1.0001 + 294
    x = x * 1.0001 + 295
    x = x * 1.0001 + 296
    x = x * 1.0001 + 297
    x = x * 1.0001 + 298
    x = x * 1.0001 + 299
    return x


f(1.0)

#: super().forward and super().__call__ style delegation -> accepted
import torch
import torch.nn.functional as F
from torch import nn


class Loud(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


Loud(2, 2)(torch.ones(1, 2))

#: __slots__; __post_init__; InitVar -> accepted
from dataclasses import InitVar, dataclass


@dataclass
class Opt:
    lr: float
    warm: InitVar[int] = 10

    def __post_init__(self, warm):
        self.ramp = 1.0 / max(1, warm)


class P:
    __slots__ = ('a',)

    def __init__(self):
        self.a = 1


Opt(0.1)
P()

#: plain training loop over ctx.iter_train_batches -> accepted
import torch
import torch.nn.functional as F
from torch import nn


from architecture import build_model


def train(ctx):
    model = build_model(ctx).to(ctx.device)
    opt = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for batch in ctx.iter_train_batches(model, batch_size=4, seq_len=ctx.max_seq_len):
        tokens = batch.tokens
        logits = model(tokens)
        loss = F.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), tokens[:, 1:].reshape(-1))
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()

#: getattr(self; f'layer{i}') over own attributes -> accepted
import torch
import torch.nn.functional as F
from torch import nn


class Stack(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.n = n
        for i in range(n):
            setattr(self, f'layer{i}', nn.Linear(2, 2))

    def forward(self, x):
        for i in range(self.n):
            x = getattr(self, f'layer{i}')(x)
        return x


Stack(2)(torch.ones(1, 2))

#: explicit utf-8 coding cookie -> accepted
# -*- coding: utf-8 -*-
import torch

X = torch.ones(2)

#: functools.partial / lru_cache -> accepted
import torch
import torch.nn.functional as F
from torch import nn


from functools import lru_cache, partial

make = partial(nn.Linear, bias=False)


@lru_cache(maxsize=None)
def cos_table(n):
    return torch.cos(torch.arange(n))


make(2, 2)
cos_table(3)

#: time.perf_counter and logging -> accepted
import logging
import time

logger = logging.getLogger(__name__)
start = time.perf_counter()
logger.info('took %.3f', time.perf_counter() - start)

#: numpy helper -> accepted
import numpy as np

SCHED = np.linspace(1.0, 0.0, 5).tolist()

#: setattr with literal on own config object -> accepted
class Cfg:
    pass


c = Cfg()
setattr(c, 'dim', 3)
c.width = 4
delattr(c, 'dim')

