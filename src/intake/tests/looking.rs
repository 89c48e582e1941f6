//! What a look sees, and when a file is ready.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{CWD, FileType, Mode};
use tempfile::TempDir;

use super::super::{Customs, Inbox, IntakeError, Seen, WaitReason};
use super::{EMPTY_ZIP, OLD, SETTLE, inbox_of, put, ready};

#[test]
fn submissions_are_found_in_folders_but_not_too_deep() {
    let directory = TempDir::new().expect("a directory");
    for name in [
        "b.zip",
        "a.ZIP",
        "x/c.zip",
        "x/y/z/d.zip",
        "x/y/z/w/deep.zip",
    ] {
        put(&directory, name, EMPTY_ZIP, OLD);
    }
    let seen = inbox_of(&directory).look().expect("an inbox");
    assert_eq!(ready(&seen), ["a.ZIP", "b.zip", "c.zip", "d.zip"]);
    assert_eq!(seen.len(), 4);
}

#[test]
fn hidden_and_temporary_names_are_not_mentioned() {
    let directory = TempDir::new().expect("a directory");
    let names = [
        ".a.zip.Xy12zW",
        ".~tmp~/a.zip",
        "a.zip.part",
        "a.zip.6eF6a0b1",
        "half.partial/a.zip",
        "a.zip~",
    ];
    for name in names {
        put(&directory, name, EMPTY_ZIP, OLD);
    }
    assert_eq!(inbox_of(&directory).look().expect("an inbox"), []);
}

#[test]
fn what_is_no_submission_is_said_once() {
    let directory = TempDir::new().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    put(&directory, "notes.txt", b"", OLD);
    put(&directory, ".target", EMPTY_ZIP, OLD);
    symlink(path(".target"), path("link.zip")).expect("a link");
    symlink("/etc", path("folder-link")).expect("a link");
    rustix::fs::mknodat(CWD, path("pipe.zip"), FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
    let _listener = UnixListener::bind(path("socket.zip")).expect("a socket");

    let mut inbox = inbox_of(&directory);
    let seen = inbox.look().expect("an inbox");
    let mut reasons: Vec<String> = seen
        .iter()
        .map(|seen| match seen {
            Seen::Ignored { path, reason } => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                format!("{name}: {reason}")
            }
            other => panic!("{other:?}"),
        })
        .collect();
    reasons.sort();
    assert_eq!(
        reasons,
        [
            "folder-link: the name ends neither with .zip nor with .py nor with .json",
            "link.zip: a symbolic link, not a regular file",
            "notes.txt: the name ends neither with .zip nor with .py nor with .json",
            "pipe.zip: a named pipe, not a regular file",
            "socket.zip: a socket, not a regular file",
        ]
    );
    assert_eq!(inbox.look().expect("an inbox"), []);
}

#[test]
fn thousands_at_once_are_all_seen_once() {
    let directory = TempDir::new().expect("a directory");
    for number in 0..3_000 {
        put(
            &directory,
            &format!("{}/{number}.zip", number % 7),
            EMPTY_ZIP,
            OLD,
        );
    }
    let mut inbox = inbox_of(&directory);
    assert_eq!(ready(&inbox.look().expect("an inbox")).len(), 3_000);
    assert_eq!(inbox.look().expect("an inbox"), []);
    put(&directory, "3/10.zip", b"PK\x05\x06", OLD);
    assert_eq!(ready(&inbox.look().expect("an inbox")), ["10.zip"]);
}

#[test]
fn copying_tools_are_waited_for_each_in_its_way() {
    // What lies there in the middle of a copy and what at its end, with the time that the tool sets, or none.
    let half = &EMPTY_ZIP[..11];
    let tools: [(&str, &str, Option<Duration>); 10] = [
        ("rsync", ".a.zip.Xy12zW", Some(OLD)),
        ("rsync --delay-updates", ".~tmp~/a.zip", Some(OLD)),
        ("rsync --partial-dir", ".rsync-partial/a.zip", Some(OLD)),
        ("rsync --inplace", "a.zip", Some(OLD)),
        ("aws s3 sync", "a.zip.6eF6a0b1", Some(OLD)),
        ("rclone", "a.zip.1f2e3d4c.partial", Some(OLD)),
        ("s3cmd sync", ".s3cmd.Ab12Cd.tmp", Some(OLD)),
        ("s3cmd get", "a.zip", Some(OLD)),
        ("scp", "a.zip", None),
        ("an editor", ".a.zip.swp", None),
    ];
    for (tool, name, time_kept) in tools {
        let directory = TempDir::new().expect("a directory");
        let mut inbox = inbox_of(&directory);
        put(&directory, name, half, Duration::ZERO);
        assert_eq!(ready(&inbox.look().expect("an inbox")), [""; 0], "{tool}");
        fs::remove_file(directory.path().join(name)).expect("a removal");
        put(&directory, "a.zip", EMPTY_ZIP, time_kept.unwrap_or(SETTLE));
        assert_eq!(ready(&inbox.look().expect("an inbox")), ["a.zip"], "{tool}");
    }
}

#[test]
fn a_file_is_offered_once_for_each_state() {
    let directory = TempDir::new().expect("a directory");
    let path = put(&directory, "a.zip", EMPTY_ZIP, OLD);
    let mut inbox = inbox_of(&directory);
    assert_eq!(ready(&inbox.look().expect("an inbox")), ["a.zip"]);
    assert_eq!(inbox.look().expect("an inbox"), []);
    inbox.offer_again(&path);
    assert_eq!(ready(&inbox.look().expect("an inbox")), ["a.zip"]);
    put(&directory, "a.zip", &[EMPTY_ZIP, EMPTY_ZIP].concat(), OLD);
    assert_eq!(ready(&inbox.look().expect("an inbox")), ["a.zip"]);
    fs::remove_file(&path).expect("removal");
    assert_eq!(inbox.look().expect("an inbox"), []);
}

#[test]
fn a_growing_file_waits_until_it_rests() {
    let directory = TempDir::new().expect("a directory");
    let mut inbox = inbox_of(&directory);
    let (start, wall) = (Instant::now(), SystemTime::now());
    let mut look = |seconds: u64| {
        let after = Duration::from_secs(seconds);
        inbox
            .look_at(start + after, wall + after)
            .expect("an inbox")
    };
    // The sender's clock is an hour ahead throughout.
    let put_ahead = |content: &[u8]| {
        let path = put(&directory, "a.zip", content, Duration::ZERO);
        File::options()
            .write(true)
            .open(path)
            .and_then(|file| file.set_modified(wall + OLD))
            .expect("a time");
    };
    put_ahead(b"PK\x03\x04 first");
    assert_eq!(ready(&look(0)), [""; 0]);
    put_ahead(b"PK\x03\x04 first second");
    assert_eq!(ready(&look(10)), [""; 0]);
    let waiting = look(11);
    assert!(
        matches!(waiting[..], [Seen::Waiting { reason: WaitReason::Young, look_again_in, .. }]
            if look_again_in == Duration::from_secs(1)),
        "{waiting:?}"
    );
    assert_eq!(ready(&look(12)), ["a.zip"]);
}

#[test]
fn an_old_file_without_an_end_waits_for_our_own_clock() {
    let directory = TempDir::new().expect("a directory");
    put(&directory, "cut.zip", b"PK\x03\x04", Duration::from_secs(5));
    put(&directory, "whole.zip", EMPTY_ZIP, Duration::from_secs(5));
    let mut inbox = inbox_of(&directory);
    let (start, wall) = (Instant::now(), SystemTime::now());
    let seen = inbox.look_at(start, wall).expect("an inbox");
    assert_eq!(ready(&seen), ["whole.zip"]);
    assert!(
        matches!(
            &seen[0],
            Seen::Waiting {
                reason: WaitReason::Incomplete,
                ..
            }
        ),
        "{seen:?}"
    );
    let seen = inbox
        .look_at(start + SETTLE, wall + SETTLE)
        .expect("an inbox");
    assert_eq!(ready(&seen), ["cut.zip"]);
}

#[test]
fn a_run_that_ends_waits_for_young_files() {
    let directory = TempDir::new().expect("a directory");
    put(&directory, "a.zip", EMPTY_ZIP, Duration::ZERO);
    let mut inbox = Inbox::new(
        directory.path(),
        Customs::settling(Duration::from_millis(150)),
    );
    let seen = inbox
        .look_until_settled(Duration::from_secs(20))
        .expect("an inbox");
    assert_eq!(ready(&seen), ["a.zip"]);
    put(&directory, "b.zip", EMPTY_ZIP, Duration::ZERO);
    let mut inbox = Inbox::new(
        directory.path(),
        Customs::settling(Duration::from_secs(3600)),
    );
    let seen = inbox
        .look_until_settled(Duration::from_millis(30))
        .expect("an inbox");
    assert_eq!(seen.len(), 2);
    assert!(
        seen.iter().all(|seen| matches!(seen, Seen::Waiting { .. })),
        "{seen:?}"
    );
}

#[test]
fn an_inbox_that_is_none() {
    let directory = TempDir::new().expect("a directory");
    let missing = Inbox::new(directory.path().join("no"), Customs::settling(SETTLE)).look();
    assert!(
        matches!(missing, Err(IntakeError::InboxMissing { .. })),
        "{missing:?}"
    );
    let file = put(&directory, "file", b"", OLD);
    let error = Inbox::new(&file, Customs::settling(SETTLE))
        .look()
        .expect_err("a file");
    assert!(
        matches!(error, IntakeError::InboxNotDirectory { .. }),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .ends_with("got a regular file, expected a directory")
    );
    assert!(!error.hint().is_empty());
}
