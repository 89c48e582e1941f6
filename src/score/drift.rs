//! Drift: what a manifest recorded of its score against what its score comes out as now, field by field.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::v2::ScoreV2;
use super::v3::ScoreV3;

/// Difference up to which a recorded number counts as reproduced, relative to numbers above 1: the width of a
/// leaderboard bucket, so that smaller drift changes no rank.
pub const DEFAULT_TOLERANCE: f64 = super::constants::LEADERBOARD_BUCKET;

/// One field of the recorded score that is not reproduced.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct FieldDrift {
    pub field: String,
    pub recorded: Value,
    pub recomputed: Value,
}

/// The fields of `recorded` that differ from `recomputed` by more than `tolerance`: numbers by
/// `|a - b| > tolerance x max(1, |a|)`, everything else by being unequal. Fields that only one side has are not compared,
/// except that null counts as a value.
pub fn field_drifts(
    recorded: &Map<String, Value>,
    recomputed: &[(&str, Value)],
    tolerance: f64,
) -> Vec<FieldDrift> {
    recomputed
        .iter()
        .filter_map(|(field, now)| {
            let before = recorded.get(*field)?;
            (!agrees(before, now, tolerance)).then(|| FieldDrift {
                field: (*field).to_owned(),
                recorded: before.clone(),
                recomputed: now.clone(),
            })
        })
        .collect()
}

fn agrees(recorded: &Value, recomputed: &Value, tolerance: f64) -> bool {
    match (recorded, recomputed) {
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= tolerance * a.abs().max(1.0),
            _ => a == b,
        },
        (a, b) => a == b,
    }
}

/// The fields of a v2 score, under the names of the historical `score` block.
pub fn v2_fields(score: &ScoreV2) -> Vec<(&'static str, Value)> {
    vec![
        ("final_score", json!(score.final_score)),
        ("prequential_bpb", json!(score.prequential_bpb)),
        ("bits_per_byte", json!(score.prequential_bpb)),
        ("sum_neg_log2_likelihood_bits", json!(score.stream_bits)),
        ("cumulative_codelength_bits", json!(score.stream_bits)),
        ("covered_bytes", json!(score.covered_bytes)),
        ("total_bytes_covered", json!(score.covered_bytes)),
        ("anti_cheat_multiplier", json!(score.anti_cheat_multiplier)),
        ("anomaly", json!(score.anti_cheat_multiplier == 0.0)),
        ("flags", json!(score.flags)),
        ("heldout_delta", json!(score.heldout_delta)),
        ("held_out_delta", json!(score.heldout_delta)),
        ("val_bpb_trained", json!(score.val_bpb_trained)),
        ("val_bpb_random_init", json!(score.val_bpb_random_init)),
        ("train_bpb_converged", json!(score.train_bpb_converged)),
        ("train_heldout_gap", json!(score.train_heldout_gap)),
        ("memorization_flag", json!(score.memorization_flag)),
        ("memorization_penalty", json!(score.memorization_penalty)),
    ]
}

/// The fields of a v3 score, as its `score` block has them.
pub fn v3_fields(score: &ScoreV3) -> Vec<(&'static str, Value)> {
    vec![
        ("final_score", json!(score.final_score)),
        ("prequential_bpb", json!(score.prequential_bpb)),
        ("two_part_bpb", json!(score.two_part_bpb)),
        ("stream_nats", json!(score.stream_nats)),
        ("stream_bits", json!(score.stream_bits)),
        ("code_bits", json!(score.code_bits)),
        ("covered_bytes", json!(score.covered_bytes)),
        ("charged_tokens", json!(score.charged_tokens)),
        ("base", json!(score.base)),
        ("tie_break", json!(score.tie_break)),
        ("anti_cheat_multiplier", json!(score.anti_cheat_multiplier)),
        ("step0_anomaly", json!(score.step0_anomaly)),
        ("flags", json!(score.flags)),
        ("heldout_delta", json!(score.heldout_delta)),
        ("heldout_delta_raw", json!(score.heldout_delta_raw)),
        ("val_bpb_trained", json!(score.val_bpb_trained)),
        ("val_bpb_random_init", json!(score.val_bpb_random_init)),
        ("train_bpb_converged", json!(score.train_bpb_converged)),
        ("train_heldout_gap", json!(score.train_heldout_gap)),
        ("memorization_flag", json!(score.memorization_flag)),
        ("memorization_penalty", json!(score.memorization_penalty)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_beyond_the_tolerance_are_drift() {
        let recorded =
            json!({"a": 2.0, "b": 2000.0, "c": true, "d": null, "e": ["x"], "f": "2", "g": 1});
        let now = [
            ("a", json!(2.0 + 3e-9)),
            ("b", json!(2000.0 + 1.9e-6)),
            ("c", json!(true)),
            ("d", json!(0.5)),
            ("e", json!([])),
            ("f", json!(2)),
            ("h", json!(1)),
        ];
        let fields = |tolerance| {
            field_drifts(recorded.as_object().unwrap(), &now, tolerance)
                .into_iter()
                .map(|drift| drift.field)
                .collect::<Vec<_>>()
        };
        assert_eq!(fields(1e-9), ["a", "d", "e", "f"]);
        assert_eq!(fields(2e-9), ["d", "e", "f"]);
        assert_eq!(fields(0.0), ["a", "b", "d", "e", "f"]);
    }
}
