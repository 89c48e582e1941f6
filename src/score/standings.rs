//! Leaderboard and weights by epoch of acceptance.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::leaderboard::{Leaderboard, LeaderboardRow, Weights, leaderboard, weights};

/// The standing of one epoch.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct EpochStanding {
    /// Seconds since 1970 at acceptance, divided by the length of an epoch and rounded down; none for submissions
    /// whose time of acceptance is not known.
    pub epoch: Option<u64>,
    pub leaderboard: Leaderboard,
    pub weights: Weights,
}

/// Ranks the submissions of every epoch among themselves, epochs ascending, the unknown one first. An owner has one
/// row in every epoch it submitted in.
pub fn by_epoch(submissions: &[LeaderboardRow], epoch_seconds: u64) -> Vec<EpochStanding> {
    let mut epochs: BTreeMap<Option<u64>, Vec<LeaderboardRow>> = BTreeMap::new();
    for row in submissions {
        let epoch = row
            .accepted_at_unix_ms
            .map(|ms| ms / 1_000 / epoch_seconds.max(1));
        epochs.entry(epoch).or_default().push(row.clone());
    }
    epochs
        .into_iter()
        .map(|(epoch, rows)| EpochStanding {
            epoch,
            leaderboard: leaderboard(&rows),
            weights: weights(&rows),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::leaderboard::test_rows::row;
    use super::*;

    #[test]
    fn submissions_rank_within_their_epoch() {
        let ms = |seconds: u64| seconds * 1_000;
        let mut unknown = row("d", Some("k"), 0, 0.9);
        unknown.accepted_at_unix_ms = None;
        let rows = [
            row("a", Some("k"), ms(21_600) - 1, 0.2),
            row("b", Some("k"), ms(21_600), 0.3),
            row("c", Some("l"), ms(43_199), 0.1),
            unknown,
        ];
        let epochs = by_epoch(&rows, 21_600);
        let seen: Vec<_> = epochs
            .iter()
            .map(|epoch| {
                (
                    epoch.epoch,
                    epoch.leaderboard.rows.len(),
                    epoch.weights.weights["k"],
                )
            })
            .collect();
        assert_eq!(seen[..2], [(None, 1, 1.0), (Some(0), 1, 1.0)]);
        assert_eq!((seen[2].0, seen[2].1), (Some(1), 2));
        assert!((seen[2].2 - 0.75).abs() < 1e-15);
    }
}
