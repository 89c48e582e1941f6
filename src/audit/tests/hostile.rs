//! Folders that were made to hurt: everything is a finding, nothing a crash or a wait.

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use super::super::streams;
use super::{RunVerdict, audited, failed, fixture, told};

#[test]
fn links_pipes_and_folders_in_the_place_of_files() {
    for name in [
        "status.json",
        "submission.zip",
        "online_loss.parquet",
        "digests.json",
        "prism_run_manifest.v2.json",
    ] {
        let run = fixture::run(None);
        let path = run.folder.join(name);
        fs::remove_file(&path).unwrap();
        symlink("/dev/zero", &path).unwrap();
        let audit = audited(&run.folder);
        assert_eq!(audit.verdict, RunVerdict::Inconsistent, "{name}");
        assert!(told(&audit).contains(&format!("{name}: a symbolic link, not opened")));

        fs::remove_file(&path).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let audit = audited(&run.folder);
        assert_eq!(audit.verdict, RunVerdict::Inconsistent, "{name}");
        assert!(told(&audit).contains(&format!("{name}: a pipe, not opened")));

        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(
            audited(&run.folder).verdict,
            RunVerdict::Inconsistent,
            "{name}"
        );
    }
}

#[test]
fn files_of_absurd_length_are_not_read() {
    for name in [
        "status.json",
        "digests.json",
        "run.log",
        "submission.zip",
        "heldout.parquet",
    ] {
        let run = fixture::run(None);
        // sparse: nobody has a petabyte, and reading the zeros would take days
        let file = File::options()
            .write(true)
            .open(run.folder.join(name))
            .unwrap();
        if file.set_len(1 << 43).is_err() {
            file.set_len(1 << 41).unwrap();
        }
        let audit = audited(&run.folder);
        assert_eq!(audit.verdict, RunVerdict::Inconsistent, "{name}");
        if name != "digests.json" {
            run.forge_length(name, &file);
            assert_eq!(
                audited(&run.folder).verdict,
                RunVerdict::Inconsistent,
                "{name}"
            );
        }
    }
}

impl fixture::Run {
    /// A digest list that agrees with the length: then the limit has to stop it.
    fn forge_length(&self, name: &str, file: &File) {
        let path = self.folder.join("digests.json");
        let mut list: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let entries = list["files"].as_array_mut().unwrap();
        let entry = entries
            .iter_mut()
            .find(|entry| entry["path"] == name)
            .unwrap();
        entry["bytes"] = file.metadata().unwrap().len().into();
        let text = serde_json::to_string_pretty(&list).unwrap();
        fs::write(&path, format!("{text}\n")).unwrap();
    }
}

#[test]
fn documents_that_are_none() {
    let deep = "[".repeat(100_000);
    for text in [
        "",
        "null",
        "[]",
        "{}",
        "{\"a\": NaN}",
        "{\"a\":1,\"a\":2}",
        &deep,
        "\u{0}\u{1b}[31m",
    ] {
        for name in [
            "status.json",
            "prism_run_manifest.v2.json",
            "review.json",
            "digests.json",
            "signature.json",
            "run_config.json",
        ] {
            let run = fixture::run(None);
            fs::write(run.folder.join(name), text).unwrap();
            let audit = audited(&run.folder);
            assert_eq!(
                audit.verdict,
                RunVerdict::Inconsistent,
                "{name}: {text:.20}"
            );
            assert!(!told(&audit).contains('\u{1b}'), "{name}");
        }
    }
}

#[test]
fn a_list_may_not_name_what_is_outside() {
    for path in ["../outside", "/etc/passwd", "sub/../status.json"] {
        let run = fixture::run(None);
        let list = run.folder.join("digests.json");
        let text = fs::read_to_string(&list).unwrap();
        fs::write(&list, text.replace("run.log", path)).unwrap();
        fs::write(run.folder.parent().unwrap().join("outside"), "epoch 1\n").unwrap();
        let audit = audited(&run.folder);
        assert_eq!(failed(&audit), ["digests"], "{path}");
        assert!(told(&audit).contains(&format!("{path}: listed, and not there")));
    }
}

#[test]
fn damaged_streams_are_not_decoded() {
    let run = fixture::run(None);
    let path = run.folder.join("online_loss.parquet");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&path, bytes).unwrap();
    let standards = super::Standards {
        known_keys: &[],
        prism_sha256: None,
        referee_sha256: None,
        tokenizers: std::path::Path::new("/nowhere"),
        recompute: &|_| panic!("decoded"),
    };
    let audit = super::audit("run", &run.folder, &standards);
    assert_eq!(failed(&audit), ["digests", "streams"]);
}

#[test]
fn a_recomputation_names_no_folder() {
    let run = fixture::run(None);
    fs::write(run.folder.join("heldout.parquet"), "PAR1").unwrap();
    let reason = streams::recompute(&run.folder).unwrap_err();
    assert!(reason.starts_with("heldout.parquet"), "{reason}");
}

#[test]
fn what_is_no_folder_is_unreadable() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file, root.path().join("absent")] {
        assert_eq!(audited(&path).verdict, RunVerdict::Unreadable);
    }
    assert_eq!(audited(root.path()).verdict, RunVerdict::Inconsistent);
}
