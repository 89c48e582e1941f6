//! `prism_components.v1`: the scores of the two competitions, q_arch and q_recipe, for runs that were measured here.
//!
//! The shape is the historical one (contract v1, section 6): the same components with the same weights. Their inputs are
//! what the referee measured, and a component without a measured input takes no part: its weight goes to the others in
//! proportion, and the reason is told. A constant never stands in for a measurement.

use serde::Serialize;
use serde_json::Value;

use super::v1::{ARCHITECTURE_SHARE, RECIPE_SHARE};

/// Name of these rules.
pub const COMPONENTS_VERSION: &str = "prism_components.v1";
/// Bits per byte of the predictor that knows nothing.
const UNIFORM_BPB: f64 = 8.0;
/// Parts of equal numbers of steps that a loss curve is cut into to see whether it falls.
const CURVE_PARTS: usize = 16;

/// A component of a score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Component {
    pub name: &'static str,
    /// Historical weight.
    pub weight: f64,
    /// From 0 to 1; none where nothing was measured.
    pub value: Option<f64>,
    /// Why there is no value.
    pub reason: Option<&'static str>,
}

/// The scores of a measured run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeasuredScore {
    pub schema: &'static str,
    pub q_arch: f64,
    pub q_recipe: f64,
    /// Spread of the final score over seeds; 0 where one seed was measured.
    pub q_recipe_std: f64,
    /// `0.7 q_arch + 0.3 q_recipe`.
    pub final_score: f64,
    pub architecture: Vec<Component>,
    pub training: Vec<Component>,
}

/// What the components are made of.
#[derive(Debug, Clone, PartialEq)]
struct Inputs {
    two_part_bpb: f64,
    val_bpb_trained: Option<f64>,
    /// The best of what needs no learning: the untrained twin, uniform ids, uniform bytes.
    untrained_bpb: f64,
    parameters: Option<f64>,
    online_loss: Vec<f64>,
    nonfinite_batches: f64,
    flags: usize,
    spread: Option<f64>,
    /// Memorisation and failed checks, as in the run's own score.
    multiplier: f64,
}

const NO_OPERATIONS: &str =
    "operations are not measured: a formula of parameters and tokens misses reuse and inner steps";
const NO_DIAGNOSTICS: &str = "what a process says of its own activations is not a measurement";
const NO_BENCHMARKS: &str = "no benchmark is run";
const ONE_SEED: &str = "one seed was measured";
const OWN_FILES: &str = "every file of a run folder is written here, whatever the submission does";

/// Scores a manifest of a measured run (`prism_run_manifest.v2` with a `measurement`).
///
/// # Errors
/// What is missing in it.
pub fn measured(manifest: &Value) -> Result<MeasuredScore, String> {
    Ok(Inputs::of(manifest)?.score())
}

/// What a model that learned nothing, and costs nothing, would score: where the competitions start.
pub fn nothing_learned() -> MeasuredScore {
    Inputs {
        two_part_bpb: UNIFORM_BPB,
        val_bpb_trained: Some(UNIFORM_BPB),
        untrained_bpb: UNIFORM_BPB,
        parameters: Some(0.0),
        online_loss: vec![1.0; 2 * CURVE_PARTS],
        nonfinite_batches: 0.0,
        flags: 0,
        spread: None,
        multiplier: 1.0,
    }
    .score()
}

impl Inputs {
    fn of(manifest: &Value) -> Result<Self, String> {
        let optional = |path: &str| {
            let number = manifest.pointer(path).and_then(Value::as_f64);
            number.filter(|number| number.is_finite())
        };
        let number = |path: &str| {
            optional(path)
                .ok_or_else(|| format!("{}: expected a number", super::v1_fields::dotted(path)))
        };
        let flags = manifest.pointer("/score/flags").and_then(Value::as_array);
        let losses = manifest
            .pointer("/metrics/online_loss")
            .and_then(Value::as_array);
        let untrained = ["/score/val_bpb_random_init", "/score/val_bpb_uniform"]
            .into_iter()
            .filter_map(optional)
            .fold(UNIFORM_BPB, f64::min);
        Ok(Self {
            two_part_bpb: number("/score/two_part_bpb")?,
            val_bpb_trained: optional("/score/val_bpb_trained"),
            untrained_bpb: untrained,
            parameters: optional("/compute/model_params"),
            online_loss: losses
                .into_iter()
                .flatten()
                .map(|loss| loss.as_f64().unwrap_or(f64::NAN))
                .collect(),
            nonfinite_batches: number("/metrics/nan_inf_batches")?,
            flags: flags.map_or(0, Vec::len),
            spread: optional("/seeds/final_score/spread"),
            multiplier: number("/score/anti_cheat_multiplier")?
                * number("/score/memorization_penalty")?,
        })
    }

    fn score(&self) -> MeasuredScore {
        let (architecture, training) = (self.architecture(), self.training());
        let [q_arch, q_recipe] =
            [&architecture, &training].map(|components| self.multiplier * weighted(components));
        MeasuredScore {
            schema: COMPONENTS_VERSION,
            q_arch,
            q_recipe,
            q_recipe_std: self.spread.unwrap_or(0.0),
            final_score: ARCHITECTURE_SHARE * q_arch + RECIPE_SHARE * q_recipe,
            architecture,
            training,
        }
    }

    fn architecture(&self) -> Vec<Component> {
        let quality = self
            .val_bpb_trained
            .map_or(0.0, |bpb| 1.0 / (1.0 + bpb.max(0.0)));
        let small = self.parameters.map(|count| 1.0 / (1.0 + count / 1e9));
        vec![
            of("learning_scaling_dynamics", 0.35, self.learning()),
            of("standardized_lm_quality", 0.20, quality),
            without("compute_efficiency", 0.15, NO_OPERATIONS),
            or(
                "parameter_efficiency",
                0.10,
                small,
                "the parameters were not counted",
            ),
            without("diagnostics_health", 0.10, NO_DIAGNOSTICS),
            of("robustness_stability", 0.05, self.robustness()),
            without("benchmark_sanity", 0.05, NO_BENCHMARKS),
        ]
    }

    fn training(&self) -> Vec<Component> {
        let stability = 0.5 * self.learning() + 0.5 * self.robustness();
        let repeatable = self.spread.map(|spread| 1.0 / (1.0 + 10.0 * spread));
        let failure = 1.0 - 0.1 * self.flags as f64;
        vec![
            of(
                "architecture_normalized_heldout_improvement",
                0.30,
                self.improvement(),
            ),
            of("learning_stability_dynamics", 0.25, stability),
            without("benchmark_sanity", 0.15, NO_BENCHMARKS),
            without("compute_efficiency", 0.10, NO_OPERATIONS),
            or("reproducibility_stability", 0.10, repeatable, ONE_SEED),
            of("robustness_failure_behavior", 0.05, failure),
            without("artifact_completeness", 0.05, OWN_FILES),
        ]
    }

    /// Share of the held-out bits that training saved; 0 without a held-out pass.
    fn improvement(&self) -> f64 {
        let saved = |bpb: f64| (self.untrained_bpb - bpb) / self.untrained_bpb;
        clamp(self.val_bpb_trained.map_or(0.0, saved))
    }

    /// 0.6 of what was learned in the end, 0.4 of how early: the share of the stream's bits that were saved on the way.
    fn learning(&self) -> f64 {
        let speed = clamp(1.0 - self.two_part_bpb / UNIFORM_BPB);
        clamp(0.6 * self.improvement() + 0.4 * speed)
    }

    /// 0.7 of the share of the curve's parts that do not rise, 0.3 of finite losses.
    fn robustness(&self) -> f64 {
        let is_finite = self.nonfinite_batches == 0.0;
        0.7 * falling_share(&self.online_loss) + 0.3 * f64::from(u8::from(is_finite))
    }
}

/// Share of the steps between the curve's parts that do not rise; 0 for a curve of one part.
fn falling_share(losses: &[f64]) -> f64 {
    let parts = CURVE_PARTS.min(losses.len() / 2);
    if parts < 2 {
        return 0.0;
    }
    let mean = |part: usize| {
        let steps = &losses[part * losses.len() / parts..(part + 1) * losses.len() / parts];
        steps.iter().sum::<f64>() / steps.len() as f64
    };
    let falling = (1..parts)
        .filter(|part| mean(*part) <= mean(part - 1))
        .count();
    falling as f64 / (parts - 1) as f64
}

fn clamp(value: f64) -> f64 {
    // what is not finite is worth nothing
    if value.is_finite() {
        value.clamp(0.0, 1.0)
    } else {
        0.0
    }
}

fn of(name: &'static str, weight: f64, value: f64) -> Component {
    or(name, weight, Some(value), "")
}

fn without(name: &'static str, weight: f64, reason: &'static str) -> Component {
    or(name, weight, None, reason)
}

fn or(name: &'static str, weight: f64, value: Option<f64>, reason: &'static str) -> Component {
    Component {
        name,
        weight,
        value: value.map(clamp),
        reason: value.is_none().then_some(reason),
    }
}

/// The mean of the components that have a value, by weight.
fn weighted(components: &[Component]) -> f64 {
    let measured = components
        .iter()
        .filter_map(|one| Some((one.weight, one.value?)));
    let (weights, sum) = measured.fold((0.0, 0.0), |(weights, sum), (weight, value)| {
        (weights + weight, sum + weight * value)
    });
    if weights > 0.0 { sum / weights } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest() -> Value {
        let losses: Vec<f64> = (0..64).map(|step| 5.0 - 0.05 * f64::from(step)).collect();
        json!({
            "compute": {"model_params": 1_000_000},
            "metrics": {"online_loss": losses, "nan_inf_batches": 0},
            "score": {
                "two_part_bpb": 4.0, "val_bpb_trained": 2.0, "val_bpb_random_init": 9.0, "val_bpb_uniform": 12.0,
                "anti_cheat_multiplier": 1.0, "memorization_penalty": 1.0, "flags": [],
            },
        })
    }

    #[test]
    fn the_formulas_are_the_historical_ones_over_measurements() {
        let score = measured(&manifest()).unwrap();
        // improvement (8 - 2) / 8, speed 1 - 4 / 8
        let (improvement, learning) = (0.75, 0.6 * 0.75 + 0.4 * 0.5);
        let architecture =
            (0.35 * learning + 0.20 / 3.0 + 0.10 / 1.001 + 0.05) / (0.35 + 0.20 + 0.10 + 0.05);
        let training =
            (0.30 * improvement + 0.25 * (0.5 * learning + 0.5) + 0.05) / (0.30 + 0.25 + 0.05);
        assert!((score.q_arch - architecture).abs() < 1e-12, "{score:?}");
        assert!((score.q_recipe - training).abs() < 1e-12, "{score:?}");
        let total = 0.7 * architecture + 0.3 * training;
        assert!((score.final_score - total).abs() < 1e-12);
        for components in [&score.architecture, &score.training] {
            let whole: f64 = components.iter().map(|one| one.weight).sum();
            assert!((whole - 1.0).abs() < 1e-12);
            let told = |one: &Component| one.value.is_some() != one.reason.is_some();
            assert!(components.iter().all(told), "{components:?}");
        }
    }

    #[test]
    fn what_is_missing_or_failed_earns_nothing() {
        let full = measured(&manifest()).unwrap();
        type Change = fn(&mut Value);
        let worse: [Change; 6] = [
            |m| m["score"]["val_bpb_trained"] = Value::Null,
            |m| m["score"]["anti_cheat_multiplier"] = json!(0.0),
            |m| m["score"]["memorization_penalty"] = json!(0.5),
            |m| m["metrics"]["nan_inf_batches"] = json!(2),
            |m| m["metrics"]["online_loss"] = json!([1.0]),
            |m| m["score"]["two_part_bpb"] = json!(7.0),
        ];
        for (number, change) in worse.into_iter().enumerate() {
            let mut manifest = manifest();
            change(&mut manifest);
            let score = measured(&manifest).unwrap();
            assert!(
                score.q_arch < full.q_arch && score.q_recipe < full.q_recipe,
                "{number}"
            );
        }
        let mut broken = manifest();
        broken["score"]["two_part_bpb"] = json!("low");
        assert!(
            measured(&broken)
                .unwrap_err()
                .contains("score.two_part_bpb")
        );
        let mut seeds = manifest();
        seeds["seeds"] = json!({"final_score": {"spread": 0.1}});
        let spread = measured(&seeds).unwrap();
        assert_eq!(spread.q_recipe_std, 0.1);
        assert_eq!(spread.training[4].value, Some(0.5));
    }

    #[test]
    fn nothing_learned_is_below_whatever_learned() {
        let nothing = nothing_learned();
        let score = measured(&manifest()).unwrap();
        assert!(nothing.q_arch < score.q_arch && nothing.q_recipe < score.q_recipe);
        assert!(nothing.q_arch > 0.0);
    }
}
