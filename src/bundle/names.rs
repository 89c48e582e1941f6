//! What an entry may be called, and what is quietly left out.
//!
//! Names are plain ASCII, so no two names that differ as bytes can be made equal by Unicode
//! normalisation; letter case is the only collision left, and it is checked.

use std::collections::HashMap;

use super::Limits;
use super::error::{BundleError, PathFault, shown};
use super::structure::Member;

const SUFFIXES: [&str; 7] = ["py", "toml", "yaml", "yml", "json", "txt", "md"];
const SUFFIX_LIST: &str = ".py .toml .yaml .yml .json .txt .md";

const FILE_TYPE_MASK: u32 = 0o170_000;
const DOS_DIRECTORY: u32 = 0x10;

/// What becomes of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// A file to unpack, under this path.
    File(String),
    /// A directory; nothing is unpacked, but its name takes part in collisions.
    Directory(String),
    /// Left behind by an operating system or by Python; not unpacked, only listed.
    Junk(String),
}

/// Decides about one entry from its name and its file type.
///
/// # Errors
/// [`BundleError::SpecialFile`], [`BundleError::Path`] or [`BundleError::Suffix`].
pub(super) fn classify(member: &Member<'_>, limits: &Limits) -> Result<Entry, BundleError> {
    check_file_type(member)?;
    let refuse = |fault| BundleError::Path {
        name: shown(member.name),
        fault,
    };
    let path = member.name.strip_suffix(b"/").unwrap_or(member.name);
    let segments = split(path).map_err(refuse)?;
    if is_junk(&segments) {
        return Ok(Entry::Junk(shown(member.name)));
    }
    if path.len() > limits.max_path_bytes {
        return Err(refuse(PathFault::TooLong));
    }
    if segments.len() > limits.max_depth {
        return Err(refuse(PathFault::TooDeep));
    }
    for segment in &segments {
        check_segment(segment).map_err(refuse)?;
    }
    // Only ASCII is left, so nothing is lost here.
    let text = String::from_utf8_lossy(path).into_owned();
    if member.is_directory() {
        return Ok(Entry::Directory(text));
    }
    let last = segments.last().copied().unwrap_or_default();
    check_suffix(last, member.name)?;
    Ok(Entry::File(text))
}

/// Refuses two paths that are one on a file system that ignores letter case, and a file that
/// stands where another path needs a directory.
pub(super) fn check_collisions(entries: &[Entry]) -> Result<(), BundleError> {
    // Folded path -> (path as written, whether it is a directory).
    let mut seen: HashMap<String, (&str, bool)> = HashMap::new();
    for entry in entries {
        let (path, is_directory) = match entry {
            Entry::File(path) => (path.as_str(), false),
            Entry::Directory(path) => (path.as_str(), true),
            Entry::Junk(_) => continue,
        };
        let parents = path.match_indices('/').map(|(at, _)| (&path[..at], true));
        for (name, directory) in parents.chain([(path, is_directory)]) {
            let (other, other_is_directory) = *seen
                .entry(name.to_ascii_lowercase())
                .or_insert((name, directory));
            let is_first = std::ptr::eq(other, name);
            let shared_directory = other == name && directory && other_is_directory;
            if !is_first && !shared_directory {
                return Err(BundleError::Duplicate {
                    name: shown(path.as_bytes()),
                    other: shown(other.as_bytes()),
                });
            }
        }
    }
    Ok(())
}

/// The file type in the upper half of the attributes, as Unix writes it. Other systems leave it 0.
fn check_file_type(member: &Member<'_>) -> Result<(), BundleError> {
    let file_type = (member.external_attributes >> 16) & FILE_TYPE_MASK;
    let dos_directory = member.external_attributes & DOS_DIRECTORY != 0;
    let got = match file_type {
        0 | 0o100_000 if dos_directory && !member.is_directory() => "directory without a final /",
        0 => return Ok(()),
        0o100_000 if member.is_directory() => "file with a final /",
        0o040_000 if !member.is_directory() => "directory without a final /",
        0o100_000 | 0o040_000 => return Ok(()),
        0o120_000 => "symbolic link",
        0o010_000 => "named pipe",
        0o020_000 => "character device",
        0o060_000 => "block device",
        0o140_000 => "socket",
        _ => "file of unknown type",
    };
    Err(BundleError::SpecialFile {
        name: shown(member.name),
        offset: member.central_offset as u64,
        got,
    })
}

/// Splits at `/` and refuses what would leave the bundle, whatever the entry is.
fn split(path: &[u8]) -> Result<Vec<&[u8]>, PathFault> {
    if path.iter().any(u8::is_ascii_control) {
        return Err(PathFault::ControlCharacter);
    }
    if path.contains(&b'\\') {
        return Err(PathFault::Backslash);
    }
    if path.is_empty() || path.starts_with(b"/") {
        return Err(PathFault::Absolute);
    }
    if let [letter, b':', ..] = path
        && letter.is_ascii_alphabetic()
    {
        return Err(PathFault::Drive);
    }
    path.split(|&byte| byte == b'/')
        .map(|segment| match segment {
            b".." => Err(PathFault::ParentSegment),
            b"" | b"." => Err(PathFault::EmptySegment),
            _ => Ok(segment),
        })
        .collect()
}

fn is_junk(segments: &[&[u8]]) -> bool {
    let last = segments.last().copied().unwrap_or_default();
    segments.first().is_some_and(|first| *first == b"__MACOSX")
        || segments.contains(&b"__pycache__".as_slice())
        || last == b".DS_Store"
        || last == b"Thumbs.db"
        || last.ends_with(b".pyc")
}

fn check_segment(segment: &[u8]) -> Result<(), PathFault> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    if !segment.iter().all(plain) {
        return Err(PathFault::Character);
    }
    if segment.starts_with(b".") {
        return Err(PathFault::Hidden);
    }
    if segment.ends_with(b".") {
        return Err(PathFault::TrailingDot);
    }
    let stem = segment
        .split(|&byte| byte == b'.')
        .next()
        .unwrap_or_default();
    if is_reserved(&stem.to_ascii_uppercase()) {
        return Err(PathFault::Reserved);
    }
    Ok(())
}

/// Names that Windows gives to devices, with any suffix.
fn is_reserved(stem: &[u8]) -> bool {
    match stem {
        b"CON" | b"PRN" | b"AUX" | b"NUL" => true,
        [b'C', b'O', b'M', digit] | [b'L', b'P', b'T', digit] => digit.is_ascii_digit(),
        _ => false,
    }
}

fn check_suffix(file_name: &[u8], name: &[u8]) -> Result<(), BundleError> {
    let suffix = match file_name.iter().rposition(|&byte| byte == b'.') {
        Some(dot) => &file_name[dot + 1..],
        None => &[],
    };
    if SUFFIXES.iter().any(|known| known.as_bytes() == suffix) {
        return Ok(());
    }
    Err(BundleError::Suffix {
        name: shown(name),
        got: String::from_utf8_lossy(suffix).into_owned(),
        expected: SUFFIX_LIST,
    })
}
