//! The processes of a run, each fresh: the twin (never trained), the training, a shadow for each snapshot that is replayed,
//! the held-out evaluation.

pub mod heldout;
#[cfg(test)]
mod hostile_committer;
#[cfg(test)]
mod hostile_peer;
mod probe;
mod ranks;
mod record;
pub mod shadow;
pub mod train;
pub mod twin;

use std::time::Duration;

use self::probe::Prober;
use super::connection::Connection;
use super::journal::Journal;
use super::loss::{Loss, row_q32};
use super::measured::Fault;
use super::patience::Patience;
use super::shm::Geometry;
use super::step::{self, Prediction};
use super::stop::{Stop, unexpected};
use super::wire::{FromRunner, TensorKind};
use crate::config::{Contest, Run};
use crate::dataset::stream::{Lanes, TokenStream};
use crate::score::stream_rows::{HeldoutRole, HeldoutRow};

/// For predictions outside the stream: each has its own limit, and all of them together.
pub fn evaluation_patience(run: &Run) -> Patience {
    let (each, all) = (run.predict_s, run.evaluate_s);
    Patience::new(Duration::from_secs(each), Duration::from_secs(all))
}

/// Rows of held-out batches: the contest's own choice, the same for every submission.
pub const HELDOUT_ROWS: usize = 8;

/// The geometry of held-out text.
pub fn heldout_geometry(contest: &Contest) -> Geometry {
    Geometry {
        batch_size: HELDOUT_ROWS,
        seq_len: contest.sequence_length as usize,
        vocab_size: contest.vocab_size as usize,
    }
}

fn too_many_processes() -> Fault {
    Fault::new(
        "prism:resource-processes",
        "the run's processes multiplied faster than they could be stopped",
        "start fewer processes and threads",
    )
}

/// Takes `built` and adds up the elements of all tensors.
pub fn take_built(connection: &mut Connection, patience: Duration) -> Result<u64, Stop> {
    let frame = connection.receive(patience)?;
    let FromRunner::Built { tensors } = &frame else {
        return Err(unexpected(&frame, "built").into());
    };
    Ok(elements(tensors))
}

/// Takes `counted`: the same of a model that lives.
fn take_count(connection: &mut Connection, patience: Duration) -> Result<u64, Stop> {
    let frame = connection.receive(patience)?;
    let FromRunner::Counted { tensors } = &frame else {
        return Err(unexpected(&frame, "counted").into());
    };
    Ok(elements(tensors))
}

/// All elements; one wider than 4 bytes counts as several, or four weights could hide in it.
fn elements(tensors: &[(u64, u32, TensorKind)]) -> u64 {
    tensors.iter().fold(0, |sum, &(elements, width_bytes, _)| {
        let each = u64::from(width_bytes.div_ceil(4).max(1));
        sum.saturating_add(elements.saturating_mul(each))
    })
}

/// The cap on parameters, on our side.
fn check_cap(parameters: u64, max_parameters: u64) -> Result<(), Fault> {
    if parameters <= max_parameters {
        return Ok(());
    }
    Err(Fault::new(
        "prism:param-cap",
        format!(
            "parameter cap: the model has {} elements in its tensors, expected at most {}",
            thousands(parameters),
            thousands(max_parameters)
        ),
        "build a smaller model; parameters, buffers and plain tensors all count, tied ones once",
    ))
}

/// The cap on what is saved, during training or at its end.
pub fn check_saved(elements: u64, max_parameters: u64) -> Result<(), Fault> {
    if elements <= max_parameters {
        return Ok(());
    }
    Err(Fault::new(
        "prism:param-cap",
        format!(
            "parameter cap: the saved weights have {elements} elements, expected at most {max_parameters}"
        ),
        "build a smaller model; what training adds to it counts too",
    ))
}

/// `1,053,312`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Predicts a whole text without revealing any of it, and journals the losses under a role.
#[expect(
    clippy::too_many_arguments,
    reason = "one call of one purpose; a struct would only rename them"
)]
fn evaluate(
    connection: &mut Connection,
    geometry: Geometry,
    stream: &TokenStream,
    role: HeldoutRole,
    loss: &mut dyn Loss,
    patience: Patience,
    prober: &mut Prober<'_>,
    scratch: &mut Prediction,
    journal: &mut Journal,
) -> Result<(), Stop> {
    let vocab_size = geometry.vocab_size;
    connection.attach(geometry)?;
    let lanes: Lanes<'_> = stream.lanes(geometry.batch_size, geometry.seq_len)?;
    let all = 0..geometry.batch_size;
    for index in 0..lanes.full_steps() + usize::from(lanes.has_partial_step()) {
        let batch = lanes.batch(index, all.clone());
        prober.predict(connection, geometry, index, &batch, loss, patience, scratch)?;
        let mut charge = step::charge_batch(&batch, &scratch.nats, vocab_size, stream);
        if index == 0 {
            let first =
                step::charge_first_tokens(&lanes.first_tokens(all.clone()), vocab_size, stream);
            charge.all.nats += first.all.nats;
            charge.all.tokens += first.all.tokens;
            charge.bytes += first.bytes;
        }
        append(journal, role, index, &charge)?;
    }
    Ok(())
}

fn append(
    journal: &mut Journal,
    role: HeldoutRole,
    step: usize,
    charge: &step::BatchCharge,
) -> Result<(), Stop> {
    let row = HeldoutRow {
        role,
        step: step as u32,
        tokens: charge.all.tokens,
        bytes: charge.bytes,
        nats_q32: row_q32(charge.all.nats).map_err(Stop::infrastructure)?,
    };
    journal
        .append(&row)
        .map_err(Stop::io("the held-out journal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_is_exact_and_readable() {
        assert!(check_cap(150_000_000, 150_000_000).is_ok());
        let fault = check_cap(150_000_001, 150_000_000).unwrap_err();
        assert_eq!(fault.rule_id, "prism:param-cap");
        assert!(fault.message.contains("150,000,001"), "{}", fault.message);
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000), "1,000");
    }
}
