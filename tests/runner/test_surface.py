"""The table of torch's public surface is what its script makes of the torch that is installed."""

from __future__ import annotations

import subprocess
import sys
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "torch_surface.py"


class Surface(unittest.TestCase):
    """`just torch-surface` writes the table."""

    def test_the_committed_table_is_current(self) -> None:
        command = [sys.executable, str(SCRIPT), "--check"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(ran.returncode, 0, ran.stderr)


if __name__ == "__main__":
    unittest.main()
