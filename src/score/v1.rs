//! `prism_score.v1`: the historical rules for a `prism_run_manifest.v1`.
//!
//! The rules rank an architecture (`q_arch`) and a training recipe (`q_recipe`) by weighted components between 0 and 1.
//! Where the historical scorer let a value that is not finite count as 1, this one refuses. What the manifest does not
//! hold keeps its neutral value: anti-cheat multiplier 1, diversity bonus 0, penalty 0.

use serde_json::Value;

use super::v1_fields::Fields;

/// Shares of the architecture and the recipe in the final score.
pub const ARCHITECTURE_SHARE: f64 = 0.7;
pub const RECIPE_SHARE: f64 = 0.3;

/// Weight of each benchmark; one that is missing counts as 0.
const BENCHMARKS: [(&str, f64); 8] = [
    ("mmlu", 0.20),
    ("gsm8k", 0.15),
    ("math", 0.15),
    ("humaneval", 0.15),
    ("arc_challenge", 0.10),
    ("needle", 0.10),
    ("ifeval", 0.10),
    ("truthfulqa", 0.05),
];

/// Diagnostics that every manifest has.
const DIAGNOSTICS: [&str; 7] = [
    "activation_entropy",
    "useful_sparsity",
    "attention_diversity",
    "representation_collapse",
    "gradient_noise_scale",
    "activation_norm_stability",
    "neuron_specialization",
];

/// A score under `prism_score.v1`.
#[derive(serde::Serialize, Clone, Copy, Debug, PartialEq)]
pub struct ScoreV1 {
    /// Architecture score, 0 to 1.
    pub q_arch: f64,
    /// Training score, 0 to 1.
    pub q_recipe: f64,
    /// `max(0, 0.7 q_arch + 0.3 q_recipe)`.
    pub final_score: f64,
}

/// Scores a manifest.
///
/// # Errors
/// All reasons why there is none: fields that are missing, of the wrong type, negative where they may not be or not
/// equal where they have to be; a run that official scoring refuses (smoke runs, losses that cannot be compared, no
/// contamination report, a failed validation); a component that is not finite.
pub fn score(manifest: &Value) -> Result<ScoreV1, Vec<String>> {
    let mut fields = Fields::of(manifest);
    gate(&mut fields);
    same(&mut fields);
    let components = Components::read(&mut fields);
    let (q_arch, q_recipe) = (
        components.architecture(&mut fields),
        components.recipe(&mut fields),
    );
    let base = ARCHITECTURE_SHARE * q_arch + RECIPE_SHARE * q_recipe;
    fields.finish(ScoreV1 {
        q_arch,
        q_recipe,
        final_score: base.max(0.0),
    })
}

/// What official scoring asks of a run before it looks at its losses.
fn gate(fields: &mut Fields) {
    let mode = fields.text("/mode");
    fields.require(
        matches!(mode.as_str(), "gpu_proxy_eval" | "full_scale_eval"),
        || {
            format!(
                "mode: {mode}, expected gpu_proxy_eval or full_scale_eval: others are not scored"
            )
        },
    );
    for path in [
        "/validation/passed",
        "/validation/score_eligible",
        "/metrics/loss/loss_comparable",
    ] {
        let holds = fields.flag(path);
        fields.require(holds, || format!("{}: expected true", name(path)));
    }
    let redistributed = fields.flag("/metrics/loss/loss_component_redistribution/enabled");
    fields.require(!redistributed, || {
        "metrics.loss.loss_component_redistribution.enabled: expected false".to_owned()
    });
    let report = fields.text("/dataset/contamination_report_path");
    fields.require(!report.is_empty(), || {
        "dataset.contamination_report_path: expected a path".to_owned()
    });
    let scope = fields.text("/metrics/loss/loss_normalization_scope");
    fields.require(
        matches!(scope.as_str(), "fixed_tokenizer" | "byte_normalized"),
        || {
            format!("metrics.loss.loss_normalization_scope: {scope}, expected fixed_tokenizer or byte_normalized")
        },
    );
}

/// Figures that a manifest states twice.
fn same(fields: &mut Fields) {
    for (a, b) in [
        ("/metrics/tokens_seen", "/compute/tokens_seen"),
        ("/metrics/estimated_flops", "/compute/estimated_flops"),
        ("/metrics/parameter_count", "/model/parameter_count"),
        ("/metrics/gpu_count", "/compute/gpu_count"),
    ] {
        let (first, second) = (fields.count(a), fields.count(b));
        fields.require(first == second, || {
            format!("{}: {first}, expected {} = {second}", name(a), name(b))
        });
    }
}

/// The components of both scores, before they are weighted.
struct Components {
    learning_scaling_dynamics: f64,
    standardized_lm_quality: f64,
    compute_efficiency: f64,
    parameter_efficiency: f64,
    diagnostics_health: f64,
    robustness_stability: f64,
    benchmark_sanity: f64,
    heldout_improvement: f64,
    reproducibility_stability: f64,
    robustness_failure_behavior: f64,
    artifact_completeness: f64,
}

impl Components {
    fn read(fields: &mut Fields) -> Self {
        let slope = fields.number("/metrics/learning_speed_slope");
        let speed = fields.clamp("-10 x metrics.learning_speed_slope", -10.0 * slope);
        let reduction = fields.number("/metrics/loss/relative_loss_reduction");
        let tokens = fields.count("/compute/tokens_seen").max(1.0);
        let flops_per_token = fields.count("/compute/estimated_flops") / tokens;
        let (health, warnings) = diagnostics(fields);
        let validated = fields.flag("/validation/passed") && fields.list("/validation/errors") == 0;
        Self {
            learning_scaling_dynamics: fields
                .clamp("learning_scaling_dynamics", 0.6 * reduction + 0.4 * speed),
            standardized_lm_quality: 1.0
                / (1.0 + fields.count("/metrics/loss/standardized_eval_loss")),
            compute_efficiency: 1.0 / (1.0 + flops_per_token / 1e6),
            parameter_efficiency: 1.0 / (1.0 + fields.count("/model/parameter_count") / 1e9),
            diagnostics_health: health,
            robustness_stability: falling_share(fields)
                .map_or(0.0, |share| 0.7 * share + 0.3 * health),
            benchmark_sanity: benchmarks(fields),
            heldout_improvement: fields
                .number("/metrics/loss/architecture_normalized_heldout_improvement"),
            reproducibility_stability: 1.0 / (1.0 + 10.0 * mean_stderr(fields)),
            robustness_failure_behavior: if validated {
                1.0 - 0.1 * f64::from(warnings)
            } else {
                0.0
            },
            artifact_completeness: artifacts(fields),
        }
    }

    fn architecture(&self, fields: &mut Fields) -> f64 {
        weighted(
            fields,
            &[
                (
                    0.35,
                    "learning_scaling_dynamics",
                    self.learning_scaling_dynamics,
                ),
                (
                    0.20,
                    "standardized_lm_quality",
                    self.standardized_lm_quality,
                ),
                (0.15, "compute_efficiency", self.compute_efficiency),
                (0.10, "parameter_efficiency", self.parameter_efficiency),
                (0.10, "diagnostics_health", self.diagnostics_health),
                (0.05, "robustness_stability", self.robustness_stability),
                (0.05, "benchmark_sanity", self.benchmark_sanity),
            ],
        )
    }

    fn recipe(&self, fields: &mut Fields) -> f64 {
        let stability = 0.5 * self.learning_scaling_dynamics + 0.5 * self.robustness_stability;
        weighted(
            fields,
            &[
                (
                    0.30,
                    "architecture_normalized_heldout_improvement",
                    self.heldout_improvement,
                ),
                (0.25, "learning_stability_dynamics", stability),
                (0.15, "benchmark_sanity", self.benchmark_sanity),
                (0.10, "compute_efficiency", self.compute_efficiency),
                (
                    0.10,
                    "reproducibility_stability",
                    self.reproducibility_stability,
                ),
                (
                    0.05,
                    "robustness_failure_behavior",
                    self.robustness_failure_behavior,
                ),
                (0.05, "artifact_completeness", self.artifact_completeness),
            ],
        )
    }
}

fn weighted(fields: &mut Fields, components: &[(f64, &str, f64)]) -> f64 {
    components.iter().fold(0.0, |sum, (weight, name, value)| {
        sum + weight * fields.clamp(name, *value)
    })
}

/// Mean of the diagnostics that apply, those with a warning at half their value, and how many warn.
fn diagnostics(fields: &mut Fields) -> (f64, u32) {
    let (mut sum, mut applicable, mut warnings) = (0.0, 0_u32, 0_u32);
    for name in DIAGNOSTICS {
        let place = format!("/metrics/diagnostics/{name}");
        let status = fields.text(&format!("{place}/status"));
        let factor = match status.as_str() {
            "ok" => 1.0,
            "warning" => 0.5,
            "not_applicable" => continue,
            other => {
                fields.require(false, || {
                    format!("metrics.diagnostics.{name}.status: {other}, expected ok, warning or not_applicable")
                });
                continue;
            }
        };
        let aggregate = fields.number(&format!("{place}/aggregate"));
        sum += fields.clamp(name, aggregate) * factor;
        applicable += 1;
        warnings += u32::from(status == "warning");
    }
    let mean = if applicable == 0 {
        0.0
    } else {
        sum / f64::from(applicable)
    };
    (mean, warnings)
}

/// Share of the steps of the loss curve (by tokens) that do not rise; none for fewer than two points.
fn falling_share(fields: &mut Fields) -> Option<f64> {
    let mut points = fields.points("/metrics/loss_vs_tokens");
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let steps = points.len().checked_sub(1).filter(|steps| *steps > 0)?;
    let falling = points
        .windows(2)
        .filter(|pair| pair[1].1 <= pair[0].1)
        .count();
    Some(falling as f64 / steps as f64)
}

fn benchmarks(fields: &mut Fields) -> f64 {
    let scores = fields.numbers("/metrics/benchmark_scores");
    BENCHMARKS.iter().fold(0.0, |sum, (name, weight)| {
        let score = scores.iter().find(|(key, _)| key == name);
        sum + weight * score.map_or(0.0, |(_, score)| *score)
    })
}

/// Mean magnitude of the benchmarks' standard errors; 0 when nothing was measured.
fn mean_stderr(fields: &mut Fields) -> f64 {
    let errors = fields.numbers("/metrics/benchmark_noise_metadata/stderr_by_benchmark");
    if errors.is_empty() {
        return 0.0;
    }
    errors.iter().map(|(_, error)| error.abs()).sum::<f64>() / errors.len() as f64
}

/// Share of the four artifacts that have a path.
fn artifacts(fields: &mut Fields) -> f64 {
    let named = [
        "architecture_graph",
        "architecture_metadata",
        "run_log",
        "metrics",
    ]
    .into_iter()
    .filter(|artifact| fields.is_text(&format!("/artifacts/{artifact}/path")))
    .count();
    named as f64 / 4.0
}

/// `/metrics/loss` as people write it.
fn name(path: &str) -> String {
    super::v1_fields::dotted(path)
}

#[cfg(test)]
#[path = "v1_tests.rs"]
mod tests;
