//! Isolation is never weakened silently: what was asked for happens, or nothing does.

use std::fs;

use serde_json::json;

use crate::contest::{Contest, finish, turn};
use crate::submissions::{SMALL, training};

#[test]
fn a_run_without_isolation_is_measured_and_never_ranked() {
    let contest = Contest::new(json!({"sandbox": {"isolation": "none"}}));
    contest.submit("unwalled.zip", SMALL, &training());
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let submission = contest.submission("unwalled.zip");
    assert!(submission.final_score() > 0.0);
    let isolation = submission.manifest()["isolation"].clone();
    assert_eq!(
        (
            &isolation["requested"],
            &isolation["achieved"],
            &isolation["score_eligible"]
        ),
        (&json!("none"), &json!("none"), &json!(false)),
        "{isolation:#}"
    );
    let board = crate::outbox::read_json(&contest.outbox().join("leaderboard.json"));
    assert_eq!(board["rows"], json!([]));
    let weights = fs::read_to_string(contest.outbox().join("weights.json")).unwrap();
    assert!(!weights.contains(submission.id()), "{weights}");
    let ineligible = ran.json()["board"]["ineligible"].clone();
    assert_eq!(ineligible.as_array().unwrap().len(), 1);
    assert_eq!(ineligible[0]["submission_id"], submission.id());
    assert_eq!(ineligible[0]["why"], "isolation none");

    // The text form says it, too.
    let again = finish(&mut contest.prism(&["run"]));
    assert!(
        again.stdout.contains("no score-eligible submission"),
        "{again:?}"
    );
    assert!(again.stdout.contains("measured, not ranked"), "{again:?}");
}

#[test]
fn without_a_container_engine_nothing_runs_that_asked_for_it() {
    let digest = "0123456789abcdef".repeat(4);
    for engine in ["docker", "podman"] {
        let contest = Contest::new(json!({
            "sandbox": {"isolation": engine, "image": format!("prism/python@sha256:{digest}")},
            "run": {"python": "/opt/venv/bin/python"},
        }));
        contest.submit("waits.zip", SMALL, &training());
        let empty = contest.root().join("empty");
        fs::create_dir(&empty).unwrap();
        let turn = turn();
        let ran = contest.run_in_turn({
            let mut command = contest.prism(&["run", "--format", "json"]);
            command.env("PATH", &empty);
            command
        });
        drop(turn);
        assert_eq!(ran.code, Some(4), "{ran:?}");
        let report = ran.json();
        let said = report["infrastructure"][0].as_str().unwrap();
        for word in [
            engine,
            "cannot be used",
            "sandbox.image",
            "sandbox.isolation",
        ] {
            assert!(said.contains(word), "{word}: {said}");
        }
        let submission = contest.submission("waits.zip");
        assert_eq!(submission.state(), "reviewed", "{:#}", submission.status);
        assert_eq!(submission.status["attempts"], 0);
        assert!(!submission.path("run.log").exists(), "something ran");
    }
}

#[test]
fn an_image_is_pinned_by_digest_or_nothing_starts() {
    for image in [json!(null), json!("prism/python:3.11")] {
        let contest = Contest::new(json!({"sandbox": {"isolation": "docker", "image": image}}));
        let ran = finish(&mut contest.prism(&["run"]));
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(ran.stderr.contains("sandbox.image"), "{ran:?}");
        assert!(ran.stderr.contains("@sha256:"), "{ran:?}");
    }
}

#[test]
fn without_bubblewrap_nothing_runs_that_asked_for_it() {
    let contest = Contest::new(json!({"sandbox": {"isolation": "bwrap"}}));
    contest.submit("waits.zip", SMALL, &training());
    let empty = contest.root().join("empty");
    fs::create_dir(&empty).unwrap();
    let turn = turn();
    let mut command = contest.prism(&["run", "--format", "json"]);
    let ran = contest.run_in_turn({
        command.env("PATH", &empty);
        command
    });
    drop(turn);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let report = ran.json();
    let failures = report["infrastructure"].as_array().unwrap();
    assert_eq!(failures.len(), 1, "{report:#}");
    let said = failures[0].as_str().unwrap();
    for word in ["bubblewrap", "install", "sandbox.isolation: none"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let submission = contest.submission("waits.zip");
    assert_eq!(submission.state(), "reviewed", "{:#}", submission.status);
    assert!(submission.status["verdict"].is_null());
    assert_eq!(submission.rule_id(), "prism:infrastructure");
    assert!(submission.message().contains("bubblewrap"));
    assert_eq!(
        submission.status["attempts"], 0,
        "nobody's fault but the machine's"
    );
    for name in [
        "run.log",
        "online_loss.parquet",
        "prism_run_manifest.v2.json",
    ] {
        assert!(!submission.path(name).exists(), "{name}: something ran");
    }
}
