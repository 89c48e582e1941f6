//! New submissions against all that were accepted before: one at a time, in the order in which they arrived.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use super::board;
use super::examine::{ARCHIVE, Comparison, Examined, roles};
use crate::bundle::{self, Limits};
use crate::config::Config;
use crate::duplicates::{self, DuplicatePolicy, Earlier, INDEX_FILE, Index, Newcomer, Thresholds};
use crate::outbox::status::{State, Status};
use crate::outbox::{Outbox, OutboxError};
use crate::review::{self, Fingerprints};

/// The accepted submissions, looked up only when there is something to compare.
pub struct Corpus<'a> {
    config: &'a Config,
    outbox: &'a Outbox,
    index: Option<Index>,
}

/// The comparison stopped on a fault of our own.
pub struct Fault;

impl<'a> Corpus<'a> {
    pub fn new(config: &'a Config, outbox: &'a Outbox) -> Self {
        Self {
            config,
            outbox,
            index: None,
        }
    }

    /// Compares one accepted submission, and takes it in if it is no duplicate. Nothing when the policy is off.
    pub fn compare(
        &mut self,
        examined: &Examined,
    ) -> Result<Result<Option<Comparison>, Fault>, OutboxError> {
        let settings = &self.config.duplicates;
        let Some(review) = &examined.accepted else {
            return Ok(Ok(None));
        };
        if settings.policy == DuplicatePolicy::Off {
            return Ok(Ok(None));
        }
        let status = &examined.status;
        let index = match &mut self.index {
            Some(index) => index,
            empty => empty.insert(open(self.config, self.outbox)?),
        };
        let newcomer = Newcomer {
            id: &status.submission_id,
            owner: status.hotkey.as_deref(),
            fingerprints: &review.fingerprints,
        };
        let thresholds = Thresholds {
            source: settings.source,
            graph: settings.graph,
            structure: settings.structure,
        };
        let limits = &self.config.archive;
        let mut fetch = |id: &str| fingerprints_of(self.outbox, limits, id);
        let compared_with = index.len();
        let found = catch_unwind(AssertUnwindSafe(|| {
            duplicates::check(index, &newcomer, thresholds, &mut fetch)
        }));
        let Ok(duplicate) = found else {
            return Ok(Err(Fault));
        };
        if duplicate.is_none() {
            index.add(earlier(status), &review.fingerprints);
        }
        Ok(Ok(Some(Comparison {
            policy: settings.policy,
            compared_with,
            duplicate,
        })))
    }

    /// Leaves the index on disk for the next run.
    pub fn save(&mut self) -> Result<(), OutboxError> {
        match &mut self.index {
            Some(index) => index.save(&index_path(self.outbox)),
            None => Ok(()),
        }
    }
}

fn index_path(outbox: &Outbox) -> PathBuf {
    outbox.root.join(INDEX_FILE)
}

fn open(config: &Config, outbox: &Outbox) -> Result<Index, OutboxError> {
    let accepted = board::statuses(outbox)?
        .readable
        .iter()
        .filter(|status| counts(status))
        .map(earlier)
        .collect();
    Ok(Index::open(&index_path(outbox), accepted, &|id| {
        fingerprints_of(outbox, &config.archive, id)
    }))
}

/// Whether others may be compared with it: what was turned away stands in nobody's way.
fn counts(status: &Status) -> bool {
    matches!(
        status.state,
        State::Reviewed | State::Measuring | State::Measured | State::Scored | State::Failed
    )
}

fn earlier(status: &Status) -> Earlier {
    Earlier {
        id: status.submission_id.clone(),
        owner: status.hotkey.clone(),
        accepted_at: status.accepted_at.clone(),
    }
}

/// The fingerprints of a submission in the outbox, from its archive.
fn fingerprints_of(outbox: &Outbox, limits: &Limits, id: &str) -> Option<Fingerprints> {
    let bytes = std::fs::read(outbox.submission(id).join(ARCHIVE)).ok()?;
    let bundle = bundle::open(&bytes, limits).ok()?;
    review::fingerprints(&bundle.files, &roles(&bundle))
}
