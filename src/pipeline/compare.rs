//! New submissions against all that were accepted before: one at a time, in the order in which they arrived.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::examine::{ARCHIVE, Comparison, Examined, roles};
use super::ledger::Ledger;
use crate::bundle::{self, Kind, Limits};
use crate::config::Config;
use crate::duplicates::{
    self, Duplicate, DuplicatePolicy, Earlier, INDEX_FILE, Index, Newcomer, Thresholds,
};
use crate::outbox::status::{State, Status};
use crate::outbox::{Outbox, OutboxError};
use crate::review::{self, Fingerprints, Review};

/// The accepted submissions, looked up only when there is something to compare.
pub struct Corpus<'a> {
    config: &'a Config,
    outbox: &'a Outbox,
    ledger: &'a Ledger,
    index: Option<Index>,
}

/// The comparison stopped on a fault of our own.
pub struct Fault;

/// What an outbox has accepted, to be asked about others: nothing is written, and the outbox may be in use.
pub struct Accepted<'a> {
    config: &'a Config,
    outbox: Outbox,
    index: Index,
    /// `status.json` files that cannot be read, with the reason: these submissions are not compared.
    pub unreadable: Vec<String>,
}

impl<'a> Accepted<'a> {
    /// Reads the outbox at `root`; its index is taken from the file where that holds it, and made in memory where not.
    ///
    /// # Errors
    /// [`OutboxError::Io`] where `root` is no folder that can be listed.
    pub fn open(config: &'a Config, root: &Path) -> Result<Self, OutboxError> {
        let outbox = Outbox::new(root);
        let (index, unreadable) = open(config, &outbox, &Ledger::default())?;
        Ok(Self {
            config,
            outbox,
            index,
            unreadable,
        })
    }

    /// Compares a submission of nobody in particular with all but the one of its own `id`, whatever the policy.
    pub fn compare(&self, id: &str, review: &Review) -> Result<Comparison, Fault> {
        let newcomer = Newcomer {
            id,
            owner: None,
            fingerprints: &review.fingerprints,
        };
        Ok(Comparison {
            policy: self.config.duplicates.policy,
            compared_with: self.index.len(),
            duplicate: find(self.config, &self.outbox, &self.index, &newcomer)?,
        })
    }
}

impl<'a> Corpus<'a> {
    pub fn new(config: &'a Config, outbox: &'a Outbox, ledger: &'a Ledger) -> Self {
        Self {
            config,
            outbox,
            ledger,
            index: None,
        }
    }

    /// Compares one accepted submission, and takes it in if it is no duplicate. Nothing when the policy is off.
    pub fn compare(
        &mut self,
        examined: &Examined,
    ) -> Result<Result<Option<Comparison>, Fault>, OutboxError> {
        let policy = self.config.duplicates.policy;
        let Some(review) = &examined.accepted else {
            return Ok(Ok(None));
        };
        if policy == DuplicatePolicy::Off {
            return Ok(Ok(None));
        }
        let status = &examined.status;
        let index = match &mut self.index {
            Some(index) => index,
            empty => empty.insert(open(self.config, self.outbox, self.ledger)?.0),
        };
        let fingerprints = compared(review.fingerprints.clone(), &examined.kind);
        let newcomer = Newcomer {
            id: &status.submission_id,
            owner: status.hotkey.as_deref(),
            fingerprints: &fingerprints,
        };
        let compared_with = index.len();
        let Ok(duplicate) = find(self.config, self.outbox, index, &newcomer) else {
            return Ok(Err(Fault));
        };
        if duplicate.is_none() {
            index.add(earlier(status), &fingerprints);
        }
        Ok(Ok(Some(Comparison {
            policy,
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

/// The index over what counts in the outbox, and why some of it could not be read.
fn open(
    config: &Config,
    outbox: &Outbox,
    ledger: &Ledger,
) -> Result<(Index, Vec<String>), OutboxError> {
    let statuses = ledger.statuses(outbox)?;
    let accepted = statuses
        .readable
        .iter()
        .filter(|status| counts(status))
        .map(earlier)
        .collect();
    let index = Index::open(&index_path(outbox), accepted, &|id| {
        fingerprints_of(outbox, &config.archive, id)
    });
    Ok((index, statuses.unreadable))
}

fn find(
    config: &Config,
    outbox: &Outbox,
    index: &Index,
    newcomer: &Newcomer<'_>,
) -> Result<Option<Duplicate>, Fault> {
    let settings = &config.duplicates;
    let thresholds = Thresholds {
        source: settings.source,
        graph: settings.graph,
        structure: settings.structure,
    };
    let mut fetch = |id: &str| fingerprints_of(outbox, &config.archive, id);
    catch_unwind(AssertUnwindSafe(|| {
        duplicates::check(index, newcomer, thresholds, &mut fetch)
    }))
    .map_err(|_| Fault)
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
    let fingerprints = review::fingerprints(&bundle.files, &roles(&bundle))?;
    Some(compared(fingerprints, &bundle.kind))
}

/// What is compared: a training for a family brings the family's architecture because it has to, so of its structure
/// only the training counts. The same files, or the same structure as a whole, are still a copy.
fn compared(mut fingerprints: Fingerprints, kind: &Kind) -> Fingerprints {
    if let Kind::TrainingForArch { .. } = kind {
        fingerprints.grams.retain(|gram| gram.is_training);
        fingerprints.graph.clear();
    }
    fingerprints
}
