#: half of a UTF-16 pair -> unsupported-syntax@1
x = "\ud83d"

#: half of a UTF-16 pair, long form, inside an f-string -> unsupported-syntax@2
y = 1
x = f"{y} \U0000DC00"

#: backslash in the format of a field -> unsupported-syntax@2
x = 1
print(f"{x:\x3e10}")

#: coroutine -> unsupported-syntax@2
async def helper():
    await helper()

#: asynchronous comprehension and loops -> unsupported-syntax@1, unsupported-syntax@2, unsupported-syntax@4, unsupported-syntax@6
async def f(items):
    async for x in items:
        pass
    async with items as y:
        pass
    return [x async for x in items]

#: metaclass of one's own -> unsupported-syntax@4
class Meta:
    pass

class A(metaclass=Meta):
    pass

#: metaclass in unpacked keywords -> unsupported-syntax@2
options = {}
class A(**options):
    pass

#: suppressions are not obeyed -> no-process@1, no-dynamic-code@2, no-filesystem@4
import os  # noqa  # nosec  # type: ignore  # prism: ignore  # pylint: disable=all
eval("1")  # prism:ignore[no-dynamic-code]
# prism: disable=prism:no-filesystem
open("/etc/hostname")

#: encoded text -> literal-blob@1
W = "8f3a9c1be27d405612fa88e0c3b7d94e5a6f1077bb2c38d9e41f60a5c2378be90d1c4f2a6b8e3957d0c1a4f8b2e6937c5d0f1a8e4b7c2d963f05a1e8c4b7d2961f3a8e5c0b7d4296f1a3c8e5b70d2496fa1c3e8b57d0249f6a1c3e8b5d70429f8f3a9c1be27d405612fa88e0c3b7d94e5a6f1077bb2c38d9e41f60a5c2378be90d1c4f2a6b8e3957d0c1a4f8b2e6937c5d0f1a8e4b7c2d963f05a1e8c4b7d2961f3a8e5c0b7d4296f1a3c8e5b70d2496fa1c3e8b57d0249f6a1c3e8b5d70429f" "8f3a9c1be27d405612fa88e0c3b7d94e5a6f1077bb2c38d9e41f60a5c2378be90d1c4f2a6b8e3957d0c1a4f8b2e6937c5d0f1a8e4b7c2d963f05a1e8c4b7d2961f3a8e5c0b7d4296f1a3c8e5b70d2496fa1c3e8b57d0249f6a1c3e8b5d70429f8f3a9c1be27d405612fa88e0c3b7d94e5a6f1077bb2c38d9e41f60a5c2378be90d1c4f2a6b8e3957d0c1a4f8b2e6937c5d0f1a8e4b7c2d963f05a1e8c4b7d2961f3a8e5c0b7d4296f1a3c8e5b70d2496fa1c3e8b57d0249f6a1c3e8b5d70429f" "8f3a9c1be27d405612fa88e0c3b7d94e5a6f1077bb2c38d9e41f60a5c2378be90d1c4f2a6b8e3957d0c1a4f8b2e6937c5d0f1a8e4b7c2d963f05a1e8c4b7d2961f3a8e5c0b7d4296f1a3c8e5b70d2496fa1c3e8b57d0249f6a1c3e8b5d70429f8f3a9c1be27d405612fa88e0c3b7d94e5a6f1077bb2c38d9e41f60a5c2378be90d1c4f2a6b8e3957d0c1a4f8b2e6937c5d0f1a8e4b7c2d963f05a1e8c4b7d2961f3a8e5c0b7d4296f1a3c8e5b70d2496fa1c3e8b57d0249f6a1c3e8b5d70429f" "8f3a9c1be27d405612fa88e0c3b7d94e5a6f1077bb2c38d9e41f60a5c2378be90d1c4f2a6b8e3957d0c1a4f8b2e6937c5d0f1a8e4b7c2d963f05a1e8c4b7d2961f3a8e5c0b7d4296f1a3c8e5b70d2496fa1c3e8b57d0249f6a1c3e8b5d70429f8f3a9c1be27d405612fa88e0c3b7d94e5a6f1077bb2c38d9e41f60a5c2378be90d1c4f2a6b8e3957d0c1a4f8b2e6937c5d0f1a8e4b7c2d963f05a1e8c4b7d2961f3a8e5c0b7d4296f1a3c8e5b70d2496fa1c3e8b57d0249f6a1c3e8b5d70429f" "8f3a9c1be27d405612fa88e0c3b7d94e5a6f1077bb2c38d9e41f60a5c2378be90d1c4f2a6b8e3957d0c1a4f8b2e6937c5d0f1a8e4b7c2d963f05a1e8c4b7d2961f3a8e5c0b7d4296f1a3c8e5b70d2496fa1c3e8b57d0249f6a1c3e8b5d70429f8f3a9c1be27d405612fa88e0c3b7d94e5a6f1077bb2c38d9e41f60a5c2378be90d1c4f2a6b8e3957d0c1a4f8b2e6937c5d0f1a8e4b7c2d963f05a1e8c4b7d2961f3a8e5c0b7d4296f1a3c8e5b70d2496fa1c3e8b57d0249f6a1c3e8b5d70429f" "8f3a9c1be27d405612fa88e0c3b7d94e5a6f1077bb2c38d9e41f60a5c2378be90d1c4f2a6b8e3957d0c1a4f8b2e6937c5d0f1a8e4b7c2d963f05a1e8c4b7d2961f3a8e5c0b7d4296f1a3c8e5b70d2496fa1c3e8b57d0249f6a1c3e8b5d70429f8f3a9c1be27d405612fa88e0c3b7d94e5a6f1077bb2c38d9e41f60a5c2378be90d1c4f2a6b8e3957d0c1a4f8b2e6937c5d0f1a8e4b7c2d963f05a1e8c4b7d2961f3a8e5c0b7d4296f1a3c8e5b70d2496fa1c3e8b57d0249f6a1c3e8b5d70429f"

#: names reached by every kind of binding -> no-process@3, no-dynamic-code@6, no-dynamic-code@9, no-filesystem@12, no-dynamic-code@15, no-dynamic-code@18
from torch import nn
class A:
    import os

def f():
    return [run for run in [eval]]

match 1:
    case 1 if (e := exec):
        pass

class B(metaclass=open if 0 else type):
    pass

def g(x=eval):
    return x

def h[T: eval](x: T):
    return x

#: a syntax error -> syntax-error@2
x = 1
y = = 2

#: an f-string of Python 3.12 -> unsupported-syntax@2
names = ["a"]
text = f"{" ".join(names)}"

#: an f-string of Python 3.12 over several lines -> unsupported-syntax@1
text = f"{
    1
}"

#: a tab behind spaces in an indentation -> unsupported-syntax@2
if True:
  	x = 1

#: an f-string that no Python reads -> syntax-error@1
text = f"{}"

#: two hundred and one open brackets -> source-limit@1
x = (((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1)))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))

#: comma behind the subject of match -> unsupported-syntax@2
x = 1
match x,:
    case y:
        pass

#: comma behind a subject in brackets -> unsupported-syntax@2
x = 1
match (x) , :
    case y:
        pass
