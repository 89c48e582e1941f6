//! One pass over the directory: names and metadata, no file is opened; of folders that are submissions, everything in them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::customs::Customs;
use super::error::IntakeError;
use super::names::{self, NameKind};
use super::snapshot::{self, Unfit};
use super::stamp::{Stamp, kind_of};
use super::{Beside, Form};
use crate::identity::SIDECAR_SUFFIX;

/// Files lie in the inbox or up to three folders below it.
const MAX_DEPTH: usize = 4;

/// Why a path is no submission.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum IgnoredReason {
    /// The name is of no form that a submission comes in.
    NotSubmission,
    /// It is named after another file, which is not there.
    Lone,
    /// A sidecar or sentinel, and the configuration asks for none.
    NotAskedFor,
    /// A folder that is too large to be a submission.
    TooMuch,
    /// A link, pipe, socket or device; it is never opened.
    NotRegular(&'static str),
    /// Its metadata, or the folder's content, cannot be read.
    Unreadable(String),
}

impl fmt::Display for IgnoredReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSubmission => {
                f.write_str("the name ends neither with .zip nor with .py nor with .json")
            }
            Self::Lone => f.write_str("the file that it is named after is not there"),
            Self::NotAskedFor => {
                f.write_str("the configuration (identity.mode, intake.sentinel) asks for none")
            }
            Self::TooMuch => f.write_str("a folder with too many entries or levels"),
            Self::NotRegular(what) => write!(f, "a {what}, not a regular file"),
            Self::Unreadable(reason) => write!(f, "cannot be read: {reason}"),
        }
    }
}

/// Something that may be a submission, with what lies beside it.
#[derive(Debug)]
pub(super) struct Found {
    pub path: PathBuf,
    pub stamp: Stamp,
    pub form: Form,
    pub sidecar: Option<Box<Beside>>,
    pub sentinel: Option<Box<Beside>>,
}

/// What one pass found, in order of path.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub files: Vec<Found>,
    pub ignored: Vec<(PathBuf, IgnoredReason)>,
    /// Sidecars and sentinels before the file that they are named after.
    pub lone: Vec<(PathBuf, Stamp)>,
    /// Sidecars and sentinels by the path that they are named after.
    sidecars: HashMap<PathBuf, Beside>,
    sentinels: HashMap<PathBuf, Beside>,
}

/// Lists the inbox. Links are not followed, other file systems are entered.
///
/// # Errors
/// Only when the inbox itself cannot be listed; trouble below it is in [`Scan::ignored`].
pub(super) fn scan(inbox: &Path, customs: &Customs) -> Result<Scan, IntakeError> {
    let metadata = std::fs::metadata(inbox).map_err(|error| IntakeError::inbox(inbox, error))?;
    if !metadata.is_dir() {
        return Err(IntakeError::InboxNotDirectory {
            path: inbox.to_owned(),
            got: kind_of(metadata.file_type()),
        });
    }
    let mut found = Scan::default();
    let mut walk = WalkDir::new(inbox)
        .min_depth(1)
        .max_depth(MAX_DEPTH)
        .follow_links(false)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || name_kind(entry) != NameKind::Temporary);
    while let Some(step) = walk.next() {
        match step {
            Ok(entry) if entry.file_type().is_dir() => {
                if entry.depth() < MAX_DEPTH && snapshot::is_one(entry.path()) {
                    walk.skip_current_dir();
                    take_folder(entry.path(), &mut found);
                }
            }
            Ok(entry) => sort_in(&entry, customs, &mut found),
            Err(error) => failed(inbox, error, &mut found)?,
        }
    }
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    for file in &mut found.files {
        file.sidecar = found.sidecars.remove(&file.path).map(Box::new);
        file.sentinel = found.sentinels.remove(&file.path).map(Box::new);
    }
    let left = found.sidecars.drain().chain(found.sentinels.drain());
    let mut lone: Vec<(PathBuf, Stamp)> = left
        .map(|(_, beside)| (beside.path, beside.stamp))
        .collect();
    lone.sort_by(|a, b| a.0.cmp(&b.0));
    found.lone = lone;
    Ok(found)
}

fn name_kind(entry: &DirEntry) -> NameKind {
    names::kind(&entry.file_name().to_string_lossy())
}

fn take_folder(path: &Path, found: &mut Scan) {
    match snapshot::stamp(path) {
        Ok(stamp) => found.files.push(Found {
            path: path.to_owned(),
            stamp,
            form: Form::Folder,
            sidecar: None,
            sentinel: None,
        }),
        Err(Unfit::TooMuch) => {
            let entry = (path.to_owned(), IgnoredReason::TooMuch);
            found.ignored.push(entry);
        }
        Err(Unfit::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(Unfit::Io(error)) => {
            let reason = IgnoredReason::Unreadable(error.to_string());
            found.ignored.push((path.to_owned(), reason));
        }
    }
}

fn sort_in(entry: &DirEntry, customs: &Customs, found: &mut Scan) {
    let path = entry.path().to_owned();
    let file_type = entry.file_type();
    let kind = name_kind(entry);
    let is_asked_for = match kind {
        NameKind::Sidecar => customs.sidecars.is_some(),
        NameKind::Sentinel => customs
            .sentinel
            .suffix()
            .is_some_and(|suffix| path.as_os_str().as_encoded_bytes().ends_with(suffix)),
        NameKind::Other | NameKind::Temporary => {
            found.ignored.push((path, IgnoredReason::NotSubmission));
            return;
        }
        NameKind::Zip | NameKind::Source | NameKind::Envelope => true,
    };
    if !file_type.is_file() {
        let reason = IgnoredReason::NotRegular(kind_of(file_type));
        found.ignored.push((path, reason));
        return;
    }
    if !is_asked_for {
        found.ignored.push((path, IgnoredReason::NotAskedFor));
        return;
    }
    let stamp = match entry.metadata() {
        Ok(metadata) => Stamp::of(&metadata),
        Err(error) if is_not_found(&error) => return,
        Err(error) => {
            let reason = IgnoredReason::Unreadable(error.to_string());
            found.ignored.push((path, reason));
            return;
        }
    };
    let form = match kind {
        NameKind::Sidecar => {
            let about = without(&path, SIDECAR_SUFFIX);
            found.sidecars.insert(about, Beside { path, stamp });
            return;
        }
        NameKind::Sentinel => {
            let about = path.with_extension("");
            found.sentinels.insert(about, Beside { path, stamp });
            return;
        }
        NameKind::Source => Form::Source,
        NameKind::Envelope => Form::Envelope,
        _ => Form::Zip,
    };
    found.files.push(Found {
        path,
        stamp,
        form,
        sidecar: None,
        sentinel: None,
    });
}

/// A path without the end of its name.
fn without(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let kept = name.len().saturating_sub(suffix.len());
    path.with_file_name(OsStr::from_bytes(&name[..kept]))
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
