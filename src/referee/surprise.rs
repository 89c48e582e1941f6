//! Steps that cost far less than those before them: whoever leaks seldom, leaks where no probe is scheduled, so the loss
//! itself asks for one.
//!
//! Each step's loss is compared with the reference predictor's on the same text, which takes out that some text is easier.
//! Median and median deviation of the last steps (Hampel 1974, "The influence curve and its role in robust estimation")
//! are moved little by the steps that are looked for. A second look costs an honest learner time and nothing else.

use std::collections::VecDeque;

use crate::score::stream_rows::OnlineRow;

/// Steps that one is compared with.
const WINDOW: usize = 16;
/// Fewer say nothing yet.
const LEAST: usize = 4;
/// Deviations below the median from which on a step is looked at again.
const LIMIT: f64 = 4.0;
/// Smallest deviation that is believed, in nats a token.
const FLOOR_NATS: f64 = 0.02;
/// Median deviation of a normal distribution to its standard deviation.
const NORMAL: f64 = 1.4826;

/// The last steps of one rank.
#[derive(Debug, Default)]
pub struct Surprise {
    gaps_nats: VecDeque<f64>,
}

impl Surprise {
    /// Whether a step's gap to the reference predictor is far below those of the last steps.
    pub fn sees(&mut self, gap_nats: f64) -> bool {
        let is_low = self.gaps_nats.len() >= LEAST && {
            let middle = median(self.gaps_nats.iter().copied());
            let spread = median(self.gaps_nats.iter().map(|gap| (gap - middle).abs())) * NORMAL;
            gap_nats < middle - LIMIT * spread.max(FLOOR_NATS)
        };
        self.gaps_nats.push_back(gap_nats);
        if self.gaps_nats.len() > WINDOW {
            self.gaps_nats.pop_front();
        }
        is_low
    }
}

/// Loss of a step less that of the reference predictor, in nats a token.
pub fn gap_nats(row: &OnlineRow) -> f64 {
    (row.nats_q32 as f64 - row.ref_nats_q32 as f64) / 2f64.powi(32) / f64::from(row.tokens.max(1))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise between -0.1 and 0.1.
    fn noise(step: usize) -> f64 {
        ((step * 7919 + 13) % 101) as f64 / 505.0 - 0.1
    }

    fn seen(gap: impl Fn(usize) -> f64) -> Vec<usize> {
        let mut surprise = Surprise::default();
        (0..200).filter(|&step| surprise.sees(gap(step))).collect()
    }

    #[test]
    fn a_learner_that_gets_better_is_no_surprise() {
        assert_eq!(seen(noise), [0; 0]);
        assert_eq!(seen(|step| -(step as f64) * 0.05), [0; 0]);
        assert_eq!(
            seen(|step| 3.0 * (-(step as f64) / 10.0).exp() + noise(step)),
            [0; 0]
        );
        assert_eq!(seen(|step| f64::from(u32::from(step == 50)) * 2.0), [0; 0]);
    }

    #[test]
    fn a_step_that_leaks_now_and_then_is_seen_each_time() {
        let rare = |step: usize| noise(step) - if step % 16 == 9 { 1.0 } else { 0.0 };
        assert_eq!(seen(rare), (9..200).step_by(16).collect::<Vec<_>>());
        let thirds = |step: usize| noise(step) - if step % 3 == 2 && step > 20 { 1.0 } else { 0.0 };
        assert!(seen(thirds).len() > 50);
    }

    #[test]
    fn absurd_losses_do_not_blind_it() {
        let absurd = |step: usize| match step {
            20 => 1e9,
            40 => -1.0,
            _ => noise(step),
        };
        assert_eq!(seen(absurd), [40]);
    }
}
