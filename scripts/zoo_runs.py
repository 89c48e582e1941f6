"""One submission of the zoo through `prism run`, and what became of it. Results are kept, so that a long table can be resumed."""

import datetime
import hashlib
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pack
from zoo_index import ROOT, Entry


@dataclass
class Run:
    """What became of one submission with one seed. Losses in nats, bpb in bits per byte."""

    name: str
    seed: int
    past_review: bool
    verdict: str
    rule_id: str = ""
    message: str = ""
    measured: bool = False
    bpb: float | None = None
    two_part_bpb: float | None = None
    final_score: float | None = None
    flags: list = field(default_factory=list)
    blind: dict = field(default_factory=dict)
    probes: int = 0
    largest_difference_nats: float | None = None
    checks: dict = field(default_factory=dict)
    stopped_reason: str = ""
    seconds: float = 0.0
    key: dict = field(default_factory=dict)

    @property
    def is_refused(self) -> bool:
        """By the review (or the archive's rules): no process of it was ever started."""
        return self.verdict == "rejected" and not self.measured

    @property
    def worth(self) -> float:
        """The score that counts; below zero is worth nothing."""
        return max(self.final_score or 0.0, 0.0) if self.verdict == "scored" else 0.0

    @property
    def end(self) -> str:
        """The verdict in a few words."""
        if self.verdict != "scored":
            return f"{self.verdict} `{self.rule_id}`"
        if self.worth == 0.0:
            return "zero " + ", ".join(f"`{flag}`" for flag in self.flags)
        return "scored" + "".join(f", `{flag}`" for flag in self.flags)

    @property
    def z(self) -> float | None:
        """The largest of the blind gap's z."""
        found = [figure["z"] for figure in self.blind.values() if figure["z"] is not None]
        return max(found, default=None)


@dataclass(frozen=True)
class Contest:
    """What all runs have in common."""

    prism: Path
    corpus: Path
    bytes: int
    isolation: str
    secret: int | None

    def configuration(self, folder: Path, settings: tuple) -> dict:
        """A small contest: enough text to learn from, some seconds each; deadlines that a busy machine does not break."""
        config = {
            "inbox": str(folder / "inbox"),
            "outbox": str(folder / "outbox"),
            "corpus": {"root": str(self.corpus), "tokenizers": str(ROOT / "tokenizers")},
            "intake": {"settle_ms": 100, "rescan_ms": 1_000},
            # the zoo's submissions are much alike on purpose
            "duplicates": {"policy": "off"},
            # a person would look at what is too good: here the referee is to say it alone
            "quarantine": {"floor_bpb": 0},
            "budget": {"bytes": self.bytes, "wall_clock_s": 900, "grace_s": 60},
            "held_out": {"val_bytes": 4_096, "train_tail_bytes": 4_096},
            "run": {"python": str(ROOT / ".venv/bin/python"), "threads": 1, "referee_threads": 1, "build_s": 180, "predict_s": 180},
            "sandbox": {"isolation": self.isolation},
        }
        for key, value in settings:
            section, name = key.split(".")
            config.setdefault(section, {})[name] = int(value)
        return config

    def digests(self) -> dict:
        """sha256 of the executables: results of other code are other results."""
        files = (self.prism, self.prism.with_name("prism-referee"))
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run(folder: Path, contest: Contest, entry: Entry, seed: int, past_review: bool) -> Run:
    """One `prism run` over one submission, in a folder of its own."""
    inbox, outbox = folder / "inbox", folder / "outbox"
    inbox.mkdir(parents=True)
    outbox.mkdir()
    if contest.secret is not None:
        secret = outbox / ".secret"
        secret.write_bytes(bytes([contest.secret]) * 32)
        secret.chmod(0o600)
    target = (folder if past_review else inbox) / f"{entry.name}.zip"
    pack.pack(entry.folder, target)
    if past_review:
        pass_review(outbox, target.name, target.read_bytes())
    config = folder / "config.json"
    config.write_text(json.dumps(contest.configuration(folder, entry.settings)), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PRISM_")}
    environment["PRISM_CONTEST_SEED"] = str(seed)
    command = [contest.prism, "run", "--quiet", "--config", config]
    ran = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    found = list(outbox.glob("*/status.json"))
    if len(found) != 1:
        raise SystemExit(f"{entry.name}: prism run ended with {ran.returncode} and {len(found)} submissions: {ran.stderr}")
    return read_run(found[0], seed, past_review)


def pass_review(outbox: Path, name: str, archive: bytes) -> None:
    """Leaves a submission in the outbox as if the review had accepted it."""
    identity = hashlib.sha256(b"prism-submission\0\0" + archive).hexdigest()[:24]
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    status = {
        "schema_version": "prism_status.v1",
        "submission_id": identity,
        "name": name,
        "archive_sha256": hashlib.sha256(archive).hexdigest(),
        "hotkey": None,
        "accepted_at": now,
        "state": "reviewed",
        "verdict": None,
        "reason": None,
        "attempts": 0,
        "transitions": [{"state": state, "at": now} for state in ("received", "bundled", "reviewed")],
    }
    folder = outbox / identity
    folder.mkdir(parents=True)
    (folder / "submission.zip").write_bytes(archive)
    (folder / "status.json").write_text(json.dumps(status), encoding="utf-8")


def read_run(path: Path, seed: int, past_review: bool) -> Run:
    """One submission of an outbox."""
    status = json.loads(path.read_text(encoding="utf-8"))
    reason = status["reason"] or {}
    times = [datetime.datetime.fromisoformat(transition["at"]) for transition in status["transitions"]]
    run = Run(
        status["name"].removesuffix(".zip"), seed, past_review, status["verdict"] or "no verdict",
        reason.get("rule_id", ""), reason.get("message", ""),
        measured=status["attempts"] > 0, seconds=(times[-1] - times[0]).total_seconds(),
    )  # fmt: skip
    manifest_path = path.parent / "prism_run_manifest.v2.json"
    if not manifest_path.is_file():
        return run
    manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    score = manifest["score"]
    run.bpb, run.two_part_bpb, run.final_score = (score[key] for key in ("prequential_bpb", "two_part_bpb", "final_score"))
    run.flags = score["flags"]
    run.stopped_reason = manifest["measurement"].get("stopped_reason", manifest["run"].get("stopped_reason", ""))
    run.checks = {check["name"]: check["passed"] for check in manifest["measurement"].get("checks", [])}
    run.blind = manifest["causality"].get("blind") or {}
    probes = manifest["causality"]["probes"]
    run.probes = len(probes)
    run.largest_difference_nats = max((probe["largest_difference_nats"] for probe in probes), default=None)
    return run


class Kept:
    """Results on disk: one file for each submission, seed and way (through the review, or past it)."""

    def __init__(self, folder: Path, contest: Contest):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.contest, self.executables = folder, contest, contest.digests()

    def key(self, entry: Entry) -> dict:
        """What a result depends on besides its name, seed and way."""
        source = hashlib.sha256()
        for inside in pack.members(entry.folder):
            source.update(inside.as_posix().encode() + b"\0" + (entry.folder / inside).read_bytes() + b"\0")
        config = self.contest.configuration(Path("."), entry.settings)
        # where things lie changes no result
        del config["corpus"], config["run"]["python"]
        return {"source": source.hexdigest(), "config": config, "secret": self.contest.secret, "executables": self.executables}

    def path(self, name: str, seed: int, past_review: bool) -> Path:
        return self.folder / f"{name}.{seed}{'.past_review' if past_review else ''}.json"

    def find(self, entry: Entry, seed: int, past_review: bool, any_code: bool) -> Run | None:
        """The result of an earlier call, if nothing that it depends on has changed (or the executables and the secret only)."""
        try:
            kept = Run(**json.loads(self.path(entry.name, seed, past_review).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        key = json.loads(json.dumps(self.key(entry)))
        if any_code:
            key |= {name: kept.key.get(name) for name in ("executables", "secret")}
        return kept if kept.key == key else None

    def keep(self, entry: Entry, run: Run) -> None:
        """Under its name at once and whole."""
        run.key = self.key(entry)
        path = self.path(run.name, run.seed, run.past_review)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(vars(run), indent=1) + "\n", encoding="utf-8")
        os.replace(part, path)
