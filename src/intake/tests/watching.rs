//! When to look.

use std::fs;
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

use super::super::{Next, Watch};
use super::{EMPTY_ZIP, OLD, put};

#[test]
fn watching_wakes_for_changes_and_ends_when_told() {
    let directory = TempDir::new().expect("a directory");
    let watch = Watch::new(directory.path(), Duration::from_secs(3600));
    let stopper = watch.stopper();
    let (wakes, woken) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        watch.run(|wake| {
            wakes.send(format!("{wake:?}")).expect("a listener");
            Next::WaitForChange
        });
    });
    let wait = Duration::from_secs(20);
    assert_eq!(woken.recv_timeout(wait).as_deref(), Ok("Start"));
    put(&directory, "a.zip", EMPTY_ZIP, OLD);
    assert_eq!(woken.recv_timeout(wait).as_deref(), Ok("Change"));
    put(&directory, "folder/b.zip", EMPTY_ZIP, OLD);
    assert_eq!(woken.recv_timeout(wait).as_deref(), Ok("Change"));
    // Let the last burst pass, then read: that wakes nobody.
    while woken.recv_timeout(Duration::from_millis(500)).is_ok() {}
    fs::read(directory.path().join("a.zip")).expect("a file");
    fs::read_dir(directory.path()).expect("a directory").count();
    assert!(woken.recv_timeout(Duration::from_millis(500)).is_err());
    stopper.stop();
    thread.join().expect("an orderly end");
}

#[test]
fn watching_polls_and_obeys() {
    let directory = TempDir::new().expect("a directory");
    let mut wakes = Vec::new();
    Watch::new(directory.path(), Duration::from_millis(30)).run(|wake| {
        wakes.push(format!("{wake:?}"));
        match wakes.len() {
            1 => Next::LookAgainIn(Duration::ZERO),
            2 => Next::WaitForChange,
            _ => Next::Stop,
        }
    });
    assert_eq!(wakes, ["Start", "Change", "Poll"]);
}

#[test]
fn watching_survives_an_inbox_that_comes_later() {
    let directory = TempDir::new().expect("a directory");
    let inbox = directory.path().join("inbox");
    let mut wakes = 0;
    Watch::new(&inbox, Duration::from_millis(20)).run(|wake| {
        wakes += 1;
        match (wakes, wake) {
            (1, _) => Next::WaitForChange,
            (2, _) => {
                fs::create_dir(&inbox).expect("a directory");
                Next::WaitForChange
            }
            (3, _) => {
                fs::write(inbox.join("a.zip"), EMPTY_ZIP).expect("a file");
                Next::LookAgainIn(Duration::from_secs(3600))
            }
            _ => Next::Stop,
        }
    });
    assert_eq!(wakes, 4);
}
