"""Imports a submission's two scripts and puts the forced seed around `build_model`."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from torch import nn

from . import seeds

RUNNER_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

Builder = Callable[[Any], nn.Module]


def add_to_path(project_dir: str, *scripts: str) -> None:
    """Makes the project's root and the scripts' folders importable, last: no bundle file shadows a
    library.
    """
    sys.dont_write_bytecode = True
    for folder in (os.path.dirname(os.path.join(project_dir, script)) for script in scripts):
        if folder not in sys.path:
            sys.path.append(folder)
    if project_dir not in sys.path:
        sys.path.append(project_dir)
    if RUNNER_DIR in sys.path:
        sys.path.remove(RUNNER_DIR)
    # ours is imported by now; a bundle may have a `runner.py`, and spawned workers need the
    # interface
    sys.path.append(RUNNER_DIR)


def load_script(project_dir: str, path: str) -> ModuleType:
    """Imports `path` (relative to the project), importable afterwards by its dotted name and by its
    stem.
    """
    full_path = os.path.join(project_dir, path)
    stem = os.path.splitext(os.path.basename(path))[0]
    dotted = os.path.splitext(os.path.normpath(path))[0].replace(os.sep, ".")
    module = None
    if all(part.isidentifier() for part in dotted.split(".")) and _finds(dotted, full_path):
        module = importlib.import_module(dotted)
    else:  # the name belongs to a library, or is no name: load the file under one of our own
        spec = importlib.util.spec_from_file_location(
            f"prism_submission_{len(sys.modules)}", full_path
        )
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    if _finds(stem, full_path):
        sys.modules.setdefault(stem, module)
    return module


def symbol_of(module: ModuleType, symbol: str, path: str) -> Callable[..., Any]:
    """The function `symbol` of a script. AttributeError or TypeError if there is none."""
    function = getattr(module, symbol, None)
    if function is None:
        raise AttributeError(f"{path} has no {symbol}")
    if not callable(function):
        raise TypeError(f"{symbol} in {path} is {type(function).__name__}, not a function")
    found: Callable[..., Any] = function
    return found


class SeededBuild:
    """`build_model` with the seed forced before every call and the result checked.

    `error` is the exception that the last failed call raised: train(ctx) may be what it comes out
    of.
    """

    def __init__(self, build: Builder, seed: int) -> None:
        self._build = build
        self._seed = seed
        self.error: BaseException | None = None
        functools.update_wrapper(self, build)

    def __call__(self, *args: Any, **kwargs: Any) -> nn.Module:
        seeds.force(self._seed)
        try:
            model = self._build(*args, **kwargs)
            if not isinstance(model, nn.Module):
                raise TypeError(
                    f"build_model must return a torch.nn.Module, got {type(model).__name__}"
                )
        except BaseException as error:
            self.error = error
            raise
        return model

    def install(self, project_dir: str) -> None:
        """Replaces the plain function wherever a module of the project already holds it."""
        root = os.path.realpath(project_dir) + os.sep
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and os.path.realpath(file).startswith(root):
                for name, value in list(vars(module).items()):
                    if value is self._build:
                        setattr(module, name, self)


def _finds(name: str, full_path: str) -> bool:
    """Whether `import name` would give this very file."""
    if name in sys.builtin_module_names or (not name.isidentifier() and "." not in name):
        return False
    try:
        spec = importlib.util.find_spec(name)
    except (
        ModuleNotFoundError,
        ValueError,
    ):  # a folder that is no package; a module without a spec
        return False
    return (
        spec is not None
        and spec.origin is not None
        and os.path.realpath(spec.origin) == os.path.realpath(full_path)
    )
