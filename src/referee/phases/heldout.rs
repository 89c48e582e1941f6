//! Held-out text, predicted by a fresh process that holds build_model(ctx) and the saved weights and nothing else.
//!
//! What the trained process knew and the saved weights do not carry shows here as a difference on the last batch.
//! Held-out text passes through untrusted code: nothing that code says afterwards is published.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use safetensors::tensor::Metadata;

use super::{append, check_cap, evaluate, evaluation_patience, heldout_geometry, take_built};
use crate::config::Config;
use crate::dataset::stream::{Batch, TokenStream};
use crate::referee::connection::{Stop, explain};
use crate::referee::handshake::Started;
use crate::referee::journal::Journal;
use crate::referee::loss::Loss;
use crate::referee::measured::{CheckResult, Fault};
use crate::referee::shm::Geometry;
use crate::referee::step::{self, Prediction};
use crate::referee::wire::FromReferee;
use crate::sandbox::Running;
use crate::score::stream_rows::HeldoutRole;

/// Largest header of a safetensors file (the format's own limit).
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// What the trained process left: the batches to compare and to score again, in its own geometry.
pub struct Trained<'a> {
    pub geometry: Geometry,
    /// The last batch that was trained on and what the trained process predicts for it.
    pub check: Option<(&'a Batch, &'a Prediction)>,
    /// The end of the training stream.
    pub tail: &'a [Batch],
    pub stream: &'a TokenStream,
}

/// Runs the evaluation to its end. The check is whether the saved state is the whole state.
pub fn evaluate_trained(
    mut started: Started,
    config: &Config,
    trained: &Trained<'_>,
    val: &TokenStream,
    loss: &mut dyn Loss,
    journal: &mut Journal,
) -> Result<CheckResult, Stop> {
    let result = (|| {
        let Some(connection) = started.connections.first_mut() else {
            return Err(Stop::infrastructure(
                "a phase without a connection: a fault of the referee",
            ));
        };
        let parameters = take_built(connection, Duration::from_secs(config.run.build_s))?;
        check_cap(parameters, config.contest.max_parameters)?;
        let patience = evaluation_patience(&config.run);
        let mut scratch = Prediction::default();
        let vocab_size = trained.geometry.vocab_size;
        connection.attach(trained.geometry)?;
        let mut check = CheckResult {
            name: "state".to_owned(),
            passed: true,
            evidence: "no batch was trained on: nothing to compare".to_owned(),
        };
        if let Some((batch, live)) = trained.check {
            let wait = patience.now();
            step::predict_losses(connection, batch, loss, wait, &mut scratch)?;
            let difference = live.largest_difference_nats(&scratch);
            check.passed = difference <= config.audit.tolerance_nats;
            check.evidence = format!(
                "on the last batch the trained process and build_model with the saved weights differ by {difference:e} nats, \
                 expected at most {}",
                config.audit.tolerance_nats
            );
        }
        for (index, batch) in trained.tail.iter().enumerate() {
            let wait = patience.now();
            step::predict_losses(connection, batch, loss, wait, &mut scratch)?;
            let charge = step::charge_batch(batch, &scratch.nats, vocab_size, trained.stream);
            append(journal, HeldoutRole::TrainTail, index, &charge)?;
        }
        let geometry = heldout_geometry(&config.contest);
        let role = HeldoutRole::Trained;
        evaluate(
            connection,
            geometry,
            val,
            role,
            loss,
            patience,
            &mut scratch,
            journal,
        )?;
        connection.send(&FromReferee::End { reason: "done" })?;
        Ok(check)
    })();
    let result = result.map_err(|stop| without_text(stop, &started.running));
    started.running.finish(Duration::from_secs(5));
    result
}

/// A fault in words of our own: those of code that saw held-out text could quote it.
pub fn without_text(stop: Stop, running: &Running) -> Stop {
    match explain(stop, running, "predicting held-out text") {
        Stop::Fault(fault) => Fault {
            message: format!("predicting held-out text failed ({})", fault.rule_id),
            hint: "the model must predict in a fresh process from build_model(ctx) and its state_dict alone".to_owned(),
            ..fault
        }
        .into(),
        stop => stop,
    }
}

/// Counts the elements in a file of weights that the sandbox wrote, without believing its length fields.
pub fn count_saved_elements(path: &Path) -> Result<u64, Fault> {
    let wrong = |what: String| {
        Fault::new(
            "prism:state",
            format!("the saved weights: {what}"),
            "state_dict must hold tensors only",
        )
    };
    let open = || -> std::io::Result<File> {
        // Never through a link that the submission made.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
    };
    let mut file = open().map_err(|error| wrong(error.to_string()))?;
    let metadata = file.metadata().map_err(|error| wrong(error.to_string()))?;
    if !metadata.is_file() {
        return Err(wrong("not a regular file".to_owned()));
    }
    let mut length = [0; 8];
    file.read_exact(&mut length)
        .map_err(|error| wrong(error.to_string()))?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > MAX_HEADER_BYTES || header_bytes.saturating_add(8) > metadata.len() {
        return Err(wrong(format!(
            "a header of {header_bytes} bytes in a file of {}",
            metadata.len()
        )));
    }
    let mut bytes = Vec::new();
    file.take(header_bytes)
        .read_to_end(&mut bytes)
        .map_err(|error| wrong(error.to_string()))?;
    // The header alone: the tensors are of no concern here, and may be gigabytes.
    let header: Metadata = serde_json::from_slice(&bytes)
        .map_err(|error| wrong(format!("not a safetensors header: {error}")))?;
    let data_bytes = header.data_len() as u64;
    if metadata.len() != data_bytes.saturating_add(header_bytes).saturating_add(8) {
        return Err(wrong(format!(
            "a file of {} bytes for {data_bytes} bytes of tensors",
            metadata.len()
        )));
    }
    let mut elements = 0u64;
    for tensor in header.tensors().values() {
        let count = tensor
            .shape
            .iter()
            .try_fold(1u64, |product, &size| product.checked_mul(size as u64));
        // As in the living model: what is wider than 4 bytes counts as several.
        let (from, to) = tensor.data_offsets;
        let count = count.map(|count| count.max((to - from).div_ceil(4) as u64));
        elements = count
            .and_then(|count| elements.checked_add(count))
            .unwrap_or(u64::MAX);
    }
    Ok(elements)
}
