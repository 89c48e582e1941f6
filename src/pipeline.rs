//! The path of a submission, on one screen: intake, bundle, review, gate, referee, score, outbox. It goes one way.
//!
//! Archives are examined many at a time, the gate is asked about several; runs are measured one at a time. There is no database: what was done is what lies in
//! the outbox, so running again does nothing new, and a killed run goes on where its last whole file says.

mod admit;
mod architecture;
mod board;
mod board_cache;
mod claimants;
mod compare;
mod competitions;
mod examine;
mod examining;
mod gating;
mod guard;
pub mod heartbeat;
mod ledger;
mod lineage;
mod measure;
mod measuring;
mod metered;
mod preflight;
pub mod prune;
mod publish;
mod publish_v1;
mod quarantine;
pub mod queue;
mod recover;
mod report;
pub mod requests;
mod seeds;
mod stop;
mod stored;
mod summary;
mod turns;
mod v1_manifest;
mod v1_validation;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::config::Config;
use crate::intake::{IntakeError, Seen};
use crate::outbox::lock::{self, OutboxLock};
use crate::outbox::status::Status;
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
pub use preflight::corpus as corpus_is_proven;
pub use publish::{CORPUS_MANIFEST, LOG, MANIFEST};
pub use publish_v1::{CHECKPOINTS, MANIFEST as MANIFEST_V1, METRICS};
pub use report::{Outcome, Report};
pub use seeds::again as seeds_again;
pub use stop::Stop;
pub use summary::of as summary;

use board_cache::BoardCache;
use ledger::Ledger;
use metered::Meter;
use report::{latest, outcome, told};
use requests::Taken;

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
    /// With the gate off: whether what it held was let go.
    looked_at_gate: AtomicBool,
    /// Held by whoever changes a submission that somebody else might, too: the gate and the operator.
    deciding: Mutex<()>,
    meter: Mutex<Meter>,
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
        turns::widen();
        Ok(Self {
            config,
            progress,
            board: Mutex::new(BoardCache::open(&outbox)),
            outbox,
            ledger: Ledger::default(),
            stop: Stop::default(),
            looked_at_held: AtomicBool::new(false),
            looked_at_gate: AtomicBool::new(false),
            deciding: Mutex::new(()),
            meter: Mutex::default(),
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
        let begun = Instant::now();
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
        for line in &report.infrastructure {
            tracing::warn!("{line}");
        }
        drop(cache);
        self.meter(begun, &report);
        Ok(report)
    }

    fn rebuild(&self, cache: &mut BoardCache) -> Result<Board, OutboxError> {
        board::rebuild(&self.outbox, &self.ledger, cache, &self.config.competitions)
    }

    /// What the operator asked for.
    fn take_requests(&self, moved: &mut Vec<Status>, report: &mut Report) {
        let _alone = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
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

    fn retry_after(&self) -> Duration {
        Duration::from_secs(self.config.run.retry_after_s)
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
