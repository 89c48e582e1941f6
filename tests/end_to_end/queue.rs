//! The queue of the device: who is next, who is tried again, what an operator asks for, how prism is stopped.

use std::fs;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::contest::{Contest, Ran, Started, finish, wait_for};
use crate::outbox;
use crate::stand_in::{Does, StandIn, archive, id, settings, submit};

const PATIENCE: Duration = Duration::from_secs(60);

struct Scene {
    contest: Contest,
    stand_in: StandIn,
}

impl Scene {
    fn new(changes: Value) -> Self {
        let mut contest = Contest::new(settings());
        contest.change(changes);
        let stand_in = StandIn::of(&mut contest);
        Self { contest, stand_in }
    }

    fn run(&self) -> Ran {
        finish(&mut self.contest.prism(&["run", "--format", "json"]))
    }

    fn ask(&self, arguments: &[&str]) -> Ran {
        let mut all = vec!["--format", "json"];
        all.extend(arguments);
        finish(&mut self.contest.prism(&all))
    }

    /// `prism queue`, which must fit its schema.
    fn queue(&self) -> Value {
        let ran = self.ask(&["queue"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let queue = ran.json();
        let errors: Vec<String> = outbox::validator("queue")
            .iter_errors(&queue)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}");
        queue
    }

    fn status(&self, name: &str) -> Value {
        self.contest.submission(name).status
    }

    fn wait_for_state(&self, name: &str, state: &str) -> Value {
        wait_for(&format!("{name} is {state}"), PATIENCE, || {
            let all = outbox::submissions(&self.contest.outbox());
            let found = all
                .into_iter()
                .find(|submission| submission.status["name"] == name)?;
            (found.state() == state).then_some(found.status)
        })
    }

    fn wait_for_begun(&self, count: usize) {
        wait_for("the runs begin", PATIENCE, || {
            (self.stand_in.begun().len() >= count).then_some(())
        });
    }
}

fn names(entries: &Value) -> Vec<&str> {
    let entries = entries.as_array().unwrap();
    let names = entries.iter().map(|entry| entry["name"].as_str().unwrap());
    names.collect()
}

fn signal(started: &Started, signal: Signal) {
    kill_process(Pid::from_raw(started.pid()).unwrap(), signal).unwrap();
}

#[test]
fn a_submission_that_prism_dies_of_is_given_up() {
    let scene = Scene::new(json!({"run": {"max_attempts": 2}}));
    let (deadly, other) = (archive(1), archive(2));
    submit(
        &scene.contest.inbox(),
        &[("deadly.zip", &deadly), ("other.zip", &other)],
    );
    scene.stand_in.will(&deadly, Does::KillPrism);
    for attempts in 1..=2 {
        assert_eq!(scene.run().code, None);
        let status = scene.status("deadly.zip");
        assert_eq!(
            (&status["state"], &status["attempts"]),
            (&json!("measuring"), &json!(attempts))
        );
    }
    let ran = scene.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    outbox::check(&scene.contest.outbox(), &ran);
    let status = scene.status("deadly.zip");
    assert_eq!(status["state"], "failed", "{status:#}");
    assert_eq!(status["attempts"], 2);
    let message = status["reason"]["message"].as_str().unwrap();
    assert!(message.starts_with("2 runs failed"), "{message}");
    assert_eq!(scene.status("other.zip")["state"], "scored");
    let begun = [&deadly, &deadly, &other].map(|archive| id(archive));
    assert_eq!(scene.stand_in.begun(), begun);
}

#[test]
fn what_fails_waits_and_the_rest_goes_on() {
    let scene = Scene::new(json!({"run": {"max_attempts": 2, "retry_after_s": 3_000}}));
    let (failing, other) = (archive(1), archive(2));
    submit(
        &scene.contest.inbox(),
        &[("failing.zip", &failing), ("other.zip", &other)],
    );
    scene.stand_in.will(&failing, Does::Fail);
    let ran = scene.run();
    assert_eq!(ran.code, Some(4), "{ran:?}");
    outbox::check(&scene.contest.outbox(), &ran);
    assert_eq!(scene.status("other.zip")["state"], "scored");
    let queue = scene.queue();
    assert_eq!(names(&queue["waiting"]), ["failing.zip"], "{queue:#}");
    assert_eq!(queue["runner"], Value::Null);
    let entry = &queue["waiting"][0];
    assert!(entry["not_before"].is_string(), "{entry:#}");
    assert_eq!(entry["attempts_left"], 1);
    assert_eq!(entry["reason"]["message"], "the device is lost");

    // Not before its time...
    let ran = scene.run();
    assert_eq!((ran.code, scene.stand_in.begun().len()), (Some(4), 2));
    assert!(
        ran.json()["infrastructure"][0]
            .as_str()
            .unwrap()
            .contains("tried again after"),
        "{ran:?}"
    );
    // ...unless somebody asks, and then with all its attempts.
    for (runs, state) in [(3, "reviewed"), (5, "failed")] {
        assert_eq!(scene.ask(&["retry", "failing.zip"]).code, Some(0));
        scene.contest.prism(&["queue"]);
        assert_eq!(scene.run().code, Some(4));
        if state == "failed" {
            // the second of two, when its time has come
            let outbox = prism::outbox::Outbox::new(&scene.contest.outbox());
            let read = prism::outbox::status::Status::read(&outbox, &id(&failing));
            let mut status = read.unwrap().unwrap();
            status.queue.not_before = None;
            status.write(&outbox).unwrap();
            assert_eq!(scene.run().code, Some(4));
        }
        assert_eq!(scene.stand_in.begun().len(), runs);
        assert_eq!(scene.status("failing.zip")["state"], state);
    }
    scene.stand_in.will(&failing, Does::Measure);
    let retried = scene.ask(&["retry", "failing.zip", "--reason", "new device"]);
    assert_eq!(retried.code, Some(0), "{retried:?}");
    assert_eq!(retried.json()["outcome"], "done");
    assert_eq!(scene.run().code, Some(0));
    let status = scene.status("failing.zip");
    assert_eq!(status["state"], "scored", "{status:#}");
    let notes = status["transitions"].as_array().unwrap();
    let notes: Vec<&str> = notes
        .iter()
        .filter_map(|transition| transition["note"].as_str())
        .collect();
    assert!(
        notes.contains(&"retry by the operator: new device"),
        "{notes:?}"
    );
    // Results do not change.
    for action in ["hold", "retry", "reject", "release"] {
        let refused = scene.ask(&[action, "failing.zip"]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert_eq!(refused.json()["outcome"], "refused");
    }
    assert_eq!(scene.ask(&["hold", "unheard-of.zip"]).code, Some(2));
    let audit = scene.ask(&["audit", scene.contest.outbox().to_str().unwrap()]);
    let audit: Value = serde_json::from_str(&audit.stdout).unwrap();
    for run in audit["runs"].as_array().unwrap() {
        let checks = run["checks"].as_array().unwrap();
        let status = checks
            .iter()
            .find(|check| check["name"] == "status")
            .unwrap();
        assert_eq!(status["outcome"], "passed", "{status:#}");
    }
}

#[test]
fn a_running_watch_takes_requests_and_ends_gracefully() {
    let scene = Scene::new(json!({}));
    let (hanging, next, last) = (archive(1), archive(2), archive(3));
    for archive in [&hanging, &last] {
        scene.stand_in.will(archive, Does::Hang);
    }
    submit(
        &scene.contest.inbox(),
        &[
            ("hanging.zip", &hanging),
            ("next.zip", &next),
            ("last.zip", &last),
        ],
    );
    let watch = scene.contest.prism(&["watch", "--format", "json"]);
    let started = scene.contest.start(watch, "watch");
    scene.wait_for_begun(1);
    scene.wait_for_state("hanging.zip", "measuring");
    let queue = scene.queue();
    assert_eq!(names(&queue["running"]), ["hanging.zip"], "{queue:#}");
    assert_eq!(names(&queue["waiting"]), ["next.zip", "last.zip"]);
    assert_eq!(queue["runner"]["pid"], started.pid());
    let asked = scene.ask(&["hold", "hanging.zip", "--reason", "looks odd"]);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    assert_eq!(asked.json()["outcome"], "asked");
    let held = scene.wait_for_state("hanging.zip", "held");
    assert_eq!(held["reason"]["rule_id"], "prism:held-by-operator");
    assert!(
        held["reason"]["message"]
            .as_str()
            .unwrap()
            .contains("looks odd")
    );
    scene.wait_for_state("next.zip", "scored");
    scene.wait_for_state("last.zip", "measuring");
    scene.wait_for_begun(3);
    assert_eq!(names(&scene.queue()["held"]), ["hanging.zip"]);

    signal(&started, Signal::TERM);
    let ran = started.finish();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    outbox::check(&scene.contest.outbox(), &ran);
    let status = scene.status("last.zip");
    assert_eq!(status["state"], "reviewed", "{status:#}");
    assert_eq!(
        (&status["attempts"], &status["queue"]["forgiven"]),
        (&json!(1), &json!(1))
    );

    // Nobody is at work: requests are taken at once.
    for archive in [&hanging, &last] {
        scene.stand_in.will(archive, Does::Measure);
    }
    let asked = scene.ask(&["release", &id(&hanging)[..8]]);
    assert_eq!(asked.json()["outcome"], "done", "{asked:?}");
    let asked = scene.ask(&["reject", "last.zip", "--reason", "withdrawn"]);
    assert_eq!(asked.json()["outcome"], "done", "{asked:?}");
    let ran = scene.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    outbox::check(&scene.contest.outbox(), &ran);
    assert_eq!(scene.status("hanging.zip")["state"], "scored");
    let status = scene.status("last.zip");
    assert_eq!(status["reason"]["rule_id"], "prism:rejected-by-operator");
}

#[test]
fn a_stopped_run_says_so_and_goes_on_the_next_time() {
    let scene = Scene::new(json!({}));
    let hanging = archive(1);
    scene.stand_in.will(&hanging, Does::Hang);
    submit(&scene.contest.inbox(), &[("hanging.zip", &hanging)]);
    for (count, last) in [(1, Signal::INT), (2, Signal::TERM)] {
        let run = scene.contest.prism(&["run", "--format", "json"]);
        let started = scene.contest.start(run, "run");
        scene.wait_for_begun(count);
        signal(&started, last);
        let ran = started.finish();
        assert_eq!(ran.code, Some(6), "{ran:?}");
        let status = scene.status("hanging.zip");
        assert_eq!(status["state"], "reviewed", "{status:#}");
    }
    scene.stand_in.will(&hanging, Does::Measure);
    assert_eq!(scene.run().code, Some(0));
    let status = scene.status("hanging.zip");
    assert_eq!(
        (&status["state"], &status["attempts"]),
        (&json!("scored"), &json!(3))
    );
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let scene = Scene::new(json!({"intake": {"settle_ms": 600_000}}));
    // It waits for a file to settle, which no first signal cuts short.
    submit(&scene.contest.inbox(), &[("young.zip", b"young")]);
    let run = scene.contest.prism(&["run", "--format", "json"]);
    let mut started = scene.contest.start(run, "run");
    wait_for("the lock is taken", PATIENCE, || {
        scene.queue()["runner"].is_object().then_some(())
    });
    // Two that come at once can be one to the process; before it listens, the first ends it as any other.
    wait_for("its end", PATIENCE, || {
        signal(&started, Signal::TERM);
        std::thread::sleep(Duration::from_millis(200));
        started.child.try_wait().unwrap()
    });
    let ran = started.finish();
    assert!(matches!(ran.code, None | Some(143)), "{ran:?}");
    assert_eq!(scene.queue()["runner"], Value::Null);
}

/// A process as a prism that died would have left it, known by what is written down in the folder of its run.
fn orphan(scene: &Scene, run: &str, is_the_one: bool) -> Child {
    let child = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = child.id() as i32;
    let mut identity = prism::sandbox::process::ProcessIdentity::of(pid).unwrap();
    identity.started_ticks += u64::from(!is_the_one);
    let work = scene.contest.outbox().join(".work").join(run);
    identity.record(&work.join("train/scratch")).unwrap();
    child
}

#[test]
fn orphans_are_ended_by_identity() {
    let scene = Scene::new(json!({}));
    let mut orphaned = orphan(&scene, "a", true);
    let mut stranger = orphan(&scene, "b", false);
    let ran = scene.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!orphaned.wait().unwrap().success());
    assert!(stranger.try_wait().unwrap().is_none());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    outbox::check(&scene.contest.outbox(), &ran);
}

#[test]
fn an_unreadable_status_costs_only_itself() {
    let scene = Scene::new(json!({}));
    let (broken, other) = (archive(1), archive(2));
    submit(&scene.contest.inbox(), &[("broken.zip", &broken)]);
    assert_eq!(scene.run().code, Some(0));
    let path = scene.contest.submission("broken.zip").path("status.json");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    submit(&scene.contest.inbox(), &[("other.zip", &other)]);
    let ran = scene.run();
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let report = ran.json();
    assert!(
        report["infrastructure"][0]
            .as_str()
            .unwrap()
            .contains("broken.zip"),
        "{report:#}"
    );
    assert_eq!(report["processed"][0]["name"], "other.zip", "{report:#}");
    assert_eq!(report["processed"][0]["state"], "scored", "{report:#}");
    assert_eq!(scene.queue()["unreadable"].as_array().unwrap().len(), 1);
    fs::write(&path, whole).unwrap();
    assert_eq!(scene.run().code, Some(0));
}
