#: exception traceback to frame -> no-attribute-escape@4
try:
    1 / 0
except ZeroDivisionError as err:
    PROOF = err.__traceback__.tb_frame

#: coroutine frame to f_globals -> unsupported-syntax@1, no-attribute-escape@5
async def co():
    pass

x = co()
PROOF = x.cr_frame.f_globals
x.close()

#: f_back walk out of the module into the harness -> no-attribute-escape@4, no-attribute-escape@5, no-attribute-escape@6, no-attribute-escape@7
try:
    raise KeyError
except KeyError as err:
    frame = err.__traceback__.tb_frame
while frame.f_back is not None:
    frame = frame.f_back
PROOF = frame.f_globals

#: class pattern reads __globals__ -> no-dynamic-code@5
def f():
    pass

match f:
    case object(__globals__=g):
        PROOF = g

#: str.format attribute access -> no-dynamic-attr@2, module-value@2
import prism_challenge.evaluator.interface as iface
PROOF = '{0.helper.__globals__[SECRET]}'.format(iface)

#: getattr aliased; name concatenated -> no-dynamic-attr@1, no-dynamic-attr@6
ga = getattr

def f():
    pass

PROOF = ga(f, '__glo' + 'bals__')

#: map(getattr; ...) -> no-dynamic-attr@4
def f():
    pass

PROOF = list(map(getattr, [f], ['__globals__']))[0]

#: type.mro() instead of __mro__; subclasses through match -> no-attribute-escape@1, no-dynamic-code@3
root = int.mro()[-1]
match root:
    case type(__subclasses__=subs):
        PROOF = subs()

#: functools.reduce with getattr -> module-surface@2, no-dynamic-attr@2, module-value@2
import typing, torch
PROOF = typing.functools.reduce(getattr, ['serialization', 'os'], torch)

#: typing.ForwardRef evaluation -> module-surface@3, private-attribute@4
import typing
BOX = []
ref = typing.ForwardRef("BOX.append(__import__('os')) or int")
ref._evaluate({'BOX': BOX}, {}, recursive_guard=frozenset())
PROOF = BOX[0]

#: typing.types.FunctionType over a compiled code object -> no-dynamic-code@2, no-dynamic-code@3
import typing
build = compile
PROOF = typing.types.FunctionType(build('__import__("os")', 'x', 'eval'), {})()

#: reads another function's __kwdefaults__ -> module-surface@2, no-attribute-escape@2
import prism_challenge.evaluator.interface as iface
PROOF = iface.helper.__kwdefaults__['secret']

#: except* / __context__ traceback -> no-attribute-escape@7
try:
    try:
        1 / 0
    except ZeroDivisionError:
        raise ValueError
except ValueError as err:
    PROOF = err.__context__.__traceback__.tb_frame.f_globals

#: builtin bound to another name before the call -> no-filesystem@1, no-filesystem@2
reader = open
PROOF = reader('/etc/hostname').read()

#: builtin passed as an argument to a lambda -> no-dynamic-import@1
PROOF = (lambda f: f('os'))(__import__)

#: builtin taken out of a dict -> no-filesystem@1
TABLE = {'r': open}
PROOF = TABLE['r']('/etc/hostname').read()

#: builtin as lambda default -> no-dynamic-import@1
PROOF = (lambda name, imp=__import__: imp(name))('os')

#: callee is a conditional expression -> no-filesystem@1
PROOF = (open if '/etc/hostname' else None)('/etc/hostname').read()

#: map(eval; ...) -> no-dynamic-code@1
PROOF = list(map(eval, ['__import__("os")']))[0]

#: key=exec -> no-dynamic-code@1
sorted(['import os as PROOF'], key=exec)

#: builtin stored as class attribute and called as attribute -> no-dynamic-code@2
class Tools:
    run = eval

PROOF = Tools.run('__import__("os")')

#: __class_getitem__ = eval -> no-dynamic-code@2
class Box:
    __class_getitem__ = eval

PROOF = Box['__import__("os")']

#: __getattr__ = eval: attribute names become builtins -> no-dynamic-code@2
class Box:
    __getattr__ = eval

PROOF = Box().open('/etc/hostname').read()

#: property(eval) on a str subclass -> no-dynamic-code@2
class Code(str):
    run = property(eval)

PROOF = Code('__import__("os")').run

#: for loop binds the builtin -> no-filesystem@1
for opener in (open,):
    PROOF = opener('/etc/hostname').read()

#: __builtins__ name subscripted (a dict in imported modules) -> no-dynamic-code@1
PROOF = __builtins__['eval']

#: __loader__.get_data reads any file -> no-dynamic-import@1
PROOF = __loader__.get_data('/etc/hostname').decode()

#: __spec__.loader reads any file -> no-dynamic-import@1
PROOF = __spec__.loader.get_data('/etc/hostname').decode()

#: print(...; file=obj) with obj.write = exec -> no-dynamic-code@2
class Sink:
    write = exec

print('import os as PROOF', end='', file=Sink())

#: __set_name__ hook with aliased __import__ -> no-dynamic-import@2
class Hook:
    def __set_name__(self, owner, name, imp=__import__):
        owner.found = imp('os')

class Holder:
    hook = Hook()

PROOF = Holder.found

#: collections.defaultdict(globals) -> no-dynamic-attr@2
from collections import defaultdict
PROOF = defaultdict(globals)['x']

#: vars aliased -> no-dynamic-attr@1, no-dynamic-attr@3, module-value@3
peek = vars
import torch
PROOF = peek(torch)['os']

#: builtin sent into a generator -> no-filesystem@7
def worker():
    f = yield
    yield f('/etc/hostname').read()

g = worker()
next(g)
PROOF = g.send(open)

#: utf-7 coding cookie hides code in a comment -> source-encoding@1
# -*- coding: utf-7 -*-
# +AAo-import os as PROOF+AAo-
X = 1

#: raw_unicode_escape cookie: \u000a in a comment is a newline -> source-encoding@1
# coding: raw_unicode_escape
# note \u000aimport os as PROOF
X = 1

#: full-width identifier normalises to eval -> identifier-encoding@1
PROOF = ｅｖａｌ('__import__("os")')

#: normalised attribute name -> identifier-encoding@4, no-attribute-escape@4
def f():
    pass

PROOF = f.__ｇｌｏｂａｌｓ__

#: typing.sys.modules -> no-process@2
import typing
PROOF = typing.sys.modules

#: collections._sys -> module-surface@2
import collections
PROOF = collections._sys

#: from typing import sys -> no-process@1
from typing import sys
PROOF = sys

#: dataclasses.inspect.linecache.getlines -> no-attribute-escape@2, no-dynamic-code@2
import dataclasses
PROOF = ''.join(dataclasses.inspect.linecache.getlines('/etc/hostname'))

#: from torch import os -> no-process@1
from torch import os
PROOF = os.environ and os

#: torch.importlib.import_module -> no-dynamic-import@2
import torch
PROOF = torch.importlib.import_module('subprocess')

#: torch.serialization.pickle.loads -> no-deserialization@2
import torch
PROOF = torch.serialization.pickle.loads(b'c__builtin__\neval\n(S\'__import__("os")\'\ntR.')

#: torch.utils.collect_env.run executes shell commands -> no-forbidden-import@1
import torch.utils.collect_env as env
PROOF = env.run('cat ' + '/etc/hostname')[1]

#: torch.fx.graph_module._exec_with_source -> no-torch-escape@1
import torch.fx.graph_module as gm
space = {}
gm._exec_with_source('import os as found', space)
PROOF = space['found']

#: pathlib.Path re-exported by the evaluator package -> no-forbidden-import@1, no-filesystem@2
from prism_challenge.evaluator.dataset import Path
PROOF = Path('/etc/hostname').read_text()

#: import torch.hub as h -> no-torch-escape@1
import torch.hub as h
PROOF = h

#: from torch.utils import cpp_extension -> no-torch-escape@1, no-torch-escape@2
from torch.utils import cpp_extension as ext
PROOF = ext.load_inline

#: torch.ctypes -> no-ffi@2
import torch
PROOF = torch.ctypes.CDLL(None).getpid and torch.ctypes

#: logging.FileHandler through torch -> module-surface@3, no-filesystem@3, private-attribute@3
import torch
PROOF = '/var/tmp/prism-out' + '/m27.txt'
torch._logging._internal.logging.FileHandler(PROOF).close()

#: from torch.serialization import tarfile; shutil -> no-deserialization@1
from torch.serialization import shutil
PROOF = shutil

#: getattr(typing; 'sys') with a harmless looking literal -> no-process@2
import typing
PROOF = getattr(typing, 'sys')

#: F.cross_entropy = fake -> no-patching@7
import torch
import torch.nn.functional as F

def fake(*args, **kwargs):
    return torch.tensor(0.001)

F.cross_entropy = fake

#: for F.cross_entropy in [fake] -> no-patching@7
import torch
import torch.nn.functional as F

def fake(*args, **kwargs):
    return torch.tensor(0.001)

for F.cross_entropy in [fake]:
    pass

#: comprehension target is an attribute -> no-patching@7
import torch
import torch.nn.functional as F

def fake(*args, **kwargs):
    return torch.tensor(0.001)

[0 for F.cross_entropy in [fake]]

#: setattr aliased -> no-dynamic-attr@7, no-dynamic-attr@8, module-value@8
import torch
import torch.nn.functional as F

def fake(*args, **kwargs):
    return torch.tensor(0.001)

put = setattr
put(F, 'cross_' + 'entropy', fake)

#: type.__setattr__(torch.Tensor; 'item'; ...) -> no-attribute-escape@7, no-dynamic-attr@7
import torch
import torch.nn.functional as F

def fake(*args, **kwargs):
    return torch.tensor(0.001)

type.__setattr__(torch.Tensor, 'item', lambda self: 0.001)

#: global TorchFunctionMode -> no-forbidden-import@3, special-method@6
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

class Quiet(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        return out * 0.001 if func is F.cross_entropy else out

Quiet().__enter__()

#: writes to interface._ONLINE_CAPTURE -> module-surface@4, no-patching@4
import prism_challenge.evaluator.interface as iface

def train(ctx):
    iface._ONLINE_CAPTURE.sum_nll_nats = 0.5

#: augmented assignment on the capture -> module-surface@4, no-patching@4
import prism_challenge.evaluator.interface as iface

def train(ctx):
    iface._ONLINE_CAPTURE.sum_nll_nats -= 99.0

#: dataclasses.replace(ctx; vocab_size=2) -> context-tamper@4
import dataclasses

def train(ctx):
    dataclasses.replace(ctx, vocab_size=2).iter_train_batches(None)

#: del torch.Tensor.__add__-style deletion (delattr on shared class) -> no-patching@3
import torch
import torch.nn.functional as F
del F.cross_entropy

#: nn.Module.__call__ replaced for all modules -> no-patching@2
import torch
torch.nn.Module.__call__ = lambda self, *a, **k: torch.full((2, 3), 7.0)

#: import os -> no-process@1
import os
PROOF = os

#: eval() -> no-dynamic-code@1
PROOF = eval('__import__("os")')

#: torch.hub attribute -> no-torch-escape@2
import torch
PROOF = torch.hub

#: torch.from_file -> no-filesystem@2
import torch
PROOF = bytes(torch.from_file('/etc/hostname', size=20, dtype=torch.uint8).tolist()).decode()

#: torch.save through an alias to an arbitrary path -> no-filesystem@2, no-filesystem@4
import torch
dump = torch.save
PROOF = '/var/tmp/prism-out' + '/t03.pt'
dump([1], PROOF)

#: __reduce__ object saved and re-loaded under artifacts_dir -> special-method@4, no-dynamic-code@5, no-deserialization@10
import torch

class P:
    def __reduce__(self):
        return eval, ('__import__("os")',)

def train(ctx):
    global PROOF
    torch.save(P(), ctx.artifacts_dir + '/x.pt')
    PROOF = torch.load(ctx.artifacts_dir + '/x.pt', weights_only=False)

#: torch.distributed.FileStore writes a file -> no-filesystem@3
import torch.distributed as dist
PROOF = '/var/tmp/prism-out' + '/t07.bin'
store = dist.FileStore(PROOF, 1)
store.set('k', 'v')

#: torch.multiprocessing.Process -> no-process@1, no-process@6
import torch.multiprocessing as tmp

def child():
    pass

PROOF = tmp.get_context('fork').Process(target=child)
PROOF.start()
PROOF.join()

#: Tensor.numpy().tofile -> no-filesystem@3
import torch
PROOF = '/var/tmp/prism-out' + '/t11.bin'
torch.ones(3).numpy().tofile(PROOF)

#: torch.jit.save to any path -> no-torch-escape@3
import torch
PROOF = '/var/tmp/prism-out' + '/t13.pt'
torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), PROOF)

#: ScriptModule.save -> no-torch-escape@3
import torch
PROOF = '/var/tmp/prism-out' + '/t15.pt'
torch.jit.script(torch.nn.Linear(2, 2)).save(PROOF)

#: torch.serialization.add_safe_globals([eval]) -> no-deserialization@2, no-dynamic-code@2, no-deserialization@3, no-dynamic-code@3
import torch
torch.serialization.add_safe_globals([eval])
PROOF = torch.serialization.get_safe_globals()[0] if torch.serialization.get_safe_globals()[0] is eval else [g for g in torch.serialization.get_safe_globals() if g is eval][0]

