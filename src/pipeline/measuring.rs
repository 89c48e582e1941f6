//! The queue for the device, run by run: one submission at a time, until nothing is left that may be tried now.

use std::collections::HashSet;
use std::time::SystemTime;

use super::gating::Beside;
use super::measure::{self, MeasureFailure};
use super::report::{Report, told};
use super::{Pipeline, PipelineError, preflight, queue};
use crate::config::gate::GateMode;
use crate::outbox::status::Status;

impl Pipeline<'_> {
    /// Measures what is ready while the gate is asked about the rest: an answer that does not come keeps nobody else from
    /// the device.
    pub(super) fn measure(
        &self,
        moved: &mut Vec<Status>,
        report: &mut Report,
    ) -> Result<(), PipelineError> {
        let beside = Beside::default();
        if self.config.gate.mode == GateMode::Off {
            self.gate(&beside).into(moved, report);
            return self.measure_ready(&beside, moved, report);
        }
        // What the device makes of a submission comes after what the gate did, whoever is done first.
        let mut on_device = Vec::new();
        let (measured, gated) = std::thread::scope(|scope| {
            let gate = scope.spawn(|| self.gate(&beside));
            let measured = self.measure_ready(&beside, &mut on_device, report);
            (measured, gate.join())
        });
        match gated {
            Ok(passed) => passed.into(moved, report),
            Err(_) => {
                let line = "the gate stopped on a fault of its own: please report it";
                report.infrastructure.push(line.to_owned());
                report.retry_within(self.retry_after());
            }
        }
        moved.append(&mut on_device);
        measured
    }

    /// One at a time, in the order in which they were accepted: whatever was reviewed, passed the gate and was not yet
    /// measured, also by an earlier run that was killed.
    fn measure_ready(
        &self,
        beside: &Beside,
        moved: &mut Vec<Status>,
        report: &mut Report,
    ) -> Result<(), PipelineError> {
        let mut tried = HashSet::new();
        let mut is_ready = false;
        loop {
            let now = SystemTime::now();
            let decided = beside.decided();
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
                if beside.wait_for_more(decided) {
                    continue;
                }
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
        statuses.retain(|status| queue::waits(status) && self.has_passed_gate(status));
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
