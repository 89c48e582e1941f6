//! The queue for the device, run by run: one submission at a time, until nothing is left that may be tried now.

use std::collections::HashSet;
use std::time::SystemTime;

use super::measure::{self, MeasureFailure};
use super::report::{Report, told};
use super::{Pipeline, PipelineError, preflight, queue};
use crate::outbox::status::Status;

impl Pipeline<'_> {
    /// One at a time, in the order in which they were accepted: whatever was reviewed and not yet measured, also by an
    /// earlier run that was killed.
    pub(super) fn measure(
        &self,
        moved: &mut Vec<Status>,
        report: &mut Report,
    ) -> Result<(), PipelineError> {
        let mut tried = HashSet::new();
        let mut is_ready = false;
        loop {
            let now = SystemTime::now();
            let mut waiting = self.waiting()?;
            waiting.retain(|status| !tried.contains(&status.submission_id));
            if self.stop.is_asked() {
                report.stopped |= !waiting.is_empty();
                break;
            }
            let (resting, mut ready): (Vec<Status>, Vec<Status>) = waiting
                .into_iter()
                .partition(|status| queue::rest(status, now).is_some());
            if ready.is_empty() {
                report_resting(&resting, now, report);
                break;
            }
            if !is_ready && let Err(failure) = preflight::preflight(self.config) {
                let waits = if ready.len() == 1 {
                    "submission waits"
                } else {
                    "submissions wait"
                };
                let line = format!("{} {waits}: {failure}", ready.len());
                report.infrastructure.push(line);
                for status in &mut ready {
                    if let Err(error) = measure::note(&self.outbox, status, &failure) {
                        report.infrastructure.push(told(&error));
                    }
                }
                report.retry_within(self.retry_after());
                break;
            }
            is_ready = true;
            let count = tried.len() + ready.len();
            let mut status = ready.swap_remove(0);
            tried.insert(status.submission_id.clone());
            let id = status.submission_id.as_str();
            let _span = tracing::info_span!("submission", submission_id = id).entered();
            let news = self.progress.run(&status.name, tried.len(), count);
            match measure::measure(self.config, &self.outbox, &mut status, news, &self.stop) {
                Ok(()) => self.tell(&status),
                Err(MeasureFailure::Ended(why)) => {
                    report.stopped |= self.stop.is_asked();
                    self.progress.line(&format!("{}: {why}", status.name));
                }
                Err(failure) => {
                    self.tell(&status);
                    report
                        .infrastructure
                        .push(format!("{}: {failure}", status.name));
                    if let Some(rest) = queue::rest(&status, now) {
                        report.retry_within(rest);
                    }
                }
            }
            moved.push(status);
            self.write_metrics();
            self.take_requests(moved, report);
        }
        Ok(())
    }

    /// Submissions that wait for the device, in the order in which they were accepted.
    fn waiting(&self) -> Result<Vec<Status>, PipelineError> {
        let mut statuses = self.ledger.statuses(&self.outbox)?.readable;
        statuses.retain(queue::waits);
        statuses.sort_by(queue::order);
        Ok(statuses)
    }
}

/// Those that failed a moment ago are told of, too: something waits for a better machine.
fn report_resting(resting: &[Status], now: SystemTime, report: &mut Report) {
    for status in resting {
        let Some(rest) = queue::rest(status, now) else {
            continue;
        };
        report.retry_within(rest);
        let why = status.reason.as_ref().map_or("", |reason| &reason.message);
        let until = status.queue.not_before.as_deref().unwrap_or_default();
        report
            .infrastructure
            .push(format!("{}: tried again after {until}: {why}", status.name));
    }
}
