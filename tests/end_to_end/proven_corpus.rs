//! `prism data verify` and the proof: edits are found and placed, and no run starts on a corpus that is not proven.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::contest::{Contest, finish, prism};
use crate::corpus::{self, CANARY};
use crate::locked_corpus::{files, lock, locked_data_v1, said, text, verify, write_source};
use crate::outbox::read_json;
use crate::submissions::{SMALL, training};

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
