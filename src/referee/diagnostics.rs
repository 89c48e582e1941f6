//! The seven diagnostics of the first contract, from the scored logits: what a model says, at the one layer that leaves
//! the sandbox. Nothing that the inside reports of itself is in them.
//!
//! Names, measures and thresholds are those of the contract; `logits` is the layer. The gradient is that of the loss
//! with respect to the logits, softmax minus one-hot, each position a sample. Attention weights do not leave the sandbox.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

const LAYER: &str = "logits";
/// Positions that are looked at, the first of the batch; a bound of the time that this takes.
const MAX_POSITIONS: usize = 128;
/// Rows of which every pair is compared.
const MAX_COMPARED: usize = 48;
const TINY: f64 = 1e-6;
const NO_ATTENTION: &str =
    "attention weights do not leave the sandbox, and what it says of itself is not believed";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiagnosticStatus {
    Ok,
    Warning,
    NotApplicable,
}

/// One diagnostic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diagnostic {
    pub status: DiagnosticStatus,
    /// Mean over the layers; none where it does not apply.
    pub aggregate: Option<f64>,
    pub per_layer: BTreeMap<String, f64>,
    pub warnings: Vec<String>,
    pub not_applicable_reason: Option<String>,
}

/// All of them by name.
pub type Diagnostics = BTreeMap<String, Diagnostic>;

/// Diagnostics that cannot be made, for one reason.
pub fn not_measured(reason: &str) -> Diagnostics {
    NAMES
        .iter()
        .map(|name| ((*name).to_owned(), not_applicable(reason)))
        .collect()
}

const NAMES: [&str; 7] = [
    "activation_entropy",
    "useful_sparsity",
    "attention_diversity",
    "representation_collapse",
    "gradient_noise_scale",
    "activation_norm_stability",
    "neuron_specialization",
];

/// Measures logits [positions, vocabulary] and their targets.
pub fn of_logits(logits: &[f32], vocab_size: usize, targets: &[u32]) -> Diagnostics {
    let rows: Vec<&[f32]> = logits
        .chunks_exact(vocab_size.max(1))
        .take(MAX_POSITIONS)
        .collect();
    if rows.len() < 2 {
        return not_measured("fewer than two positions were predicted");
    }
    if rows
        .iter()
        .any(|row| row.iter().any(|value| !value.is_finite()))
    {
        return not_measured("the logits are not finite");
    }
    let (stability, ratio) = norm_stability(&rows);
    let measured = [
        ("activation_entropy", entropy(&rows), Limit::AtLeast(0.05)),
        ("useful_sparsity", sparsity(&rows), Limit::AtMost(0.98)),
        (
            "representation_collapse",
            collapse(&rows),
            Limit::AtMost(0.95),
        ),
        (
            "gradient_noise_scale",
            gradient_noise(&rows, targets),
            Limit::AtMost(10.0),
        ),
        ("activation_norm_stability", stability, Limit::AtLeast(0.5)),
        (
            "neuron_specialization",
            specialization(&rows),
            Limit::Above(0.01),
        ),
    ];
    let mut all: Diagnostics = measured
        .into_iter()
        .map(|(name, value, limit)| (name.to_owned(), judged(value, limit)))
        .collect();
    if ratio > 3.0
        && let Some(stability) = all.get_mut("activation_norm_stability")
    {
        stability.status = DiagnosticStatus::Warning;
        stability.warnings.push(format!(
            "{LAYER}: the largest norm is {ratio:.3} times the smallest, expected at most 3"
        ));
    }
    all.insert(
        "attention_diversity".to_owned(),
        not_applicable(NO_ATTENTION),
    );
    all
}

enum Limit {
    AtLeast(f64),
    AtMost(f64),
    Above(f64),
}

fn judged(value: f64, limit: Limit) -> Diagnostic {
    let (holds, expected) = match limit {
        Limit::AtLeast(bound) => (value >= bound, format!("at least {bound}")),
        Limit::AtMost(bound) => (value <= bound, format!("at most {bound}")),
        Limit::Above(bound) => (value > bound, format!("above {bound}")),
    };
    Diagnostic {
        status: if holds {
            DiagnosticStatus::Ok
        } else {
            DiagnosticStatus::Warning
        },
        aggregate: Some(value),
        per_layer: BTreeMap::from([(LAYER.to_owned(), value)]),
        warnings: if holds {
            Vec::new()
        } else {
            vec![format!("{LAYER}: got {value:.6}, expected {expected}")]
        },
        not_applicable_reason: None,
    }
}

fn not_applicable(reason: &str) -> Diagnostic {
    Diagnostic {
        status: DiagnosticStatus::NotApplicable,
        aggregate: None,
        per_layer: BTreeMap::new(),
        warnings: Vec::new(),
        not_applicable_reason: Some(reason.to_owned()),
    }
}

/// Entropy of the share of each value in the sum of magnitudes, over ln n: 0 where one value has all, 1 where all are even.
fn entropy(rows: &[&[f32]]) -> f64 {
    let values = || {
        rows.iter()
            .flat_map(|row| row.iter())
            .map(|value| f64::from(value.abs()))
    };
    let (sum, count) = values().fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if sum <= 0.0 || count < 2.0 {
        return 0.0;
    }
    let entropy: f64 = values()
        .map(|value| value / sum)
        .filter(|share| *share > 0.0)
        .map(|share| -share * share.ln())
        .sum();
    entropy / f64::ln(count)
}

fn sparsity(rows: &[&[f32]]) -> f64 {
    let (small, count) =
        rows.iter()
            .flat_map(|row| row.iter())
            .fold((0.0, 0.0), |(small, count), value| {
                let is_small = f64::from(value.abs()) <= TINY;
                (small + f64::from(u8::from(is_small)), count + 1.0)
            });
    small / count
}

/// Mean magnitude of the cosine between two rows.
fn collapse(rows: &[&[f32]]) -> f64 {
    let rows = &rows[..rows.len().min(MAX_COMPARED)];
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    let norms: Vec<f64> = rows.iter().map(|row| dot(row, row).sqrt()).collect();
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows.iter().enumerate().skip(i + 1) {
            let product = norms[i] * norms[j];
            // a row of zeros is like any other
            sum += if product > 0.0 {
                (dot(a, b) / product).abs()
            } else {
                1.0
            };
            pairs += 1.0;
        }
    }
    sum / pairs
}

/// Mean squared residual of the samples' gradients, over the mean square of their mean.
fn gradient_noise(rows: &[&[f32]], targets: &[u32]) -> f64 {
    let width = rows[0].len();
    let mut sum = vec![0.0; width];
    let mut squares = 0.0;
    for (row, target) in rows.iter().zip(targets) {
        let highest = row
            .iter()
            .fold(f32::NEG_INFINITY, |highest, value| highest.max(*value));
        let weights: Vec<f64> = row
            .iter()
            .map(|value| f64::from(value - highest).exp())
            .collect();
        let total: f64 = weights.iter().sum();
        for (index, weight) in weights.iter().enumerate() {
            let hit = f64::from(u8::from(index == *target as usize));
            let gradient = weight / total - hit;
            sum[index] += gradient;
            squares += gradient * gradient;
        }
    }
    let samples = rows.len().min(targets.len()) as f64;
    let mean_square: f64 =
        sum.iter().map(|sum| (sum / samples).powi(2)).sum::<f64>() / width as f64;
    // mean of (g - m)^2 = mean of g^2 - m^2
    let residual = (squares / (samples * width as f64) - mean_square).max(0.0);
    residual / (mean_square + 1e-12)
}

/// 1 / (1 + spread over mean) of the rows' norms, and the largest norm over the smallest.
fn norm_stability(rows: &[&[f32]]) -> (f64, f64) {
    let norms: Vec<f64> = rows
        .iter()
        .map(|row| {
            row.iter()
                .map(|value| f64::from(*value).powi(2))
                .sum::<f64>()
                .sqrt()
        })
        .collect();
    let ratio = spread_over_mean(&norms);
    let (low, high) = norms
        .iter()
        .fold((f64::INFINITY, 0.0_f64), |(low, high), norm| {
            (low.min(*norm), high.max(*norm))
        });
    (1.0 / (1.0 + ratio), high / low.max(1e-12))
}

/// Spread over mean of the channels' mean magnitudes.
fn specialization(rows: &[&[f32]]) -> f64 {
    let mut channels = vec![0.0; rows[0].len()];
    for row in rows {
        for (channel, value) in channels.iter_mut().zip(row.iter()) {
            *channel += f64::from(value.abs());
        }
    }
    spread_over_mean(&channels)
}

fn spread_over_mean(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / count;
    variance.sqrt() / mean.max(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(all: &Diagnostics, name: &str) -> f64 {
        all[name].aggregate.unwrap()
    }

    #[test]
    fn figures_are_those_of_their_definitions() {
        // two positions, four ids
        let logits = [1.0, 1.0, 1.0, 1.0, 2.0, 0.0, 0.0, 2.0];
        let all = of_logits(&logits, 4, &[0, 3]);
        let mut names = NAMES.to_vec();
        names.sort_unstable();
        assert_eq!(all.keys().map(String::as_str).collect::<Vec<_>>(), names);
        let close = |name: &str, expected: f64| {
            let got = value(&all, name);
            assert!(
                (got - expected).abs() < 1e-9,
                "{name}: {got}, expected {expected}"
            );
        };
        close("useful_sparsity", 0.25);
        // shares: four of 1/8, two of 1/4
        let entropy = 0.5 * 8f64.ln() + 0.5 * 4f64.ln();
        close("activation_entropy", entropy / 8f64.ln());
        // (1,1,1,1) and (2,0,0,2)
        close("representation_collapse", 4.0 / (2.0 * 8f64.sqrt()));
        let (a, b) = (2.0, 8f64.sqrt());
        let mean = (a + b) / 2.0;
        close(
            "activation_norm_stability",
            1.0 / (1.0 + (b - a) / 2.0 / mean),
        );
        // channels 3, 1, 1, 3: mean 2, spread 1
        close("neuron_specialization", 0.5);
        let e = 2f64.exp();
        let (high, low) = (e / (2.0 * e + 2.0), 1.0 / (2.0 * e + 2.0));
        let g = [[-0.75, 0.25, 0.25, 0.25], [high, low, low, high - 1.0]];
        let means: Vec<f64> = (0..4).map(|i| (g[0][i] + g[1][i]) / 2.0).collect();
        let square = means.iter().map(|m| m * m).sum::<f64>() / 4.0;
        let residual = g
            .iter()
            .flat_map(|row| row.iter().zip(&means).map(|(g, m)| (g - m).powi(2)))
            .sum::<f64>()
            / 8.0;
        close("gradient_noise_scale", residual / (square + 1e-12));
        assert_eq!(
            all["attention_diversity"].status,
            DiagnosticStatus::NotApplicable
        );
        assert!(all["attention_diversity"].not_applicable_reason.is_some());
    }

    #[test]
    fn what_is_unhealthy_warns_and_what_is_not_finite_is_not_measured() {
        let flat = of_logits(&[1.0; 64], 8, &[0; 8]);
        for name in ["representation_collapse", "neuron_specialization"] {
            assert_eq!(flat[name].status, DiagnosticStatus::Warning, "{name}");
            assert_eq!(flat[name].warnings.len(), 1);
        }
        let zero = of_logits(&[0.0; 64], 8, &[0; 8]);
        assert_eq!(zero["useful_sparsity"].status, DiagnosticStatus::Warning);
        assert_eq!(zero["activation_entropy"].status, DiagnosticStatus::Warning);
        let grows = of_logits(&[1.0, 0.0, 9.0, 0.0], 2, &[0, 0]);
        assert_eq!(
            grows["activation_norm_stability"].status,
            DiagnosticStatus::Warning
        );
        for logits in [
            [f32::NEG_INFINITY, 1.0, 1.0, 1.0],
            [f32::NAN, 1.0, 1.0, 1.0],
        ] {
            let all = of_logits(&logits, 2, &[0, 1]);
            assert!(
                all.values()
                    .all(|one| one.status == DiagnosticStatus::NotApplicable)
            );
        }
        assert!(
            of_logits(&[], 2, &[])
                .values()
                .all(|one| one.aggregate.is_none())
        );
    }
}
