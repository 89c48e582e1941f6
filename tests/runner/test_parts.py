"""The runner's parts, one by one, without a process of their own."""

from __future__ import annotations

import hashlib
import json
import os
import random
import struct
import sys
import tempfile
import unittest
from pathlib import Path

import torch
from torch import nn

from fake_referee import RUNNER

sys.path.insert(0, str(RUNNER.parent))

from prism_challenge.evaluator import interface
from prism_runner import (
    blackboard,
    census,
    commit,
    predict,
    reference_tokenizer,
    seeds,
    transfer,
    weights,
    wire,
)

REPOSITORY = Path(__file__).resolve().parents[2]

# "a" "b" "c" "Ġ" are single bytes; merges by rank: ab, abc, Ġab
MINI = {
    "added_tokens": [{"id": 8, "content": "<pad>"}],
    "normalizer": None,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
    "model": {
        "type": "BPE",
        "vocab": {"a": 0, "b": 1, "c": 2, "Ġ": 3, "ab": 4, "abc": 5, "Ġab": 6, "<|endoftext|>": 7,
                  "<pad>": 8},
        "merges": ["a b", ["ab", "c"], "Ġ ab"],
    },
}  # fmt: skip


class Tokenizers(unittest.TestCase):
    """Ids and names."""

    def shelf(self, definition: dict) -> reference_tokenizer.Shelf:
        """`mini` and `bytes`."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = Path(folder.name) / "mini.json"
        path.write_text(json.dumps(definition), encoding="utf-8")
        listed = {"mini": {"file": str(path), "size": 9}, "bytes": {"file": None, "size": 257}}
        return reference_tokenizer.Shelf(listed)

    def test_merges_go_by_rank(self) -> None:
        """Lowest rank first, leftmost first; a word never reaches over a border."""
        mini = self.shelf(MINI).get("MINI")
        table = {"abc": [5], "ab abc": [4, 3, 5], " ab": [6], "aab": [0, 4], "cab": [2, 4], "": [],
                 "  ab": [3, 6], "ababab": [4, 4, 4]}  # fmt: skip
        for text, ids in table.items():
            self.assertEqual(mini.encode(text), ids, text)
            self.assertEqual(mini.decode(ids), text)
        self.assertEqual(mini.decode([4, 7, 8, 2]), "abc", "special tokens are left out")
        self.assertEqual(mini.vocab_size, 9)

    def test_words_are_gpt2s(self) -> None:
        """Letters, numbers, the rest, contractions, spaces before words, odd white space."""
        table = {
            "Hello  world's 12² x_y": ["Hello", " ", " world", "'s", " 12²", " x", "_", "y"],
            "a\n\n b": ["a", "\n\n", " b"],
            "é漢字\u00a0z \u3000": ["é漢字", "\u00a0", "z", " \u3000"],
            "a\x1cb": ["a", "\x1c", "b"],
        }
        for text, words in table.items():
            self.assertEqual(reference_tokenizer._gpt2_pattern().findall(text), words)

    def test_bytes(self) -> None:
        """One id per byte; the ids above are no text."""
        raw = self.shelf(MINI).get("bytes")
        self.assertEqual(raw.encode("é"), [0xC3, 0xA9])
        self.assertEqual(raw.decode([0xC3, 0xA9, 256, 0xFF]), "é\ufffd")

    def test_what_is_not_a_tokenizer_of_the_run(self) -> None:
        """Unknown names, code, other kinds of tokenizer.json."""
        shelf = self.shelf(MINI)
        self.assertIsNone(shelf.name_of(None))
        self.assertEqual(shelf.name_of("Bytes"), "bytes")
        self.assertEqual(shelf.name_of(shelf.get("mini")), "mini")
        with self.assertRaisesRegex(
            ValueError, "unknown tokenizer 'gpt2'; this run has bytes, mini"
        ):
            shelf.get("gpt2")
        for code in (str.encode, reference_tokenizer.ByteTokenizer("bytes", 257), 3):
            with self.assertRaisesRegex(
                reference_tokenizer.TokenizerRefused, "code are not accepted"
            ):
                shelf.name_of(code)
        other = self.shelf(MINI | {"normalizer": {"type": "Lowercase"}}).get("mini")
        with self.assertRaisesRegex(ValueError, "it has a normalizer; pass its name"):
            other.encode("a")
        self.assertEqual(other.decode([4, 2]), "abc")

    def test_gpt2_is_tiktokens(self) -> None:
        """Ids that tiktoken gave, for all cases that are not a whole plane of Unicode."""
        listed = {"gpt2": {"file": str(REPOSITORY / "tokenizers/gpt2.json"), "size": 50_257}}
        gpt2 = reference_tokenizer.Shelf(listed).get("GPT2")
        fixture = REPOSITORY / "src/dataset/tokenizer/fixtures/gpt2_tiktoken.json"
        for case in json.loads(fixture.read_text(encoding="ascii"))["cases"]:
            if "ranges" in case:
                continue
            unit = json.loads(case["python_unit"]) if "python_unit" in case else case["unit"]
            ids = gpt2.encode(unit * case["times"])
            self.assertEqual(len(ids), case["tokens"], case["name"])
            digest = hashlib.sha256(struct.pack(f"<{len(ids)}I", *ids)).hexdigest()
            self.assertEqual(digest, case["sha256"], case["name"])
            self.assertEqual(gpt2.decode(ids), case["unit"] * case["times"], case["name"])

    def test_llamas_kind(self) -> None:
        """The sign for a space, bytes of what the vocabulary lacks, nothing before the text."""
        file = REPOSITORY / "src/dataset/tokenizer/fixtures/llama_like.json"
        listed = {"llama": {"file": str(file), "size": 290}}
        llama = reference_tokenizer.Shelf(listed).get("llama")
        vocab = json.loads(file.read_text(encoding="utf-8"))["model"]["vocab"]
        table = {"the": ["t", "he"], " the and": ["▁the", "▁and"],
                 "▁": ["<0xE2>", "<0x96>", "<0x81>"], "a     x": ["a", "▁▁▁▁", "▁", "<0x78>"]}  # fmt: skip
        for text, tokens in table.items():
            self.assertEqual(llama.encode(text), [vocab[token] for token in tokens], text)
            self.assertEqual(llama.decode(llama.encode(text)), text)
        self.assertEqual(llama.decode([vocab["</s>"], vocab["he"]]), "he")


class Holder:
    """An object of a submission's own."""

    def __init__(self, inside: object) -> None:
        self.inside = inside


class Census(unittest.TestCase):
    """Tensors by distinct storage."""

    def test_what_is_found(self) -> None:
        """Views count once, expanded views by their storage, hidden tensors count."""
        model = nn.Module()
        model.weight = nn.Parameter(torch.zeros(4, 5))
        model.register_buffer("view", model.weight.data[:2])
        model.register_buffer("wide", torch.zeros(1, 3).expand(100, 3))
        cycle: list[object] = [torch.zeros(7, dtype=torch.int8), {"x": (torch.zeros(2),)}]
        cycle.append(cycle)
        model.hidden = Holder(cycle)
        model.free = {"p": nn.Parameter(torch.zeros(11))}
        model.text = "x" * 100
        found = census.count_tensors(model, [{"GLOBAL": torch.zeros(13), "numbers": [1] * 1000}])
        self.assertCountEqual(
            found,
            [[20, 4, "parameter"], [3, 4, "buffer"], [7, 1, "other"], [2, 4, "other"],
             [11, 4, "other"], [13, 4, "other"]],
        )  # fmt: skip

    def test_lazy_tensors_have_names(self) -> None:
        """Before the first forward there is nothing to count."""
        model = nn.Sequential(nn.LazyLinear(3))
        self.assertEqual(census.lazy_name(model), "0.weight")
        with self.assertRaisesRegex(ValueError, "no shape"):
            census.count_tensors(model)
        model(torch.zeros(1, 2))
        self.assertIsNone(census.lazy_name(model))

    def test_a_long_list_fits_a_frame(self) -> None:
        """The largest stay, the others are one entry; nothing is lost."""
        entries = [[1_000_000 + i, 4, "parameter"] for i in range(10_000)]
        fitted = census.fit_frame(entries)
        self.assertLessEqual(len(fitted), 4_096)
        self.assertLess(len(json.dumps({"kind": "built", "tensors": fitted})), 65_536)
        self.assertEqual(sum(e[0] for e in fitted), sum(e[0] for e in entries))
        self.assertEqual(fitted[-1][1:], [4, "other"])
        self.assertEqual(census.fit_frame(entries[:3]), entries[2::-1])


class Tied(nn.Module):
    """A head that may be the embedding's own memory."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.emb = nn.Embedding(6, 4)
        self.head = nn.Linear(4, 6, bias=False)
        if tied:
            self.head.weight = self.emb.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.head(self.emb(ids))


class Weights(unittest.TestCase):
    """Saving, and strict loading."""

    def setUp(self) -> None:
        """A path to save to."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name) / "weights.safetensors")

    def test_ties_and_dtypes_survive(self) -> None:
        """A model in bfloat16, tied, compiled and averaged around: the same logits."""
        ids = torch.arange(6)[None]
        for wrap in (lambda m: m, torch.compile, torch.optim.swa_utils.AveragedModel):
            trained = wrap(Tied(True).bfloat16())
            weights.save(trained, self.path)
            fresh = Tied(True)
            weights.load(fresh, self.path)
            self.assertIs(fresh.head.weight, fresh.emb.weight)
            expected = predict.unwrap(trained)(ids)
            self.assertTrue(torch.equal(fresh(ids), expected))

    def test_the_digest_is_that_of_the_saved_file(self) -> None:
        """The same tensors and the same value stand in the tests of src/referee/saved_weights.rs."""
        model = nn.Module()
        weight = torch.frombuffer(bytearray(range(8, 16)), dtype=torch.float32)
        model.w = nn.Parameter(weight.reshape(1, 2).clone())
        number = torch.frombuffer(bytearray(range(8)), dtype=torch.int64)
        model.register_buffer("n", number.reshape(()).clone())
        self.assertEqual(weights.digest(model), WEIGHTS_SHA256)
        model.w.data = torch.stack([model.w.data, model.w.data]).transpose(0, 1)[:, 0]
        self.assertEqual(weights.digest(model), WEIGHTS_SHA256, "values count, not strides")
        with torch.no_grad():
            model.w[0, 0] += 1
        self.assertNotEqual(weights.digest(model), WEIGHTS_SHA256)

    def test_what_does_not_fit(self) -> None:
        """A missing tensor, an unknown one, another shape."""
        weights.save(Tied(True), self.path)
        with self.assertRaisesRegex(ValueError, "lack 1 tensors of the model, first 'head.weight'"):
            weights.load(Tied(False), self.path)
        weights.save(nn.Linear(2, 2), self.path)
        with self.assertRaisesRegex(ValueError, "2 unknown keys, first 'bias'"):
            weights.load(Tied(True), self.path)
        with self.assertRaisesRegex(RuntimeError, "size mismatch"):
            weights.load(nn.Linear(2, 3), self.path)

    def test_prefixes_and_links(self) -> None:
        """Names of a wrapper are stripped; a link in the place is replaced, not followed."""
        victim = Path(self.path).with_name("victim")
        victim.write_text("safe")
        for name in (self.path, f"{self.path}.partial"):
            Path(name).symlink_to(victim)
        outer = nn.Module()
        outer.module = nn.Linear(2, 2)
        weights.save(outer, self.path)
        self.assertEqual(victim.read_text(), "safe")
        fresh = nn.Linear(2, 2)
        weights.load(fresh, self.path)
        self.assertTrue(torch.equal(fresh.weight, outer.module.weight))


WEIGHTS_SHA256 = "3a45613d50f30013273d369266e2dc925cb91fda421ba3c1b441013ae38ec95d"


class Adapters(nn.Module):
    """Leaves a mark when it is switched, as merged adapters do."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Dropout()
        self.merged = False

    def train(self, mode: bool = True) -> Adapters:
        """Merged in eval mode only."""
        self.merged = not mode
        return super().train(mode)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Fails unless it runs as a prediction should."""
        assert self.merged and not self.inner.training and not torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")
        assert torch.get_default_dtype() == torch.float32
        random.random()
        if ids.numel() == 0:
            raise LookupError("nothing to predict")
        return torch.rand(3) + ids.sum()


class Predictions(unittest.TestCase):
    """A forward that leaves no trace."""

    def test_everything_is_put_back(self) -> None:
        """Modes, overridden train(), random states, autocast, default dtype; after errors too."""
        model, numerics = Adapters(), seeds.Numerics()
        model.train()
        model.inner.eval()
        self.addCleanup(torch.set_default_dtype, torch.float32)
        torch.set_default_dtype(torch.float64)
        with torch.autocast("cpu"):
            for _ in range(2):
                seeds.force(3)
                predict.run_forward(model, torch.zeros(1, dtype=torch.int64), numerics)
                after = (random.random(), torch.rand(1).item())
                seeds.force(3)
                self.assertEqual(after, (random.random(), torch.rand(1).item()))
                with self.assertRaises(LookupError):
                    predict.run_forward(model, torch.zeros(0), numerics)
                self.assertTrue(model.training and not model.merged and not model.inner.training)
                self.assertEqual(torch.get_default_dtype(), torch.float64)
                self.assertTrue(torch.is_autocast_enabled("cpu") and torch.is_grad_enabled())

    def test_only_torchs_wrappers_are_unwrapped(self) -> None:
        """A submission's own `module` attribute is its affair."""
        own = nn.Module()
        own.module = nn.Linear(1, 1)
        self.assertIs(predict.unwrap(nn.DataParallel(own)), own)

    def test_outputs_that_are_no_logits(self) -> None:
        """Named by their type."""
        for output in (None, [], {"logits": 1}, 3):
            with self.assertRaisesRegex(TypeError, f"got {type(output).__name__}$"):
                predict.logits_of(output)


class Queued:
    """A copy whose end somebody has to wait for."""

    def __init__(self, waited: list[int], number: int) -> None:
        self.waited, self.number = waited, number

    def synchronize(self) -> None:
        """Notes that this one was waited for."""
        self.waited.append(self.number)


class Transfer(unittest.TestCase):
    """Logits on their way to the shared memory."""

    def test_stages_take_turns_and_lose_nothing(self) -> None:
        for dtype in (torch.float32, torch.bfloat16, torch.float64):
            source = torch.randn(3, 4, 5).to(dtype)
            for size in (1, 7, 30, 60, 61):
                for view in (source, source.transpose(0, 1)):
                    waited: list[int] = []
                    begun: list[int] = []

                    def record(begun: list[int] = begun, waited: list[int] = waited) -> Queued:
                        begun.append(len(begun))
                        # a stage is filled again only after it was emptied
                        self.assertGreaterEqual(len(waited), len(begun) - 2)
                        return Queued(waited, begun[-1])

                    target = torch.full(view.shape, float("nan"))
                    stages = [torch.empty(size), torch.empty(size)]
                    transfer.through_stages(view, target, stages, record)
                    self.assertTrue(torch.equal(target, view.to(torch.float32)))
                    self.assertEqual(waited, begun)

    def test_a_cpu_needs_no_stages(self) -> None:
        target = torch.zeros(2, 3)
        transfer.to_host(torch.ones(2, 3, dtype=torch.bfloat16), target)
        self.assertEqual(target.sum().item(), 6)


class Commit(unittest.TestCase):
    """Losses that are committed before all logits are shown."""

    def test_they_are_the_losses_in_float64_to_a_tenth_of_the_tolerance(self) -> None:
        """Whatever the width, the dtype, the spread and the layout."""
        for vocab, scale, dtype in (
            (257, 1.0, torch.float32), (4096, 30.0, torch.float32), (50_257, 3.0, torch.float32),
            (4096, 3.0, torch.bfloat16), (4096, 3.0, torch.float64), (300_000, 0.0, torch.float32),
        ):  # fmt: skip
            with self.subTest(vocab=vocab, scale=scale, dtype=dtype):
                ids = torch.randint(vocab, (2, 5), generator=torch.manual_seed(3))
                logits = (torch.randn(2, vocab, 5) * scale).transpose(1, 2).to(dtype)
                expected = -torch.log_softmax(logits.float().double(), 2)
                expected = expected[:, :-1].gather(2, ids[:, 1:, None]).squeeze(2)
                nats = commit.losses(logits, ids)
                self.assertEqual((nats.dtype, nats.shape), (torch.float64, (2, 5)))
                self.assertLess((nats[:, :-1] - expected).abs().max().item(), 1e-6)
                self.assertEqual(nats[:, -1].tolist(), [0.0, 0.0])

    def test_what_has_no_finite_loss(self) -> None:
        """NaN and infinite logits; a label of probability zero; a sure label is not below zero."""
        inf, nan = torch.inf, torch.nan
        rows = [[0.0, inf], [nan, 0.0], [-inf, -inf], [0.0, -inf], [-inf, 0.0], [0.0, 200.0], [0.0, 0.0]]
        nats = commit.losses(torch.tensor([rows]), torch.ones(1, 7, dtype=torch.int64))
        self.assertTrue(nats[0, :3].isnan().all(), nats)
        self.assertEqual(nats[0, 3:].tolist(), [inf, 0.0, 0.0, 0.0])


class Interface(unittest.TestCase):
    """The records that submissions import."""

    def test_defaults_of_the_contract(self) -> None:
        """Aliases, frozen records, a context without a run."""
        ctx = interface.PrismContext()
        self.assertEqual((ctx.vocab_size, ctx.max_seq_len, ctx.max_layers), (4096, 128, 96))
        self.assertEqual((ctx.max_params, ctx.seed, ctx.attempt), (150_000_000, 1337, 1))
        self.assertEqual(interface.TrainingRecipe().optimizer, "adamw")
        with self.assertRaises(AttributeError):
            ctx.vocab_size = 2  # type: ignore[misc]
        with self.assertRaisesRegex(RuntimeError, "belongs to no run"):
            ctx.build_model()

    def test_memory_that_does_not_fit(self) -> None:
        """Offsets beyond the memory are an error, not a crash."""
        frame = {"batch_size": 1, "seq_len": 4, "vocab_size": 8, "shm_bytes": 96, "ids_offset": 0,
                 "targets_offset": 16, "nats_offset": 32, "logits_offset": 64}  # fmt: skip
        with tempfile.TemporaryFile() as file:
            file.truncate(96)
            for change in ({}, {"ids_offset": -4}, {"shm_bytes": 160}, {"seq_len": "4"}):
                with self.assertRaises(wire.ProtocolError):
                    blackboard.attach(frame | change, os.dup(file.fileno()))
            board = blackboard.attach(frame | {"vocab_size": 2}, os.dup(file.fileno()))
            self.assertEqual(board.logits.shape, (1, 4, 2))


if __name__ == "__main__":
    unittest.main()
