//! One prediction of one rank: asked for, copied out, turned into losses.

use std::time::{Duration, Instant};

use super::causality::{Probe, largest_difference, probe_targets};
use super::connection::Connection;
use super::loss::{Charge, Loss, uniform_nats};
use super::stop::Stop;
use crate::dataset::stream::{Batch, TokenStream};

/// Logits that are copied out at once where nobody needs all of them: 1 MiB.
const BLOCK_LOGITS: usize = 1 << 18;

/// Logits of one batch and the loss of each of its targets, position by position.
#[derive(Debug, Default)]
pub struct Prediction {
    pub logits: Vec<f32>,
    /// −ln p(target), also at positions that are not charged.
    pub nats: Vec<f64>,
    /// What goes on record instead of `nats` where losses were committed; empty where they were not.
    pub committed: Vec<f64>,
}

impl Prediction {
    /// The losses that go on record.
    pub fn on_record(&self) -> &[f64] {
        if self.committed.is_empty() {
            &self.nats
        } else {
            &self.committed
        }
    }

    /// Largest difference of the losses of the same targets: infinite where one is finite and the other is not.
    pub fn largest_difference_nats(&self, other: &Self) -> f64 {
        let pairs = self.nats.iter().zip(&other.nats);
        pairs.fold(0.0, |largest: f64, (a, b)| {
            match (a.is_finite(), b.is_finite()) {
                (true, true) => largest.max((a - b).abs()),
                (false, false) => largest,
                _ => f64::INFINITY,
            }
        })
    }
}

/// Takes the answer to a prediction that was asked for and computes its losses.
pub fn take(
    connection: &mut Connection,
    vocab_size: usize,
    targets: &[u32],
    loss: &mut dyn Loss,
    patience: Duration,
    into: &mut Prediction,
) -> Result<(), Stop> {
    connection.take_prediction(patience, &mut into.logits)?;
    loss.token_nats(&into.logits, vocab_size, targets, &mut into.nats)
        .map_err(|error| Stop::infrastructure(format!("computing the loss: {error}")))
}

/// Takes the answer to a prediction that was asked for and computes its losses, a block at a time: no copy of all logits
/// is made, and the one that is scored stays in the cache. `into.logits` is empty afterwards.
/// Returns the time that this took, without the wait.
pub fn take_losses(
    connection: &mut Connection,
    targets: &[u32],
    loss: &mut dyn Loss,
    patience: Duration,
    into: &mut Prediction,
) -> Result<Duration, Stop> {
    let memory = connection.await_prediction(patience)?;
    let begun = Instant::now();
    let vocab_size = memory.geometry().vocab_size;
    let positions = (BLOCK_LOGITS / vocab_size).max(1);
    let mut part = Vec::with_capacity(positions);
    into.nats.clear();
    for (block, targets) in targets.chunks(positions).enumerate() {
        let from = block * positions;
        into.logits.clear();
        memory.append_logits(from..from + targets.len(), &mut into.logits);
        loss.token_nats(&into.logits, vocab_size, targets, &mut part)
            .map_err(|error| Stop::infrastructure(format!("computing the loss: {error}")))?;
        into.nats.extend_from_slice(&part);
    }
    into.logits.clear();
    Ok(begun.elapsed())
}

/// Asks and takes, where only the losses matter.
pub fn predict_losses(
    connection: &mut Connection,
    batch: &Batch,
    loss: &mut dyn Loss,
    patience: Duration,
    into: &mut Prediction,
) -> Result<(), Stop> {
    connection.ask_prediction(&batch.ids)?;
    take_losses(connection, &batch.targets, loss, patience, into).map(|_| ())
}

/// Asks and takes.
pub fn predict(
    connection: &mut Connection,
    vocab_size: usize,
    batch: &Batch,
    loss: &mut dyn Loss,
    patience: Duration,
    into: &mut Prediction,
) -> Result<(), Stop> {
    connection.ask_prediction(&batch.ids)?;
    take(connection, vocab_size, &batch.targets, loss, patience, into)
}

/// Largest difference between the scored prediction and a probe's, and how many positions were compared.
pub fn compare(
    probe: &Probe,
    vocab_size: usize,
    scored: &Prediction,
    probed: &Prediction,
) -> (f64, u64) {
    largest_difference(
        probe,
        vocab_size,
        (&scored.logits, &scored.nats),
        (&probed.logits, &probed.nats),
    )
}

/// Targets for a probe's prediction.
pub fn targets_of(probe: &Probe, scored: &Batch) -> Vec<u32> {
    probe_targets(probe, scored)
}

/// What a batch costs: its own targets, and those without a neighbour to the right.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BatchCharge {
    pub all: Charge,
    /// The last position of each full row: its label is nowhere in the inputs.
    pub blind: Charge,
    pub bytes: u64,
}

/// Sums the losses of a batch's charged positions, row by row, in f64, in a fixed order.
pub fn charge_batch(
    batch: &Batch,
    nats: &[f64],
    vocab_size: usize,
    stream: &TokenStream,
) -> BatchCharge {
    let mut charge = BatchCharge::default();
    for row in 0..batch.rows {
        for column in 0..batch.lengths[row] {
            let place = row * batch.cols + column;
            charge.all.add(nats[place], vocab_size);
            if column + 1 == batch.cols {
                charge.blind.add(nats[place], vocab_size);
            }
            charge.bytes += stream.bytes_of(batch.targets[place]);
        }
    }
    charge
}

/// First tokens of lanes: no context, hence the uniform price.
pub fn charge_first_tokens(ids: &[u32], vocab_size: usize, stream: &TokenStream) -> BatchCharge {
    let mut charge = BatchCharge::default();
    for &id in ids {
        charge.all.add(uniform_nats(vocab_size), vocab_size);
        charge.bytes += stream.bytes_of(id);
    }
    charge
}
