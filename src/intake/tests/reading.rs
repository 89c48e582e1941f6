//! Taking one file.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode};
use tempfile::TempDir;

use super::super::{Content, IntakeError, Reading, Sentinel, read};
use super::{EMPTY_ZIP, OLD, candidate, put};

#[test]
fn reading_gives_the_content() {
    let directory = TempDir::new().expect("a directory");
    let path = put(&directory, "a.zip", EMPTY_ZIP, OLD);
    let candidate = candidate(&directory);
    let Ok(Reading::Delivery(arrival)) = read(&candidate, 22, Sentinel::None) else {
        panic!("not read");
    };
    assert_eq!((arrival.path, arrival.name.as_str()), (path, "a.zip"));
    assert_eq!(arrival.content, Content::Zip(EMPTY_ZIP.to_vec()));
    // The well-known digest of the empty zip.
    assert_eq!(
        arrival.file_sha256.as_deref(),
        Some("8739c76e681f900923b900c9df0ef75cf421d39cabb54650c4b9ad19b6a76d85")
    );
    let age = SystemTime::now()
        .duration_since(arrival.modified_at)
        .expect("past");
    assert!(age >= OLD && age < OLD + Duration::from_secs(600));
}

#[test]
fn a_file_over_the_limit_is_not_read() {
    let directory = TempDir::new().expect("a directory");
    let path = put(&directory, "huge.zip", b"", OLD);
    File::options()
        .write(true)
        .open(&path)
        .and_then(|file| {
            file.set_len(1 << 40)?;
            file.set_modified(SystemTime::now() - OLD)
        })
        .expect("a sparse file");
    let Ok(Reading::Oversized(oversized)) =
        read(&candidate(&directory), 10_000_000, Sentinel::None)
    else {
        panic!("not refused");
    };
    assert_eq!(
        (oversized.got_bytes, oversized.limit_bytes),
        (1 << 40, 10_000_000)
    );
    assert_eq!(oversized.submission_id.len(), 24);
}

#[test]
fn a_file_that_changed_is_not_taken() {
    let replace: [fn(&Path); 3] = [
        |path| fs::write(path, b"longer than it was before").expect("a write"),
        |path| fs::remove_file(path).expect("a removal"),
        |path| {
            let other = path.with_extension("other");
            fs::write(&other, EMPTY_ZIP).expect("a write");
            fs::rename(other, path).expect("a rename");
        },
    ];
    for change in replace {
        let directory = TempDir::new().expect("a directory");
        let path = put(&directory, "a.zip", EMPTY_ZIP, OLD);
        let candidate = candidate(&directory);
        change(&path);
        assert!(matches!(
            read(&candidate, 1000, Sentinel::None),
            Ok(Reading::Changed)
        ));
    }
}

#[test]
fn what_took_the_place_of_a_file_is_not_opened() {
    let replace: [fn(&Path); 2] = [
        |path| symlink("/etc/passwd", path).expect("a link"),
        |path| {
            rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
        },
    ];
    for change in replace {
        let directory = TempDir::new().expect("a directory");
        let path = put(&directory, "a.zip", EMPTY_ZIP, OLD);
        let candidate = candidate(&directory);
        fs::remove_file(&path).expect("removal");
        change(&path);
        let error = read(&candidate, 1000, Sentinel::None).expect_err("not a file");
        assert!(matches!(error, IntakeError::NotRegular { .. }), "{error}");
    }
}
