"""The digest of syntax trees: what it depends on, and that the reviewer's parser gives the same."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import sysconfig
import unittest
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src" / "runner"))

from prism_runner.sources import ast_digest, digests  # noqa: E402

TORCH = Path(sysconfig.get_path("purelib")) / "torch"
STDLIB = Path(sysconfig.get_path("stdlib"))
STDLIB_FILES = 250

# Pairs that are written differently and mean the same tree, and pairs that only look alike.
SAME = [
    ("x=1", "x  =  1  # a comment\n\n"),
    ("x = 'a' 'b'", 'x = ("a"\n     "b")'),
    ("x = 0x10", "x = 16"),
    ("x = 1_000.0", "x = 1e3"),
    ("def f(a,b):\n return a", "def f(\n    a,\n    b,\n):\n        return (a)"),
    ("x = f'a{1}' 'b'", "x = 'a' f'{1}b'"),
    ("x = u'a'", "x = 'a'"),
    ("x = '\\x41'", "x = 'A'"),
    ("x = '''a\r\nb'''", "x = 'a\\nb'"),
    ("ﬁ = 1", "fi = 1"),
    ("x: int", "(x): int"),
]
DIFFERENT = [
    ("x = 1", "x = 1.0"),
    ("x = 1", "x = True"),
    ("x = 0.0", "x = 0j"),
    ("x = 'a'", "x = b'a'"),
    ("x = 'a', 'b'", "x = 'a' 'b'"),
    ("x = -1", "x = 1"),
    ("x = a.b", "x = a.c"),
    ("f(a, b)", "f(a, b=b)"),
    ("f(*a)", "f(**a)"),
    ("def f(a, b=1): pass", "def f(a=1, *, b): pass"),
    ("def f(a, /): pass", "def f(a): pass"),
    ("from . import a", "from .. import a"),
    ("import a", "import a as b"),
    ("x = f'{a}'", "x = f'{a!r}'"),
    ("x = f'{a:2}'", "x = f'{a}2'"),
    ("for x in y: pass", "for x in y: break"),
    ("x = '\\ud800'", "x = '\\ufffd'"),
    ("x = ['a', 'bc']", "x = ['ab', 'c']"),
]


class Digests(unittest.TestCase):
    """The runner's side."""

    def test_formatting_does_not_count(self) -> None:
        for one, other in SAME:
            self.assertEqual(ast_digest(one.encode()), ast_digest(other.encode()), (one, other))

    def test_meaning_counts(self) -> None:
        for one, other in DIFFERENT:
            self.assertNotEqual(ast_digest(one.encode()), ast_digest(other.encode()), (one, other))

    def test_printing_a_tree_anew_keeps_its_digest(self) -> None:
        """All of torch's layers, printed by CPython."""
        for path in sorted((TORCH / "nn" / "modules").glob("*.py")):
            source = path.read_bytes()
            printed = ast.unparse(ast.parse(source)).encode()
            self.assertEqual(ast_digest(source), ast_digest(printed), path)

    def test_the_text_is_that_of_the_reviewer(self) -> None:
        """The same value stands in the tests of src/review/ast_digest.rs."""
        source = (ROOT / "src" / "review" / "cases" / "every_node.py").read_bytes()
        if sys.version_info >= (3, 12):
            self.assertEqual(ast_digest(source), EVERY_NODE)
        else:
            self.assertRaises(SyntaxError, ast_digest, source)

    def test_what_cannot_be_parsed_has_no_digest(self) -> None:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "sub").mkdir()
            (root / "good.py").write_text("x = 1\n")
            (root / "sub" / "bad.py").write_text("x = = 1\n")
            (root / "nul.py").write_bytes(b"x = 1\0\n")
            (root / "deep.py").write_text("x = " + "-" * 100_000 + "1\n")
            (root / "notes.txt").write_text("x = = 1\n")
            found = dict(digests(folder))
        self.assertEqual(list(found), ["deep.py", "good.py", "nul.py", os.path.join("sub", "bad.py")])
        self.assertEqual([found[path] is None for path in found], [True, False, True, True])

    def test_both_parsers_read_the_same(self) -> None:
        """torch's layers and optimizers and a part of the standard library, through the executable."""
        for folders, limit in [
            ([TORCH / "nn" / "modules", TORCH / "optim"], 0),
            ([STDLIB], STDLIB_FILES),
        ]:
            script = ROOT / "scripts" / "differential.py"
            command = [sys.executable, str(script), "--limit", str(limit), *map(str, folders)]
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
            self.assertIn("the same", ran.stdout)


EVERY_NODE = "f68f0fd994b23b0af65c10fa43a89ac58aefbfc4807af0cebe422267f1b0686b"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    unittest.main()
