//! Several ranks are one model: at the end of the training all of them must predict the same batch alike.
//!
//! Each rank's part of the stream was predicted by its own process, and only rank 0's weights are saved and checked again.
//! Ranks that hold different parameters are different models, together larger than the cap allows for one.

use crate::dataset::stream::Batch;
use crate::referee::connection::Connection;
use crate::referee::loss::Loss;
use crate::referee::measured::CheckResult;
use crate::referee::patience::Patience;
use crate::referee::step::{self, Prediction};
use crate::referee::stop::Stop;

/// Asks every other rank for what rank 0 said of `batch`; none for a single rank.
pub fn agree(
    connections: &mut [Connection],
    vocab_size: usize,
    batch: &Batch,
    rank0: &Prediction,
    loss: &mut dyn Loss,
    patience: Patience,
    tolerance_nats: f64,
) -> Result<Option<CheckResult>, Stop> {
    let Some((_, others)) = connections.split_first_mut() else {
        return Ok(None);
    };
    if others.is_empty() {
        return Ok(None);
    }
    for connection in others.iter_mut() {
        connection.ask_prediction(&batch.ids)?;
    }
    let mut largest = 0f64;
    let mut identical = true;
    let mut scratch = Prediction::default();
    for connection in others.iter_mut() {
        let wait = patience.now();
        step::take(
            connection,
            vocab_size,
            &batch.targets,
            loss,
            wait,
            &mut scratch,
        )?;
        largest = largest.max(rank0.largest_difference_nats(&scratch));
        identical &= same_bits(&rank0.logits, &scratch.logits);
    }
    let bits = if identical {
        "to the bit"
    } else {
        "not to the bit"
    };
    Ok(Some(CheckResult {
        name: "ranks_agree".to_owned(),
        passed: largest <= tolerance_nats,
        evidence: format!(
            "{} ranks predict the last batch of rank 0, {bits}, and differ by {largest:e} nats, expected at most \
             {tolerance_nats}",
            others.len() + 1
        ),
    }))
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}
