//! One line of the log for each change of state, when it is on disk.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::status::Status;

/// How many of a submission's transitions were told of. No part of what a status says: two that differ in it are the same.
#[derive(Debug, Default)]
pub struct Told(AtomicUsize);

impl Told {
    /// Of that many.
    pub fn of(count: usize) -> Self {
        Self(AtomicUsize::new(count))
    }
}

impl Clone for Told {
    fn clone(&self) -> Self {
        Self::of(self.0.load(Ordering::Relaxed))
    }
}

impl PartialEq for Told {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Told {}

/// Tells of the transitions that were not told of yet; the last one with its reason.
pub(super) fn tell(status: &Status) {
    let count = status.transitions.len();
    let told = status.told.0.swap(count, Ordering::Relaxed);
    for (place, transition) in status.transitions.iter().enumerate().skip(told) {
        let reason = status.reason.as_ref().filter(|_| place + 1 == count);
        tracing::info!(
            submission_id = status.submission_id.as_str(),
            name = status.name.as_str(),
            state = transition.state.name(),
            since = transition.at.as_str(),
            attempts = u64::from(status.attempts),
            rule_id = reason.map(|reason| reason.rule_id.as_str()),
            reason = reason.map(|reason| reason.message.as_str()),
            note = transition.note.as_deref(),
            "state changed"
        );
    }
}
