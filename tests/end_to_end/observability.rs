//! What programs are told: the log, the figures for Prometheus, and the service manager.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::contest::{Contest, finish};
use crate::outbox;
use crate::submissions::{SMALL, training};

const PATIENCE: Duration = Duration::from_secs(60);

/// Every line of stderr as the object that it must be.
fn lines(stderr: &str) -> Vec<Value> {
    stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn each_change_of_state_is_one_line_and_the_figures_are_written() {
    let mut contest = Contest::new(json!({"log": {"format": "json"}}));
    let figures = contest.root().join("figures");
    fs::create_dir(&figures).unwrap();
    contest.change(json!({"metrics": {"textfile": figures.join("prism.prom")}}));
    contest.submit_bytes("junk\n.zip", b"no archive");
    contest.submit("ffi.zip", &format!("import ctypes\n{SMALL}"), &training());
    let ran = finish(&mut contest.prism(&["run", "--format", "json"]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.json();

    let mut told: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in lines(&ran.stderr) {
        assert!(
            line["time"].is_string() && line["level"] == "info",
            "{line}"
        );
        if line["message"] == "state changed" {
            let id = line["submission_id"].as_str().unwrap().to_owned();
            told.entry(id).or_default().push(line);
        }
    }
    let submissions = outbox::submissions(&contest.outbox());
    assert_eq!((submissions.len(), told.len()), (2, 2), "{told:#?}");
    for submission in &submissions {
        let status = &submission.status;
        let lines = &told[status["submission_id"].as_str().unwrap()];
        let steps = status["transitions"].as_array().unwrap();
        assert_eq!(lines.len(), steps.len(), "{lines:#?}");
        for (line, step) in lines.iter().zip(steps) {
            assert_eq!(
                (&line["state"], &line["since"]),
                (&step["state"], &step["at"])
            );
            assert_eq!(line["name"], status["name"]);
        }
        assert_eq!(
            lines.last().unwrap()["rule_id"],
            status["reason"]["rule_id"]
        );
    }

    // A second time there is nothing to tell, and the figures stand alone in their folder.
    let again = finish(&mut contest.prism(&["run", "--format", "json"]));
    assert!(!again.stderr.contains("state changed"), "{again:?}");
    let text = fs::read_to_string(figures.join("prism.prom")).unwrap();
    assert!(
        text.contains("\nprism_verdicts{verdict=\"rejected\"} 2\n"),
        "{text}"
    );
    assert!(text.contains("\nprism_last_run_success 1\n"), "{text}");
    assert_eq!(fs::read_dir(&figures).unwrap().count(), 1);

    // A folder that is not there stops nothing; an error is a line, too.
    contest.change(json!({"metrics": {"textfile": contest.root().join("nowhere/prism.prom")}}));
    let ran = finish(&mut contest.prism(&["run", "--quiet"]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let warnings = lines(&ran.stderr);
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    let message = warnings[0]["message"].as_str().unwrap();
    assert!(message.starts_with("metrics.textfile: "), "{message}");
    fs::remove_dir_all(contest.inbox()).unwrap();
    let ran = finish(&mut contest.prism(&["run"]));
    let last = lines(&ran.stderr).pop().unwrap();
    assert_eq!(
        (&last["level"], &last["exit_code"]),
        (&json!("error"), &json!(3))
    );
}

#[test]
fn the_service_manager_hears_when_prism_watches_and_stops() {
    let contest = Contest::new(json!({}));
    let path = contest.root().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = contest.prism(&["watch"]);
    command.env("NOTIFY_SOCKET", &path);
    command.env("WATCHDOG_USEC", "3600000000");
    let started = contest.start(command, "watch");
    let hear = || {
        let mut buffer = [0; 4_096];
        let count = manager.recv(&mut buffer).expect("prism says something");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    // The watchdog has a thread of its own.
    let mut both = [hear(), hear()];
    both.sort();
    assert!(both[0].starts_with("READY=1\nSTATUS=watching "), "{both:?}");
    assert_eq!(both[1], "WATCHDOG=1");
    kill_process(Pid::from_raw(started.pid()).unwrap(), Signal::TERM).unwrap();
    assert_eq!(hear(), "STOPPING=1");
    assert_eq!(started.finish().code, Some(0));
}
