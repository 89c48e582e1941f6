//! A damaged corpus is the operator's affair: exit code 4, no verdict, and the next run goes on.

use std::fs;

use serde_json::json;

use crate::contest::{Contest, Ran, finish};
use crate::submissions::{SMALL, training};

#[test]
fn a_submission_waits_until_the_corpus_is_whole() {
    let contest = Contest::new(json!({}));
    contest.submit("patient.zip", SMALL, &training());

    let train = contest.corpus().join("train/train-00000.jsonl");
    let whole = fs::read(&train).unwrap();
    fs::remove_file(&train).unwrap();
    waits(&contest, &contest.run(), "train-00000.jsonl");
    fs::write(&train, whole).unwrap();
    verify(&contest);

    let val = contest.corpus().join("val/val-00000.jsonl");
    let whole = fs::read(&val).unwrap();
    let mut changed = whole.clone();
    // One letter of one word.
    let place = changed.len() / 2;
    changed[place] = if changed[place] == b'a' { b'b' } else { b'a' };
    fs::write(&val, changed).unwrap();
    waits(&contest, &contest.run(), "val-00000.jsonl");
    fs::write(&val, whole).unwrap();

    // The bytes are right again; that they are has to be found out.
    waits(&contest, &contest.run(), "val-00000.jsonl");
    verify(&contest);
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let submission = contest.submission("patient.zip");
    assert!(submission.final_score() > 0.0, "{:#}", submission.status);
    assert_eq!(
        submission.status["attempts"], 1,
        "the corpus costs nobody an attempt"
    );
}

fn verify(contest: &Contest) {
    let verified = finish(contest.prism(&["data", "verify"]).arg(contest.corpus()));
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

fn waits(contest: &Contest, ran: &Ran, shard: &str) {
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let report = ran.json();
    let failures = report["infrastructure"].as_array().unwrap();
    assert_eq!(failures.len(), 1, "{report:#}");
    let said = failures[0].as_str().unwrap();
    assert!(said.contains(shard), "{said}");
    let submission = contest.submission("patient.zip");
    assert_eq!(submission.state(), "reviewed", "{:#}", submission.status);
    assert!(
        submission.status["verdict"].is_null(),
        "{:#}",
        submission.status
    );
    assert!(
        submission.message().contains(shard),
        "{:#}",
        submission.status
    );
    assert!(!submission.path("online_loss.parquet").exists());
}
