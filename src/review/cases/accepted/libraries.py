#: plain imports -> accepted
import math, cmath, json, random, time, copy, enum, abc, itertools, functools, collections, contextlib, string
import typing as t
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Iterable
#: optional library -> accepted
try:
    import numpy as np
except ImportError:
    np = None
if np is not None:
    x = np.linspace(0.0, 1.0, 5)
#: optional name -> accepted
try:
    from torch.nn.attention.flex_attention import flex_attention
except ImportError:
    flex_attention = None
#: einops -> accepted
from einops import rearrange, repeat
from einops.layers.torch import Rearrange

x = rearrange(y, 'b t d -> t b d')
#: alias of a module -> accepted
import torch

nn = torch.nn
F = nn.functional
y = F.relu(nn.Linear(2, 2)(x))
#: alias in a function -> accepted
def f(x):
    import torch.nn.functional as F

    g = F.gelu
    return g(x)
#: submodule by the long path -> accepted
import torch
import torch.nn.functional

y = torch.nn.functional.softmax(x, dim=-1)
z = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 10)
#: getattr of a module with a constant -> accepted
import torch

dtype = getattr(torch, 'bfloat16')
relu = getattr(torch.nn.functional, 'relu')
#: feature tests -> accepted
import torch

x = hasattr(torch, 'compile') and torch.cuda.is_available()
version = torch.__version__
#: functions in a table -> accepted
import torch.nn.functional as F

ACTIVATIONS = {'gelu': F.gelu, 'relu': F.relu, 'square': lambda x: F.relu(x) ** 2}
#: classes as values -> accepted
from torch import nn


def make(kind=nn.Linear):
    return kind(2, 2)


layers = [nn.LayerNorm, nn.RMSNorm]
#: linear algebra and friends -> accepted
import torch

a = torch.linalg.qr(x)
b = torch.fft.rfft(x)
c = torch.special.expit(x)
d = torch.func.vmap(f)(x)
e = torch.nn.init.orthogonal_(x)
#: dtypes and devices -> accepted
import torch

x = torch.zeros(2, dtype=torch.float32, device=torch.device('cpu'))
y = torch.finfo(torch.float16).min
g = torch.Generator().manual_seed(1)
#: data loading -> accepted
from torch.utils.data import DataLoader, Dataset, TensorDataset


class Rows(Dataset):
    def __getitem__(self, i):
        return i

    def __len__(self):
        return 2
#: wraps -> accepted
from functools import wraps


def timed(f):
    @wraps(f)
    def inner(*args, **kwargs):
        return f(*args, **kwargs)

    return inner
#: caches -> accepted
from functools import cache, cached_property, lru_cache, partial, reduce


@lru_cache(maxsize=None)
def f(n):
    return n


total = reduce(lambda a, b: a + b, [1, 2], 0)
#: dataclasses -> accepted
from dataclasses import asdict, dataclass, field, fields, replace


@dataclass(frozen=True, slots=True)
class Config:
    width: int = 4
    layers: list = field(default_factory=list)


small = replace(Config(), width=2)
#: enums -> accepted
from enum import Enum, auto


class Kind(Enum):
    A = auto()
    B = 'b'


x = Kind.A.value, Kind['B'].name
#: abstract classes -> accepted
from abc import ABC, ABCMeta, abstractmethod


class A(ABC):
    @abstractmethod
    def f(self):
        pass


class B(metaclass=ABCMeta):
    pass
#: context managers -> accepted
from contextlib import contextmanager, nullcontext, suppress


@contextmanager
def frozen(model):
    with suppress(ValueError):
        yield model
#: named tuples -> accepted
from collections import namedtuple
from typing import NamedTuple, TypedDict

P = namedtuple('P', 'x y')
q = P(1, 2)._replace(x=3)._asdict()


class Q(NamedTuple):
    x: int = 0
#: generics -> accepted
from typing import Generic, Protocol, TypeVar, overload

T = TypeVar('T')


class Box(Generic[T]):
    pass
#: logging -> accepted
import logging
import warnings

logging.basicConfig(level=logging.INFO, format='%(message)s')
log = logging.getLogger(__name__)
log.info('x %d', 1)
warnings.filterwarnings('ignore')
#: regular expressions -> accepted
import re

WORDS = re.compile(r'\w+')
x = re.findall(WORDS, 'a b')
#: operators -> accepted
import operator
from operator import itemgetter

x = sorted(pairs, key=itemgetter(1))
y = operator.mul(2, 3)
#: text formatting -> accepted
x = 'step {} loss {:.3f} width {w}'.format(1, 2.0, w=3)
y = '{0[a]} {1!r:>{w}}'.format(a, b, w=3)
LINE = '{:>8}'
z = LINE.format(1)
v = f'{model.name!r:>{width}} {x.shape[0]:,}'
u = '%s %d' % ('a', 1)
#: saving under the directories -> accepted
import torch


def save(ctx, model, step, checkpoint_dir):
    torch.save(model, ctx.artifacts_dir + '/a.pt')
    torch.save(model, ctx.checkpoint_dir / 'a' / 'b.pt')
    torch.save(model, f'{ctx.artifacts_dir}/step_{step:06d}.pt')
    torch.save(model, checkpoint_dir / 'x.pt')
    torch.save(model, str(ctx.artifacts_dir) + '/b.pt')
    path = ctx.artifacts_dir + '/c.pt'
    torch.save(model, path)
    torch.load(path, map_location='cpu', weights_only=True)
#: the interface module -> accepted
from prism_challenge.evaluator.interface import PrismContext


def f(ctx: PrismContext):
    return ctx.vocab_size
#: the context is read and passed on -> accepted
def f(ctx):
    settings = {'width': ctx.vocab_size, 'dir': ctx.data_dir}
    g(ctx, settings)
    context = ctx
    return context.device
#: settings of torch -> accepted
import torch

torch.set_float32_matmul_precision('high')
torch.backends.cuda.matmul.allow_tf32 = True
torch.backends.cudnn.deterministic = True
torch.use_deterministic_algorithms(True)
torch.set_num_threads(2)
#: parametrizations -> accepted
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import orthogonal, weight_norm

parametrize.register_parametrization(layer, 'weight', p)
#: hooks -> accepted
handle = model.register_forward_hook(lambda module, args, out: out)
model.register_buffer('_cache', None, persistent=False)
x = model._cache
#: a table of modest size -> accepted
TABLE = [0.5, 0.25, 0.125, 0.0625] * 4
NAMES = 'th he in er an re on at en nd'.split()
#: separators and art -> accepted
print('-' * 80)
print('=================================================================================================')
#: long but flat -> accepted
x = {'a': 1, 'b': [1, 2, 3], 'c': (4, 5), 'd': {6, 7}, 'e': -8, 'f': not 9, 'g': 1 + 2 * 3 - 4 / 5, 'h': a.b.c.d.e.f}
#: namespaces -> accepted
from types import SimpleNamespace

config = SimpleNamespace(width=4, layers=2)
#: foreach operations and well-known private helpers -> accepted
import torch
from torch.nn.init import _calculate_fan_in_and_fan_out
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import _LRScheduler

torch._foreach_mul_(xs, 0.9)
#: timeouts -> accepted
from datetime import timedelta

import torch.distributed as dist

dist.init_process_group('gloo', timeout=timedelta(seconds=30))
