//! What the runs of a probe come to.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::regimes::{Kind, Setting};
use crate::outbox::status::State;
use crate::pipeline::Outcome;

pub const PROBE_SCHEMA: &str = "prism_probe_report.v1";

/// A loss this many times the mean of the steps before it is a spike.
const SPIKE: f64 = 1.25;
/// Steps that the mean is taken over, and fewest of them.
const SPIKE_WINDOW: usize = 16;
const SPIKE_LEAST: usize = 4;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProbeRun {
    pub label: String,
    pub regime: Kind,
    pub value: f64,
    pub state: State,
    /// Why it has no score.
    pub reason: Option<String>,
    pub prequential_bpb: Option<f64>,
    pub val_bpb_trained: Option<f64>,
    pub model_params: Option<u64>,
    pub family: Option<String>,
    pub batch_size: Option<u64>,
    pub seq_len: Option<u64>,
    pub nan_count: u64,
    pub loss_spike_count: u64,
    /// 1 - mean rise from step to step / mean loss; none for fewer than two steps.
    pub loss_smoothness: Option<f64>,
    /// Flags of the run's score: a size under which a check fails shows here.
    pub flags: Vec<String>,
}

impl ProbeRun {
    /// The run that a manifest describes; null where there is none.
    pub fn of(setting: &Setting, outcome: &Outcome, manifest: &Value) -> Self {
        let losses: Vec<f64> = list(manifest, "/metrics/online_loss")
            .filter_map(Value::as_f64)
            .collect();
        let number = |path: &str| manifest.pointer(path).and_then(Value::as_f64);
        let count = |path: &str| manifest.pointer(path).and_then(Value::as_u64);
        let reason = outcome.reason.as_ref();
        Self {
            label: setting.label.clone(),
            regime: setting.kind,
            value: setting.value,
            state: outcome.state,
            reason: reason.map(|reason| format!("{}: {}", reason.rule_id, reason.message)),
            prequential_bpb: number("/score/prequential_bpb"),
            val_bpb_trained: number("/score/val_bpb_trained"),
            model_params: count("/compute/model_params"),
            family: manifest
                .pointer("/architecture/family")
                .and_then(Value::as_str)
                .map(str::to_owned),
            batch_size: count("/referee/batch_size"),
            seq_len: count("/referee/seq_len"),
            nan_count: count("/metrics/nan_inf_batches").unwrap_or_default(),
            loss_spike_count: spikes(&losses),
            loss_smoothness: smoothness(&losses),
            flags: list(manifest, "/score/flags")
                .filter_map(|flag| flag.as_str().map(str::to_owned))
                .collect(),
        }
    }

    pub fn is_scored(&self) -> bool {
        self.prequential_bpb.is_some()
    }

    /// Whether the size that was asked for is one that it took.
    pub fn follows(&self, base: &Self) -> bool {
        match self.regime {
            Kind::Base | Kind::Seed | Kind::Sequence => true,
            // a size that it took and failed under
            _ if !self.is_scored() => true,
            Kind::Width | Kind::Depth => {
                (self.model_params, &self.family) != (base.model_params, &base.family)
            }
            Kind::Batch => self.batch_size != base.batch_size,
        }
    }
}

/// One regime.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegimeReport {
    pub regime: Kind,
    /// Whether the submission offers it.
    pub offered: bool,
    /// Runs without a score.
    pub failed: u64,
    /// 1: the same bits per byte throughout; 0: twice as many somewhere, or a run without a score.
    pub consistency: Option<f64>,
    pub best_bpb: Option<f64>,
    pub worst_bpb: Option<f64>,
}

/// `prism probe`'s result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProbeReport {
    pub schema_version: &'static str,
    /// Always false.
    pub score_eligible: bool,
    pub budget_bytes: u64,
    pub runs: Vec<ProbeRun>,
    pub regimes: Vec<RegimeReport>,
    /// Mean over the regimes that were offered.
    pub scaling_consistency: Option<f64>,
    pub depth_scaling_score: Option<f64>,
    pub sequence_scaling_score: Option<f64>,
    pub batch_scaling_score: Option<f64>,
    pub loss_spike_count: u64,
    /// Mean over the runs.
    pub loss_smoothness: Option<f64>,
    /// Steps with a loss that is no finite number, overflows among them.
    pub nan_count: u64,
    /// Names of contract v1, section 7, that only the training process could tell, and why they are not asked for.
    pub not_measured: BTreeMap<&'static str, &'static str>,
}

/// Figures of section 7 that the referee cannot take.
const INSIDE: [&str; 4] = [
    "activation_spike_rate",
    "grad_norm_max",
    "grad_norm_mean",
    "overflow_count",
];
const INSIDE_REASON: &str = "known to the training process alone, whose word is not taken; nan_count has what shows in losses";

/// Puts the runs together; the first is the base.
pub fn report(budget_bytes: u64, runs: Vec<ProbeRun>) -> ProbeReport {
    let regimes: Vec<RegimeReport> = Kind::VARIED
        .into_iter()
        .map(|kind| regime(kind, &runs))
        .collect();
    let scores: BTreeMap<Kind, f64> = regimes
        .iter()
        .filter_map(|regime| Some((regime.regime, regime.consistency?)))
        .collect();
    ProbeReport {
        schema_version: PROBE_SCHEMA,
        score_eligible: false,
        budget_bytes,
        scaling_consistency: mean_of(scores.values().copied()),
        depth_scaling_score: scores.get(&Kind::Depth).copied(),
        sequence_scaling_score: scores.get(&Kind::Sequence).copied(),
        batch_scaling_score: scores.get(&Kind::Batch).copied(),
        loss_spike_count: runs.iter().map(|run| run.loss_spike_count).sum(),
        loss_smoothness: mean_of(runs.iter().filter_map(|run| run.loss_smoothness)),
        nan_count: runs.iter().map(|run| run.nan_count).sum(),
        not_measured: INSIDE.map(|name| (name, INSIDE_REASON)).into(),
        regimes,
        runs,
    }
}

fn mean_of(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    let sum: f64 = values.iter().sum();
    (!values.is_empty()).then(|| sum / values.len() as f64)
}

fn regime(kind: Kind, runs: &[ProbeRun]) -> RegimeReport {
    let mut report = RegimeReport {
        regime: kind,
        offered: false,
        failed: 0,
        consistency: None,
        best_bpb: None,
        worst_bpb: None,
    };
    let Some(base) = runs.first() else {
        return report;
    };
    let varied: Vec<&ProbeRun> = runs
        .iter()
        .filter(|run| run.regime == kind && run.follows(base))
        .collect();
    if varied.is_empty() {
        return report;
    }
    report.offered = true;
    report.failed = varied.iter().filter(|run| !run.is_scored()).count() as u64;
    let scored = varied.iter().copied().chain([base]);
    let bpbs: Vec<f64> = scored.filter_map(|run| run.prequential_bpb).collect();
    let best = bpbs.iter().copied().fold(f64::INFINITY, f64::min);
    let worst = bpbs.iter().copied().fold(0.0, f64::max);
    if !bpbs.is_empty() {
        (report.best_bpb, report.worst_bpb) = (Some(best), Some(worst));
    }
    let is_whole = report.failed == 0 && best > 0.0;
    let consistency = if is_whole {
        (1.0 - (worst - best) / best).clamp(0.0, 1.0)
    } else {
        0.0
    };
    report.consistency = Some(consistency);
    report
}

/// How little of the loss goes up again: 1 for one that never rises, 0 for one that rises by its own mean each step.
fn smoothness(losses: &[f64]) -> Option<f64> {
    let mean = mean_of(losses.iter().copied())?;
    let rises = losses.windows(2).map(|pair| (pair[1] - pair[0]).max(0.0));
    let rise = mean_of(rises)?;
    (mean > 0.0).then(|| (1.0 - rise / mean).clamp(0.0, 1.0))
}

/// Steps whose loss jumps.
fn spikes(losses: &[f64]) -> u64 {
    let is_spike = |step: usize| {
        let before = &losses[step.saturating_sub(SPIKE_WINDOW)..step];
        let mean = before.iter().sum::<f64>() / before.len() as f64;
        losses[step] > SPIKE * mean
    };
    let from = SPIKE_LEAST.min(losses.len());
    (from..losses.len()).filter(|step| is_spike(*step)).count() as u64
}

fn list<'v>(manifest: &'v Value, path: &str) -> impl Iterator<Item = &'v Value> {
    let found = manifest.pointer(path).and_then(Value::as_array);
    found.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(regime: Kind, bpb: Option<f64>, params: u64, batch: u64) -> ProbeRun {
        ProbeRun {
            label: regime.name().to_owned(),
            regime,
            value: 1.0,
            state: State::Scored,
            reason: None,
            prequential_bpb: bpb,
            val_bpb_trained: bpb,
            model_params: Some(params),
            family: None,
            batch_size: Some(batch),
            seq_len: Some(64),
            nan_count: 1,
            loss_spike_count: 2,
            loss_smoothness: Some(0.5),
            flags: Vec::new(),
        }
    }

    #[test]
    fn a_regime_counts_where_the_submission_follows_it() {
        let runs = vec![
            run(Kind::Base, Some(4.0), 10, 8),
            run(Kind::Seed, Some(4.4), 10, 8),
            run(Kind::Seed, Some(4.2), 10, 8),
            run(Kind::Sequence, None, 10, 8),
            run(Kind::Width, Some(3.2), 20, 8),
            run(Kind::Depth, Some(4.0), 10, 8),
            run(Kind::Batch, Some(9.0), 10, 16),
        ];
        let report = report(100, runs);
        let told: Vec<(bool, Option<f64>)> = report
            .regimes
            .iter()
            .map(|regime| (regime.offered, regime.consistency))
            .collect();
        assert_eq!(
            told,
            [
                (true, Some(1.0 - (4.4 - 4.0) / 4.0)),
                (true, Some(0.0)),
                (true, Some(1.0 - (4.0 - 3.2) / 3.2)),
                (false, None),
                (true, Some(0.0)),
            ]
        );
        assert_eq!((report.nan_count, report.loss_spike_count), (7, 14));
        assert_eq!(report.loss_smoothness, Some(0.5));
        assert_eq!(report.sequence_scaling_score, Some(0.0));
        assert_eq!(report.depth_scaling_score, None);
        let value = serde_json::to_value(&report).unwrap();
        let path = std::path::Path::new("probe");
        crate::outbox::schema::check(path, crate::outbox::schema::Schema::ProbeReport, &value)
            .unwrap();
    }

    #[test]
    fn a_jump_is_a_spike_and_a_slope_is_none() {
        assert_eq!(spikes(&[5.0, 4.0, 3.0, 2.0, 1.0]), 0);
        assert_eq!(spikes(&[2.0, 2.0, 2.0, 2.0, 3.0, 2.0, 2.8]), 2);
        assert_eq!(spikes(&[1.0, 9.0]), 0);
        assert_eq!(spikes(&[]), 0);
        assert_eq!(smoothness(&[3.0, 2.0, 1.0]), Some(1.0));
        assert_eq!(smoothness(&[1.0, 3.0, 2.0]), Some(0.5));
        assert_eq!(smoothness(&[1.0]), None);
    }
}
