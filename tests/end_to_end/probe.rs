//! `prism probe`: what it says of a submission that nothing can be measured of, and of one that is no archive.

use std::fs;

use serde_json::json;

use crate::contest::{Contest, finish};
use crate::outbox::validator;
use crate::submissions::{SMALL, training};
use crate::zips;

#[test]
fn a_submission_that_the_review_rejects_is_probed_once_and_ranked_nowhere() {
    let contest = Contest::new(json!({}));
    let forbidden = format!("import socket\n{SMALL}");
    let files = [
        ("architecture.py", forbidden.as_str()),
        ("training.py", &training()),
    ];
    let zip = contest.root().join("some.zip");
    fs::write(&zip, zips::zip(&files)).unwrap();
    let zip = zip.to_str().unwrap();
    let before = crate::outbox::snapshot(&contest.outbox());
    let ran = finish(&mut contest.prism(&["probe", zip, "--format", "json", "--quiet"]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.json();
    assert!(validator("probe_report").is_valid(&report), "{report:#}");
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1, "{report:#}");
    assert_eq!(runs[0]["state"], "rejected");
    assert!(runs[0]["reason"].as_str().unwrap().starts_with("prism:"));
    assert_eq!(report["score_eligible"], false);
    assert_eq!(crate::outbox::snapshot(&contest.outbox()), before);

    let text = finish(&mut contest.prism(&["probe", zip])).stdout;
    assert!(
        text.contains("base-1") && text.contains("not offered"),
        "{text}"
    );
    let ran = finish(&mut contest.prism(&["probe", contest.config().to_str().unwrap()]));
    assert_eq!(ran.code, Some(2), "{ran:?}");
}
