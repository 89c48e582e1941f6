mod fixture;
mod forged;
mod hostile;
mod sealed;

use std::path::Path;

use super::report::{AuditReport, Outcome, RunAudit, RunVerdict};
use super::{Standards, audit, streams};
use crate::outbox::schema::{self, Schema};
use crate::signing::keys::PublicKey;

/// An audit that decodes in this process.
fn audited_with(folder: &Path, known_keys: &[PublicKey]) -> RunAudit {
    let standards = Standards {
        known_keys,
        prism_sha256: None,
        referee_sha256: Some("1".to_owned()),
        tokenizers: Path::new("/nowhere"),
        recompute: &streams::recompute,
    };
    audit("run", folder, &standards)
}

fn audited(folder: &Path) -> RunAudit {
    audited_with(folder, &[])
}

/// Names of the checks that failed.
fn failed(audit: &RunAudit) -> Vec<&'static str> {
    audit
        .checks
        .iter()
        .filter(|check| check.outcome == Outcome::Failed)
        .map(|check| check.name)
        .collect()
}

fn told(audit: &RunAudit) -> String {
    serde_json::to_string(audit).unwrap()
}

#[test]
fn a_whole_run_is_consistent_and_its_report_is_the_same_wherever_it_lies() {
    let run = fixture::run(Some(fixture::signer()));
    let key = fixture::signer().public();
    let first = audited_with(&run.folder, std::slice::from_ref(&key));
    assert_eq!(failed(&first), [""; 0], "{first:#?}");
    assert_eq!(first.verdict, RunVerdict::Consistent);
    assert_eq!(first.signed_by, Some(key.to_string()));
    let unchecked: Vec<_> = first
        .checks
        .iter()
        .filter(|check| check.outcome == Outcome::NotChecked)
        .map(|check| check.name)
        .collect();
    assert_eq!(unchecked, ["prism"]);

    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("other name");
    std::fs::create_dir(&copy).unwrap();
    for file in std::fs::read_dir(&run.folder).unwrap().flatten() {
        std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    let reports = [&run.folder, &run.folder, &copy].map(|folder| {
        let report = AuditReport::new(vec![audited_with(folder, std::slice::from_ref(&key))]);
        (report.text(), serde_json::to_value(&report).unwrap())
    });
    assert_eq!(reports[0], reports[1]);
    assert_eq!(reports[0], reports[2]);
    schema::check(Path::new("report"), Schema::AuditReport, &reports[0].1).unwrap();
    assert!(!reports[0].0.contains(run.folder.to_str().unwrap()));
}

#[test]
fn a_run_that_is_not_concluded_is_unfinished() {
    use crate::outbox::status::State;
    let mut run = fixture::run(None);
    run.status.transitions.pop();
    run.status.transitions.pop();
    run.status
        .advance(State::Measured, std::time::SystemTime::now());
    run.status.write(&run.outbox).unwrap();
    let audit = audited(&run.folder);
    assert_eq!(failed(&audit), [""; 0]);
    assert_eq!(audit.verdict, RunVerdict::Unfinished);
}

#[test]
fn keys_decide_what_a_signature_is_worth() {
    let own = fixture::signer().public();
    let other = crate::signing::keys::Signer::from_seed([8; 32]).public();
    let signed = fixture::run(Some(fixture::signer()));
    let unsigned = fixture::run(None);
    for (run, keys, expected, statement) in [
        (
            &signed,
            vec![],
            RunVerdict::Consistent,
            "not among known keys: none were given",
        ),
        (
            &signed,
            vec![other.clone(), own],
            RunVerdict::Consistent,
            "a known key",
        ),
        (
            &signed,
            vec![other.clone()],
            RunVerdict::Inconsistent,
            "not among known keys, expected",
        ),
        (
            &unsigned,
            vec![],
            RunVerdict::Consistent,
            "the run is not signed: whoever",
        ),
        (
            &unsigned,
            vec![other],
            RunVerdict::Inconsistent,
            "the run is not signed, expected",
        ),
    ] {
        let audit = audited_with(&run.folder, &keys);
        assert_eq!(audit.verdict, expected, "{statement}");
        assert!(told(&audit).contains(statement), "{statement}: {audit:#?}");
    }
}
