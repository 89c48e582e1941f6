//! Submissions that an earlier run began to examine: from the archive in their folder, whatever became of the inbox.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::examine::{self, ARCHIVE};
use super::ledger::Ledger;
use crate::intake::{Arrival, Candidate, submission_id};
use crate::outbox::status::{State, Status};
use crate::outbox::{Outbox, OutboxError};

/// Where an archive comes from.
#[derive(Debug)]
pub enum Source<'a> {
    /// A file of the inbox.
    File(&'a Candidate),
    /// A submission that was not examined to its end.
    Stored(Box<Status>),
}

impl Source<'_> {
    /// What it is called in reports: the inbox's path, or the stored name.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::File(candidate) => candidate.path.clone(),
            Self::Stored(status) => PathBuf::from(&status.name),
        }
    }
}

/// Submissions that are to be examined from their own folder, in the order in which they were accepted; those that prism
/// holds only `with_held`.
pub fn sources<'a>(
    ledger: &Ledger,
    outbox: &Outbox,
    with_held: bool,
) -> Result<Vec<Source<'a>>, OutboxError> {
    let mut open = ledger.statuses(outbox)?.readable;
    open.retain(|status| {
        examine::is_open(status)
            && (with_held || status.state != State::Held)
            && outbox
                .submission(&status.submission_id)
                .join(ARCHIVE)
                .is_file()
    });
    open.sort_by(super::queue::order);
    let sources = open.into_iter().map(Box::new).map(Source::Stored);
    Ok(sources.collect())
}

/// The arrival that a submission began as.
///
/// # Errors
/// An archive that cannot be read, or is not the one that the submission is named after.
pub fn arrival(outbox: &Outbox, status: &Status) -> Result<Arrival, OutboxError> {
    let path = outbox.submission(&status.submission_id).join(ARCHIVE);
    let bytes = std::fs::read(&path).map_err(crate::outbox::at(&path))?;
    let id = submission_id(status.hotkey.as_deref().unwrap_or(""), &bytes);
    if id != status.submission_id {
        return Err(OutboxError::Unreadable {
            path,
            reason: format!("its bytes are those of submission {id}"),
        });
    }
    Ok(Arrival {
        name: status.name.clone(),
        sha256: format!("{:x}", Sha256::digest(&bytes)),
        submission_id: id,
        bytes,
        hotkey: status.hotkey.clone(),
        code_hash: status.code_hash.clone(),
        identity: status.identity.clone(),
        path,
    })
}
