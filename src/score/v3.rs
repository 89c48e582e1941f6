//! `prism_score.v3`: the rules for runs that this project measured itself.
//!
//! The score is a two-part code length (Rissanen 1978): bits of the stream plus bits of the code that predicted it. The
//! held-out delta breaks near ties only; memorisation halves the score; a failed check of the referee, or a model that
//! knows the text before it has seen any, makes it zero.

use serde::{Deserialize, Serialize};

use super::constants::{
    CONSTANTS_V3, MEMORIZATION_GAP_THRESHOLD_BPB, MEMORIZATION_PENALTY, SCORE_V3,
    STEP0_ANOMALY_FRACTION, ScoreConstants,
};
use super::formulas::{base_score, bits_from_nats, nats_from_q32, tie_break};
use super::measurement::Check;
use super::totals::{RunTotals, StreamSum};

/// What the rules need to know beside the streams.
#[derive(Clone, Debug, PartialEq)]
pub struct RunFacts {
    /// Number of ids that logits are given for.
    pub vocab_size: u32,
    /// Code length of the submission's normalised source, bits.
    pub code_bits: u64,
    /// The referee's checks, passed or not.
    pub checks: Vec<Check>,
    /// Mean loss of the untrained twin on the first batch, nats per token. A run without it scores zero.
    pub step0_nats: Option<f64>,
    /// Mean raw bytes of text per token of that batch.
    pub bytes_per_token: f64,
    /// The run's time was over before its text was.
    pub out_of_time: bool,
}

/// Whether the tokens whose label is nowhere in the inputs cost more than the others, beyond what they cost a small
/// causal reference predictor. Means in nats per token.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct BlindGap {
    /// Mean loss of the blind tokens minus mean loss of the others, submission.
    pub model_nats: f64,
    /// The same difference for the reference predictor.
    pub reference_nats: f64,
    /// `model_nats - reference_nats`: zero in expectation for a causal model, positive for one that leaks.
    pub excess_nats: f64,
}

/// A score under `prism_score.v3`, with everything that led to it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ScoreV3 {
    pub schema: String,
    /// Stream bits over bytes.
    pub prequential_bpb: f64,
    /// (Stream bits + code bits) over bytes: what the score is made of.
    pub two_part_bpb: f64,
    pub stream_nats: f64,
    pub stream_bits: f64,
    pub code_bits: u64,
    pub covered_bytes: u64,
    pub charged_tokens: u64,
    pub base: f64,
    /// Baseline minus trained, bits per byte on val; the baseline is the better of twin and uniform predictor.
    pub heldout_delta: Option<f64>,
    /// Twin minus trained, whatever the twin is worth.
    pub heldout_delta_raw: Option<f64>,
    pub val_bpb_trained: Option<f64>,
    pub val_bpb_random_init: Option<f64>,
    pub val_bpb_uniform: Option<f64>,
    pub val_covered_bytes: Option<u64>,
    /// The trained weights on the last part of the train text that they saw.
    pub train_bpb_converged: Option<f64>,
    /// `val_bpb_trained - train_bpb_converged`.
    pub train_heldout_gap: Option<f64>,
    /// `converged` when there is a gap.
    pub gap_basis: Option<String>,
    pub memorization_flag: bool,
    pub memorization_penalty: f64,
    pub tie_break: f64,
    pub step0_nats: Option<f64>,
    /// 0.5 x min(ln V, 8 ln 2 x bytes per token): a loss below it is knowledge that came with the code.
    pub step0_threshold_nats: f64,
    pub step0_anomaly: bool,
    pub blind_gap: Option<BlindGap>,
    pub anti_cheat_multiplier: f64,
    /// Why the score is lower than its base, and what else a reader should know; sorted.
    pub flags: Vec<String>,
    pub final_score: f64,
    pub constants: ScoreConstants,
}

/// Scores a run.
///
/// # Errors
/// The reasons why there is no score: nothing covered, a code length that is not positive, held-out passes over
/// different text, facts that are no numbers. A degenerate run is never given a score.
pub fn score(totals: &RunTotals, facts: &RunFacts) -> Result<ScoreV3, Vec<String>> {
    let reasons = degenerate(totals, facts);
    if !reasons.is_empty() {
        return Err(reasons);
    }
    let covered_bytes = totals.charged.bytes;
    let stream_nats = totals.charged.nats();
    let stream_bits = bits_from_nats(stream_nats);
    let prequential_bpb = stream_bits / covered_bytes as f64;
    let two_part_bpb = (stream_bits + facts.code_bits as f64) / covered_bytes as f64;

    let heldout = heldout(totals, facts.vocab_size);
    let gap = heldout
        .trained
        .zip(heldout.train_tail)
        .map(|(val, train)| val - train);
    let memorization_flag = gap.is_some_and(|gap| gap > MEMORIZATION_GAP_THRESHOLD_BPB);
    let memorization_penalty = if memorization_flag {
        MEMORIZATION_PENALTY
    } else {
        1.0
    };

    let step0_threshold_nats = step0_threshold_nats(facts.vocab_size, facts.bytes_per_token);
    let step0_anomaly = facts
        .step0_nats
        .is_some_and(|nats| nats < step0_threshold_nats);

    let mut flags: Vec<String> = facts
        .checks
        .iter()
        .filter(|check| !check.passed)
        .map(|check| format!("failed:{}", check.name))
        .collect();
    let mut zero = !flags.is_empty();
    let mut flag = |raised: bool, name: &str, zeroes: bool| {
        if raised {
            flags.push(name.to_owned());
            zero |= zeroes;
        }
    };
    flag(step0_anomaly, "step0_anomaly", true);
    flag(facts.step0_nats.is_none(), "step0_not_measured", true);
    flag(totals.nonfinite_tokens > 0, "nan_inf_detected", false);
    let left = totals.unpredicted.tokens > 0;
    flag(left && !facts.out_of_time, "stopped_early", false);
    flag(left && facts.out_of_time, "wall_clock", false);
    flag(memorization_flag, "memorization_gap", false);
    flag(heldout.delta.is_none(), "heldout_not_measured", false);
    flags.sort();
    flags.dedup();

    let base = base_score(two_part_bpb);
    let tie_break = tie_break(two_part_bpb, heldout.delta, memorization_penalty);
    let anti_cheat_multiplier = if zero { 0.0 } else { 1.0 };
    Ok(ScoreV3 {
        schema: SCORE_V3.to_owned(),
        prequential_bpb,
        two_part_bpb,
        stream_nats,
        stream_bits,
        code_bits: facts.code_bits,
        covered_bytes,
        charged_tokens: totals.charged.tokens,
        base,
        heldout_delta: heldout.delta,
        heldout_delta_raw: heldout
            .twin
            .zip(heldout.trained)
            .map(|(twin, trained)| twin - trained),
        val_bpb_trained: heldout.trained,
        val_bpb_random_init: heldout.twin,
        val_bpb_uniform: heldout.uniform,
        val_covered_bytes: totals.trained.map(|sum| sum.bytes),
        train_bpb_converged: heldout.train_tail,
        train_heldout_gap: gap,
        gap_basis: gap.map(|_| "converged".to_owned()),
        memorization_flag,
        memorization_penalty,
        tie_break,
        step0_nats: facts.step0_nats,
        step0_threshold_nats,
        step0_anomaly,
        blind_gap: blind_gap(totals),
        anti_cheat_multiplier,
        flags,
        final_score: (base * memorization_penalty + tie_break) * anti_cheat_multiplier,
        constants: CONSTANTS_V3,
    })
}

/// Loss in nats per token below which an untrained model knows too much. The uniform predictor over ids costs ln V a
/// token and the one over bytes 8 ln 2 a byte; an order of letters alone stays above half of the smaller one.
pub fn step0_threshold_nats(vocab_size: u32, bytes_per_token: f64) -> f64 {
    let uniform_ids = f64::from(vocab_size).ln();
    let uniform_bytes = 8.0 * std::f64::consts::LN_2 * bytes_per_token;
    STEP0_ANOMALY_FRACTION * uniform_ids.min(uniform_bytes)
}

/// The blind-position figures; none when either kind of token is missing.
pub fn blind_gap(totals: &RunTotals) -> Option<BlindGap> {
    let predicted = totals
        .charged
        .tokens
        .checked_sub(totals.unpredicted.tokens)?;
    let others = predicted
        .checked_sub(totals.blind_tokens)
        .filter(|others| *others > 0)? as f64;
    let blind = Some(totals.blind_tokens).filter(|blind| *blind > 0)? as f64;
    let difference = |all: i128, blind_sum: i128| {
        nats_from_q32(blind_sum) / blind - nats_from_q32(all - blind_sum) / others
    };
    let model_nats = difference(
        totals.charged.nats_q32 - totals.unpredicted.nats_q32,
        totals.blind_nats_q32,
    );
    let reference_nats = difference(totals.ref_nats_q32, totals.ref_blind_nats_q32);
    Some(BlindGap {
        model_nats,
        reference_nats,
        excess_nats: model_nats - reference_nats,
    })
}

struct Heldout {
    trained: Option<f64>,
    twin: Option<f64>,
    uniform: Option<f64>,
    train_tail: Option<f64>,
    delta: Option<f64>,
}

fn heldout(totals: &RunTotals, vocab_size: u32) -> Heldout {
    let bpb = |sum: Option<StreamSum>| sum.and_then(|sum| sum.bits_per_byte());
    let (trained, twin) = (bpb(totals.trained), bpb(totals.twin));
    let uniform = totals.trained.map(|sum| {
        bits_from_nats(sum.tokens as f64 * f64::from(vocab_size).ln()) / sum.bytes as f64
    });
    let baseline = twin.zip(uniform).map(|(twin, uniform)| twin.min(uniform));
    Heldout {
        trained,
        twin,
        uniform,
        train_tail: bpb(totals.train_tail),
        delta: baseline.zip(trained).map(|(b, t)| b - t),
    }
}

/// Everything that makes a run unscorable.
fn degenerate(totals: &RunTotals, facts: &RunFacts) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut require = |holds: bool, reason: String| {
        if !holds {
            reasons.push(reason);
        }
    };
    let charged = totals.charged;
    require(totals.steps > 0, "no step was predicted".to_owned());
    require(charged.bytes > 0, "no bytes are covered".to_owned());
    require(
        charged.nats_q32 > 0,
        format!(
            "the stream's code length is {} nats, expected more than 0",
            charged.nats()
        ),
    );
    require(
        facts.vocab_size >= 2,
        format!("vocab_size is {}, expected at least 2", facts.vocab_size),
    );
    require(
        facts.bytes_per_token.is_finite() && facts.bytes_per_token > 0.0,
        format!(
            "bytes_per_token is {}, expected a positive number",
            facts.bytes_per_token
        ),
    );
    if let Some(nats) = facts.step0_nats {
        require(
            nats.is_finite(),
            format!("step0_nats is {nats}, expected a finite number"),
        );
    }
    for (role, sum) in [
        ("trained", totals.trained),
        ("twin", totals.twin),
        ("train_tail", totals.train_tail),
    ] {
        if let Some(sum) = sum {
            require(
                sum.bytes > 0 && sum.nats_q32 > 0,
                format!(
                    "the held-out pass {role} has {} bytes and {} nats, expected more than 0",
                    sum.bytes,
                    sum.nats()
                ),
            );
        }
    }
    if let (Some(trained), Some(twin)) = (totals.trained, totals.twin) {
        require(
            (trained.tokens, trained.bytes) == (twin.tokens, twin.bytes),
            format!(
                "trained covers {} tokens and {} bytes of val, twin {} and {}: expected the same text",
                trained.tokens, trained.bytes, twin.tokens, twin.bytes
            ),
        );
    }
    reasons
}

#[cfg(test)]
#[path = "v3_tests.rs"]
mod tests;
