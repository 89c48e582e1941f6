//! Locks that end early, meet others, or find something in their place.

use super::*;

#[test]
fn a_lock_that_failed_goes_on_and_makes_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let sources: Vec<PathBuf> = (0..4)
        .map(|part| {
            let documents = documents(part * 100..part * 100 + 100);
            write(
                folder.path().join(format!("{part}.jsonl")),
                json_lines(&documents),
            )
        })
        .collect();
    let expected = contents(&locked(folder.path(), "whole", &sources));
    let good = fs::read(&sources[2]).unwrap();
    fs::write(
        &sources[2],
        [&good[..], b"{\"id\":\"x\",\"text\":\"SECRET"].concat(),
    )
    .unwrap();
    let error = failure(folder.path(), &sources).to_string();
    assert!(
        error.ends_with("2.jsonl:101: not a JSON object (column 24)"),
        "{error}"
    );
    let work = folder.path().join(".corpus.prism-lock");
    assert_eq!(
        fs::metadata(&work).unwrap().permissions().mode() & 0o777,
        0o700
    );
    // What a kill can leave: half a line of the journal, a run that nobody knows, half a corpus.
    let mut journal = fs::OpenOptions::new()
        .append(true)
        .open(work.join("journal.jsonl"))
        .unwrap();
    journal.write_all(b"{\"what\":\"finished\",\"iden").unwrap();
    write(work.join("00000099.run"), "half a run");
    write(work.join("corpus/train/train-00000.jsonl"), "half a shard");
    fs::write(&sources[2], good).unwrap();
    // A source that changed in between is read again.
    fs::write(&sources[0], fs::read(&sources[0]).unwrap()).unwrap();
    let report = lock(&options(folder.path().join("corpus"), &sources), &quiet()).unwrap();
    assert_eq!(report.resumed_sources, 1);
    assert_eq!(contents(&folder.path().join("corpus")), expected);
    assert!(!work.exists());
}

#[test]
fn more_runs_than_files_may_be_open_are_merged_in_between() {
    let folder = tempfile::tempdir().unwrap();
    let all = documents(0..1_200);
    let many = folder.path().join("many");
    for (n, part) in all.chunks(4).enumerate() {
        write(many.join(format!("{n:04}.jsonl")), json_lines(part));
    }
    let plain = write(folder.path().join("plain.jsonl"), json_lines(&all));
    let expected = contents(&locked(folder.path(), "a", &[plain]));
    assert_eq!(expected, contents(&locked(folder.path(), "b", &[many])));
}

#[test]
fn two_locks_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let source = write(folder.path().join("a.jsonl"), json_lines(&documents(0..50)));
    let held = WorkFolder::open(&folder.path().join("corpus")).unwrap();
    let error = failure(folder.path(), std::slice::from_ref(&source));
    assert!(matches!(error, DatasetError::Busy { .. }), "{error}");
    // A lock of a process that is gone frees itself.
    drop(held);
    locked(folder.path(), "corpus", &[source]);
}

#[test]
fn nothing_that_exists_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let source = write(at("a.jsonl"), json_lines(&documents(0..50)));
    let refused = |root: &str, words: &str| {
        let error = lock(&options(at(root), std::slice::from_ref(&source)), &quiet()).unwrap_err();
        assert!(matches!(error, DatasetError::Output { .. }), "{error}");
        assert!(error.to_string().ends_with(words), "{error}");
    };
    locked(folder.path(), "corpus", std::slice::from_ref(&source));
    refused(
        "corpus",
        "is a corpus already; a locked corpus is never overwritten",
    );
    write(at("full/file"), "");
    refused("full", "exists and is not empty");
    refused("a.jsonl", "exists and is no folder");
    std::os::unix::fs::symlink(at("nowhere"), at("link")).unwrap();
    refused("link", "is a link, expected a new folder");
    refused("corpus/..", "got no name for the corpus");
    write(at(".taken.prism-lock"), "");
    refused("taken", "is in the way: it is no folder of ours");
    fs::create_dir(at("empty")).unwrap();
    locked(folder.path(), "empty", std::slice::from_ref(&source));
}

#[test]
fn a_run_that_a_power_failure_damaged_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let good = write(folder.path().join("a.jsonl"), json_lines(&documents(0..50)));
    let bad = write(folder.path().join("b.jsonl"), "{");
    failure(folder.path(), &[good.clone(), bad]);
    let work = folder.path().join(".corpus.prism-lock");
    for kind in ["run", "hashes"] {
        let damaged = fs::read_dir(&work)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|extension| extension == kind))
            .unwrap();
        let whole = fs::read(&damaged).unwrap();
        let mut bytes = whole.clone();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&damaged, bytes).unwrap();
        let error = failure(folder.path(), std::slice::from_ref(&good));
        assert!(matches!(error, DatasetError::Work { .. }), "{error}");
        assert!(
            error.to_string().contains("to start over, remove"),
            "{error}"
        );
        fs::write(&damaged, whole).unwrap();
    }
    let report = lock(&options(folder.path().join("corpus"), &[good]), &quiet()).unwrap();
    assert_eq!(report.resumed_sources, 1);
}
