//! The outbox as its readers see it, and what must hold in it after every run.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use prism::score::stream_rows::{HeldoutRow, OnlineRow};
use prism::score::streams;
use serde_json::Value;

use crate::contest::{Ran, finish, prism};
use crate::corpus::CANARY;

/// One submission's folder.
pub struct Submission {
    pub folder: PathBuf,
    pub status: Value,
}

impl Submission {
    pub fn id(&self) -> &str {
        self.status["submission_id"].as_str().unwrap()
    }

    pub fn state(&self) -> &str {
        self.status["state"].as_str().unwrap()
    }

    pub fn rule_id(&self) -> &str {
        self.status["reason"]["rule_id"].as_str().unwrap_or("")
    }

    pub fn message(&self) -> &str {
        self.status["reason"]["message"].as_str().unwrap_or("")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn manifest(&self) -> Value {
        let path = self.path("prism_run_manifest.v2.json");
        assert!(path.exists(), "no manifest: {:#}", self.status);
        read_json(&path)
    }

    /// The `score` block, of a submission that must be scored.
    pub fn score(&self) -> Value {
        assert_eq!(self.state(), "scored", "{:#}", self.status);
        self.manifest()["score"].clone()
    }

    pub fn final_score(&self) -> f64 {
        number(&self.score()["final_score"])
    }

    pub fn bpb(&self) -> f64 {
        number(&self.score()["prequential_bpb"])
    }

    pub fn flags(&self) -> Vec<String> {
        serde_json::from_value(self.score()["flags"].clone()).unwrap()
    }

    /// Whether a check of the referee was passed.
    pub fn passed(&self, check: &str) -> bool {
        let manifest = self.manifest();
        let checks = manifest["measurement"]["checks"].as_array().unwrap();
        let found = checks.iter().find(|entry| entry["name"] == check);
        found.unwrap_or_else(|| panic!("no check {check}: {checks:?}"))["passed"]
            .as_bool()
            .unwrap()
    }

    pub fn online(&self) -> Vec<OnlineRow> {
        streams::read_online(&self.path("online_loss.parquet")).unwrap()
    }

    pub fn heldout(&self) -> Vec<HeldoutRow> {
        streams::read_heldout(&self.path("heldout.parquet")).unwrap()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("run.log")).unwrap()
    }

    /// Both streams as they lie on disk.
    pub fn stream_bytes(&self) -> [Vec<u8>; 2] {
        ["online_loss.parquet", "heldout.parquet"].map(|name| fs::read(self.path(name)).unwrap())
    }
}

/// A number of a manifest, which must be one.
pub fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is not a number"))
}

pub fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All submissions, whatever became of them; a folder may be there a moment before its status.
pub fn submissions(outbox: &Path) -> Vec<Submission> {
    names(outbox)
        .into_iter()
        .filter(|name| !name.starts_with('.'))
        .map(|name| outbox.join(name))
        .filter(|path| path.join("status.json").exists())
        .map(|folder| Submission {
            status: read_json(&folder.join("status.json")),
            folder,
        })
        .collect()
}

/// Everything that anybody may read: all files outside of the folders and files that begin with a dot.
pub fn public_files(outbox: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for name in names(outbox).iter().filter(|name| !name.starts_with('.')) {
        let path = outbox.join(name);
        if path.is_dir() {
            let inside = walkdir::WalkDir::new(&path).into_iter().map(Result::unwrap);
            let inside = inside.filter(|entry| !entry.file_type().is_dir());
            files.extend(inside.map(walkdir::DirEntry::into_path));
        } else {
            files.push(path);
        }
    }
    files
}

/// Path, inode, time of the last change and content of every file, hidden ones included; but for the lock, which names its
/// last holder.
pub fn snapshot(outbox: &Path) -> BTreeMap<PathBuf, (u64, i64, i64, Vec<u8>)> {
    walkdir::WalkDir::new(outbox)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file() && entry.file_name() != ".lock")
        .map(|entry| {
            let metadata = entry.metadata().unwrap();
            let content = fs::read(entry.path()).unwrap();
            let facts = (
                metadata.ino(),
                metadata.mtime(),
                metadata.mtime_nsec(),
                content,
            );
            (entry.path().to_owned(), facts)
        })
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Schema by file name; a file of any other name is none of ours.
const KINDS: [(&str, Option<&str>); 22] = [
    ("status.json", Some("status")),
    ("review.json", Some("review")),
    ("gate.json", Some("gate")),
    ("architecture_graph.json", Some("architecture_graph")),
    ("architecture_metadata.json", Some("architecture_metadata")),
    ("prism_run_manifest.v2.json", Some("prism_run_manifest.v2")),
    ("prism_run_manifest.v1.json", Some("prism_run_manifest.v1")),
    ("metrics.json", Some("prism_v1_metrics.v1")),
    (
        "checkpoint_metadata.v1.json",
        Some("checkpoint_metadata.v1"),
    ),
    ("leaderboard.json", Some("leaderboard")),
    ("weights.json", Some("weights")),
    ("digests.json", Some("digests")),
    ("signature.json", Some("signature")),
    ("run_config.json", Some("run_config")),
    ("corpus_manifest.json", Some("locked_data")),
    ("families.json", Some("families")),
    ("ownership.jsonl", None),
    ("architecture_structure.txt", None),
    ("submission.zip", None),
    ("run.log", None),
    ("online_loss.parquet", None),
    ("heldout.parquet", None),
];

/// What must hold after every run that came to its end.
pub fn check(outbox: &Path, ran: &Ran) {
    for (name, text) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
        assert!(!text.contains(CANARY), "secret text on {name}: {text}");
    }
    if !outbox.exists() {
        return;
    }
    check_files(outbox);
    assert_eq!(
        names(&outbox.join(".work")),
        [""; 0],
        "nothing of a run stays behind"
    );
    let folders = names(outbox)
        .into_iter()
        .filter(|name| !name.starts_with('.') && outbox.join(name).is_dir());
    assert_eq!(folders.count(), submissions(outbox).len());
    for submission in submissions(outbox) {
        check_submission(&submission);
    }
}

/// What must hold at any moment, in the middle of a run, too.
pub fn check_files(outbox: &Path) {
    for folder in [".work", ".private"] {
        let mode = fs::metadata(outbox.join(folder))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700, "{folder} is the operator's alone");
    }
    for path in public_files(outbox) {
        let shown = path.display();
        let name = path.file_name().unwrap().to_str().unwrap();
        // a checkpoint has the name that its author gave it
        let is_checkpoint = path
            .components()
            .any(|part| part.as_os_str() == "checkpoints");
        let (_, schema) = KINDS
            .iter()
            .find(|(known, _)| *known == name)
            .or_else(|| is_checkpoint.then_some(&("", None)))
            .unwrap_or_else(|| panic!("{shown} should not be there"));
        let content = fs::read(&path).unwrap();
        let canary = CANARY.as_bytes();
        let leaks = content.windows(canary.len()).any(|window| window == canary);
        assert!(!leaks, "secret text in {shown}");
        if let Some(schema) = schema {
            let value: Value = serde_json::from_slice(&content)
                .unwrap_or_else(|error| panic!("{shown} is not whole: {error}"));
            let problems: Vec<String> = validator(schema)
                .iter_errors(&value)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(problems.is_empty(), "{shown}: {problems:?}");
        }
    }
}

fn check_submission(submission: &Submission) {
    let status = &submission.status;
    let scored = submission.state() == "scored";
    assert_eq!(
        submission.id(),
        submission.folder.file_name().unwrap(),
        "{status:#}"
    );
    for name in [
        "prism_run_manifest.v2.json",
        "online_loss.parquet",
        "heldout.parquet",
        "run.log",
    ] {
        if scored {
            assert!(submission.path(name).is_file(), "{name}: {status:#}");
        }
    }
    let has_reason = status["reason"].is_object();
    match submission.state() {
        "rejected" | "failed" | "held" => assert!(has_reason, "{status:#}"),
        // It waits, and says for what.
        "reviewed" => assert_eq!(submission.rule_id(), "prism:infrastructure", "{status:#}"),
        "scored" => assert!(!has_reason, "{status:#}"),
        state => panic!("a run does not end in {state}: {status:#}"),
    }
    if has_reason {
        assert!(submission.rule_id().starts_with("prism:"), "{status:#}");
        assert!(!submission.message().is_empty(), "{status:#}");
        assert!(
            !status["reason"]["hint"].as_str().unwrap().is_empty(),
            "{status:#}"
        );
        // what a person has to look at is measured
        assert_eq!(
            submission.path("prism_run_manifest.v2.json").exists(),
            submission.rule_id() == "prism:too-good",
            "{status:#}"
        );
    }
}

/// The validator of a schema as `prism schema NAME` prints it.
pub fn validator(name: &str) -> &'static jsonschema::Validator {
    static ALL: OnceLock<BTreeMap<String, jsonschema::Validator>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let list = finish(&mut prism(["schema", "--format", "json"]));
        let list: Vec<String> = serde_json::from_value(list.json()).unwrap();
        list.into_iter()
            .map(|name| {
                let schema = finish(&mut prism(["schema", &name])).json();
                let validator = jsonschema::validator_for(&schema).unwrap();
                (name, validator)
            })
            .collect()
    });
    all.get(name)
        .unwrap_or_else(|| panic!("prism has no schema {name}"))
}
