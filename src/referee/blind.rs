//! The blind positions: labels that are nowhere in the inputs cost a leaking model more than the others.
//!
//! A causal model cannot know which of its labels the inputs contain, so its loss there is what it is anywhere else in the row. For each
//! row the watch takes the loss of the blind position less the mean loss of its neighbours, less the same difference of a small causal
//! reference predictor on the same tokens (what is hard for everybody cancels), and asks whether the mean over all rows is above zero.
//! Three of them: the last position against the eight before it, against all before it, and, where a probe with another suffix came
//! before the scored batch, the position before its cut: whoever leaks and then replays what it said on first sight of a prefix was
//! blind exactly there.

use serde::{Deserialize, Serialize};

use super::loss::charge;
use super::measured::CheckResult;
use crate::dataset::stream::Batch;

/// Columns before the blind one that it is compared with.
const NEIGHBOURS: usize = 8;
/// Standard errors above zero from which a mean is no accident. Honest runs stay far below; see docs/detection.md.
pub const SIGNIFICANT_Z: f64 = 6.0;
/// Smallest mean, in nats per token, that is judged at all: below it a leak is worth less than noise between seeds.
pub const LEAST_NATS: f64 = 0.02;
/// Rows from which on there is something to judge.
const LEAST_ROWS: u64 = 8;

/// Mean of a difference over rows, and how sure it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Excess {
    pub rows: u64,
    /// Blind less others, model less reference, in nats per token: zero in expectation for a causal model.
    pub mean_nats: f64,
    /// The mean in units of its standard error; none where the rows do not vary or are too few.
    pub z: Option<f64>,
}

impl Excess {
    /// Whether it is no accident.
    pub fn is_leak(&self) -> bool {
        self.mean_nats > LEAST_NATS && self.z.is_some_and(|z| z > SIGNIFICANT_Z)
    }
}

/// What the watch saw in a whole run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlindFigures {
    /// Last position against the eight before it.
    pub neighbours: Excess,
    /// Last position against all before it.
    pub row: Excess,
    /// Position before the cut of probes that came first, against the eight before it.
    pub first_sight: Excess,
}

/// Sums over rows, in their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Moments {
    rows: u64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.rows += 1;
        self.sum += value;
        self.squares += value * value;
    }

    fn excess(&self) -> Excess {
        if self.rows == 0 {
            return Excess::default();
        }
        let rows = self.rows as f64;
        let mean_nats = self.sum / rows;
        let variance = (self.squares / rows - mean_nats * mean_nats) * rows / (rows - 1.0).max(1.0);
        let error = (variance / rows).sqrt();
        let z = (self.rows >= LEAST_ROWS && error > 0.0).then(|| mean_nats / error);
        Excess {
            rows: self.rows,
            mean_nats,
            z,
        }
    }
}

/// Watches a stream, batch by batch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlindWatch {
    neighbours: Moments,
    row: Moments,
    first_sight: Moments,
}

impl BlindWatch {
    /// A full batch: `nats` and `reference` are the losses of its targets, position by position. `cuts` are those of a probe
    /// that came before it, row by row.
    pub fn see(
        &mut self,
        batch: &Batch,
        nats: &[f64],
        reference: &[f64],
        vocab_size: usize,
        cuts: Option<&[usize]>,
    ) {
        let excess = |row: usize, blind: usize, from: usize| {
            let place = row * batch.cols;
            let model = |column: usize| charge(nats[place + column], vocab_size).0;
            let control = |column: usize| reference[place + column];
            let others = (blind - from) as f64;
            let mean = |of: &dyn Fn(usize) -> f64| (from..blind).map(of).sum::<f64>() / others;
            (model(blind) - mean(&model)) - (control(blind) - mean(&control))
        };
        for row in 0..batch.rows {
            if batch.lengths[row] < batch.cols {
                continue;
            }
            if let Some(last) = batch.cols.checked_sub(1).filter(|&last| last > 0) {
                let near = last.saturating_sub(NEIGHBOURS);
                self.neighbours.add(excess(row, last, near));
                self.row.add(excess(row, last, 0));
            }
            let cut = cuts.map(|cuts| cuts[row]);
            if let Some(blind) = cut.map(|cut| cut - 1).filter(|&blind| blind > 0) {
                let near = blind.saturating_sub(NEIGHBOURS);
                self.first_sight.add(excess(row, blind, near));
            }
        }
    }

    pub fn figures(&self) -> BlindFigures {
        BlindFigures {
            neighbours: self.neighbours.excess(),
            row: self.row.excess(),
            first_sight: self.first_sight.excess(),
        }
    }
}

impl BlindFigures {
    /// The verdict, with the rule and its constants.
    pub fn check(&self) -> CheckResult {
        let told = |name: &str, excess: &Excess| {
            let z = excess.z.map_or("none".to_owned(), |z| format!("{z:.2}"));
            format!(
                "{name} {:+.4} nats (z {z}, {} rows)",
                excess.mean_nats, excess.rows
            )
        };
        let all = [
            ("against neighbours", self.neighbours),
            ("against the row", self.row),
            ("on first sight", self.first_sight),
        ];
        let figures: Vec<String> = all
            .iter()
            .map(|(name, excess)| told(name, excess))
            .collect();
        CheckResult {
            name: "blind_gap".to_owned(),
            passed: !all.iter().any(|(_, excess)| excess.is_leak()),
            evidence: format!(
                "labels that are nowhere in the inputs cost more than others: {}; a leak is a mean above {LEAST_NATS} nats with z \
                 above {SIGNIFICANT_Z}",
                figures.join(", ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise in [0, 4), always the same.
    fn noise(seed: usize) -> f64 {
        (seed.wrapping_mul(2_654_435_761) % 4_000) as f64 / 1_000.0
    }

    /// Figures of 200 steps of a model whose loss at a column is noise less `gain(column)`.
    fn figures(cols: usize, gain: impl Fn(usize) -> f64, cut: Option<usize>) -> BlindFigures {
        let rows = 4;
        let mut watch = BlindWatch::default();
        for step in 0..200 {
            let hardness: Vec<f64> = (0..rows * cols)
                .map(|n| noise(step * 977 + n * 31))
                .collect();
            let batch = Batch {
                rows,
                cols,
                ids: vec![0; rows * cols],
                targets: vec![0; rows * cols],
                lengths: vec![cols; rows],
            };
            let nats: Vec<f64> = hardness
                .iter()
                .enumerate()
                .map(|(n, hard)| 5.0 + 0.7 * hard + noise(step * 13 + n * 7) - gain(n % cols))
                .collect();
            let cuts = cut.map(|cut| vec![cut; rows]);
            watch.see(&batch, &nats, &hardness, 4_096, cuts.as_deref());
        }
        watch.figures()
    }

    #[test]
    fn honest_losses_have_no_gap_and_leaks_have() {
        for cols in [2, 9, 64] {
            let honest = figures(cols, |_| 0.0, Some(cols / 2));
            assert!(honest.check().passed, "{honest:?}");
            let leak = figures(
                cols,
                |column| if column + 1 < cols { 1.0 } else { 0.0 },
                None,
            );
            assert!(leak.neighbours.is_leak() && leak.row.is_leak(), "{leak:?}");
            assert!(!leak.check().passed);
        }
        // Far from the end of the row only the comparison with the whole row sees it.
        let early = figures(64, |column| if column < 20 { 2.0 } else { 0.0 }, None);
        assert!(
            !early.neighbours.is_leak() && early.row.is_leak(),
            "{early:?}"
        );
    }

    #[test]
    fn who_replays_its_first_sight_is_blind_before_the_cut() {
        let gain = |column: usize| if column == 31 { -8.0 } else { 2.0 };
        let replayed = figures(64, gain, Some(32));
        assert!(replayed.first_sight.is_leak(), "{replayed:?}");
    }

    #[test]
    fn more_context_at_the_end_of_a_row_is_no_leak() {
        let honest = figures(64, |column| column as f64 * 0.01, None);
        assert!(honest.check().passed, "{honest:?}");
        assert!(honest.row.mean_nats < 0.0);
    }

    #[test]
    fn one_column_and_no_rows_say_nothing() {
        let nothing = figures(1, |_| 0.0, Some(1));
        assert_eq!(nothing, BlindFigures::default());
        assert!(nothing.check().passed);
        assert!(nothing.check().evidence.contains("z none, 0 rows"));
    }
}
