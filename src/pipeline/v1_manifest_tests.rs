//! The manifest of the first contract from a made-up measurement: its schema, its figures, its modes.

use std::path::Path;
use std::time::SystemTime;

use super::super::v1_validation::{hooks_block, validation};
use super::*;
use crate::outbox::schema::{self, Schema};
use crate::referee::checkpoint::Checkpoint;
use crate::referee::diagnostics;
use crate::review::HookRole;
use crate::score::run_fixture;

fn with_facts(config: &Config, isolation: Value, check: &mut dyn FnMut(&Facts<'_>, &V1Outcome)) {
    let folder = tempfile::tempdir().unwrap();
    run_fixture::write_run(folder.path());
    let scored = crate::score::score_run(
        "s1",
        folder.path(),
        &run_fixture::measurement(),
        Some(1_000),
    )
    .unwrap();
    let measured: Measured = serde_json::from_value(json!({
        "submission_id": "s1", "fault": null, "stopped_reason": "data_exhausted", "tokenizer": "bytes", "batch_size": 4,
        "seq_len": 128, "world_size": 1, "vocab_size": 256, "stream_documents": 1, "stream_bytes": 1, "stream_tokens": 1,
        "corpus_manifest_sha256": "", "corpus_name": "austen", "shard_count": 1, "model_params": 1_000,
        "step0_nats": 5.5, "step0_bytes_per_token": 2.0, "checks": [{"name": "state", "passed": true, "evidence": "same"}],
        "probes": [], "blind": null, "live_params": 1_000, "isolation": isolation,
        "environment": {"python": "", "torch": "", "device": "cpu", "device_name": "cpu"}, "audit_key": "", "order_key": null,
        "seconds": {"stream": 3.0, "referee": 1.0}, "digests": {}, "started_at": "", "ended_at": "",
    }))
    .unwrap();
    let entry = json!({"path": "model.py", "symbol": "build_model"});
    let plan: RunPlan = serde_json::from_value(json!({
        "submission_id": "s1", "target": null, "probe": {}, "project": "", "architecture": entry, "training": entry, "sources": {}, "tokenizer": null,
        "v1": {"kind": "full", "attempt": 2, "architecture_id": null, "hooks": {"infer": "training", "train_step": "training"}},
        "prism": "", "folder": "", "audit_key": "", "order_key": null, "config": config,
    }))
    .unwrap();
    let outcome = V1Outcome {
        recipe: Recipe {
            learning_rate: 0.01,
            batch_size: 4,
            optimizer: "adamw".to_owned(),
            scheduler: "cosine".to_owned(),
            weight_decay: 0.01,
        },
        learning_rate: Some(3e-4),
        calls: BTreeMap::from([("infer".to_owned(), 6)]),
        checkpoint: None,
        diagnostics: diagnostics::of_logits(&[1.0, 1.0, 1.0, 1.0, 2.0, 0.0, 0.0, 2.0], 4, &[0, 3]),
    };
    let status = Status::new("s1", "a.py", Some("ab"), SystemTime::UNIX_EPOCH);
    let facts = Facts {
        status: &status,
        plan: &plan,
        measured: &measured,
        config,
        scored: &scored,
        executed: BTreeMap::from([("prism".to_owned(), "1".to_owned())]),
        own_tokenizer: None,
        online: run_fixture::online_rows(),
        corpus: json!({
            "dataset": {"pin_sha": "rev"}, "near_duplicates": {"method": "x"}, "left_out": null,
            "splits": {"train": {"fingerprint": "t"}, "val": {"fingerprint": "v"}, "test": {"fingerprint": "e"}},
        }),
        architecture: json!({"identity": {"architecture_source_hash": "a".repeat(64), "training_hash": "b".repeat(64)}}),
    };
    check(&facts, &outcome);
}

fn hooks() -> Vec<Hook> {
    ["infer", "train_step"]
        .map(|name| Hook {
            name,
            path: "fit.py".to_owned(),
            line: 3,
            role: HookRole::Training,
        })
        .to_vec()
}

fn whole(facts: &Facts<'_>, outcome: &V1Outcome) -> Value {
    let artifact = |path: &str| Artifact {
        path: path.to_owned(),
        sha256: "c".repeat(64),
        content_type: "application/json",
        bytes: 1,
    };
    let checkpoint = json!({
        "path": "checkpoints/s1/attempt-2/current/a.pt",
        "metadata_path": "checkpoints/s1/attempt-2/current/checkpoint_metadata.v1.json",
        "bytes": 1, "attempt": 2, "world_size": 1, "rank_writer": 0, "created_at": "2026-01-01T00:00:00Z",
    });
    let artifacts = Artifacts {
        architecture_graph: artifact("architecture_graph.json"),
        architecture_metadata: artifact("architecture_metadata.json"),
        run_log: artifact("run.log"),
        checkpoints: vec![checkpoint],
        metrics: artifact("metrics.json"),
    };
    let metrics = metrics(facts, outcome);
    let file = metrics_file(facts, outcome, &hooks(), &metrics);
    schema::check(Path::new("metrics.json"), Schema::V1Metrics, &file).unwrap();
    let manifest = manifest(facts, outcome, &hooks(), Vec::new(), metrics, &artifacts);
    schema::check(Path::new("manifest"), Schema::RunManifestV1, &manifest).unwrap();
    manifest
}

const WALL: &str =
    r#"{"requested":"bwrap","achieved":"bwrap","version":"","probes":{},"score_eligible":true}"#;

#[test]
fn figures_are_counted_and_the_schema_holds() {
    let mut config = Config::default();
    config.contest.v1_mode = Some(V1Mode::GpuProxyEval);
    let wall: Value = serde_json::from_str(WALL).unwrap();
    with_facts(&config, wall, &mut |facts, outcome| {
        let manifest = whole(facts, outcome);
        // three steps of 100 and 101 tokens; what was left unpredicted is not seen
        assert_eq!(manifest["compute"]["tokens_seen"], 603);
        // two own seconds of two threads, far more than 6 x 1,000 x 603
        assert_eq!(manifest["compute"]["estimated_flops"], 8e10);
        let points = manifest["metrics"]["loss_vs_tokens"].as_array().unwrap();
        assert_eq!(points.len(), 4);
        assert_eq!(points[0], json!({"x": 0.0, "loss": 5.5 / LN_2 / 2.0}));
        let first = (250.0 + 250.0 + 1.0 / 3.0) / LN_2 / 400.0;
        assert!((points[1]["loss"].as_f64().unwrap() - first).abs() < 1e-6);
        assert_eq!(points[3]["x"], 603.0);
        assert_eq!(manifest["architecture_id"], "arch-aaaaaaaaaaaa");
        assert_eq!(manifest["run_id"], "run-s1-2");
        assert_eq!(manifest["validation"]["score_eligible"], true);
        assert_eq!(hooks_block(outcome, &hooks(), facts), manifest["hooks"]);
        assert_eq!(
            manifest["hooks"]["contributing_files"],
            json!(["fit.py", "model.py"])
        );
        let warnings = manifest["validation"]["warnings"].to_string();
        for part in [
            "applies at most 0.0003",
            "hooks: train_step is there and was not called",
            "mode gpu_proxy_eval on the CPU",
        ] {
            assert!(warnings.contains(part), "{part}: {warnings}");
        }
        // the historical rules read it
        let score = crate::score::v1::score(&manifest).unwrap();
        assert!(
            score.final_score > 0.0 && score.final_score < 1.0,
            "{score:?}"
        );
    });
}

#[test]
fn only_a_whole_run_in_an_official_mode_is_eligible() {
    let wall: Value = serde_json::from_str(WALL).unwrap();
    let mut hole = wall.clone();
    hole["score_eligible"] = json!(false);
    for (mode, isolation, expected) in [
        (None, &wall, false),
        (Some(V1Mode::LocalCpuSmoke), &wall, false),
        (Some(V1Mode::FullScaleEval), &wall, true),
        (Some(V1Mode::FullScaleEval), &hole, false),
    ] {
        let mut config = Config::default();
        config.contest.v1_mode = mode;
        with_facts(&config, isolation.clone(), &mut |facts, outcome| {
            let block = validation(facts, outcome, &hooks(), Vec::new(), true);
            assert_eq!(block["score_eligible"], expected, "{mode:?}: {block:#}");
        });
    }
}

#[test]
fn a_checkpoint_has_its_thirteen_keys() {
    with_facts(&Config::default(), Value::Null, &mut |facts, outcome| {
        for metadata in [None, Some(serde_json::Map::new())] {
            let checkpoint = Checkpoint {
                path: "checkpoints/s1/attempt-2/current/a.pt".to_owned(),
                checkpoint_dir: "checkpoints/s1/attempt-2/current".to_owned(),
                bytes: 3,
                bytes_total: 4,
                hook_return: crate::referee::checkpoint::HookReturn {
                    path: "a.pt".to_owned(),
                    metadata,
                },
            };
            let file = checkpoint_metadata(
                facts,
                outcome,
                &Left {
                    checkpoint: &checkpoint,
                    attempt: 1,
                    created_at: "2026-01-01T00:00:00Z".to_owned(),
                },
            );
            assert_eq!(file.as_object().unwrap().len(), 13);
            schema::check(Path::new("file"), Schema::CheckpointMetadata, &file).unwrap();
        }
    });
}
