//! The record that ends a zip and says where its directory lies.

use super::error::{BundleError, StructureFault as Fault, broken, shown};
use super::fields;

const END_SIGNATURE: &[u8; 4] = b"PK\x05\x06";
const ZIP64_LOCATOR_SIGNATURE: &[u8; 4] = b"PK\x06\x07";
const ZIP64_LOCATOR_BYTES: usize = 20;
const END_BYTES: usize = 22;
/// The longest comment the format allows, hence how far back an end record may begin.
const MAX_COMMENT_BYTES: usize = 65_535;
/// `git archive`, and so every download button, leaves the commit id as comment (SHA-1, SHA-256).
const COMMENT_BYTES: [usize; 3] = [0, 40, 64];

/// Where the central directory lies: `start..end` of the file, and how many entries it declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DirectoryPlace {
    pub start: usize,
    pub end: usize,
    pub entries: usize,
}

/// Finds the end record, which must be the last thing in the file, and reads it.
pub(super) fn find(archive: &[u8]) -> Result<DirectoryPlace, BundleError> {
    let at = COMMENT_BYTES
        .iter()
        .find_map(|&comment_bytes| ends_with_record(archive, comment_bytes))
        .ok_or_else(|| no_end_record(archive))?;
    let record = fields::slice(archive, at, END_BYTES, archive.len())?;
    refuse_zip64(archive, at, record)?;
    let disks = [fields::u16_at(record, 4), fields::u16_at(record, 6)];
    let entries_here = fields::u16_at(record, 8);
    let entries = fields::u16_at(record, 10);
    if disks != [0, 0] || entries_here != entries {
        let got = format!("disks {disks:?}, {entries_here} of {entries} entries here");
        return Err(broken(
            Fault::MultiDisk,
            at,
            got,
            "one disk with all entries",
        ));
    }
    let directory_bytes = fields::u32_at(record, 12) as usize;
    let start = fields::u32_at(record, 16) as usize;
    let claimed_end = start.saturating_add(directory_bytes);
    if claimed_end != at {
        let fault = if is_shifted(archive, start, claimed_end, at) {
            Fault::LeadingBytes
        } else {
            Fault::CentralDirectoryPosition
        };
        let got = format!("{directory_bytes} bytes from byte {start}");
        return Err(broken(
            fault,
            at,
            got,
            format!("a directory that ends at byte {at}"),
        ));
    }
    if let Some(inside) = find_signature(&archive[start..at], END_SIGNATURE) {
        let second = start + inside;
        return Err(broken(
            Fault::SecondEndRecord,
            second,
            "\"PK\\x05\\x06\"",
            "one end record",
        ));
    }
    Ok(DirectoryPlace {
        start,
        end: at,
        entries: entries.into(),
    })
}

/// The offset of an end record with a comment of exactly this length, if the file ends with one.
fn ends_with_record(archive: &[u8], comment_bytes: usize) -> Option<usize> {
    let at = archive.len().checked_sub(END_BYTES + comment_bytes)?;
    let record = &archive[at..];
    let comment = &record[END_BYTES..];
    let declared = usize::from(fields::u16_at(record, 20));
    let is_commit_id = comment.iter().all(u8::is_ascii_hexdigit);
    (record.starts_with(END_SIGNATURE) && declared == comment_bytes && is_commit_id).then_some(at)
}

fn refuse_zip64(archive: &[u8], at: usize, record: &[u8]) -> Result<(), BundleError> {
    let offset = at as u64;
    let locator = at.checked_sub(ZIP64_LOCATOR_BYTES);
    if locator.is_some_and(|start| archive[start..].starts_with(ZIP64_LOCATOR_SIGNATURE)) {
        let what = "locator before the end record";
        return Err(BundleError::Zip64 { offset, what });
    }
    let saturated = [8, 10]
        .iter()
        .any(|&field| fields::u16_at(record, field) == u16::MAX)
        || [12, 16]
            .iter()
            .any(|&field| fields::u32_at(record, field) == u32::MAX);
    if saturated {
        let what = "saturated field in the end record";
        return Err(BundleError::Zip64 { offset, what });
    }
    Ok(())
}

/// Whether the directory lies before the end record but further back than claimed, as when bytes
/// were put before a zip.
fn is_shifted(archive: &[u8], start: usize, claimed_end: usize, at: usize) -> bool {
    at.checked_sub(claimed_end)
        .and_then(|shift| archive.get(start + shift..))
        .is_some_and(|rest| rest.starts_with(b"PK\x01\x02"))
}

/// Says what is there instead of an end record.
fn no_end_record(archive: &[u8]) -> BundleError {
    if archive.is_empty() {
        return BundleError::Empty {
            archive_bytes: 0,
            entries: 0,
        };
    }
    let tail = archive.len().saturating_sub(END_BYTES + MAX_COMMENT_BYTES);
    if let Some(found) = rfind_signature(&archive[tail..], END_SIGNATURE) {
        let at = tail + found;
        let comment_bytes = usize::from(fields::u16_at(&archive[at..], 20));
        let end = at + END_BYTES + comment_bytes;
        if end > archive.len() {
            let got = format!("{} bytes of the end record", archive.len() - at);
            return broken(Fault::Truncated, at, got, format!("{} bytes", end - at));
        }
        if end < archive.len() {
            let got = format!("{} bytes", archive.len() - end);
            return broken(Fault::TrailingBytes, end, got, "the end of the file");
        }
        let got = format!("{comment_bytes} bytes");
        return broken(
            Fault::ArchiveComment,
            at + END_BYTES,
            got,
            "none, or a commit id",
        );
    }
    if archive.starts_with(b"PK\x03\x04") {
        let got = "no end record in the last 65,557 bytes";
        return broken(Fault::Truncated, archive.len(), got, "\"PK\\x05\\x06\"");
    }
    BundleError::NotZip {
        got: shown(&archive[..archive.len().min(4)]),
    }
}

fn find_signature(bytes: &[u8], signature: &[u8; 4]) -> Option<usize> {
    bytes.windows(4).position(|window| window == signature)
}

fn rfind_signature(bytes: &[u8], signature: &[u8; 4]) -> Option<usize> {
    bytes.windows(4).rposition(|window| window == signature)
}
