//! A prediction that is scored and, where the schedule has one, a probe of it, in the schedule's order.

use crate::config::Config;
use crate::dataset::stream::Batch;
use crate::referee::causality::{Probe, Schedule, largest_loss_difference};
use crate::referee::connection::Connection;
use crate::referee::loss::Loss;
use crate::referee::measured::{Fault, ProbeResult};
use crate::referee::patience::Patience;
use crate::referee::shm::Geometry;
use crate::referee::step::{self, Prediction};
use crate::referee::stop::Stop;

/// The name in the manifest of a probe that a suspiciously low loss asked for.
const SECOND_LOOK: &str = "train, second look";

/// Probes of one phase whose predictions are asked for one by one.
pub struct Prober<'a> {
    config: &'a Config,
    phase: &'static str,
    schedule: Schedule,
    pub results: Vec<ProbeResult>,
}

impl<'a> Prober<'a> {
    /// `schedule` is the run's; each phase has one of its own.
    pub fn new(config: &'a Config, phase: &'static str, schedule: &Schedule) -> Self {
        Self {
            config,
            phase,
            schedule: schedule.for_phase(phase),
            results: Vec::new(),
        }
    }

    /// Predictions without any probe.
    pub fn off(config: &'a Config) -> Self {
        Self::new(config, "", &Schedule::new([0; 32], 0, 0))
    }

    /// As many probes as a text of `steps` batches is to have.
    pub fn for_steps(self, steps: usize) -> Self {
        Self {
            schedule: self.schedule.for_steps(steps),
            ..self
        }
    }

    /// Predicts a batch into `scored`; the fault, if its probe disagrees.
    #[expect(
        clippy::too_many_arguments,
        reason = "one call of one purpose; a struct would only rename them"
    )]
    pub fn predict(
        &mut self,
        connection: &mut Connection,
        geometry: Geometry,
        index: usize,
        batch: &Batch,
        loss: &mut dyn Loss,
        patience: Patience,
        scored: &mut Prediction,
    ) -> Result<(), Stop> {
        let Some(probe) = self.schedule.probe(index as u32, 0, batch) else {
            return step::predict_losses(connection, batch, loss, patience.now(), scored);
        };
        let vocab_size = geometry.vocab_size;
        let mut probed = Prediction::default();
        let asked = Batch {
            targets: step::targets_of(&probe, batch),
            ..probe.batch.clone()
        };
        for turn in 0..2 {
            let (batch, into) = if (turn == 0) == probe.before {
                (&asked, &mut probed)
            } else {
                (batch, &mut *scored)
            };
            let wait = patience.now();
            step::predict(connection, vocab_size, batch, loss, wait, into)?;
        }
        let result = judge(
            &probe,
            self.config,
            self.phase,
            index as u32,
            0,
            geometry,
            scored,
            &probed,
        )?;
        self.results.push(result);
        Ok(())
    }
}

/// A probe's figures, or the fault if they differ.
#[expect(
    clippy::too_many_arguments,
    reason = "one call of one purpose; a struct would only rename them"
)]
pub fn judge(
    probe: &Probe,
    config: &Config,
    phase: &str,
    step: u32,
    rank: u32,
    geometry: Geometry,
    scored: &Prediction,
    probed: &Prediction,
) -> Result<ProbeResult, Stop> {
    let compared = step::compare(probe, geometry.vocab_size, scored, probed);
    verdict(probe, config, phase, step, rank, compared)
}

/// The same for a step that was looked at again: of its scored prediction only the losses are left.
pub fn judge_losses(
    probe: &Probe,
    config: &Config,
    step: u32,
    rank: u32,
    scored_nats: &[f64],
    probed_nats: &[f64],
) -> Result<ProbeResult, Stop> {
    let compared = largest_loss_difference(probe, scored_nats, probed_nats);
    verdict(probe, config, SECOND_LOOK, step, rank, compared)
}

fn verdict(
    probe: &Probe,
    config: &Config,
    phase: &str,
    step: u32,
    rank: u32,
    (difference, compared): (f64, u64),
) -> Result<ProbeResult, Stop> {
    let result = ProbeResult {
        phase: phase.to_owned(),
        step,
        rank,
        cuts: probe
            .cuts
            .as_ref()
            .map(|cuts| cuts.iter().map(|&cut| cut as u32).collect()),
        largest_difference_nats: difference,
        compared_positions: compared,
    };
    if difference <= config.audit.tolerance_nats {
        return Ok(result);
    }
    let what = match probe.cuts {
        Some(_) => "predictions changed when only later tokens, other rows and the rows' order did",
        None => "the same batch twice gave different predictions",
    };
    Err(Fault::new(
        "prism:non-causal",
        format!(
            "{phase} step {step}: {what}: by {difference:.6} nats, expected at most {}",
            config.audit.tolerance_nats
        ),
        "a prediction must depend on the weights and on earlier tokens of its own row only: mask attention, pad \
         convolutions on the left, keep no state between calls, mix no rows",
    )
    .into())
}
