//! The runner's Python in the hands of a submission: it speaks to the referee itself, writes the shared memory and makes up
//! every count. It supplies predictions like anybody else, so lying gains nothing, and none of it looks like a fault of ours.

use std::fs;

use serde_json::json;

use crate::contest::{Contest, repository};
use crate::submissions::SMALL;
use crate::zips;

/// A class of tests/fixtures/hostile_runner/training.py, and the rule by which its run fails or the flag for which it is
/// scored zero.
const CASES: [(&str, &str); 6] = [
    ("Leaker", "prism:non-causal"),
    ("Ghost", "failed:state"),
    ("Patient", "failed:snapshot"),
    ("Junk", "prism:protocol"),
    ("Hurry", "prism:protocol"),
    ("Deserter", "prism:runtime-error"),
];

#[test]
fn a_hostile_runner_gains_nothing_and_blames_nobody() {
    // A person would look at what is this good: here the referee is to say it alone.
    let contest = Contest::new(json!({"quarantine": {"floor_bpb": 0}, "audit": {"snapshots": 1}}));
    let fixture = repository().join("tests/fixtures/hostile_runner/training.py");
    let script = fs::read_to_string(fixture).unwrap();
    for (behaviour, _) in CASES {
        let script = script.replace("BEHAVIOUR(ctx)", &format!("{behaviour}(ctx)"));
        let files = [("architecture.py", SMALL), ("training.py", &script)];
        contest.pass_review(&format!("{behaviour}.zip"), &zips::zip(&files));
    }
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");

    for (behaviour, end) in CASES {
        let submission = contest.submission(&format!("{behaviour}.zip"));
        let status = &submission.status;
        assert_eq!(status["attempts"], 1, "{behaviour}: {status:#}");
        if end.starts_with("prism:") {
            assert_eq!(
                (submission.state(), submission.rule_id()),
                ("failed", end),
                "{behaviour}: {status:#}"
            );
        } else {
            assert_eq!(submission.final_score(), 0.0, "{behaviour}: {status:#}");
            let flags = submission.flags();
            assert!(
                flags.iter().any(|flag| flag == end),
                "{behaviour}: {flags:?}"
            );
        }
    }
}
