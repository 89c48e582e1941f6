//! The inbox: which files in it are submissions, when they are complete, and what they are.
//!
//! The inbox is only read. Nothing in it is moved, renamed, deleted or locked; what was processed is
//! known by content, through [`submission_id`].
//!
//! [`Inbox::look`] says what is there now, [`read`] takes one file, [`Watch`] says when to look.

mod error;
mod identify;
mod inbox;
mod names;
mod read;
mod scan;
mod settle;
mod stamp;
#[cfg(test)]
mod tests;
mod watch;

use std::path::PathBuf;
use std::time::SystemTime;

pub use error::IntakeError;
pub use identify::submission_id;
pub use inbox::Inbox;
pub use read::{Oversized, Reading, read};
pub use scan::IgnoredReason;
pub use settle::{Observation, Settling, WaitReason, judge};
pub use stamp::Stamp;
pub use watch::{Next, Stopper, Wake, Watch};

/// A submission file, read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Where it lies.
    pub path: PathBuf,
    /// Its file name; what is not UTF-8 in it is replaced.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// SHA-256 of the content, in hex.
    pub sha256: String,
    /// See [`submission_id`].
    pub submission_id: String,
    /// Modification time of the file.
    pub modified_at: SystemTime,
}

/// A file that is ready to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Where it lies.
    pub path: PathBuf,
    /// Its file name; what is not UTF-8 in it is replaced.
    pub name: String,
    /// The state that was found settled.
    pub stamp: Stamp,
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
