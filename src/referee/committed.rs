//! The answers of a training, by either transport.
//!
//! With commitments the runner says the losses of a batch first, where the labels are in the inputs anyway, and gives the
//! logits of the last column, where they are not. Then, and before it learns any label, all logits of batches that it
//! cannot foresee are asked for. A loss that does not belong to the logits ends the run; a loss that belongs to logits
//! made up for it is a leak like any other, which probes and blind positions see in both transports.
//!
//! On record goes what was committed, audited or not, so that a stream does not depend on the secret schedule, with
//! [`TOLERANCE_NATS`] added: to shave losses by less than the audits see gains nothing.

use std::time::{Duration, Instant};

use super::causality::Schedule;
use super::connection::Connection;
use super::loss::{Loss, charge};
use super::measured::Fault;
use super::patience::Patience;
use super::shm::{Geometry, SharedMemory};
use super::step::{self, Prediction};
use super::stop::Stop;
use super::transport::{Transport, TransportFigures, survivals};
use crate::config::Audit;
use crate::dataset::stream::Batch;

/// Largest difference, in nats, between a committed loss and that of the same logits here. The runner takes exponentials
/// and their sum in float32, everything else in float64. The exponentials are off by at most (2 + ln V) 2^-23 of their sum
/// (each by an ulp and by the rounding of its argument, which the entropy weighs), a sum in blocks of at most 32 on four
/// levels by 128 x 2^-24: together less than 1e-5 for V up to 2^20. Measured are 3e-7.
pub const TOLERANCE_NATS: f64 = 1e-5;
/// Audits to expect in a stream, however short.
const EXPECTED_AUDITS: usize = 16;

/// One question of the stream: a scored batch, or the probe of one.
pub struct Question<'a> {
    pub step: u32,
    pub rank: u32,
    pub ids: &'a [u32],
    /// What losses are wanted of; for a probe other than the labels in its ids.
    pub targets: &'a [u32],
    /// The scored batch.
    pub batch: &'a Batch,
    /// Whether this step has a probe: all logits are compared.
    pub probed: bool,
    /// Whether this is the scored batch and not the probe.
    pub scored: bool,
}

/// Takes the stream's answers and counts what was audited.
#[derive(Debug)]
pub struct Answers {
    transport: Transport,
    schedule: Schedule,
    first_steps: u32,
    show_one_in: u32,
    batches: u64,
    audited: u64,
    always_audited: u64,
    largest_difference_nats: f64,
}

impl Answers {
    /// `schedule` is one of its own: what is audited foretells nothing of what is probed.
    pub fn new(transport: Transport, schedule: Schedule, audit: &Audit) -> Self {
        Self {
            transport,
            schedule,
            // The first batch is compared with the twin's.
            first_steps: audit.first_steps.max(1),
            show_one_in: audit.show_one_in,
            batches: 0,
            audited: 0,
            always_audited: 0,
            largest_difference_nats: 0.0,
        }
    }

    /// For a stream of `steps` steps: at least [`EXPECTED_AUDITS`] are expected in any.
    pub fn for_steps(&mut self, steps: usize) {
        let often = u32::try_from(steps / EXPECTED_AUDITS).unwrap_or(u32::MAX);
        self.show_one_in = self.show_one_in.min(often.max(1));
    }

    /// What the manifest says.
    pub fn figures(&self) -> TransportFigures {
        TransportFigures {
            mode: self.transport,
            batches: self.batches,
            audited: self.audited,
            always_audited: self.always_audited,
            largest_difference_nats: self.largest_difference_nats,
            tolerance_nats: match self.transport {
                Transport::Full => 0.0,
                Transport::Committed => TOLERANCE_NATS,
            },
            survival: survivals(self.batches, self.audited),
        }
    }

    /// Asks for a batch or a probe of one.
    pub fn ask(&self, connection: &mut Connection, ids: &[u32], batch: &Batch) -> Result<(), Stop> {
        if self.commits(batch) {
            connection.ask_commitment(ids)
        } else {
            connection.ask_prediction(ids)
        }
    }

    /// Takes the answer: losses always, `into.logits` where the step has a probe. Returns the time that the referee worked.
    pub fn take(
        &mut self,
        connection: &mut Connection,
        question: &Question<'_>,
        loss: &mut dyn Loss,
        patience: Patience,
        into: &mut Prediction,
    ) -> Result<Duration, Stop> {
        into.committed.clear();
        let commits = self.commits(question.batch);
        let drawn = question.probed
            || self
                .schedule
                .picks(question.step, question.rank, self.show_one_in);
        let always = question.step < self.first_steps || !question.batch.is_full();
        let shown = !commits || always || drawn;
        if question.scored {
            self.batches += u64::from(!always);
            self.audited += u64::from(!always && shown);
            self.always_audited += u64::from(always);
        }
        if commits {
            self.take_commitment(connection, question, shown, loss, patience, into)
        } else if question.probed {
            let memory = connection.await_prediction(patience.now())?;
            let begun = Instant::now();
            memory.copy_logits(&mut into.logits);
            let vocab_size = memory.geometry().vocab_size;
            scored(
                loss,
                &into.logits,
                vocab_size,
                question.targets,
                &mut into.nats,
            )?;
            Ok(begun.elapsed())
        } else {
            step::take_losses(connection, question.targets, loss, patience.now(), into)
        }
    }

    /// The padded step at the end has labels that are not in its inputs: it comes in full.
    fn commits(&self, batch: &Batch) -> bool {
        self.transport == Transport::Committed && batch.is_full()
    }

    fn take_commitment(
        &mut self,
        connection: &mut Connection,
        question: &Question<'_>,
        shown: bool,
        loss: &mut dyn Loss,
        patience: Patience,
        into: &mut Prediction,
    ) -> Result<Duration, Stop> {
        let memory = connection.await_commitment(patience.now())?;
        let begun = Instant::now();
        let geometry = memory.geometry();
        let mut said = Vec::new();
        memory.copy_nats(&mut said);
        let last = last_column(memory, geometry, &mut into.logits);
        let last_targets: Vec<u32> = last.iter().map(|&at| question.targets[at]).collect();
        let mut last_nats = Vec::new();
        let vocab_size = geometry.vocab_size;
        scored(
            loss,
            &into.logits,
            vocab_size,
            &last_targets,
            &mut last_nats,
        )?;
        for (&at, nats) in last.iter().zip(last_nats) {
            said[at] = nats;
        }
        let inside = |at: usize| !(at + 1).is_multiple_of(geometry.seq_len);
        if let Some(at) = (0..said.len()).find(|&at| inside(at) && said[at] < 0.0) {
            return Err(mismatch(question, geometry, at, said[at], "0 or more".to_owned()).into());
        }
        into.committed
            .extend(said.iter().enumerate().map(|(at, nats)| {
                if inside(at) {
                    nats + TOLERANCE_NATS
                } else {
                    *nats
                }
            }));
        let mut worked = begun.elapsed();
        if !shown {
            into.logits.clear();
            into.nats.clone_from(&into.committed);
            return Ok(worked);
        }
        let committed_last = std::mem::take(&mut into.logits);
        connection.ask_to_show()?;
        let memory = connection.await_prediction(patience.now())?;
        let begun = Instant::now();
        memory.copy_logits(&mut into.logits);
        let labels = labels(question, geometry.seq_len);
        let mut own = Vec::new();
        scored(loss, &into.logits, vocab_size, &labels, &mut own)?;
        for at in 0..said.len() {
            let difference = difference_nats(said[at], own[at]);
            if difference > TOLERANCE_NATS {
                let expected = format!("{} within {TOLERANCE_NATS:e}", own[at]);
                return Err(mismatch(question, geometry, at, said[at], expected).into());
            }
            self.largest_difference_nats = self.largest_difference_nats.max(difference);
        }
        for (row, &at) in committed_last.chunks_exact(vocab_size).zip(&last) {
            let again = &into.logits[at * vocab_size..(at + 1) * vocab_size];
            if row
                .iter()
                .zip(again)
                .any(|(a, b)| a.to_bits() != b.to_bits())
            {
                let expected = "the logits that were shown afterwards".to_owned();
                return Err(mismatch(question, geometry, at, said[at], expected).into());
            }
        }
        if labels == question.targets {
            into.nats = own;
        } else {
            scored(
                loss,
                &into.logits,
                vocab_size,
                question.targets,
                &mut into.nats,
            )?;
        }
        if !question.probed {
            into.logits.clear();
        }
        worked += begun.elapsed();
        Ok(worked)
    }
}

/// Copies the logits of each row's last position; where they are.
fn last_column(memory: &SharedMemory, geometry: Geometry, into: &mut Vec<f32>) -> Vec<usize> {
    into.clear();
    let places = (1..=geometry.batch_size).map(|row| row * geometry.seq_len - 1);
    places
        .inspect(|&at| memory.append_logits(at..at + 1, into))
        .collect()
}

/// The labels that losses were committed for: the next id of the row; in the last column the one that is wanted.
fn labels(question: &Question<'_>, cols: usize) -> Vec<u32> {
    (0..question.ids.len())
        .map(|at| {
            if (at + 1).is_multiple_of(cols) {
                question.targets[at]
            } else {
                question.ids[at + 1]
            }
        })
        .collect()
}

/// How much two losses differ as they are charged; a loss that is finite on one side only has no measure.
fn difference_nats(a: f64, b: f64) -> f64 {
    // Any vocabulary: where both are finite it plays no part.
    let (a, b) = (charge(a, 2), charge(b, 2));
    if a.1 == b.1 {
        (a.0 - b.0).abs()
    } else {
        f64::INFINITY
    }
}

fn scored(
    loss: &mut dyn Loss,
    logits: &[f32],
    vocab_size: usize,
    targets: &[u32],
    nats: &mut Vec<f64>,
) -> Result<(), Stop> {
    loss.token_nats(logits, vocab_size, targets, nats)
        .map_err(|error| Stop::infrastructure(format!("computing the loss: {error}")))
}

fn mismatch(
    question: &Question<'_>,
    geometry: Geometry,
    at: usize,
    said: f64,
    expected: String,
) -> Fault {
    Fault::new(
        "prism:loss-mismatch",
        format!(
            "step {} of rank {}: at row {}, column {} a loss of {said} nats was committed, expected {expected}",
            question.step,
            question.rank,
            at / geometry.seq_len,
            at % geometry.seq_len,
        ),
        "losses are computed by the harness from the model's logits: do not touch its modules, functions of torch or memory",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_compared_as_they_are_charged() {
        for (a, b, expected) in [
            (1.0, 1.0, 0.0),
            (1.0, 1.5, 0.5),
            (f64::NAN, f64::INFINITY, 0.0),
            (f64::NAN, 1.0, f64::INFINITY),
            (1.0, f64::NEG_INFINITY, f64::INFINITY),
            (9_000.0, 1e30, 0.0),
            (-1e-17, 0.0, 0.0),
        ] {
            assert_eq!(difference_nats(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn labels_are_the_next_ids_of_the_row() {
        let batch = Batch {
            rows: 2,
            cols: 3,
            ids: vec![1, 2, 3, 4, 5, 6],
            targets: vec![2, 3, 9, 5, 6, 8],
            lengths: vec![3; 2],
        };
        let question = Question {
            step: 0,
            rank: 0,
            ids: &batch.ids,
            targets: &batch.targets,
            batch: &batch,
            probed: false,
            scored: true,
        };
        assert_eq!(labels(&question, 3), batch.targets);
        let probe = Question {
            ids: &[4, 5, 3, 1, 2, 6],
            targets: &[5, 6, 8, 2, 3, 9],
            ..question
        };
        assert_eq!(labels(&probe, 3), [5, 3, 8, 2, 6, 9]);
    }
}
