//! `prism data lock` and `prism data verify` as people use them: formats of others, kills, full disks, edits, and the proof.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::contest::{Contest, Ran, finish, prism, repository, wait_for};
use crate::corpus::{self, CANARY};
use crate::outbox::{read_json, validator};
use crate::submissions::{SMALL, training};

fn locked_data_v1(arguments: &[&str]) -> String {
    let script = repository().join("tests/end_to_end/corpora/locked_data_v1.py");
    let python = repository().join(".venv/bin/python");
    let ran = finish(Command::new(python).arg(script).args(arguments));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.stdout
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn lock(sources: &[&Path], output: &Path) -> Command {
    let mut command = prism(["data", "lock", "--format", "json", "--output"]);
    command.arg(output).args(sources);
    command
}

fn verify(root: &Path) -> Ran {
    let ran = finish(prism(["data", "verify", "--format", "json"]).arg(root));
    assert!(!format!("{ran:?}").contains(CANARY), "{ran:?}");
    ran
}

/// An error's message, which is one object on stderr, the last line.
fn said(ran: &Ran, code: i32) -> String {
    assert_eq!((ran.code, &*ran.stdout), (Some(code), ""), "{ran:?}");
    let last = ran.stderr.lines().last().unwrap();
    let value: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{ran:?}"));
    value["error"].as_str().unwrap().to_owned()
}

/// Every file below a folder but the proof, which tells times.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
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
fn write_source(path: &Path, numbers: std::ops::Range<u32>) {
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
fn a_corpus_of_the_contest_is_used_as_it_is() {
    let contest = Contest::new(json!({}));
    let ours = contest.corpus();
    let theirs = contest.root().join("theirs");
    let source = contest.root().join("source.jsonl");
    locked_data_v1(&["write", text(&source), text(&theirs)]);
    fs::remove_dir_all(&ours).unwrap();
    fs::rename(&theirs, &ours).unwrap();
    assert!(!ours.join("open").exists());
    let before = files(&ours);
    let verified = verify(&ours);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let report = verified.json();
    assert_eq!(
        (&report["documents"], &report["shards"]),
        (&json!(78), &json!(3))
    );
    // Not ours to change: the operator is told.
    let warnings = report["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 2, "{report:#}");
    assert!(warnings[0].as_str().unwrap().contains("chmod 700"));
    assert_eq!(files(&ours), before);

    contest.submit("small.zip", SMALL, &training());
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let submission = contest.submission("small.zip");
    assert_eq!(submission.state(), "scored", "{:#}", submission.status);
    // The open sample's documents are not scored here either: the same text as in a corpus of ours.
    let scored = corpus::prefix(&ours, "train", corpus::BUDGET_BYTES);
    let manifest = submission.manifest();
    assert_eq!(manifest["data"]["available_bytes"], corpus::bytes(&scored));
    assert_eq!(
        manifest["referee"]["corpus_manifest_sha256"],
        report["manifest_sha256"]
    );
}

#[test]
fn a_killed_lock_goes_on_and_makes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let sources = at("sources");
    fs::create_dir(&sources).unwrap();
    for part in 0..6 {
        write_source(
            &sources.join(format!("{part}.jsonl")),
            part * 800..part * 800 + 800,
        );
    }
    let ran = finish(&mut lock(&[&sources], &at("whole")));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut child = lock(&[&sources], &at("killed"))
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let work = at(".killed.prism-lock");
    wait_for("a source that is read", Duration::from_secs(60), || {
        let journal = fs::read_to_string(work.join("journal.jsonl")).ok()?;
        (journal.lines().count() > 2).then_some(())
    });
    // While it works, nobody else may.
    let error = said(&finish(&mut lock(&[&sources], &at("killed"))), 5);
    assert!(
        error.contains("another prism data lock is at work on"),
        "{error}"
    );
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert!(!at("killed").exists());
    assert_eq!(
        fs::metadata(&work).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let ran = finish(&mut lock(&[&sources], &at("killed")));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stderr.contains("taking up an interrupted lock"),
        "{ran:?}"
    );
    let resumed = ran.json()["resumed_sources"].as_u64().unwrap();
    assert!((1..6).contains(&resumed), "{resumed}");
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

/// A corpus with canaries in val and test, and shards of several blocks.
fn large_corpus(folder: &Path) -> PathBuf {
    let source = folder.join("source.jsonl");
    write_source(&source, 0..600);
    let marked = fs::read_to_string(&source)
        .unwrap()
        .replace("\"text\":\"", &format!("\"text\":\"{CANARY} "));
    fs::write(&source, marked).unwrap();
    let root = folder.join("corpus");
    let ran = finish(&mut lock(&[&source], &root));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stderr.contains(CANARY));
    root
}

#[test]
fn every_edit_is_found_and_placed() {
    let folder = tempfile::tempdir().unwrap();
    let root = large_corpus(folder.path());
    let train = root.join("train/train-00000.jsonl");
    let val = root.join("val/val-00000.jsonl");
    let whole = fs::read(&train).unwrap();
    let secret = fs::read(&val).unwrap();
    assert!(whole.len() > 1_000_000, "{}", whole.len());
    // One letter of the text around byte 400,000: block 6 of 64 KiB.
    let place = 400_000
        + whole[400_000..]
            .iter()
            .position(|&byte| byte == b'w')
            .unwrap();
    let mut edited = whole.clone();
    edited[place] = b'v';
    fs::write(&train, &edited).unwrap();
    let error = said(&verify(&root), 4);
    let line = |at: usize| 1 + whole[..at].iter().filter(|&&byte| byte == b'\n').count();
    let (first, last) = (line(393_216), line(458_751));
    let words = format!(
        "train/train-00000.jsonl: bytes 393216 to 458752, documents {first} to {last}: got sha256"
    );
    assert!(error.contains(&words), "{error}");
    assert_eq!(read_json(&root.join("PROOF.json"))["state"], "failed");
    // A shorter file, and with it a fault of val.
    fs::write(&train, &whole[..whole.len() - 10]).unwrap();
    fs::write(&val, [&secret[..], b"{\"id\":\"x\"}\n"].concat()).unwrap();
    let error = said(&verify(&root), 4);
    assert!(error.contains("train/train-00000.jsonl: bytes "), "{error}");
    assert!(error.contains("val/val-00000.jsonl: bytes "), "{error}");
    fs::write(&train, &whole).unwrap();
    fs::write(&val, &secret).unwrap();
    // What does not belong there.
    fs::write(root.join("test/test-00007.jsonl"), "").unwrap();
    assert!(said(&verify(&root), 4).contains("test/test-00007.jsonl: not in the manifest"));
    fs::remove_file(root.join("test/test-00007.jsonl")).unwrap();
    let away = folder.path().join("away");
    fs::rename(&val, &away).unwrap();
    symlink(&away, &val).unwrap();
    assert!(said(&verify(&root), 4).contains("val/val-00000.jsonl: is a link, expected a file"));
    fs::remove_file(&val).unwrap();
    assert!(said(&verify(&root), 4).contains("val/val-00000.jsonl: No such file"));
    fs::rename(&away, &val).unwrap();
    assert_eq!(verify(&root).code, Some(0));
    assert_eq!(read_json(&root.join("PROOF.json"))["state"], "verified");
}

#[test]
fn a_manifest_that_tells_other_things_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let root = large_corpus(folder.path());
    let path = root.join("MANIFEST.json");
    let manifest = fs::read_to_string(&path).unwrap();
    let change = |change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_str(&manifest).unwrap();
        change(&mut value);
        fs::write(&path, serde_json::to_string_pretty(&value).unwrap()).unwrap();
        said(&verify(&root), 4)
    };
    let error = change(&|value| value["splits"]["train"]["doc_count"] = json!(1));
    assert!(
        error.contains("train: doc_count: the manifest says 1, its shards hold"),
        "{error}"
    );
    let error = change(&|value| value["splits"]["val"]["token_count"] = json!(1));
    assert!(
        error.contains("val: token_count: the manifest says 1"),
        "{error}"
    );
    let error = change(&|value| value["open"]["shards"] = json!([]));
    assert!(
        error.contains("open/open-00000.jsonl: not in the manifest"),
        "{error}"
    );
    let error = change(&|value| value["partition"]["modulus"] = json!(10));
    assert!(error.contains("partition"), "{error}");
    fs::write(&path, &manifest).unwrap();
    assert_eq!(verify(&root).code, Some(0));

    // The manifest of another corpus fits no shard of this one.
    let other = tempfile::tempdir().unwrap();
    let source = other.path().join("source.jsonl");
    write_source(&source, 5_000..5_600);
    let ran = finish(&mut lock(&[&source], &other.path().join("corpus")));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    fs::copy(other.path().join("corpus/MANIFEST.json"), &path).unwrap();
    let error = said(&verify(&root), 4);
    assert!(
        error.contains("it is probably that of another corpus"),
        "{error}"
    );
}

#[test]
fn no_run_starts_on_a_corpus_that_is_not_proven() {
    let contest = Contest::new(json!({}));
    contest.submit("small.zip", SMALL, &training());
    let root = contest.corpus();
    let refused = |reason: &str| {
        let ran = finish(&mut contest.prism(&["run", "--format", "json"]));
        assert_eq!(ran.code, Some(4), "{reason}: {ran:?}");
        let report = ran.json();
        let lines = report["infrastructure"].as_array().unwrap();
        let line = lines[0].as_str().unwrap();
        assert_eq!(lines.len(), 1, "{report:#}");
        assert!(line.contains(reason), "{line}");
        let command = format!("; run: prism data verify {}", root.display());
        assert!(line.contains(&command) && !line.contains('\n'), "{line}");
        let status = &contest.submission("small.zip").status;
        assert_eq!(
            (&status["state"], &status["attempts"]),
            (&json!("reviewed"), &json!(0))
        );
    };
    let prove = || {
        let ran = verify(&root);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    };
    fs::remove_file(root.join("PROOF.json")).unwrap();
    refused("PROOF.json is missing");
    fs::write(root.join("PROOF.json"), "{}").unwrap();
    refused("does not fit its schema");
    prove();
    // The same bytes, the same time of modification: the inode tells.
    let shard = root.join("train/train-00001.jsonl");
    let bytes = fs::read(&shard).unwrap();
    let modified = fs::metadata(&shard).unwrap().modified().unwrap();
    fs::write(&shard, &bytes).unwrap();
    fs::File::options()
        .write(true)
        .open(&shard)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    refused("train/train-00001.jsonl was changed since it was verified");
    prove();
    fs::write(root.join("val/notes.txt"), "").unwrap();
    refused("val/notes.txt is not in the manifest");
    fs::remove_file(root.join("val/notes.txt")).unwrap();
    let manifest = fs::read(root.join("MANIFEST.json")).unwrap();
    fs::write(root.join("MANIFEST.json"), [&manifest[..], b"\n"].concat()).unwrap();
    refused("the manifest was changed or replaced since it was verified");
    fs::write(root.join("MANIFEST.json"), &manifest).unwrap();
    fs::rename(&shard, contest.root().join("away")).unwrap();
    refused("train/train-00001.jsonl is gone");
    assert_eq!(verify(&root).code, Some(4));
    refused("faults were found at");
    fs::rename(contest.root().join("away"), &shard).unwrap();
    let ran = finish(prism(["data", "verify", "--splits", "val,test"]).arg(&root));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    refused("split train was not verified");
    // Test need not be where submissions are measured.
    fs::remove_dir_all(root.join("test")).unwrap();
    let ran = finish(prism(["data", "verify", "--splits", "train,val"]).arg(&root));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(contest.submission("small.zip").state(), "scored");
}
