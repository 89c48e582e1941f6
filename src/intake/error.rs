//! Why the inbox or a file in it cannot be read. None of these is a verdict on a submission.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of this room.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// There is no inbox.
    #[error("inbox {path}: not found")]
    InboxMissing { path: PathBuf },
    /// The inbox is a file, or another thing that holds no files.
    #[error("inbox {path}: got a {got}, expected a directory")]
    InboxNotDirectory { path: PathBuf, got: &'static str },
    /// The inbox cannot be listed.
    #[error("inbox {path}: cannot be listed: {source}")]
    InboxUnreadable { path: PathBuf, source: io::Error },
    /// A file of the inbox cannot be opened or read.
    #[error("{path}: cannot be read: {source}")]
    FileUnreadable { path: PathBuf, source: io::Error },
    /// A file is not a regular one any more.
    #[error("{path}: got a {got}, expected a regular file")]
    NotRegular { path: PathBuf, got: &'static str },
    /// The kernel gives no events for the inbox. Watching goes on by polling.
    #[error("inbox {path}: no change events: {reason}")]
    NoEvents { path: PathBuf, reason: String },
}

impl IntakeError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::InboxMissing { .. } => "Create the directory, or name another with --inbox.",
            Self::InboxNotDirectory { .. } => "Name a directory with --inbox.",
            Self::InboxUnreadable { .. } => {
                "Give the user that runs prism permission to read and enter the inbox."
            }
            Self::FileUnreadable { .. } => {
                "Give the user that runs prism permission to read the file; it is tried again when the file changes."
            }
            Self::NotRegular { .. } => {
                "Copy the file itself into the inbox; links are not followed."
            }
            Self::NoEvents { .. } => {
                "Files are still found by polling; raise fs.inotify.max_user_watches or max_user_instances for events."
            }
        }
    }

    pub(super) fn inbox(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::NotFound {
            Self::InboxMissing { path }
        } else {
            Self::InboxUnreadable { path, source }
        }
    }

    pub(super) fn file(path: &Path, source: io::Error) -> Self {
        Self::FileUnreadable {
            path: path.to_owned(),
            source,
        }
    }
}
