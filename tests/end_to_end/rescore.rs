//! `prism rescore` over what people keep for years: good manifests among hostile ones, identities, tables, epochs.

use std::fs;
use std::io::Write;
use std::path::Path;

use prism::score::code_length::code_bits;
use prism::score::measurement::{MeasurementBlock, RecordedMeasurement};
use prism::score::stream_digests::StreamDigests;
use prism::score::stream_rows::OnlineRow;
use prism::score::streams::write_online;
use serde_json::{Value, json};

use crate::contest::{finish, prism};
use crate::outbox::{number, validator};

const EXAMPLE: &str = include_str!("../../src/score/fixtures/prism_run_manifest.v2.example.json");

fn example(id: &str, nats: f64) -> Value {
    let mut manifest: Value = serde_json::from_str(EXAMPLE).unwrap();
    manifest["submission_id"] = json!(id);
    manifest["metrics"]["sum_neg_log_likelihood_nats"] = json!(nats);
    manifest
}

fn rescore(arguments: &[&str], paths: &[&Path]) -> crate::contest::Ran {
    finish(prism(["rescore"]).args(arguments).args(paths))
}

fn report(arguments: &[&str], paths: &[&Path]) -> Value {
    let ran = rescore(&[&["--format", "json"], arguments].concat(), paths);
    assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{ran:?}");
    let report = ran.json();
    assert!(validator("rescore").is_valid(&report), "{report:#}");
    report
}

/// Each hostile file costs one row with reasons, the others keep their scores, and nothing is a crash.
#[test]
fn hostile_manifests_cost_themselves_only() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &[u8]| fs::write(at(name), text).unwrap();
    write("a-good.json", EXAMPLE.as_bytes());
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "b-nan.json",
            EXAMPLE.replace("7.02", "NaN").into(),
            "metrics.online_loss[1]: NaN",
        ),
        (
            "c-infinity.json",
            EXAMPLE
                .replace(
                    "\"sum_neg_log_likelihood_nats\": 21925.28",
                    "\"sum_neg_log_likelihood_nats\": -Infinity",
                )
                .into(),
            "metrics.sum_neg_log_likelihood_nats: -Infinity",
        ),
        (
            "d-twice.json",
            EXAMPLE
                .replace(
                    "\"online_loss\":",
                    "\"covered_bytes\": 1,\n\"online_loss\":",
                )
                .into(),
            "duplicate key \"covered_bytes\"",
        ),
        (
            "e-cut.json",
            EXAMPLE.as_bytes()[..2_000].to_vec(),
            "not valid JSON",
        ),
        (
            "f-types.json",
            EXAMPLE.replace("21925.28", "\"21925.28\"").into(),
            "sum_neg_log_likelihood_nats: \"21925.28\"",
        ),
        (
            "g-flag.json",
            EXAMPLE
                .replace("\"covered_bytes\": 3072", "\"covered_bytes\": true")
                .into(),
            "covered_bytes: missing",
        ),
        (
            "h-deep.json",
            format!("{{\"a\": {}", "[".repeat(1_000_000)).into(),
            "recursion limit",
        ),
        ("i-bytes.json", vec![0xff; 100], "not valid JSON"),
        ("j-empty.json", Vec::new(), "not valid JSON"),
        ("k-list.json", b"[]".to_vec(), "expected an object"),
        (
            "l-other.json",
            b"{\"schema_version\": 7}".to_vec(),
            "schema_version: missing or not a text",
        ),
        (
            "m-hotkey.json",
            EXAMPLE.replacen("{", "{\"hotkey\": 5,", 1).into(),
            "hotkey: 5, expected a text",
        ),
        (
            "n-time.json",
            EXAMPLE
                .replacen("{", "{\"accepted_at\": \"soon\",", 1)
                .into(),
            "accepted_at: \"soon\"",
        ),
        (
            "o-range.json",
            EXAMPLE.replace("21925.28", "1e999").into(),
            "out of range",
        ),
        (
            "p-losses.json",
            EXAMPLE
                .replace("[\n      8.41,\n      7.02,\n      6.15\n    ]", "[]")
                .into(),
            "metrics.online_loss",
        ),
    ];
    for (name, text, _) in &cases {
        write(name, text);
    }
    // one gigabyte on record, and a frame that states a terabyte and holds nothing
    fs::File::create(at("q-huge.json"))
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    let mut lying = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    lying.extend((1_u64 << 40).to_le_bytes());
    write("r-lying.jsonl.zst", &lying);
    fs::create_dir(at("s-run")).unwrap();
    write("s-run/prism_run_manifest.v2.json", EXAMPLE.as_bytes());
    write("s-run/online_loss.parquet", b"PAR1 not really PAR1");
    write(
        "t-good.json",
        example("last", 9_000.5).to_string().as_bytes(),
    );

    let report = report(&[], &[folder.path()]);
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), cases.len() + 5, "{report:#}");
    assert_eq!(
        (&report["scored"], &report["failed"]),
        (&json!(2), &json!(cases.len() + 3))
    );
    assert_eq!(number(&rows[0]["final_score"]), 0.08854080006159118);
    assert_eq!(rows[rows.len() - 1]["submission_id"], "last");
    let mut expected: Vec<(&str, &str)> = cases
        .iter()
        .map(|(name, _, reason)| (*name, *reason))
        .collect();
    expected.extend([
        ("q-huge.json", "1073741824 bytes: the limit is"),
        ("r-lying.jsonl.zst:1", "cannot read"),
        ("s-run", "measurement: "),
    ]);
    for (row, (name, reason)) in rows[1..].iter().zip(expected) {
        assert!(row["path"].as_str().unwrap().ends_with(name), "{row:#}");
        assert!(
            row["error"]
                .to_string()
                .replace("\\\"", "\"")
                .contains(reason),
            "{name}: {row:#}"
        );
    }

    let text = rescore(&[], &[folder.path()]);
    assert_eq!(text.code, Some(0));
    assert!(text.stdout.contains("2 scored, 18 errors"), "{text:?}");
    let errors = text
        .stdout
        .lines()
        .filter(|line| line.starts_with("error "))
        .count();
    assert_eq!(errors, 18, "one line each: {text:?}");
    assert_eq!(rescore(&["--strict"], &[folder.path()]).code, Some(1));
    assert_eq!(rescore(&["--strict"], &[&at("a-good.json")]).code, Some(0));
    assert_eq!(rescore(&["--strict"], &[&at("absent.json")]).code, Some(1));
}

#[test]
fn names_from_manifests_do_not_reach_the_terminal_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    fs::write(&path, example("a\u{1b}[2J\nb", 9_000.0).to_string()).unwrap();
    let ran = rescore(&[], &[&path]);
    assert!(ran.stdout.contains("a?[2J?b"), "{ran:?}");
}

#[test]
fn lines_patterns_and_compressed_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let lines = format!(
        "{}\n\nnot json\n{}",
        example("one", 9_000.0),
        example("two", 8_000.0)
    );
    fs::write(at("many.jsonl"), &lines).unwrap();
    let compressed = zstd::encode_all(lines.as_bytes(), 3).unwrap();
    fs::File::create(at("many.jsonl.zst"))
        .unwrap()
        .write_all(&compressed)
        .unwrap();
    fs::write(at("alone.json"), example("alone", 7_000.0).to_string()).unwrap();
    let report = report(&[], &[&at("*.json"), &at("many*"), &at("no*thing")]);
    let rows = report["rows"].as_array().unwrap();
    let ids: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["submission_id"].as_str())
        .collect();
    assert_eq!(ids, ["alone", "one", "two", "one", "two"]);
    assert_eq!(report["failed"], 3);
    assert!(
        rows[2]["path"].as_str().unwrap().ends_with("many.jsonl:3"),
        "{report:#}"
    );
    assert_eq!(report["leaderboard"]["submissions"], 5);
    assert_eq!(report["leaderboard"]["rows"].as_array().unwrap().len(), 3);
}

/// The same index in every form; it stands above what manifests say, and ties go to the earlier.
#[test]
fn an_index_says_whose_a_submission_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut own = example("own", 9_000.0);
    own["hotkey"] = json!("k9");
    own["accepted_at"] = json!("2026-11-21T00:00:00+00:00");
    for (name, manifest) in [
        ("a", example("a", 9_000.0)),
        ("b", example("b", 9_000.0)),
        ("c", example("c", 8_000.0)),
        ("own", own),
        ("stray", example("stray", 20_000.0)),
    ] {
        fs::create_dir_all(at("m")).unwrap();
        fs::write(at("m").join(format!("{name}.json")), manifest.to_string()).unwrap();
    }
    let entries = [
        ("a", "k1", "2026-11-20T12:00:00Z"),
        ("b", "k2", "2026-11-20T11:59:59Z"),
        ("c", "k1", "2026-11-19T00:00:00Z"),
    ];
    let csv: String = entries
        .iter()
        .map(|(id, hotkey, when)| format!("{id},{hotkey},{when}\n"))
        .collect();
    fs::write(
        at("index.csv"),
        format!("submission_id,hotkey,accepted_at\n{csv}"),
    )
    .unwrap();
    let list: Vec<Value> = entries.iter().map(|(id, hotkey, when)| json!({"submission_id": id, "hotkey": hotkey, "accepted_at": when})).collect();
    fs::write(at("index.json"), json!(list).to_string()).unwrap();
    let manifests = at("m");
    let with = |index: &Path| report(&["--index", index.to_str().unwrap()], &[&manifests]);
    let report_csv = with(&at("index.csv"));
    assert_eq!(with(&at("index.json")), report_csv);
    let order: Vec<&str> = report_csv["leaderboard"]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["submission_id"].as_str().unwrap())
        .collect();
    // c is the best of k1; b and own tie, and b is earlier
    assert_eq!(order, ["c", "b", "own", "stray"]);
    let weights = report_csv["weights"]["weights"].as_object().unwrap();
    assert_eq!(
        weights.keys().collect::<Vec<_>>(),
        ["k1", "k2", "k9", "submission:stray"]
    );
    assert!((weights.values().map(number).sum::<f64>() - 1.0).abs() < 1e-12);

    // as a table of its own making: a parquet index
    let parquet = at("index.parquet");
    let ran = rescore(
        &[
            "--index",
            at("index.csv").to_str().unwrap(),
            "--leaderboard",
            at("board.parquet").to_str().unwrap(),
        ],
        &[&manifests],
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    fs::rename(at("board.parquet"), &parquet).unwrap();
    let hotkeys = |report: &Value| -> Vec<Value> {
        report["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["hotkey"].clone())
            .collect()
    };
    assert_eq!(
        hotkeys(&with(&parquet)),
        [
            json!(null),
            json!("k2"),
            json!("k1"),
            json!("k9"),
            json!(null)
        ]
    );

    fs::write(at("bad.csv"), "submission_id,accepted_at\na,soon\n").unwrap();
    let ran = rescore(&["--index", at("bad.csv").to_str().unwrap()], &[&manifests]);
    assert_eq!((ran.code, &*ran.stdout), (Some(2), ""), "{ran:?}");
    assert!(
        ran.stderr.contains("line 2") && ran.stderr.contains("hint:"),
        "{ran:?}"
    );
}

#[test]
fn tables_are_written_in_every_form_and_repeat_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("m")).unwrap();
    for (id, nats, when) in [
        ("a", 9_000.0, "21599"),
        ("b", 8_000.0, "21600"),
        ("c", 7_000.0, "43200"),
    ] {
        let mut manifest = example(id, nats);
        manifest["accepted_at"] = json!(when);
        manifest["hotkey"] = json!(if id == "c" { "k1" } else { "k2" });
        fs::write(at("m").join(format!("{id}.json")), manifest.to_string()).unwrap();
    }
    fs::write(at("m/z.json"), "{").unwrap();
    let files = [
        "board.csv",
        "board.parquet",
        "weights.csv",
        "weights.parquet",
        "report.parquet",
        "report.csv",
        "report.json",
    ];
    let write = || -> Vec<Vec<u8>> {
        let text = |name: &str| at(name).to_str().unwrap().to_owned();
        for (form, suffix) in [("csv", "csv"), ("parquet", "parquet"), ("json", "csv")] {
            let ran = rescore(
                &[
                    "--format",
                    form,
                    "--epoch-seconds",
                    "21600",
                    "--output",
                    &text(&format!("report.{form}")),
                    "--leaderboard",
                    &text(&format!("board.{suffix}")),
                    "--weights",
                    &text(&format!("weights.{suffix}")),
                ],
                &[&at("m")],
            );
            assert_eq!((ran.code, &*ran.stdout), (Some(0), ""), "{ran:?}");
            assert!(ran.stderr.contains("3 scored, 1 errors"), "{ran:?}");
        }
        files
            .iter()
            .map(|name| fs::read(at(name)).unwrap())
            .collect()
    };
    let first = write();
    assert_eq!(first, write());
    let board = String::from_utf8(first[0].clone()).unwrap();
    let epochs: Vec<&str> = board.lines().skip(1).map(|line| &line[..4]).collect();
    assert_eq!(epochs, ["0,1,", "1,1,", "2,1,"], "{board}");
    let report: Value = serde_json::from_slice(&first[6]).unwrap();
    assert!(validator("rescore").is_valid(&report));
    assert_eq!(
        report["epochs"][1]["weights"]["weights"],
        json!({"k2": 1.0})
    );
    assert_eq!(report["leaderboard"]["rows"][1]["submission_id"], "b");
    assert!(first[4].starts_with(b"PAR1") && first[1].starts_with(b"PAR1"));
    let csv = String::from_utf8(first[5].clone()).unwrap();
    assert_eq!(csv.lines().count(), 5, "{csv}");
    assert!(
        csv.lines().nth(4).unwrap().contains("not valid JSON"),
        "{csv}"
    );
    // leaderboard.json and weights.json are those of an outbox
    let [board, weights] = [at("board.json"), at("weights.json")];
    let ran = rescore(
        &[
            "--leaderboard",
            board.to_str().unwrap(),
            "--weights",
            weights.to_str().unwrap(),
        ],
        &[&at("m")],
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(validator("leaderboard").is_valid(&crate::outbox::read_json(&board)));
    assert!(validator("weights").is_valid(&crate::outbox::read_json(&weights)));
}

#[test]
fn drift_is_told_field_by_field_within_the_tolerance() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    let mut manifest: Value = serde_json::from_str(EXAMPLE).unwrap();
    manifest["score"]["final_score"] = json!(0.08854080006159118 + 1e-6);
    manifest["score"]["memorization_flag"] = json!(true);
    fs::write(&path, manifest.to_string()).unwrap();
    let fields = |arguments: &[&str]| -> Vec<Value> {
        let report = report(arguments, &[&path]);
        let drifted = report["rows"][0]["drifted"].as_array().unwrap();
        drifted.iter().map(|drift| drift["field"].clone()).collect()
    };
    // the flag is read back from the score block, as the historical rules do
    assert!(fields(&[]).contains(&json!("final_score")));
    assert!(
        fields(&["--tolerance", "1"])
            .iter()
            .all(|field| field != "final_score")
    );
    let text = rescore(&[], &[&path]);
    assert!(
        text.stdout.contains("1 drifted") && text.stdout.contains("final_score was 0.08854"),
        "{text:?}"
    );
    let clean = folder.path().join("b.json");
    fs::write(&clean, EXAMPLE).unwrap();
    let report = report(&["--tolerance", "0"], &[&clean]);
    assert_eq!(
        (&report["drifted"], &report["rows"][0]["drifted"]),
        (&json!(0), &json!([]))
    );
}

#[test]
fn forms_and_options_that_do_not_go_together_are_usage_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    fs::write(&path, EXAMPLE).unwrap();
    for arguments in [
        &["--format", "parquet"][..],
        &["--leaderboard", "board.txt"],
        &["--epoch-seconds", "0"],
        &["--epoch-seconds", "5", "--weights", "w.json"],
        &["--tolerance", "-1"],
        &["--scoring", "own"],
        &["--index", "/nonexistent/index.csv"],
    ] {
        let ran = rescore(arguments, &[&path]);
        assert_eq!(
            (ran.code, &*ran.stdout),
            (Some(2), ""),
            "{arguments:?}: {ran:?}"
        );
    }
    assert_eq!(
        finish(&mut prism(["--format", "csv", "config"])).code,
        Some(2)
    );
}

#[test]
fn each_version_scores_its_own_kind_of_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let [v1, v2] = ["v1.json", "v2.json"].map(|name| folder.path().join(name));
    fs::write(&v2, EXAMPLE).unwrap();
    fs::write(
        &v1,
        json!({"schema_version": "prism_run_manifest.v1", "submission_id": "old"}).to_string(),
    )
    .unwrap();
    for (scoring, first, second) in [
        ("auto", "validation.passed", ""),
        (
            "v1",
            "validation.passed",
            "needs the fields of a prism_run_manifest.v1",
        ),
        ("v2", "needs the fields of a prism_run_manifest.v2", ""),
        ("v3", "needs the streams", "needs the streams"),
    ] {
        let report = report(&["--scoring", scoring], &[&v1, &v2]);
        assert_eq!(report["scoring"], scoring);
        for (row, reason) in report["rows"]
            .as_array()
            .unwrap()
            .iter()
            .zip([first, second])
        {
            match reason {
                "" => assert_eq!(row["scoring_version"], "prism_score.v2"),
                reason => assert!(row["error"].to_string().contains(reason), "{row:#}"),
            }
        }
    }
}

/// A stream that was forged together with its manifest can end its decoder; it costs its own run only.
#[test]
fn forged_streams_cost_themselves_only() {
    let root = tempfile::tempdir().unwrap();
    let row = |step| OnlineRow {
        step,
        tokens: 100,
        bytes: 400,
        nats_q32: (300 - i64::from(step)) << 32,
        ..OnlineRow::default()
    };
    let rows: Vec<OnlineRow> = (0..50).map(row).collect();
    let facts: MeasurementBlock = serde_json::from_value(json!({
        "vocab_size": 256, "bytes_per_token": 4.0, "step0_nats": 5.5, "code": code_bits(b"x").unwrap(), "checks": [],
    }))
    .unwrap();
    let make = |name: &str, change: Option<usize>| {
        let folder = root.path().join(name);
        fs::create_dir(&folder).unwrap();
        let stream = folder.join("online_loss.parquet");
        write_online(&stream, &rows).unwrap();
        let length = fs::metadata(&stream).unwrap().len() as usize;
        if let Some(at) = change {
            let mut bytes = fs::read(&stream).unwrap();
            bytes[at] ^= 0xff;
            fs::write(&stream, bytes).unwrap();
        }
        let streams = StreamDigests::of(&folder).unwrap();
        let measurement = RecordedMeasurement {
            facts: facts.clone(),
            streams,
        };
        let manifest = json!({"schema_version": "prism_run_manifest.v2", "submission_id": name, "measurement": measurement});
        fs::write(
            folder.join("prism_run_manifest.v2.json"),
            manifest.to_string(),
        )
        .unwrap();
        length
    };
    let length = make("000000-good", None);
    for at in (0..length).step_by(29) {
        make(&format!("{at:06}-x"), Some(at));
    }
    make("999999-good", None);
    let report = report(&[], &[root.path()]);
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), length.div_ceil(29) + 2);
    let [first, last] = [&rows[0], &rows[rows.len() - 1]].map(|row| number(&row["final_score"]));
    assert!(first > 0.0 && first.to_bits() == last.to_bits());
    assert!(number(&report["failed"]) > 20.0, "{report:#}");
}
