//! From what the intake saw to reviewed and compared bundles, many at a time: nothing of a submission runs here.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rayon::prelude::*;

use super::compare::{Corpus, Fault};
use super::examine::{self, Comparison, Examined};
use super::report::{Report, told};
use super::stored::{self, Source};
use super::{Pipeline, PipelineError, heartbeat, prune};
use crate::bundle::Kind;
use crate::intake::{self, Candidate, Reading};
use crate::outbox::status::Status;

/// Archives that are examined before the next ones are opened: what bounds the memory of a large look.
const EXAMINED_AT_ONCE: usize = 256;

/// The unit of recorded times: two submissions are never accepted at the same one.
const TICK: Duration = Duration::from_millis(1);

/// What became of one file.
enum Looked {
    Known,
    /// It is one that this run looks at anyway.
    Again,
    Changed,
    Examined(Box<Examined>),
}

impl Pipeline<'_> {
    /// Bytes to reviewed and compared bundles: nothing of a submission runs here.
    pub(super) fn examine(
        &self,
        candidates: &[Candidate],
        changed: &mut Vec<PathBuf>,
        moved: &mut Vec<Status>,
        report: &mut Report,
    ) -> Result<(), PipelineError> {
        // What an earlier run began comes first; it needs no inbox.
        let with_held = !self.looked_at_held.swap(true, Ordering::SeqCst);
        let mut sources = stored::sources(&self.ledger, &self.outbox, with_held)?;
        sources.extend(candidates.iter().map(Source::File));
        let bar = self.progress.examining(sources.len() as u64);
        let mut corpus = Corpus::new(self.config, &self.outbox, &self.ledger);
        let seen = Mutex::default();
        let mut next = SystemTime::now();
        for some in sources.chunks(EXAMINED_AT_ONCE) {
            heartbeat::beat();
            if self.stop.is_asked() {
                report.stopped = true;
                break;
            }
            // Many at a time. Their times of acceptance differ, in the order of arrival, whichever is examined first.
            let first = next.max(SystemTime::now());
            let accepted_at = |place: usize| first + TICK * u32::try_from(place).unwrap_or(0);
            next = accepted_at(some.len());
            let looked: Vec<Result<Looked, PipelineError>> = some
                .par_iter()
                .enumerate()
                .map(|(place, source)| {
                    let result = self.look_at(source, &seen, accepted_at(place));
                    bar.inc(1);
                    result
                })
                .collect();
            // One at a time, in memory: which of them say what an earlier one said.
            let mut compared = Vec::new();
            for (source, result) in some.iter().zip(looked) {
                match result {
                    Ok(Looked::Known) => report.known += 1,
                    Ok(Looked::Again) => {}
                    Ok(Looked::Changed) => changed.push(source.path()),
                    Ok(Looked::Examined(examined)) => {
                        let comparison = corpus.compare(&examined)?;
                        compared.push((source, Ok((*examined, comparison))));
                    }
                    Err(error) => compared.push((source, Err(error))),
                }
            }
            let concluded: Vec<(&Source<'_>, Result<Status, PipelineError>)> = compared
                .into_par_iter()
                .map(|(source, result)| {
                    let status = result
                        .and_then(|(examined, comparison)| self.conclude(examined, comparison));
                    (source, status)
                })
                .collect();
            for (source, status) in concluded {
                match status {
                    Ok(status) => {
                        self.tell(&status);
                        moved.push(status);
                    }
                    Err(error) => {
                        report
                            .infrastructure
                            .push(format!("{}: {error}", source.path().display()));
                        report.unread.push(source.path());
                        report.retry_within(self.retry_after());
                    }
                }
            }
        }
        bar.finish_and_clear();
        // Derived from the archives: without it, the next run makes it again.
        if let Err(error) = corpus.save() {
            report.infrastructure.push(told(&error));
        }
        Ok(())
    }

    /// Examines a file of the inbox, or the archive of a submission that an earlier run did not come to an end with.
    fn look_at(
        &self,
        source: &Source<'_>,
        seen: &Mutex<HashSet<String>>,
        accepted_at: SystemTime,
    ) -> Result<Looked, PipelineError> {
        // The same bytes under two names, or stored and still in the inbox, are one submission, examined once.
        let is_first = |id: &str| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.insert(id.to_owned())
        };
        let arrival = match source {
            Source::Stored(status) => stored::arrival(&self.outbox, status)?,
            Source::File(candidate) => {
                match intake::read(candidate, self.config.archive.max_archive_bytes, "")? {
                    Reading::Changed => return Ok(Looked::Changed),
                    Reading::Arrival(arrival) => examine::as_archive(arrival)?,
                    Reading::Oversized(oversized) => {
                        if self.is_done(&oversized.submission_id) {
                            return Ok(Looked::Known);
                        }
                        if !is_first(&oversized.submission_id) {
                            return Ok(Looked::Again);
                        }
                        return Ok(Looked::Examined(Box::new(Examined {
                            status: examine::reject_unread(&self.outbox, &oversized, accepted_at)?,
                            accepted: None,
                            kind: Kind::Full,
                        })));
                    }
                }
            }
        };
        if matches!(source, Source::File(_)) && self.is_done(&arrival.submission_id) {
            return Ok(Looked::Known);
        }
        if !is_first(&arrival.submission_id) {
            return Ok(Looked::Again);
        }
        let examined = examine::examine(self.config, &self.outbox, &arrival, accepted_at)?;
        Ok(Looked::Examined(Box::new(examined)))
    }

    /// Publishes the review of a submission that the rules accept, with what the comparison came to.
    fn conclude(
        &self,
        examined: Examined,
        comparison: Result<Option<Comparison>, Fault>,
    ) -> Result<Status, PipelineError> {
        let Examined {
            mut status,
            accepted,
            ..
        } = examined;
        let Some(review) = accepted else {
            return Ok(status);
        };
        match comparison {
            Ok(comparison) => {
                examine::conclude(&self.outbox, &mut status, review, comparison.as_ref())?;
            }
            Err(Fault) => {
                examine::hold_for_fault(&mut status);
                status.write(&self.outbox)?;
            }
        }
        Ok(status)
    }

    /// Whether a submission needs nothing more. A status that cannot be read is told when it is examined.
    fn is_done(&self, submission_id: &str) -> bool {
        if prune::is_pruned(&self.outbox, submission_id) {
            return true;
        }
        matches!(Status::read(&self.outbox, submission_id), Ok(Some(status)) if status.is_final() || status.is_held_by_operator())
    }
}
