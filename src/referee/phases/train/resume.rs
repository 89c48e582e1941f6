//! A run that goes on from a checkpoint: everything that stands on record is restored, what the restored model has not
//! seen of it is shown again without a charge, and the stream goes on where the record ends.
//!
//! Nothing on record is predicted again: a loss that was charged stays, whatever the model that goes on would say of that
//! text. Nothing is shown that was not charged: the checkpoint is from before the batches that are shown again, and the
//! first batch that is not on record is predicted like any other.

use std::time::{Duration, Instant};

use super::{Clock, Training, WALL_CLOCK};
use crate::dataset::stream::{Batch, Lanes};
use crate::referee::lineage::{Line, PastRecord, SnapshotLine, StepLine};
use crate::referee::past::Past;
use crate::referee::phases::record::{Record, own_lanes};
use crate::referee::phases::too_many_processes;
use crate::referee::shm::Geometry;
use crate::referee::stop::Stop;
use crate::score::stream_rows::OnlineRow;

/// Where a run that goes on stands.
pub(super) enum Gone {
    /// The stream goes on after so many revealed steps.
    On { revealed: usize },
    /// The record has the end of the stream.
    Closed {
        revealed: usize,
        reason: &'static str,
    },
    /// The submission returned while it was shown again what stands on record.
    Ended { revealed: usize },
}

impl Training<'_> {
    /// Restores the record and shows the restored model what it has not seen of it.
    pub(super) fn go_on(
        &mut self,
        on_record: &PastRecord,
        geometry: Geometry,
        lanes: &Lanes<'_>,
        record: &mut Record<'_>,
        past: &mut Past<'_>,
    ) -> Result<Gone, Stop> {
        let Some(from) = &on_record.checkpoint else {
            return Err(Stop::infrastructure("a record without a checkpoint"));
        };
        let steps = on_record.steps.len();
        let seconds = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        self.clock = Clock::from(seconds(from.spent_s));
        self.referee_time = seconds(from.referee_s);
        record.restore(&on_record.steps, lanes)?;
        past.charged(lanes, steps)
            .map_err(Stop::io("the text that was charged"))?;
        let rest = on_record.ended.iter().flat_map(|ended| &ended.rows);
        let rows = on_record.steps.iter().flat_map(|line| &line.rows);
        for row in rows.chain(rest) {
            self.journal
                .append(row)
                .map_err(Stop::io("the loss stream"))?;
        }
        for line in &on_record.steps {
            self.restore_step(line);
        }

        let revealed = steps.min(lanes.full_steps());
        let first = from.step as usize;
        if first >= revealed {
            self.commit_restored()?;
        }
        let mut bytes = bytes_of(&on_record.steps[..first.min(steps)]);
        for index in first..revealed {
            bytes += bytes_of(&on_record.steps[index..=index]);
            let ranks = 0..self.started.connections.len();
            let batches: Vec<Batch> = ranks
                .map(|rank| lanes.batch(index, own_lanes(geometry, rank)))
                .collect();
            self.reveal(&batches, index, bytes)?;
            let limit = self.config.budget.wall_clock_s + self.config.budget.grace_s;
            let left = Duration::from_secs(limit).saturating_sub(self.clock.spent());
            if !self.next(index, left)? {
                if on_record.ended.is_none() {
                    self.charge_the_rest("submission_ended", steps, lanes, record)?;
                }
                self.stream_time = self.clock.spent();
                return Ok(Gone::Ended {
                    revealed: index + 1,
                });
            }
        }
        let reason = match &on_record.ended {
            Some(ended) if ended.reason == WALL_CLOCK => Some(WALL_CLOCK),
            Some(_) => Some("submission_ended"),
            // The padded step, which is not revealed, was the last.
            None if steps > lanes.full_steps() => Some("data_exhausted"),
            None => None,
        };
        Ok(match reason {
            Some(reason) => Gone::Closed { revealed, reason },
            None => Gone::On { revealed },
        })
    }

    fn restore_step(&mut self, line: &StepLine) {
        self.probes.extend(line.probes.iter().cloned());
        self.blind = line.blind.clone();
        self.answers.counts = line.answers.clone();
        self.live_params = self.live_params.max(line.live_params);
        if line.first.is_some() {
            self.first.clone_from(&line.first);
        }
        if let Some(snapshot) = &line.snapshot {
            self.snapshots.restore(line.step, snapshot);
        }
    }

    /// Puts a step on record: all that the referee does at it is done, and its targets were not shown.
    pub(super) fn put_on_record(
        &mut self,
        index: usize,
        rows: Vec<OnlineRow>,
        probes_before: usize,
    ) -> Result<(), Stop> {
        let Some(keeper) = &mut self.keeper else {
            return Ok(());
        };
        let figures = &self.snapshots.figures;
        let snapshot = (figures.steps.last() == Some(&(index as u32))).then(|| {
            let kept = self.snapshots.kept.last();
            let kept = kept.filter(|kept| kept.step == index);
            let bits = |nats: &Vec<f64>| nats.iter().map(|nats| nats.to_bits()).collect();
            SnapshotLine {
                changed: figures.changed.last() == Some(&(index as u32)),
                elements: kept.map_or(0, |kept| kept.elements),
                nats_bits: kept.map(|kept| kept.nats.iter().map(bits).collect()),
            }
        });
        keeper.append(&Line::Step(Box::new(StepLine {
            step: index as u32,
            rows,
            probes: self.probes[probes_before..].to_vec(),
            blind: self.blind.clone(),
            answers: self.answers.counts.clone(),
            live_params: self.live_params,
            first: self.first.clone().filter(|_| index == 0),
            snapshot,
        })))
    }

    /// Copies a checkpoint out of the sandbox, where one is due: the model after `steps` batches. The time that it took.
    pub(super) fn keep_checkpoint(&mut self, steps: usize) -> Result<Duration, Stop> {
        let spent = self.clock.spent();
        let paused = Instant::now();
        if !self.started.running.pause() {
            return Err(too_many_processes().into());
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.keep(steps, spent, self.referee_time)?;
        }
        self.started.running.resume();
        let took = paused.elapsed();
        self.clock.pause(took);
        Ok(took)
    }

    /// Whether rank 0 may tell of a checkpoint now, after `steps` batches.
    pub(super) fn expects_checkpoint(&self, steps: usize) -> bool {
        self.keeper
            .as_ref()
            .is_some_and(|keeper| keeper.is_due(steps))
    }
}

fn bytes_of(steps: &[StepLine]) -> u64 {
    let rows = steps.iter().flat_map(|line| &line.rows);
    rows.map(|row| row.bytes).sum()
}
