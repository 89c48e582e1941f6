//! From what the intake saw to reviewed and compared bundles, many at a time: nothing of a submission runs here.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rayon::prelude::*;

use super::admit::{self, Admitted, Refused};
use super::claimants::{self, Decision, Decisions};
use super::compare::{Corpus, Fault};
use super::examine::{self, Comparison, Examined};
use super::report::{Report, told};
use super::stored::{self, Source};
use super::{Pipeline, PipelineError, heartbeat, prune};
use crate::bundle::Kind;
use crate::intake::{self, Arrival, Candidate, Reading};
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
    /// It is to be looked at again later; why.
    Waits(String),
    /// It is no submission after all; why. Said once.
    Ignored(String),
    Examined(Box<Examined>),
}

/// What a source holds.
enum Taken {
    Arrival(Arrival),
    Refused(Refused),
    Looked(Looked),
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
        let now = SystemTime::now();
        let decisions =
            claimants::decide(self.config, &self.outbox, &self.ledger, candidates, now)?;
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
                    let result = self.look_at(source, &decisions, &seen, accepted_at(place));
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
                    Ok(Looked::Waits(why)) => {
                        let path = source.path();
                        report.waiting.push(format!("{}: {why}", path.display()));
                        report.deferred.push(path);
                    }
                    Ok(Looked::Ignored(why)) => {
                        let path = source.path();
                        report.ignored.push(format!("{}: {why}", path.display()));
                    }
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
        decisions: &Decisions,
        seen: &Mutex<HashSet<String>>,
        accepted_at: SystemTime,
    ) -> Result<Looked, PipelineError> {
        // The same bytes under two names, or stored and still in the inbox, are one submission, examined once.
        let is_first = |id: &str| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.insert(id.to_owned())
        };
        let taken = match source {
            Source::Stored(status) => Taken::Arrival(stored::arrival(&self.outbox, status)?),
            Source::File(candidate) => {
                self.take_in(candidate, decisions, &is_first, accepted_at)?
            }
        };
        let is_file = matches!(source, Source::File(_));
        match taken {
            Taken::Looked(looked) => Ok(looked),
            Taken::Refused(refused) => {
                let earlier = refused.earlier_id.as_ref();
                if self.is_done(&refused.submission_id)
                    || earlier.is_some_and(|id| self.is_there(id))
                {
                    return Ok(Looked::Known);
                }
                if !is_first(&refused.submission_id) {
                    return Ok(Looked::Again);
                }
                let status = admit::refuse(&self.outbox, &refused, accepted_at)?;
                Ok(rejected(status))
            }
            Taken::Arrival(arrival) => {
                if is_file && self.is_done(&arrival.submission_id) {
                    return Ok(Looked::Known);
                }
                if !is_first(&arrival.submission_id) {
                    return Ok(Looked::Again);
                }
                let examined = examine::examine(self.config, &self.outbox, &arrival, accepted_at)?;
                Ok(Looked::Examined(Box::new(examined)))
            }
        }
    }

    /// Reads a file of the inbox, and finds whose it is.
    fn take_in(
        &self,
        candidate: &Candidate,
        decisions: &Decisions,
        is_first: &dyn Fn(&str) -> bool,
        accepted_at: SystemTime,
    ) -> Result<Taken, PipelineError> {
        let limit_bytes = self.config.archive.max_archive_bytes;
        let looked = |looked| Ok(Taken::Looked(looked));
        let delivery = match intake::read(candidate, limit_bytes, self.config.intake.sentinel)? {
            Reading::Changed => return looked(Looked::Changed),
            Reading::NotItsSentinel => {
                let why = "its sentinel has another digest; either may still change";
                return looked(Looked::Ignored(why.to_owned()));
            }
            Reading::NotSubmission(why) => return looked(Looked::Ignored(why)),
            Reading::Oversized(oversized) => {
                if self.is_done(&oversized.submission_id) {
                    return looked(Looked::Known);
                }
                if !is_first(&oversized.submission_id) {
                    return looked(Looked::Again);
                }
                let status = examine::reject_unread(&self.outbox, &oversized, accepted_at)?;
                return looked(rejected(status));
            }
            Reading::Delivery(delivery) => delivery,
        };
        let mut arrival = match admit::admit(delivery, &self.config.identity)? {
            Admitted::Refused(refused) => return Ok(Taken::Refused(refused)),
            Admitted::Arrival(arrival) => arrival,
        };
        if arrival.hotkey.is_none() {
            return Ok(Taken::Arrival(arrival));
        }
        match decisions.get(&arrival.path) {
            Some((id, decision)) if *id == arrival.submission_id => match decision {
                Decision::Admit => Ok(Taken::Arrival(arrival)),
                Decision::Wait(why) => looked(Looked::Waits(why.clone())),
                Decision::Refuse(reason) => {
                    let claims = arrival.identity.take().unwrap_or_default();
                    let claims = serde_json::to_vec(&claims).unwrap_or_default();
                    Ok(Taken::Refused(Refused {
                        submission_id: intake::refused_id(&arrival.sha256, &claims),
                        earlier_id: None,
                        name: arrival.name,
                        sha256: Some(arrival.sha256),
                        mode: self.config.identity.mode,
                        reason: reason.clone(),
                    }))
                }
            },
            // it was another one when the hotkeys were looked at
            _ => looked(Looked::Changed),
        }
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

    /// Whether a submission was taken in, whatever became of it.
    fn is_there(&self, submission_id: &str) -> bool {
        prune::is_pruned(&self.outbox, submission_id)
            || self.outbox.submission(submission_id).exists()
    }

    /// Whether a submission needs nothing more. A status that cannot be read is told when it is examined.
    fn is_done(&self, submission_id: &str) -> bool {
        if prune::is_pruned(&self.outbox, submission_id) {
            return true;
        }
        matches!(Status::read(&self.outbox, submission_id), Ok(Some(status)) if status.is_final() || status.is_held_by_operator() || status.is_held_by_gate())
    }
}

/// A submission that was turned away unread.
fn rejected(status: Status) -> Looked {
    Looked::Examined(Box::new(Examined {
        status,
        accepted: None,
        kind: Kind::Full,
    }))
}
