//! A small run folder as the pipeline leaves it, made without running anything.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::bundle;
use crate::config::{Config, recorded};
use crate::digest::sha256;
use crate::intake::submission_id;
use crate::outbox::schema::Schema;
use crate::outbox::status::{State, Status, Verdict};
use crate::outbox::{Outbox, atomic};
use crate::pipeline::{ARCHIVE, CORPUS_MANIFEST, LOG, MANIFEST, review_of};
use crate::referee::runner_files::runner_digest;
use crate::referee::transport::survivals;
use crate::review;
use crate::score::measurement::{Check, MeasurementBlock};
use crate::score::{code_length::code_bits, run_fixture, score_run};
use crate::signing::keys::Signer;

const ARCHITECTURE: &str = "from torch import nn\n\ndef build_model(ctx):\n    return nn.Embedding(ctx.vocab_size, ctx.vocab_size)\n";
const TRAINING: &str = "from architecture import build_model\n\ndef train(ctx):\n    model = build_model(ctx)\n    for batch in ctx.iter_train_batches(model, batch_size=4, seq_len=8, tokenizer=\"bytes\"):\n        pass\n";

/// A scored run in an outbox of its own.
pub struct Run {
    _root: tempfile::TempDir,
    pub outbox: Outbox,
    pub status: Status,
    pub folder: PathBuf,
}

pub fn signer() -> Arc<Signer> {
    Arc::new(Signer::from_seed([9; 32]))
}

/// Makes one.
pub fn run(signer: Option<Arc<Signer>>) -> Run {
    let root = tempfile::tempdir().unwrap();
    let mut outbox = Outbox::new(root.path());
    if let Some(signer) = signer {
        outbox = outbox.signed_by(signer);
    }
    let archive = archive();
    let id = submission_id("", &archive);
    let mut status = Status::new(&id, "small.zip", Some(&sha256(&archive)), SystemTime::now());
    status.attempts = 1;
    status.write(&outbox).unwrap();
    let folder = outbox.submission(&id);
    for state in [
        State::Bundled,
        State::Reviewed,
        State::Measuring,
        State::Measured,
    ] {
        status.advance(state, SystemTime::now());
    }
    std::fs::write(folder.join(ARCHIVE), &archive).unwrap();
    std::fs::write(folder.join(LOG), "epoch 1\n").unwrap();
    run_fixture::write_run(&folder);
    let mut config = Config::default();
    config.run.world_size = 2;
    config.contest.vocab_size = 256;
    let bundle = bundle::open(&archive, &config.archive).unwrap();
    write_review(&folder, &id, &bundle);
    let settings = folder.join(recorded::FILE);
    atomic::write_json(&settings, Schema::RunConfig, &config.recorded().unwrap()).unwrap();
    let corpus = folder.join(CORPUS_MANIFEST);
    atomic::write_json(&corpus, Schema::LockedData, &corpus_manifest()).unwrap();
    let manifest = manifest(&folder, &status, &bundle, &config);
    atomic::write_json(&folder.join(MANIFEST), Schema::RunManifest, &manifest).unwrap();
    status.conclude(Verdict::Scored, None, SystemTime::now());
    status.write(&outbox).unwrap();
    Run {
        _root: root,
        outbox,
        status,
        folder,
    }
}

impl Run {
    /// Changes a JSON file and seals the folder again, as somebody with the run's key could.
    pub fn forge(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let path = self.folder.join(name);
        let mut value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        let mut text = serde_json::to_string_pretty(&value).unwrap();
        text.push('\n');
        std::fs::write(&path, text).unwrap();
        self.seal_again();
    }

    pub fn seal_again(&self) {
        let content = std::fs::read(self.folder.join("status.json")).unwrap();
        let last = ("status.json", &content[..]);
        crate::outbox::seal::seal(&self.outbox, &self.folder, &self.status.submission_id, last)
            .unwrap();
    }
}

fn archive() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, text) in [("architecture.py", ARCHITECTURE), ("training.py", TRAINING)] {
        zip.start_file(name, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn write_review(folder: &Path, id: &str, bundle: &bundle::Bundle) {
    let review = review_of(&Config::default(), bundle);
    assert_eq!(review.verdict, review::Verdict::Accepted, "{review:?}");
    let graph = folder.join("architecture_graph.json");
    atomic::write_json(
        &graph,
        Schema::ArchitectureGraph,
        &review.architecture_graph,
    )
    .unwrap();
    let mut review = json!(review);
    review["schema_version"] = json!("prism_review.v1");
    review["submission_id"] = json!(id);
    atomic::write_json(&folder.join("review.json"), Schema::Review, &review).unwrap();
}

fn corpus_manifest() -> Value {
    let digest = "0".repeat(64);
    let split = json!({"doc_count": 1, "token_count": 2, "byte_count": 3, "fingerprint": digest,
        "shards": [{"path": "train/train-00000.jsonl", "sha256": digest, "bytes": 3, "doc_count": 1, "token_count": 2}]});
    json!({
        "schema_version": "prism_locked_data.v1", "dataset": {"name": "small", "pin_sha": "1"},
        "partition": {"hash": "sha256", "key": "doc.id", "modulus": 1000,
            "buckets": {"train": [0, 949], "val": [950, 974], "test": [975, 999]}},
        "tokenizer": {"id": "bytes", "fingerprint": digest}, "splits": {"train": split},
    })
}

fn manifest(folder: &Path, status: &Status, bundle: &bundle::Bundle, config: &Config) -> Value {
    let source = review::normalised_source(&bundle.files).unwrap();
    let facts = MeasurementBlock {
        code: code_bits(&source).unwrap(),
        checks: vec![
            Check {
                name: "causality".to_owned(),
                passed: true,
                evidence: "1 probe".to_owned(),
            },
            Check {
                name: "snapshot".to_owned(),
                passed: true,
                evidence: "1 replay".to_owned(),
            },
        ],
        ..run_fixture::measurement()
    };
    let scored = score_run(&status.submission_id, folder, &facts, Some(65_536)).unwrap();
    let digest = |name: &str| sha256(&std::fs::read(folder.join(name)).unwrap());
    let batches = scored.coverage.consumed_batches;
    json!({
        "schema_version": "prism_run_manifest.v2", "submission_id": status.submission_id, "run_id": "r",
        "mode": "local_cpu_eval", "miner_reported_ignored": true,
        "run": {"seed": config.contest.seed, "forced_init": true, "deterministic_algorithms": true, "world_size": 2, "rank": 0,
            "local_rank": 0, "device": "cpu", "master_addr": null, "nproc_per_node": 2, "stopped_reason": "submission_ended"},
        "compute": {"schema": "prism_compute.v1", "gpu_count": 0, "world_size": 2, "nproc_per_node": 2, "device": "cpu",
            "model_params": 65_536},
        "data": {"data_dir": "/prism/data", "shard_count": 1, "available_bytes": 3180, "source": "locked-small-train",
            "random_token_fallback": false, "single_pass": true, "covered_bytes": scored.coverage.covered_bytes,
            "covered_bytes_cumulative": scored.coverage.covered_bytes_cumulative, "consumed_documents": 2,
            "consumed_batches": batches, "consumed_offsets": batches, "distinct_offsets": batches,
            "stopped_reason": "submission_ended"},
        "metrics": scored.blocks.metrics, "anti_cheat": scored.blocks.anti_cheat, "artifacts": {"trained_state": null},
        "score": scored.blocks.score, "measurement": scored.blocks.measurement,
        "referee": {"tokenizer": "bytes", "corpus_manifest_sha256": digest(CORPUS_MANIFEST),
            "config_sha256": digest(recorded::FILE), "budget": config.budget, "held_out": config.held_out,
            "threads": config.run.threads, "transport": {"mode": "full", "batches": 7, "audited": 7, "always_audited": 3,
                "largest_difference_nats": 0.0, "tolerance_nats": 0.0, "survival": survivals(7, 7)}},
        "isolation": {"achieved": "bwrap"},
        "versions": {"prism": env!("CARGO_PKG_VERSION"), "archive_sha256": status.archive_sha256,
            "bundle_architecture": bundle.architecture, "bundle_training": bundle.training,
            "digests": {"runner": runner_digest(), "referee": "1", "prism": "2"}},
        "causality": {"audit": config.audit, "audit_key": "0", "probes": [
            {"phase": "train", "step": 0, "rank": 0, "cuts": [3], "largest_difference_nats": 1e-6, "compared_positions": 9}],
            "snapshots": {"steps": [1], "committed": true, "changed": [], "replays": [
                {"step": 1, "elements": 9, "compared_positions": 9, "largest_difference_nats": 1e-7}]}},
    })
}
