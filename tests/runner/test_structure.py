"""The listing of a forward: what is in it, what stops it, and that it fits frames."""

from __future__ import annotations

import json
import subprocess
import sys
import unittest
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "runner"))

from prism_runner import seeds, structure  # noqa: E402

VOCAB_SIZE = 300


class Writes(nn.Module):
    """Writes into a part of a tensor that it reads as a whole afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCAB_SIZE, 4)
        self.head = nn.Linear(4, VOCAB_SIZE)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.table(ids)
        memory = torch.zeros_like(x)
        memory[:, 1:] = x[:, :-1]
        return self.head(memory + x)


class Raises(Writes):
    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no forward")


class Endless(Writes):
    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = super().forward(ids)
        for _ in range(50):
            x = x + 1.5
        return x


def listing(model: nn.Module) -> tuple[list[structure.Line], str | None]:
    return structure.listing_of(model, seeds.Numerics(), VOCAB_SIZE)


class ListingTest(unittest.TestCase):
    def test_operations_shapes_and_writes_are_told(self) -> None:
        lines, failure = listing(Writes())
        self.assertIsNone(failure)
        self.assertEqual(
            [line[0] for line in lines[:4]], ["parameter", "parameter", "parameter", "input"]
        )
        self.assertEqual(lines[0][2], [[[VOCAB_SIZE, 4], "float32"]])
        self.assertEqual(lines[-1][0], "output")
        # the sum reads memory after it was written to
        total = next(line for line in lines if line[0] == "aten.add.Tensor")
        places = [atom["t"] for atom in total[1] if isinstance(atom, dict)]
        self.assertEqual([len(place) for place in places], [3, 2], total)
        self.assertTrue(lines[places[0][2]][0].startswith("aten.copy_"), lines[places[0][2]])
        for number, line in enumerate(lines):
            for atom in line[1]:
                if isinstance(atom, dict):
                    self.assertTrue(all(at < number for at in (atom["t"][0], *atom["t"][2:])), line)

    def test_the_drawn_weights_do_not_matter(self) -> None:
        torch.manual_seed(1)
        first, _ = listing(Writes())
        torch.manual_seed(2)
        self.assertEqual(listing(Writes())[0], first)

    def test_what_the_next_model_is_built_from_stays(self) -> None:
        table = torch.ones(VOCAB_SIZE, 4)
        model = Writes()
        model.table = nn.Embedding.from_pretrained(table, freeze=False)
        lines, failure = listing(model)
        self.assertIsNone(failure)
        self.assertTrue(bool((table == 1).all()))
        self.assertEqual(lines, listing(Writes())[0])

    def test_without_a_forward_there_are_the_parameters(self) -> None:
        lines, failure = listing(Raises())
        self.assertEqual([line[0] for line in lines], ["parameter"] * 3)
        self.assertIn("RuntimeError", str(failure))

    def test_it_gives_up(self) -> None:
        limit, structure.MAX_OPERATIONS = structure.MAX_OPERATIONS, 30
        try:
            lines, failure = listing(Endless())
        finally:
            structure.MAX_OPERATIONS = limit
        self.assertEqual(len(lines), 3)
        self.assertIn("more than 30 operations", str(failure))

    def test_frames_hold_everything_in_order(self) -> None:
        lines = [["aten.add.Tensor", ["x" * 60] * 100, []] for _ in range(40)]
        pieces = list(structure.frames(lines))
        self.assertEqual([line for piece, _ in pieces for line in piece], lines)
        self.assertEqual([more for _, more in pieces], [True] * (len(pieces) - 1) + [False])
        for piece, _ in pieces:
            self.assertLess(len(json.dumps(piece)), 64_000)
        self.assertEqual(list(structure.frames([])), [([], False)])

    def test_the_compiler_is_not_imported(self) -> None:
        code = (
            "import sys, torch; sys.path.insert(0, sys.argv[1]);"
            "from prism_runner import seeds, structure;"
            "structure.listing_of(torch.nn.Embedding(9, 9), seeds.Numerics(), 9);"
            "sys.exit('torch._dynamo' in sys.modules)"
        )
        runner = Path(structure.__file__).resolve().parents[1]
        subprocess.run([sys.executable, "-c", code, str(runner)], check=True)


if __name__ == "__main__":
    unittest.main()
