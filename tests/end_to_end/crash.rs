//! Every step by which prism changes the disk or starts a run fails once: by a kill, for want of space, by the device. What
//! the next run makes of the rest is what an undisturbed one makes of the whole.
//!
//! `just crash-test` tries every fault at every step. Without it, kills are tried at every step of submissions that no run
//! follows, and everything else at some.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use prism::outbox::fault::VARIABLE;
use serde_json::{Value, json};

use crate::contest::{Contest, Ran};
use crate::outbox;
use crate::stand_in::{StandIn, archive, settings, submit};
use crate::submissions::{SMALL, training};
use crate::zips;

/// What lies in a folder, by path below it.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A contest with a submission for every way through the rooms, and what an undisturbed run makes of it.
struct Scene {
    contest: Contest,
    _stand_in: StandIn,
    empty_inbox: PathBuf,
    archives: Vec<Vec<u8>>,
    expected: BTreeMap<String, Value>,
}

/// Which submissions there are: those that a gate rejects cost milliseconds.
#[derive(Clone, Copy)]
enum Way {
    Gates,
    Device,
}

impl Way {
    fn submissions(self) -> Vec<(&'static str, Vec<u8>)> {
        let forbidden = zips::zip(&[
            ("architecture.py", &*format!("import ctypes\n{SMALL}")),
            ("training.py", &*training()),
        ]);
        match self {
            Self::Gates => vec![
                ("bad.zip", b"no archive".to_vec()),
                ("forbidden.zip", forbidden),
                ("oversized.zip", vec![b'x'; 5_000]),
            ],
            Self::Device => vec![("sound.zip", archive(1))],
        }
    }
}

/// One step in so many is tried, where not all are.
fn one_in(steps: u64) -> u64 {
    match std::env::var("CRASH_TEST").as_deref() {
        Ok("whole") => 1,
        _ => steps,
    }
}

impl Scene {
    fn new(way: Way) -> Self {
        let mut contest = Contest::new(settings());
        let stand_in = StandIn::of(&mut contest);
        contest.change(json!({"archive": {"max_archive_bytes": 4_000}}));
        let submissions = way.submissions();
        let named: Vec<(&str, &[u8])> = submissions
            .iter()
            .map(|(name, archive)| (*name, archive.as_slice()))
            .collect();
        submit(&contest.inbox(), &named);
        let empty_inbox = contest.root().join("empty");
        fs::create_dir(&empty_inbox).unwrap();
        let count = submissions.len();
        let mut scene = Self {
            contest,
            _stand_in: stand_in,
            empty_inbox,
            archives: submissions
                .into_iter()
                .map(|(_, archive)| archive)
                .collect(),
            expected: BTreeMap::new(),
        };
        let outbox = scene.outbox("undisturbed");
        let ran = scene.run(&outbox, &scene.contest.inbox(), None);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        outbox::check(&outbox, &ran);
        scene.expected = results(&outbox);
        let states: Vec<&str> = scene
            .expected
            .values()
            .filter_map(|result| result["status"]["state"].as_str())
            .collect();
        let state = match way {
            Way::Gates => "rejected",
            Way::Device => "scored",
        };
        assert_eq!(states, vec![state; count]);
        scene
    }

    fn outbox(&self, label: &str) -> PathBuf {
        let outbox = self.contest.root().join("outboxes").join(label);
        fs::create_dir_all(&outbox).unwrap();
        outbox
    }

    fn run(&self, outbox: &Path, inbox: &Path, fault: Option<&str>) -> Ran {
        let mut command = self.contest.prism(&["run", "--format", "json", "--quiet"]);
        command.arg("--outbox").arg(outbox);
        command.arg("--inbox").arg(inbox);
        // one after the other, so that the n-th step is always the same
        command.env("RAYON_NUM_THREADS", "1");
        if let Some(fault) = fault {
            command.env(VARIABLE, fault);
        }
        crate::contest::finish(&mut command)
    }

    /// Tries a fault at one step. False: the run has no step of that number.
    fn try_at(&self, kind: &str, number: u64) -> bool {
        let label = format!("{kind}-{number}");
        let outbox = self.outbox(&label);
        let fault = format!("{kind}:{number}");
        let disturbed = self.run(&outbox, &self.contest.inbox(), Some(&fault));
        let was_disturbed = disturbed.stderr.contains("fault: ");
        let at = disturbed.stderr.trim();
        if was_disturbed && matches!(kind, "kill" | "power") {
            assert_eq!(disturbed.code, None, "{at}");
        } else {
            assert!(matches!(disturbed.code, Some(0 | 4)), "{disturbed:?}");
        }
        self.assert_whole(&outbox, at);
        let before = final_files(&outbox);

        // Whatever was taken in needs the inbox no more.
        let alone = self.run(&outbox, &self.empty_inbox, None);
        assert_eq!(alone.code, Some(0), "{at}: {alone:?}");
        for (id, result) in results(&outbox) {
            assert_eq!(Some(&result), self.expected.get(&id), "{at}: {id}");
        }
        let again = self.run(&outbox, &self.contest.inbox(), None);
        assert_eq!(again.code, Some(0), "{at}: {again:?}");
        outbox::check(&outbox, &again);
        self.assert_whole(&outbox, at);
        assert_eq!(results(&outbox), self.expected, "{at}");
        let after = final_files(&outbox);
        for (path, content) in before {
            assert_eq!(after.get(&path), Some(&content), "{at}: {}", path.display());
        }
        let drafts: Vec<PathBuf> = files(&outbox)
            .into_keys()
            .filter(|path| path.to_string_lossy().contains(".tmp"))
            .collect();
        assert!(drafts.is_empty(), "{at}: {drafts:?}");
        fs::remove_dir_all(&outbox).unwrap();
        was_disturbed
    }

    /// No file that anybody may read is less than whole.
    fn assert_whole(&self, outbox: &Path, at: &str) {
        for (path, content) in files(outbox) {
            if path.components().any(is_hidden) {
                continue;
            }
            let name = path.file_name().unwrap().to_str().unwrap();
            let is_whole = if name.ends_with(".json") {
                serde_json::from_slice::<Value>(&content).is_ok()
            } else if name.ends_with(".jsonl") {
                let text = std::str::from_utf8(&content).unwrap();
                (text.is_empty() || text.ends_with('\n'))
                    && text
                        .lines()
                        .all(|line| serde_json::from_str::<Value>(line).is_ok())
            } else if name == "submission.zip" {
                self.archives.contains(&content)
            } else if name.ends_with(".parquet") {
                content.starts_with(b"PAR1") && content.ends_with(b"PAR1")
            } else {
                name == "run.log" && content == b"trained\n"
            };
            assert!(is_whole, "{at}: {} is not whole", path.display());
        }
    }
}

fn is_hidden(part: std::path::Component<'_>) -> bool {
    part.as_os_str().as_encoded_bytes().starts_with(b".")
}

fn files(folder: &Path) -> Files {
    if !folder.exists() {
        return Files::new();
    }
    walkdir::WalkDir::new(folder)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let path = entry.path().strip_prefix(folder).unwrap().to_owned();
            (path, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// Every file of every submission that has its result.
fn final_files(outbox: &Path) -> Files {
    let mut found = Files::new();
    for submission in outbox::submissions(outbox) {
        if submission.status["verdict"].is_null() {
            continue;
        }
        for (path, content) in files(&submission.folder) {
            // a draft that a kill left is nobody's result
            if !path.components().any(is_hidden) {
                found.insert(Path::new(submission.id()).join(path), content);
            }
        }
    }
    found
}

/// What became of every submission, without what differs from run to run: times, and how often it was tried.
fn results(outbox: &Path) -> BTreeMap<String, Value> {
    let mut results = BTreeMap::new();
    for submission in outbox::submissions(outbox) {
        let mut status = submission.status.clone();
        for field in ["accepted_at", "transitions", "attempts", "queue"] {
            status.as_object_mut().unwrap().remove(field);
        }
        let mut found = BTreeMap::new();
        for (path, content) in files(&submission.folder) {
            let name = path.to_str().unwrap().to_owned();
            let shown = match name.as_str() {
                "status.json" => "see status".to_owned(),
                "digests.json" => {
                    let mut list: Value = serde_json::from_slice(&content).unwrap();
                    let files = list["files"].as_array_mut().unwrap();
                    files.retain(|file| file["path"] != "status.json");
                    list.to_string()
                }
                _ => format!("{content:?}"),
            };
            found.insert(name, shown);
        }
        results.insert(
            submission.id().to_owned(),
            json!({"status": status, "files": found}),
        );
    }
    results
}

fn every(kind: &str, way: Way, stride: u64) {
    let scene = Scene::new(way);
    let mut number = 1;
    while scene.try_at(kind, number) {
        number += stride;
    }
    assert!(number > 40, "{kind}: only {number} steps are counted");
}

#[test]
fn a_kill_at_any_step_before_the_device_changes_no_result() {
    every("kill", Way::Gates, 1);
}

#[test]
fn a_kill_at_any_step_of_a_run_changes_no_result() {
    every("kill", Way::Device, one_in(4));
}

#[test]
fn a_power_failure_at_any_step_changes_no_result() {
    every("power", Way::Gates, one_in(3));
    every("power", Way::Device, one_in(16));
}

#[test]
fn a_step_that_finds_no_space_changes_no_result() {
    every("enospc", Way::Gates, one_in(7));
    every("enospc", Way::Device, one_in(16));
}

#[test]
fn a_step_that_the_disk_refuses_changes_no_result() {
    every("eio", Way::Gates, one_in(7));
    every("eio", Way::Device, one_in(16));
}

#[test]
fn a_disk_that_is_full_from_some_step_on_changes_no_result() {
    every("full", Way::Gates, one_in(7));
    every("full", Way::Device, one_in(16));
}

#[test]
fn a_fault_that_is_none_is_an_error() {
    let mut command = crate::contest::prism(["config"]);
    let ran = crate::contest::finish(command.env(VARIABLE, "flood:1"));
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("expected kill:N"), "{ran:?}");
}
