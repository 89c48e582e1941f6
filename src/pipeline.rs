//! The path of a submission, on one screen: intake, bundle, review, referee, score, outbox. It goes one way.
//!
//! Archives are examined many at a time; runs are measured one at a time. There is no database: what was done is what lies in
//! the outbox, so running again does nothing new, and a killed run goes on where its last whole file says.

mod board;
mod compare;
mod examine;
mod measure;
mod preflight;
mod publish;
mod publish_v1;
mod quarantine;
mod seeds;
mod v1_manifest;
mod v1_validation;

use std::sync::Arc;

use rayon::prelude::*;

use crate::config::Config;
use crate::intake::{self, Candidate, IntakeError, Reading, Seen};
use crate::outbox::lock::{self, OutboxLock};
use crate::outbox::status::{Reason, State, Status, Verdict};
use crate::outbox::{Outbox, OutboxError};
use crate::progress::Progress;
use crate::score::ScoreError;
use crate::signing::SigningError;
use crate::signing::keys::Signer;

pub use board::{Board, Ineligible};
pub use examine::{ARCHIVE, review_of};
pub use measure::referee_executable;
pub use publish::{CORPUS_MANIFEST, LOG, MANIFEST};
pub use publish_v1::{CHECKPOINTS, MANIFEST as MANIFEST_V1, METRICS};
pub use seeds::again as seeds_again;

use compare::{Corpus, Fault};
use examine::{Comparison, Examined};

/// What stops the pipeline itself.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error(transparent)]
    Score(#[from] ScoreError),
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl PipelineError {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Outbox(error) => error.hint().to_owned(),
            Self::Intake(error) => error.hint().to_owned(),
            Self::Score(error) => error.hint().to_owned(),
            Self::Signing(error) => error.hint().to_owned(),
        }
    }
}

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
    /// Files that are still being written.
    pub waiting: Vec<String>,
    /// Files of the inbox that are no submissions, with the reason.
    pub ignored: Vec<String>,
    /// Infrastructure failures; the submissions concerned are tried again on the next run.
    pub infrastructure: Vec<String>,
    pub board: Board,
}

/// Archives that are examined before the next ones are opened: what bounds the memory of a large look.
const EXAMINED_AT_ONCE: usize = 256;

/// What became of one file.
enum Looked {
    Known,
    Changed,
    Examined(Box<Examined>),
}

/// A pipeline that holds its outbox.
#[derive(Debug)]
pub struct Pipeline<'a> {
    config: &'a Config,
    progress: &'a Progress,
    outbox: Outbox,
    _lock: OutboxLock,
}

impl<'a> Pipeline<'a> {
    /// Makes the outbox and takes its lock.
    pub fn open(config: &'a Config, progress: &'a Progress) -> Result<Self, PipelineError> {
        let mut outbox = Outbox::new(&config.outbox);
        if let Some(path) = &config.keys.signing_key {
            outbox = outbox.signed_by(Arc::new(Signer::load(path)?));
        }
        outbox.create()?;
        let lock = lock::acquire(&outbox)?;
        Ok(Self {
            config,
            progress,
            outbox,
            _lock: lock,
        })
    }

    /// Takes what the intake saw through the rooms. `changed` gets every file that changed while it was read.
    pub fn run(
        &self,
        seen: Vec<Seen>,
        changed: &mut Vec<std::path::PathBuf>,
    ) -> Result<Report, PipelineError> {
        let mut report = Report::default();
        let mut candidates = Vec::new();
        for seen in seen {
            match seen {
                Seen::Ready(candidate) => candidates.push(candidate),
                Seen::Waiting { path, reason, .. } => {
                    report.waiting.push(format!("{}: {reason}", path.display()));
                }
                Seen::Ignored { path, reason } => {
                    report.ignored.push(format!("{}: {reason}", path.display()))
                }
            }
        }

        // In order of arrival: of two submissions that are alike, the earlier one counts.
        candidates.sort_by(|a, b| (a.stamp.arrived(), &a.path).cmp(&(b.stamp.arrived(), &b.path)));
        let mut moved = self.examine(&candidates, changed, &mut report)?;
        for status in quarantine::release(self.config, &self.outbox)? {
            self.tell(&status);
            moved.push(status);
        }

        self.measure(&mut moved, &mut report)?;

        report.board = board::rebuild(&self.outbox)?;
        report
            .infrastructure
            .extend(report.board.unreadable.iter().cloned());
        moved.sort_by(|a, b| {
            (&a.accepted_at, &a.submission_id).cmp(&(&b.accepted_at, &b.submission_id))
        });
        report.processed = moved.into_iter().map(outcome).collect();
        Ok(report)
    }

    /// Bytes to reviewed and compared bundles: nothing of a submission runs here.
    fn examine(
        &self,
        candidates: &[Candidate],
        changed: &mut Vec<std::path::PathBuf>,
        report: &mut Report,
    ) -> Result<Vec<Status>, PipelineError> {
        let bar = self.progress.examining(candidates.len() as u64);
        let mut corpus = Corpus::new(self.config, &self.outbox);
        let mut moved = Vec::new();
        for some in candidates.chunks(EXAMINED_AT_ONCE) {
            // Many at a time.
            let looked: Vec<Result<Looked, PipelineError>> = some
                .par_iter()
                .map(|candidate| {
                    let result = self.look_at(candidate);
                    bar.inc(1);
                    result
                })
                .collect();
            // One at a time, in memory: which of them say what an earlier one said.
            let mut compared = Vec::new();
            for (candidate, result) in some.iter().zip(looked) {
                match result {
                    Ok(Looked::Known) => report.known += 1,
                    Ok(Looked::Changed) => changed.push(candidate.path.clone()),
                    Ok(Looked::Examined(examined)) => {
                        let comparison = corpus.compare(&examined)?;
                        compared.push((candidate, Ok((*examined, comparison))));
                    }
                    Err(error) => compared.push((candidate, Err(error))),
                }
            }
            let concluded: Vec<(&Candidate, Result<Status, PipelineError>)> = compared
                .into_par_iter()
                .map(|(candidate, result)| {
                    let status = result
                        .and_then(|(examined, comparison)| self.conclude(examined, comparison));
                    (candidate, status)
                })
                .collect();
            for (candidate, status) in concluded {
                match status {
                    Ok(status) => {
                        self.tell(&status);
                        moved.push(status);
                    }
                    Err(error) => report
                        .infrastructure
                        .push(format!("{}: {error}", candidate.path.display())),
                }
            }
        }
        bar.finish_and_clear();
        corpus.save()?;
        Ok(moved)
    }

    /// One at a time: whatever was reviewed and not yet measured, also by an earlier run that was killed.
    fn measure(&self, moved: &mut Vec<Status>, report: &mut Report) -> Result<(), PipelineError> {
        let mut queue = self.unfinished()?;
        queue.sort_by(|a, b| {
            (&a.accepted_at, &a.submission_id).cmp(&(&b.accepted_at, &b.submission_id))
        });
        if !queue.is_empty()
            && let Err(failure) = preflight::preflight(self.config)
        {
            report.infrastructure.push(format!(
                "{} {}: {failure}",
                queue.len(),
                if queue.len() == 1 {
                    "submission waits"
                } else {
                    "submissions wait"
                }
            ));
            for status in &mut queue {
                measure::note(&self.outbox, status, &failure)?;
            }
            queue.clear();
        }
        let count = queue.len();
        for (place, mut status) in queue.into_iter().enumerate() {
            let news = self.progress.run(&status.name, place + 1, count);
            match measure::measure(self.config, &self.outbox, &mut status, news) {
                Ok(()) => self.tell(&status),
                Err(failure) => report
                    .infrastructure
                    .push(format!("{}: {failure}", status.name)),
            }
            moved.retain(|other| other.submission_id != status.submission_id);
            moved.push(status);
        }
        Ok(())
    }

    /// Reads and examines one file.
    fn look_at(&self, candidate: &Candidate) -> Result<Looked, PipelineError> {
        let examined = match intake::read(candidate, self.config.archive.max_archive_bytes, "")? {
            Reading::Changed => return Ok(Looked::Changed),
            Reading::Oversized(oversized) => {
                if self.is_done(&oversized.submission_id) {
                    return Ok(Looked::Known);
                }
                Examined {
                    status: examine::reject_unread(&self.outbox, &oversized)?,
                    accepted: None,
                }
            }
            Reading::Arrival(arrival) => {
                let arrival = examine::as_archive(arrival)?;
                if self.is_done(&arrival.submission_id) {
                    return Ok(Looked::Known);
                }
                examine::examine(self.config, &self.outbox, &arrival)?
            }
        };
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
        matches!(Status::read(&self.outbox, submission_id), Ok(Some(status)) if status.is_final())
    }

    /// Submissions that wait for the device.
    fn unfinished(&self) -> Result<Vec<Status>, PipelineError> {
        let statuses = board::statuses(&self.outbox)?.readable;
        let waits = |status: &Status| {
            matches!(
                status.state,
                State::Reviewed | State::Measuring | State::Measured
            )
        };
        Ok(statuses.into_iter().filter(waits).collect())
    }

    fn tell(&self, status: &Status) {
        if let Some(verdict) = status.verdict {
            let reason = status.reason.as_ref();
            let text = reason.map(|reason| format!("{}: {}", reason.rule_id, reason.message));
            self.progress
                .verdict(&status.name, verdict, text.as_deref());
        }
    }
}

fn outcome(status: Status) -> Outcome {
    Outcome {
        submission_id: status.submission_id,
        name: status.name,
        state: status.state,
        verdict: status.verdict,
        reason: status.reason,
    }
}
