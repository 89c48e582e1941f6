//! Folders that are one submission, and folders that are only walked.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{CWD, FileType, Mode};
use tempfile::TempDir;

use super::super::{Candidate, Content, Form, IgnoredReason, Reading, Seen, Sentinel, read};
use super::{EMPTY_ZIP, OLD, SETTLE, inbox_of, put, ready};

fn only(seen: Vec<Seen>) -> Candidate {
    match <[Seen; 1]>::try_from(seen) {
        Ok([Seen::Ready(candidate)]) => candidate,
        other => panic!("{other:?}"),
    }
}

/// Looks twice, a settling time apart.
fn settled(directory: &TempDir) -> Vec<Seen> {
    let mut inbox = inbox_of(directory);
    let (start, wall) = (Instant::now(), SystemTime::now());
    inbox.look_at(start, wall).expect("an inbox");
    let seen = inbox.look_at(start + SETTLE, wall + SETTLE);
    seen.expect("an inbox")
}

#[test]
fn a_folder_with_a_script_is_one_submission() {
    for mark in ["architecture.py", "training.py", "prism.yaml", "prism.yml"] {
        let directory = TempDir::new().expect("a directory");
        for name in [mark, "other.py", "lib/deep.py", ".hidden", "lib/.git/x"] {
            put(&directory, &format!("run/{name}"), name.as_bytes(), OLD);
        }
        let candidate = only(settled(&directory));
        assert_eq!(
            (candidate.name.as_str(), candidate.form),
            ("run", Form::Folder)
        );
        let Ok(Reading::Delivery(delivery)) = read(&candidate, 1_000, Sentinel::None) else {
            panic!("not read");
        };
        let Content::Files(files) = delivery.content else {
            panic!("no files");
        };
        let mut expected = [mark, "lib/deep.py", "other.py"];
        expected.sort_unstable();
        assert_eq!(
            files.keys().map(String::as_str).collect::<Vec<_>>(),
            expected
        );
        assert_eq!(files[mark], mark.as_bytes());
    }
}

#[test]
fn other_folders_are_walked_and_the_inbox_itself_is_none() {
    let directory = TempDir::new().expect("a directory");
    for name in [
        "architecture.py",
        "x/a.zip",
        "x/y/architecture.py",
        "x/y/z.zip",
    ] {
        put(&directory, name, EMPTY_ZIP, OLD);
    }
    let mut inbox = inbox_of(&directory);
    let (start, wall) = (Instant::now(), SystemTime::now());
    let at_once = inbox.look_at(start, wall).expect("an inbox");
    assert_eq!(ready(&at_once), ["architecture.py", "a.zip"]);
    let later = inbox.look_at(start + SETTLE, wall + SETTLE);
    assert_eq!(ready(&later.expect("an inbox")), ["y"]);
}

#[test]
fn a_folder_rests_as_a_whole_whatever_times_its_files_were_given() {
    let directory = TempDir::new().expect("a directory");
    let mut inbox = inbox_of(&directory);
    let (start, wall) = (Instant::now(), SystemTime::now());
    let mut look = |seconds: u64| {
        let after = Duration::from_secs(seconds);
        ready(
            &inbox
                .look_at(start + after, wall + after)
                .expect("an inbox"),
        )
    };
    put(&directory, "run/architecture.py", b"a", OLD);
    assert_eq!(look(0), [""; 0], "copied with its times, and not old");
    put(&directory, "run/lib/x.py", b"a", OLD);
    assert_eq!(look(10), [""; 0]);
    put(&directory, "run/lib/x.py", b"b", OLD);
    assert_eq!(look(20), [""; 0]);
    assert_eq!(look(22), ["run"]);
    assert_eq!(look(23), [""; 0], "offered once");
    fs::remove_file(directory.path().join("run/lib/x.py")).expect("a removal");
    assert_eq!(look(24), [""; 0]);
    assert_eq!(look(26), ["run"], "in another state");
}

#[test]
fn a_folder_that_changes_is_not_taken_and_links_lead_nowhere() {
    let directory = TempDir::new().expect("a directory");
    let secret = put(&directory, ".secret", b"secret", OLD);
    put(&directory, "run/training.py", b"t", OLD);
    put(&directory, "run/lib/x.py", b"x", OLD);
    symlink(&secret, directory.path().join("run/link.py")).expect("a link");
    symlink("/etc", directory.path().join("run/etc")).expect("a link");
    let pipe = directory.path().join("run/pipe.py");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
    let candidate = only(settled(&directory));
    let Ok(Reading::Delivery(delivery)) = read(&candidate, 1_000, Sentinel::None) else {
        panic!("not read");
    };
    let Content::Files(files) = delivery.content else {
        panic!("no files");
    };
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        ["lib/x.py", "training.py"]
    );
    // a folder in it becomes a link, and then it is a link itself
    let folder = directory.path().join("run");
    fs::rename(folder.join("lib"), directory.path().join(".lib")).expect("a rename");
    symlink("/etc", folder.join("lib")).expect("a link");
    assert_eq!(
        read(&candidate, 1_000, Sentinel::None).ok(),
        Some(Reading::Changed)
    );
    fs::rename(&folder, directory.path().join(".run")).expect("a rename");
    assert_eq!(
        read(&candidate, 1_000, Sentinel::None).ok(),
        Some(Reading::Changed)
    );
    symlink("/etc", &folder).expect("a link");
    assert_eq!(
        read(&candidate, 1_000, Sentinel::None).ok(),
        Some(Reading::Changed)
    );
}

#[test]
fn folders_that_are_too_large_cost_nothing() {
    let directory = TempDir::new().expect("a directory");
    put(&directory, "large/training.py", &[b' '; 1_001], OLD);
    let candidate = only(settled(&directory));
    assert!(matches!(
        read(&candidate, 1_000, Sentinel::None),
        Ok(Reading::Oversized(_))
    ));
    let directory = TempDir::new().expect("a directory");
    put(&directory, "many/training.py", b"", OLD);
    for number in 0..2_000 {
        fs::write(directory.path().join(format!("many/{number}")), "").expect("a file");
    }
    let deep: String = "deep/".repeat(20);
    put(&directory, &format!("steep/{deep}x.py"), b"", OLD);
    put(&directory, "steep/training.py", b"", OLD);
    let seen = settled(&directory);
    assert_eq!(seen, [], "said at the first look");
    let seen = inbox_of(&directory).look().expect("an inbox");
    let too_much = |seen: &Seen| {
        matches!(
            seen,
            Seen::Ignored {
                reason: IgnoredReason::TooMuch,
                ..
            }
        )
    };
    assert!(seen.len() == 2 && seen.iter().all(too_much), "{seen:?}");
}
