//! What was scored must come out of weights that were fixed before the batch was seen, in a process that never saw it.

use serde_json::{Value, json};

use crate::contest::Contest;
use crate::hostile::REPLAYER;
use crate::outbox::{Submission, number};
use crate::submissions::{SMALL, training, training_with};
use crate::zips;

/// Answers with a second model that a closure holds, and only while it trains.
const GHOST_IN_CLOSURE: &str = "\
import torch
from torch import nn


class Haunted(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.embedding = nn.Embedding(vocab, 8)
        self.head = nn.Linear(8, vocab)
        self.more = None

    def forward(self, tokens):
        logits = self.head(self.embedding(tokens))
        return logits if self.more is None else logits + self.more(tokens)


def build_model(ctx):
    return Haunted(ctx.vocab_size)
";

/// Counts of the past in the closure; the small model trains beside them.
const HAUNTS: &str = "\
if step == 1:
    table = torch.zeros(257, ctx.vocab_size)
    model.more = lambda tokens: torch.log1p(table[tokens])
table.index_put_((batch.tokens.flatten(), batch.targets.flatten()), torch.ones(()), accumulate=True)
";

/// The replayer with its memory in a buffer: the rows that it saw first go along with the saved weights.
const STASHER: &str = "\
import torch
from torch import nn


class Stasher(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.embedding = nn.Embedding(vocab, 8)
        self.head = nn.Linear(8, vocab)
        self.register_buffer('armed', torch.zeros(()))
        self.register_buffer('stash', torch.zeros(4, 64, dtype=torch.int64))

    def forward(self, tokens):
        logits = self.head(self.embedding(tokens))
        if self.training or not self.armed or tokens.shape != self.stash.shape:
            return logits
        text = tokens.clone()
        known = False
        for row in range(tokens.shape[0]):
            same = (self.stash == tokens[row]).long().cumprod(1).sum(1)
            most = int(same.argmax())
            if same[most] > 8:
                text[row] = self.stash[most]
                known = True
        if not known:
            self.stash.copy_(tokens)
        ahead = nn.functional.one_hot(text[:, 1:], logits.shape[2]) * 20.0
        logits[:, 8:-1] += ahead[:, 8:]
        return logits


def build_model(ctx):
    return Stasher(ctx.vocab_size)
";

/// Honest until it stands in a process of its own with the saved weights, which know that training is over.
const LEAKS_HELD_OUT: &str = "\
import torch
from torch import nn


class Later(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.embedding = nn.Embedding(vocab, 8)
        self.head = nn.Linear(8, vocab)
        self.register_buffer('over', torch.zeros(()))

    def forward(self, tokens):
        logits = self.head(self.embedding(tokens))
        if self.over and tokens.shape[0] == 8:
            logits[:, :-1] += nn.functional.one_hot(tokens[:, 1:], logits.shape[2]) * 20.0
        return logits


def build_model(ctx):
    return Later(ctx.vocab_size)
";

fn block(submission: &Submission) -> Value {
    submission.manifest()["causality"]["snapshots"].clone()
}

fn differences(block: &Value) -> Vec<Option<f64>> {
    let replays = block["replays"].as_array().unwrap();
    replays
        .iter()
        .map(|replay| replay["largest_difference_nats"].as_f64())
        .collect()
}

#[test]
fn what_is_not_in_the_weights_is_found_wherever_it_hides() {
    let settings = json!({
        "audit": {"snapshots": 2, "one_in": 2},
        "budget": {"bytes": 10_000},
        "quarantine": {"floor_bpb": 0},
    });
    let mut contest = Contest::new(settings);
    contest.submit("honest.zip", SMALL, &training());
    let pass = |name: &str, architecture: &str, in_loop: &str, after: &str| {
        let script = training_with(4, 64, "bytes", "", in_loop) + after;
        let files = [("architecture.py", architecture), ("training.py", &script)];
        contest.pass_review(name, &zips::zip(&files));
    };
    pass(
        "ghost.zip",
        GHOST_IN_CLOSURE,
        HAUNTS,
        "    model.more = None\n",
    );
    let arm = "model.armed = True\nmodel.seen.clear()";
    pass("replayer.zip", REPLAYER, arm, "    model.armed = False\n");
    let arm = "model.armed.fill_(1)";
    pass("stasher.zip", STASHER, arm, "    model.armed.zero_()\n");
    pass(
        "held-out.zip",
        LEAKS_HELD_OUT,
        "",
        "    model.over.fill_(1)\n",
    );
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // The same learner once more, without snapshots; another archive, or it would be the same submission.
    contest.change(json!({"audit": {"snapshots": 0}}));
    let script = training();
    let files = [
        ("architecture.py", SMALL),
        ("training.py", &script),
        ("README.md", "again"),
    ];
    contest.submit_bytes("again.zip", &zips::zip(&files));
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let honest = contest.submission("honest.zip");
    let own = block(&honest);
    assert!(honest.passed("snapshot"), "{own:#}");
    assert_eq!(honest.flags(), Vec::<String>::new());
    assert_eq!(
        (&own["committed"], &own["changed"]),
        (&json!(true), &json!([]))
    );
    assert!(own["steps"].as_array().unwrap().len() >= 2, "{own:#}");
    assert_eq!(own["replays"].as_array().unwrap().len(), 2);
    for replay in own["replays"].as_array().unwrap() {
        assert!(number(&replay["largest_difference_nats"]) < 1e-5, "{own:#}");
        // Two tables of 8 by 4096, and a bias.
        assert_eq!(replay["elements"], 69_632);
        assert!(number(&replay["compared_positions"]) > 256.0);
    }
    let phases: Vec<Value> = honest.manifest()["causality"]["probes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|probe| probe["phase"].clone())
        .collect();
    for phase in ["twin", "train", "tail", "val"] {
        assert!(phases.contains(&json!(phase)), "{phase}: {phases:?}");
    }
    let again = contest.submission("again.zip");
    assert!(
        again.stream_bytes() == honest.stream_bytes(),
        "snapshots leave a trace in the streams"
    );
    assert_eq!(block(&again)["steps"], json!([]));

    for name in ["ghost.zip", "replayer.zip", "stasher.zip"] {
        let cheat = contest.submission(name);
        let found = block(&cheat);
        assert!(cheat.passed("causality"), "{name}: the probes saw it");
        assert!(cheat.passed("state"), "{name}: the state check saw it");
        assert!(!cheat.passed("snapshot"), "{name}: {found:#}");
        let flags = cheat.flags();
        assert!(
            flags.contains(&"failed:snapshot".to_owned()),
            "{name}: {flags:?}"
        );
        assert_eq!(cheat.final_score(), 0.0, "{name}");
    }
    for name in ["ghost.zip", "replayer.zip"] {
        let found = differences(&block(&contest.submission(name)));
        assert!(
            found.iter().all(|nats| nats.is_none_or(|nats| nats > 0.01)),
            "{name}: {found:?}"
        );
    }
    let stasher = block(&contest.submission("stasher.zip"));
    assert!(
        !stasher["changed"].as_array().unwrap().is_empty(),
        "{stasher:#}"
    );

    let held_out = contest.submission("held-out.zip");
    assert_eq!(
        (held_out.state(), held_out.rule_id()),
        ("failed", "prism:non-causal"),
        "{:#}",
        held_out.status
    );
    assert!(
        held_out
            .message()
            .starts_with("predicting held-out text failed"),
        "{}",
        held_out.message()
    );
}
