//! `prism data lock` as people use it: FineWeb-Edu in the contest's format, kills, full disks.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::contest::{Ran, finish, prism, repository};
use crate::corpus::CANARY;
use crate::outbox::{read_json, validator};

pub fn locked_data_v1(arguments: &[&str]) -> String {
    let script = repository().join("tests/end_to_end/corpora/locked_data_v1.py");
    let python = repository().join(".venv/bin/python");
    let ran = finish(Command::new(python).arg(script).args(arguments));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.stdout
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub fn lock(sources: &[&Path], output: &Path) -> Command {
    let mut command = prism(["data", "lock", "--format", "json", "--output"]);
    command.arg(output).args(sources);
    command
}

pub fn verify(root: &Path) -> Ran {
    let ran = finish(prism(["data", "verify", "--format", "json"]).arg(root));
    assert!(!format!("{ran:?}").contains(CANARY), "{ran:?}");
    ran
}

/// An error's message, which is one object on stderr, the last line.
pub fn said(ran: &Ran, code: i32) -> String {
    assert_eq!((ran.code, &*ran.stdout), (Some(code), ""), "{ran:?}");
    let last = ran.stderr.lines().last().unwrap();
    let value: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{ran:?}"));
    value["error"].as_str().unwrap().to_owned()
}

/// Every file below a folder but the proof, which tells times.
pub fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    walkdir::WalkDir::new(root)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file() && entry.file_name() != "PROOF.json")
        .map(|entry| {
            let name = entry.path().strip_prefix(root).unwrap().to_owned();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// Distinct documents of about 4 KB.
pub fn write_source(path: &Path, numbers: std::ops::Range<u32>) {
    let mut lines = String::new();
    for n in numbers {
        let words = (0..600u32)
            .map(|k| format!("w{} ", n.wrapping_mul(7_919).wrapping_add(k * k) % 99_991));
        let text = words.collect::<String>();
        lines.push_str(&json!({"id": format!("doc-{n}"), "text": text}).to_string());
        lines.push('\n');
    }
    fs::write(path, lines).unwrap();
}

#[test]
fn fineweb_edu_as_people_have_it_is_locked_in_the_contest_s_format() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("corpus");
    let source = repository().join("tests/end_to_end/corpora/fineweb-edu-shape.parquet");
    let pin = "87f09149ef4734204d70ed1d046ddc9ca3f2b8f9";
    let mut command = lock(&[&source], &root);
    command.args([
        "--name",
        "HuggingFaceFW/fineweb-edu",
        "--license",
        "odc-by",
        "--revision",
        pin,
    ]);
    let ran = finish(&mut command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.json();
    assert_eq!(report["pin_sha"], pin);
    assert_eq!(report["left_out"]["no_id_or_text"], 2);
    let manifest = read_json(&root.join("MANIFEST.json"));
    assert!(validator("locked_data").is_valid(&manifest));
    assert!(validator("corpus_proof").is_valid(&read_json(&root.join("PROOF.json"))));
    assert_eq!(manifest["left_out"], report["left_out"]);
    let read: Value = serde_json::from_str(&locked_data_v1(&["verify", text(&root), pin])).unwrap();
    assert_eq!(read["problems"], json!([]));
    let counts = |split: &str| read["documents"][split].as_array().unwrap().len();
    assert_eq!(counts("train") + counts("val") + counts("test"), 58);
    assert!(
        read["documents"]["train"][0][1]
            .as_str()
            .unwrap()
            .contains("– né")
    );
}

#[test]
fn a_killed_lock_goes_on_and_makes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let sources = at("sources");
    fs::create_dir(&sources).unwrap();
    for part in 0..4 {
        write_source(
            &sources.join(format!("{part}.jsonl")),
            part * 100..part * 100 + 100,
        );
    }
    write_source(&sources.join("4.jsonl"), 400..1_500);
    let ran = finish(&mut lock(&[&sources], &at("whole")));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // The kernel kills it in the middle of a write: when a file, the run of the last source, grows beyond 2 MB.
    let killed = Command::new("sh")
        .args(["-c", "ulimit -c 0; ulimit -f 4096; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_prism"))
        .args(["data", "lock", "--output"])
        .arg(at("killed"))
        .arg(&sources)
        .output()
        .unwrap();
    assert_eq!(killed.status.signal(), Some(25), "SIGXFSZ: {killed:?}");
    assert!(!at("killed").exists());
    let work = at(".killed.prism-lock");
    assert_eq!(
        fs::metadata(&work).unwrap().permissions().mode() & 0o777,
        0o700
    );
    // While one process holds the folder, no other may.
    let held = fs::File::open(work.join("lock")).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let error = said(&finish(&mut lock(&[&sources], &at("killed"))), 5);
    assert!(
        error.contains("another prism data lock is at work on"),
        "{error}"
    );
    drop(held);
    let ran = finish(&mut lock(&[&sources], &at("killed")));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stderr.contains("taking up an interrupted lock: 4 of 5"),
        "{ran:?}"
    );
    assert_eq!(ran.json()["resumed_sources"], 4);
    assert_eq!(files(&at("killed")), files(&at("whole")));
    assert!(!work.exists());
}

#[test]
fn a_full_disk_leaves_no_corpus_and_the_rest_can_be_done_later() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let sources = at("sources");
    fs::create_dir(&sources).unwrap();
    write_source(&sources.join("a.jsonl"), 0..100);
    write_source(&sources.join("b.jsonl"), 100..900);
    // Files may grow to 2 MB: as on a full disk a write fails in the middle, wherever it happens to be.
    let limited = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_prism"))
        .args(["data", "lock", "--format", "json", "--output"])
        .arg(at("corpus"))
        .arg(&sources)
        .output()
        .unwrap();
    let stderr = String::from_utf8(limited.stderr).unwrap();
    assert_eq!(limited.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("File too large"), "{stderr}");
    assert!(
        stderr.contains("the same command goes on from there"),
        "{stderr}"
    );
    assert!(!at("corpus").exists());
    let ran = finish(&mut lock(&[&sources], &at("corpus")));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.json()["resumed_sources"], 1);
    assert_eq!(verify(&at("corpus")).code, Some(0));
}
