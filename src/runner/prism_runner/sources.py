"""What CPython reads in the submission's files: the canonical digest of each syntax tree.

The reviewer computes the same digest from its own parser's tree (src/review/ast_digest.rs, which
describes the text that is hashed). The referee compares the two before anything is imported: what
was reviewed is what runs. Works on Python 3.10 and newer, whose trees differ in small things only.
"""

from __future__ import annotations

import ast
import hashlib
import os
import struct
from collections.abc import Iterator
from typing import Any

VERSION = b"prism-ast-v1\n"
# Fields without meaning for the reviewer, or that only some versions of Python have.
SKIPPED_FIELDS = {"type_comment", "type_ignores", "kind", "simple"}
SKIPPED_IF_EMPTY = {"type_params", "default_value"}
FIELDS: dict[type, tuple[str, ...]] = {}


def digests(project_dir: str) -> Iterator[tuple[str, str | None]]:
    """(path, digest) of every Python file below a folder, in order of paths; None for a file that
    this Python cannot parse.
    """
    paths = [
        os.path.relpath(os.path.join(folder, name), project_dir)
        for folder, _, names in os.walk(project_dir)
        for name in names
        if name.endswith(".py")
    ]
    for path in sorted(paths):
        with open(os.path.join(project_dir, path), "rb") as file:
            source = file.read()
        try:
            digest = ast_digest(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            digest = None
        yield path, digest


def ast_digest(source: bytes) -> str:
    """The digest of a module, as 64 hexadecimal digits. SyntaxError, ValueError (a NUL byte),
    RecursionError or MemoryError where CPython cannot parse it.
    """
    text = bytearray(VERSION)
    # What is still to be written, last first: no recursion on the depth of a submission's tree.
    waiting: list[Any] = [ast.parse(source)]
    while waiting:
        item = waiting.pop()
        if isinstance(item, bytes):
            text += item
        elif item is None:
            text += b"_"
        elif isinstance(item, ast.AST):
            text += b"(" + type(item).__name__.encode()
            waiting.append(b")")
            waiting += reversed(_parts(item))
        elif isinstance(item, list):
            text += b"["
            waiting.append(b"]")
            waiting += reversed(item)
        elif isinstance(item, int):
            text += b"#%d;" % item
        else:
            name = item.encode()
            text += b"'%d:%b" % (len(name), name)
    return hashlib.sha256(text).hexdigest()


def _parts(node: ast.AST) -> list[Any]:
    """What stands between the brackets of a node."""
    if isinstance(node, ast.Constant):
        return [_constant(node.value)]
    if isinstance(node, ast.MatchSingleton):
        return [_constant(node.value)]
    if isinstance(node, ast.JoinedStr):
        return [_pieces(node.values)]
    if isinstance(node, ast.arguments):
        return _arguments(node)
    kind = type(node)
    fields = FIELDS.get(kind)
    if fields is None:
        fields = FIELDS[kind] = tuple(f for f in kind._fields if f not in SKIPPED_FIELDS)
    values = ((field, getattr(node, field, None)) for field in fields)
    return [value for field, value in values if value or field not in SKIPPED_IF_EMPTY]


def _arguments(node: ast.arguments) -> list[Any]:
    count = len(node.posonlyargs)
    positional = node.posonlyargs + node.args
    defaults = [None] * (len(positional) - len(node.defaults)) + node.defaults
    pairs = list(zip(positional, defaults, strict=True))
    keyword_only = list(zip(node.kwonlyargs, node.kw_defaults, strict=True))
    return [
        *_parameters(pairs[:count]),
        *_parameters(pairs[count:]),
        node.vararg,
        *_parameters(keyword_only),
        node.kwarg,
    ]


def _parameters(pairs: list[tuple[ast.arg, ast.expr | None]]) -> list[Any]:
    parts: list[Any] = [b"["]
    for arg, default in pairs:
        parts += [b"(p", arg, default, b")"]
    return [*parts, b"]"]


def _pieces(values: list[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string, with one constant between two fields at most."""
    pieces: list[ast.expr] = []
    for value in values:
        if isinstance(value, ast.Constant):
            last = pieces[-1] if pieces else None
            if isinstance(last, ast.Constant):
                pieces[-1] = ast.Constant(last.value + value.value)
            elif value.value:
                pieces.append(value)
        else:
            pieces.append(value)
    return pieces


def _constant(value: object) -> bytes:
    if value is None:
        return b"N"
    if value is True:
        return b"T"
    if value is False:
        return b"F"
    if value is Ellipsis:
        return b"E"
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        return b"s%d:%b" % (len(text), text)
    if isinstance(value, bytes):
        return b"b%d:%b" % (len(value), value)
    if isinstance(value, int):
        return b"i%x;" % value
    if isinstance(value, float):
        return b"f" + struct.pack(">d", value).hex().encode()
    if isinstance(value, complex):
        return b"c" + struct.pack(">dd", value.real, value.imag).hex().encode()
    raise ValueError(f"a constant of type {type(value).__name__}")
