//! Who has the key, or finds no signature, can seal anything: then the files have to agree with each other.

use serde_json::{Value, json};

use super::{RunVerdict, audited, failed, fixture, told};
use crate::pipeline::MANIFEST;

/// One change in the file, sealed again: which checks find it.
const CHANGES: &[(&str, &str, &[&str])] = &[
    (
        "prism_run_manifest.v2.json",
        "/score/final_score",
        &["streams"],
    ),
    (
        "prism_run_manifest.v2.json",
        "/metrics/online_loss/0",
        &["streams"],
    ),
    (
        "prism_run_manifest.v2.json",
        "/data/covered_bytes",
        &["streams"],
    ),
    (
        "prism_run_manifest.v2.json",
        "/measurement/step0_nats",
        &["streams"],
    ),
    (
        "prism_run_manifest.v2.json",
        "/measurement/code/source_bytes",
        &["sources"],
    ),
    (
        "prism_run_manifest.v2.json",
        "/measurement/code/bits",
        &["sources", "streams"],
    ),
    ("prism_run_manifest.v2.json", "/run/seed", &["settings"]),
    (
        "prism_run_manifest.v2.json",
        "/referee/budget/bytes",
        &["settings"],
    ),
    (
        "prism_run_manifest.v2.json",
        "/causality/audit/one_in",
        &["settings"],
    ),
    (
        "prism_run_manifest.v2.json",
        "/causality/probes/0/largest_difference_nats",
        &["probes"],
    ),
    (
        "prism_run_manifest.v2.json",
        "/referee/transport/audited",
        &["transport"],
    ),
    (
        "prism_run_manifest.v2.json",
        "/referee/transport/survival/0/probability",
        &["transport"],
    ),
    (
        "prism_run_manifest.v2.json",
        "/causality/snapshots/replays/0/largest_difference_nats",
        &["probes"],
    ),
    (
        "prism_run_manifest.v2.json",
        "/data/shard_count",
        &["corpus"],
    ),
    ("run_config.json", "/budget/bytes", &["settings"]),
    ("run_config.json", "/run/max_attempts", &["settings"]),
    (
        "corpus_manifest.json",
        "/splits/train/doc_count",
        &["corpus"],
    ),
    ("status.json", "/attempts", &["status"]),
];

#[test]
fn a_changed_figure_contradicts_the_others() {
    for (name, pointer, expected) in CHANGES {
        let run = fixture::run(Some(fixture::signer()));
        run.forge(name, |file| {
            let place = file.pointer_mut(pointer).unwrap();
            *place = match place.as_u64() {
                Some(count) => json!(count + 1),
                None => json!(place.as_f64().unwrap() + 0.25),
            };
        });
        let audit = audited(&run.folder);
        assert_eq!(failed(&audit), *expected, "{pointer}: {audit:#?}");
        let last = pointer.rsplit('/').next().unwrap();
        assert!(
            told(&audit).contains(last) || told(&audit).contains(name),
            "{pointer}: {audit:#?}"
        );
    }
}

#[test]
fn a_changed_text_contradicts_the_others() {
    let digest = || json!("1".repeat(64));
    let cases: [(&str, &str, Value, &[&str]); 13] = [
        (MANIFEST, "/submission_id", json!("other"), &["status"]),
        (MANIFEST, "/versions/archive_sha256", digest(), &["archive"]),
        (
            MANIFEST,
            "/versions/bundle_training/symbol",
            json!("main"),
            &["sources"],
        ),
        (
            MANIFEST,
            "/measurement/streams/online_sha256",
            digest(),
            &["streams"],
        ),
        (MANIFEST, "/referee/config_sha256", digest(), &["settings"]),
        (
            MANIFEST,
            "/referee/corpus_manifest_sha256",
            digest(),
            &["corpus"],
        ),
        (
            MANIFEST,
            "/versions/digests/runner",
            Value::Null,
            &["runner"],
        ),
        ("review.json", "/verdict", json!("rejected"), &["review"]),
        ("review.json", "/files/0/sha256", digest(), &["review"]),
        ("architecture_graph.json", "/hash", digest(), &["review"]),
        ("status.json", "/archive_sha256", digest(), &["archive"]),
        ("status.json", "/hotkey", json!("5F"), &["archive"]),
        (
            "status.json",
            "/transitions/1/state",
            json!("scored"),
            &["status"],
        ),
    ];
    for (name, pointer, value, expected) in cases {
        let run = fixture::run(None);
        run.forge(name, |file| *file.pointer_mut(pointer).unwrap() = value);
        let audit = audited(&run.folder);
        assert_eq!(failed(&audit), expected, "{pointer}: {audit:#?}");
    }
}

#[test]
fn another_archive_under_the_same_name_is_found() {
    let run = fixture::run(None);
    let path = run.folder.join("submission.zip");
    let mut zip = std::fs::read(&path).unwrap();
    zip.truncate(zip.len() - 1);
    std::fs::write(&path, zip).unwrap();
    run.seal_again();
    assert_eq!(failed(&audited(&run.folder)), ["archive", "review"]);
    std::fs::remove_file(&path).unwrap();
    run.seal_again();
    assert_eq!(failed(&audited(&run.folder)), ["archive"]);
}

#[test]
fn what_other_rooms_add_before_the_seal_is_named_and_covered() {
    let run = fixture::run(None);
    std::fs::write(run.folder.join("report.html"), "<p>").unwrap();
    run.seal_again();
    let audit = audited(&run.folder);
    assert_eq!(audit.verdict, RunVerdict::Consistent, "{audit:#?}");
    assert!(told(&audit).contains("covered by the digest list only: report.html"));
}
