//! The inbox on a real file system.

mod beside;
mod folders;
mod looking;
mod reading;
mod watching;

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::{Candidate, Customs, Inbox, Seen};

const SETTLE: Duration = Duration::from_secs(2);
const EMPTY_ZIP: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Writes a file that was modified `age` ago.
fn put(inbox: &TempDir, name: &str, content: &[u8], age: Duration) -> PathBuf {
    let path = inbox.path().join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
    fs::write(&path, content).expect("a file");
    let modified = SystemTime::now() - age;
    File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_modified(modified))
        .expect("a time");
    path
}

fn inbox_of(directory: &TempDir) -> Inbox {
    Inbox::new(directory.path(), Customs::settling(SETTLE))
}

fn ready(seen: &[Seen]) -> Vec<String> {
    seen.iter()
        .filter_map(|seen| match seen {
            Seen::Ready(candidate) => Some(candidate.name.clone()),
            _ => None,
        })
        .collect()
}

fn candidate(directory: &TempDir) -> Candidate {
    let seen = inbox_of(directory).look().expect("an inbox");
    match seen.into_iter().next() {
        Some(Seen::Ready(candidate)) => candidate,
        other => panic!("not ready: {other:?}"),
    }
}

const OLD: Duration = Duration::from_secs(3600);
