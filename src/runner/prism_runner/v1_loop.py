"""The training loop of the first contract: our own `train(ctx)`, which drives a submission's hooks
over the referee's stream.

Batches are predicted and charged before the loop gets them, through the inference hook and without
targets. `compute_loss` and `train_step` see the targets, and what they return trains the model and
nothing else: it is not sent to anybody.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from prism_challenge.evaluator.interface import PrismBatch, PrismContext, TrainingRecipe

from . import v1_checkpoint
from .v1_submission import Predictor, Submission

# The documented caps of the default optimizer and the default step.
MAX_DEFAULT_LEARNING_RATE = 3e-4
MAX_GRADIENT_NORM = 1.0
REPORT = "v1_report.json"
RETURN = "v1_checkpoint.json"


def train(
    submission: Submission,
    ctx: PrismContext,
    submission_id: str,
    keep_checkpoint: Callable[[int], None],
) -> None:
    """One pass over the stream, checkpoints on the way, then the last checkpoint and the report for
    the manifest. `keep_checkpoint` has a checkpoint copied out of the sandbox, after so many batches.
    """
    if ctx.artifacts_dir is None:
        raise RuntimeError("the first contract needs an artifacts_dir")
    relative = v1_checkpoint.folder(submission_id, submission.ctx.attempt)
    folder = Path(ctx.artifacts_dir) / relative
    if ctx.rank == 0:
        folder.mkdir(parents=True)
    plan = submission.plan
    resume: dict[str, Any] | None = plan.get("resume")
    submission.ctx = replace(
        submission.ctx,
        checkpoint_dir=folder,
        resume_checkpoint_dir=None if resume is None else Path(resume["path"]),
        is_resume=resume is not None,
        checkpoint_metadata={
            "checkpoint_workspace": {
                "api_version": submission.ctx.checkpoint_api_version,
                "attempt": submission.ctx.attempt,
                "is_resume": resume is not None,
                "current": {"artifact_relative_path": relative, "path": str(folder)},
                "resume": resume,
            }
        },
    )
    predictor: Predictor = submission(ctx).to(ctx.device)
    recipe = submission.recipe()
    if resume is not None:
        load = submission.hook("load_checkpoint")
        if load is None:
            raise RuntimeError("resumed without load_checkpoint")
        v1_checkpoint.load(load, predictor.model, submission)
    loop = Loop(submission, predictor, recipe, _for_ranks(predictor.model, ctx))
    save = submission.hook("save_checkpoint")
    every: int = plan.get("checkpoint_steps") or 0
    for batch in ctx.iter_train_batches(predictor, batch_size=recipe.batch_size):
        loop.step(batch)
        done = batch.metadata["step"] + 1
        if every and ctx.rank == 0 and done % every == 0:
            saved = v1_checkpoint.save(save, predictor.model, submission)
            if saved is not None:
                _write(ctx.artifacts_dir, RETURN, saved)
                keep_checkpoint(done)
    if ctx.world_size > 1:
        torch.distributed.destroy_process_group()
    if ctx.rank == 0:
        saved = v1_checkpoint.save(save, predictor.model, submission)
        report = {
            "recipe": asdict(recipe),
            "learning_rate": loop.learning_rate,
            "calls": dict(submission.calls),
            "checkpoint": saved,
        }
        _write(ctx.artifacts_dir, REPORT, report)


def _write(artifacts_dir: Path, name: str, value: dict[str, Any]) -> None:
    with open(os.path.join(artifacts_dir, name), "w", encoding="utf-8") as file:
        json.dump(value, file, allow_nan=False)


class Loop:
    """Model, optimizer and hooks of a training."""

    def __init__(
        self,
        submission: Submission,
        predictor: Predictor,
        recipe: TrainingRecipe,
        model: nn.Module,
    ) -> None:
        """`model`: the predictor's, wrapped where there are several ranks."""
        self._ctx = submission.ctx
        self._predictor = predictor
        self._model = model
        self._compute_loss = submission.hook("compute_loss")
        self._train_step = submission.hook("train_step")
        # of the default optimizer, after the cap; None where the submission makes its own
        self.learning_rate: float | None = None
        configure = submission.hook("configure_optimizer")
        if configure is not None:
            self._optimizer = configure(model, recipe, self._ctx)
        else:
            self.learning_rate = min(recipe.learning_rate, MAX_DEFAULT_LEARNING_RATE)
            trainable = [tensor for tensor in model.parameters() if tensor.requires_grad]
            self._optimizer = torch.optim.AdamW(
                trainable, lr=self.learning_rate, weight_decay=recipe.weight_decay
            )

    def step(self, batch: PrismBatch) -> None:
        """Trains on one batch: `train_step`, or loss, backward, clipping and a step."""
        if self._train_step is not None:
            loss = self._train_step(self._model, batch, self._optimizer, self._ctx)
            if not isinstance(loss, torch.Tensor):
                raise TypeError(f"train_step must return a tensor, got {type(loss).__name__}")
            return
        if isinstance(self._optimizer, torch.optim.Optimizer):
            self._optimizer.zero_grad(set_to_none=True)
        else:  # a wrapper with zero_grad and step will do
            self._optimizer.zero_grad()
        loss = self._loss(batch)
        if not loss.requires_grad:
            raise RuntimeError(
                "the loss has no gradient: an inference hook without gradients needs compute_loss"
            )
        loss.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), MAX_GRADIENT_NORM)
        self._optimizer.step()

    def _loss(self, batch: PrismBatch) -> torch.Tensor:
        if self._compute_loss is not None:
            loss = self._compute_loss(self._model, batch, self._ctx)
            if not isinstance(loss, torch.Tensor) or loss.dim() != 0:
                got = getattr(loss, "shape", type(loss).__name__)
                raise TypeError(f"compute_loss must return a scalar tensor, got {got}")
            return loss
        logits = _logits_of(self._predictor.through(self._model, batch.tokens))
        return functional.cross_entropy(logits.flatten(0, -2), batch.targets.flatten())


def _for_ranks(model: nn.Module, ctx: PrismContext) -> nn.Module:
    if ctx.world_size == 1:
        return model
    torch.distributed.init_process_group(backend=ctx.distributed_backend)
    return nn.parallel.DistributedDataParallel(model)


def _logits_of(output: Any) -> torch.Tensor:
    """Logits with their gradients: a tensor, the first of a tuple or list, or `.logits`."""
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    output = getattr(output, "logits", output)
    if not isinstance(output, torch.Tensor):
        raise TypeError(f"a prediction must be a tensor of logits, got {type(output).__name__}")
    return output
