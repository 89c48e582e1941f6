#: a standard stream opened again as another file -> no-filesystem@2, no-attribute-escape@3
import logging
raw = logging.getLogger().handlers[0].stream.buffer.raw
raw.__init__("/etc/passwd", "r")
#: another file of the same kind as a standard stream -> no-filesystem@2
import logging
raw = logging.getLogger().handlers[0].stream.buffer.raw
text = type(raw)("/etc/passwd", "r").read()
#: initialising self again -> no-attribute-escape@3
class A:
    def reopen(self):
        self.__init__("/etc/passwd", "r")
#: initialising the context again -> no-attribute-escape@2
def again(ctx):
    ctx.__init__(step_budget=1)
#: __init__ by getattr -> no-attribute-escape@2
def again(thing):
    getattr(thing, "__init__")("/etc/passwd")
#: __init__ by pattern -> no-attribute-escape@3
def again(thing):
    match thing:
        case object(__init__=init):
            init("/etc/passwd")
#: __init__ of what a class name was bound to later -> no-attribute-escape@5
class Base:
    pass
def again(thing):
    Base = thing
    Base.__init__("/etc/passwd")
#: __new__ of an object -> no-attribute-escape@2
def another(thing):
    return thing.__new__(thing)
#: a data class names the attributes that a pattern reads -> no-attribute-escape@11
from abc import ABC
from dataclasses import dataclass
@dataclass
class P(ABC):
    gi_frame: object
P.register(object)
def numbers():
    yield 1
def frame():
    match numbers():
        case P(frame):
            return frame
#: a protocol names the attributes that a pattern reads -> no-attribute-escape@11
from dataclasses import dataclass
from typing import Protocol, runtime_checkable
@runtime_checkable
@dataclass
class P(Protocol):
    f_builtins: object


def names(frame):
    match frame:
        case P(builtins) if True:
            return builtins
#: a named tuple names the attributes that a pattern reads -> no-attribute-escape@9
from abc import ABC
from collections import namedtuple
Names = namedtuple("Names", "tb_frame")
class P(Names, ABC):
    pass
P.register(object)
def frame(traceback):
    match traceback:
        case [P(frame), *_]:
            return frame
#: int under another name in a pattern with a position -> no-attribute-escape@7
class A:
    pass
int = A


match A():
    case int(x):
        print(x)
#: pattern reads str.format -> no-dynamic-attr@2
match "{0.__class__}":
    case str(format=write):
        print(write(1))
#: pattern reads str.format_map -> no-dynamic-attr@2
match "{x.__class__}":
    case str(format_map=write):
        print(write({"x": 1}))
#: an enumeration made of a dict with a special name -> special-method@3
from enum import Enum
import numpy as np
E = Enum("E", {"A": 1, "__array_interface__": {"shape": (8,), "typestr": "|u1", "data": (id(1), False), "version": 3}})
memory = np.asarray(E.A)
#: an enumeration of computed names -> special-method@3
from enum import IntEnum
names = {"__array" + "_interface__": {}}
E = IntEnum("E", names)
#: an enumeration of unpacked arguments -> special-method@3
from enum import Flag
arguments = ("E", "A B")
E = Flag(*arguments)
#: an enumeration of keywords -> special-method@2
import enum
E = enum.Enum(value="E", names={"A": 1})
#: a list of pairs with a special name -> special-method@2
import enum
E = enum.StrEnum("E", [("A", "a"), ("__reduce_ex__", print)])
#: Enum under another name -> special-method@2
from enum import Enum
Make = Enum
E = Make("E", {"__reduce_ex__": print})
#: Enum out of a list -> special-method@2
from enum import Enum
E = [Enum][0]("E", {"__reduce_ex__": print})
#: Enum as an argument -> special-method@4
from enum import Enum
def make(kind, names):
    return kind("E", names)
make(Enum, {"__reduce_ex__": print})
#: an enumeration without members, to be called later -> special-method@2
from enum import Enum
class Base(Enum):
    pass
E = Base("E", {"__reduce_ex__": print})
#: an enumeration whose only member is ignored -> special-method@2
from enum import Enum
class Base(Enum):
    _ignore_ = ["A"]
    A = print
#: an enumeration with methods only -> special-method@2
from enum import Enum
class Base(str, Enum):
    def label(self):
        return self.value
#: a compiler named in options of torch.compile -> no-torch-escape@2
import torch
f = torch.compile(lambda x: x + 1, options={"cpp.cxx": (None, "/prism/project/run")})
#: options of torch.compile from a variable -> no-torch-escape@3
import torch
options = {"trace.debug_dir": "/tmp"}
f = torch.compile(lambda x: x + 1, options=options)
#: options of torch.compile unpacked into a dict -> no-torch-escape@3
import torch
more = {"cpp.cxx": "cc"}
f = torch.compile(lambda x: x + 1, options={"max_autotune": True, **more})
#: a compiler named in options of a decorator -> no-torch-escape@2
import torch
@torch.compile(options={"cpp.cxx": "cc"})
def f(x):
    return x
#: a compiler named in options of a method -> no-torch-escape@3
from torch import nn
model = nn.Linear(2, 2)
model.compile(options={"cpp.cxx": (None, "/prism/project/run")})
#: own backend of a method, unpacked -> no-torch-escape@3
from torch import nn
model = nn.Linear(2, 2)
model.compile(**{"backend": lambda graph, inputs: graph})
#: torch.compile in a partial -> no-torch-escape@3
import torch
from functools import partial
make = partial(torch.compile, backend=lambda graph, inputs: graph)
#: torch.compile out of a dict -> no-torch-escape@2
import torch
make = {"c": torch.compile}["c"](print, backend=lambda graph, inputs: graph)
#: __setattr__ with another name than it was called with -> no-attribute-escape@4
class A:
    def __setattr__(self, name, value):
        name = "__cla" + "ss__"
        super().__setattr__(name, value)
#: __setattr__ with a name from a loop -> no-attribute-escape@4
class A:
    def __setattr__(self, name, value):
        for name in ("__cla" + "ss__",):
            super().__setattr__(name, value)
#: __setattr__ of another object -> no-attribute-escape@5
import torch
class A:
    def __setattr__(self, name, value):
        self = torch.nn.Linear
        object.__setattr__(self, name, value)
#: __setattr__ with its value as the name -> no-attribute-escape@3
class A:
    def __setattr__(self, name, value):
        super().__setattr__(value, name)
#: foreign functions behind a generator of numpy -> no-ffi@2
import numpy as np
interface = np.random.default_rng(0).bit_generator.cffi
#: the module behind catch_warnings -> private-attribute@6
import warnings
class A:
    def __init__(self):
        self._module = None
def leak():
    return warnings.catch_warnings()._module
