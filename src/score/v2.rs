//! `prism_score.v2`: the historical rules, over the JSON of a `prism_run_manifest.v2`.
//!
//! Reproduced branch by branch, in the historical order of operations, so that recorded scores come out to the last
//! bit. Where the historical scorer read a boolean or a text as a required number, this one refuses.

use serde_json::{Map, Value};

use super::constants::{BPB_SANE_MAX, MEMORIZATION_GAP_THRESHOLD_BPB, MEMORIZATION_PENALTY};
use super::formulas::{base_score, bits_from_nats, tie_break};

/// A score under `prism_score.v2`.
#[derive(serde::Serialize, Clone, Debug, PartialEq)]
pub struct ScoreV2 {
    pub prequential_bpb: f64,
    /// Code length of the stream, bits.
    pub stream_bits: f64,
    pub covered_bytes: u64,
    pub final_score: f64,
    /// Any of `bpb_out_of_band`, `step0_anomaly`, `nan_inf_detected`, `memorization_gap`, in this order.
    pub flags: Vec<&'static str>,
    pub anti_cheat_multiplier: f64,
    pub heldout_delta: Option<f64>,
    pub val_bpb_trained: Option<f64>,
    pub val_bpb_random_init: Option<f64>,
    pub train_bpb_converged: Option<f64>,
    pub train_heldout_gap: Option<f64>,
    pub gap_basis: Option<String>,
    pub memorization_flag: bool,
    pub memorization_penalty: f64,
    pub tie_break: f64,
}

type Block = Map<String, Value>;

/// Scores a manifest.
///
/// # Errors
/// All reasons why there is no score: no metrics, nothing covered, no online losses, a code length that is missing, not
/// a number, not finite or not positive.
pub fn score(manifest: &Value) -> Result<ScoreV2, Vec<String>> {
    let Some(metrics) = manifest.get("metrics").and_then(Value::as_object) else {
        return Err(vec!["metrics: missing, expected an object".to_owned()]);
    };
    let mut reasons = Vec::new();
    let covered_bytes = collect(covered_bytes(manifest, metrics), &mut reasons);
    let nats = collect(required_nats(metrics), &mut reasons);
    if metrics
        .get("online_loss")
        .and_then(Value::as_array)
        .is_none_or(Vec::is_empty)
    {
        reasons.push("metrics.online_loss: expected a list of at least one loss".to_owned());
    }
    let (Some(covered_bytes), Some(nats), true) = (covered_bytes, nats, reasons.is_empty()) else {
        return Err(reasons);
    };
    let stream_bits = bits_from_nats(nats);
    let bpb = stream_bits / covered_bytes as f64;
    if !bpb.is_finite() || bpb <= 0.0 {
        return Err(vec![format!(
            "bits per byte are {bpb}, expected a finite number above 0"
        )]);
    }

    let empty = Block::new();
    let anti_cheat = manifest
        .get("anti_cheat")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let recorded = manifest
        .get("score")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let step0_anomaly = is_set(anti_cheat, "step0_anomaly");
    let heldout = Heldout::read(metrics, recorded, anti_cheat, bpb);

    let flags = [
        (bpb > BPB_SANE_MAX, "bpb_out_of_band"),
        (step0_anomaly, "step0_anomaly"),
        (is_set(anti_cheat, "nan_inf_detected"), "nan_inf_detected"),
        (heldout.memorization_flag, "memorization_gap"),
    ];
    let memorization_penalty = if heldout.memorization_flag {
        MEMORIZATION_PENALTY
    } else {
        1.0
    };
    let anti_cheat_multiplier = if step0_anomaly { 0.0 } else { 1.0 };
    let tie_break = tie_break(bpb, heldout.delta, memorization_penalty);
    Ok(ScoreV2 {
        prequential_bpb: bpb,
        stream_bits,
        covered_bytes,
        final_score: (base_score(bpb) * memorization_penalty + tie_break) * anti_cheat_multiplier,
        flags: flags
            .into_iter()
            .filter_map(|(raised, name)| raised.then_some(name))
            .collect(),
        anti_cheat_multiplier,
        heldout_delta: heldout.delta,
        val_bpb_trained: heldout.val_bpb_trained,
        val_bpb_random_init: heldout.val_bpb_random_init,
        train_bpb_converged: heldout.train_bpb_converged,
        train_heldout_gap: heldout.gap,
        gap_basis: heldout.gap_basis,
        memorization_flag: heldout.memorization_flag,
        memorization_penalty,
        tie_break,
    })
}

struct Heldout {
    delta: Option<f64>,
    val_bpb_trained: Option<f64>,
    val_bpb_random_init: Option<f64>,
    train_bpb_converged: Option<f64>,
    gap: Option<f64>,
    gap_basis: Option<String>,
    memorization_flag: bool,
}

impl Heldout {
    fn read(metrics: &Block, recorded: &Block, anti_cheat: &Block, bpb: f64) -> Self {
        let number = |keys: &[&str]| first_present([metrics, recorded], keys).and_then(finite);
        let text = |key| {
            first_present([metrics, recorded], &[key])
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let val_bpb_trained = number(&["val_bpb_trained"]);
        let train_bpb_converged = number(&["train_bpb_converged"]);
        let recorded_basis = text("gap_basis");
        let converged = recorded_basis == Some("converged") || train_bpb_converged.is_some();
        let comparable = converged
            || match (text("train_bpb_basis"), text("val_bpb_basis")) {
                (Some(train), Some(val)) => train == val,
                _ => true,
            };
        let gap = comparable
            .then(|| {
                number(&["train_heldout_gap", "train_val_gap"])
                    .or_else(|| val_bpb_trained.map(|val| val - train_bpb_converged.unwrap_or(bpb)))
            })
            .flatten();
        let explicit = [metrics, recorded, anti_cheat]
            .into_iter()
            .any(|block| is_set(block, "memorization_flag"));
        Self {
            delta: number(&["heldout_delta", "held_out_delta"]),
            val_bpb_trained,
            val_bpb_random_init: number(&["val_bpb_random_init"]),
            train_bpb_converged,
            gap,
            gap_basis: if converged {
                Some("converged")
            } else {
                recorded_basis
            }
            .map(str::to_owned),
            memorization_flag: comparable
                && (explicit || gap.is_some_and(|gap| gap > MEMORIZATION_GAP_THRESHOLD_BPB)),
        }
    }
}

fn collect<T>(result: Result<T, String>, reasons: &mut Vec<String>) -> Option<T> {
    result.map_err(|reason| reasons.push(reason)).ok()
}

/// The first value that is there and not null: all keys of the first block before those of the second. A value of the
/// wrong type counts as found, so that it hides later ones, as it did historically.
fn first_present<'a>(blocks: [&'a Block; 2], keys: &[&str]) -> Option<&'a Value> {
    blocks
        .into_iter()
        .flat_map(|block| keys.iter().filter_map(|key| block.get(*key)))
        .find(|value| !value.is_null())
}

fn finite(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.is_finite())
}

/// Covered bytes of metrics, else of data, truncated; what is no number does not count.
fn covered_bytes(manifest: &Value, metrics: &Block) -> Result<u64, String> {
    let data = manifest
        .get("data")
        .and_then(|data| data.get("covered_bytes"));
    let number = [metrics.get("covered_bytes"), data]
        .into_iter()
        .flatten()
        .find_map(Value::as_f64);
    let bytes = number
        .ok_or("metrics.covered_bytes and data.covered_bytes: missing, expected a number")?
        .trunc();
    // 2^53: whole numbers above it are not exact in f64, and no text is that long
    if !(1.0..=9_007_199_254_740_992.0).contains(&bytes) {
        return Err(format!("covered_bytes: {bytes}, expected 1 to 2^53"));
    }
    Ok(bytes as u64)
}

fn required_nats(metrics: &Block) -> Result<f64, String> {
    let value = metrics.get("sum_neg_log_likelihood_nats");
    value.and_then(finite).ok_or_else(|| {
        let got = value.map_or("missing".to_owned(), Value::to_string);
        format!(
            "metrics.sum_neg_log_likelihood_nats: {}, expected a finite number",
            shortened(&got)
        )
    })
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Whether a flag is raised: anything but absent, null, false, zero and empty.
fn is_set(block: &Block, key: &str) -> bool {
    match block.get(key) {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
    }
}

#[cfg(test)]
#[path = "v2_tests.rs"]
mod tests;
