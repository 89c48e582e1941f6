//! The training: batches go in one by one, predictions come out before the targets are shown, every loss is on record
//! before the next thing happens.

mod ending;
mod opening;
mod snapshot;
mod step;

use std::time::{Duration, Instant};

pub use opening::Opened;
pub use snapshot::{Kept, Snapshots};

use super::record::Record;
use crate::config::Config;
use crate::dataset::stream::{Batch, TokenStream};
use crate::referee::blind::BlindWatch;
use crate::referee::causality::Schedule;
use crate::referee::committed::Answers;
use crate::referee::events::Event;
use crate::referee::handshake::Started;
use crate::referee::journal::Journal;
use crate::referee::loss::Loss;
use crate::referee::measured::{CheckResult, ProbeResult};
use crate::referee::past::Past;
use crate::referee::patience::Patience;
use crate::referee::shm::Geometry;
use crate::referee::step::Prediction;
use crate::referee::stop::{Stop, explain, unexpected};
use crate::referee::wire::{FromReferee, FromRunner};

/// Reason of a stream that ended because its time ran out.
pub const WALL_CLOCK: &str = "wall_clock";

/// The training process and the record of it.
pub struct Training<'a> {
    pub started: Started,
    pub config: &'a Config,
    pub schedule: Schedule,
    /// For predictions of the step, or of what follows the stream.
    pub predict_patience: Patience,
    pub loss: &'a mut dyn Loss,
    pub journal: &'a mut Journal,
    pub events: &'a mut dyn FnMut(Event),
    pub answers: Answers,
    pub probes: Vec<ProbeResult>,
    pub blind: BlindWatch,
    pub snapshots: Snapshots,
    /// Most elements in the tensors of a rank's live model so far.
    pub live_params: u64,
    /// Time that the training waited for us.
    pub referee_time: Duration,
    /// From the first prediction to the end of the stream, less what was not the submission's own.
    pub stream_time: Duration,
}

/// How the stream ended.
#[derive(Debug)]
pub struct StreamEnd {
    pub stopped_reason: &'static str,
    /// Full steps that were revealed, hence trained on.
    pub revealed_steps: usize,
    /// The last revealed batch of rank 0 and what the trained process predicts for it at the end.
    pub check: Option<(Batch, Prediction)>,
    /// Whether all ranks hold the same model; none for a single rank.
    pub ranks: Option<CheckResult>,
}

/// Called with the first batch of rank 0 and its scored prediction, before it is revealed.
pub type FirstBatch<'f> = dyn FnMut(&Batch, &Prediction) -> Result<(), Stop> + 'f;

impl Training<'_> {
    /// Runs the stream to its end.
    pub fn run(
        &mut self,
        geometry: Geometry,
        stream: &TokenStream,
        past: &mut Past<'_>,
        first_batch: &mut FirstBatch<'_>,
    ) -> Result<StreamEnd, Stop> {
        let ranks = self.started.connections.len();
        let lanes = stream.lanes(geometry.batch_size * ranks, geometry.seq_len)?;
        self.schedule = self.schedule.for_steps(lanes.full_steps());
        self.answers.for_steps(lanes.full_steps());
        let most = self
            .config
            .budget
            .steps
            .map_or(usize::MAX, |most| most as usize);
        self.snapshots.draw(lanes.full_steps().min(most));
        let mut record = Record::new(geometry, stream, ranks);
        self.each(|connection| connection.attach(geometry))?;
        let budget = Duration::from_secs(self.config.budget.wall_clock_s);
        let patience = budget + Duration::from_secs(self.config.budget.grace_s);
        let begun = Instant::now();
        let mut not_theirs = Duration::ZERO;
        let mut revealed_steps = 0;
        let steps = lanes.full_steps() + usize::from(lanes.has_partial_step());
        let stopped_reason = loop {
            if revealed_steps == steps {
                break "data_exhausted";
            }
            if self
                .config
                .budget
                .steps
                .is_some_and(|most| revealed_steps >= most as usize)
            {
                break "step_budget";
            }
            if begun.elapsed() - not_theirs > budget {
                break WALL_CLOCK;
            }
            // A prediction has its own patience, but never more than the run has left.
            let left = patience.saturating_sub(begun.elapsed() - not_theirs);
            let each = Duration::from_secs(self.config.run.predict_s);
            self.predict_patience = Patience::new(each, left);
            let batches =
                self.predict_step(revealed_steps, geometry, &lanes, &mut record, first_batch)?;
            past.charged(&lanes, revealed_steps + 1)
                .map_err(Stop::io("the text that was charged"))?;
            not_theirs += record.paused;
            self.report(&record, begun.elapsed() - not_theirs);
            if !batches.iter().all(Batch::is_full) {
                break "data_exhausted";
            }
            self.reveal(&batches, revealed_steps, record.bytes)?;
            revealed_steps += 1;
            let left = patience.saturating_sub(begun.elapsed() - not_theirs);
            self.stream_time = begun.elapsed() - not_theirs;
            if !self.next(revealed_steps - 1, left)? {
                self.charge_the_rest(revealed_steps, &lanes, &mut record)?;
                return self.end_of("submission_ended", geometry, &lanes, revealed_steps);
            }
        };
        self.stream_time = begun.elapsed() - not_theirs;
        if stopped_reason == WALL_CLOCK {
            self.charge_the_rest(revealed_steps, &lanes, &mut record)?;
        }
        self.each(|connection| {
            connection.send(&FromReferee::Exhausted {
                reason: stopped_reason,
            })
        })?;
        let left = patience.saturating_sub(begun.elapsed() - not_theirs);
        let grace = left.max(Duration::from_secs(self.config.budget.grace_s.min(30)));
        let grace = Patience::new(grace, grace);
        for rank in 0..ranks {
            let frame = self.receive(rank, grace.now(), "waiting for train(ctx) to return")?;
            if !matches!(frame, FromRunner::Finished { .. }) {
                return Err(unexpected(&frame, "finished").into());
            }
        }
        self.end_of(stopped_reason, geometry, &lanes, revealed_steps)
    }

    fn receive(
        &mut self,
        rank: usize,
        patience: Duration,
        doing: &str,
    ) -> Result<FromRunner, Stop> {
        self.started.connections[rank]
            .receive(patience)
            .map_err(|stop| explain(stop, &self.started.running, doing))
    }

    fn each(
        &mut self,
        mut act: impl FnMut(&mut crate::referee::connection::Connection) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        for connection in &mut self.started.connections {
            act(connection).map_err(|stop| explain(stop, &self.started.running, "training"))?;
        }
        Ok(())
    }
}
