//! `prism watch`: files that appear are dealt with as they appear.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::contest::{Contest, finish, wait_for};
use crate::submissions::{SMALL, training};
use crate::{outbox, zips};

const PATIENCE: Duration = Duration::from_secs(15);

#[test]
fn what_is_renamed_into_the_inbox_is_reviewed() {
    let contest = Contest::new(json!({"intake": {"rescan_ms": 600_000}}));
    let started = contest.start(contest.prism(&["watch", "--format", "json"]), "watch");
    wait_for("watching", PATIENCE, || {
        started.stderr().contains("watching").then_some(())
    });

    // One prism at a time on one outbox, and the other says so.
    let busy = finish(&mut contest.prism(&["run", "--format", "json"]));
    assert_eq!(busy.code, Some(5), "{busy:?}");
    let complaint: Value = serde_json::from_str(&busy.stderr).unwrap();
    assert_eq!(complaint["exit_code"], 5, "{complaint:#}");
    assert!(
        complaint["error"]
            .as_str()
            .unwrap()
            .contains("another prism")
    );

    // As rsync and browsers do: under another name first.
    let files = [
        ("architecture.py", &*format!("import ctypes\n{SMALL}")),
        ("training.py", &*training()),
    ];
    let partial = contest.inbox().join(".arrives.zip.x1Y2z3");
    fs::write(&partial, zips::zip(&files)).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(outbox::submissions(&contest.outbox()).is_empty());
    fs::rename(&partial, contest.inbox().join("arrives.zip")).unwrap();
    wait_for("the status of arrives.zip", PATIENCE, || {
        let found = outbox::submissions(&contest.outbox());
        found
            .iter()
            .any(|found| found.state() == "rejected")
            .then_some(())
    });
    let submission = contest.submission("arrives.zip");
    assert_eq!(
        submission.rule_id(),
        "prism:no-ffi",
        "{:#}",
        submission.status
    );

    // A second one, written in place, while it watches on.
    contest.submit_bytes("second.zip", b"no archive");
    wait_for("the status of second.zip", PATIENCE, || {
        (outbox::submissions(&contest.outbox()).len() == 2).then_some(())
    });
    wait_for("two reports", PATIENCE, || {
        let text = started.stdout();
        let reports: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&text)
            .into_iter()
            .collect();
        (reports.ok()?.len() == 2).then_some(())
    });

    let pid = Pid::from_raw(started.pid()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let begun = std::time::Instant::now();
    let ran = started.finish();
    assert!(
        begun.elapsed() < PATIENCE,
        "it took {:?} to end",
        begun.elapsed()
    );
    outbox::check(&contest.outbox(), &ran);

    // The lock ended with it.
    let free = finish(&mut contest.prism(&["run", "--format", "json"]));
    assert_eq!(free.code, Some(0), "{free:?}");
    assert_eq!(free.json()["known"], 2);
}
