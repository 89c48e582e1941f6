use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{ExportError, Limits, pack, unpack};
use crate::outbox::Outbox;
use crate::outbox::status::{Reason, Status, Verdict};

/// A sealed run with a file of that content.
fn run(root: &Path, id: &str, content: &[u8]) -> PathBuf {
    let outbox = Outbox::new(root);
    let mut status = Status::new(id, "a.zip", None, SystemTime::UNIX_EPOCH);
    status.write(&outbox).unwrap();
    let folder = outbox.submission(id);
    std::fs::write(folder.join("run.log"), content).unwrap();
    let reason = Reason {
        rule_id: "prism:x".into(),
        message: "m".into(),
        hint: "h".into(),
    };
    status.conclude(Verdict::Failed, Some(reason), SystemTime::UNIX_EPOCH);
    status.write(&outbox).unwrap();
    folder
}

/// Names and files of runs.
type Listed = Vec<(String, Vec<String>)>;

/// What is in an archive, up to where it breaks.
fn listed(path: &Path, limits: Limits) -> (Listed, Result<(), ExportError>) {
    let mut runs = Vec::new();
    let result = unpack(path, limits, &mut |name, folder| {
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        runs.push((name.to_owned(), files));
    });
    (runs, result)
}

#[test]
fn the_same_runs_are_the_same_bytes() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folders = [run(one.path(), "b", b"log"), run(one.path(), "a", b"")];
    let others = [run(two.path(), "a", b""), run(two.path(), "b", b"log")];
    for name in ["runs.tar", "runs.tar.zst"] {
        let (first, second) = (one.path().join(name), two.path().join(name));
        assert_eq!(pack(&folders, &first).unwrap(), 6);
        pack(&others, &second).unwrap();
        let bytes = std::fs::read(&first).unwrap();
        assert!(bytes == std::fs::read(&second).unwrap(), "{name}");
        let (runs, result) = listed(&first, Limits::default());
        result.unwrap();
        let files = ["digests.json", "run.log", "status.json"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(
            runs,
            [("a".to_owned(), files.clone()), ("b".to_owned(), files)]
        );
        // cut short anywhere, it is no archive
        for length in (1..bytes.len()).step_by(97) {
            std::fs::write(&second, &bytes[..length]).unwrap();
            let (runs, result) = listed(&second, Limits::default());
            assert!(
                result.is_err() || (name == "runs.tar" && runs.len() == 2),
                "{name}, {length}"
            );
        }
    }
}

#[test]
fn only_whole_runs_are_packed() {
    let root = tempfile::tempdir().unwrap();
    let folder = run(root.path(), "a", b"log");
    let output = root.path().join("runs.tar");
    let twice = pack(&[folder.clone(), folder.clone()], &output);
    assert!(matches!(twice, Err(ExportError::Twice { .. })));
    std::fs::write(folder.join("run.log"), "lag").unwrap();
    let error = pack(std::slice::from_ref(&folder), &output).unwrap_err();
    assert!(error.to_string().contains("run.log: got sha256"), "{error}");
    std::fs::write(folder.join("run.log"), "log").unwrap();
    std::fs::remove_file(folder.join("digests.json")).unwrap();
    let error = pack(&[folder], &output).unwrap_err();
    assert!(matches!(error, ExportError::Unsealed { .. }), "{error}");
    assert!(!output.exists());
}

/// A tar with one entry made by hand.
fn tar_of(names: &[&str], kind: tar::EntryType, content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for name in names {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        if kind.is_symlink() {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        archive.append(&header, content).unwrap();
    }
    archive.into_inner().unwrap()
}

#[test]
fn hostile_archives_write_nothing_outside_and_are_refused() {
    use tar::EntryType;
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("runs.tar");
    let regular = EntryType::Regular;
    let cases: [(&[&str], EntryType, &str); 15] = [
        (&["../outside"], regular, "is not the name"),
        (&["a/../../outside"], regular, "is not the name"),
        (&["/etc/outside"], regular, "is not the name"),
        (&["a//b"], regular, "is not the name"),
        (&["a/./b"], regular, "is not the name"),
        (&["a/b\u{1}"], regular, "is not the name"),
        (&["a\\b/c"], regular, "is not the name"),
        (&["alone"], regular, "is not the name"),
        (&["a/1/2/3/4/5"], regular, "is not the name"),
        (&["a/x", "a/x"], regular, "exists"),
        (&["a/x", "b/x", "a/y"], regular, "comes in two parts"),
        (&["a/x"], EntryType::Symlink, "no regular file"),
        (&["a/x"], EntryType::Link, "no regular file"),
        (&["a/x"], EntryType::Fifo, "no regular file"),
        (&["a/x"], EntryType::GNULongName, "no regular file"),
    ];
    for (names, kind, expected) in cases {
        std::fs::write(&path, tar_of(names, kind, b"")).unwrap();
        let (_, result) = listed(&path, Limits::default());
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{names:?}: {error}");
    }
    for text in [
        &b"not a tar, but long enough to be looked at"[..],
        &[255; 1024],
    ] {
        std::fs::write(&path, text).unwrap();
        assert!(listed(&path, Limits::default()).1.is_err());
    }
    assert!(
        listed(&root.path().join("absent"), Limits::default())
            .1
            .is_err()
    );
}

#[test]
fn bombs_stop_at_the_limits() {
    let root = tempfile::tempdir().unwrap();
    let limits = Limits {
        runs: 2,
        files: 3,
        run_bytes: 100_000,
        total_bytes: 1_000_000,
        window_log: 20,
    };
    let zeros = vec![0; 90_000];
    let compressed = |name: &str, tar: &[u8]| {
        let path = root.path().join(name);
        let mut file = zstd::Encoder::new(std::fs::File::create(&path).unwrap(), 1).unwrap();
        file.write_all(tar).unwrap();
        file.finish().unwrap();
        path
    };
    let cases: [(&[&str], &str); 3] = [
        (&["a/1", "a/2"], "more than 3 files or 100000 bytes"),
        (&["a/1", "b/1", "c/1"], "more than 2 runs"),
        (&["a/1"], ""),
    ];
    for (names, expected) in cases {
        let path = compressed(
            "runs.tar.zst",
            &tar_of(names, tar::EntryType::Regular, &zeros),
        );
        let result = listed(&path, limits).1;
        match expected {
            "" => result.unwrap(),
            _ => assert!(
                result.unwrap_err().to_string().contains(expected),
                "{names:?}"
            ),
        }
    }
    // a header that promises more than comes
    let mut tar = tar_of(&["a/1"], tar::EntryType::Regular, &zeros);
    tar.truncate(2_000);
    assert!(listed(&compressed("cut.tar.zst", &tar), limits).1.is_err());
    // zeros without end are the end of a tar; they are not read on
    let path = compressed("zeros.tar.zst", &vec![0; 10_000_000]);
    assert!(listed(&path, limits).1.is_err());
}
