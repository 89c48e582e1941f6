"""The runner against a fake referee: real processes, real sockets, real shared memory."""

from __future__ import annotations

import contextlib
import hashlib
import unittest
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

import submissions
from fake_referee import SEQUENCE_LENGTH, VOCAB_SIZE, Run

TIED_FILES = {
    "architecture.py": submissions.TIED,
    "training.py": submissions.TIED_TRAINING,
    "json.py": "raise RuntimeError('a bundle file shadows a library')",
}
ROWS = 2


def text(step: int, rows: int = ROWS, cols: int = SEQUENCE_LENGTH) -> tuple[np.ndarray, np.ndarray]:
    """Ids and targets [rows, cols] of a made-up stream."""
    lanes = np.random.default_rng(step).integers(0, 256, (rows, cols + 1), dtype=np.int32)
    return lanes[:, :-1], lanes[:, 1:]


def train_tied(probes: int) -> dict[str, Any]:
    """Three steps of the tied model with so many more predictions per step; what came of it."""
    with Run(TIED_FILES, "train") as run:
        peer = run.peers[0]
        opened = peer.expect("open")
        peer.attach(ROWS, SEQUENCE_LENGTH)
        predictions, following = [], []
        for step in range(3):
            ids, targets = text(step)
            for probe in range(probes):
                peer.predict(text(100 + probe)[0])
            predictions.append(peer.predict(ids))
            for _ in range(probes):
                assert np.array_equal(peer.predict(ids), predictions[-1])
                peer.predict(text(7)[0])
            peer.reveal(ids, targets, step, 32 * (step + 1))
            following.append(peer.expect("next")["step"])
        ids, _ = text(3)
        predictions.append(peer.predict(ids))
        peer.send("exhausted", reason="data_exhausted")
        finished = peer.expect("finished")
        after = peer.predict(ids)
        peer.send("save", path="weights.safetensors")
        saved = peer.expect("saved")
        weights = load_file(run.artifacts / "weights.safetensors")
        status = run.end()
        return locals() | {
            "log": run.log(),
            "files": sorted(p.name for p in run.artifacts.iterdir()),
        }


class TiedModel(unittest.TestCase):
    """Twin, training and held-out of one model, compared with each other."""

    @classmethod
    def setUpClass(cls) -> None:
        """Trains twice, with and without more predictions than needed."""
        with ThreadPoolExecutor(2) as pool:
            cls.plain, cls.probed = pool.map(train_tied, [0, 3])

    def test_training_speaks_the_protocol(self) -> None:
        """Frames in order, exit status 0, the seed line before anything of the submission."""
        run = self.plain
        self.assertEqual(
            run["opened"],
            {"kind": "open", "batch_size": 2, "seq_len": SEQUENCE_LENGTH, "tokenizer": "bytes"},
        )
        self.assertEqual(run["following"], [0, 1, 2])
        self.assertEqual(run["finished"]["batches"], 3)
        self.assertEqual(run["saved"], {"kind": "saved", "path": "weights.safetensors"})
        self.assertEqual(run["status"], 0, run["log"])
        self.assertTrue(run["log"].startswith("prism: forced seed=1337 before submission import\n"))
        hello = run["peer"].hello
        self.assertEqual(
            set(hello),
            {"kind", "protocol", "rank", "local_rank", "world_size", "python", "torch", "device",
             "device_name"},
        )  # fmt: skip
        self.assertEqual((hello["protocol"], hello["device"], hello["rank"]), (4, "cpu", 0))

    def test_more_predictions_change_nothing(self) -> None:
        """Random states, modes and settings are put back: the stream is the same, bit for bit."""
        for plain, probed in zip(
            self.plain["predictions"], self.probed["predictions"], strict=True
        ):
            np.testing.assert_array_equal(plain, probed)
        noise = [run["log"].partition("noise ")[2].split()[0] for run in (self.plain, self.probed)]
        self.assertEqual(noise[0], noise[1])

    def test_the_model_is_held_after_training(self) -> None:
        """The prediction after `finished` is the one before it."""
        np.testing.assert_array_equal(self.plain["predictions"][-1], self.plain["after"])
        self.assertFalse(np.isnan(self.plain["after"]).any())

    def test_tied_weights_are_saved_once(self) -> None:
        """One of the two names, and nothing beside the file."""
        keys = {"emb.weight", "mix.weight", "mix.bias", "scale"}
        self.assertEqual(set(self.plain["weights"]), keys)
        self.assertEqual(self.plain["files"], ["weights.safetensors"])

    def test_twin_is_the_model_that_enters_the_stream(self) -> None:
        """Same logits as the first of training; tensors by distinct storage, lazy ones too."""
        ids, _ = text(0)
        with Run(TIED_FILES, "twin") as run:
            peer = run.peers[0]
            built = peer.expect("built")["tensors"]
            peer.attach(ROWS, SEQUENCE_LENGTH)
            first = peer.predict(ids)
            np.testing.assert_array_equal(first, peer.predict(ids))
            self.assertFalse(np.array_equal(peer.predict(text(3)[0]), self.plain["after"]))
            peer.attach(1, 5)
            self.assertEqual(peer.predict(ids[:1, :5]).shape, (1, 5, VOCAB_SIZE))
            peer.send("census")
            self.assertEqual(sorted(peer.expect("counted")["tensors"]), sorted(built))
            self.assertEqual(run.end(), 0, run.log())
        np.testing.assert_array_equal(first, self.plain["predictions"][0])
        expected = [
            [VOCAB_SIZE * 8, 4, "parameter"], [64, 4, "parameter"], [8, 4, "parameter"],
            [1, 4, "buffer"], [3, 8, "other"], [7, 8, "other"],
        ]  # fmt: skip
        self.assertCountEqual(built, expected)

    def test_held_out_predicts_like_the_trained_process(self) -> None:
        """A fresh process with the saved weights gives the same logits."""
        with Run({}, "twin") as scratch:  # only for a place to write to
            path = str(scratch.artifacts / "weights.safetensors")
            save_file(self.plain["weights"], path)
            with Run(TIED_FILES, "heldout", weights=path) as run:
                peer = run.peers[0]
                peer.expect("built")
                peer.attach(ROWS, SEQUENCE_LENGTH)
                np.testing.assert_array_equal(peer.predict(text(3)[0]), self.plain["after"])
                self.assertEqual(run.end(), 0, run.log())


def train_snapshots(snapshots: bool) -> dict[str, Any]:
    """Four steps of the tied model, with commitments and a save in the middle of each, or without."""
    with Run(TIED_FILES, "train", commit=snapshots) as run:
        peer = run.peers[0]
        peer.expect("open")
        peer.attach(ROWS, SEQUENCE_LENGTH)
        commitments, saved, predictions = [], [], []
        for step in range(4):
            ids, targets = text(step)
            predictions.append(peer.predict(ids))
            if snapshots:
                peer.send("save", path="snapshot.safetensors")
                assert peer.expect("saved")["path"] == "snapshot.safetensors"
                saved.append(load_file(run.artifacts / "snapshot.safetensors"))
            peer.reveal(ids, targets, step, 32 * (step + 1))
            commitments.append(peer.expect("next")["weights"])
        peer.send("exhausted", reason="data_exhausted")
        peer.expect("finished")
        assert run.end() == 0, run.log()
        noise = run.log().partition("noise ")[2].split()[0]
        return {"commitments": commitments, "saved": saved, "predictions": predictions,
                "noise": noise}  # fmt: skip


class Snapshots(unittest.TestCase):
    """Weights that are handed over while the training goes on."""

    @classmethod
    def setUpClass(cls) -> None:
        """Trains twice, with and without."""
        with ThreadPoolExecutor(2) as pool:
            cls.with_them, cls.without = pool.map(train_snapshots, [True, False])

    def test_they_leave_no_trace(self) -> None:
        """Predictions and random numbers are the same, bit for bit."""
        pairs = zip(self.with_them["predictions"], self.without["predictions"], strict=True)
        for one, other in pairs:
            np.testing.assert_array_equal(one, other)
        self.assertEqual(self.with_them["noise"], self.without["noise"])

    def test_each_is_what_was_committed_to(self) -> None:
        """A digest with every `next`, of the weights that predict the batch after it."""
        self.assertEqual(self.without["commitments"], [None] * 4)
        commitments = self.with_them["commitments"]
        self.assertEqual(len(set(commitments)), 4)
        for committed, saved in zip(commitments, self.with_them["saved"][1:], strict=False):
            self.assertEqual(committed, digest_of(saved))


def digest_of(tensors: dict[str, np.ndarray]) -> str:
    """The digest of docs/protocol.md, of arrays of float32."""
    content = b"prism-weights-v1\n"
    for name in sorted(tensors):
        array = tensors[name]
        assert array.dtype == np.float32
        sizes = ",".join(map(str, array.shape))
        content += f"{len(name)}:{name} F32 {sizes}\n".encode() + array.tobytes()
    return hashlib.sha256(content).hexdigest()


class Outputs(unittest.TestCase):
    """What forward may return."""

    def test_kinds_of_output(self) -> None:
        """Tensor, tuple, object, float64 and a subclass arrive; another shape is only reported."""
        with Run({"architecture.py": submissions.SHAPES}, "twin") as run:
            peer = run.peers[0]
            # a lazy layer has its shape by then
            self.assertIn([VOCAB_SIZE * 300, 4, "parameter"], peer.expect("built")["tensors"])
            peer.attach(1, 4)
            ids = np.array([[0, 9, 8, 7]], np.int32)
            plain = peer.predict(ids)
            for kind, dtype in ((1, "float32"), (2, "float32"), (4, "float64"), (5, "float32")):
                ids[0, 0] = kind
                peer.ask(ids)
                logits, frame = peer.answer()
                self.assertEqual((frame["shape"], frame["dtype"]), ([1, 4, VOCAB_SIZE], dtype))
                np.testing.assert_array_equal(logits[:, 1:], plain[:, 1:])
            ids[0, 0] = 3
            peer.ask(ids)
            logits, frame = peer.answer()
            self.assertEqual(frame["shape"], [1, 4, VOCAB_SIZE - 1])
            self.assertTrue(np.isnan(logits).all(), "nothing is copied")
            ids[0, 0] = 6
            peer.ask(ids)
            failed = peer.expect("failed")
            self.assertEqual((failed["stage"], failed["type"]), ("forward", "ValueError"))
            self.assertEqual(len(failed["message"]), 2000)
            self.assertTrue(failed["message"].startswith("six ?xxx"))
            self.assertEqual(failed["where"], "architecture.py:36")
            self.assertEqual(run.status(), 1)


class Commitments(unittest.TestCase):
    """Losses first, all logits when they are asked for."""

    def test_losses_then_logits(self) -> None:
        """Losses belong to the logits that are shown; only the last column lies there before."""
        with Run(TIED_FILES, "train") as run:
            peer = run.peers[0]
            peer.expect("open")
            peer.attach(ROWS, SEQUENCE_LENGTH)
            for step in range(2):
                ids, targets = text(step)
                whole = peer.predict(ids)
                nats, logits = peer.commit(ids)
                self.assertTrue(np.isnan(logits[:, :-1]).all())
                np.testing.assert_array_equal(logits[:, -1], whole[:, -1])
                wide = whole.astype(np.float64)
                norm = np.log(np.exp(wide - wide.max(-1, keepdims=True)).sum(-1)) + wide.max(-1)
                rows, cols = np.indices(ids.shape)
                expected = norm[:, :-1] - wide[rows, cols, targets][:, :-1]
                np.testing.assert_allclose(nats[:, :-1], expected, rtol=0, atol=1e-6)
                np.testing.assert_array_equal(peer.show(), whole)
                peer.reveal(ids, targets, step, 32 * (step + 1))
                peer.expect("next")
            # what was revealed is forgotten
            peer.send("show", call=4)
            self.assertEqual(peer.receive()["kind"], "closed")
            self.assertEqual(run.status(), 1)
            self.assertIn("without a commitment", run.log())

    def test_a_wrong_shape_is_told_in_either_way(self) -> None:
        """Nothing is written, and the shape is what the model returned."""
        with Run(TIED_FILES, "twin") as run:
            peer = run.peers[0]
            peer.expect("built")
            peer.attach(ROWS, SEQUENCE_LENGTH, vocab_size=VOCAB_SIZE + 1)
            peer.ask(text(0)[0], commit=True)
            frame = peer.expect("committed")
            self.assertEqual(frame["shape"], [ROWS, SEQUENCE_LENGTH, VOCAB_SIZE])
            self.assertTrue(np.isnan(peer.nats).all() and np.isnan(peer.logits).all())


def train_bigram(training: str, commit: bool) -> list[np.ndarray]:
    """Predictions of three steps of the bigram model, each with a probe before or after it."""
    files = {"architecture.py": submissions.LINEAR, "training.py": training}
    predictions = []
    with Run(files, "train") as run:
        peer = run.peers[0]
        peer.expect("open")
        peer.attach(ROWS, SEQUENCE_LENGTH)
        for step in range(3):
            ids, targets = text(step)
            for asked in (ids, text(100)[0])[:: 1 if step % 2 else -1]:
                if commit:
                    peer.commit(asked)
                logits = peer.show() if commit else peer.predict(asked)
                if asked is ids:
                    predictions.append(logits)
            peer.reveal(ids, targets, step, 32 * (step + 1))
            peer.expect("next")
        peer.send("exhausted", reason="data_exhausted")
        finished = peer.receive()
        assert finished["kind"] == "finished", (finished, run.log())
        predictions.append(peer.predict(text(3)[0]))
        assert run.end() == 0, run.log()
    return predictions


class SingleForward(unittest.TestCase):
    """The graph of a prediction serves the training."""

    def test_it_learns_what_two_forwards_learn(self) -> None:
        """The same predictions, bit for bit, in both transports; the probe's graph is not taken."""
        with ThreadPoolExecutor(2) as pool:
            cases = [
                (submissions.TWO_FORWARDS, False),
                (submissions.SINGLE_TRAINING, False),
                (submissions.SINGLE_TRAINING, True),
            ]
            two, single, committed = pool.map(lambda case: train_bigram(*case), cases)
        self.assertFalse(np.array_equal(two[0], two[-1]))
        for run in (single, committed):
            for ours, theirs in zip(two, run, strict=True):
                np.testing.assert_array_equal(ours, theirs)


FAILURES: list[tuple[str, str, str, str, str, str, str]] = [
    # phase, architecture, training, stage, type, part of the message, where
    ("twin", "x = 1\ny = (\n", "", "import", "SyntaxError", "never closed", "architecture.py:2"),
    ("twin", "def other(ctx): pass", "", "import", "AttributeError", "no build_model", ""),
    ("twin", "def build_model(ctx):\n    return {}", "", "build", "TypeError",
     "must return a torch.nn.Module, got dict", ""),
    ("train", submissions.LINEAR, "raise SystemExit('bye')", "import", "SystemExit", "bye",
     "training.py:1"),
    ("train", submissions.LINEAR, "def train(ctx):\n    raise KeyboardInterrupt",
     "train", "KeyboardInterrupt", "", "training.py:2"),
    ("train", "def build_model(ctx):\n    raise OSError('disk')",
     "def train(ctx):\n    ctx.build_model()", "build", "OSError", "disk", "architecture.py:2"),
    ("train", submissions.LINEAR,
     "class Mine:\n    name = 'bytes'\n"
     "def train(ctx):\n    ctx.iter_train_batches(ctx.build_model(), tokenizer=Mine())",
     "train", "TokenizerRefused", "tokenizers that are code are not accepted", "training.py:4"),
    ("heldout", submissions.LINEAR, "", "load", "ValueError", "unknown keys, first 'x'", ""),
]  # fmt: skip


def failure_of(case: tuple[str, str, str, str, str, str, str]) -> tuple[dict[str, Any], int]:
    """The first frame and the exit status of a run that fails."""
    phase, architecture, training, *_ = case
    with contextlib.ExitStack() as stack:
        weights = None
        if phase == "heldout":
            place = stack.enter_context(Run({}, "twin")).artifacts
            weights = str(place / "weights.safetensors")
            save_file({"x": np.zeros(1, np.float32)}, weights)
        files = {"architecture.py": architecture, "training.py": training}
        run = stack.enter_context(Run(files, phase, weights=weights))
        return run.peers[0].receive(), run.status()


class Failures(unittest.TestCase):
    """What a submission raises is told with its stage and place."""

    def test_every_stage(self) -> None:
        """One process per case."""
        with ThreadPoolExecutor(2) as pool:
            for case, (frame, status) in zip(FAILURES, pool.map(failure_of, FAILURES), strict=True):
                _, _, _, stage, exception, message, where = case
                with self.subTest(stage=stage, exception=exception):
                    self.assertEqual(frame["kind"], "failed")
                    self.assertEqual((frame["stage"], frame["type"]), (stage, exception))
                    self.assertIn(message, frame["message"])
                    self.assertEqual(frame["where"], where)
                    self.assertEqual(status, 1)

    def test_save_and_the_train_loop(self) -> None:
        """A state dict with something else than tensors; leaving the loop early is no failure."""
        extra = submissions.LINEAR.replace(
            "    def forward",
            "    def get_extra_state(self):\n        return 'x'\n\n    def forward",
        )
        training = (
            "import atexit, json\n"
            "json.dumps = None\n"
            "def train(ctx):\n"
            "    atexit.register(print, 'exit handler')\n"
            "    try:\n"
            "        for batch in ctx.iter_train_batches(ctx.build_model(), batch_size=1):\n"
            "            break\n"
            "    except BaseException:\n"
            "        pass\n"
        )
        with Run({"architecture.py": extra, "training.py": training}, "train") as run:
            peer = run.peers[0]
            self.assertEqual(peer.expect("open")["tokenizer"], None)
            peer.attach(1, SEQUENCE_LENGTH)
            ids, targets = text(0, 1)
            peer.predict(ids)
            peer.reveal(ids, targets, 0, 16)
            self.assertEqual(peer.expect("finished")["batches"], 1)
            peer.send("save", path="weights.safetensors")
            failed = peer.expect("failed")
            self.assertEqual((failed["stage"], failed["type"]), ("save", "TypeError"))
            self.assertEqual(run.status(), 1)
            self.assertNotIn("exit handler", run.log())

    def test_a_referee_that_is_gone(self) -> None:
        """Exit status 1, no traceback, whatever the submission catches."""
        training = (
            "def train(ctx):\n"
            "    while True:\n"
            "        try:\n"
            "            list(ctx.iter_train_batches(ctx.build_model()))\n"
            "        except BaseException:\n"
            "            pass\n"
        )
        files = {"architecture.py": submissions.LINEAR, "training.py": training}
        with Run(files, "train") as run:
            run.peers[0].expect("open")
            run.peers[0].close()
            self.assertEqual(run.status(), 1)
            self.assertNotIn("Traceback", run.log())


class Distributed(unittest.TestCase):
    """Two ranks under torchrun with gloo."""

    def test_ddp(self) -> None:
        """Each rank has its own batches; gradients are shared; rank 0 saves plain names."""
        files = {
            "src/model/architecture.py": submissions.LINEAR,
            "src/training.py": submissions.DDP_TRAINING,
            "random.py": "raise RuntimeError('a bundle file shadows a library')",
        }
        scripts = {"architecture": "src/model/architecture.py", "training": "src/training.py"}
        with Run(files, "train", world_size=2, **scripts) as run:
            for rank, peer in enumerate(run.peers):
                self.assertEqual((peer.hello["rank"], peer.hello["world_size"]), (rank, 2))
                self.assertEqual(peer.expect("open")["seq_len"], 4)
                peer.attach(2, 4)
            for step in range(2):
                batches = [text(10 * step + rank, 2, 4) for rank in range(2)]
                same = [peer.predict(batches[0][0]) for peer in run.peers]
                np.testing.assert_array_equal(same[0], same[1])
                for peer, (ids, targets) in zip(run.peers, batches, strict=True):
                    peer.predict(ids)
                    peer.reveal(ids, targets, step, 16 * (step + 1))
                for peer in run.peers:
                    self.assertEqual(peer.expect("next")["step"], step)
            for peer in run.peers:
                peer.send("exhausted", reason="step_budget")
            for peer in run.peers:
                self.assertEqual(peer.expect("finished")["batches"], 2)
            ids = text(1, 2, 4)[0]
            logits = run.peers[0].predict(ids)
            run.peers[0].send("save", path="weights.safetensors")
            run.peers[0].expect("saved")
            weights = load_file(run.artifacts / "weights.safetensors")
            np.testing.assert_array_equal(weights["table.weight"][ids], logits)
            self.assertEqual(run.end(), 0, run.log())


if __name__ == "__main__":
    unittest.main()
