//! The training: batches go in one by one, predictions come out before the targets are shown, every loss is on record
//! before the next thing happens.

use std::time::{Duration, Instant};

use super::record::{Record, own_lanes};
use super::twin::judge;
use super::{check_cap, evaluation_patience, ranks, take_count};
use crate::config::Config;
use crate::dataset::stream::{Batch, Lanes, TokenStream};
use crate::referee::blind::BlindWatch;
use crate::referee::causality::{Probe, Schedule};
use crate::referee::committed::{Answers, Question};
use crate::referee::connection::{Stop, explain, unexpected};
use crate::referee::events::Event;
use crate::referee::handshake::Started;
use crate::referee::journal::Journal;
use crate::referee::loss::Loss;
use crate::referee::measured::{CheckResult, Fault, ProbeResult};
use crate::referee::past::Past;
use crate::referee::patience::Patience;
use crate::referee::shm::Geometry;
use crate::referee::step::{self, Prediction};
use crate::referee::wire::{FromReferee, FromRunner};

/// Reason of a stream that ended because its time ran out.
pub const WALL_CLOCK: &str = "wall_clock";

/// What the submission asked for with `ctx.iter_train_batches`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    pub batch_size: u64,
    pub seq_len: u64,
    pub tokenizer: Option<String>,
}

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
    /// Waits until every rank asked for batches, all of the same shape.
    pub fn opened(&mut self) -> Result<Opened, Stop> {
        // Imports and set-up (data parallel wrappers, compilation) come before the first batch.
        let all = Duration::from_secs(self.config.run.build_s + self.config.budget.grace_s);
        let patience = Patience::new(all, all);
        let mut opened: Option<Opened> = None;
        for rank in 0..self.started.connections.len() {
            let frame = self.receive(rank, patience.now(), "waiting for ctx.iter_train_batches")?;
            let asked = match frame {
                FromRunner::Open {
                    batch_size,
                    seq_len,
                    tokenizer,
                } => Opened {
                    batch_size,
                    seq_len,
                    tokenizer,
                },
                FromRunner::Finished { .. } => return Err(no_learning().into()),
                frame => return Err(unexpected(&frame, "open").into()),
            };
            if opened.as_ref().is_some_and(|opened| *opened != asked) {
                return Err(Fault::new(
                    "prism:geometry",
                    format!("rank {rank} asked for another batch shape or tokenizer than rank 0"),
                    "all ranks must call ctx.iter_train_batches with the same arguments",
                )
                .into());
            }
            opened = Some(asked);
        }
        opened.ok_or_else(|| {
            Stop::infrastructure("a phase without a connection: a fault of the referee")
        })
    }

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

    /// What every rank says at the end of the stream.
    fn end_of(
        &mut self,
        stopped_reason: &'static str,
        geometry: Geometry,
        lanes: &Lanes<'_>,
        revealed_steps: usize,
    ) -> Result<StreamEnd, Stop> {
        self.predict_patience = evaluation_patience(&self.config.run);
        let check = self.final_prediction(geometry, lanes, revealed_steps)?;
        let ranks = match &check {
            None => None,
            Some((batch, rank0)) => ranks::agree(
                &mut self.started.connections,
                geometry.vocab_size,
                batch,
                rank0,
                self.loss,
                self.predict_patience,
                self.config.audit.tolerance_nats,
            )
            .map_err(|stop| {
                explain(
                    stop,
                    &self.started.running,
                    "comparing the ranks on the last batch",
                )
            })?,
        };
        Ok(StreamEnd {
            stopped_reason,
            revealed_steps,
            check,
            ranks,
        })
    }

    /// Has rank 0 save its weights, then ends all ranks.
    pub fn save_and_end(mut self) -> Result<(), Stop> {
        let save = FromReferee::Save {
            path: "weights.safetensors",
        };
        for rank in 0..self.started.connections.len() {
            self.count_live(rank)?;
        }
        let asked = self
            .started
            .connections
            .first_mut()
            .map_or(Ok(()), |rank| rank.send(&save));
        asked.map_err(|stop| explain(stop, &self.started.running, "saving the weights"))?;
        let frame = self.receive(0, Duration::from_secs(300), "saving the weights")?;
        if !matches!(frame, FromRunner::Saved { .. }) {
            return Err(unexpected(&frame, "saved").into());
        }
        for connection in &mut self.started.connections {
            // A rank that is gone already needs no end.
            let _ = connection.send(&FromReferee::End { reason: "done" });
        }
        self.started.running.finish(Duration::from_secs(20));
        Ok(())
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

    /// Gets every rank's prediction of a step, probes included, and puts its losses on record.
    fn predict_step(
        &mut self,
        index: usize,
        geometry: Geometry,
        lanes: &Lanes<'_>,
        record: &mut Record<'_>,
        first_batch: &mut FirstBatch<'_>,
    ) -> Result<Vec<Batch>, Stop> {
        record.paused = Duration::ZERO;
        let ranks = self.started.connections.len();
        let batches: Vec<Batch> = (0..ranks)
            .map(|rank| lanes.batch(index, own_lanes(geometry, rank)))
            .collect();
        let probes: Vec<Option<Probe>> = batches
            .iter()
            .enumerate()
            .map(|(rank, batch)| self.schedule.probe(index as u32, rank as u32, batch))
            .collect();
        // Two rounds: in the first, ranks whose probe comes before the scored batch get the probe.
        for round in 0..2 {
            let turn = |probe: &Option<Probe>| match probe {
                None => (round == 0).then_some(false),
                Some(probe) => Some((round == 0) == probe.before),
            };
            for (rank, probe) in probes.iter().enumerate() {
                let ids = match (turn(probe), probe) {
                    (None, _) => continue,
                    (Some(true), Some(probe)) => &probe.batch.ids,
                    _ => &batches[rank].ids,
                };
                let connection = &mut self.started.connections[rank];
                let asked = self.answers.ask(connection, ids, &batches[rank]);
                asked.map_err(|stop| explain(stop, &self.started.running, "predicting a batch"))?;
            }
            for (rank, probe) in probes.iter().enumerate() {
                let Some(is_probe) = turn(probe) else {
                    continue;
                };
                let targets;
                let batch = &batches[rank];
                let (ids, targets, into) = match probe {
                    Some(probe) if is_probe => {
                        targets = step::targets_of(probe, batch);
                        (&probe.batch.ids, &targets, &mut record.probed[rank])
                    }
                    _ => (&batch.ids, &batch.targets, &mut record.scored[rank]),
                };
                let question = Question {
                    step: index as u32,
                    rank: rank as u32,
                    ids,
                    targets,
                    batch,
                    probed: probe.is_some(),
                    scored: !is_probe,
                };
                let connection = &mut self.started.connections[rank];
                self.referee_time += self
                    .answers
                    .take(
                        connection,
                        &question,
                        self.loss,
                        self.predict_patience,
                        into,
                    )
                    .map_err(|stop| explain(stop, &self.started.running, "predicting a batch"))?;
            }
        }
        let ours = Instant::now();
        for (rank, batch) in batches.iter().enumerate() {
            if let Some(probe) = &probes[rank] {
                let (scored, probed) = (&record.scored[rank], &record.probed[rank]);
                let result = judge(
                    probe,
                    self.config,
                    "train",
                    index as u32,
                    rank as u32,
                    geometry,
                    scored,
                    probed,
                )?;
                self.probes.push(result);
            }
            let row = record.row(index, rank, batch, lanes)?;
            let first_sight = probes[rank].as_ref().filter(|probe| probe.before);
            self.blind.see(
                batch,
                record.scored[rank].on_record(),
                &record.reference_nats,
                geometry.vocab_size,
                first_sight.and_then(|probe| probe.cuts.as_deref()),
            );
            self.journal
                .append(&row)
                .map_err(Stop::io("the loss stream"))?;
        }
        self.referee_time += ours.elapsed();
        for (rank, probe) in probes.iter().enumerate() {
            if probe.is_some() {
                self.count_live(rank)?;
            }
        }
        if index == 0 {
            let paused = Instant::now();
            // Nothing trains while the twin has its turn, which its author can draw out.
            if !self.started.running.pause() {
                return Err(super::too_many_processes().into());
            }
            first_batch(&batches[0], &record.scored[0])?;
            self.started.running.resume();
            record.paused = paused.elapsed();
        }
        Ok(batches)
    }

    /// Counts the tensors of a rank's model as it is now: what was added since build_model counts, too.
    fn count_live(&mut self, rank: usize) -> Result<(), Stop> {
        let doing = "counting the live model's tensors";
        let connection = &mut self.started.connections[rank];
        let counted = connection
            .send(&FromReferee::Census)
            .and_then(|()| take_count(connection, self.predict_patience.now()))
            .map_err(|stop| explain(stop, &self.started.running, doing))?;
        self.live_params = self.live_params.max(counted);
        Ok(check_cap(counted, self.config.contest.max_parameters)?)
    }

    fn reveal(&mut self, batches: &[Batch], index: usize, bytes: u64) -> Result<(), Stop> {
        for (connection, batch) in self.started.connections.iter_mut().zip(batches) {
            connection
                .reveal(batch, index as u64, bytes)
                .map_err(|stop| explain(stop, &self.started.running, "showing a batch"))?;
        }
        Ok(())
    }

    /// Whether every rank wants the next batch (or every rank has returned).
    fn next(&mut self, index: usize, patience: Duration) -> Result<bool, Stop> {
        let mut wanting = 0;
        let ranks = self.started.connections.len();
        let deadline = Instant::now() + patience;
        for rank in 0..ranks {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.receive(rank, left, "training on a batch")? {
                FromRunner::Next { step } if step == index as u64 => wanting += 1,
                FromRunner::Finished { .. } => {}
                frame => return Err(unexpected(&frame, "next").into()),
            }
        }
        if wanting > 0 && wanting < ranks {
            return Err(Fault::new(
                "prism:ranks-diverged",
                format!("{wanting} of {ranks} ranks asked for another batch, the others returned"),
                "all ranks must take the same number of batches",
            )
            .into());
        }
        Ok(wanting > 0)
    }

    /// Text that a submission did not come to is charged at its last rate or the uniform rate, whichever is more, whether
    /// it returned or its time ran out: who stalls cannot be told from who is slow, and stopping never pays.
    fn charge_the_rest(
        &mut self,
        index: usize,
        lanes: &Lanes<'_>,
        record: &mut Record<'_>,
    ) -> Result<(), Stop> {
        for rank in 0..self.started.connections.len() {
            let (tokens, bytes) = lanes.left_after(index, own_lanes(record.geometry, rank));
            for row in record.rows_left(index, rank, tokens, bytes)? {
                self.journal
                    .append(&row)
                    .map_err(Stop::io("the loss stream"))?;
            }
        }
        Ok(())
    }

    /// What the trained process says of the last batch it was trained on: the saved weights must say the same.
    fn final_prediction(
        &mut self,
        geometry: Geometry,
        lanes: &Lanes<'_>,
        revealed_steps: usize,
    ) -> Result<Option<(Batch, Prediction)>, Stop> {
        let Some(last) = revealed_steps.checked_sub(1) else {
            return Ok(None);
        };
        let batch = lanes.batch(last, own_lanes(geometry, 0));
        let mut prediction = Prediction::default();
        let patience = self.predict_patience.now();
        let connection = &mut self.started.connections[0];
        step::predict(
            connection,
            geometry.vocab_size,
            &batch,
            self.loss,
            patience,
            &mut prediction,
        )
        .map_err(|stop| {
            explain(
                stop,
                &self.started.running,
                "predicting the last batch again",
            )
        })?;
        Ok(Some((batch, prediction)))
    }

    fn report(&mut self, record: &Record<'_>, elapsed: Duration) {
        let bpb = if record.bytes == 0 {
            0.0
        } else {
            record.nats / std::f64::consts::LN_2 / record.bytes as f64
        };
        (self.events)(Event::Progress {
            bytes: record.bytes,
            total_bytes: record.stream.text_bytes,
            bpb,
            elapsed_s: elapsed.as_secs_f64(),
        });
    }
}

fn no_learning() -> Fault {
    Fault::new(
        "prism:no-learning",
        "train(ctx) returned without asking for a batch",
        "loop over ctx.iter_train_batches(model, batch_size=…, seq_len=…) and train on each batch",
    )
}
