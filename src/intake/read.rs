//! Taking one file or folder, with what lies beside it: opened without following links or waiting, read to a limit, and
//! checked to be the same afterwards.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{Mode, OFlags};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::customs::Sentinel;
use super::envelope::{self, Opened};
use super::error::IntakeError;
use super::identify::oversized_id;
use super::snapshot::{self, Unfit};
use super::stamp::{Stamp, kind_of};
use super::{Candidate, Content, Delivery, Form};
use crate::identity::MAX_SIDECAR_BYTES;

/// A digest and a name.
const MAX_SENTINEL_BYTES: u64 = 8 << 10;

/// End record of a zip (APPNOTE 4.3.16).
const END_SIGNATURE: &[u8; 4] = b"PK\x05\x06";
const END_BYTES: usize = 22;
/// How much of the end is looked at: comments of usual length are within.
const TAIL_BYTES: u64 = 1024;

/// What became of reading a candidate.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// The file or folder, whole, with what lies beside it.
    Delivery(Delivery),
    /// Too large to be read: a submission that is rejected unseen.
    Oversized(Oversized),
    /// It changed or vanished meanwhile: call [`Inbox::offer_again`](super::Inbox::offer_again).
    Changed,
    /// The digest in its sentinel is not its own: it waits for either to change.
    NotItsSentinel,
    /// No submission after all; why.
    NotSubmission(String),
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

/// Reads a candidate.
///
/// At most `max_archive_bytes` + 1 bytes are read and held, of an envelope a third more, and one sidecar.
///
/// # Errors
/// [`IntakeError::FileUnreadable`] and [`IntakeError::NotRegular`].
pub fn read(
    candidate: &Candidate,
    max_archive_bytes: u64,
    sentinel: Sentinel,
) -> Result<Reading, IntakeError> {
    let sidecar = match &candidate.sidecar {
        None => None,
        Some(beside) => match whole(&beside.path, &beside.stamp, MAX_SIDECAR_BYTES + 1)? {
            None => return Ok(Reading::Changed),
            some => some,
        },
    };
    let limit_bytes = match candidate.form {
        Form::Envelope => envelope::max_bytes(max_archive_bytes),
        _ => max_archive_bytes,
    };
    let declared_bytes = candidate.stamp.bytes;
    if declared_bytes > limit_bytes {
        return Ok(Reading::Oversized(Oversized {
            path: candidate.path.clone(),
            name: candidate.name.clone(),
            got_bytes: declared_bytes,
            limit_bytes,
            submission_id: oversized_id("", &candidate.name, declared_bytes),
            modified_at: candidate.stamp.modified_at,
        }));
    }
    let mut metadata = Value::Null;
    let mut file_sha256 = None;
    let content = if candidate.form == Form::Folder {
        match folder(candidate, limit_bytes)? {
            Ok(content) => content,
            Err(other) => return Ok(other),
        }
    } else {
        let Some(bytes) = whole(&candidate.path, &candidate.stamp, limit_bytes)? else {
            return Ok(Reading::Changed);
        };
        let sha256 = format!("{:x}", Sha256::digest(&bytes));
        if sentinel == Sentinel::Sha256 && !is_promised(candidate, &sha256)? {
            return Ok(Reading::NotItsSentinel);
        }
        file_sha256 = Some(sha256);
        match candidate.form {
            Form::Zip | Form::Folder => Content::Zip(bytes),
            Form::Source => Content::Source(bytes),
            Form::Envelope => match envelope::open(&bytes) {
                Opened::Envelope {
                    content,
                    metadata: found,
                } => {
                    metadata = found;
                    content
                }
                Opened::Broken(why) => Content::Broken(why),
                Opened::NotOne(why) => return Ok(Reading::NotSubmission(why)),
            },
        }
    };
    let arrived = [
        Some(&candidate.stamp),
        candidate.sidecar.as_ref().map(|beside| &beside.stamp),
    ];
    let arrived_at = arrived.into_iter().flatten().map(Stamp::arrived_at).max();
    Ok(Reading::Delivery(Delivery {
        path: candidate.path.clone(),
        name: candidate.name.clone(),
        content,
        file_sha256,
        sidecar,
        metadata,
        modified_at: candidate.stamp.modified_at,
        arrived_at: arrived_at.unwrap_or(SystemTime::UNIX_EPOCH),
    }))
}

/// A regular file in this state, at most so many bytes of it and one more; none if it is in another.
fn whole(path: &Path, stamp: &Stamp, limit_bytes: u64) -> Result<Option<Vec<u8>>, IntakeError> {
    let Some(mut file) = open_regular(path)? else {
        return Ok(None);
    };
    let stamp_now = |file: &File| {
        file.metadata()
            .map(|metadata| Stamp::of(&metadata))
            .map_err(|error| IntakeError::file(path, error))
    };
    if stamp_now(&file)? != *stamp {
        return Ok(None);
    }
    let expected_bytes = stamp.bytes.min(limit_bytes.saturating_add(1));
    let mut bytes = Vec::with_capacity(usize::try_from(expected_bytes).unwrap_or(0));
    (&mut file)
        .take(limit_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| IntakeError::file(path, error))?;
    let is_same = bytes.len() as u64 == expected_bytes
        && stamp_now(&file)? == *stamp
        && is_still_at(path, stamp);
    Ok(is_same.then_some(bytes))
}

/// The content of a folder in the state that was found settled.
fn folder(
    candidate: &Candidate,
    limit_bytes: u64,
) -> Result<Result<Content, Reading>, IntakeError> {
    let path = &candidate.path;
    let state = || match snapshot::stamp(path) {
        Ok(stamp) => Ok(stamp == candidate.stamp),
        Err(Unfit::TooMuch) => Ok(false),
        Err(Unfit::Io(error)) if is_replaced(&error) => Ok(false),
        Err(Unfit::Io(error)) => Err(IntakeError::file(path, error)),
    };
    if !state()? {
        return Ok(Err(Reading::Changed));
    }
    let files = match snapshot::files(path, limit_bytes) {
        Ok(files) => files,
        Err(Unfit::TooMuch) => return Ok(Err(Reading::Changed)),
        Err(Unfit::Io(error)) if is_replaced(&error) => return Ok(Err(Reading::Changed)),
        Err(Unfit::Io(error)) => return Err(IntakeError::file(path, error)),
    };
    if !state()? {
        return Ok(Err(Reading::Changed));
    }
    Ok(Ok(Content::Files(files)))
}

/// Whether what was to be opened is gone, or is something else now.
fn is_replaced(error: &std::io::Error) -> bool {
    let code = error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error);
    matches!(
        code,
        Some(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP)
    )
}

/// Whether the sentinel beside a file begins with the file's digest, as sha256sum writes it.
fn is_promised(candidate: &Candidate, sha256: &str) -> Result<bool, IntakeError> {
    let Some(beside) = &candidate.sentinel else {
        return Ok(false);
    };
    let text = whole(&beside.path, &beside.stamp, MAX_SENTINEL_BYTES)?.unwrap_or_default();
    // a backslash before the digest: sha256sum's way to mark escaped names
    let text = text.strip_prefix(b"\\").unwrap_or(&text);
    Ok(text
        .get(..64)
        .is_some_and(|digits| digits.eq_ignore_ascii_case(sha256.as_bytes()))
        && text.get(64).is_none_or(u8::is_ascii_whitespace))
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
    tail(path, bytes).is_some_and(|tail| has_end_record(&tail, bytes))
}

/// Whether the file ends like an object of JSON: as cheap a guess.
pub(super) fn ends_like_json(path: &Path, bytes: u64) -> bool {
    tail(path, bytes).is_some_and(|tail| tail.trim_ascii_end().ends_with(b"}"))
}

fn tail(path: &Path, bytes: u64) -> Option<Vec<u8>> {
    let mut file = open_regular(path).ok()??;
    let tail_bytes = bytes.min(TAIL_BYTES);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(bytes - tail_bytes)).ok()?;
    file.take(tail_bytes).read_to_end(&mut tail).ok()?;
    Some(tail)
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
