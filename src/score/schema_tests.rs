//! What this room writes satisfies the published schemas, and the schemas refuse what they should.

use serde_json::{Value, json};

use super::leaderboard::{LeaderboardRow, leaderboard, weights};
use super::rescore::{Options, rescore};
use super::run_fixture::{measurement, write_run};
use super::score_run;

fn schema(name: &str) -> jsonschema::Validator {
    let path = format!("{}/schemas/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert_eq!(schema["$id"], format!("urn:prism:schema:{name}"));
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

#[track_caller]
fn accepts(schema: &jsonschema::Validator, document: &Value) {
    let faults: Vec<String> = schema
        .iter_errors(document)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// A whole manifest around the blocks of a scored run.
fn manifest() -> Value {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path());
    let run = score_run("s1", folder.path(), &measurement(), Some(1_053_312)).unwrap();
    json!({
        "schema_version": "prism_run_manifest.v2", "submission_id": "s1", "run_id": "prism-s1", "mode": "gpu_proxy_eval",
        "miner_reported_ignored": true, "hotkey": null, "accepted_at": "2026-11-21T13:00:00.250Z",
        "run": {"seed": 1337, "forced_init": true, "deterministic_algorithms": true, "world_size": 1, "rank": 0, "local_rank": 0,
            "device": "cpu", "master_addr": "127.0.0.1", "nproc_per_node": 1, "stopped_reason": "data_exhausted"},
        "compute": {"schema": "prism_compute.v1", "gpu_count": 0, "world_size": 1, "nproc_per_node": 1, "device": "cpu"},
        "data": {"data_dir": "/data/train", "shard_count": 1, "available_bytes": 3180, "source": "locked-train",
            "random_token_fallback": false, "single_pass": true, "covered_bytes": run.coverage.covered_bytes,
            "covered_bytes_cumulative": run.coverage.covered_bytes_cumulative, "consumed_documents": 2,
            "consumed_batches": run.coverage.consumed_batches, "consumed_offsets": 2, "distinct_offsets": 2, "stopped_reason": null},
        "metrics": run.blocks.metrics, "anti_cheat": run.blocks.anti_cheat, "artifacts": {"trained_state": null},
        "score": run.blocks.score, "measurement": run.blocks.measurement,
        "referee": {}, "isolation": {"backend": "bwrap"}, "versions": {}, "causality": {},
    })
}

#[test]
fn run_manifests() {
    let schema = schema("prism_run_manifest.v2");
    accepts(&schema, &manifest());
    for (pointer, value) in [
        ("/score/final_score", json!(null)),
        ("/score/extra", json!(1)),
        ("/metrics/online_loss/0", json!("low")),
        ("/metrics/bonus", json!(1)),
        ("/data/random_token_fallback", json!(true)),
        ("/compute/schema", json!("other")),
        ("/accepted_at", json!("yesterday")),
        ("/isolation", json!("none")),
        ("/surprise", json!(1)),
    ] {
        let mut bad = manifest();
        match pointer.rsplit_once('/').unwrap() {
            ("", field) => bad[field] = value,
            (block, field) => match bad.pointer_mut(block).unwrap() {
                Value::Array(list) => list[0] = value,
                block => block[field] = value,
            },
        }
        assert!(!schema.is_valid(&bad), "{pointer}");
    }
    let mut bad = manifest();
    bad.as_object_mut().unwrap().remove("measurement");
    assert!(!schema.is_valid(&bad));
}

/// The contract's own example satisfies the blocks that did not change.
#[test]
fn the_historical_blocks_kept_their_shape() {
    let example: Value =
        serde_json::from_str(include_str!("fixtures/prism_run_manifest.v2.example.json")).unwrap();
    let mut ours = manifest();
    for block in [
        "run",
        "compute",
        "data",
        "metrics",
        "anti_cheat",
        "artifacts",
    ] {
        ours[block] = example[block].clone();
    }
    accepts(&schema("prism_run_manifest.v2"), &ours);
}

#[test]
fn leaderboards_and_weights() {
    let rows = [LeaderboardRow {
        rank: 0,
        submission_id: "s1".to_owned(),
        hotkey: None,
        accepted_at_unix_ms: Some(1),
        scoring_version: "prism_score.v3".to_owned(),
        final_score: 0.3,
        prequential_bpb: Some(2.3),
        two_part_bpb: Some(2.4),
        heldout_delta: None,
        flags: Vec::new(),
        tied_with_above: None,
    }];
    accepts(&schema("leaderboard"), &json!(leaderboard(&rows)));
    accepts(&schema("leaderboard"), &json!(leaderboard(&[])));
    accepts(&schema("weights"), &json!(weights(&rows)));
    assert!(
        !schema("weights").is_valid(
            &json!({"schema_version": "prism_weights.v1", "dry_run": false, "weights": {}})
        )
    );
}

#[test]
fn rescoring_reports() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("a.json"),
        include_str!("fixtures/prism_run_manifest.v2.example.json"),
    )
    .unwrap();
    std::fs::write(folder.path().join("b.json"), "{").unwrap();
    let report = rescore(
        &[folder.path().to_path_buf()],
        &Options {
            epoch_seconds: Some(21_600),
            ..Options::default()
        },
    );
    assert_eq!((report.scored, report.failed), (1, 1));
    accepts(&schema("rescore"), &json!(report));
}

#[test]
fn documents_of_other_rooms() {
    let sha256 = "0".repeat(64);
    let at = "2026-11-21T13:00:00Z";
    let status = |state: &str, verdict: Value, reason: Value| {
        json!({
            "schema_version": "prism_status.v1", "submission_id": "s1", "state": state, "verdict": verdict, "reason": reason, "name": "a.zip",
            "archive_sha256": sha256, "hotkey": null, "accepted_at": at, "attempts": 1, "transitions": [{"state": "received", "at": at}],
        })
    };
    let reason = json!({"rule_id": "prism:param-cap", "message": "200,000,000 parameters", "hint": "Use fewer."});
    accepts(
        &schema("status"),
        &status("measuring", json!(null), json!(null)),
    );
    accepts(
        &schema("status"),
        &status("rejected", json!("rejected"), reason.clone()),
    );
    for bad in [
        status("rejected", json!("rejected"), json!(null)),
        status("rejected", json!(null), reason.clone()),
        status("measuring", json!("scored"), json!(null)),
        status("lost", json!(null), json!(null)),
    ] {
        assert!(!schema("status").is_valid(&bad), "{bad}");
    }

    let finding = json!({"rule_id": "import.forbidden", "severity": "reject", "path": "architecture.py", "line": 1, "column": 1, "end_column": 10,
        "ast_node": "Import", "snippet_sha256": sha256, "explanation": "os is not on the list", "next_step": "Remove it."});
    let review = json!({"schema_version": "prism_review.v1", "submission_id": "s1", "verdict": "rejected", "findings": [finding], "files": [{"path": "architecture.py", "sha256": sha256, "bytes": 10, "ast_nodes": 3}], "architecture_graph": {}});
    accepts(&schema("review"), &review);

    let split = json!({"doc_count": 1, "token_count": 2, "byte_count": 3, "fingerprint": sha256,
        "shards": [{"path": "train/train-00000.jsonl", "sha256": sha256, "bytes": 3, "doc_count": 1, "token_count": 2}]});
    accepts(
        &schema("locked_data"),
        &json!({
            "schema_version": "prism_locked_data.v1", "dataset": {"name": "demo", "pin_sha": "87f09149", "license": "odc-by"},
            "partition": {"hash": "sha256", "key": "doc.id", "modulus": 1000, "buckets": {"train": [0, 949], "val": [950, 974], "test": [975, 999]}},
            "tokenizer": {"id": "gpt2", "fingerprint": sha256}, "splits": {"train": split, "val": split, "test": split},
            "open": {"rule": "bucket < 10", "doc_count": 1, "shards": split["shards"]},
        }),
    );

    accepts(
        &schema("architecture_graph"),
        &json!({
            "schema_version": "architecture_graph.v1", "modules": ["architecture"], "classes": ["gru"], "functions": ["build_model"], "imports": ["torch"], "calls": ["nn.Linear"],
            "parameterized_blocks": [{"name": "head", "kind": "nn.Linear", "args": 2, "keywords": ["bias"]}], "tokenizer_constraints": {"source": "submission_contract"},
            "hash": sha256, "dynamic_routing": {"enabled": false}, "interface": {"required": ["build_model"], "optional_hooks": []},
        }),
    );
}
