#: open called -> no-filesystem@1
open('x')
#: open in a list -> no-filesystem@1
x = [open][0]('x')
#: open by walrus -> no-filesystem@1
(o := open)('x')
#: open as a default argument -> no-filesystem@1
def f(o=open):
    return o
#: open as a keyword-only default -> no-filesystem@1
def f(*, o=open):
    return o
#: open as a keyword value -> no-filesystem@1
dict(o=open)
#: open in a comprehension iterable -> no-filesystem@1
[f('x') for f in (open,)]
#: open in a decorator -> no-filesystem@1
@open
def f():
    pass
#: open as a base class keyword -> no-filesystem@1
class A(object, o=open):
    pass
#: open in a with item -> no-filesystem@1
with open('x') as f:
    pass
#: open in an annotation -> no-filesystem@1
x: open = 1
#: open in an f-string -> no-filesystem@1
x = f"{open('x').read()}"
#: open in an f-string specification -> no-filesystem@1
x = f"{1:{open('x').read()}}"
#: open in a match guard -> no-filesystem@2
match 1:
    case _ if open('x'):
        pass
#: open in a dict value -> no-filesystem@1
x = {'a': open}
#: open yielded -> no-filesystem@2
def f():
    yield open
#: open raised from -> no-filesystem@1
raise ValueError from open
#: open asserted -> no-filesystem@1
assert 1, open
#: open in a subscript -> no-filesystem@1
x[open]
#: open in a slice -> no-filesystem@1
x[1:open]
#: open starred -> no-filesystem@1
f(*open)
#: open deleted before use -> no-filesystem@3
open = 1
del open
x = open
#: open bound only sometimes -> no-filesystem@3
if x:
    open = 1
y = open
#: open bound later -> no-filesystem@2
def f():
    return open
open = 1
#: open bound by itself -> no-filesystem@1
open, y = open, 1
#: open bound by its own def default -> no-filesystem@1
def open(x=open):
    pass
#: open called by its own decorator -> no-filesystem@3
@run
def open():
    return open('x')
#: open defined in a class is not open in a method -> no-filesystem@5
class Gate:
    def open(self):
        return 1
    def run(self):
        return open('x')
#: class body falls back to the builtin -> no-filesystem@4
class A:
    if x:
        open = 1
    y = open
#: except clause unbinds the name -> no-filesystem@5
try:
    pass
except ValueError as open:
    pass
x = open
#: global deletion -> no-filesystem@5
open = 1
def f():
    global open
    del open
x = open
#: eval -> no-dynamic-code@1
eval('1')
#: exec as a class attribute -> no-dynamic-code@2
class A:
    write = exec
#: compile mapped -> no-dynamic-code@1
list(map(compile, []))
#: breakpoint -> no-dynamic-code@1
breakpoint()
#: __builtins__ -> no-dynamic-code@1
x = __builtins__
#: __import__ -> no-dynamic-import@1
__import__('os')
#: __loader__ -> no-dynamic-import@1
__loader__.get_data('x')
#: __spec__ -> no-dynamic-import@1
x = __spec__
#: __file__ -> no-filesystem@1
x = __file__
#: module docstring by name -> private-attribute@2
'text'
x = __doc__
#: input -> no-process@1
input()
#: exit -> no-process@1
exit()
#: SystemExit -> no-process@1
raise SystemExit(0)
#: globals -> no-dynamic-attr@1
globals()['x']
#: locals aliased -> no-dynamic-attr@1
peek = locals
#: vars -> no-dynamic-attr@1
vars(x)
#: dir -> no-dynamic-attr@1
dir(x)
#: memoryview -> no-attribute-escape@1
memoryview(b'')
#: help -> no-filesystem@1
help()
#: license -> no-filesystem@1
license.x
#: getattr aliased -> no-dynamic-attr@1
g = getattr
#: getattr reduced -> no-dynamic-attr@2
import functools
functools.reduce(getattr, ['a'], x)
#: getattr with a variable -> no-dynamic-attr@1
getattr(x, name)
#: getattr with a sum -> no-dynamic-attr@1
getattr(x, '__glo' + 'bals__')
#: getattr with a format -> no-dynamic-attr@1
getattr(x, '%s' % y)
#: getattr with an f-string that begins with a field -> no-dynamic-attr@1
getattr(x, f'{y}layer')
#: getattr with an f-string that begins with an underscore -> no-dynamic-attr@1
getattr(x, f'__{y}__')
#: getattr with a prefix of a frame attribute -> no-dynamic-attr@1
getattr(x, f'f_{y}')
#: getattr unpacked -> no-dynamic-attr@1
getattr(*x)
#: getattr of a class -> no-dynamic-code@1
getattr(x, '__class__')
#: setattr with a variable -> no-dynamic-attr@1
setattr(x, name, 1)
#: delattr with a variable -> no-dynamic-attr@1
delattr(x, name)
#: type with three arguments -> no-dynamic-code@1
type('A', (), {})
#: type as a value -> no-dynamic-attr@1
x = type
#: type as a base -> no-dynamic-attr@1
class Meta(type):
    pass
#: super as a value -> no-dynamic-attr@1
s = super
#: type as a maker of classes -> no-dynamic-code@1
t = type(A)
#: type of a type called -> no-dynamic-code@1
type(type(1))('A', (), {})
#: type passed on -> no-dynamic-code@1
f(type(x))
#: type with a method -> no-dynamic-code@1
type(x).__call__(y)
#: special method under another name -> no-attribute-escape@4
class A:
    def __setattr__(self, name, value):
        super().__setattr__(name, value)
    put = __setattr__
