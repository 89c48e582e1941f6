//! The loss: the only place where predictions become numbers that score.

use crate::score::stream_rows::nats_to_q32;

/// Nats charged for a token whose row of logits gives no finite log-probability: twice the uniform loss.
pub const WORST_CASE_FACTOR: f64 = 2.0;
/// No token is charged more: finite but absurd logits must not overflow a step's sum.
pub const MAX_TOKEN_NATS: f64 = 8_192.0;

/// No row of a stream is charged more: the largest sum its fixed point holds, less one nat.
const MAX_ROW_NATS: f64 = 2_147_483_647.0;

/// A row's loss in the fixed-point unit of the streams. Absurd logits for a whole batch cost the most that a row can say,
/// about 1,000 nats a token for the largest batch.
pub fn row_q32(nats: f64) -> Result<i64, String> {
    // Not `min`, which would make a number of a NaN.
    let nats = if nats > MAX_ROW_NATS {
        MAX_ROW_NATS
    } else {
        nats
    };
    nats_to_q32(nats).map_err(|error| error.to_string())
}

/// Computes −ln p(target) from logits, in f64, one row at a time.
pub trait Loss {
    /// `logits` is row-major [targets.len(), vocab_size]; `nats` gets one loss per target. A row without a finite
    /// log-probability for its target may give any non-finite value: [`charge`] deals with it.
    fn token_nats(
        &mut self,
        logits: &[f32],
        vocab_size: usize,
        targets: &[u32],
        nats: &mut Vec<f64>,
    ) -> Result<(), String>;
}

/// Charged losses of some tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Charge {
    pub nats: f64,
    pub tokens: u32,
    /// Tokens charged the worst case for want of a finite log-probability.
    pub nonfinite: u32,
}

impl Charge {
    /// Adds one token's loss.
    pub fn add(&mut self, token_nats: f64, vocab_size: usize) {
        let (nats, finite) = charge(token_nats, vocab_size);
        self.nats += nats;
        self.tokens += 1;
        self.nonfinite += u32::from(!finite);
    }
}

/// What a token costs, and whether its loss was finite.
pub fn charge(token_nats: f64, vocab_size: usize) -> (f64, bool) {
    if token_nats.is_finite() {
        // A loss is never negative; rounding can make it −1e-17.
        (token_nats.clamp(0.0, MAX_TOKEN_NATS), true)
    } else {
        (WORST_CASE_FACTOR * uniform_nats(vocab_size), false)
    }
}

/// ln V: what a token costs without any prediction.
pub fn uniform_nats(vocab_size: usize) -> f64 {
    (vocab_size as f64).ln()
}

/// The same loss in plain Rust: the control that the libtorch one is tested against.
#[cfg(test)]
pub struct PlainLoss;

#[cfg(test)]
impl Loss for PlainLoss {
    fn token_nats(
        &mut self,
        logits: &[f32],
        vocab_size: usize,
        targets: &[u32],
        nats: &mut Vec<f64>,
    ) -> Result<(), String> {
        nats.clear();
        for (row, &target) in logits.chunks_exact(vocab_size).zip(targets) {
            let largest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let sum: f64 = row
                .iter()
                .map(|&logit| (f64::from(logit) - largest).exp())
                .sum();
            nats.push(largest + sum.ln() - f64::from(row[target as usize]));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_without_a_finite_loss_costs_twice_the_uniform() {
        for loss in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(charge(loss, 4_096), (2.0 * 4_096f64.ln(), false));
        }
        assert_eq!(charge(-1e-17, 4_096), (0.0, true));
        assert_eq!(charge(1e30, 4_096), (MAX_TOKEN_NATS, true));
        // The largest batch at the largest loss is more than a row can say: it costs the most that it can.
        assert_eq!(row_q32(1e12), row_q32(MAX_ROW_NATS));
        assert!(row_q32(1e12).unwrap() > i64::MAX - (1 << 33));
        assert!(row_q32(f64::NAN).is_err());
        let mut sum = Charge::default();
        sum.add(1.5, 10);
        sum.add(f64::NAN, 10);
        assert_eq!((sum.tokens, sum.nonfinite), (2, 1));
        assert_eq!(sum.nats, 1.5 + 2.0 * 10f64.ln());
    }
}
