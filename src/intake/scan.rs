//! One pass over the directory: names and metadata, no file is opened.

use std::fmt;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::error::IntakeError;
use super::names::{self, NameKind};
use super::stamp::{Stamp, kind_of};

/// Files lie in the inbox or up to three folders below it.
const MAX_DEPTH: usize = 4;

/// Why a path is no submission.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum IgnoredReason {
    /// The name ends neither with `.zip` nor with `.py`.
    NotSubmission,
    /// A link, pipe, socket or device; it is never opened.
    NotRegular(&'static str),
    /// Its metadata, or the folder's content, cannot be read.
    Unreadable(String),
}

impl fmt::Display for IgnoredReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSubmission => f.write_str("the name ends neither with .zip nor with .py"),
            Self::NotRegular(what) => write!(f, "a {what}, not a regular file"),
            Self::Unreadable(reason) => write!(f, "cannot be read: {reason}"),
        }
    }
}

/// What one pass found, in order of path.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub files: Vec<(PathBuf, Stamp)>,
    pub ignored: Vec<(PathBuf, IgnoredReason)>,
}

/// Lists the inbox. Links are not followed, other file systems are entered.
///
/// # Errors
/// Only when the inbox itself cannot be listed; trouble below it is in [`Scan::ignored`].
pub(super) fn scan(inbox: &Path) -> Result<Scan, IntakeError> {
    let metadata = std::fs::metadata(inbox).map_err(|error| IntakeError::inbox(inbox, error))?;
    if !metadata.is_dir() {
        return Err(IntakeError::InboxNotDirectory {
            path: inbox.to_owned(),
            got: kind_of(metadata.file_type()),
        });
    }
    let mut found = Scan::default();
    let walk = WalkDir::new(inbox)
        .min_depth(1)
        .max_depth(MAX_DEPTH)
        .follow_links(false)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || name_kind(entry) != NameKind::Temporary);
    for step in walk {
        match step {
            Ok(entry) => sort_in(&entry, &mut found),
            Err(error) => failed(inbox, error, &mut found)?,
        }
    }
    Ok(found)
}

fn name_kind(entry: &DirEntry) -> NameKind {
    names::kind(&entry.file_name().to_string_lossy())
}

fn sort_in(entry: &DirEntry, found: &mut Scan) {
    let path = entry.path().to_owned();
    let file_type = entry.file_type();
    if file_type.is_dir() {
        return;
    }
    if !matches!(name_kind(entry), NameKind::Zip | NameKind::Source) {
        found.ignored.push((path, IgnoredReason::NotSubmission));
    } else if !file_type.is_file() {
        let reason = IgnoredReason::NotRegular(kind_of(file_type));
        found.ignored.push((path, reason));
    } else {
        match entry.metadata() {
            Ok(metadata) => found.files.push((path, Stamp::of(&metadata))),
            Err(error) if is_not_found(&error) => {}
            Err(error) => {
                let reason = IgnoredReason::Unreadable(error.to_string());
                found.ignored.push((path, reason));
            }
        }
    }
}

/// A path that vanished between listing and looking is nothing; trouble with the inbox itself ends
/// the pass; all else is noted.
fn failed(inbox: &Path, error: walkdir::Error, found: &mut Scan) -> Result<(), IntakeError> {
    if error.depth() == 0 {
        return Err(IntakeError::inbox(inbox, error.into()));
    }
    if !is_not_found(&error) {
        let path = error.path().unwrap_or(inbox).to_owned();
        let reason = IgnoredReason::Unreadable(error.to_string());
        found.ignored.push((path, reason));
    }
    Ok(())
}

fn is_not_found(error: &walkdir::Error) -> bool {
    error
        .io_error()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
