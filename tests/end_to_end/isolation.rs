//! Isolation is never weakened silently: what was asked for happens, or nothing does.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::contest::{Contest, finish, has_bwrap, repository, turn};
use crate::submissions::{SMALL, training, training_with};
use crate::zips;

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

/// docker's command line over bubblewrap's wall: what an engine is asked for and told, without an engine.
#[test]
fn a_container_is_measured_watched_and_ended_like_any_other_wall() {
    if !has_bwrap() {
        return;
    }
    // without the links on the way to it, which the image does not have
    let environment =
        prism::sandbox::python::discover(&repository().join(".venv/bin/python")).unwrap();
    let digest = "0123456789abcdef".repeat(4);
    let contest = Contest::new(json!({
        "sandbox": {
            "isolation": "docker",
            "image": format!("prism/python@sha256:{digest}"),
            "memory_bytes": 1_200u64 << 20,
        },
        "run": {"python": environment.python},
    }));
    let engine = contest.root().join("engine");
    fs::create_dir(&engine).unwrap();
    fs::write(engine.join("docker"), include_str!("engine.py")).unwrap();
    fs::set_permissions(engine.join("docker"), fs::Permissions::from_mode(0o755)).unwrap();
    let folders = serde_json::to_string(&environment.folders).unwrap();
    fs::write(engine.join("folders.json"), folders).unwrap();
    contest.submit("honest.zip", SMALL, &training());
    let greedy = "if step == 2:\n    block = bytearray(b'x') * (1_500 << 20)\n    __import__('time').sleep(600)";
    let greedy = training_with(4, 64, "bytes", "", greedy);
    let files = [("architecture.py", SMALL), ("training.py", &*greedy)];
    contest.pass_review("greedy.zip", &zips::zip(&files));
    let mut command = contest.prism(&["run", "--format", "json"]);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", engine.display()));
    let turn = turn();
    let ran = contest.run_in_turn(command);
    drop(turn);
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let honest = contest.submission("honest.zip");
    assert!(honest.final_score() > 0.0);
    let isolation = honest.manifest()["isolation"].clone();
    assert_eq!(isolation["achieved"], "docker");
    assert_eq!(isolation["score_eligible"], true, "{isolation:#}");
    assert!(isolation["version"].as_str().unwrap().contains("0.0.0"));
    for question in [
        "network",
        "root_filesystem",
        "device_folder",
        "capabilities",
        "keyrings",
    ] {
        let answer = isolation["probes"][question]
            .as_str()
            .unwrap_or("not asked");
        assert!(answer.starts_with("closed"), "{question}: {isolation:#}");
    }
    let greedy = contest.submission("greedy.zip");
    assert_eq!(
        (greedy.state(), greedy.rule_id()),
        ("failed", "prism:resource-oom"),
        "{:#}",
        greedy.status
    );
    let calls = fs::read_to_string(engine.join("calls")).unwrap();
    for call in ["--version", "image", "ps", "run", "inspect", "rm"] {
        assert!(calls.lines().any(|line| line == call), "{call}: {calls}");
    }
    let left = fs::read_dir(engine.join("containers")).unwrap().count();
    assert_eq!(left, 0, "containers are left");
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
