"""The table of torch's public surface is what its script makes of the torch that is installed."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "torch_surface.py"


class Surface(unittest.TestCase):
    """`just torch-surface` writes the table."""

    def test_the_committed_table_is_current(self) -> None:
        command = [sys.executable, str(SCRIPT), "--check"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(ran.returncode, 0, ran.stderr)

    def test_no_file_of_a_bundle_may_be_called_like_a_module(self) -> None:
        """The standard library and whatever is installed beside torch."""
        folder = SCRIPT.parents[1] / "src" / "review" / "surface"
        known: set[str] = set()
        for line in (folder / "reserved_modules.txt").read_text().splitlines():
            known |= set() if line.startswith("#") else set(line.split())
        for table in ("python.txt", "torch.txt"):
            for line in (folder / table).read_text().splitlines():
                known |= {line[1:-1].split(".")[0]} if line.startswith("[") else set()
        installed = {
            path.name.removesuffix(".py")
            for path in Path(sysconfig.get_path("purelib")).iterdir()
            if path.suffix in ("", ".py") and not path.name.startswith("__")
        }
        self.assertEqual((set(sys.stdlib_module_names) | installed) - known, set())


if __name__ == "__main__":
    unittest.main()
