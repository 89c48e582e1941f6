//! Runs that are too good to be believed wait for a person: measured, with a manifest, and not ranked.

use std::path::Path;
use std::time::SystemTime;

use super::ledger::Ledger;
use crate::config::{Config, Quarantine};
use crate::outbox::status::{Reason, Status, TOO_GOOD, Verdict};
use crate::outbox::{Outbox, OutboxError};
use crate::score::ScoreError;
use crate::score::paired::Curve;
use crate::score::plausible::{Bounds, too_good};

/// The streams whose learning is believed.
pub fn references(quarantine: &Quarantine) -> Result<Vec<Curve>, ScoreError> {
    let folders = quarantine.references.iter();
    folders.map(|folder| Curve::read(folder)).collect()
}

/// Why the run in `folder` is held; nothing when it is believable, or when a person has accepted it.
pub fn reason(
    config: &Config,
    submission_id: &str,
    folder: &Path,
) -> Result<Option<Reason>, ScoreError> {
    let quarantine = &config.quarantine;
    if accepts(quarantine, submission_id) {
        return Ok(None);
    }
    let bounds = Bounds {
        floor_bpb: quarantine.floor_bpb,
        margin_bpb: quarantine.margin_bpb,
    };
    let found = too_good(&Curve::read(folder)?, &references(quarantine)?, &bounds);
    Ok(found.map(|message| Reason {
        rule_id: TOO_GOOD.to_owned(),
        message,
        hint: format!(
            "a person has to look at it; to rank it, add {submission_id} to quarantine.accepted and run prism again"
        ),
    }))
}

/// Concludes what a person has accepted since: it has its score, and is ranked from now on. One that cannot be written
/// is a line of `problems`.
pub fn release(
    config: &Config,
    outbox: &Outbox,
    ledger: &Ledger,
    problems: &mut Vec<String>,
) -> Result<Vec<Status>, OutboxError> {
    if config.quarantine.accepted.is_empty() {
        return Ok(Vec::new());
    }
    let mut released = Vec::new();
    for mut status in ledger.statuses(outbox)?.readable {
        if status.is_quarantined() && accepts(&config.quarantine, &status.submission_id) {
            status.conclude(Verdict::Scored, None, SystemTime::now());
            match status.write(outbox) {
                Ok(()) => released.push(status),
                Err(error) => problems.push(format!("{}: {error}", status.name)),
            }
        }
    }
    Ok(released)
}

fn accepts(quarantine: &Quarantine, submission_id: &str) -> bool {
    quarantine.accepted.iter().any(|id| id == submission_id)
}
