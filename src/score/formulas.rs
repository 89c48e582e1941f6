//! The shapes that both scoring versions share: units, the base score and the bounded tie-break.

use super::constants::{
    BITS_PER_NAT, HELDOUT_TIE_BREAK_BAND_BPB, HELDOUT_TIE_BREAK_WEIGHT, Q32_ONE,
};

/// Nats of a fixed-point sum, rounded once.
pub fn nats_from_q32(nats_q32: i128) -> f64 {
    nats_q32 as f64 / Q32_ONE as f64
}

/// Bits of a code length in nats.
pub fn bits_from_nats(nats: f64) -> f64 {
    nats * BITS_PER_NAT
}

/// Bits per byte of a fixed-point code length; none when no bytes are covered.
pub fn bits_per_byte(nats_q32: i128, bytes: u64) -> Option<f64> {
    (bytes > 0).then(|| bits_from_nats(nats_from_q32(nats_q32)) / bytes as f64)
}

/// `1 / (1 + max(0, bpb))`: 1 for a run that needs no bits, falling with the bits per byte.
pub fn base_score(bpb: f64) -> f64 {
    1.0 / (1.0 + bpb.max(0.0))
}

/// What the held-out delta adds to the score (may be negative): at most half of what a band of 5e-3 bits per byte is
/// worth at `bpb`, so that it never reorders runs further apart than that. Zero when there is no delta.
pub fn tie_break(bpb: f64, heldout_delta: Option<f64>, penalty: f64) -> f64 {
    let Some(delta) = heldout_delta else {
        return 0.0;
    };
    let resolution = base_score(bpb) - base_score(bpb + HELDOUT_TIE_BREAK_BAND_BPB);
    let cap = (HELDOUT_TIE_BREAK_WEIGHT * penalty).min(0.5 * penalty * resolution.max(0.0));
    cap * delta.tanh()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_point_converts_exactly() {
        assert_eq!(nats_from_q32(Q32_ONE as i128), 1.0);
        assert_eq!(nats_from_q32(-(Q32_ONE as i128) / 2), -0.5);
        assert_eq!(bits_per_byte(Q32_ONE as i128, 0), None);
        assert_eq!(bits_per_byte(Q32_ONE as i128, 1), Some(BITS_PER_NAT));
    }

    #[test]
    fn base_score_is_one_at_and_below_zero() {
        assert_eq!(base_score(0.0), 1.0);
        assert_eq!(base_score(-3.0), 1.0);
        assert_eq!(base_score(1.0), 0.5);
    }

    /// Caps measured on the historical scorer: 1e-3 below 0.58 bpb, 6.2e-4 at 1, 2.8e-4 at 2, 1.0e-4 at 4.
    #[test]
    fn tie_break_cap_follows_the_resolution() {
        for (bpb, cap, tolerance) in [
            (0.3, 1e-3, 1e-15),
            (1.0, 6.2e-4, 1e-5),
            (2.0, 2.8e-4, 1e-5),
            (4.0, 1.0e-4, 1e-6),
        ] {
            let reached = tie_break(bpb, Some(1e9), 1.0);
            assert!((reached - cap).abs() < tolerance, "{bpb}: {reached}");
            assert_eq!(tie_break(bpb, Some(-1e9), 1.0), -reached);
            assert_eq!(tie_break(bpb, Some(1e9), 0.5), reached * 0.5);
        }
        assert_eq!(tie_break(1.0, None, 1.0), 0.0);
        assert_eq!(tie_break(1.0, Some(0.0), 1.0), 0.0);
    }
}
