"""What a submission may import: `from prism_challenge.evaluator.interface import PrismContext`.

Plain frozen records. Nothing here scores: the referee keeps its own copy of every number, so a
changed context changes what a submission is told, not how it is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

VOCAB_SIZE = 4096
SEQUENCE_LENGTH = 128
MAX_LAYERS = 96
MAX_PARAMETERS = 150_000_000
SEED = 1337


@dataclass(frozen=True)
class PrismBatch:
    """One batch, yielded after it was predicted and charged.

    `tokens` and `targets` are int64 [batch_size, seq_len] on the model's device; `targets[b, t]` is
    the token after `tokens[b, t]`. `metadata` has `step`, `rank` and `bytes_charged` (bytes of text
    charged so far, all ranks). Both tensors are copies: they may be changed freely.
    """

    tokens: torch.Tensor
    targets: torch.Tensor | None = None
    metadata: dict[str, Any] | None = None
    _predicted: tuple[torch.nn.Module, torch.Tensor] | None = field(
        default=None, repr=False, compare=False
    )

    def logits(self, model: torch.nn.Module) -> torch.Tensor:
        """The logits that `model` predicted this batch with, graph attached: a loss of them can be
        run backward once, without another forward.

        They are those of eval mode and float32, made before the batch was shown. `model` is the one
        that was passed to `iter_train_batches(..., single_forward=True)`: RuntimeError without that,
        ValueError for another model.
        """
        if self._predicted is None:
            raise RuntimeError(
                "this batch kept no logits: ask for ctx.iter_train_batches(..., single_forward=True)"
            )
        predictor, logits = self._predicted
        if predictor is not model:
            raise ValueError("this batch was predicted by the model that iter_train_batches got")
        return logits


@dataclass(frozen=True)
class TrainingRecipe:
    """What `get_recipe(ctx)` returns in the first contract.

    `learning_rate` (at most 3e-4) and `weight_decay` are the default optimizer's, `batch_size` is rows
    per rank; `optimizer` and `scheduler` are names that are recorded and not applied.
    """

    learning_rate: float = 3e-4
    batch_size: int = 4
    optimizer: str = "adamw"
    scheduler: str = "cosine"
    weight_decay: float = 0.01


class ReferenceTokenizer(Protocol):
    """What `PrismContext.reference_tokenizer` returns."""

    name: str
    vocab_size: int

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: list[int]) -> str: ...


class _Run(Protocol):
    """The run behind a context (internal)."""

    def build_model(self, ctx: PrismContext) -> torch.nn.Module: ...

    def iter_train_batches(
        self,
        model: torch.nn.Module,
        batch_size: int,
        seq_len: int | None,
        tokenizer: object,
        single_forward: bool,
    ) -> Iterator[PrismBatch]: ...

    def past_documents(self) -> Iterator[str]: ...

    def reference_tokenizer(self, name: str) -> ReferenceTokenizer: ...


@dataclass(frozen=True)
class PrismContext:
    """Geometry, budgets and places of one run, and the only way to the training text.

    `token_budget` and `step_budget` are None where there is no such limit; `budget_seconds` is
    wall-clock time. `probe` is empty in every scored run; `prism probe` asks with it for another size:
    factors on "width", "depth" and "batch", for whoever offers them. `data_dir` shows the past only (`past_documents`). `artifacts_dir` is the one directory that can
    be written.
    """

    vocab_size: int = VOCAB_SIZE
    sequence_length: int = SEQUENCE_LENGTH
    max_layers: int = MAX_LAYERS
    max_parameters: int = MAX_PARAMETERS
    seed: int = SEED
    data_dir: str | None = None
    artifacts_dir: str | None = None
    device: str = "cpu"
    rank: int = 0
    local_rank: int = 0
    world_size: int = 1
    distributed_backend: str | None = None
    attempt: int = 1
    checkpoint_dir: Path | None = None
    resume_checkpoint_dir: Path | None = None
    checkpoint_api_version: int = 1
    is_resume: bool = False
    checkpoint_metadata: dict[str, Any] = field(default_factory=dict)
    token_budget: int | None = None
    step_budget: int | None = None
    budget_seconds: float | None = None
    reference_tokenizer_dir: str | None = None
    probe: dict[str, float] = field(default_factory=dict)
    _run: _Run | None = field(default=None, repr=False, compare=False)

    @property
    def max_seq_len(self) -> int:
        """Alias of `sequence_length`."""
        return self.sequence_length

    @property
    def max_params(self) -> int:
        """Alias of `max_parameters`."""
        return self.max_parameters

    def build_model(self) -> torch.nn.Module:
        """Calls the submission's `build_model(self)` under the forced seed."""
        return self._live_run().build_model(self)

    def iter_train_batches(
        self,
        model: torch.nn.Module,
        *,
        batch_size: int = 8,
        seq_len: int | None = None,
        tokenizer: str | ReferenceTokenizer | None = None,
        single_forward: bool = False,
    ) -> Iterator[PrismBatch]:
        """Yields each batch once, after `model` has predicted it. One pass: a second call yields
        nothing.

        `seq_len` None means `sequence_length`. `tokenizer` is None (the submission's default), a
        name such as "bytes", or what `reference_tokenizer` returned. With `single_forward` the
        graph of each prediction is kept for `batch.logits(model)`. Raises TypeError for a tokenizer
        that is code, ValueError for an unknown name, a size below 1, or a wrapper around the model
        with `single_forward`.
        """
        return self._live_run().iter_train_batches(
            model, batch_size, seq_len, tokenizer, single_forward
        )

    def past_documents(self) -> Iterator[str]:
        """Yields the texts that may be read now: the open sample, which is never scored, then every
        document of the stream that was charged whole.
        """
        return self._live_run().past_documents()

    def reference_tokenizer(self, name: str) -> ReferenceTokenizer:
        """A tokenizer by name (`encode(text)`, `decode(ids)`, `vocab_size`); ValueError for an
        unknown name.
        """
        return self._live_run().reference_tokenizer(name)

    def _live_run(self) -> _Run:
        if self._run is None:
            raise RuntimeError(
                "this PrismContext belongs to no run; use the one passed to train(ctx)"
            )
        return self._run
