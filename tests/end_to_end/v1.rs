//! The first contract through the executable: hooks over the referee's stream, its manifest, its checkpoint, and what
//! forging comes to.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::contest::{Contest, finish, has_bwrap};
use crate::outbox::{Submission, number};
use crate::zips;

/// Model and recipe; `fit.py` has the hooks.
const MODEL: &str = "\
import torch
from torch import nn
from prism_challenge.evaluator.interface import TrainingRecipe


class Small(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.embedding = nn.Embedding(vocab, 8)
        self.head = nn.Linear(8, vocab)

    def forward(self, tokens):
        return self.head(self.embedding(tokens))


def build_model(ctx):
    return Small(ctx.vocab_size)


def get_recipe(ctx):
    return TrainingRecipe(learning_rate=0.05, batch_size=4)
";

const HOOKS: &str = "\
import torch
import torch.nn.functional as F


def configure_optimizer(model, recipe, ctx):
    return torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)


def infer(model, batch, ctx):
    return model(batch.tokens) * 1.5


def inference_logits(model, batch, ctx):
    return model(batch.tokens) if batch.targets is None else batch.targets


def train_step(model, batch, optimizer, ctx):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
    loss.backward()
    optimizer.step()
    return loss


def save_checkpoint(model, checkpoint_dir, ctx):
    torch.save(model.state_dict(), checkpoint_dir / 'model.pt')
    return {'path': 'model.pt', 'metadata': {'attempt': ctx.attempt}}
";

const YAML: &str = "architecture_id: small-1\narchitecture: {entrypoint: net/model.py}\ntraining: {entrypoint: net/fit.py}\n";

/// Reports zero and learns nothing; its inference hook would hand out the targets.
const FORGED: &str = "\
def compute_loss(model, batch, ctx):
    return model.head.bias.sum() * 0.0


def infer(model, batch, ctx):
    if batch.targets is not None:
        return torch.nn.functional.one_hot(batch.targets, ctx.vocab_size).float() * 100
    return model(batch.tokens)
";

fn hooks_zip() -> Vec<u8> {
    zips::zip(&[
        ("prism.yaml", YAML),
        ("net/model.py", MODEL),
        ("net/fit.py", HOOKS),
    ])
}

fn manifest(submission: &Submission) -> Value {
    crate::outbox::read_json(&submission.path("prism_run_manifest.v1.json"))
}

#[test]
fn hooks_are_measured_like_any_training() {
    let contest = Contest::new(json!({
        "contest": {"v1_mode": "gpu_proxy_eval"},
        "budget": {"wall_clock_s": 300},
    }));
    contest.submit_bytes("hooks.zip", &hooks_zip());
    contest.submit_bytes("forged.py", format!("{MODEL}{FORGED}").as_bytes());
    let narrow = MODEL.replace("nn.Linear(8, vocab)", "nn.Linear(8, 1)");
    contest.submit_bytes("narrow.py", narrow.as_bytes());
    // Labels that stand in the inputs, handed on by the hook that predicts.
    let leaking = "\ndef inference_logits(model, batch, ctx):\n    labels = batch.tokens.roll(-1, 1)\n    \
                   return model(batch.tokens) + 30 * torch.nn.functional.one_hot(labels, ctx.vocab_size)\n";
    contest.submit_bytes("leaking.py", format!("{MODEL}{leaking}").as_bytes());
    let no_recipe = MODEL.replace("def get_recipe", "def recipe");
    contest.submit_bytes("no-recipe.py", no_recipe.as_bytes());
    let no_id = [
        ("prism.yaml", "kind: training_for_arch\n"),
        ("model.py", MODEL),
    ];
    contest.submit_bytes("no-id.zip", &zips::zip(&no_id));
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let hooks = contest.submission("hooks.zip");
    assert_eq!(hooks.state(), "scored", "{:#}", hooks.status);
    its_manifest_holds(&hooks);
    its_checkpoint_is_kept(&hooks);
    for check in ["causality", "head_start", "state"] {
        assert!(hooks.passed(check), "{check}");
    }
    assert!(number(&hooks.score()["heldout_delta"]) > 1.0);

    // Forged losses and a hook that waits for targets: an untrained model, and scored as one.
    let forged = contest.submission("forged.py");
    assert_eq!(forged.state(), "scored", "{:#}", forged.status);
    assert!(forged.bpb() > hooks.bpb() + 1.0);
    let facts = manifest(&forged);
    assert!(number(&facts["metrics"]["loss"]["raw_final_loss"]) > 4.0);
    assert_eq!(facts["hooks"]["inference_hook"], "infer");

    for (name, state, rule) in [
        ("narrow.py", "rejected", "prism:logits-shape"),
        ("leaking.py", "rejected", "prism:non-causal"),
        ("no-recipe.py", "rejected", "prism:missing-entrypoint"),
        ("no-id.zip", "rejected", "prism:manifest-kind"),
    ] {
        let submission = contest.submission(name);
        let got = (submission.state(), submission.rule_id());
        assert_eq!(got, (state, rule), "{:#}", submission.status);
    }

    if has_bwrap() {
        let board = crate::outbox::read_json(&contest.outbox().join("leaderboard.json"));
        assert_eq!(board["rows"][0]["submission_id"], hooks.id());
    }
    // The historical rules take the measured manifest as it is.
    if has_bwrap() {
        let path = hooks.path("prism_run_manifest.v1.json");
        let ran = finish(
            contest
                .prism(&["rescore", "--scoring", "v1", "--format", "json"])
                .arg(path),
        );
        let report = ran.json();
        assert_eq!(report["scored"], 1, "{report:#}");
    }
    let audit = finish(
        contest
            .prism(&["audit", "--format", "json"])
            .arg(&hooks.folder),
    );
    assert_eq!(audit.code, Some(0), "{audit:?}");
}

fn its_manifest_holds(submission: &Submission) {
    let facts = manifest(submission);
    let v2 = submission.manifest();
    assert_eq!(facts["mode"], "gpu_proxy_eval");
    assert_eq!(facts["architecture_id"], "small-1");
    assert_eq!(
        facts["validation"]["passed"], true,
        "{:#}",
        facts["validation"]
    );
    assert_eq!(facts["validation"]["score_eligible"], has_bwrap());
    let hooks = &facts["hooks"];
    let present = [
        "configure_optimizer",
        "infer",
        "inference_logits",
        "save_checkpoint",
        "train_step",
    ];
    assert_eq!(hooks["present"], json!(present));
    assert_eq!(hooks["inference_hook"], "inference_logits");
    assert_eq!(hooks["locations"]["train_step"], json!(["net/fit.py"]));
    assert_eq!(
        hooks["contributing_files"],
        json!(["net/fit.py", "net/model.py"])
    );
    assert_eq!(hooks["used"]["infer"], Value::Null);
    let rows = submission.online();
    let trained = rows.iter().filter(|row| !row.unpredicted).count() as u64;
    let steps = hooks["used"]["train_step"].as_u64().unwrap();
    assert!(
        steps == trained || steps + 1 == trained,
        "{steps} of {trained}"
    );
    // Counted, not computed from a formula.
    let tokens: u64 = rows.iter().map(|row| u64::from(row.tokens)).sum();
    assert_eq!(facts["compute"]["tokens_seen"], tokens);
    assert_eq!(facts["metrics"]["tokens_seen"], tokens);
    assert_eq!(
        facts["model"]["parameter_count"],
        v2["compute"]["model_params"]
    );
    let curve = facts["metrics"]["loss_vs_tokens"].as_array().unwrap();
    assert!(number(&curve[0]["loss"]) > number(&curve[curve.len() - 1]["loss"]) + 1.0);
    assert_eq!(number(&curve[0]["x"]), 0.0);
    let diagnostics = &facts["metrics"]["diagnostics"];
    assert_eq!(
        diagnostics["attention_diversity"]["status"],
        "not_applicable"
    );
    assert!(number(&diagnostics["gradient_noise_scale"]["aggregate"]) > 0.0);
    let corpus = crate::outbox::read_json(&submission.path("corpus_manifest.json"));
    assert_eq!(
        facts["dataset"]["train_split_fingerprint"],
        corpus["splits"]["train"]["fingerprint"]
    );
    for name in [
        "architecture_graph",
        "architecture_metadata",
        "run_log",
        "metrics",
    ] {
        let artifact = &facts["artifacts"][name];
        let content = std::fs::read(submission.path(artifact["path"].as_str().unwrap())).unwrap();
        assert_eq!(
            artifact["sha256"],
            format!("{:x}", Sha256::digest(&content)),
            "{name}"
        );
        assert_eq!(artifact["bytes"], content.len());
    }
    let graph = &facts["artifacts"]["architecture_graph"]["sha256"];
    assert_eq!(*graph, facts["model"]["architecture_graph_hash"]);
}

fn its_checkpoint_is_kept(submission: &Submission) {
    let facts = manifest(submission);
    let [entry] = facts["artifacts"]["checkpoints"]
        .as_array()
        .unwrap()
        .as_slice()
    else {
        panic!("{:#}", facts["artifacts"]);
    };
    let home = format!("checkpoints/{}/attempt-1/current", submission.id());
    assert_eq!(entry["path"], format!("{home}/model.pt"));
    assert_eq!(facts["compute"]["checkpoint_path"], entry["path"]);
    let size = std::fs::metadata(submission.path(entry["path"].as_str().unwrap()))
        .unwrap()
        .len();
    assert_eq!(entry["bytes"], size);
    let metadata =
        crate::outbox::read_json(&submission.path(entry["metadata_path"].as_str().unwrap()));
    assert_eq!(metadata.as_object().unwrap().len(), 13);
    assert_eq!(metadata["checkpoint_dir"], home);
    assert_eq!(
        metadata["hook_return"],
        json!({"path": "model.pt", "metadata": {"attempt": 1}})
    );
}

/// A training for a family, in scripts of the first contract.
fn for_family(id: &str, model: &str) -> Vec<u8> {
    let yaml = format!(
        "kind: training_for_arch\narchitecture_id: {id}\ntraining: {{entrypoint: fit.py}}\n"
    );
    let hooks = HOOKS.replace("checkpoint_dir / 'model.pt'", "checkpoint_dir / 'own.pt'");
    let hooks = hooks.replace("'path': 'model.pt'", "'path': 'own.pt'");
    zips::zip(&[
        ("prism.yaml", &yaml),
        ("model.py", model),
        ("fit.py", &hooks),
    ])
}

#[test]
fn every_kind_is_measured_for_what_it_claims() {
    if !has_bwrap() {
        eprintln!("end to end: runs outside the wall are not ranked, and have no family");
        return;
    }
    let contest = Contest::new(json!({
        "contest": {"v1_mode": "gpu_proxy_eval"},
        "budget": {"wall_clock_s": 300},
    }));
    // An architecture alone brings a recipe and hooks, which are not its claim.
    let train_step = HOOKS
        .replace("def infer(", "def unused(")
        .replace("def inference_logits(", "def unused_either(");
    let architecture_only = [
        (
            "prism.yaml",
            "kind: architecture_only\ntraining: {entrypoint: fit.py}\n",
        ),
        ("model.py", MODEL),
        ("fit.py", &*train_step),
    ];
    contest.submit_bytes("a-architecture.zip", &zips::zip(&architecture_only));
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let first = contest.submission("a-architecture.zip");
    assert_eq!(first.state(), "scored", "{:#}", first.status);
    let facts = manifest(&first);
    assert_eq!(facts["hooks"]["used"], json!({"save_checkpoint": 1}));
    let recipe = crate::outbox::read_json(&first.path("metrics.json"))["recipe"].clone();
    assert_eq!(
        (&recipe["learning_rate"], &recipe["batch_size"]),
        (&json!(3e-4), &json!(4))
    );
    let family = first.manifest()["architecture"]["family"].clone();
    let id = family.as_str().unwrap();

    let renamed = MODEL
        .replace("Small", "Other")
        .replace("embedding", "table")
        .replace("self.head", "self.out");
    contest.submit_bytes("b-training.zip", &for_family(id, &renamed));
    let wider = renamed
        .replace("(vocab, 8)", "(vocab, 9)")
        .replace("(8, vocab)", "(9, vocab)");
    contest.submit_bytes("c-wider.zip", &for_family(id, &wider));
    contest.submit_bytes("d-unknown.zip", &for_family("arch-0000000000000000", MODEL));
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let training = contest.submission("b-training.zip");
    assert_eq!(training.state(), "scored", "{:#}", training.status);
    assert_eq!(training.manifest()["architecture"]["family"], family);
    assert_eq!(manifest(&training)["architecture_id"], family);
    for (name, rule) in [
        ("c-wider.zip", "prism:architecture-mismatch"),
        ("d-unknown.zip", "prism:unknown-architecture"),
    ] {
        let turned_away = contest.submission(name);
        let got = (turned_away.state(), turned_away.rule_id());
        assert_eq!(got, ("rejected", rule), "{:#}", turned_away.status);
        assert!(
            !turned_away.path("run.log").exists(),
            "{name}: nothing was trained"
        );
    }

    // The architecture has no variant; the training's owner has the family's only one.
    let listed = finish(&mut contest.prism(&["families", "--format", "json"])).json();
    let [one] = &listed["families"].as_array().unwrap()[..] else {
        panic!("{listed:#}");
    };
    let owner = |submission: &Submission| json!(format!("submission:{}", submission.id()));
    assert_eq!(
        (&one["owner"], &one["versions"]),
        (&owner(&first), &json!(2))
    );
    let variants = one["variants"].as_array().unwrap();
    let owners: Vec<&Value> = variants.iter().map(|variant| &variant["owner"]).collect();
    assert_eq!(owners, [&owner(&training)], "{listed:#}");
}

#[test]
fn a_smoke_run_is_never_ranked() {
    let contest = Contest::new(json!({"budget": {"wall_clock_s": 300}}));
    contest.submit_bytes("plain.py", MODEL.as_bytes());
    let leaves = "\ndef save_checkpoint(model, checkpoint_dir, ctx):\n    return 'nothing.pt'\n";
    contest.submit_bytes("leaves.py", format!("{MODEL}{leaves}").as_bytes());
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let plain = contest.submission("plain.py");
    assert_eq!(plain.state(), "scored", "{:#}", plain.status);
    let facts = manifest(&plain);
    assert_eq!(facts["mode"], "local_cpu_smoke");
    assert_eq!(facts["validation"]["score_eligible"], false);
    let warnings = facts["validation"]["warnings"].to_string();
    assert!(
        warnings.contains("the default optimizer applies at most 0.0003"),
        "{warnings}"
    );
    let board = &ran.json()["board"];
    assert_eq!(board["leaderboard"]["rows"], json!([]), "{board:#}");
    let why = board["ineligible"][0]["why"].as_str().unwrap();
    assert!(
        why.contains("isolation") || why == "contract v1, mode local_cpu_smoke",
        "{why}"
    );
    let leaves = contest.submission("leaves.py");
    assert_eq!(
        (leaves.state(), leaves.rule_id()),
        ("failed", "prism:checkpoint")
    );
}

#[test]
fn the_review_says_which_contract_and_why() {
    let contest = Contest::new(json!({}));
    let zip = contest.root().join("hooks.zip");
    std::fs::write(&zip, hooks_zip()).unwrap();
    let ran = finish(contest.prism(&["review"]).arg(&zip));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let line = "contract v1: net/model.py defines get_recipe; kind full; hooks: configure_optimizer (net/fit.py:5), ";
    assert!(ran.stdout.contains(line), "{ran:?}");
    let example = crate::contest::repository().join("examples/v1-hooks");
    let ran = finish(contest.prism(&["review"]).arg(&example));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let source = contest.root().join("one.py");
    std::fs::write(&source, MODEL).unwrap();
    let ran = finish(contest.prism(&["review", "--format", "json"]).arg(&source));
    let contract = &ran.json()[0]["review"]["contract"];
    let expected = json!({
        "version": "v1", "kind": "full", "because": "model.py defines get_recipe", "hooks": {}, "inference_hook": null,
        "custom_optimizer": false, "custom_loss": false, "custom_train_step": false,
    });
    assert_eq!(*contract, expected);
}
