#: own function called like a builtin -> accepted
def open(x):
    return x


y = open(1)
#: own class called like a builtin -> accepted
class compile:
    pass


x = compile()
#: parameter called like a builtin -> accepted
def f(input, vars=None, type=None, dir=1):
    return input, vars, type, dir
#: local called like a builtin -> accepted
def f(x):
    input = x + 1
    vars = input * 2
    return vars
#: loop variable called like a builtin -> accepted
def f(xs):
    return [input for input in xs]
#: methods called like builtins -> accepted
class Gate:
    def open(self):
        return self.compile().eval()

    def compile(self):
        return self

    def eval(self):
        return 1
#: attributes called like builtins -> accepted
model.eval()
pattern.compile()
self.open = 1
#: keyword arguments called like builtins -> accepted
f(open=1, eval=2, compile=3, type=4)
#: words in text and comments -> accepted
# eval(x) exec(y) __import__ requests socket
x = 'import os; eval(x); __globals__; torch.hub'
#: list.remove and handle.remove -> accepted
names.remove('a')
handle = model.register_forward_hook(f)
handle.remove()
values.discard(1)
#: type comparisons and names -> accepted
if type(x) is int or type(x) == float:
    y = type(x).__name__
z = x.__class__.__name__
w = type(self)(1)
#: type in annotations -> accepted
def f(a: type[int], b: 'type') -> type[str]:
    return isinstance(a, type)
#: getattr with constants -> accepted
a = getattr(x, 'bias', None)
b = getattr(model, 'forward')
setattr(x, 'width', 4)
delattr(x, 'width')
#: getattr with numbered names -> accepted
for i in range(3):
    setattr(self, f'layer{i}', i)
    x = getattr(self, f'layer{i}')
#: hasattr with anything -> accepted
hasattr(x, name)
#: super with and without arguments -> accepted
class A(B):
    def __init__(self):
        super().__init__()
        super(A, self).__init__()
        B.__init__(self)
#: frozen dataclass initialisation -> accepted
import dataclasses


@dataclasses.dataclass(frozen=True)
class A:
    x: int = 0

    def __post_init__(self):
        object.__setattr__(self, 'x', 1)
#: setattr in a class of one's own -> accepted
class A:
    def __setattr__(self, name, value):
        super().__setattr__(name, value)

    def __getattr__(self, name):
        return super().__getattr__(name)
#: operators and containers -> accepted
class A:
    __slots__ = ('a',)

    def __init__(self):
        self.a = 1

    def __add__(self, other):
        return self.a + other.a

    def __radd__(self, other):
        return self + other

    def __getitem__(self, key):
        return self.a

    def __len__(self):
        return 1

    def __iter__(self):
        yield self.a

    def __contains__(self, x):
        return x == self.a

    def __call__(self, *args, **kwargs):
        return args, kwargs

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False

    def __eq__(self, other):
        return self.a == other.a

    def __hash__(self):
        return hash(self.a)

    def __repr__(self):
        return f'A({self.a!r})'
#: descriptors -> accepted
class Field:
    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner=None):
        return 1

    def __set__(self, instance, value):
        pass
#: private names of one's own -> accepted
class A:
    _shared = 1

    def __init__(self):
        self._x = 1
        self.__y = 2

    def _step(self, other):
        return self._x + other._x + self.__y + A._shared
#: private marks on parameters -> accepted
p._no_decay = True
x = getattr(p, '_no_decay', False)
#: own dump and own system -> accepted
class A:
    def dump(self):
        return 1

    def run(self):
        return self.dump()
#: identifiers outside ASCII that are stable -> accepted
α = 0.1
größe = α * 2
#: unknown names in annotations -> accepted
from __future__ import annotations


def f(x: Missing) -> Other:
    return x
#: main guard -> accepted
if __name__ == '__main__':
    print('x')
#: module attributes -> accepted
__all__ = ['f']
__version__ = '1'
__author__ = 'somebody'
#: exceptions -> accepted
try:
    x = 1
except (ValueError, PermissionError) as error:
    raise RuntimeError(f'{error}') from error
except Exception:
    pass
finally:
    pass
#: match -> accepted
match x:
    case {'kind': kind, **rest} if kind:
        pass
    case [1, 2, *others] | (others):
        pass
    case Point(x=0, y=y):
        pass
    case None | True | -1 | 'a':
        pass
    case _:
        pass
#: walrus, comprehension, lambda -> accepted
total = sum(y for x in xs if (y := x) > 1)
pairs = {k: v for k, v in zip(a, b) if k for _ in range(2)}
f = lambda x, *args, key=1, **kwargs: (x, args, key, kwargs)
#: generators -> accepted
def f():
    x = yield 1
    y = yield from g()
    return x, y
#: global and nonlocal -> accepted
count = 0


def f():
    global count
    count += 1
    inner = 0

    def g():
        nonlocal inner
        inner += 1

    return g
#: a walk along one's own list -> accepted
def last(node):
    while node.next is not None:
        node = node.next
    return node
#: names that take turns -> accepted
def fib(n):
    previous, current = 0, 1
    for _ in range(n):
        swap = current
        current = previous + current
        previous = swap
        current = current
    return previous
#: star expressions -> accepted
first, *rest = values
f(*args, **kwargs)
x = [*a, *b]
y = {**c, 'd': 1}
#: conditional definitions -> accepted
if x:
    def f():
        return 1
else:
    f = None
#: empty -> accepted
pass
#: print to a stream -> accepted
print('a', 'b', sep=', ', end='', flush=True)
#: types compared, named and printed -> accepted
if type(x) in (int, float) and isinstance(y, type(x)):
    raise TypeError(f'{type(x)} {type(x).__name__}', type(y))
z = TABLE[type(x)]
print(type(x))
#: attribute dict -> accepted
class Config(dict):
    def __getattr__(self, name):
        return self[name]
