//! Held-out text, predicted by a fresh process that holds build_model(ctx) and the saved weights and nothing else.
//!
//! What the trained process knew and the saved weights do not carry shows here as a difference on the last batch.
//! Held-out text passes through untrusted code: nothing that code says afterwards is published.

use std::time::Duration;

use super::probe::Prober;
use super::{append, check_cap, evaluate, evaluation_patience, heldout_geometry, take_built};
use crate::config::Config;
use crate::dataset::stream::{Batch, TokenStream};
use crate::referee::causality::Schedule;
use crate::referee::handshake::Started;
use crate::referee::journal::Journal;
use crate::referee::loss::Loss;
use crate::referee::measured::{CheckResult, Fault, ProbeResult};
use crate::referee::shm::Geometry;
use crate::referee::step::{self, Prediction};
use crate::referee::stop::{Stop, explain};
use crate::referee::wire::FromReferee;
use crate::sandbox::Running;
use crate::score::stream_rows::HeldoutRole;

/// What the trained process left: the batches to compare and to score again, in its own geometry.
pub struct Trained<'a> {
    pub geometry: Geometry,
    /// The last batch that was trained on and what the trained process predicts for it.
    pub check: Option<(&'a Batch, &'a Prediction)>,
    /// The end of the training stream.
    pub tail: &'a [Batch],
    pub stream: &'a TokenStream,
    /// The run's; tail and val have probes of their own.
    pub schedule: &'a Schedule,
}

/// What the evaluation found.
#[derive(Debug)]
pub struct Evaluated {
    /// Whether the saved state is the whole state.
    pub state: CheckResult,
    pub probes: Vec<ProbeResult>,
}

/// Runs the evaluation to its end. A model that is causal in its training and not here is a fault.
pub fn evaluate_trained(
    mut started: Started,
    config: &Config,
    trained: &Trained<'_>,
    val: &TokenStream,
    loss: &mut dyn Loss,
    journal: &mut Journal,
) -> Result<Evaluated, Stop> {
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
        let mut prober =
            Prober::new(config, "tail", trained.schedule).for_steps(trained.tail.len());
        for (index, batch) in trained.tail.iter().enumerate() {
            prober.predict(
                connection,
                trained.geometry,
                index,
                batch,
                loss,
                patience,
                &mut scratch,
            )?;
            let charge = step::charge_batch(batch, &scratch.nats, vocab_size, trained.stream);
            append(journal, HeldoutRole::TrainTail, index, &charge)?;
        }
        let mut probes = prober.results;
        let geometry = heldout_geometry(&config.contest);
        let steps = val
            .lanes(geometry.batch_size, geometry.seq_len)?
            .full_steps();
        let mut prober = Prober::new(config, "val", trained.schedule).for_steps(steps);
        let role = HeldoutRole::Trained;
        evaluate(
            connection,
            geometry,
            val,
            role,
            loss,
            patience,
            &mut prober,
            &mut scratch,
            journal,
        )?;
        connection.send(&FromReferee::End { reason: "done" })?;
        probes.extend(
            prober
                .results
                .into_iter()
                .map(|probe| without_digits(probe, config.audit.tolerance_nats)),
        );
        Ok(Evaluated {
            state: check,
            probes,
        })
    })();
    let result = result.map_err(|stop| without_text(stop, &started.running));
    started.running.finish(Duration::from_secs(5));
    result
}

/// A figure with next to no room for anything but its size: code that saw held-out text chose its digits.
fn without_digits(probe: ProbeResult, tolerance_nats: f64) -> ProbeResult {
    let difference = probe.largest_difference_nats;
    ProbeResult {
        largest_difference_nats: if difference > 0.0 {
            // The next power of ten that is not below it; what passed stays what passed.
            let rounded = 10f64.powi(difference.log10().ceil().max(-12.0) as i32);
            rounded.min(tolerance_nats)
        } else {
            0.0
        },
        ..probe
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_difference_says_its_size_only() {
        for (difference, told) in [(0.0, 0.0), (1e-30, 1e-12), (2.345e-7, 1e-6), (4e-4, 5e-4)] {
            let probe = ProbeResult {
                phase: "val".to_owned(),
                step: 0,
                rank: 0,
                cuts: None,
                largest_difference_nats: difference,
                compared_positions: 1,
            };
            let shown = without_digits(probe, 5e-4).largest_difference_nats;
            assert!((shown - told).abs() <= 1e-9 * told, "{difference}: {shown}");
        }
    }
}
