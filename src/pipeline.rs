//! The path of a submission, on one screen: intake, bundle, review, referee, score, outbox. It goes one way.
//!
//! Archives are examined many at a time; runs are measured one at a time. There is no database: what was done is what lies in
//! the outbox, so running again does nothing new, and a killed run goes on where its last whole file says.

mod architecture;
mod board;
mod board_cache;
mod compare;
mod competitions;
mod examine;
mod guard;
mod ledger;
mod measure;
mod preflight;
pub mod prune;
mod publish;
mod publish_v1;
mod quarantine;
pub mod queue;
mod recover;
pub mod requests;
mod seeds;
mod stop;
mod stored;
mod v1_manifest;
mod v1_validation;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rayon::prelude::*;

use crate::bundle::Kind;
use crate::config::Config;
use crate::intake::{self, Candidate, IntakeError, Reading, Seen};
use crate::outbox::lock::{self, OutboxLock};
use crate::outbox::status::{Reason, State, Status, Verdict};
use crate::outbox::{Outbox, OutboxError};
use crate::progress::Progress;
use crate::score::ScoreError;
use crate::signing::SigningError;
use crate::signing::keys::Signer;

pub use architecture::STRUCTURE;
pub use board::{Board, Ineligible};
pub use compare::Accepted;
pub use competitions::{FAMILIES, FamiliesFile, OWNERSHIP, Standing};
pub use examine::{ARCHIVE, Comparison, review_of};
pub use measure::referee_executable;
pub use publish::{CORPUS_MANIFEST, LOG, MANIFEST};
pub use publish_v1::{CHECKPOINTS, MANIFEST as MANIFEST_V1, METRICS};
pub use seeds::again as seeds_again;
pub use stop::Stop;

use board_cache::BoardCache;
use compare::{Corpus, Fault};
use examine::Examined;
use ledger::Ledger;
use measure::MeasureFailure;
use requests::Taken;
use stored::Source;

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

/// The two competitions of an outbox, rebuilt from its runs; and what of it could not be read. Nothing is written.
pub fn families(config: &Config) -> Result<(Standing, Vec<String>), OutboxError> {
    let outbox = Outbox::new(&config.outbox);
    let scored = board::read(&outbox, &Ledger::default(), &BoardCache::open(&outbox))?;
    Ok((scored.standing(&config.competitions), scored.unreadable))
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
    /// What the operator asked for and what became of it.
    pub requests: Vec<String>,
    pub board: Board,
    /// When something that failed for want of infrastructure may be tried again.
    #[serde(skip)]
    pub retry_in: Option<Duration>,
    /// Files that could not be examined for want of infrastructure: they are to be offered again.
    #[serde(skip)]
    pub unread: Vec<PathBuf>,
    /// Whether a stop left something undone.
    #[serde(skip)]
    pub stopped: bool,
}

impl Report {
    fn retry_within(&mut self, wait: Duration) {
        self.retry_in = Some(self.retry_in.map_or(wait, |before| before.min(wait)));
    }
}

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

/// A pipeline that holds its outbox.
#[derive(Debug)]
pub struct Pipeline<'a> {
    config: &'a Config,
    progress: &'a Progress,
    outbox: Outbox,
    ledger: Ledger,
    board: Mutex<BoardCache>,
    stop: Stop,
    /// What is held is examined again once for each start of prism, not at every look.
    looked_at_held: AtomicBool,
    _lock: OutboxLock,
}

/// The outbox of a configuration, with its signer, made if need be.
///
/// # Errors
/// A key that cannot be used, folders that cannot be made.
pub fn open_outbox(config: &Config) -> Result<Outbox, PipelineError> {
    let mut outbox = Outbox::new(&config.outbox);
    if let Some(path) = &config.keys.signing_key {
        outbox = outbox.signed_by(Arc::new(Signer::load(path)?));
    }
    outbox.create()?;
    Ok(outbox)
}

/// Every submission of an outbox, which may be at work.
///
/// # Errors
/// An outbox that cannot be listed.
pub fn statuses(outbox: &Outbox) -> Result<ledger::Statuses, OutboxError> {
    Ledger::default().statuses(outbox)
}

impl<'a> Pipeline<'a> {
    /// Makes the outbox, takes its lock and clears away what a prism that died left behind.
    pub fn open(config: &'a Config, progress: &'a Progress) -> Result<Self, PipelineError> {
        let outbox = open_outbox(config)?;
        let lock = lock::acquire(&outbox)?;
        recover::recover(&outbox)?;
        Ok(Self {
            config,
            progress,
            board: Mutex::new(BoardCache::open(&outbox)),
            outbox,
            ledger: Ledger::default(),
            stop: Stop::default(),
            looked_at_held: AtomicBool::new(false),
            _lock: lock,
        })
    }

    /// Asked for, it ends the step that is under way; what that was begins again the next time.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Forgets what the rules name ([`prune`]), and makes the leaderboard anew where it had to go.
    ///
    /// # Errors
    /// An outbox that cannot be listed or written.
    pub fn prune(
        &self,
        what: prune::What,
        rules: &prune::Rules,
        apply: bool,
    ) -> Result<prune::Pruned, OutboxError> {
        let mut cache = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let board = self.rebuild(&mut cache)?;
        let rows = board.leaderboard.rows.into_iter();
        let ranked = rows.map(|row| row.submission_id).collect();
        let now = SystemTime::now();
        let pruned = prune::prune(&self.outbox, what, rules, &ranked, apply, now)?;
        if apply && !pruned.removed.is_empty() {
            self.rebuild(&mut cache)?;
        }
        Ok(pruned)
    }

    /// Whether the operator asked for something.
    pub fn has_requests(&self) -> bool {
        requests::any(&self.outbox)
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
        let mut moved = Vec::new();
        self.take_requests(&mut moved, &mut report);
        self.examine(&candidates, changed, &mut moved, &mut report)?;
        for status in quarantine::release(
            self.config,
            &self.outbox,
            &self.ledger,
            &mut report.infrastructure,
        )? {
            self.tell(&status);
            moved.push(status);
        }

        self.measure(&mut moved, &mut report)?;

        let mut cache = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        match self.rebuild(&mut cache) {
            Ok(board) => report.board = board,
            // It is made again after the next run; what was done stays done.
            Err(error) => report.infrastructure.push(told(&error)),
        }
        report
            .infrastructure
            .extend(report.board.unreadable.iter().cloned());
        report.processed = latest(moved).into_iter().map(outcome).collect();
        Ok(report)
    }

    fn rebuild(&self, cache: &mut BoardCache) -> Result<Board, OutboxError> {
        board::rebuild(&self.outbox, &self.ledger, cache, &self.config.competitions)
    }

    /// What the operator asked for.
    fn take_requests(&self, moved: &mut Vec<Status>, report: &mut Report) {
        for Taken { request, outcome } in requests::take(&self.outbox, &mut report.infrastructure) {
            let action = request.action.name();
            let id = &request.submission_id;
            match outcome {
                Ok(status) => {
                    report.requests.push(format!("{action} {id}: done"));
                    self.tell(&status);
                    moved.push(status);
                }
                Err(refusal) => {
                    let line = format!("{action} {id}: refused: {refusal}");
                    self.progress.line(&line);
                    report.requests.push(line);
                }
            }
        }
    }

    /// Bytes to reviewed and compared bundles: nothing of a submission runs here.
    fn examine(
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

    /// One at a time, in the order in which they were accepted: whatever was reviewed and not yet measured, also by an
    /// earlier run that was killed.
    fn measure(&self, moved: &mut Vec<Status>, report: &mut Report) -> Result<(), PipelineError> {
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
            self.take_requests(moved, report);
        }
        Ok(())
    }

    fn retry_after(&self) -> Duration {
        Duration::from_secs(self.config.run.retry_after_s)
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

    /// Submissions that wait for the device, in the order in which they were accepted.
    fn waiting(&self) -> Result<Vec<Status>, PipelineError> {
        let mut statuses = self.ledger.statuses(&self.outbox)?.readable;
        statuses.retain(queue::waits);
        statuses.sort_by(queue::order);
        Ok(statuses)
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

/// The last status of each submission, in the order in which they were accepted.
fn latest(mut moved: Vec<Status>) -> Vec<Status> {
    let mut ids = HashSet::new();
    moved.reverse();
    moved.retain(|status| ids.insert(status.submission_id.clone()));
    moved.sort_by(queue::order);
    moved
}

fn told(error: &OutboxError) -> String {
    format!("{error} ({})", error.hint())
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

fn outcome(status: Status) -> Outcome {
    Outcome {
        submission_id: status.submission_id,
        name: status.name,
        state: status.state,
        verdict: status.verdict,
        reason: status.reason,
    }
}
