"""The zoo's index, its kept results and its verdicts; no submission is run here."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from zoo_index import Entry, index, others  # noqa: E402
from zoo_runs import Contest, Kept, Run  # noqa: E402
from zoo_tables import Judged, cheat_tables, honest_tables  # noqa: E402

TWIN = Run("twin", 1337, False, "scored", measured=True, bpb=4.0, final_score=0.2)


def entry(*expected: str) -> Entry:
    return Entry("cheat", "cheats", Path("."), expected=expected, twin="twin")


def failed(rule: str) -> Run:
    return Run("cheat", 1337, False, "failed", f"prism:{rule}", measured=True)


def scored(score: float, *flags: str) -> Run:
    return Run("cheat", 1337, False, "scored", measured=True, bpb=3.0, final_score=score, flags=list(flags))


def refused() -> Run:
    return Run("cheat", 1337, False, "rejected", "prism:no-patching")


class Index(unittest.TestCase):
    def test_every_folder_has_a_row_and_every_cheat_an_end(self) -> None:
        """The index agrees with the folders; expected ends are words that a run can have."""
        entries = index()
        self.assertGreaterEqual(sum(entry.role == "honest" for entry in entries), 20)
        for entry in entries:
            if entry.role == "cheats":
                self.assertTrue(entry.expected and "?" not in entry.expected, entry.name)
                self.assertTrue(set(entry.expected) - {"review"}, entry.name)

    def test_another_collection_is_found_by_its_folders(self) -> None:
        """Whatever lies below a folder `honest` is a learner, everything else a cheat."""
        with tempfile.TemporaryDirectory() as name:
            for place in ("honest/a", "gray/b"):
                folder = Path(name) / "set" / place
                folder.mkdir(parents=True)
                (folder / "architecture.py").write_text("")
            found = {entry.name: entry for entry in others(Path(name) / "set", "gru")}
        self.assertEqual(found["set-a"].role, "honest")
        self.assertEqual((found["set-b"].role, found["set-b"].twin), ("cheats", "gru"))


class Verdicts(unittest.TestCase):
    def test_ends_and_expectations(self) -> None:
        """What an end is called, whether it paid, and whether the row says so."""
        table = [
            (entry("non-causal"), failed("non-causal"), None, "no", True),
            (entry("failed:state"), failed("non-causal"), None, "no", False),
            (entry("failed:state"), scored(0.0, "failed:state"), None, "no", True),
            (entry("no-gain"), scored(0.2015), None, "no", True),
            (entry("no-gain"), scored(0.25), None, "yes", False),
            (entry("open"), scored(0.25), None, "open", True),
            (entry("open"), scored(0.15), None, "no", False),
            (entry("review", "protocol"), refused(), failed("protocol"), "no", True),
            (entry("protocol"), refused(), failed("protocol"), "no", False),
            (entry("review", "protocol"), failed("protocol"), None, "no", False),
            (entry("review", "review-alone"), refused(), scored(0.3), "no: the review alone", True),
            (entry("review", "no-gain"), refused(), scored(0.3), "no: the review alone", False),
            (entry("no-gain"), failed("infrastructure"), None, "no verdict", False),
        ]
        for row, run, again, word, right in table:
            judged = Judged(row, run, again, TWIN, 0.002)
            self.assertEqual((judged.word, judged.as_expected), (word, right), f"{row.expected} {run.end}")

    def test_a_flagged_learner_is_counted_and_missing_runs_are_named(self) -> None:
        """False positives; a run that is missing is not a run that passed."""
        learner = Entry("cheat", "honest", Path("."))
        lines, wrong = honest_tables([learner], [scored(0.2), scored(0.1, "failed:blind_gap")], (1337, 1))
        self.assertEqual(wrong, 1)
        self.assertIn("Flagged or not scored: 1 of 2 runs", "\n".join(lines))
        self.assertIn("Not run: `cheat` (seed 1).", "\n".join(lines))
        lines, wrong = cheat_tables([], ["gone"])
        self.assertEqual((wrong, lines[2]), (0, "Not run: `gone`."))


class Results(unittest.TestCase):
    def test_a_result_is_taken_again_while_nothing_changed(self) -> None:
        """Another source, setting or executable asks for another run."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            source = folder / "cheat"
            source.mkdir()
            (source / "architecture.py").write_text("a = 1\n")
            prism = folder / "prism"
            for path in (prism, folder / "prism-referee"):
                path.write_bytes(b"code")
            one = Entry("cheat", "cheats", source)
            kept = Kept(folder / "kept", Contest(prism, folder, 48_000, "bwrap", 7))
            self.assertIsNone(kept.find(one, 1337, False, any_code=False))
            kept.keep(one, scored(0.2, "nan_inf_detected"))
            found = kept.find(one, 1337, False, any_code=False)
            self.assertEqual((found.final_score, found.flags), (0.2, ["nan_inf_detected"]))
            prism.write_bytes(b"other code")
            later = Kept(folder / "kept", Contest(prism, folder, 48_000, "bwrap", 7))
            self.assertIsNone(later.find(one, 1337, False, any_code=False))
            self.assertIsNotNone(later.find(one, 1337, False, any_code=True))
            longer = Kept(folder / "kept", Contest(prism, folder, 96_000, "bwrap", 7))
            self.assertIsNone(longer.find(one, 1337, False, any_code=True))
            (source / "architecture.py").write_text("a = 2\n")
            self.assertIsNone(later.find(one, 1337, False, any_code=True))


if __name__ == "__main__":
    unittest.main()
