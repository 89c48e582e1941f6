//! Whether two runs over the same text really differ: a paired block bootstrap over their online streams.
//!
//! Both streams are cut at the same byte positions, so that runs with other batches and rows are compared at the same
//! amount of text read (with the same geometry, on the same text). The difference of their bits per byte in each block
//! is one observation; neighbouring ones depend on each other, so runs of blocks are drawn together (circular block
//! bootstrap: Politis and Romano 1992; paired comparison by bootstrap: Koehn 2004). The draws come from a fixed seed:
//! the same streams always give the same interval.

use std::path::Path;

use super::error::ScoreError;
use super::formulas::bits_from_nats;
use super::formulas::nats_from_q32;
use super::stream_rows::OnlineRow;
use super::streams::{ONLINE_FILE, read_online};

/// Blocks that the common text is cut into; fewer when a stream has fewer steps.
const MOST_BLOCKS: usize = 200;

/// Fewest blocks that say anything.
const FEWEST_BLOCKS: usize = 16;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 2_000;

/// Share of the resamples below, and above, the interval: 95 % lie within.
const TAIL: f64 = 0.025;

/// Seed of the draws.
const SEED: u64 = 0x7072_6973_6d00_0001;

/// The code length of a run as it grew with the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// Text charged up to the end of each step, bytes; rising.
    bytes: Vec<u64>,
    /// Code length up to there, bits.
    bits: Vec<f64>,
}

impl Curve {
    /// The curve of an online stream's rows, all ranks of a step together, what was left unpredicted included.
    pub fn of(rows: &[OnlineRow]) -> Self {
        let mut curve = Self::default();
        let (mut bytes, mut nats_q32) = (0_u64, 0_i128);
        for (at, row) in rows.iter().enumerate() {
            bytes = bytes.saturating_add(row.bytes);
            nats_q32 += i128::from(row.nats_q32);
            let key = |row: &OnlineRow| (row.unpredicted, row.step);
            let ends_step = rows.get(at + 1).is_none_or(|next| key(next) != key(row));
            if ends_step && curve.bytes.last().is_none_or(|last| *last < bytes) {
                curve.bytes.push(bytes);
                curve.bits.push(bits_from_nats(nats_from_q32(nats_q32)));
            }
        }
        curve
    }

    /// The curve of the run in `folder`.
    ///
    /// # Errors
    /// Those of [`read_online`].
    pub fn read(folder: &Path) -> Result<Self, ScoreError> {
        Ok(Self::of(&read_online(&folder.join(ONLINE_FILE))?))
    }

    /// Steps that charged something.
    pub fn steps(&self) -> usize {
        self.bytes.len()
    }

    /// Text of the whole stream, bytes.
    pub fn total_bytes(&self) -> u64 {
        self.bytes.last().copied().unwrap_or(0)
    }

    /// Code length of the first `bytes` of the text, bits: linear within a step.
    pub fn bits_at(&self, bytes: f64) -> f64 {
        let after = self.bytes.partition_point(|end| (*end as f64) < bytes);
        let Some(end) = self.bytes.get(after) else {
            return self.bits.last().copied().unwrap_or(0.0);
        };
        let (start, start_bits) = match after.checked_sub(1) {
            Some(before) => (self.bytes[before] as f64, self.bits[before]),
            None => (0.0, 0.0),
        };
        let share = (bytes - start) / (*end as f64 - start);
        start_bits + (self.bits[after] - start_bits) * share
    }
}

/// The difference of two runs, first minus second: negative when the first needs fewer bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Bits per byte over the text that both cover.
    pub mean_bpb: f64,
    /// The 95 % interval of it.
    pub low_bpb: f64,
    pub high_bpb: f64,
}

impl Difference {
    /// Whether the interval has no zero in it.
    pub fn is_significant(&self) -> bool {
        self.low_bpb > 0.0 || self.high_bpb < 0.0
    }
}

/// Compares two runs; `offset_bpb` is added to every block (what the first run's code costs more). None when their
/// streams are too short to say anything.
pub fn difference(first: &Curve, second: &Curve, offset_bpb: f64) -> Option<Difference> {
    let blocks = MOST_BLOCKS.min(first.steps()).min(second.steps());
    let common = first.total_bytes().min(second.total_bytes()) as f64;
    if blocks < FEWEST_BLOCKS || common <= 0.0 {
        return None;
    }
    let gap_at = |block: usize| {
        let bytes = common * block as f64 / blocks as f64;
        first.bits_at(bytes) - second.bits_at(bytes)
    };
    let block_bytes = common / blocks as f64;
    let differences: Vec<f64> = (0..blocks)
        .map(|block| (gap_at(block + 1) - gap_at(block)) / block_bytes + offset_bpb)
        .collect();
    let mut means = resampled_means(&differences);
    means.sort_by(f64::total_cmp);
    let cut = (means.len() as f64 * TAIL) as usize;
    Some(Difference {
        mean_bpb: differences.iter().sum::<f64>() / blocks as f64,
        low_bpb: *means.get(cut)?,
        high_bpb: *means.get(means.len() - 1 - cut)?,
    })
}

/// Means of resamples made of runs of neighbours, the last block followed by the first.
fn resampled_means(differences: &[f64]) -> Vec<f64> {
    let count = differences.len();
    // the usual rate for means: the cube root of the sample
    let run = (count as f64).cbrt().ceil() as usize;
    let mut state = SEED;
    (0..RESAMPLES)
        .map(|_| {
            let (mut sum, mut drawn) = (0.0, 0);
            while drawn < count {
                let start = (next_random(&mut state) % count as u64) as usize;
                for step in 0..run.min(count - drawn) {
                    sum += differences[(start + step) % count];
                }
                drawn += run;
            }
            sum / count as f64
        })
        .collect()
}

/// splitmix64 (Steele, Lea and Flood 2014).
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::stream_rows::nats_to_q32;
    use super::*;

    /// `steps` steps over 1,000,000 bytes; a loss of `level` nats a byte that falls, with noise from `seed`.
    fn curve(steps: u32, level: f64, noise: f64, seed: u64) -> Curve {
        let mut state = seed;
        let bytes = 1_000_000 / u64::from(steps);
        let rows: Vec<OnlineRow> = (0..steps)
            .map(|step| {
                let random = (next_random(&mut state) >> 11) as f64 / (1_u64 << 53) as f64;
                let age = f64::from(step) / f64::from(steps);
                let loss = level + 1.0 / (1.0 + 20.0 * age) + noise * (random - 0.5);
                OnlineRow {
                    step,
                    bytes,
                    nats_q32: nats_to_q32(loss * bytes as f64).unwrap(),
                    ..OnlineRow::default()
                }
            })
            .collect();
        Curve::of(&rows)
    }

    #[test]
    fn the_curve_is_linear_within_a_step() {
        let rows = [
            (0, 0, 10, false),
            (0, 1, 10, false),
            (1, 0, 20, false),
            (2, 0, 40, true),
        ];
        let rows = rows.map(|(step, rank, bytes, unpredicted)| OnlineRow {
            step,
            rank,
            bytes,
            nats_q32: nats_to_q32(bytes as f64 * std::f64::consts::LN_2).unwrap(),
            unpredicted,
            ..OnlineRow::default()
        });
        let curve = Curve::of(&rows);
        assert_eq!((curve.steps(), curve.total_bytes()), (3, 80));
        for bytes in [0.0, 5.0, 20.0, 33.0, 80.0] {
            assert!((curve.bits_at(bytes) - bytes).abs() < 1e-6, "{bytes}");
        }
        assert!((curve.bits_at(1e9) - 80.0).abs() < 1e-6);
        assert_eq!(Curve::of(&[]).bits_at(5.0), 0.0);
    }

    #[test]
    fn runs_that_differ_are_told_apart_and_the_same_are_not() {
        let base = curve(500, 1.0, 0.4, 1);
        let same = difference(&base, &base, 0.0).unwrap();
        assert_eq!((same.mean_bpb, same.is_significant()), (0.0, false));
        // only the noise differs
        let noise = difference(&base, &curve(500, 1.0, 0.4, 2), 0.0).unwrap();
        assert!(!noise.is_significant(), "{noise:?}");
        // 0.05 nats a byte better, in another geometry
        let better = difference(&curve(300, 0.95, 0.4, 3), &base, 0.0).unwrap();
        assert!(
            better.is_significant() && better.high_bpb < 0.0,
            "{better:?}"
        );
        assert!(
            (better.mean_bpb + 0.05 / std::f64::consts::LN_2).abs() < 0.02,
            "{better:?}"
        );
        // the other way round, with the sign changed
        let worse = difference(&base, &curve(300, 0.95, 0.4, 3), 0.0).unwrap();
        assert!(worse.low_bpb > 0.0);
        // what the code costs more can make up for it
        assert!(
            difference(&curve(300, 0.95, 0.4, 3), &base, 0.5)
                .unwrap()
                .low_bpb
                > 0.0
        );
    }

    #[test]
    fn the_interval_is_the_same_every_time() {
        let (a, b) = (curve(400, 1.0, 0.4, 1), curve(400, 1.01, 0.4, 2));
        assert_eq!(difference(&a, &b, 0.0), difference(&a, &b, 0.0));
    }

    /// Of runs that differ by noise alone, about one in twenty may seem to differ.
    #[test]
    fn the_interval_covers_what_it_should() {
        let false_alarms = (0..200)
            .filter(|pair| {
                let (a, b) = (
                    curve(200, 1.0, 0.4, 10 + pair),
                    curve(200, 1.0, 0.4, 9_000 + pair),
                );
                difference(&a, &b, 0.0).unwrap().is_significant()
            })
            .count();
        assert!(false_alarms <= 24, "{false_alarms} of 200");
    }

    #[test]
    fn short_streams_say_nothing() {
        assert_eq!(
            difference(&curve(15, 1.0, 0.1, 1), &curve(500, 1.0, 0.1, 2), 0.0),
            None
        );
        assert_eq!(difference(&Curve::default(), &Curve::default(), 0.0), None);
    }
}
