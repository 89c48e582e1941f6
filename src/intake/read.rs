//! Taking one file: opened without following links or waiting, read to a limit, and checked to be
//! the same afterwards.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};

use super::error::IntakeError;
use super::identify::{oversized_id, submission_id};
use super::stamp::{Stamp, kind_of};
use super::{Arrival, Candidate};

/// End record of a zip (APPNOTE 4.3.16).
const END_SIGNATURE: &[u8; 4] = b"PK\x05\x06";
const END_BYTES: usize = 22;
/// How much of the end is looked at: comments of usual length are within.
const TAIL_BYTES: u64 = 1024;

/// What became of reading a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The file, whole.
    Arrival(Arrival),
    /// Too large to be read: a submission that is rejected unseen.
    Oversized(Oversized),
    /// It changed or vanished meanwhile: call [`Inbox::offer_again`](super::Inbox::offer_again).
    Changed,
}

/// A file over the size limit, of which only the size is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oversized {
    /// Where it lies.
    pub path: PathBuf,
    /// Its file name.
    pub name: String,
    /// Its size.
    pub got_bytes: u64,
    /// The limit.
    pub limit_bytes: u64,
    /// An id from name and size, since the content is unknown.
    pub submission_id: String,
    /// Modification time of the file.
    pub modified_at: SystemTime,
}

/// Reads a candidate on behalf of `hotkey` (empty where there is none).
///
/// At most `max_archive_bytes` + 1 bytes are read and held.
///
/// # Errors
/// [`IntakeError::FileUnreadable`] and [`IntakeError::NotRegular`].
pub fn read(
    candidate: &Candidate,
    max_archive_bytes: u64,
    hotkey: &str,
) -> Result<Reading, IntakeError> {
    let path = &candidate.path;
    let Some(mut file) = open_regular(path)? else {
        return Ok(Reading::Changed);
    };
    let stamp_now = |file: &File| {
        file.metadata()
            .map(|metadata| Stamp::of(&metadata))
            .map_err(|error| IntakeError::file(path, error))
    };
    if stamp_now(&file)? != candidate.stamp {
        return Ok(Reading::Changed);
    }
    let declared_bytes = candidate.stamp.bytes;
    if declared_bytes > max_archive_bytes {
        return Ok(Reading::Oversized(Oversized {
            path: path.clone(),
            name: candidate.name.clone(),
            got_bytes: declared_bytes,
            limit_bytes: max_archive_bytes,
            submission_id: oversized_id(hotkey, &candidate.name, declared_bytes),
            modified_at: candidate.stamp.modified_at,
        }));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(declared_bytes).unwrap_or(0));
    (&mut file)
        .take(max_archive_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| IntakeError::file(path, error))?;
    if bytes.len() as u64 != declared_bytes
        || stamp_now(&file)? != candidate.stamp
        || !is_still_at(path, &candidate.stamp)
    {
        return Ok(Reading::Changed);
    }
    Ok(Reading::Arrival(Arrival {
        path: path.clone(),
        name: candidate.name.clone(),
        sha256: format!("{:x}", Sha256::digest(&bytes)),
        submission_id: submission_id(hotkey, &bytes),
        bytes,
        modified_at: candidate.stamp.modified_at,
    }))
}

/// Whether the path still leads to the file with this stamp, and no other was renamed over it.
fn is_still_at(path: &Path, stamp: &Stamp) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| Stamp::of(&metadata) == *stamp)
}

/// Opens a regular file; `None` when there is no file any more. A pipe does not block and a link is
/// not followed, whatever was put in its place after the directory was listed.
fn open_regular(path: &Path) -> Result<Option<File>, IntakeError> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(descriptor) => File::from(descriptor),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => {
            return Err(IntakeError::NotRegular {
                path: path.to_owned(),
                got: "symbolic link",
            });
        }
        Err(error) => return Err(IntakeError::file(path, error.into())),
    };
    let metadata = file
        .metadata()
        .map_err(|error| IntakeError::file(path, error))?;
    if !metadata.is_file() {
        return Err(IntakeError::NotRegular {
            path: path.to_owned(),
            got: kind_of(metadata.file_type()),
        });
    }
    Ok(Some(file))
}

/// Whether the file ends like a zip that was written to its end: an end record whose comment
/// reaches the end of the file and whose directory lies before it. A cheap guess about copying, not
/// a check of the archive; a file that cannot be read does not.
pub(super) fn ends_like_a_zip(path: &Path, bytes: u64) -> bool {
    let Ok(Some(mut file)) = open_regular(path) else {
        return false;
    };
    let tail_bytes = bytes.min(TAIL_BYTES);
    let mut tail = Vec::new();
    let was_read = file
        .seek(SeekFrom::Start(bytes - tail_bytes))
        .and_then(|_| file.take(tail_bytes).read_to_end(&mut tail))
        .is_ok();
    was_read && has_end_record(&tail, bytes)
}

fn has_end_record(tail: &[u8], file_bytes: u64) -> bool {
    let number = |record: &[u8], at: usize, width: usize| {
        record[at..at + width]
            .iter()
            .rev()
            .fold(0u64, |number, &byte| number << 8 | u64::from(byte))
    };
    tail.windows(END_BYTES).enumerate().any(|(at, record)| {
        let left = (tail.len() - at) as u64;
        record.starts_with(END_SIGNATURE)
            && END_BYTES as u64 + number(record, 20, 2) == left
            && number(record, 12, 4) + number(record, 16, 4) <= file_bytes - left
    })
}

#[cfg(test)]
mod tests {
    use super::has_end_record;

    #[test]
    fn end_records() {
        let mut empty = b"PK\x05\x06".to_vec();
        empty.extend([0; 18]);
        assert!(has_end_record(&empty, 22));
        assert!(!has_end_record(&empty[..21], 21), "cut");
        assert!(
            !has_end_record(&[0; 1024], 1 << 40),
            "zeros of a preallocated file"
        );
        let mut commented = empty.clone();
        commented[20] = 3;
        assert!(!has_end_record(&commented, 22), "comment not there yet");
        commented.extend(b"abc");
        assert!(has_end_record(&commented, 25));
        let mut directory = empty;
        directory[12] = 46;
        assert!(
            !has_end_record(&directory, 22),
            "directory larger than the file"
        );
        assert!(has_end_record(&directory, 68));
    }
}
