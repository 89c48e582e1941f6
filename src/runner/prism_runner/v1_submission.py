"""A submission of the first contract: its functions, and the model that the referee sees.

`build_model` and `get_recipe` come from the architecture's file, hooks from the file that the review
found them in. The same in every process of a run: what is predicted in training, by the twin and by
the held-out process goes through the same function.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from types import ModuleType
from typing import Any

import torch
from torch import nn

from prism_challenge.evaluator.interface import PrismBatch, PrismContext, TrainingRecipe

from . import project

INFERENCE_HOOKS = ("inference_logits", "infer")
TRAINING_HOOKS = ("configure_optimizer", "compute_loss", "train_step")


class Predictor(nn.Module):
    """The model as it is measured: forward is the inference hook on a batch without targets, or the
    model's own forward.
    """

    def __init__(
        self, model: nn.Module, hook: Callable[..., Any] | None, ctx: PrismContext
    ) -> None:
        super().__init__()
        self.model = model
        self._hook = hook
        self._ctx = ctx

    def forward(self, tokens: torch.Tensor) -> Any:
        """What the hook or the model returns for `tokens`, int64 [batch, seq]."""
        return self.through(self.model, tokens)

    def through(self, model: nn.Module, tokens: torch.Tensor) -> Any:
        """The same for a model that may be wrapped for several ranks."""
        if self._hook is None:
            return model(tokens)
        return self._hook(model, PrismBatch(tokens, None, {}), self._ctx)


class Submission:
    """The functions of one submission. Called with a context it builds the model under the forced
    seed, as `project.SeededBuild` does.
    """

    def __init__(
        self,
        plan: dict[str, Any],
        modules: dict[str, ModuleType],
        build: project.SeededBuild,
        ctx: PrismContext,
    ) -> None:
        """`plan`: `kind`, `attempt` and `hooks` (name: "architecture" or "training"), in the training
        also `checkpoint_steps` and `resume`; `modules` by the same roles.
        """
        self.plan = plan
        self.kind: str = plan["kind"]
        self.calls: Counter[str] = Counter()
        # what reads the text or writes files is not for hooks: batches come from the loop alone
        self.ctx = replace(
            ctx, _run=None, data_dir=None, artifacts_dir=None, attempt=plan["attempt"]
        )
        self._build = build
        self._get_recipe = project.symbol_of(
            modules["architecture"], "get_recipe", "the architecture"
        )
        self._hooks = {
            name: project.symbol_of(modules[role], name, f"the {role}")
            for name, role in plan["hooks"].items()
        }

    @property
    def error(self) -> BaseException | None:
        """The exception of the last failed `build_model`."""
        return self._build.error

    def __call__(self, _ctx: PrismContext) -> Predictor:
        name = next((name for name in INFERENCE_HOOKS if name in self._hooks), None)
        # the same in every process: no folder of this one in it
        ctx = replace(
            self.ctx,
            checkpoint_dir=None,
            resume_checkpoint_dir=None,
            is_resume=False,
            checkpoint_metadata={},
        )
        return Predictor(self._build(ctx), self.hook(name) if name else None, ctx)

    def hook(self, name: str) -> Callable[..., Any] | None:
        """The hook, which counts its calls; None if there is none, or if it does not apply: an
        `architecture_only` submission is trained by the reference recipe.
        """
        function = self._hooks.get(name)
        if function is None or (self.kind == "architecture_only" and name in TRAINING_HOOKS):
            return None
        return Counted(name, function, self.calls)

    def recipe(self) -> TrainingRecipe:
        """What `get_recipe` returns, or the reference recipe of an `architecture_only` submission.
        TypeError for something else than a TrainingRecipe or a dict of its fields.
        """
        if self.kind == "architecture_only":
            return TrainingRecipe()
        got = self._get_recipe(self.ctx)
        if isinstance(got, dict):
            known = {field.name for field in fields(TrainingRecipe)}
            unknown = sorted(str(key) for key in got if key not in known)
            if unknown:
                raise TypeError(f"get_recipe: unknown fields {unknown}, known are {sorted(known)}")
            got = TrainingRecipe(**got)
        if type(got) is not TrainingRecipe:
            raise TypeError(
                f"get_recipe must return a TrainingRecipe or a dict, got {type(got).__name__}"
            )
        checked = TrainingRecipe(
            learning_rate=_number("learning_rate", got.learning_rate),
            batch_size=got.batch_size,
            optimizer=str(got.optimizer),
            scheduler=str(got.scheduler),
            weight_decay=_number("weight_decay", got.weight_decay),
        )
        if type(checked.batch_size) is not int or checked.batch_size < 1:
            raise TypeError(f"batch_size must be an integer from 1, got {checked.batch_size!r}")
        return checked


class Counted:
    """A hook that counts its calls."""

    def __init__(self, name: str, function: Callable[..., Any], calls: Counter[str]) -> None:
        self.name = name
        self._function = function
        self._calls = calls

    def __call__(self, *arguments: Any) -> Any:
        self._calls[self.name] += 1
        return self._function(*arguments)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    number = float(value)
    if not 0.0 <= number < float("inf"):
        raise ValueError(f"{name} must be a finite number from 0, got {number}")
    return number
