#: context-tamper: the context passed down and read by helpers -> accepted
def batch_size_of(ctx, wanted):
    return min(wanted, ctx.max_parameters // 1000)


def train(ctx):
    settings = {"batch": batch_size_of(ctx, 8), "steps": ctx.step_budget}
    print(settings["batch"])

#: context-tamper: an own object called context -> accepted
class Context:
    def __init__(self):
        self.step = 0


def work(state):
    state.step += 1
    return state

#: context-tamper: replace on an own configuration -> accepted
import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    width: int = 8


wide = dataclasses.replace(Config(), width=16)

#: entrypoint: helpers with any signature -> accepted
def make(ctx, width, *layers, depth: int = 2, **rest):
    return width, layers, depth, rest

#: identifier-encoding: Greek letters -> accepted
import math

σ = 0.02
def loss(μ, σ=σ):
    return math.exp(-μ * μ / (2 * σ * σ))

#: literal-blob: a small table of kernels -> accepted
import torch

KERNEL = torch.tensor([
    [1.0, 4.0, 6.0, 4.0, 1.0],
    [4.0, 16.0, 24.0, 16.0, 4.0],
    [6.0, 24.0, 36.0, 24.0, 6.0],
    [4.0, 16.0, 24.0, 16.0, 4.0],
    [1.0, 4.0, 6.0, 4.0, 1.0],
]) / 256.0

#: literal-blob: a list of words -> accepted
STOP = ["the", "of", "and", "to", "in", "a", "is", "that", "for", "it", "as", "was", "with", "be", "by", "on"]

#: literal-blob: bytes for a byte tokenizer -> accepted
import string

ALPHABET = bytes(range(256))
PRINTABLE = string.printable

#: literal-blob: long docstring of prose -> accepted
"""This model follows the usual pre-norm decoder. The residual stream is normalised before each sub-layer, the
embedding is tied to the head, and positions are rotary. Nothing here is specific to a corpus: the tokenizer is the
reference one, and the context length is that of the contest. The learning rate rises over the first steps and then
falls along a half cosine; the optimizer is AdamW with decay on matrices only."""
x = 1

#: module-surface: public submodules by attribute -> accepted
import torch

y = torch.nn.functional.relu(torch.linalg.norm(torch.ones(3)) + torch.special.expit(torch.zeros(1)))
z = torch.optim.lr_scheduler.CosineAnnealingLR

#: module-surface: deep imports -> accepted
from torch.nn.utils.parametrizations import orthogonal, weight_norm
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint, checkpoint_sequential
from torch.distributions import Categorical

#: module-value: functions and classes of modules as values -> accepted
import math
import operator
import torch

TABLE = {"sqrt": math.sqrt, "add": operator.add, "relu": torch.relu, "Linear": torch.nn.Linear}
f = TABLE["sqrt"]

#: module-value: module under a condition -> accepted
try:
    import numpy as np
except ImportError:
    np = None
HAS_NUMPY = np is not None

#: no-attribute-escape: own attributes with nearby names -> accepted
class Frame:
    def __init__(self):
        self.code = 1
        self.frame = 2
        self.back = None
        self.globals_seen = 0

    def traceback(self):
        return self.frame + self.code

#: no-attribute-escape: class name of an object -> accepted
def describe(module):
    return f"{module.__class__.__name__}({type(module).__name__}) {module.forward.__name__}"

#: no-attribute-escape: chained exceptions -> accepted
def check(x):
    try:
        return x.shape
    except AttributeError as error:
        raise TypeError("a tensor is needed") from error

#: no-deserialization: state dicts in memory -> accepted
import copy


def snapshot(model):
    return copy.deepcopy(model.state_dict())


def restore(model, state):
    model.load_state_dict(state, strict=True)

#: no-deserialization: load below the resume directory -> accepted
import torch


def resume(ctx, model):
    if ctx.resume_checkpoint_dir is not None:
        state = torch.load(ctx.resume_checkpoint_dir / "state.pt", map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])

#: no-dynamic-attr: literal getattr with default -> accepted
def dropout_of(config):
    return getattr(config, "dropout", 0.0)

#: no-dynamic-attr: numbered layers -> accepted
from torch import nn


class Net(nn.Module):
    def __init__(self, depth):
        super().__init__()
        for i in range(depth):
            setattr(self, f"layer{i}", nn.Linear(8, 8))
        self.depth = depth

    def forward(self, x):
        for i in range(self.depth):
            x = getattr(self, f"layer{i}")(x)
        return x

#: no-dynamic-attr: format of constant text -> accepted
LINE = "step {:>6d} loss {:.4f} lr {lr:.2e}"


def show(step, loss, lr):
    print(LINE.format(step, loss, lr=lr))
    print("{0} of {1}".format(step, 100))

#: no-dynamic-code: model.eval() and compile -> accepted
import re
import torch

PATTERN = re.compile(r"layers\.(\d+)\.")


def evaluate(model):
    model.eval()
    fast = torch.compile(model, mode="max-autotune")
    with torch.no_grad():
        return fast, PATTERN.match("layers.0.")

#: no-dynamic-code: namedtuple and functional enums of constants -> accepted
from collections import namedtuple
from enum import Enum

Point = namedtuple("Point", ["x", "y"])
Color = Enum("Color", "RED GREEN")

#: no-dynamic-import: conditional import -> accepted
try:
    from torch.nn import RMSNorm
except ImportError:
    RMSNorm = None

#: no-dynamic-import: import in a function -> accepted
def table():
    import math
    from itertools import product

    return [math.sin(a + b) for a, b in product(range(3), range(3))]

#: no-ffi: custom autograd in Python -> accepted
import torch


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        return grad * (s + x * s * (1 - s))

#: no-filesystem: names that look like files -> accepted
class Buffer:
    def __init__(self):
        self.open = True
        self.items = []

    def write(self, item):
        self.items.append(item)

    def read(self):
        return self.items.pop()

    def remove(self, item):
        self.items.remove(item)

#: no-filesystem: saving with f-strings and parts -> accepted
import torch


def keep(ctx, model, step):
    torch.save(model.state_dict(), f"{ctx.artifacts_dir}/step_{step:06d}.pt")
    torch.save({"step": step}, str(ctx.artifacts_dir) + "/last.pt")

#: no-forbidden-import: the standard library that is listed -> accepted
import bisect
import collections
import contextlib
import copy
import dataclasses
import enum
import functools
import heapq
import itertools
import json
import logging
import math
import operator
import random
import re
import statistics
import string
import time
import typing
import warnings

#: no-network: words in names -> accepted
class HttpLikeRouter:
    """Routes tokens to sockets; requests are answered by experts."""

    def __init__(self):
        self.socket_count = 4
        self.requests = []

    def url_of(self, expert):
        return f"expert://{expert}"

#: no-patching: replacing parts of one's own model -> accepted
from torch import nn


def widen(model):
    model.head = nn.Linear(16, 16)
    model.layers[0] = nn.Identity()
    model.norm.weight.data = model.norm.weight.data * 2
    del model.old
    return model

#: no-patching: own subclass with overridden methods -> accepted
from torch import nn


class Scaled(nn.Linear):
    scale = 0.5

    def forward(self, input):
        return super().forward(input) * self.scale


Scaled.scale = 0.25

#: no-process: time, warnings and logging -> accepted
import logging
import time
import warnings

log = logging.getLogger("train")
warnings.filterwarnings("ignore", category=UserWarning)


def timed(step):
    start = time.perf_counter()
    step()
    log.info("took %.3f s", time.perf_counter() - start)

#: no-process: ending by return -> accepted
def train(ctx):
    for step in range(10):
        if step > 5:
            return
    raise RuntimeError("not reached")

#: no-torch-escape: compile with known backends -> accepted
import torch
from torch import nn

a = torch.compile(nn.Linear(2, 2))
b = torch.compile(nn.Linear(2, 2), backend="aot_eager")
c = torch.compile(nn.Linear(2, 2), backend="inductor", dynamic=False, fullgraph=True)

#: private-attribute: own caches and properties -> accepted
class Lazy:
    def __init__(self):
        self._value = None
        self.__mangled = 1

    @property
    def value(self):
        if self._value is None:
            self._value = self._compute()
        return self._value

    def _compute(self):
        return self.__mangled

#: private-attribute: the compiled module's original -> accepted
def unwrap(model):
    return model._orig_mod if hasattr(model, "_orig_mod") else model

#: source-encoding: text in many scripts -> accepted
GREETINGS = ["здравствуй", "こんにちは", "سلام", "नमस्ते", "🙂"]

#: source-encoding: the word coding far below -> accepted
x = 1
y = 2
# coding: this is a comment about coding, not a cookie

#: source-encoding: escapes in text -> accepted
NUL = "\0"
BELL = "\x07\u00e9\N{BULLET}"
RAW = r"\ud800 is not an escape here"

#: source-limit: many short statements -> accepted
a0 = 0
a1 = a0 + 1
a2 = a1 + 1
a3 = a2 + 1
a4 = a3 + 1
table = [[[[[[[[[[0]]]]]]]]]]
total = 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 11 + 12 + 13 + 14 + 15 + 16 + 17 + 18 + 19 + 20

#: source-limit: deep but ordinary nesting -> accepted
def search(grid):
    for plane in grid:
        for row in plane:
            for cell in row:
                if cell:
                    while cell > 1:
                        with_rest = [x for x in range(cell) if x % 2 if x % 3]
                        cell -= len(with_rest) or 1
    return grid

#: special-method: containers, arithmetic, context managers -> accepted
class Vector:
    __slots__ = ("items",)

    def __init__(self, items):
        self.items = list(items)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]

    def __add__(self, other):
        return Vector(a + b for a, b in zip(self, other))

    __radd__ = __add__

    def __iter__(self):
        return iter(self.items)

    def __eq__(self, other):
        return self.items == other.items

    def __hash__(self):
        return hash(tuple(self.items))

    def __enter__(self):
        return self

    def __exit__(self, *details):
        return False

    def __repr__(self):
        return f"Vector({self.items!r})"

#: special-method: getattr fallback of a wrapper -> accepted
from torch import nn


class Wrapper(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def __getattr__(self, name):
        return super().__getattr__(name)

#: star-import: starred values are none -> accepted
first, *rest = range(5)
merged = [*rest, first]
options = {**{"a": 1}, "b": 2}
print(*merged, sep=",")

#: syntax-error: every operator and literal -> accepted
a = 0b1010 | 0o17 & 0xff ^ 1_000_000
b = 1e-3 + 2.5j.imag - .5 // 1 % 3
c = not a < b <= 3 != 4 is not None
d = (lambda *p, k=1, **q: (p, k, q))(1, 2, k=3, z=4)
e = [i for i in range(9) if i if i % 2]
f = {i: j for i, j in zip("ab", (1, 2))}
g = {*e, 4}
h = a if b else c
m = ~a << 2 >> 1 @ 1 if False else -+a ** 2
n = ...
s = 'a' "b" '''c''' f"{a!r:>{10}}" u"x"
raw = b"\x00" rb"\d"
t = a, = (1,)

#: syntax-error: positional-only parameters and annotations -> accepted
from typing import Generic, TypeVar

T = TypeVar("T")


def f(a, b=1, /, c: int = 2, *args: str, d, e=3, **kwargs: float) -> None: ...


class Box(Generic[T]):
    item: T
    count: int = 0

#: syntax-error: match in all its forms -> accepted
def kind(x):
    match x:
        case 0 | 1 | -1:
            return "small"
        case [a, b, *rest] if rest:
            return a
        case {"key": value, **others}:
            return value
        case str() as text:
            return text
        case complex(real=r, imag=0.0):
            return r
        case None | True:
            return None
        case _:
            return "other"

#: syntax-error: exception groups -> accepted
def run(steps):
    try:
        for step in steps:
            step()
    except* ValueError as group:
        print(len(group.exceptions))
    finally:
        print("done")

#: syntax-error: with several managers, decorators, global and nonlocal -> accepted
import contextlib
import functools

count = 0


def counted(function):
    calls = 0

    @functools.wraps(function)
    def inner(*args, **kwargs):
        global count
        nonlocal calls
        calls += 1
        count += 1
        with contextlib.nullcontext() as a, contextlib.suppress(KeyError):
            return function(*args, **kwargs), a

    return inner


@counted
def work(): return 1

#: syntax-error: type parameters and aliases -> accepted
type Pair[T] = tuple[T, T]


def first[T](pair: Pair[T]) -> T:
    return pair[0]


class Stack[T: int]:
    items: list[T]

#: undefined-name: names bound in every way -> accepted
import contextlib
import math as m
from itertools import chain as link

for i, (j, *k) in enumerate([(1, 2)]):
    print(i, j, k)
with contextlib.nullcontext(1) as w:
    print(w)
try:
    print(m.pi)
except ValueError as error:
    print(error)
if (size := len("abc")) > 2:
    print(size, [y for y in link([1])])
match w:
    case {"a": captured, **others}:
        print(captured, others)


class Own:
    limit = 3
    double = limit * 2


def later():
    return defined_below


defined_below = Own.double

#: unsupported-syntax: generators in all forms -> accepted
def numbers(n):
    got = yield n
    while got:
        got = yield from inner(got)
    return got


def inner(x):
    yield x
    return x - 1


total = sum(x * x for x in range(10))

#: unsupported-syntax: abstract base classes -> accepted
import abc


class Base(metaclass=abc.ABCMeta):
    @abc.abstractmethod
    def forward(self, x): ...


class Other(abc.ABC):
    @property
    @abc.abstractmethod
    def width(self): ...

#: unsupported-syntax: f-strings with formats and nested fields -> accepted
width, value = 10, 3.14159
print(f"{value:{width}.{3}f} {value!r:>20} {value=} {{literal}} {'nested' + 'quotes'}")
print(f"{value:>{width}}\n{'a' if width else 'b'}")

#: cannot-decide: a ladder of aliases -> accepted
import torch

a0 = torch.relu
a1 = a0
a2 = a1
a3 = a2
a4 = a3
a5 = a4
x = a5(torch.ones(1))

#: cannot-decide: diamonds of aliases -> accepted
import torch

f = torch.relu
f = torch.nn.functional.gelu if False else f
g = f
g = torch.tanh
h = g
print(h)

#: in-source suppressions change nothing where nothing is found -> accepted
import math  # noqa
x = math.pi  # type: ignore  # nosec  # pylint: disable=all

#: data loaders over synthetic examples -> accepted
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset


class Copies(Dataset):
    def __len__(self):
        return 64

    def __getitem__(self, index):
        return torch.full((8,), index), torch.full((8,), index + 1)


loader = DataLoader(Copies(), batch_size=8, shuffle=True, num_workers=0)
pairs = DataLoader(TensorDataset(torch.zeros(4, 2), torch.ones(4)), batch_size=2)

#: mixed precision -> accepted
import torch


def step(model, optimizer, batch, scaler):
    with torch.autocast(device_type="cuda", dtype=torch.bfloat16):
        loss = model(batch.tokens).mean()
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad(set_to_none=True)


scaler = torch.amp.GradScaler("cuda", enabled=torch.cuda.is_available())

#: functional transforms -> accepted
import torch
from torch.func import functional_call, grad, vmap


def per_sample(model, params, x, y):
    def loss(p, a, b):
        return ((functional_call(model, p, (a.unsqueeze(0),)) - b) ** 2).mean()

    return vmap(grad(loss), in_dims=(None, 0, 0))(params, x, y)

#: flex attention -> accepted
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import create_block_mask, flex_attention


def causal(b, h, q, k):
    return q >= k


def attend(q, k, v):
    mask = create_block_mask(causal, None, None, q.shape[2], k.shape[2])
    with sdpa_kernel(SDPBackend.MATH):
        return flex_attention(q, k, v, block_mask=mask)

#: schedules -> accepted
import math

from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR, SequentialLR


def schedule(optimizer, warmup, total):
    def scale(step):
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))

    chained = SequentialLR(optimizer, [LinearLR(optimizer), CosineAnnealingLR(optimizer, total)], [warmup])
    return LambdaLR(optimizer, scale), chained

#: moving averages of weights -> accepted
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn


def averaged(model):
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))

#: random numbers with seeds and generators -> accepted
import random

import numpy as np
import torch

random.seed(1)
torch.manual_seed(1)
rng = np.random.default_rng(1)
generator = torch.Generator().manual_seed(2)
noise = torch.randn(3, generator=generator)
state = torch.get_rng_state()
torch.set_rng_state(state)

#: typed configuration with protocols and overloads -> accepted
from typing import Callable, Literal, NamedTuple, Protocol, TypedDict, overload, runtime_checkable


class Layer(Protocol):
    def __call__(self, x: int) -> int: ...


class Sizes(TypedDict, total=False):
    width: int


class Shape(NamedTuple):
    rows: int
    cols: int = 1


@overload
def pick(kind: Literal["a"]) -> int: ...
@overload
def pick(kind: Literal["b"]) -> str: ...
def pick(kind):
    return 1 if kind == "a" else "b"


Factory = Callable[[int], Layer]

#: unsupported-syntax: match on tuples in brackets and on several subjects -> accepted
def pick(x, y):
    match (x,):
        case (1,):
            return 1
    match x, y:
        case 1, 2:
            return 2
    match f(x, y):
        case _:
            return 3


def f(x, y):
    return x + y

#: no-attribute-escape: __init__ of parents -> accepted
from collections import OrderedDict

import torch
from torch import nn


class Base(nn.Module):
    def __init__(self, width):
        nn.Module.__init__(self)
        self.width = width


class Both(Base, OrderedDict):
    def __init__(self, width):
        Base.__init__(self, width)
        super(Base, self).__init__()
        torch.nn.Module.__init__(self)
        dict.__init__(self)

    def __new__(cls, *arguments):
        return super().__new__(cls)

#: no-attribute-escape: patterns of builtins with a position -> accepted
def kind(value):
    match value:
        case int(number) | float(number):
            return number
        case str(text):
            return text
        case [tuple(pair), dict(table)]:
            return pair, table

#: special-method: enumerations with members -> accepted
import enum
from enum import Enum, IntEnum


class Kind(str, Enum):
    ATTENTION = "attention"
    SCAN = "scan"

    @classmethod
    def default(cls):
        return cls.SCAN


class Stage(IntEnum):
    FIRST = enum.auto()


class Sign(enum.Enum):
    MINUS = -1
    PAIR = (1, 2)


Shape = Enum("Shape", ["ROUND", "SQUARE"], start=0)
Other = IntEnum("Other", {"A": 1, "B": 2})
More = Enum("More", [("A", 1), ("B", 2)])


def is_kind(value):
    return isinstance(value, Enum) or isinstance(value, (IntEnum, str)) or Kind("scan") is value

#: no-torch-escape: torch.compile with options and as a decorator -> accepted
import torch
from torch import nn


@torch.compile
def f(x):
    return x * 2


@torch.compile(options={"max_autotune": True, "epilogue_fusion": False})
def g(x):
    return x * 2


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        if config.compile:
            self.linear.compile(mode="max-autotune", dynamic=False)


fast = torch.compile(nn.Linear(2, 2), options=None)

#: special-method: __setattr__ that passes its name on -> accepted
class Watched:
    def __setattr__(self, name, value):
        if name == "width":
            value = int(value)
        super().__setattr__(name, value)


class Frozen:
    def __setattr__(self, key, value):
        object.__setattr__(self, key, value)
