//! A killed run leaves no process and no half a file, and the next one goes on.

use std::time::Duration;

use serde_json::{Value, json};

use crate::contest::{Contest, finish, has_bwrap, turn};
use crate::outbox;
use crate::processes::{assert_all_end, descendants};
use crate::submissions::{SMALL, training_with};

#[test]
fn a_killed_run_is_continued() {
    if has_bwrap() {
        kill_and_continue(&json!({}));
    }
}

#[test]
fn a_killed_run_is_continued_without_isolation() {
    kill_and_continue(&json!({"sandbox": {"isolation": "none"}}));
}

fn kill_and_continue(settings: &Value) {
    let contest = Contest::new(settings.clone());
    // The first process waits for long in every step, as a large model would.
    let wait = "print('TRAINING', step, flush=True)\nif step < 3:\n    big = torch.ones(1200, 1200)\n    \
                for _ in range(15):\n        big = big @ big * 0.0";
    contest.submit(
        "measured.zip",
        SMALL,
        &training_with(4, 64, "bytes", "", wait),
    );
    contest.submit_bytes("rejected.zip", b"no archive");
    let turn = turn();
    let mut started = contest.start(contest.prism(&["run", "--format", "json"]), "killed");
    started.wait_for_log(&contest.outbox(), "TRAINING 1");
    let processes = descendants(started.pid());
    let pythons = processes
        .iter()
        .filter(|process| process.command.contains("runner.py"));
    assert!(pythons.count() >= 2, "{processes:#?}");
    started.child.kill().unwrap();
    started.child.wait().unwrap();
    assert_all_end(&processes, Duration::from_secs(10));
    outbox::check_files(&contest.outbox());
    assert_eq!(contest.submission("measured.zip").state(), "measuring");
    assert_eq!(contest.submission("rejected.zip").state(), "rejected");

    let ran = contest.run_in_turn(contest.prism(&["run", "--format", "json"]));
    drop(turn);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.json();
    assert_eq!(
        report["processed"].as_array().unwrap().len(),
        1,
        "{report:#}"
    );
    assert_eq!(report["processed"][0]["name"], "measured.zip");
    let submission = contest.submission("measured.zip");
    assert!(submission.final_score() > 0.0, "{:#}", submission.status);
    assert_eq!(submission.status["attempts"], 2);
    let board = finish(&mut contest.prism(&["run", "--format", "json"])).json();
    assert_eq!(board["known"], 2, "{board:#}");
}
