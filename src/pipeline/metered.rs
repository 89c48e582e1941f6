//! The pipeline's figures for Prometheus, where the configuration names a file for them.

use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime};

use super::report::Report;
use super::{Pipeline, requests};
use crate::metrics::{self, Facts, LastRun};
use crate::outbox::{OutboxError, atomic};

/// While nothing happens, the figures are written this often.
const IDLE: Duration = Duration::from_secs(60);

/// What is remembered between two writings.
#[derive(Debug, Default)]
pub(super) struct Meter {
    last_run: LastRun,
    written: Option<Instant>,
}

impl Pipeline<'_> {
    /// Keeps what a run came to, and writes the figures.
    pub(super) fn meter(&self, begun: Instant, report: &Report) {
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.last_run = LastRun {
            ended_at: Some(SystemTime::now()),
            took: begun.elapsed(),
            failures: report.infrastructure.len(),
        };
        drop(meter);
        self.write_metrics();
    }

    /// Writes the figures again when they are old; for a watch to which nothing happens.
    pub fn refresh_metrics(&self) {
        let meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = meter
            .written
            .is_none_or(|written| written.elapsed() >= IDLE);
        drop(meter);
        if is_old {
            self.write_metrics();
        }
    }

    /// Writes the figures. They are nobody's result: one that cannot be written is told, and nothing waits for it.
    pub(super) fn write_metrics(&self) {
        let Some(path) = &self.config.metrics.textfile else {
            return;
        };
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.written = Some(Instant::now());
        if let Err(error) = self.figures(meter.last_run, path) {
            self.progress
                .warn(&format!("metrics.textfile: {error} ({})", error.hint()));
        }
    }

    fn figures(&self, last_run: LastRun, path: &std::path::Path) -> Result<(), OutboxError> {
        let found = self.ledger.statuses(&self.outbox)?;
        let facts = Facts {
            statuses: &found.readable,
            unreadable: found.unreadable.len(),
            requests: requests::waiting(&self.outbox).len(),
            last_run,
            outbox: &self.outbox.root,
            now: SystemTime::now(),
        };
        atomic::write(path, metrics::text(&facts).as_bytes())
    }
}
