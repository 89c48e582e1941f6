#: import os -> no-process@1
import os
#: import in a function -> no-process@2
def f():
    import subprocess
#: import as -> no-process@1
import sys as s
#: import among others -> no-network@1
import math, socket
#: from http -> no-network@1
from http import client
#: pathlib -> no-filesystem@1
from pathlib import Path
#: io -> no-filesystem@1
import io
#: ctypes -> no-ffi@1
import ctypes
#: importlib -> no-dynamic-import@1
import importlib.util
#: pickle -> no-deserialization@1
import pickle
#: inspect -> no-dynamic-code@1
import inspect
#: builtins -> no-dynamic-code@1
from builtins import eval
#: unknown library -> no-forbidden-import@1
import pandas
#: threading -> no-process@1
import threading
#: star -> star-import@1
from math import *
#: relative import of nothing -> module-surface@1
from . import nothing
#: torch.hub -> no-torch-escape@2
import torch
torch.hub.load('a', 'b')
#: torch.hub under another name -> no-torch-escape@1
import torch.hub as h
#: from torch import hub -> no-torch-escape@1
from torch import hub
#: cpp extensions -> no-torch-escape@1
from torch.utils.cpp_extension import load_inline
#: torch.jit -> no-torch-escape@2
import torch
torch.jit.script(x)
#: torch.fx -> no-torch-escape@1
import torch.fx
#: torch.ops -> no-torch-escape@2
import torch
torch.ops.load_library('x')
#: torch._C -> no-torch-escape@2
import torch as t
t._C
#: torch.multiprocessing -> no-process@1
import torch.multiprocessing as mp
#: torch.serialization -> no-deserialization@1
from torch.serialization import load
#: torch.os -> no-process@2
import torch
torch.os.system('x')
#: torch.os imported -> no-process@1
from torch import os
#: os through an alias of torch -> no-process@3
import torch
t = torch
t.os
#: os through two aliases in a function -> no-process@4
import torch
def f():
    t = torch
    t.sys
#: os through a global alias -> no-process@6
import torch
def f():
    global g
    g = torch
def h():
    g.os
#: os through a nonlocal alias -> no-process@7
import torch
def f():
    m = None
    def g():
        nonlocal m
        m = torch
    m.os
#: a conditional alias is both -> no-process@6
import torch
if x:
    m = torch
else:
    m = None
m.os
#: a class body sees the module name before its own -> no-process@4
import torch
m = torch
class A:
    x = m.os
    m = 1
#: an alias of a part -> no-process@3
import torch.nn as nn
f = nn.functional
f.os
#: an alias bound to itself -> no-deserialization@3
import torch
x = torch
x = x.serialization
#: getattr of a module -> no-process@2
import torch
getattr(torch, 'os')
#: getattr of a module continued -> no-torch-escape@2
import torch
getattr(torch, 'jit').script
#: numpy behind functional -> module-surface@2
import torch.nn.functional as F
F.np.load('x')
#: sys behind typing -> no-process@1
from typing import sys
#: sys behind dataclasses -> no-process@2
import dataclasses
dataclasses.sys
#: sys behind collections -> module-surface@2
import collections
collections._sys
#: pattern value -> no-process@3
import typing
match x:
    case typing.sys:
        pass
#: evaluating hints -> module-surface@1
from typing import get_type_hints
#: singledispatch evaluates annotations -> module-surface@1
from functools import singledispatch
#: make_dataclass -> module-surface@2
import dataclasses
dataclasses.make_dataclass('A', [])
#: update_wrapper sets attributes -> module-surface@2
import functools
functools.update_wrapper(a, b)
#: attrgetter -> no-dynamic-attr@1
from operator import attrgetter
#: numpy.load -> no-deserialization@2
import numpy as np
np.load('x')
#: numpy.memmap -> no-filesystem@2
import numpy as np
np.memmap('x')
#: torch.from_file -> no-filesystem@2
import torch
torch.from_file('x')
#: FileStore -> no-filesystem@1
from torch.distributed import FileStore
#: module in a list -> module-value@2
import torch
x = [torch]
#: module as an argument -> module-value@2
import torch
f(torch)
#: module returned -> module-value@3
import torch
def f():
    return torch.nn
#: module as a default -> module-value@2
import torch
def f(t=torch):
    pass
#: module by walrus -> module-value@2
import torch
(t := torch)
#: module unpacked -> module-value@2
import torch
a, b = torch, 1
#: module as a class attribute -> module-value@3
import torch
class A:
    t = torch
#: module imported in a class -> module-value@2
class A:
    import math
#: module on an instance -> module-value@2
import torch
self.t = torch
#: module in a conditional -> module-value@2
import torch
x = torch if y else None
#: module in a lambda -> module-value@2
import torch
f = lambda: torch
#: module compared for equality -> module-value@2
import torch
x == torch
#: module looped over -> module-value@2
import torch
for t in (torch,):
    pass
#: metaclass -> unsupported-syntax@1
class A(metaclass=M):
    pass
#: metaclass unpacked -> unsupported-syntax@1
class A(**options):
    pass
#: async -> unsupported-syntax@1
async def f():
    pass
