"""The three phases of a run, frame by frame: `twin`, `heldout` and `train` of the protocol."""

from __future__ import annotations

import gc
import operator
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import nn

from prism_challenge.evaluator.interface import PrismBatch, PrismContext

from . import (
    census,
    commit,
    failure,
    past,
    predict,
    project,
    seeds,
    sources,
    structure,
    transfer,
    v1_loop,
    weights,
)
from .blackboard import Blackboard, attach
from .reference_tokenizer import BpeTokenizer, ByteTokenizer, Shelf
from .v1_submission import Submission
from .wire import Channel, ChannelClosed, ProtocolError

MATERIALISE_SEQ_LEN = 8
SOURCES_PER_FRAME = 100
PATH_FIELDS = ("checkpoint_dir", "resume_checkpoint_dir")
ALIASES = ("max_seq_len", "max_params")


class Session:
    """One connection's run: what the referee planned, and the model that answers for the
    submission.
    """

    def __init__(self, channel: Channel, plan: dict[str, Any], own: dict[str, Any]) -> None:
        """`own`: rank, local_rank, world_size and device of this process, where the plan does not
        say.
        """
        self._channel = channel
        self._project_dir: str = plan["project_dir"]
        self._architecture: dict[str, str] = plan["architecture"]
        self._training: dict[str, str] = plan["training"]
        self._weights_path: str | None = plan["weights"]
        self._tells_structure: bool = plan.get("structure", False)
        self._shelf = Shelf(plan["tokenizers"])
        self._ctx = _context(own | plan["context"], self)
        self._vocab_size = self._ctx.vocab_size
        self._seq_len = self._ctx.sequence_length
        self._build: project.SeededBuild | Submission = project.SeededBuild(
            _no_build, self._ctx.seed
        )
        self._namespaces: list[dict[str, Any]] = []
        # a submission of the first contract: its plan, and its functions once they are imported
        self._v1: dict[str, Any] | None = plan.get("v1")
        self._submission: Submission | None = None
        self._submission_id: str = plan["submission_id"]
        self._numerics = seeds.Numerics()
        self._blackboard: Blackboard | None = None
        self._model: nn.Module | None = None
        self._committed: tuple[int, torch.Tensor] | None = None
        self._single_forward = False
        self._graphs: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._opened = False
        self._batches = 0
        self._stage = "import"
        self._phase: str = plan["phase"]
        self._commits: bool = plan["commit"]

        if self._ctx.device.startswith("cuda"):
            # NCCL and every tensor made on "cuda" take the current device: each rank has its own.
            torch.cuda.set_device(self._ctx.device)
        seeds.force(self._ctx.seed)
        torch.set_num_threads(plan["threads"])
        if plan["determinism"]:
            seeds.force_determinism()
        print(f"prism: forced seed={self._ctx.seed} before submission import", flush=True)

    def run(self) -> NoReturn:
        """Walks through the phase of the plan and ends the process."""
        phases = {"twin": self._twin, "heldout": self._heldout, "train": self._train}
        if self._phase not in phases:
            raise ProtocolError(f"unknown phase {self._phase!r}")
        self._tell_sources()
        try:
            self._import_architecture()
            phases[self._phase]()
        except (ChannelClosed, ProtocolError):
            raise
        except BaseException as error:  # SystemExit and KeyboardInterrupt of a submission too
            stage = "build" if error is self._build.error else self._stage
            failure.report(self._channel, self._project_dir, stage, error)
        self._serve()

    # What a submission reaches through its context.

    def build_model(self, ctx: PrismContext) -> nn.Module:
        """The submission's model under the forced seed."""
        return self._build(ctx)

    def reference_tokenizer(self, name: str) -> ByteTokenizer | BpeTokenizer:
        """The tokenizer of that name; always the same object."""
        return self._shelf.get(name)

    def past_documents(self) -> Iterator[str]:
        """The texts of `data_dir`, as it is now."""
        if self._ctx.data_dir is None:
            raise ProtocolError("plan without a data_dir")
        return past.documents(self._ctx.data_dir)

    def iter_train_batches(
        self,
        model: nn.Module,
        batch_size: int,
        seq_len: int | None,
        tokenizer: object,
        single_forward: bool,
    ) -> Iterator[PrismBatch]:
        """Checks the arguments now, opens the stream at the first `next()`."""
        if not isinstance(model, nn.Module):
            raise TypeError(
                f"iter_train_batches needs a torch.nn.Module, got {type(model).__name__}"
            )
        if single_forward and predict.unwrap(model) is not model:
            raise ValueError(
                "single_forward needs the module itself: a prediction does not run its wrapper "
                f"{type(model).__name__}"
            )
        rows = _size("batch_size", batch_size)
        cols = self._seq_len if seq_len is None else _size("seq_len", seq_len)
        name = self._shelf.name_of(tokenizer)
        return self._stream(model, rows, cols, name, bool(single_forward))

    # Phases.

    def _tell_sources(self) -> None:
        """What Python reads in the submission's files, before anything of them is imported."""
        digests = list(sources.digests(self._project_dir))
        for start in range(0, max(len(digests), 1), SOURCES_PER_FRAME):
            end = start + SOURCES_PER_FRAME
            self._channel.send(
                "sources", digests=dict(digests[start:end]), more=end < len(digests)
            )

    def _import_architecture(self) -> None:
        script = self._architecture
        project.add_to_path(self._project_dir, script["path"], self._training["path"])
        module = project.load_script(self._project_dir, script["path"])
        build = project.symbol_of(module, script["symbol"], script["path"])
        seeded = project.SeededBuild(build, self._ctx.seed)
        seeded.install(self._project_dir)
        self._build = seeded
        self._namespaces = [vars(module)]
        if self._v1 is not None:
            # hooks can stand in either file: both are imported in every phase, the held-out one too
            training = self._training["path"]
            is_other = training != script["path"]
            other = project.load_script(self._project_dir, training) if is_other else module
            modules = {"architecture": module, "training": other}
            seeded.install(self._project_dir)
            self._submission = Submission(self._v1, modules, seeded, self._ctx)
            self._build = self._submission
            self._namespaces = [vars(held) for held in modules.values()]
        self._numerics = seeds.Numerics()

    def _twin(self) -> None:
        self._stage = "build"
        # Tensors made in forward count as well. The forward for it is made by a model of its own:
        # the one that predicts has seen nothing before its first batch, as in training.
        model = self._fresh_model()
        self._materialise(model)
        entries = census.count_tensors(model, self._namespaces)
        told = None
        if self._tells_structure:
            # The count first: a model over the cap ends here, before it is traced.
            self._channel.send("built", tensors=census.fit_frame(entries))
            told = structure.listing_of(model, self._numerics, self._vocab_size)
        del model
        gc.collect()
        self._model = self._fresh_model()
        if told is None:
            self._channel.send("built", tensors=census.fit_frame(entries))
        else:
            self._tell_structure(*told)

    def _tell_structure(self, lines: list[structure.Line], failure: str | None) -> None:
        for piece, more in structure.frames(lines):
            self._channel.send("structure", lines=piece, more=more, failure=failure)

    def _heldout(self) -> None:
        self._stage = "build"
        model = self._fresh_model()
        if census.lazy_name(model) is not None:
            self._materialise(model)
        self._stage = "load"
        if self._weights_path is None:
            raise ProtocolError("phase heldout without weights")
        weights.load(model, self._weights_path)
        self._model = model
        entries = census.count_tensors(model, self._namespaces)
        self._channel.send("built", tensors=census.fit_frame(entries))

    def _train(self) -> None:
        if self._submission is not None:
            seeds.force(self._ctx.seed)
            self._stage = "train"
            v1_loop.train(self._submission, self._ctx, self._submission_id)
            self._channel.send("finished", batches=self._batches)
            return
        module = project.load_script(self._project_dir, self._training["path"])
        train = project.symbol_of(module, self._training["symbol"], self._training["path"])
        seeds.force(self._ctx.seed)
        self._stage = "train"
        train(self._ctx)
        self._channel.send("finished", batches=self._batches)

    def _serve(self) -> NoReturn:
        """Answers until `end`."""
        while True:
            self._answer(self._receive())

    def _stream(
        self, model: nn.Module, rows: int, cols: int, tokenizer: str | None, single_forward: bool
    ) -> Iterator[PrismBatch]:
        if self._opened:
            return
        self._opened = True
        self._model = model
        self._single_forward = single_forward
        try:
            self._channel.send("open", batch_size=rows, seq_len=cols, tokenizer=tokenizer)
            while True:
                frame = self._receive()
                if frame["kind"] == "exhausted":
                    return
                if frame["kind"] == "reveal":
                    yield self._revealed(frame)
                    self._channel.send("next", step=frame["step"], weights=self._commitment())
                else:
                    self._answer(frame)
        except ChannelClosed:  # here, not in run(): the submission could catch it
            failure.leave(1)
        except ProtocolError as error:
            failure.leave_with(f"protocol: {error}")
        finally:
            self._single_forward = False
            self._graphs.clear()

    # Single frames.

    def _receive(self) -> dict[str, Any]:
        frame = self._channel.receive()
        if frame["kind"] == "end":
            failure.leave(0)
        return frame

    def _answer(self, frame: dict[str, Any]) -> None:
        if frame["kind"] == "attach":
            self._blackboard = attach(frame, self._channel.take_fd())
        elif frame["kind"] == "predict":
            self._predict(frame)
        elif frame["kind"] == "show":
            self._show(frame["call"])
        elif frame["kind"] == "census":
            self._count()
        elif frame["kind"] == "save":
            self._save(frame["path"])
        else:
            raise ProtocolError(f"frame {frame['kind']!r} is not expected here")

    def _count(self) -> None:
        if self._model is None:
            raise ProtocolError("census without a model")
        try:
            entries = census.count_tensors(self._model, self._namespaces)
        except BaseException as error:
            failure.report(self._channel, self._project_dir, "forward", error)
        self._channel.send("counted", tensors=census.fit_frame(entries))

    def _predict(self, frame: dict[str, Any]) -> None:
        board, model = self._blackboard, self._model
        if board is None or model is None:
            raise ProtocolError("predict before attach, or without a model")
        self._committed = None
        if tuple(board.ids.shape) != (frame["rows"], frame["cols"]):
            raise ProtocolError(f"predict {frame['rows']} x {frame['cols']} was not attached")
        try:
            ids = board.ids_for(predict.device_of(model, self._ctx.device))
            logits = predict.run_forward(model, ids, self._numerics, self._single_forward)
            if self._single_forward:
                # which of two predictions is a probe's shows when a batch is revealed
                self._graphs.append((board.ids.clone(), logits))
                logits = predict.plain(logits)
            shape, dtype = list(logits.shape), str(logits.dtype).removeprefix("torch.")
            if shape == list(board.logits.shape):
                if frame["commit"]:
                    # `ids` may have been changed by forward: the labels are the referee's
                    board.nats.copy_(commit.losses(logits, board.ids_for(logits.device)))
                    board.logits[:, -1].copy_(logits[:, -1])
                    self._committed = (frame["call"], logits)
                else:
                    transfer.to_host(logits, board.logits)
        except BaseException as error:
            failure.report(self._channel, self._project_dir, "forward", error)
        kind = "committed" if frame["commit"] else "predicted"
        self._channel.send(kind, call=frame["call"], shape=shape, dtype=dtype)

    def _show(self, call: int) -> None:
        """All logits of the prediction whose losses were committed last."""
        if self._blackboard is None or self._committed is None or self._committed[0] != call:
            raise ProtocolError(f"show {call!r} without a commitment of that number")
        logits = self._committed[1]
        transfer.to_host(logits, self._blackboard.logits)
        shape, dtype = list(logits.shape), str(logits.dtype).removeprefix("torch.")
        self._channel.send("predicted", call=call, shape=shape, dtype=dtype)

    def _revealed(self, frame: dict[str, Any]) -> PrismBatch:
        board, model = self._blackboard, self._model
        if board is None or model is None:
            raise ProtocolError("reveal before attach")
        self._committed = None
        self._batches += 1
        device = predict.device_of(model, self._ctx.device)
        metadata = {
            "step": frame["step"],
            "rank": self._ctx.rank,
            "bytes_charged": frame["bytes_charged"],
        }
        predicted = None
        if self._single_forward:
            graphs = [logits for ids, logits in self._graphs if torch.equal(ids, board.ids)]
            if not graphs:
                raise ProtocolError("reveal of a batch that was not predicted")
            predicted = (model, graphs[-1])
            self._graphs.clear()
        tokens, targets = board.ids_for(device), board.targets_for(device)
        return PrismBatch(tokens, targets, metadata, predicted)

    def _save(self, name: str) -> None:
        if self._model is None or self._ctx.artifacts_dir is None:
            raise ProtocolError("save without a model or an artifacts_dir")
        if name != os.path.basename(name) or name in ("", ".", ".."):
            raise ProtocolError(f"save to {name!r}, which is not a file name")
        try:
            with self._undisturbed(self._model):
                weights.save(self._model, os.path.join(self._ctx.artifacts_dir, name))
        except BaseException as error:
            failure.report(self._channel, self._project_dir, "save", error)
        self._channel.send("saved", path=name)

    def _commitment(self) -> str | None:
        """What fixes the weights that predict the next batch, where the referee wants it."""
        if not self._commits or self._model is None:
            return None
        try:
            with self._undisturbed(self._model):
                return weights.digest(self._model)
        except BaseException as error:
            failure.report(self._channel, self._project_dir, "save", error)

    def _undisturbed(self, model: nn.Module) -> AbstractContextManager[None]:
        return seeds.undisturbed(predict.device_of(model, self._ctx.device), self._numerics)

    def _fresh_model(self) -> nn.Module:
        return self._build(self._ctx).to(self._ctx.device)

    def _materialise(self, model: nn.Module) -> None:
        """One forward on zeros, so that tensors made on first use exist. Its exception counts only
        if some still do not.
        """
        device = predict.device_of(model, self._ctx.device)
        cols = min(self._seq_len, MATERIALISE_SEQ_LEN)
        ids = torch.zeros((1, cols), dtype=torch.int64, device=device)
        try:
            predict.run_forward(model, ids, self._numerics)
        except Exception as error:
            lazy = census.lazy_name(model)
            if lazy is not None:
                raise RuntimeError(f"{lazy} has no shape: the first forward failed") from error
            print(f"prism: the forward before counting raised {type(error).__name__}: {error}")


def _context(values: dict[str, Any], run: Session) -> PrismContext:
    if values["world_size"] > 1:
        backend = "nccl" if values["device"].startswith("cuda") else "gloo"
        values = {"distributed_backend": backend} | values
    known = {field.name for field in fields(PrismContext)} - {"_run"}
    unknown = values.keys() - known - set(ALIASES)
    if unknown:
        raise ProtocolError(f"plan.context has unknown fields {sorted(unknown)}")
    given = {name: value for name, value in values.items() if name in known}
    for name in PATH_FIELDS:
        if given.get(name) is not None:
            given[name] = Path(given[name])
    return PrismContext(**given, _run=run)


def _size(name: str, value: object) -> int:
    try:
        size = int(operator.index(value))  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}") from None
    if isinstance(value, bool) or size < 1:
        raise ValueError(f"{name} must be at least 1, got {value!r}")
    return size


def _no_build(_ctx: PrismContext) -> nn.Module:
    raise RuntimeError("the architecture is not imported yet")
