#: __class__ -> no-dynamic-code@1
x.__class__
#: __class__ before another name -> no-dynamic-code@1
x.__class__.mro
#: __subclasses__ -> no-dynamic-code@1
type(x).__subclasses__()
#: __dict__ -> no-dynamic-code@1
x.__dict__['a'] = 1
#: __globals__ -> no-dynamic-code@1
f.__globals__
#: __mro__ -> no-dynamic-code@1
x.__mro__
#: __bases__ -> no-attribute-escape@1
x.__bases__
#: __code__ -> no-attribute-escape@1
f.__code__
#: __closure__ -> no-attribute-escape@1
f.__closure__
#: __self__ -> no-attribute-escape@1
print.__self__
#: __func__ -> no-attribute-escape@1
x.f.__func__
#: __wrapped__ -> no-attribute-escape@1
f.__wrapped__
#: __reduce__ -> no-attribute-escape@1
x.__reduce__()
#: __reduce_ex__ -> no-attribute-escape@1
x.__reduce_ex__(2)
#: __getattribute__ -> no-attribute-escape@1
x.__getattribute__('a')
#: __traceback__ -> no-attribute-escape@4
try:
    pass
except ValueError as error:
    error.__traceback__
#: object of an AttributeError -> no-attribute-escape@4
try:
    pass
except AttributeError as error:
    error.obj
#: __doc__ -> no-attribute-escape@1
f.__doc__
#: generator frame -> no-attribute-escape@1
g.gi_frame
#: f_back -> no-attribute-escape@1
x.f_back
#: tb_next -> no-attribute-escape@1
x.tb_next
#: mro -> no-attribute-escape@1
int.mro()
#: pattern reads a frame -> no-attribute-escape@2
match g:
    case object(gi_frame=f):
        pass
#: pattern reads __self__ deep inside -> no-attribute-escape@2
match x:
    case [{'a': object(__self__=s)}, *_]:
        pass
#: pattern over type -> no-dynamic-code@2
match x:
    case type(__subclasses__=s):
        pass
#: system -> no-process@1
ctx.system('x')
#: popen -> no-process@1
x.popen('x')
#: tofile -> no-filesystem@1
x.numpy().tofile('x')
#: dump -> no-filesystem@1
x.numpy().dump('x')
#: ctypes of an array -> no-ffi@1
x.ctypes
#: private of a library object -> private-attribute@2
import torch
torch.zeros(1)._make_subclass
#: private of anything -> private-attribute@1
x._private
#: private that hides a module -> private-attribute@4
class A:
    def __init__(self):
        self._os = 1
x._os
#: own name does not open ForwardRef -> private-attribute@4
class A:
    def _evaluate(self):
        pass
x._evaluate({}, {})
#: assignment of a special name -> no-patching@1
x.__call__ = f
#: assignment through a library class -> no-patching@2
import torch
torch.nn.Module.forward = f
#: assignment through an imported class -> no-patching@2
from torch import Tensor
Tensor.item = f
#: assignment through an alias of a class -> no-patching@3
import torch
T = torch.Tensor
T.item = f
#: assignment in a with -> no-patching@2
import torch.nn.functional as F
with x as F.cross_entropy:
    pass
#: assignment in an unpacking -> no-patching@2
import torch.nn.functional as F
(F.cross_entropy, y) = x
#: assignment with an annotation -> no-patching@2
import torch.nn.functional as F
F.cross_entropy: int = x
#: setattr on a module -> no-patching@2
import torch.nn.functional as F
setattr(F, 'cross_entropy', f)
#: setattr on a class -> no-patching@2
import torch
setattr(torch.Tensor, 'item', f)
#: delattr on a class -> no-patching@2
from torch import Tensor
delattr(Tensor, 'item')
#: setattr of a special name -> no-patching@1
setattr(x, '__call__', f)
#: object.__setattr__ on another object -> no-attribute-escape@2
def f(x):
    object.__setattr__(x, 'a', 1)
#: wraps that copies chosen attributes -> no-patching@2
import functools
functools.wraps(f, assigned=('item',))(x)
#: context attribute -> context-tamper@2
def f(ctx):
    ctx.vocab_size = 2
#: context attribute under an alias -> context-tamper@3
def f(ctx):
    c = ctx
    c.vocab_size = 2
#: context by setattr -> context-tamper@2
def f(ctx):
    setattr(ctx, 'vocab_size', 2)
#: context deleted -> context-tamper@2
def f(ctx):
    del ctx.budget
#: context by replace -> context-tamper@3
import dataclasses
def f(ctx):
    dataclasses.replace(ctx, vocab_size=2)
#: replace as a value -> context-tamper@2
import dataclasses
g = dataclasses.replace
#: __reduce__ defined -> special-method@2
class A:
    def __reduce__(self):
        return 1
#: __torch_function__ defined -> special-method@3
class A:
    @classmethod
    def __torch_function__(cls, f, t, a=(), k=None):
        return 1
#: __getattribute__ assigned -> special-method@2
class A:
    __getattribute__ = f
#: __instancecheck__ -> special-method@2
class A:
    def __instancecheck__(self, x):
        return True
#: __match_args__ -> special-method@2
class A:
    __match_args__ = ('__class__',)
#: module __getattr__ -> special-method@1
def __getattr__(name):
    return 1
#: module __name__ -> special-method@1
__name__ = 'x'
#: format of a variable -> no-dynamic-attr@1
x.format(y)
#: format field with an attribute -> no-dynamic-attr@1
'{0.x}'.format(y)
#: format_map -> no-dynamic-attr@1
'{a.b}'.format_map(y)
#: format of a name with two texts -> no-dynamic-attr@3
t = '{}'
t = '{0.x}'
t.format(y)
#: format of a name with a computed text -> no-dynamic-attr@3
t = '{}'
t = t + s
t.format(y)
#: str.format unbound -> no-dynamic-attr@1
str.format('{0.x}', y)
#: full-width name -> identifier-encoding@1
ｅｖａｌ('1')
#: ligature in an attribute -> identifier-encoding@1
x.ﬁle
#: full-width keyword argument -> identifier-encoding@1
f(ｏｐｅｎ=1)
#: full-width in a lambda parameter -> identifier-encoding@1
f = lambda ｘ: 1
#: full-width in a pattern -> identifier-encoding@2
match x:
    case object(ｆ=1):
        pass
#: full-width global -> identifier-encoding@2
def f():
    global ｘ
#: full-width inside an f-string -> identifier-encoding@1
f"{ｅｖａｌ}"
#: parent __setattr__ with a computed name -> no-attribute-escape@3
class A:
    def put(self, name, value):
        super().__setattr__(name, value)
#: parent __setattr__ with a special name -> no-attribute-escape@3
class A:
    def put(self, value):
        object.__setattr__(self, '__array_interface__', value)
#: annotations as text reach the code that dataclass writes -> special-method@4
from dataclasses import dataclass
@dataclass
class A:
    __annotations__ = {'x': int}
#: state hooks -> special-method@2
class A:
    def __getstate__(self):
        return {}
