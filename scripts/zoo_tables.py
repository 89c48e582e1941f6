"""The tables of the zoo: who was stopped by what, and whether that is what the index expects."""

import statistics
from dataclasses import dataclass

from zoo_index import Entry
from zoo_runs import Run

# these flags take no score away
HARMLESS_FLAGS = {"nan_inf_detected", "heldout_not_measured", "stopped_early"}


@dataclass
class Judged:
    """A cheat, its runs and its twin's; `again` is the run past the review."""

    entry: Entry
    run: Run
    again: Run | None
    twin: Run | None
    tolerance: float

    @property
    def last(self) -> Run:
        """What it came to when the review is left out."""
        return self.again or self.run

    def outcome(self, run: Run) -> set[str]:
        """Words of the index that describe this end."""
        if run.verdict not in ("scored", "rejected", "failed") or run.rule_id == "prism:infrastructure":
            return {"unclear"}
        if run.verdict != "scored":
            return {run.rule_id.removeprefix("prism:")}
        if run.worth == 0.0:
            return set(run.flags) or {"no-gain"}
        return {"gain" if self.twin is None or run.worth > self.twin.worth + self.tolerance else "no-gain"}

    @property
    def word(self) -> str:
        """Whether cheating paid."""
        if "unclear" in self.outcome(self.run) | self.outcome(self.last):
            return "no verdict"
        if "gain" in self.outcome(self.run):
            return "open" if "open" in self.entry.expected else "yes"
        return "no: the review alone" if "gain" in self.outcome(self.last) else "no"

    @property
    def as_expected(self) -> bool:
        """Whether the row of the index says so. Submissions of another collection have no row: they must not profit."""
        if not self.entry.expected:
            return self.word.startswith("no") and self.word != "no verdict"
        expected = set(self.entry.expected)
        if ("review" in expected or "review-alone" in expected) != (self.again is not None):
            return False
        if self.word in ("open", "no: the review alone"):
            return ("open" if self.word == "open" else "review-alone") in expected
        return bool(self.outcome(self.last) & expected)

    def gate(self, run: Run) -> str:
        """What stopped it, in the words of docs/detection.md."""
        words = self.outcome(run)
        if run.is_refused:
            return "review"
        if "non-causal" in words:
            return "probe of the twin" if run.message.startswith("twin") else "probe"
        if run.verdict != "scored":
            return run.rule_id.removeprefix("prism:")
        if run.worth == 0.0:
            return ", ".join(flag.removeprefix("failed:") for flag in run.flags if flag not in HARMLESS_FLAGS)
        return "none: it gained" if "gain" in words else "none needed: no gain"


def number(value, digits: int = 3, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.{digits}f}"


def is_flagged(run: Run) -> bool:
    return run.worth == 0.0 or bool(set(run.flags) - HARMLESS_FLAGS)


def table(head: list[str], rows: list[list]) -> list[str]:
    line = lambda cells: "| " + " | ".join(str(cell) for cell in cells) + " |"
    return [line(head), "|" + "---|" * len(head), *(line(row) for row in rows), ""]


def honest_tables(entries: list[Entry], runs: list[Run], seeds: tuple) -> tuple[list[str], int]:
    """Honest learners, and how many of their runs are wrong."""
    rows, trials, wrong, missing = [], 0, [], []
    for entry in entries:
        mine = sorted((run for run in runs if run.name == entry.name), key=lambda run: seeds.index(run.seed))
        left = [str(seed) for seed in seeds if seed not in {run.seed for run in mine}]
        missing += [f"`{entry.name}` (seed {', '.join(left)})"] if left else []
        if not mine:
            continue
        trials += len(mine)
        bad = [f"seed {run.seed}: {run.end}" for run in mine if is_flagged(run)]
        wrong += bad
        bpb = [run.bpb for run in mine if run.bpb is not None]
        zs = [run.z for run in mine if run.z is not None]
        spread = f" ± {statistics.stdev(bpb):.3f}" if len(bpb) > 1 else ""
        rows.append([
            f"`{entry.name}`", len(mine), "; ".join(bad) or "none", f"{statistics.mean(bpb):.3f}{spread}" if bpb else "",
            number(statistics.mean(run.worth for run in mine), 4), number(max(zs, default=None), 1, "+"),
            sum(run.probes for run in mine), f"{max((run.largest_difference_nats or 0.0 for run in mine)):.1e}",
        ])  # fmt: skip
    lines = ["### Honest learners", "", f"**Flagged or not scored: {len(wrong)} of {trials} runs** ({len(rows)} learners).", ""]
    if missing:
        lines += [f"Not run: {', '.join(missing)}.", ""]
    head = ["learner", "seeds", "flagged", "bpb, mean ± s", "score, mean", "blind gap, largest z", "probes", "largest difference"]
    return lines + table(head, rows), len(wrong)


def cheat_tables(judged: list[Judged], missing: list[str]) -> tuple[list[str], int]:
    """Cheats, and how many of them did not end as their row says."""
    rows = []
    for case in judged:
        run, last, twin = case.run, case.last, case.twin
        shown = last if last.bpb is not None else run
        rows.append([
            f"`{case.entry.name}`", case.entry.group, case.gate(run) + (f" `{run.rule_id}`" if not run.measured else ""),
            case.gate(case.again) if case.again else "", number(shown.bpb), number(twin.bpb) if twin else "",
            number(shown.worth, 4), number(twin.worth, 4) if twin else "", case.word if case.word == "no" else f"**{case.word}**",
            "yes" if case.as_expected else f"**no** ({last.end})",
        ])  # fmt: skip
    wrong = sum(not case.as_expected for case in judged)
    head = ["cheat", "class", "stopped by", "past the review", "bpb", "bpb of the twin", "score", "score of the twin", "profit", "as expected"]
    lines = ["### Cheats", ""]
    if missing:
        lines += [f"Not run: {', '.join(f'`{name}`' for name in missing)}.", ""]
    return lines + table(head, rows) + detection(judged), wrong


def detection(judged: list[Judged]) -> list[str]:
    """Counts by class and by gate, past the review."""
    ends = ["before training", "run ended", "score zero", "scored, no gain", "stopped by the review alone", "open", "profited"]

    def end(case: Judged) -> str:
        words = {"no: the review alone": "stopped by the review alone", "open": "open", "yes": "profited"}
        if case.word in words:
            return words[case.word]
        last = case.last
        return "before training" if last.verdict == "rejected" else "run ended" if last.verdict == "failed" else "score zero" if last.worth == 0.0 else "scored, no gain"

    groups = {}
    gates = {}
    for case in judged:
        counts = groups.setdefault(case.entry.group, dict.fromkeys(ends, 0))
        counts[end(case)] += 1
        gate = case.gate(case.last)
        gates[gate] = gates.get(gate, 0) + 1
    rows = [[name, sum(counts.values()), *counts.values()] for name, counts in groups.items()]
    rows.append(["all", len(judged), *(sum(counts[name] for counts in groups.values()) for name in ends)])
    refused = sum(case.again is not None for case in judged)
    lines = ["### Detection", "", f"The review refuses {refused} of {len(judged)} cheats. It is left out below: a cheat that it refuses counts by what happened past it.", ""]
    lines += table(["class", "cheats", *ends], rows)
    return lines + table(["gate, past the review", "cheats"], sorted(gates.items(), key=lambda item: -item[1]))


def open_holes(judged: list[Judged]) -> list[str]:
    """What is known to pay, and why it is left."""
    rows = []
    for case in judged:
        if case.word in ("open", "no: the review alone", "yes"):
            shown = case.run if case.word != "no: the review alone" else case.last
            rows.append([f"`{case.entry.name}`", case.word, number(shown.worth, 4), number(case.twin.worth if case.twin else None, 4), case.entry.layer])
    if not rows:
        return ["### Open holes", "", "None in this table.", ""]
    return ["### Open holes", "", *table(["cheat", "profit", "score", "score of the twin", "why"], rows)]
