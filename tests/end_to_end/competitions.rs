//! Two competitions: a family, a training for it under other names, one for another width, one for a family that is not
//! there.

use std::fs;

use serde_json::{Value, json};

use crate::contest::{Contest, finish, has_bwrap};
use crate::outbox::{Submission, validator};
use crate::submissions::{SMALL, training};
use crate::zips;

/// `SMALL` under other names, with padding.
const DISGUISED: &str = "\
import torch
from torch import nn


class Nothing(nn.Module):
    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(3, 5)


class Net(nn.Module):
    def __init__(self, size, width):
        super().__init__()
        self.padding = Nothing()
        self.out = nn.Linear(width, size)
        self.table = nn.Embedding(size, width)

    def forward(self, ids):
        unread = self.padding.unused(torch.ones(3))
        x = self.table(ids)
        x = x.flatten(0, 1).view(ids.shape[0], ids.shape[1], -1)
        return self.out(x * 1.0 + 0.0)


def build_model(ctx):
    return Net(ctx.vocab_size, 8)
";

fn for_family(id: &str, architecture: &str) -> Vec<u8> {
    let manifest = format!("kind: training_for_arch\narchitecture_id: {id}\n");
    let training = training().replace("lr=0.05", "lr=0.1");
    zips::zip(&[
        ("architecture.py", architecture),
        ("training.py", &training),
        ("prism.yaml", &manifest),
    ])
}

fn family_of(submission: &Submission) -> Value {
    let text = fs::read_to_string(submission.path("prism_run_manifest.v2.json")).unwrap();
    let manifest: Value = serde_json::from_str(&text).unwrap();
    let architecture = &manifest["architecture"];
    assert_eq!(
        architecture["structure"]["basis"], "traced",
        "{architecture:#}"
    );
    architecture["family"].clone()
}

#[test]
fn a_training_matches_its_family_whatever_it_calls_things() {
    if !has_bwrap() {
        eprintln!("end to end: runs outside the wall are not ranked, and have no family");
        return;
    }
    let mut contest = Contest::new(json!({"competitions": {"weights": "two_pools"}}));
    contest.submit("a-first.zip", SMALL, &training());
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let first = contest.submission("a-first.zip");
    assert_eq!(first.state(), "scored", "{:#}", first.status);
    let family = family_of(&first);
    let id = family.as_str().unwrap();
    let log = contest.outbox().join("ownership.jsonl");
    let before = fs::read_to_string(&log).unwrap();

    contest.submit_bytes("b-match.zip", &for_family(id, DISGUISED));
    let wider = DISGUISED.replace("ctx.vocab_size, 8", "ctx.vocab_size, 9");
    contest.submit_bytes("c-wider.zip", &for_family(id, &wider));
    contest.submit_bytes("d-unknown.zip", &for_family("arch-0000000000000000", SMALL));
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let matching = contest.submission("b-match.zip");
    assert_eq!(matching.state(), "scored", "{:#}", matching.status);
    assert_eq!(family_of(&matching), family);
    for (name, rule) in [
        ("c-wider.zip", "prism:architecture-mismatch"),
        ("d-unknown.zip", "prism:unknown-architecture"),
    ] {
        let turned_away = contest.submission(name);
        assert_eq!(
            (turned_away.state(), turned_away.rule_id()),
            ("rejected", rule)
        );
        assert!(
            !turned_away.path("online_loss.parquet").exists(),
            "{name}: nothing was trained"
        );
    }

    let owner = |submission: &Submission| format!("submission:{}", submission.id());
    let listed = finish(&mut contest.prism(&["families", "--format", "json"])).json();
    let on_disk: Value =
        serde_json::from_str(&fs::read_to_string(contest.outbox().join("families.json")).unwrap())
            .unwrap();
    assert_eq!(listed, on_disk);
    let [one] = &listed["families"].as_array().unwrap()[..] else {
        panic!("{listed:#}");
    };
    assert_eq!(
        (&one["owner"], &one["versions"]),
        (&json!(owner(&first)), &json!(2))
    );
    let variants = one["variants"].as_array().unwrap();
    let owners: Vec<&Value> = variants.iter().map(|variant| &variant["owner"]).collect();
    assert_eq!(owners, [&json!(owner(&first)), &json!(owner(&matching))]);
    assert!(one["gain"].as_f64().unwrap() > 0.0, "{listed:#}");
    let weights: Value =
        serde_json::from_str(&fs::read_to_string(contest.outbox().join("weights.json")).unwrap())
            .unwrap();
    assert_eq!(weights["weights"], listed["weights"]);
    let text = finish(&mut contest.prism(&["families"])).stdout;
    assert!(
        text.contains(id) && text.contains("best training"),
        "{text}"
    );

    // the log has grown at its end only, fits its schema, and is made again as it was
    let after = fs::read_to_string(&log).unwrap();
    assert!(after.starts_with(&before) && after.len() > before.len());
    for line in after.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(validator("ownership_event").is_valid(&event), "{line}");
    }
    fs::remove_file(&log).unwrap();
    contest.change(json!({"competitions": {"weights": "single"}}));
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(fs::read_to_string(&log).unwrap(), after);
    let events = finish(&mut contest.prism(&["families", "--events"])).stdout;
    assert_eq!(events.lines().count(), after.lines().count());
    // without two pools the weights are those of the best scores
    let weights: Value =
        serde_json::from_str(&fs::read_to_string(contest.outbox().join("weights.json")).unwrap())
            .unwrap();
    let share = weights["weights"][owner(&matching)].as_f64().unwrap();
    let score = matching.final_score() / (matching.final_score() + first.final_score());
    assert!((share - score).abs() < 1e-12, "{weights:#}");
}
