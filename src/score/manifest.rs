//! The blocks of a run manifest that come from the streams, under the field names of `prism_run_manifest.v2`.
//!
//! The historical fields are filled so that `prism_score.v2` can be computed from them too: the same stream, its bytes
//! and its bits. What v3 adds stands beside them.

use serde_json::{Value, json};

use super::measurement::{MeasurementBlock, RecordedMeasurement};
use super::stream_digests::StreamDigests;
use super::stream_rows::OnlineRow;
use super::totals::RunTotals;
use super::v3::ScoreV3;

/// The blocks `metrics`, `anti_cheat`, `score` and `measurement` of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct ManifestBlocks {
    pub metrics: Value,
    pub anti_cheat: Value,
    pub score: Value,
    pub measurement: Value,
}

/// What the stream contributes to the `data` block.
#[derive(Clone, Debug, PartialEq)]
pub struct DataCoverage {
    pub covered_bytes: u64,
    /// Bytes charged up to and including each predicted step, all ranks.
    pub covered_bytes_cumulative: Vec<f64>,
    pub consumed_batches: u64,
}

/// Makes the blocks. `rows` are those of the online stream that `totals` and `score` were computed from, `digests` those
/// of its files; `model_params` is the referee's count, if there is one.
pub fn manifest_blocks(
    totals: &RunTotals,
    rows: &[OnlineRow],
    score: &ScoreV3,
    measurement: &MeasurementBlock,
    digests: &StreamDigests,
    model_params: Option<u64>,
) -> ManifestBlocks {
    let steps = predicted_steps(rows);
    let nan_inf_batches = steps.iter().filter(|step| step.nonfinite > 0).count();
    ManifestBlocks {
        metrics: metrics(
            totals,
            &steps,
            score,
            measurement,
            nan_inf_batches,
            model_params,
        ),
        anti_cheat: json!({
            "step0_anomaly": score.step0_anomaly,
            "step0_anomaly_threshold_nats": score.step0_threshold_nats,
            "nan_inf_detected": nan_inf_batches > 0,
            "nan_inf_batches": nan_inf_batches,
            "no_learning": steps.is_empty(),
            "zero_forward": steps.is_empty(),
            "memorization_flag": score.memorization_flag,
            "memorization_gap": score.train_heldout_gap,
            "train_heldout_gap": score.train_heldout_gap,
        }),
        score: score_block(totals, score),
        measurement: json!(RecordedMeasurement {
            facts: measurement.clone(),
            streams: digests.clone()
        }),
    }
}

/// Coverage of the text, for the `data` block.
pub fn data_coverage(rows: &[OnlineRow]) -> DataCoverage {
    let steps = predicted_steps(rows);
    let mut so_far = 0_u64;
    let covered_bytes_cumulative = steps
        .iter()
        .map(|step| {
            so_far += step.bytes;
            so_far as f64
        })
        .collect();
    DataCoverage {
        covered_bytes: rows.iter().map(|row| row.bytes).sum(),
        covered_bytes_cumulative,
        consumed_batches: steps.len() as u64,
    }
}

/// One predicted step over all ranks.
struct Step {
    number: u32,
    tokens: u64,
    bytes: u64,
    nats_q32: i128,
    nonfinite: u64,
}

/// Rows ascend by step, then rank.
fn predicted_steps(rows: &[OnlineRow]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for row in rows.iter().filter(|row| !row.unpredicted) {
        if steps.last().is_none_or(|step| step.number != row.step) {
            steps.push(Step {
                number: row.step,
                tokens: 0,
                bytes: 0,
                nats_q32: 0,
                nonfinite: 0,
            });
        }
        if let Some(step) = steps.last_mut() {
            step.tokens += u64::from(row.tokens);
            step.bytes += row.bytes;
            step.nats_q32 += i128::from(row.nats_q32);
            step.nonfinite += u64::from(row.nonfinite);
        }
    }
    steps
}

fn metrics(
    totals: &RunTotals,
    steps: &[Step],
    score: &ScoreV3,
    measurement: &MeasurementBlock,
    nan_inf_batches: usize,
    model_params: Option<u64>,
) -> Value {
    let online_loss: Vec<f64> = steps
        .iter()
        .filter(|step| step.tokens > 0)
        .map(|step| super::formulas::nats_from_q32(step.nats_q32) / step.tokens as f64)
        .collect();
    let predicted_tokens = totals.charged.tokens - totals.unpredicted.tokens;
    let mut metrics = json!({
        "online_loss": online_loss,
        "step0_loss": score.step0_nats,
        "random_init_baseline_nats": f64::from(measurement.vocab_size).ln(),
        "consumed_batches": steps.len(),
        "covered_bytes": score.covered_bytes,
        "total_bytes_covered": score.covered_bytes,
        "predicted_tokens": predicted_tokens,
        "tokens_seen": predicted_tokens,
        "sum_neg_log_likelihood_nats": score.stream_nats,
        "sum_neg_log2_likelihood_bits": score.stream_bits,
        "cumulative_codelength_bits": score.stream_bits,
        "prequential_bpb": score.prequential_bpb,
        "bits_per_byte": score.prequential_bpb,
        "nan_inf_batches": nan_inf_batches,
        // every bit per byte here is over raw text bytes, whatever the tokenizer
        "train_bpb_basis": "bytes",
        "model_params": model_params,
        "memorization_flag": score.memorization_flag,
    });
    let heldout = [
        ("val_bpb_trained", json!(score.val_bpb_trained)),
        ("val_bpb_random_init", json!(score.val_bpb_random_init)),
        (
            "val_bpb_basis",
            json!(score.val_bpb_trained.map(|_| "bytes")),
        ),
        ("val_covered_bytes", json!(score.val_covered_bytes)),
        ("heldout_delta", json!(score.heldout_delta)),
        ("held_out_delta", json!(score.heldout_delta)),
        ("train_bpb_converged", json!(score.train_bpb_converged)),
        ("gap_basis", json!(score.gap_basis)),
        ("train_heldout_gap", json!(score.train_heldout_gap)),
        ("train_val_gap", json!(score.train_heldout_gap)),
    ];
    if let Some(fields) = metrics.as_object_mut() {
        fields.extend(present(heldout));
    }
    metrics
}

fn score_block(totals: &RunTotals, score: &ScoreV3) -> Value {
    let mut block = json!(score);
    let historical = [
        ("primary_metric", json!("two_part_bpb")),
        ("lower_is_better", json!(true)),
        ("bits_per_byte", json!(score.prequential_bpb)),
        ("total_bytes_covered", json!(score.covered_bytes)),
        ("sum_neg_log2_likelihood_bits", json!(score.stream_bits)),
        ("cumulative_codelength_bits", json!(score.stream_bits)),
        ("tokens_consumed", json!(totals.charged.tokens)),
        ("compute_normalization", json!("tokens_bytes")),
        ("wall_clock_term", json!(false)),
        ("anomaly", json!(score.step0_anomaly)),
        ("tie_breaker", json!("heldout_delta")),
        ("miner_reported_ignored", json!(true)),
        ("held_out_delta", json!(score.heldout_delta)),
    ];
    if let Some(fields) = block.as_object_mut() {
        fields.extend(historical.map(|(name, value)| (name.to_owned(), value)));
    }
    block
}

/// The fields that have a value; historical manifests leave out the others.
fn present<const N: usize>(fields: [(&str, Value); N]) -> impl Iterator<Item = (String, Value)> {
    fields
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .filter(|(_, value)| !value.is_null())
}

#[cfg(test)]
mod tests {
    use super::super::run_fixture::{measurement, online_rows, write_run};
    use super::super::{score_run, v2};
    use super::*;

    #[test]
    fn blocks_follow_the_rows() {
        let folder = tempfile::tempdir().unwrap();
        write_run(folder.path());
        let run = score_run("s", folder.path(), &measurement(), Some(7)).unwrap();
        let metrics = &run.blocks.metrics;
        let losses: Vec<f64> = metrics["online_loss"]
            .as_array()
            .unwrap()
            .iter()
            .map(|loss| loss.as_f64().unwrap())
            .collect();
        assert_eq!(losses.len(), 3);
        assert!((losses[0] - (500.0 + 1.0 / 3.0) / 201.0).abs() < 1e-9);
        assert_eq!(
            (
                &metrics["predicted_tokens"],
                &metrics["consumed_batches"],
                &metrics["nan_inf_batches"]
            ),
            (&json!(603), &json!(3), &json!(1))
        );
        assert_eq!(
            (&metrics["covered_bytes"], &metrics["model_params"]),
            (&json!(1426), &json!(7))
        );
        assert_eq!(run.blocks.score["tokens_consumed"], json!(703));
        assert_eq!(
            run.blocks.score["final_score"],
            json!(run.score.final_score)
        );
        assert_eq!(run.blocks.anti_cheat["nan_inf_detected"], json!(true));
        assert_eq!(run.coverage, data_coverage(&online_rows()));
        assert_eq!(
            (
                run.coverage.covered_bytes,
                &run.coverage.covered_bytes_cumulative[..]
            ),
            (1426, &[400.0, 802.0, 1206.0][..])
        );
    }

    #[test]
    fn the_blocks_have_a_historical_score_of_the_same_bits() {
        let folder = tempfile::tempdir().unwrap();
        write_run(folder.path());
        let run = score_run("s", folder.path(), &measurement(), None).unwrap();
        let historical =
            v2::score(&json!({"metrics": run.blocks.metrics, "anti_cheat": run.blocks.anti_cheat}))
                .unwrap();
        assert_eq!(
            historical.prequential_bpb.to_bits(),
            run.score.prequential_bpb.to_bits()
        );
        assert_eq!(historical.train_heldout_gap, run.score.train_heldout_gap);
    }

    #[test]
    fn a_run_without_heldout_leaves_the_fields_out() {
        let folder = tempfile::tempdir().unwrap();
        write_run(folder.path());
        std::fs::remove_file(folder.path().join("heldout.parquet")).unwrap();
        let run = score_run("s", folder.path(), &measurement(), None).unwrap();
        assert!(run.blocks.metrics.get("heldout_delta").is_none());
        assert_eq!(run.blocks.metrics["memorization_flag"], json!(false));
    }
}
