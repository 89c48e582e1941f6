//! One step of the stream: every rank predicts, its losses go on record, the batch is shown, the next one is asked for.

use std::time::{Duration, Instant};

use super::{FirstBatch, Training};
use crate::dataset::stream::{Batch, Lanes};
use crate::referee::causality::Probe;
use crate::referee::committed::Question;
use crate::referee::events::Event;
use crate::referee::measured::Fault;
use crate::referee::phases::probe::{judge, judge_losses};
use crate::referee::phases::record::{Record, own_lanes};
use crate::referee::phases::{check_cap, take_count, too_many_processes};
use crate::referee::shm::Geometry;
use crate::referee::step;
use crate::referee::stop::{Stop, explain, unexpected};
use crate::referee::surprise::gap_nats;
use crate::referee::wire::{FromReferee, FromRunner};

impl Training<'_> {
    /// Gets every rank's prediction of a step, probes included, and puts its losses on record.
    pub(super) fn predict_step(
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
        let mut is_low = Vec::with_capacity(ranks);
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
            is_low.push(record.surprises[rank].sees(gap_nats(&row)) && probes[rank].is_none());
        }
        self.referee_time += ours.elapsed();
        for (rank, batch) in batches.iter().enumerate() {
            if is_low[rank] {
                self.look_again(index, rank, batch, record)?;
            }
        }
        for (rank, probe) in probes.iter().enumerate() {
            if probe.is_some() {
                self.count_live(rank)?;
            }
        }
        if index == 0 {
            let paused = Instant::now();
            // Nothing trains while the twin has its turn, which its author can draw out.
            if !self.started.running.pause() {
                return Err(too_many_processes().into());
            }
            first_batch(&batches[0], &record.scored[0])?;
            self.started.running.resume();
            record.paused = paused.elapsed();
        }
        // Before what was charged can be read: nothing of the batch is known that was not in its inputs.
        self.take_snapshot(index, record)?;
        Ok(batches)
    }

    /// Probes a prediction after it was scored: it cost far less than those before it.
    fn look_again(
        &mut self,
        index: usize,
        rank: usize,
        batch: &Batch,
        record: &mut Record<'_>,
    ) -> Result<(), Stop> {
        let Some(probe) = self.schedule.second_look(index as u32, rank as u32, batch) else {
            return Ok(());
        };
        let targets = step::targets_of(&probe, batch);
        let connection = &mut self.started.connections[rank];
        let probed = &mut record.probed[rank];
        let patience = self.predict_patience.now();
        self.referee_time += connection
            .ask_prediction(&probe.batch.ids)
            .and_then(|()| step::take_losses(connection, &targets, self.loss, patience, probed))
            .map_err(|stop| explain(stop, &self.started.running, "predicting a batch"))?;
        let scored = &record.scored[rank].nats;
        let (step, rank) = (index as u32, rank as u32);
        let result = judge_losses(&probe, self.config, step, rank, scored, &probed.nats)?;
        self.probes.push(result);
        Ok(())
    }

    /// Counts the tensors of a rank's model as it is now: what was added since build_model counts, too.
    pub(super) fn count_live(&mut self, rank: usize) -> Result<(), Stop> {
        let doing = "counting the live model's tensors";
        let connection = &mut self.started.connections[rank];
        let counted = connection
            .send(&FromReferee::Census)
            .and_then(|()| take_count(connection, self.predict_patience.now()))
            .map_err(|stop| explain(stop, &self.started.running, doing))?;
        self.live_params = self.live_params.max(counted);
        Ok(check_cap(counted, self.config.contest.max_parameters)?)
    }

    pub(super) fn reveal(
        &mut self,
        batches: &[Batch],
        index: usize,
        bytes: u64,
    ) -> Result<(), Stop> {
        for (connection, batch) in self.started.connections.iter_mut().zip(batches) {
            connection
                .reveal(batch, index as u64, bytes)
                .map_err(|stop| explain(stop, &self.started.running, "showing a batch"))?;
        }
        Ok(())
    }

    /// Whether every rank wants the next batch (or every rank has returned).
    pub(super) fn next(&mut self, index: usize, patience: Duration) -> Result<bool, Stop> {
        let mut wanting = 0;
        let ranks = self.started.connections.len();
        let deadline = Instant::now() + patience;
        for rank in 0..ranks {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.receive(rank, left, "training on a batch")? {
                FromRunner::Next { step, weights } if step == index as u64 => {
                    wanting += 1;
                    if rank == 0 {
                        self.snapshots.commit(weights);
                    }
                }
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

    pub(super) fn report(&mut self, record: &Record<'_>, elapsed: Duration) {
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
