//! Every number that the scoring rules contain, once, with its unit and where it comes from.
//!
//! A manifest that was scored carries the block [`ScoreConstants`], so that a later change of rules never makes it unreadable.

use serde::{Deserialize, Serialize};

/// Bits per nat, 1 / ln 2. The historical scorer multiplies by this quotient and does not divide by ln 2; the two may
/// differ in the last bit, so every version here multiplies.
pub const BITS_PER_NAT: f64 = 1.0 / std::f64::consts::LN_2;

/// One nat in the fixed point of the streams (2^32 units a nat).
pub const Q32_ONE: i64 = 1 << 32;

/// Bits per byte above which a v2 score is flagged `bpb_out_of_band`, and kept. Source: prism_score.v2.
pub const BPB_SANE_MAX: f64 = 64.0;

/// Largest share of the final score that the held-out delta may add. Source: prism_score.v2.
pub const HELDOUT_TIE_BREAK_WEIGHT: f64 = 1e-3;

/// Width in bits per byte of the band inside which the held-out delta may reorder runs. Source: prism_score.v2.
pub const HELDOUT_TIE_BREAK_BAND_BPB: f64 = 5e-3;

/// Gap between held-out and train bits per byte above which a run counts as memorised (strict). Source: prism_score.v2.
pub const MEMORIZATION_GAP_THRESHOLD_BPB: f64 = 1.0;

/// Factor on the base score of a memorised run. Source: prism_score.v2.
pub const MEMORIZATION_PENALTY: f64 = 0.5;

/// Step-0 anomaly: first loss below this share of the uniform loss. Source: prism_score.v2; v3 changes the uniform loss only.
pub const STEP0_ANOMALY_FRACTION: f64 = 0.5;

/// Width of a leaderboard bucket: scores in one bucket count as equal. Source: prism_score.v2.
pub const LEADERBOARD_BUCKET: f64 = 1e-9;

/// Name of the first historical rules.
pub const SCORE_V1: &str = "prism_score.v1";

/// Name of the second historical rules.
pub const SCORE_V2: &str = "prism_score.v2";

/// Name of this project's rules.
pub const SCORE_V3: &str = "prism_score.v3";

/// The constants that a `prism_score.v3` used, as written into its manifest.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ScoreConstants {
    pub bits_per_nat: f64,
    pub heldout_tie_break_weight: f64,
    pub heldout_tie_break_band_bpb: f64,
    pub memorization_gap_threshold_bpb: f64,
    pub memorization_penalty: f64,
    pub step0_anomaly_fraction: f64,
}

/// The constants of this build.
pub const CONSTANTS_V3: ScoreConstants = ScoreConstants {
    bits_per_nat: BITS_PER_NAT,
    heldout_tie_break_weight: HELDOUT_TIE_BREAK_WEIGHT,
    heldout_tie_break_band_bpb: HELDOUT_TIE_BREAK_BAND_BPB,
    memorization_gap_threshold_bpb: MEMORIZATION_GAP_THRESHOLD_BPB,
    memorization_penalty: MEMORIZATION_PENALTY,
    step0_anomaly_fraction: STEP0_ANOMALY_FRACTION,
};
