//! Snapshots: at secret steps the live process must hand over its weights, and what it had just predicted must come out of
//! them in a process that never saw the batch.
//!
//! Before each batch the runner commits to its weights (a sha256 goes with `next`). At some steps, after the prediction was
//! scored and before the targets are shown, it is asked to save them: they must be the ones committed to, hence know nothing
//! of the batch. Some of these are replayed after the training, each in a fresh process; the others are asked for so that
//! who counts the requests does not learn how many replays are still to come.

use serde::{Deserialize, Serialize};

use super::causality::Draw;
use super::measured::CheckResult;

/// Requests without a replay, to expect for each with one.
const DECOYS: u64 = 7;

/// At which steps weights are asked for, and which of them are replayed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotSteps {
    key: [u8; 32],
    /// Ascending.
    replayed: Vec<usize>,
    /// One step in so many is asked for nothing but its weights; 0: none.
    decoy_one_in: u64,
}

impl SnapshotSteps {
    /// `replays` steps of a stream of `steps` full ones: one in each equal part of it, the first of them rather early
    /// (log-uniform). Step 0 has none: there the twin is the standard.
    pub fn draw(key: [u8; 32], steps: usize, replays: u32) -> Self {
        let candidates = steps.saturating_sub(1);
        let replays = (replays as usize).min(candidates);
        let mut draw = Draw::new(&key, u32::MAX, 0);
        let part = |index: usize| 1 + index * candidates / replays.max(1);
        let replayed = (0..replays)
            .map(|index| {
                let (from, until) = (part(index), part(index + 1));
                if index > 0 {
                    return from + draw.below((until - from) as u64) as usize;
                }
                let share = draw.below(1 << 32) as f64 / (1u64 << 32) as f64;
                ((until as f64).powf(share) as usize).clamp(from, until - 1)
            })
            .collect();
        let decoy_one_in = match replays as u64 * DECOYS {
            0 => 0,
            decoys => (candidates as u64 / decoys).max(1),
        };
        Self {
            key,
            replayed,
            decoy_one_in,
        }
    }

    /// Whether the weights are asked for at a step.
    pub fn asks(&self, step: usize) -> bool {
        let decoy = || {
            let mut draw = Draw::new(&self.key, step as u32, 1);
            self.decoy_one_in > 0 && step > 0 && draw.below(self.decoy_one_in) == 0
        };
        self.replays(step) || decoy()
    }

    /// Whether what is asked for at a step is replayed.
    pub fn replays(&self, step: usize) -> bool {
        self.replayed.binary_search(&step).is_ok()
    }
}

/// Columns from which on the rows of a replay's probes are changed: `probes` of them for each row, ascending, so that no
/// probe shows what an earlier one has to hide.
pub fn cuts(key: &[u8; 32], step: usize, rank: usize, rows: usize, cols: usize) -> Vec<Vec<usize>> {
    let mut draw = Draw::new(key, step as u32, 2 + rank as u32);
    let places = cols.saturating_sub(1);
    let probes = PROBES.min(places);
    (0..probes)
        .map(|probe| {
            let (from, until) = (probe * places / probes, (probe + 1) * places / probes);
            (0..rows)
                .map(|_| 1 + from + draw.below((until - from) as u64) as usize)
                .collect()
        })
        .collect()
}

/// Probes of one replay.
const PROBES: usize = 4;

/// One replay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    pub step: u32,
    /// Elements of the saved tensors.
    pub elements: u64,
    pub compared_positions: u64,
    /// Largest difference between a scored loss and the replayed one, in nats; null where one of them is not finite.
    pub largest_difference_nats: Option<f64>,
}

/// What the snapshots of a run came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotFigures {
    /// Steps at which the weights were asked for.
    pub steps: Vec<u32>,
    /// Whether the runner had to commit to them before each batch.
    pub committed: bool,
    /// Steps at which they were not those committed to.
    pub changed: Vec<u32>,
    pub replays: Vec<Replay>,
}

impl SnapshotFigures {
    /// The verdict.
    pub fn check(&self, tolerance_nats: f64) -> CheckResult {
        let same = |replay: &Replay| {
            replay
                .largest_difference_nats
                .is_some_and(|nats| nats <= tolerance_nats)
        };
        let largest = self.replays.iter().try_fold(0f64, |largest, replay| {
            Some(largest.max(replay.largest_difference_nats?))
        });
        let largest = largest.map_or("without bound".to_owned(), |nats| format!("{nats:e} nats"));
        let others = if self.committed {
            format!(", {} of them not those committed to", self.changed.len())
        } else {
            String::new()
        };
        let differing: Vec<String> = self
            .replays
            .iter()
            .filter(|replay| !same(replay))
            .map(|replay| replay.step.to_string())
            .collect();
        let differing = if differing.is_empty() {
            String::new()
        } else {
            format!(" (steps {})", differing.join(", "))
        };
        CheckResult {
            name: "snapshot".to_owned(),
            passed: self.changed.is_empty() && self.replays.iter().all(same),
            evidence: format!(
                "weights taken at {} steps{others}; {} replayed in fresh processes, where the scored losses differ by {largest}, \
                 expected at most {tolerance_nats}{differing}",
                self.steps.len(),
                self.replays.len()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replays_lie_in_every_part_of_the_stream_and_the_first_is_often_early() {
        let mut early = 0;
        for key in 0..200u8 {
            let drawn = SnapshotSteps::draw([key; 32], 1_001, 4);
            assert_eq!(drawn, SnapshotSteps::draw([key; 32], 1_001, 4));
            assert_eq!(drawn.replayed.len(), 4);
            for (part, &step) in drawn.replayed.iter().enumerate() {
                let range = 1 + part * 250..1 + (part + 1) * 250;
                assert!(range.contains(&step), "{step} in part {part}");
                assert!(drawn.asks(step) && drawn.replays(step));
            }
            early += u32::from(drawn.replayed[0] < 50);
            let asked = (0..1_001).filter(|&step| drawn.asks(step)).count();
            assert!((12..60).contains(&asked), "{asked}");
            assert!(!drawn.asks(0));
        }
        assert!((100..180).contains(&early), "{early} of 200");
        let first = |key| SnapshotSteps::draw([key; 32], 1_001, 4).replayed;
        assert_ne!(first(1), first(2));
    }

    #[test]
    fn short_streams_have_as_many_as_there_are_steps() {
        for steps in 0..12 {
            let drawn = SnapshotSteps::draw([3; 32], steps, 4);
            let expected = steps.saturating_sub(1).min(4);
            assert_eq!(drawn.replayed.len(), expected, "{steps} steps");
            assert!(drawn.replayed.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(drawn.replayed.iter().all(|step| (1..steps).contains(step)));
        }
        let none = SnapshotSteps::draw([3; 32], 1_000, 0);
        assert!((0..1_000).all(|step| !none.asks(step)));
    }

    #[test]
    fn cuts_ascend_and_never_leave_the_row() {
        for cols in 1..40 {
            let drawn = cuts(&[9; 32], 5, 0, 3, cols);
            assert_eq!(drawn.len(), PROBES.min(cols - 1));
            for row in 0..3 {
                let own: Vec<usize> = drawn.iter().map(|cuts| cuts[row]).collect();
                assert!(own.windows(2).all(|pair| pair[0] < pair[1]), "{own:?}");
                assert!(own.iter().all(|cut| (1..cols).contains(cut)), "{own:?}");
            }
        }
        assert_ne!(cuts(&[9; 32], 5, 0, 8, 64), cuts(&[9; 32], 5, 1, 8, 64));
    }

    #[test]
    fn the_check_wants_the_committed_weights_and_the_scored_losses() {
        let figures = |changed: Vec<u32>, nats: Option<f64>| SnapshotFigures {
            steps: vec![3, 9],
            committed: true,
            changed,
            replays: vec![Replay {
                step: 9,
                elements: 7,
                compared_positions: 64,
                largest_difference_nats: nats,
            }],
        };
        let honest = figures(Vec::new(), Some(1e-6)).check(1e-3);
        assert!(honest.passed && honest.name == "snapshot");
        assert!(honest.evidence.contains("at 2 steps, 0 of them not"));
        for (changed, nats) in [
            (vec![3], Some(0.0)),
            (Vec::new(), Some(0.1)),
            (Vec::new(), None),
        ] {
            assert!(!figures(changed, nats).check(1e-3).passed);
        }
        let differs = figures(Vec::new(), None).check(1e-3).evidence;
        assert!(
            differs.contains("without bound") && differs.contains("steps 9"),
            "{differs}"
        );
        assert!(SnapshotFigures::default().check(1e-3).passed);
    }
}
