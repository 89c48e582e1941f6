"""The loop of the first contract: every hook alone and together, in real runner processes."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import unittest
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from fake_referee import RUNNER, SEQUENCE_LENGTH, VOCAB_SIZE, Run
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(RUNNER.parent))

from prism_challenge.evaluator.interface import (  # noqa: E402
    PrismBatch,
    PrismContext,
    TrainingRecipe,
)
from prism_runner import project, v1_checkpoint, v1_loop  # noqa: E402
from prism_runner.v1_submission import Submission  # noqa: E402

MODEL = """
import torch
from torch import nn
from prism_challenge.evaluator.interface import PrismBatch, TrainingRecipe


class Bigram(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.table = nn.Embedding(vocab, vocab)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, tokens):
        return self.table(tokens) * self.scale


def build_model(ctx):
    assert ctx.vocab_size == 300 and ctx.data_dir is None
    return Bigram(ctx.vocab_size)


def get_recipe(ctx):
    print("attempt", ctx.attempt, flush=True)
    return TrainingRecipe(learning_rate=0.01, batch_size=2)
"""
STEP = """
def train_step(model, batch, optimizer, ctx):
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
    loss.backward()
    optimizer.step()
    return loss * 0.0
"""
LOSS = """
def compute_loss(model, batch, ctx):
    logits = model(batch.tokens)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten()) * 2
"""
OPTIMIZER = """
def configure_optimizer(model, recipe, ctx):
    print("recipe", recipe.learning_rate, flush=True)
    return torch.optim.SGD(model.parameters(), lr=1.0)
"""
LOGITS = """
def inference_logits(model, batch, ctx):
    assert batch.targets is None and batch.metadata == {}
    return model(batch.tokens) + 1.0
"""
INFER = """
def infer(model, batch, ctx):
    leaked = batch.targets
    return model(batch.tokens) + 2.0 if leaked is None else leaked
"""
SAVE = """
def save_checkpoint(model, checkpoint_dir, ctx):
    torch.save(model.state_dict(), checkpoint_dir / "model.pt")
    assert ctx.checkpoint_dir == checkpoint_dir
    return {RETURN}
"""
LOAD = """
def load_checkpoint(model, checkpoint_dir, ctx):
    raise RuntimeError("nothing is resumed")
"""
HOOKS = {
    "train_step": STEP,
    "compute_loss": LOSS,
    "configure_optimizer": OPTIMIZER,
    "inference_logits": LOGITS,
    "infer": INFER,
    "load_checkpoint": LOAD,
}
BATCH = np.arange(2 * SEQUENCE_LENGTH, dtype=np.int32).reshape(2, SEQUENCE_LENGTH)
STEPS = 3


def run(
    hooks: dict[str, str],
    kind: str = "full",
    in_training: bool = False,
    model: str = MODEL,
    lineage: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A whole training over three batches: logits by step, the report, the log, and what was left
    at each checkpoint on the way. `lineage`: more of the plan; the batches begin where it resumes.
    """
    text = "import torch\n" + "".join(hooks.values())
    role = "training" if in_training else "architecture"
    files = {"model.py": model + (text if not in_training else "")}
    if in_training:
        files["fit.py"] = text
    training = "fit.py" if in_training else "model.py"
    plan = {"kind": kind, "attempt": 2, "hooks": dict.fromkeys(hooks, role)} | (lineage or {})
    begin = ((lineage or {}).get("resume") or {}).get("step", 0)
    with Run(files, "train", architecture="model.py", training=training, v1=plan) as process:
        (peer,) = process.peers
        opened = peer.receive()
        if opened["kind"] != "open":
            return {"failed": opened, "log": process.log()}
        peer.attach(opened["batch_size"], SEQUENCE_LENGTH)
        rows = opened["batch_size"]
        batch = np.resize(BATCH, (rows, SEQUENCE_LENGTH))
        logits, kept = [], []
        for step in range(begin, STEPS):
            logits.append(peer.predict(batch))
            peer.reveal(batch, np.roll(batch, -1, axis=1), step, 100 * (step + 1))
            frame = peer.receive()
            if frame["kind"] == "checkpoint":
                told = json.loads((process.artifacts / "v1_checkpoint.json").read_text())
                kept.append((frame["step"], told, files_below(process.artifacts / "checkpoints")))
                peer.send("kept", step=frame["step"])
                frame = peer.receive()
            if frame["kind"] != "next":
                return {"failed": frame, "log": process.log()}
        peer.send("exhausted", reason="data_exhausted")
        frame = peer.receive()
        if frame["kind"] != "finished":
            return {"failed": frame, "log": process.log()}
        final = peer.predict(batch)
        peer.send("save", path="weights.safetensors")
        peer.expect("saved")
        report = json.loads((process.artifacts / "v1_report.json").read_text())
        files = files_below(process.artifacts)
        assert process.end() == 0, process.log()
        return {
            "opened": opened, "logits": [*logits, final], "report": report, "files": files,
            "log": process.log(), "kept": kept,
        }  # fmt: skip


def files_below(folder: Path) -> list[str]:
    """Paths of all files, relative."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class Plain(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.plain = run({})

    def test_the_default_step_learns_under_the_documented_cap(self) -> None:
        report = self.plain["report"]
        self.assertEqual(report["learning_rate"], 3e-4)
        self.assertEqual(report["recipe"]["learning_rate"], 0.01)
        self.assertEqual((report["calls"], report["checkpoint"]), ({}, None))
        self.assertEqual(self.plain["opened"]["batch_size"], 2)
        self.assertIn("attempt 2", self.plain["log"])
        first, last = self.plain["logits"][0], self.plain["logits"][-1]
        self.assertFalse(np.array_equal(first, last))

    def test_every_hook_alone(self) -> None:
        # in turn in the architecture's file and in the training's
        alone = {**HOOKS, "save_checkpoint": SAVE.replace("{RETURN}", "None")}
        for number, (name, text) in enumerate(alone.items()):
            with self.subTest(name):
                got = run({name: text}, in_training=number % 2 == 1)
                self.assertNotIn("failed", got, got)
                # predictions and the default loss go through an inference hook; the report is
                # written before the last prediction
                expected = {"inference_logits": 2 * STEPS, "infer": 2 * STEPS,
                            "configure_optimizer": 1, "load_checkpoint": None,
                            "save_checkpoint": 1}  # fmt: skip
                self.assertEqual(got["report"]["calls"].get(name), expected.get(name, STEPS))
                shift = {"inference_logits": 1.0, "infer": 2.0}.get(name, 0.0)
                np.testing.assert_allclose(
                    got["logits"][0], self.plain["logits"][0] + shift, rtol=1e-6
                )

    def test_all_hooks_together_and_their_precedence(self) -> None:
        save = SAVE.replace("{RETURN}", "{'path': 'model.pt', 'metadata': {'a': 1}}")
        got = run({**HOOKS, "save_checkpoint": save}, in_training=True)
        self.assertNotIn("failed", got, got)
        report = got["report"]
        self.assertEqual(
            report["calls"],
            {"train_step": STEPS, "configure_optimizer": 1, "inference_logits": STEPS,
             "save_checkpoint": 1},
        )  # fmt: skip
        self.assertIsNone(report["learning_rate"])
        self.assertEqual(report["checkpoint"], {"path": "model.pt", "metadata": {"a": 1}})
        self.assertIn("recipe 0.01", got["log"])
        self.assertIn("checkpoints/test/attempt-2/current/model.pt", got["files"])
        np.testing.assert_allclose(got["logits"][0], self.plain["logits"][0] + 1.0, rtol=1e-6)

    def test_checkpoints_on_the_way_and_a_run_that_goes_on_from_one(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="resume-test-"))
        self.addCleanup(shutil.rmtree, folder)
        # the folder is empty at each call: the name would be taken
        save = """
def save_checkpoint(model, checkpoint_dir, ctx):
    (checkpoint_dir / "deep").mkdir()
    torch.save(model.state_dict(), checkpoint_dir / "deep" / "model.pt")
    torch.save(model.state_dict(), "FOLDER/model.pt")
    return "deep/model.pt"
""".replace("FOLDER", str(folder))
        load = """
def load_checkpoint(model, checkpoint_dir, ctx):
    assert ctx.is_resume and ctx.resume_checkpoint_dir == checkpoint_dir
    assert ctx.checkpoint_metadata["checkpoint_workspace"]["resume"]["metadata"] == {"a": 1}
    model.load_state_dict(torch.load(checkpoint_dir / "model.pt"))
    return RETURN
"""
        hooks = {"save_checkpoint": save, "load_checkpoint": load.replace("RETURN", "{'b': 2}")}
        whole = run(hooks, lineage={"checkpoint_steps": 2, "resume": None})
        self.assertNotIn("failed", whole, whole)
        ((step, told, files),) = whole["kept"]
        self.assertEqual((step, told), (2, {"path": "deep/model.pt"}))
        self.assertEqual(files, ["test/attempt-2/current/deep/model.pt"])
        self.assertEqual(whole["report"]["calls"], {"save_checkpoint": 2})
        # what lies in the folder now is the model after the last batch
        resume = {"path": str(folder), "checkpoint_path": "model.pt", "metadata": {"a": 1},
                  "attempt": 1, "step": 2}  # fmt: skip
        resumed = run(hooks, lineage={"checkpoint_steps": 2, "resume": resume})
        self.assertNotIn("failed", resumed, resumed)
        np.testing.assert_array_equal(resumed["logits"][0], whole["logits"][-1])
        self.assertEqual(resumed["report"]["calls"], {"load_checkpoint": 1, "save_checkpoint": 1})
        self.assertEqual(resumed["kept"], [])
        for value, message in [("{'a': model}", "must return None or JSON"), ("'x' * 20_000", "16384")]:
            failed = run(
                hooks | {"load_checkpoint": load.replace("RETURN", value)},
                lineage={"checkpoint_steps": 2, "resume": resume},
            )["failed"]
            self.assertEqual((failed["kind"], failed["stage"]), ("failed", "train"))
            self.assertIn(message, failed["message"])

    def test_an_architecture_alone_is_trained_by_the_reference_recipe(self) -> None:
        got = run(HOOKS, kind="architecture_only")
        self.assertEqual(got["opened"]["batch_size"], 4)
        self.assertEqual(got["report"]["recipe"]["learning_rate"], 3e-4)
        self.assertEqual(set(got["report"]["calls"]), {"inference_logits"})

    def test_held_out_and_twin_predict_through_the_hook(self) -> None:
        plan = {"kind": "full", "attempt": 1, "hooks": {"infer": "training"}}
        files = {"model.py": MODEL, "fit.py": INFER}
        with Run(files, "twin", architecture="model.py", training="fit.py", v1=plan) as process:
            (peer,) = process.peers
            tensors = peer.expect("built")["tensors"]
            self.assertEqual(sum(tensor[0] for tensor in tensors), VOCAB_SIZE**2 + 1)
            peer.attach(2, SEQUENCE_LENGTH)
            logits = peer.predict(BATCH)
            self.assertEqual(process.end(), 0)
        np.testing.assert_allclose(logits, self.plain["logits"][0] + 2.0, rtol=1e-6)

    def test_a_leaking_hook_gets_no_targets_and_a_forged_loss_reaches_nobody(self) -> None:
        forged = "def compute_loss(model, batch, ctx):\n    return model.scale * 0.0\n"
        got = run({"compute_loss": forged})
        self.assertNotIn("failed", got, got)
        self.assertEqual(set(got["report"]), {"recipe", "learning_rate", "calls", "checkpoint"})
        # nothing was learned but what weight decay does
        np.testing.assert_allclose(got["logits"][0], got["logits"][-1], rtol=1e-3, atol=1e-3)


class Combinations(unittest.TestCase):
    def test_every_set_of_hooks_follows_the_precedence(self) -> None:
        def loss(model: nn.Module, batch: PrismBatch, _ctx: PrismContext) -> torch.Tensor:
            logits = model(batch.tokens)
            return functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())

        def step(
            model: nn.Module, batch: PrismBatch, optimizer: torch.optim.Optimizer, ctx: PrismContext
        ) -> torch.Tensor:
            optimizer.zero_grad()
            value = loss(model, batch, ctx)
            value.backward()
            optimizer.step()
            return value

        functions: dict[str, Any] = {
            "configure_optimizer": lambda model, recipe, ctx: torch.optim.SGD(model.parameters(), 0.5),
            "inference_logits": lambda model, batch, ctx: model(batch.tokens) + 1.0,
            "infer": lambda model, batch, ctx: model(batch.tokens) + 2.0,
            "compute_loss": loss,
            "train_step": step,
        }
        tokens = torch.arange(8).view(2, 4)
        batch = PrismBatch(tokens, tokens.roll(-1, 1), {"step": 0})
        sets = [
            set(names)
            for size in range(len(functions) + 1)
            for names in combinations(functions, size)
        ]
        self.assertEqual(len(sets), 32)
        for names in sets:
            with self.subTest(sorted(names)):
                held = submission(
                    {name: functions[name] for name in names},
                    {"learning_rate": 1.0},
                    lambda ctx: nn.Embedding(8, 8),
                )
                predictor = held(held.ctx)
                loop = v1_loop.Loop(held, predictor, held.recipe(), predictor.model)
                before = predictor.model.weight.detach().clone()
                loop.step(batch)
                expected = {"configure_optimizer": 1} if "configure_optimizer" in names else {}
                inference = next((n for n in ("inference_logits", "infer") if n in names), None)
                if "train_step" in names:
                    expected["train_step"] = 1
                elif "compute_loss" in names:
                    expected["compute_loss"] = 1
                elif inference is not None:
                    expected[inference] = 1
                self.assertEqual(dict(held.calls), expected)
                self.assertFalse(torch.equal(predictor.model.weight, before))
                rate = None if "configure_optimizer" in names else 3e-4
                self.assertEqual(loop.learning_rate, rate)
                shift = {"inference_logits": 1.0, "infer": 2.0, None: 0.0}[inference]
                plain = predictor.model(tokens)
                torch.testing.assert_close(predictor(tokens), plain + shift)


class Distributed(unittest.TestCase):
    def test_two_ranks_share_their_gradients(self) -> None:
        plan = {"kind": "full", "attempt": 1, "hooks": {"infer": "architecture"}}
        scripts = {"architecture": "model.py", "training": "model.py"}
        with Run({"model.py": MODEL + INFER}, "train", world_size=2, v1=plan, **scripts) as process:
            for peer in process.peers:
                self.assertEqual(peer.expect("open")["batch_size"], 2)
                peer.attach(2, SEQUENCE_LENGTH)
            for step in range(2):
                same = [peer.predict(BATCH) for peer in process.peers]
                np.testing.assert_array_equal(same[0], same[1])
                for rank, peer in enumerate(process.peers):
                    ids = BATCH + 40 * (rank + 1)
                    peer.predict(ids)
                    peer.reveal(ids, np.roll(ids, -1, axis=1), step, 100)
                for peer in process.peers:
                    self.assertEqual(peer.expect("next")["step"], step)
            for peer in process.peers:
                peer.send("exhausted", reason="step_budget")
            for peer in process.peers:
                peer.expect("finished")
            last = process.peers[0].predict(BATCH)
            self.assertFalse(np.array_equal(last, same[0]))
            np.testing.assert_array_equal(last, process.peers[1].predict(BATCH))
            self.assertEqual(process.end(), 0, process.log())


class Refusals(unittest.TestCase):
    def test_what_hooks_may_not_return(self) -> None:
        table = [
            ("train_step", "def train_step(model, batch, optimizer, ctx):\n    return 0.0\n", "train_step must return a tensor"),
            ("compute_loss", "def compute_loss(model, batch, ctx):\n    return model(batch.tokens)\n", "compute_loss must return a scalar"),
            ("infer", "@torch.no_grad()\ndef infer(model, batch, ctx):\n    return model(batch.tokens)\n", "the loss has no gradient"),
        ]  # fmt: skip
        for name, text, message in table:
            with self.subTest(name):
                failed = run({name: text})["failed"]
                self.assertEqual((failed["kind"], failed["stage"]), ("failed", "train"))
                self.assertIn(message, failed["message"])

    def test_what_get_recipe_may_return(self) -> None:
        for value, batch_size in [({"batch_size": 2}, 2), (TrainingRecipe(), 4), ({}, 4)]:
            self.assertEqual(submission({}, value).recipe().batch_size, batch_size)
        for value, error, message in [
            (3, TypeError, "must return a TrainingRecipe or a dict"),
            ({"lr": 1}, TypeError, r"unknown fields \['lr'\]"),
            ({"batch_size": 0}, TypeError, "batch_size must be an integer from 1"),
            ({"batch_size": True}, TypeError, "batch_size must be an integer from 1"),
            ({"learning_rate": float("nan")}, ValueError, "must be a finite number from 0"),
            ({"weight_decay": "0"}, TypeError, "weight_decay must be a number, got str"),
        ]:
            with self.subTest(str(value)), self.assertRaisesRegex(error, message):
                submission({}, value).recipe()

    def test_what_save_checkpoint_may_return(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

        def saved(value: object) -> dict[str, Any] | None:
            hooks = {"save_checkpoint": lambda model, checkpoint_dir, ctx: value}
            held = submission(hooks, {})
            held.ctx = replace(held.ctx, checkpoint_dir=Path(self.folder.name))
            return v1_checkpoint.save(held.hook("save_checkpoint"), nn.Linear(1, 1), held)

        self.assertIsNone(v1_checkpoint.save(None, nn.Linear(1, 1), submission({}, {})))
        both = {"path": "a/model.pt", "metadata": {"a": [1]}}
        for value, recorded in [(None, None), ("model.pt", {"path": "model.pt"}), (both, both)]:
            self.assertEqual(saved(value), recorded)
        for value, error, message in [
            (3, TypeError, "must return None, a relative path, or a dict"),
            (Path("model.pt"), TypeError, "got PosixPath"),
            ({"path": "model.pt"}, TypeError, r"a dict with \['path'\]"),
            ({"path": "a", "metadata": {}, "more": 1}, TypeError, "a dict with"),
            ({"path": 1, "metadata": {}}, TypeError, "path must be a str"),
            ({"path": "a", "metadata": []}, TypeError, "metadata a dict"),
            ({"path": "a", "metadata": {"a": Path()}}, TypeError, "not JSON serializable"),
            ({"path": "a", "metadata": {"a": float("inf")}}, ValueError, "not JSON compliant"),
            ({"path": "a", "metadata": {"a": "x" * 20_000}}, ValueError, "16384 bytes"),
            *(
                (path, ValueError, "got the path")
                for path in ("/etc/passwd", "../a", "a/../b", "", ".", "a//b", "a\\b", "C:a", "a/")
            ),
        ]:
            with self.subTest(str(value)[:40]), self.assertRaisesRegex(error, message):
                saved(value)


def submission(
    hooks: dict[str, Any],
    recipe: object,
    build_model: Callable[[PrismContext], nn.Module] = lambda ctx: nn.Linear(1, 1),
) -> Submission:
    """A submission of these functions, in this process."""
    module = ModuleType("model")
    vars(module).update(hooks, get_recipe=lambda ctx: recipe)
    plan = {"kind": "full", "attempt": 1, "hooks": dict.fromkeys(hooks, "architecture")}
    build = project.SeededBuild(build_model, 1)
    return Submission(plan, {"architecture": module}, build, PrismContext())


if __name__ == "__main__":
    unittest.main()
