//! `prism prune`: what is forgotten, what is not, and that nothing forgotten is measured again.

use std::path::Path;

use serde_json::{Value, json};

use crate::contest::{Contest, Ran, finish};
use crate::outbox;
use crate::stand_in::{StandIn, archive, settings, submit};

fn ask(contest: &Contest, arguments: &[&str]) -> Ran {
    let mut all = vec!["--format", "json"];
    all.extend(arguments);
    finish(&mut contest.prism(&all))
}

fn removed(ran: &Ran) -> Vec<Value> {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.json();
    let removed = report["removed"].as_array().unwrap();
    removed
        .iter()
        .map(|removal| removal["name"].clone())
        .collect()
}

/// How an audit calls the archive of a run.
fn archive_check(contest: &Contest, folder: &Path) -> (Value, Value) {
    let report = ask(contest, &["audit", folder.to_str().unwrap()]).json();
    let run = &report["runs"][0];
    let checks = run["checks"].as_array().unwrap();
    for check in checks.iter().filter(|check| check["outcome"] == "failed") {
        eprintln!("{check:#}");
    }
    let check = checks.iter().find(|check| check["name"] == "archive");
    (run["verdict"].clone(), check.unwrap()["outcome"].clone())
}

#[test]
fn what_is_pruned_is_gone_and_not_measured_again() {
    let mut contest = Contest::new(settings());
    let stand_in = StandIn::of(&mut contest);
    let (first, second) = (archive(1), archive(2));
    submit(
        &contest.inbox(),
        &[
            ("first.zip", &first),
            ("second.zip", &second),
            ("bad.zip", b"no archive"),
        ],
    );
    assert_eq!(ask(&contest, &["run"]).code, Some(0));
    assert_eq!(ask(&contest, &["prune", "runs"]).code, Some(2));

    let before = outbox::snapshot(&contest.outbox());
    let shown = ask(&contest, &["prune", "secrets", "--keep", "1"]);
    assert_eq!(removed(&shown), ["first.zip"]);
    assert_eq!(outbox::snapshot(&contest.outbox()), before);
    let done = ask(&contest, &["prune", "secrets", "--keep", "1", "--apply"]);
    assert_eq!(removed(&done), ["first.zip"]);

    let folder = contest.submission("second.zip").folder;
    let checked = (json!("consistent"), json!("passed"));
    assert_eq!(archive_check(&contest, &folder), checked);
    let done = ask(
        &contest,
        &["prune", "bundles", "--older-than", "0s", "--apply"],
    );
    assert_eq!(removed(&done).len(), 3);
    assert!(!folder.join("submission.zip").exists());
    let (verdict, outcome) = archive_check(&contest, &folder);
    assert_eq!(
        (verdict, outcome),
        (json!("consistent"), json!("not_checked"))
    );

    let done = ask(&contest, &["prune", "runs", "--max-bytes", "0", "--apply"]);
    assert_eq!(removed(&done).len(), 3);
    assert!(outbox::submissions(&contest.outbox()).is_empty());
    let again = ask(&contest, &["run"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(again.json()["known"], 3, "{again:?}");
    assert_eq!(stand_in.begun().len(), 2);
    outbox::check(&contest.outbox(), &again);
}
