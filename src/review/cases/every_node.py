"""Every kind of node that the digest knows, once or more."""

import a, b.c as d
from . import e as f
from ..g.h import *

simple: int = 1
(other): int
target.attribute: int
type Alias[T, *Ts, **P] = dict[T, P]


@d(1)
class Base[T: int](a.b, metaclass=d, **f):
    x = y = None


@d
def function[T](p, q=1, /, r: int = 2, *s: T, t, u=3, **v) -> T:
    global g
    x = 1

    def inner(*, only):
        nonlocal x
        yield
        x = yield x
        yield from x
        return

    return inner


async def coroutine(a, b=0):
    async for x in y:
        await z
    async with a as b, c:
        pass
    return [i async for i in j if k if l]


del a, b.c, d[0]
a, *b = [c, d] = e
a += 1; b -= 1; c *= 1; d @= 1; e /= 1; f %= 1; g **= 1
a <<= 1; b >>= 1; c |= 1; d ^= 1; e &= 1; f //= 1
for x in y:
    continue
else:
    pass
while x:
    break
else:
    pass
if a:
    pass
elif b:
    pass
else:
    pass
with a as (b, c), d:
    pass
match a:
    case 1 | -2 | 3 + 4j | "s" | b.c:
        pass
    case None | True | False:
        pass
    case [x, *_, y] if x:
        pass
    case [*rest]:
        pass
    case {"k": v, **others}:
        pass
    case A.B(1, k=2) as whole:
        pass
    case _:
        pass
raise
raise A from b
try:
    pass
except A as b:
    pass
except:
    pass
else:
    pass
finally:
    pass
try:
    pass
except* (A, B):
    pass
assert a
assert a, b
a and b or not c
(a := b)
-a + ~b - +c
a * b / c // d % e ** f @ g
a << b >> c | d ^ e & f
lambda: 0
lambda a, b=1, *c, d, e=2, **f: a
a if b else c
{}, {a: b, **c}, {a, b}, (), [], (a,)
[a for b in c], {a for b in c}, {a: b for c in d for e in f}, (a for b in c)
a < b <= c > d >= e == f != g is h is not i in j not in k
a(b, *c, d=e, **f)
f"", f"a{b}c{d!r:>{e}}" "f", f"{g=}", f"{h = !s:x}", f"{{{i}}}"
"a" 'b', b"c" b"\xff", r"\d", u"e", """f
g""", "\N{BULLET}\u00e9\U0001f642\0\x7f\
"
0, 255, 0xff, 0b1, 0o7, 1_000, 123456789012345678901234567890
1.0, .5, 1e-300, 1e999, 2j, 1.5e3j, ...
a.b, a[b], a[b:c:d], a[b, c:], a[*b], a[::], a[...]
