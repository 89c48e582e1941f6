//! What one run of the pipeline did, for people and for programs.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use super::board::Board;
use super::queue;
use crate::outbox::OutboxError;
use crate::outbox::status::{Reason, State, Status, Verdict};

/// One submission after a run of the pipeline.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Outcome {
    pub submission_id: String,
    pub name: String,
    pub state: State,
    pub verdict: Option<Verdict>,
    pub reason: Option<Reason>,
}

/// What one run of the pipeline did.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Report {
    /// Submissions that this run moved, in the order in which they were accepted.
    pub processed: Vec<Outcome>,
    /// Complete files whose submission was already concluded by an earlier run.
    pub known: u64,
    /// Files that are still being written, or wait for another reason that is not theirs.
    pub waiting: Vec<String>,
    /// Files of the inbox that are no submissions, with the reason.
    pub ignored: Vec<String>,
    /// Infrastructure failures; the submissions concerned are tried again on the next run.
    pub infrastructure: Vec<String>,
    /// What the operator asked for and what became of it.
    pub requests: Vec<String>,
    pub board: Board,
    /// When something that failed for want of infrastructure may be tried again.
    #[serde(skip)]
    pub retry_in: Option<Duration>,
    /// Files that could not be examined for want of infrastructure: they are to be offered again.
    #[serde(skip)]
    pub unread: Vec<PathBuf>,
    /// Files that stay in the inbox for now, and are to be offered again.
    #[serde(skip)]
    pub deferred: Vec<PathBuf>,
    /// Whether a stop left something undone.
    #[serde(skip)]
    pub stopped: bool,
}

impl Report {
    pub(super) fn retry_within(&mut self, wait: Duration) {
        self.retry_in = Some(self.retry_in.map_or(wait, |before| before.min(wait)));
    }
}

/// The last status of each submission, in the order in which they were accepted.
pub(super) fn latest(mut moved: Vec<Status>) -> Vec<Status> {
    let mut ids = HashSet::new();
    moved.reverse();
    moved.retain(|status| ids.insert(status.submission_id.clone()));
    moved.sort_by(queue::order);
    moved
}

pub(super) fn told(error: &OutboxError) -> String {
    format!("{error} ({})", error.hint())
}

pub(super) fn outcome(status: Status) -> Outcome {
    Outcome {
        submission_id: status.submission_id,
        name: status.name,
        state: status.state,
        verdict: status.verdict,
        reason: status.reason,
    }
}
