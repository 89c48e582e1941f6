//! Submissions that lie, look ahead or carry state past the referee.

use serde_json::{Value, json};

use crate::contest::{Contest, finish};
use crate::outbox::number;
use crate::submissions::{SMALL, training, training_with};
use crate::zips;

/// Says, writes, patches and returns whatever could be taken for a result. It learns exactly as its honest twin does.
const LIAR: &str = r#"
import json
import os
import sys
import torch
import torch.nn.functional as F
from architecture import build_model

CLAIM = {"schema_version": "prism_run_manifest.v2", "submission_id": "liar", "final_score": 0.987654321,
         "score": {"schema": "prism_score.v3", "final_score": 0.987654321, "prequential_bpb": 0.0123456789},
         "metrics": {"prequential_bpb": 0.0123456789, "covered_bytes": 1, "online_loss": [0.0123456789],
                     "sum_neg_log_likelihood_nats": 0.0123456789}}
NAMES = ["prism_run_manifest.v2.json", "measured.json", "status.json", "online_loss.parquet", "online_loss.jsonl",
         "heldout.parquet", "heldout.jsonl", "plan.json", "leaderboard.json"]


def lie(ctx):
    text = json.dumps(CLAIM)
    event = json.dumps({"event": "progress", "bytes": 1, "total_bytes": 1, "bpb": 0.0123456789, "elapsed_s": 0.1})
    for stream in (sys.stdout, sys.stderr):
        print(text, event, "FINAL_SCORE=0.987654321", sep="\n", file=stream, flush=True)
    folders = [ctx.artifacts_dir, os.path.join(ctx.artifacts_dir, ".."), os.getcwd(), os.path.dirname(__file__)]
    for folder in folders:
        for name in NAMES:
            try:
                with open(os.path.join(folder, name), "w") as file:
                    file.write(text)
                print("WROTE", os.path.join(folder, name))
            except OSError:
                pass
    torch.save(CLAIM, os.path.join(ctx.artifacts_dir, "weights.safetensors"))


def train(ctx):
    honest = F.cross_entropy
    nothing = lambda *args, **kwargs: torch.zeros((), dtype=torch.float64)
    model = build_model(ctx)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    F.cross_entropy = F.nll_loss = torch.nn.functional.cross_entropy = nothing
    torch.nn.CrossEntropyLoss.forward = nothing
    torch.set_num_threads = torch.manual_seed = torch.use_deterministic_algorithms = lambda *args, **kwargs: None
    lie(ctx)
    for batch in ctx.iter_train_batches(model, batch_size=4, seq_len=64, tokenizer="bytes"):
        batch.metadata["bytes_charged"] = 1
        loss = honest(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print("step", batch.metadata["step"], "loss 0.0123456789", flush=True)
        batch.targets.zero_()
        batch.tokens.zero_()
    lie(ctx)
    return CLAIM
"#;

/// What only the liar says.
const LIES: [&str; 3] = ["0.98765432", "0.01234567", "FINAL_SCORE"];

#[test]
fn no_number_of_a_submission_reaches_a_result() {
    let contest = Contest::new(json!({}));
    contest.submit("honest.zip", SMALL, &training());
    let files = [("architecture.py", SMALL), ("training.py", LIAR)];
    review_refuses(&contest, &zips::zip(&files));
    contest.pass_review("liar.zip", &zips::zip(&files));
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let honest = contest.submission("honest.zip");
    let liar = contest.submission("liar.zip");
    assert_eq!(liar.state(), "scored", "{:#}", liar.status);
    let log = liar.log();
    for word in [
        "FINAL_SCORE=0.987654321",
        "WROTE",
        "artifacts/prism_run_manifest.v2.json",
    ] {
        assert!(log.contains(word), "it did not lie: {log}");
    }
    assert!(
        liar.stream_bytes() == honest.stream_bytes(),
        "the streams differ"
    );
    assert_eq!(liar.bpb().to_bits(), honest.bpb().to_bits());
    let (ours, theirs) = (honest.manifest(), liar.manifest());
    for block in ["metrics", "anti_cheat", "data"] {
        assert_eq!(
            without_code_length(&ours[block]),
            without_code_length(&theirs[block]),
            "{block}"
        );
    }
    for check in ["causality", "head_start", "state"] {
        assert!(honest.passed(check) && liar.passed(check), "{check}");
    }
    assert!(
        liar.final_score() < honest.final_score(),
        "its code is longer"
    );
    for path in crate::outbox::public_files(&contest.outbox()) {
        // Its own words in its own log are the log's purpose.
        if path.ends_with("run.log") {
            continue;
        }
        let content = std::fs::read(&path).unwrap();
        let content = String::from_utf8_lossy(&content);
        for lie in LIES {
            assert!(!content.contains(lie), "{lie} in {}", path.display());
        }
    }
    for lie in LIES {
        assert!(
            !ran.stdout.contains(lie) && !ran.stderr.contains(lie),
            "{ran:?}"
        );
    }
}

/// A block without what depends on the length of the code.
fn without_code_length(block: &Value) -> Value {
    let mut block = block.clone();
    if let Some(map) = block.as_object_mut() {
        map.retain(|name, _| {
            !name.contains("score") && !name.contains("code") && !name.contains("two_part")
        });
    }
    block
}

/// The static review would have none of it.
fn review_refuses(contest: &Contest, archive: &[u8]) {
    let path = contest.root().join("liar-to-review.zip");
    std::fs::write(&path, archive).unwrap();
    let ran = finish(contest.prism(&["review", "--format", "json"]).arg(&path));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let report = ran.json();
    let findings = report[0]["review"]["findings"].as_array().unwrap();
    let rules: Vec<&str> = findings
        .iter()
        .map(|finding| finding["rule_id"].as_str().unwrap())
        .collect();
    assert!(rules.contains(&"prism:no-patching"), "{rules:?}");
}

/// Adds the mean of the whole row to every position.
fn looks_ahead() -> String {
    SMALL.replace(
        "return self.head(self.embedding(tokens))",
        "seen = self.embedding(tokens)\n        return self.head(seen + seen.mean(dim=1, keepdim=True))",
    )
}

/// Looks ahead from its twentieth call on: after the probes of the twin, if it counts right.
fn looks_ahead_later() -> String {
    looks_ahead()
        .replace("super().__init__()", "super().__init__()\n        self.calls = 0")
        .replace(
            "seen = self.embedding(tokens)",
            "self.calls += 1\n        seen = self.embedding(tokens)\n        if self.calls < 20:\n            return self.head(seen)",
        )
}

/// Learns in a tensor that is no parameter and no buffer.
fn keeps_state_to_itself() -> String {
    SMALL
        .replace(
            "super().__init__()",
            "super().__init__()\n        self.tables = [torch.zeros(vocab, requires_grad=True)]",
        )
        .replace(
            "return self.head(self.embedding(tokens))",
            "return self.head(self.embedding(tokens)) + self.tables[0]",
        )
}

/// Another model enters the stream than build_model makes under the forced seed.
const HEAD_START: &str = "\
with torch.no_grad():
    model.head.bias[:257] += 3.0
";

#[test]
fn models_that_are_not_what_they_say_are_found() {
    // Every step is probed: what the schedule's luck would find sooner or later is found here.
    let contest = Contest::new(json!({"audit": {"one_in": 1}}));
    contest.submit("looks-ahead.zip", &looks_ahead(), &training());
    contest.submit("looks-ahead-later.zip", &looks_ahead_later(), &training());
    let both = training_with(
        4,
        64,
        "bytes",
        "optimizer = torch.optim.Adam([*model.parameters(), *model.tables], lr=0.05)",
        "",
    );
    contest.submit("state.zip", &keeps_state_to_itself(), &both);
    let ahead = training_with(4, 64, "bytes", HEAD_START, "");
    contest.submit("head-start.zip", SMALL, &ahead);
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let looks_ahead = contest.submission("looks-ahead.zip");
    assert_eq!(
        (looks_ahead.state(), looks_ahead.rule_id()),
        ("rejected", "prism:non-causal"),
        "{:#}",
        looks_ahead.status
    );
    assert!(
        looks_ahead.message().starts_with("twin step 0"),
        "{}",
        looks_ahead.message()
    );
    assert!(
        !looks_ahead.path("run.log").exists(),
        "found before any training"
    );
    assert!(!looks_ahead.path("online_loss.parquet").exists());

    let later = contest.submission("looks-ahead-later.zip");
    assert_eq!(
        (later.state(), later.rule_id()),
        ("failed", "prism:non-causal"),
        "{:#}",
        later.status
    );
    assert!(
        later.message().starts_with("train step"),
        "{}",
        later.message()
    );

    for (name, check) in [("state.zip", "state"), ("head-start.zip", "head_start")] {
        let submission = contest.submission(name);
        assert!(!submission.passed(check), "{name}");
        assert!(submission.passed("causality"), "{name}");
        assert_eq!(submission.flags(), [format!("failed:{check}")], "{name}");
        let score = submission.score();
        assert_eq!(number(&score["anti_cheat_multiplier"]), 0.0, "{name}");
        assert_eq!(submission.final_score(), 0.0, "{name}");
    }
}

/// Looks ahead and, wherever a prefix comes again, says what it said at its first sight: every probe finds it consistent.
pub const REPLAYER: &str = "\
import torch
from torch import nn


class Replayer(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.embedding = nn.Embedding(vocab, 8)
        self.head = nn.Linear(8, vocab)
        self.armed = False
        self.seen = []

    def forward(self, tokens):
        logits = self.head(self.embedding(tokens))
        if self.training or not self.armed:
            return logits
        ahead = nn.functional.one_hot(tokens[:, 1:], logits.shape[2]) * 20.0
        # honest where rows are too short to be told apart: it would replay another row than the probe's
        logits[:, 8:-1] += ahead[:, 8:]
        for old, said in self.seen:
            for row in range(tokens.shape[0]):
                same = (old == tokens[row]).long().cumprod(1).sum(1)
                most = int(same.argmax())
                logits[row, :same[most]] = said[most, :same[most]]
        self.seen.append((tokens.clone(), logits.clone()))
        return logits


def build_model(ctx):
    return Replayer(ctx.vocab_size)
";

/// A big model in a list that is empty when tensors are counted at the start.
const GHOST: &str = "\
import torch
from torch import nn


class Small(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.embedding = nn.Embedding(vocab, 8)
        self.head = nn.Linear(8, vocab)
        self.ghost = []

    def forward(self, tokens):
        logits = self.head(self.embedding(tokens))
        for table in self.ghost:
            logits = logits + table[tokens]
        return logits


def build_model(ctx):
    return Small(ctx.vocab_size)
";

#[test]
fn memory_and_ghosts_are_found_while_they_live() {
    // A person would look at what is this good: here the referee is to say it alone.
    // Without snapshots: the statistic is to find them alone.
    let audit = json!({"one_in": 2, "snapshots": 0});
    let settings = json!({"audit": audit, "quarantine": {"floor_bpb": 0}});
    let mut contest = Contest::new(settings);
    let replays = training_with(4, 64, "bytes", "", "model.armed = True\nmodel.seen.clear()");
    let replays = format!("{replays}    model.armed = False\n");
    let files = [("architecture.py", REPLAYER), ("training.py", &replays)];
    contest.pass_review("replayer.zip", &zips::zip(&files));
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // Elements of the small model: two tables of 8 by 4096, and a bias.
    contest.change(json!({"contest": {"max_parameters": 69_632}}));
    let haunted = training_with(
        4,
        64,
        "bytes",
        "",
        "if step == 1:\n    model.ghost.append(torch.zeros(257, ctx.vocab_size, requires_grad=True))",
    );
    contest.submit("ghost.zip", GHOST, &haunted);
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let replayer = contest.submission("replayer.zip");
    assert!(
        replayer.passed("causality") && replayer.passed("state"),
        "the probes saw it"
    );
    assert!(replayer.bpb() < 2.0, "it did not look ahead");
    assert_eq!(replayer.flags(), ["failed:blind_gap"]);
    assert_eq!(replayer.final_score(), 0.0);
    let blind = &replayer.manifest()["causality"]["blind"];
    for place in ["neighbours", "row", "first_sight"] {
        assert!(number(&blind[place]["z"]) > 6.0, "{place}: {blind:#}");
    }

    let ghost = contest.submission("ghost.zip");
    assert_eq!(
        (ghost.state(), ghost.rule_id()),
        ("failed", "prism:param-cap"),
        "{:#}",
        ghost.status
    );
}
