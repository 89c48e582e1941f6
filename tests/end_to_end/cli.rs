//! The command line: exit codes, JSON everywhere, schemas, configuration, review and rescoring of what lies around.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::contest::{Contest, finish, prism, repository};
use crate::outbox::{number, validator};

fn json_of(arguments: &[&str]) -> Value {
    let ran = finish(&mut prism(arguments));
    assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
    assert_eq!(ran.stderr, "", "{arguments:?}");
    ran.json()
}

/// An error with `--format json`: nothing on stdout, one object on stderr.
fn complaint(command: &mut Command, code: i32) -> Value {
    let ran = finish(command);
    assert_eq!((ran.code, &*ran.stdout), (Some(code), ""), "{ran:?}");
    let value: Value = serde_json::from_str(&ran.stderr)
        .unwrap_or_else(|error| panic!("stderr is not JSON ({error}): {ran:?}"));
    assert_eq!(value["exit_code"], code);
    for key in ["error", "hint"] {
        assert!(!value[key].as_str().unwrap().is_empty(), "{value:#}");
    }
    value
}

#[test]
fn usage_errors_are_exit_code_2() {
    for arguments in [
        &["no-such-command"][..],
        &[],
        &["run", "--no-such-option"],
        &["review"],
        &["--format", "xml", "config"],
        &["schema", "no-such-schema"],
    ] {
        let ran = finish(&mut prism(arguments));
        assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{arguments:?}");
        assert!(!ran.stderr.is_empty());
    }
    for arguments in [&["--help"][..], &["--version"], &["run", "--help"]] {
        assert_eq!(finish(&mut prism(arguments)).code, Some(0), "{arguments:?}");
    }
    complaint(
        &mut prism(["--format", "json", "schema", "no-such-schema"]),
        2,
    );
}

#[test]
fn configuration_errors_are_exit_code_3() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    for (text, word) in [
        ("budget:\n  byts: 5\n", "byts"),
        ("bugdet: {}\n", "bugdet"),
        ("budget: [\n", "not valid"),
        ("run:\n  world_size: 9\n", "run.world_size"),
        ("sandbox:\n  isolation: docker\n", "docker"),
    ] {
        fs::write(&config, text).unwrap();
        let mut command = prism(["--format", "json", "--config"]);
        let said = complaint(command.arg(&config).arg("config"), 3);
        assert!(
            said["error"].as_str().unwrap().contains(word),
            "{text}: {said:#}"
        );
    }
    let mut absent = prism([
        "--format",
        "json",
        "--config",
        "/no/such/file.yaml",
        "config",
    ]);
    complaint(&mut absent, 3);
    let mut slip = prism(["--format", "json", "config"]);
    let said = complaint(slip.env("PRISM_BUGDET_BYTES", "5"), 3);
    assert!(
        said["error"]
            .as_str()
            .unwrap()
            .contains("PRISM_BUGDET_BYTES")
    );
    let mut no_inbox = prism([
        "--format",
        "json",
        "run",
        "--inbox",
        "/no/such/inbox",
        "--outbox",
    ]);
    let said = complaint(no_inbox.arg(folder.path().join("outbox")), 3);
    assert!(said["error"].as_str().unwrap().contains("/no/such/inbox"));
}

#[test]
fn the_configuration_comes_back_as_it_was_printed() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    let text = finish(prism(["config"]).env("PRISM_BUDGET_BYTES", "54321"));
    assert_eq!(text.code, Some(0), "{text:?}");
    fs::write(&config, &text.stdout).unwrap();
    let path = config.to_str().unwrap();
    let again = finish(&mut prism(["--config", path, "config"]));
    assert_eq!(again.stdout, text.stdout);
    let as_json = json_of(&["--config", path, "--format", "json", "config"]);
    let as_yaml: Value = serde_yaml::from_str(&text.stdout).unwrap();
    assert_eq!(as_json, as_yaml);
    assert_eq!(as_json["budget"]["bytes"], 54_321);
    // The file is named by the environment, too, and the command line wins.
    let by_environment = finish(prism(["config"]).env("PRISM_CONFIG", &config));
    assert_eq!(by_environment.stdout, text.stdout);
}

#[test]
fn every_schema_is_printed_and_is_one() {
    let names: Vec<String> =
        serde_json::from_value(json_of(&["--format", "json", "schema"])).unwrap();
    let text = finish(&mut prism(["schema"]));
    assert_eq!(text.stdout.lines().collect::<Vec<_>>(), names);
    for name in &names {
        assert!(
            jsonschema::meta::is_valid(&json_of(&["schema", name])),
            "{name}"
        );
        // Nothing at all is no document of any kind.
        assert!(!validator(name).is_valid(&json!({})), "{name}");
    }
    let kept = repository().join("schemas");
    assert_eq!(fs::read_dir(kept).unwrap().count(), names.len());
}

#[test]
fn examples_are_reviewed() {
    let examples = repository().join("examples");
    for (name, accepted, rule_id) in [
        ("tiny-1m", true, ""),
        ("gru", true, ""),
        ("causal-conv", true, ""),
        ("ngram-linear", true, ""),
        // Its fault shows only when it is built.
        ("over-cap", true, ""),
        ("forbidden-import", false, "prism:no-"),
        ("bad-zip/bad-zip.zip", false, "prism:archive-structure"),
    ] {
        let path = examples.join(name);
        let ran = finish(prism(["--format", "json", "review"]).arg(&path));
        let report = ran.json();
        let code = if accepted { 0 } else { 1 };
        assert_eq!(ran.code, Some(code), "{name}: {report:#}");
        assert_eq!(report[0]["accepted"], accepted, "{name}: {report:#}");
        let text = finish(prism(["review"]).arg(&path));
        let verdict = if accepted { "accepted" } else { "rejected" };
        assert_eq!(text.code, Some(code), "{name}");
        assert!(
            text.stdout.contains(&format!("{verdict}: ")),
            "{name}: {text:?}"
        );
        if !accepted {
            assert!(
                text.stdout.contains(&format!("error[{rule_id}")),
                "{name}: {text:?}"
            );
        }
    }
    // One bad path makes the whole answer 1.
    let both = [examples.join("gru"), examples.join("forbidden-import")];
    let ran = finish(prism(["--format", "json", "review"]).args(&both));
    assert_eq!(
        (ran.code, ran.json().as_array().unwrap().len()),
        (Some(1), 2)
    );
}

/// As the earlier implementation wrote it, cut down to what its score is made of.
fn historical(id: &str, nats: f64, recorded: f64) -> Value {
    json!({
        "schema_version": "prism_run_manifest.v2", "submission_id": id,
        "metrics": {
            "covered_bytes": 3_072, "sum_neg_log_likelihood_nats": nats, "online_loss": [8.41, 7.02],
        },
        "score": {"schema": "prism_score.v2", "final_score": recorded},
    })
}

#[test]
fn historical_manifests_are_rescored() {
    let folder = tempfile::tempdir().unwrap();
    // 1 / (1 + bits per byte), without held-out figures and penalties.
    let bits_per_byte = |nats: f64| nats * (1.0 / std::f64::consts::LN_2) / 3_072.0;
    let score = |nats: f64| 1.0 / (1.0 + bits_per_byte(nats));
    let (first, second) = (21_925.28, 9_000.5);
    let alone = folder.path().join("one.json");
    fs::write(&alone, historical("first", first, score(first)).to_string()).unwrap();
    let lines = [
        historical("second", second, 0.25).to_string(),
        "{\"schema_version\": \"prism_run_manifest.v2\", \"submission_id\": \"empty\"}".to_owned(),
        "not json".to_owned(),
    ];
    let many = folder.path().join("many.jsonl");
    fs::write(&many, lines.join("\n")).unwrap();
    let paths = [alone.to_str().unwrap(), many.to_str().unwrap()];
    let report = json_of(&["--format", "json", "rescore", paths[0], paths[1]]);
    assert!(validator("rescore").is_valid(&report), "{report:#}");
    assert_eq!(
        (&report["scored"], &report["failed"]),
        (&json!(2), &json!(2)),
        "{report:#}"
    );
    let rows = report["rows"].as_array().unwrap();
    for (row, nats, drift) in [
        (&rows[0], first, 0.0),
        (&rows[1], second, score(second) - 0.25),
    ] {
        assert_eq!(row["scoring_version"], "prism_score.v2");
        assert_eq!(number(&row["bpb"]).to_bits(), bits_per_byte(nats).to_bits());
        assert_eq!(number(&row["final_score"]).to_bits(), score(nats).to_bits());
        assert_eq!(number(&row["drift"]).to_bits(), drift.to_bits());
    }
    for row in &rows[2..] {
        assert!(!row["error"].as_array().unwrap().is_empty(), "{row:#}");
    }
    let text = finish(prism(["rescore"]).args(paths));
    assert_eq!(text.code, Some(0));
    assert!(text.stdout.contains("2 scored, 2 errors"), "{text:?}");
}

#[test]
fn a_corpus_is_locked_verified_and_found_changed() {
    let contest = Contest::new(json!({}));
    let corpus = contest.corpus();
    let path = corpus.to_str().unwrap();
    let manifest: Value = crate::outbox::read_json(&corpus.join("MANIFEST.json"));
    assert!(validator("locked_data").is_valid(&manifest));
    let report = json_of(&["--format", "json", "data", "verify", path]);
    assert!(number(&report["documents"]) >= 78.0, "{report:#}");
    let text = finish(&mut prism(["data", "verify", path]));
    assert!(text.stdout.contains("as its manifest says"), "{text:?}");
    // A locked corpus is never overwritten.
    let source = contest.root().join("source.jsonl");
    let mut lock = prism(["--format", "json", "data", "lock", "--output", path]);
    complaint(lock.arg(source), 4);
    let shard = corpus.join("test/test-00000.jsonl");
    let text = fs::read_to_string(&shard).unwrap();
    fs::write(&shard, text.replacen("the", "teh", 1)).unwrap();
    let said = complaint(&mut prism(["--format", "json", "data", "verify", path]), 4);
    assert!(
        said["error"].as_str().unwrap().contains("test-00000.jsonl"),
        "{said:#}"
    );
    complaint(
        &mut prism(["--format", "json", "data", "verify", "/no/such/corpus"]),
        4,
    );
}
