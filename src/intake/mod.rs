//! The inbox: which files in it are submissions, when they are complete, and what they are.
//!
//! The inbox is only read. Nothing in it is moved, renamed, deleted or locked; what was processed is
//! known by content, through [`submission_id`].
//!
//! [`Inbox::look`] says what is there now, [`read`] takes one file, [`Watch`] says when to look.

mod customs;
mod envelope;
mod error;
mod identify;
mod inbox;
mod names;
mod read;
mod scan;
mod settle;
mod snapshot;
mod stamp;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::Value;

pub use customs::{Customs, Sentinel};
pub use error::IntakeError;
pub use identify::{refused_id, submission_id};
pub use inbox::Inbox;
pub use read::{Oversized, Reading, read};
pub use scan::IgnoredReason;
pub use settle::{Observation, Settling, WaitReason, judge};
pub use stamp::Stamp;
pub use watch::{Next, Stopper, Wake, Watch};

/// A submission as it lies in the inbox, read whole; whose it is was not looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Where it lies.
    pub path: PathBuf,
    /// Its file name; what is not UTF-8 in it is replaced.
    pub name: String,
    pub content: Content,
    /// SHA-256 of the file, in hex; none of a folder.
    pub file_sha256: Option<String>,
    /// What lies beside it, of at most [`MAX_SIDECAR_BYTES`](crate::identity::MAX_SIDECAR_BYTES) and one more byte.
    pub sidecar: Option<Vec<u8>>,
    /// Of an envelope: its metadata; else null.
    pub metadata: Value,
    /// Modification time of the file.
    pub modified_at: SystemTime,
    /// When all of it had come to lie there, by the clock of the file system.
    pub arrived_at: SystemTime,
}

/// What a delivery holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Zip(Vec<u8>),
    /// One Python file.
    Source(Vec<u8>),
    /// A folder, by path.
    Files(BTreeMap<String, Vec<u8>>),
    /// An envelope that is none; why.
    Broken(String),
}

/// A submission as the archive that it is kept, identified and run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Where it lies.
    pub path: PathBuf,
    /// Its file name; what is not UTF-8 in it is replaced.
    pub name: String,
    /// The archive.
    pub bytes: Vec<u8>,
    /// SHA-256 of the archive, in hex.
    pub sha256: String,
    /// See [`submission_id`].
    pub submission_id: String,
    /// Whose it is: the signature was verified.
    pub hotkey: Option<String>,
    /// sha256 of what the HTTP contract called `code`.
    pub code_hash: Option<String>,
    /// What was verified.
    pub identity: Option<crate::outbox::status::Identity>,
}

/// How a submission lies in the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Zip,
    Source,
    /// JSON, if it is one.
    Envelope,
    Folder,
}

/// A file beside a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    pub path: PathBuf,
    pub stamp: Stamp,
}

/// A file or folder that is ready to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Where it lies.
    pub path: PathBuf,
    /// Its file name; what is not UTF-8 in it is replaced.
    pub name: String,
    /// The state that was found settled.
    pub stamp: Stamp,
    pub form: Form,
    pub sidecar: Option<Box<Beside>>,
    pub sentinel: Option<Box<Beside>>,
}

/// What was seen of one path of the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Complete; said once for each state of the file.
    Ready(Candidate),
    /// Perhaps still being written; said at every look.
    Waiting {
        path: PathBuf,
        reason: WaitReason,
        /// When a further look can decide, at the earliest.
        look_again_in: std::time::Duration,
    },
    /// No submission; said once. Hidden and temporary names are not mentioned at all.
    Ignored {
        path: PathBuf,
        reason: IgnoredReason,
    },
}
