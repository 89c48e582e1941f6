//! Rescoring of mixed inputs.

use serde_json::{Value, json};

use super::super::run_fixture::{measurement, write_run};
use super::super::score_run as score_fresh_run;
use super::super::stream_digests::StreamDigests;
use super::*;

const EXAMPLE: &str = include_str!("fixtures/prism_run_manifest.v2.example.json");

fn example_with(change: impl Fn(&mut Value)) -> String {
    let mut manifest: Value = serde_json::from_str(EXAMPLE).unwrap();
    change(&mut manifest);
    manifest.to_string()
}

/// A run folder of this project with its manifest; returns the recorded score.
fn write_scored_run(folder: &Path) -> f64 {
    write_run(folder);
    let run = score_fresh_run("own", folder, &measurement(), Some(1_053_312)).unwrap();
    let manifest = json!({
        "schema_version": "prism_run_manifest.v2",
        "submission_id": "own",
        "metrics": run.blocks.metrics,
        "anti_cheat": run.blocks.anti_cheat,
        "score": run.blocks.score,
        "measurement": run.blocks.measurement,
    });
    std::fs::write(folder.join(MANIFEST_FILE), manifest.to_string()).unwrap();
    run.score.final_score
}

fn rescore(paths: &[PathBuf], scoring: ScoringVersion) -> RescoreReport {
    super::rescore(
        paths,
        &Options {
            scoring,
            ..Options::default()
        },
    )
}

fn scored(outcome: &RescoreOutcome) -> &RescoreRow {
    match outcome {
        RescoreOutcome::Scored(row) => row,
        RescoreOutcome::Failed(failure) => panic!("{failure:?}"),
    }
}

fn reasons(outcome: &RescoreOutcome) -> String {
    match outcome {
        RescoreOutcome::Scored(row) => panic!("{row:?}"),
        RescoreOutcome::Failed(failure) => failure.error.join("; "),
    }
}

#[test]
fn an_own_run_has_the_score_that_its_manifest_records() {
    let root = tempfile::tempdir().unwrap();
    let recorded = write_scored_run(&root.path().join("own"));
    assert!(recorded > 0.0);
    for scoring in [ScoringVersion::Auto, ScoringVersion::V3] {
        let report = rescore(&[root.path().to_path_buf()], scoring);
        let row = scored(&report.rows[0]);
        assert_eq!(
            (row.final_score.to_bits(), row.drift),
            (recorded.to_bits(), Some(0.0))
        );
        assert_eq!(
            (row.submission_id.as_str(), row.scoring_version.as_str()),
            ("own", "prism_score.v3")
        );
    }
}

#[test]
fn an_own_run_has_the_same_bits_per_byte_under_the_historical_rules() {
    let root = tempfile::tempdir().unwrap();
    write_scored_run(&root.path().join("own"));
    let row = |scoring| scored(&rescore(&[root.path().to_path_buf()], scoring).rows[0]).clone();
    let (v2, v3) = (row(ScoringVersion::V2), row(ScoringVersion::V3));
    assert_eq!(v2.bpb.map(f64::to_bits), v3.bpb.map(f64::to_bits));
    assert_eq!(
        (v2.heldout_delta, v2.train_heldout_gap),
        (v3.heldout_delta, v3.train_heldout_gap)
    );
    assert_eq!(
        (v2.scoring_version.as_str(), v2.drift),
        ("prism_score.v2", None)
    );
}

#[test]
fn one_bad_input_costs_itself_only() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let write = |name: &str, text: &str| std::fs::write(at(name), text).unwrap();
    write("a.json", EXAMPLE);
    write("b.json", &EXAMPLE.replace("8.41,", "NaN,"));
    write("c.json", &EXAMPLE[..1000]);
    write(
        "d.json",
        &example_with(|manifest| manifest["schema_version"] = json!("prism_run_manifest.v0")),
    );
    write(
        "e.json",
        &example_with(|manifest| manifest["score"]["final_score"] = json!(0.08)),
    );
    write("f.json", r#"{"schema_version": "prism_leaderboard.v1"}"#);
    write(
        "g.jsonl",
        &format!(
            "{}\n\n{{\n{}\n",
            example_with(|m| m["submission_id"] = json!("l1")),
            example_with(|m| m["metrics"] = json!(1))
        ),
    );
    let report = rescore(
        &[root.path().to_path_buf(), at("absent.json")],
        ScoringVersion::Auto,
    );
    assert_eq!((report.scored, report.failed, report.skipped), (3, 6, 1));
    let [a, b, c, d, e, l1, l3, l4, absent] = &report.rows[..] else {
        panic!("{:?}", report.rows)
    };
    let row = scored(a);
    assert_eq!(
        (row.final_score, row.recorded_final_score, row.drift),
        (0.08854080006159118, Some(0.08854080006159118), Some(0.0))
    );
    assert_eq!(row.submission_id, "s1");
    assert_eq!(
        reasons(b),
        "not a finite number: metrics.online_loss[0]: NaN; not a finite number: metrics.step0_loss: NaN"
    );
    assert!(reasons(c).contains("not valid JSON"));
    assert!(reasons(d).contains(
        "prism_run_manifest.v0, expected prism_run_manifest.v1 or prism_run_manifest.v2"
    ));
    assert_eq!(scored(e).drift, Some(0.08854080006159118 - 0.08));
    assert_eq!(
        (
            scored(l1).submission_id.as_str(),
            scored(l1).path.ends_with("g.jsonl:1")
        ),
        ("l1", true)
    );
    assert!(reasons(l3).contains("not valid JSON"));
    assert!(reasons(l4).contains("metrics: missing"));
    assert!(reasons(absent).contains("cannot find"));
}

#[test]
fn damaged_runs_are_found_among_whole_ones() {
    let root = tempfile::tempdir().unwrap();
    let names = ["a", "b", "c", "d", "e"];
    let recorded = names.map(|name| write_scored_run(&root.path().join(name)))[0];
    let online = |name: &str| root.path().join(name).join("online_loss.parquet");
    std::fs::write(online("b"), b"PAR1").unwrap();
    let whole = std::fs::read(online("d")).unwrap();
    std::fs::write(online("d"), &whole[..whole.len() - 1]).unwrap();
    let manifest = root.path().join("e").join(MANIFEST_FILE);
    std::fs::write(&manifest, EXAMPLE).unwrap();
    let report = rescore(&[root.path().to_path_buf()], ScoringVersion::Auto);
    assert_eq!((report.scored, report.failed), (2, 3));
    for place in [0, 2] {
        assert_eq!(scored(&report.rows[place]).final_score, recorded);
    }
    assert!(reasons(&report.rows[1]).contains("the manifest records sha256"));
    assert!(reasons(&report.rows[4]).contains("measurement: "));
}

#[test]
fn a_manifest_alone_has_no_v3_score() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a.json");
    std::fs::write(&path, EXAMPLE).unwrap();
    let report = rescore(&[path], ScoringVersion::V3);
    assert!(reasons(&report.rows[0]).contains("needs the streams"));
}

/// Streams that the manifest does record, but that are none: found among whole ones by halving.
#[test]
fn recorded_streams_that_cannot_be_read_cost_themselves_only() {
    let root = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c", "d", "e"] {
        write_scored_run(&root.path().join(name));
    }
    let folder = root.path().join("d");
    std::fs::write(folder.join("online_loss.parquet"), b"PAR1").unwrap();
    let path = folder.join(MANIFEST_FILE);
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["measurement"]["streams"] = json!(StreamDigests::of(&folder).unwrap());
    std::fs::write(&path, manifest.to_string()).unwrap();
    let report = rescore(&[root.path().to_path_buf()], ScoringVersion::Auto);
    assert_eq!((report.scored, report.failed), (4, 1));
    assert!(
        matches!(&report.rows[3], RescoreOutcome::Failed(failure) if failure.submission_id.as_deref() == Some("own"))
    );
}
