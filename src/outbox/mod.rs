//! The outbox: everything about every submission, as files that appear whole or not at all.
//!
//! `outbox/<submission_id>/` holds one submission; `leaderboard.json` and `weights.json` are derived from the rest and can be
//! made again at any time. Names that start with a dot are ours alone: `.work/` (runs in progress), `.private/` (logs
//! that may hold secret text), `.lock`, `.secret`.

pub mod admission;
pub mod atomic;
pub mod fault;
pub mod file_stamp;
pub mod lock;
mod power;
pub mod schema;
pub mod seal;
pub mod secret;
pub mod selection;
pub mod status;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::signing::keys::Signer;

/// What can go wrong when files are published.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} does not fit its schema {schema}: {}", .problems.join("; "))]
    Schema {
        path: PathBuf,
        schema: &'static str,
        problems: Vec<String>,
    },
    #[error("{path} cannot be read: {reason}")]
    Unreadable { path: PathBuf, reason: String },
    #[error("another prism is at work on the outbox {outbox}{holder}")]
    Busy {
        outbox: PathBuf,
        /// Who, after a colon; empty where nobody wrote it down.
        holder: String,
    },
    #[error("process {pid} of a run that crashed ({path}) cannot be ended")]
    Orphan { pid: i32, path: PathBuf },
}

impl OutboxError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => {
                "check that the outbox exists, is writable and that the disk has room"
            }
            Self::Schema { .. } => {
                "this is a fault of prism: please report it with the file's name"
            }
            Self::Unreadable { .. } => {
                "move that file away; the submission is then processed again"
            }
            Self::Orphan { .. } => {
                "it is stuck in the kernel, as with a lost GPU: see what `ps` says of it; a restart of the machine ends it"
            }
            Self::Busy { .. } => "wait for it to end; a lock of a dead process frees itself",
        }
    }
}

pub(crate) fn at(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> OutboxError {
    let path = path.into();
    move |source| OutboxError::Io { path, source }
}

/// Names inside an outbox.
#[derive(Debug, Clone)]
pub struct Outbox {
    pub root: PathBuf,
    /// Signs what is concluded; none: runs get a digest list and no signature.
    signer: Option<Arc<Signer>>,
}

impl Outbox {
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            signer: None,
        }
    }

    /// The same outbox, whose runs are signed from now on.
    pub fn signed_by(self, signer: Arc<Signer>) -> Self {
        Self {
            signer: Some(signer),
            ..self
        }
    }

    /// Creates the folders, the private ones closed to others.
    pub fn create(&self) -> Result<(), OutboxError> {
        use std::os::unix::fs::PermissionsExt;
        atomic::create_folder(&self.root)?;
        for folder in [self.root.join(".work"), self.root.join(".private")] {
            atomic::create_folder(&folder)?;
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))
                .map_err(at(&folder))?;
        }
        Ok(())
    }

    pub fn submission(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    /// Where a run of this submission works; removed when its results are published.
    pub fn work(&self, id: &str) -> PathBuf {
        self.root.join(".work").join(id)
    }

    /// Where the folder of a new submission is drafted.
    pub fn arrival(&self, id: &str) -> PathBuf {
        self.root.join(".work").join(format!("{id}.arrival"))
    }

    /// Logs that could quote held-out text: for the operator only.
    pub fn private(&self, id: &str) -> PathBuf {
        self.root.join(".private").join(id)
    }
}
