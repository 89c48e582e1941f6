//! Order of submissions, one row per owner, and weights. Pure functions: permuting the input never changes the output.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::constants::LEADERBOARD_BUCKET;
use crate::outbox::status::EPOCH_SECONDS;

/// Schema version of `leaderboard.json`.
pub const LEADERBOARD_SCHEMA: &str = "prism_leaderboard.v1";

/// Schema version of `weights.json`.
pub const WEIGHTS_SCHEMA: &str = "prism_weights.v1";

/// One scored submission.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LeaderboardRow {
    /// Place from 1; whatever the caller puts here is replaced.
    pub rank: u32,
    pub submission_id: String,
    /// Who submitted; a submission without hotkey is its own owner.
    pub hotkey: Option<String>,
    /// When it was accepted, milliseconds since 1970 (UTC); none where nobody recorded it: later than any time.
    pub accepted_at_unix_ms: Option<u64>,
    pub scoring_version: String,
    pub final_score: f64,
    /// None under the v1 rules, which have none.
    pub prequential_bpb: Option<f64>,
    pub two_part_bpb: Option<f64>,
    pub heldout_delta: Option<f64>,
    pub flags: Vec<String>,
    /// Whether the streams do not tell it from the row above; none where they were not compared ([`super::ties`]).
    pub tied_with_above: Option<bool>,
}

/// `leaderboard.json`: the best row of every owner, best first.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Leaderboard {
    pub schema_version: String,
    /// Submissions that were compared, before one row per owner was kept.
    pub submissions: u64,
    pub rows: Vec<LeaderboardRow>,
    /// The same for the submissions of one epoch each, as the HTTP contract gave it; the latest first.
    #[serde(default)]
    pub epochs: Vec<Epoch>,
}

/// The standing among the submissions that were accepted in one epoch.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// Unix seconds over [`EPOCH_SECONDS`].
    pub epoch_id: u64,
    /// Best row of every owner, at most [`EPOCH_ENTRIES`].
    pub entries: Vec<EpochEntry>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct EpochEntry {
    /// From 1.
    pub rank: u32,
    pub hotkey: Option<String>,
    pub score: f64,
    pub submission_id: String,
}

/// Entries of an epoch that are listed.
pub const EPOCH_ENTRIES: usize = 50;

/// `weights.json`: the share of every owner. Nothing is ever written to a chain.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    pub schema_version: String,
    /// Always true.
    pub dry_run: bool,
    /// Owner to weight; the owner is a hotkey, or `submission:<id>` for a submission without one.
    pub weights: BTreeMap<String, f64>,
}

/// The row's owner, as `weights.json` names it. A hotkey that looks like a submission's name is marked as a hotkey, so
/// that nobody can take another's place.
pub fn owner(row: &LeaderboardRow) -> String {
    match &row.hotkey {
        None => format!("submission:{}", row.submission_id),
        Some(hotkey) if hotkey.starts_with("submission:") || hotkey.starts_with("hotkey:") => {
            format!("hotkey:{hotkey}")
        }
        Some(hotkey) => hotkey.clone(),
    }
}

/// Scores within 1e-9 share a bucket, so that noise in the last bits does not decide; a score that is not finite ranks
/// as zero.
fn bucket(final_score: f64) -> i128 {
    if final_score.is_finite() {
        (final_score / LEADERBOARD_BUCKET + 0.5).floor() as i128
    } else {
        0
    }
}

/// Better first: bucket descending, earlier acceptance, then id. Rows that agree in all three are ordered by the rest
/// of their fields, so that the order is total.
fn compare(a: &LeaderboardRow, b: &LeaderboardRow) -> Ordering {
    bucket(b.final_score)
        .cmp(&bucket(a.final_score))
        .then_with(|| accepted(a).cmp(&accepted(b)))
        .then_with(|| a.submission_id.cmp(&b.submission_id))
        .then_with(|| b.final_score.total_cmp(&a.final_score))
        .then_with(|| a.hotkey.cmp(&b.hotkey))
        .then_with(|| a.scoring_version.cmp(&b.scoring_version))
        .then_with(|| bits(a.prequential_bpb).cmp(&bits(b.prequential_bpb)))
        .then_with(|| bits(a.two_part_bpb).cmp(&bits(b.two_part_bpb)))
        .then_with(|| bits(a.heldout_delta).cmp(&bits(b.heldout_delta)))
        .then_with(|| a.flags.cmp(&b.flags))
}

/// Unknown times come after all known ones.
fn accepted(row: &LeaderboardRow) -> (bool, Option<u64>) {
    (row.accepted_at_unix_ms.is_none(), row.accepted_at_unix_ms)
}

/// Any total order will do for rows that agree in all that ranks them.
fn bits(number: Option<f64>) -> Option<u64> {
    number.map(f64::to_bits)
}

/// Ranks submissions and keeps the first row of every owner.
pub fn leaderboard(submissions: &[LeaderboardRow]) -> Leaderboard {
    let mut rows = submissions.to_vec();
    rows.sort_by(compare);
    let epochs = epochs(&rows);
    let mut owners = BTreeSet::new();
    rows.retain(|row| owners.insert(owner(row)));
    for (row, rank) in rows.iter_mut().zip(1..) {
        row.rank = rank;
    }
    Leaderboard {
        schema_version: LEADERBOARD_SCHEMA.to_owned(),
        submissions: submissions.len() as u64,
        rows,
        epochs,
    }
}

/// The standing of each epoch, from rows in their order. A row that nobody dated is in none.
fn epochs(sorted: &[LeaderboardRow]) -> Vec<Epoch> {
    let mut by_epoch: BTreeMap<u64, Vec<&LeaderboardRow>> = BTreeMap::new();
    for row in sorted {
        if let Some(at_ms) = row.accepted_at_unix_ms {
            let epoch_id = at_ms / 1_000 / EPOCH_SECONDS;
            by_epoch.entry(epoch_id).or_default().push(row);
        }
    }
    let latest_first = by_epoch.into_iter().rev();
    latest_first
        .map(|(epoch_id, mut rows)| {
            let mut owners = BTreeSet::new();
            rows.retain(|row| owners.insert(owner(row)));
            let entries = rows.into_iter().zip(1..).take(EPOCH_ENTRIES);
            Epoch {
                epoch_id,
                entries: entries
                    .map(|(row, rank)| EpochEntry {
                        rank,
                        hotkey: row.hotkey.clone(),
                        score: row.final_score,
                        submission_id: row.submission_id.clone(),
                    })
                    .collect(),
            }
        })
        .collect()
}

/// Best score of every owner over the sum of these. Scores that are not positive and finite get none; without any
/// there are no weights.
pub fn weights(submissions: &[LeaderboardRow]) -> Weights {
    let mut best: BTreeMap<String, f64> = BTreeMap::new();
    for row in submissions
        .iter()
        .filter(|row| row.final_score.is_finite() && row.final_score > 0.0)
    {
        let entry = best.entry(owner(row)).or_insert(row.final_score);
        *entry = entry.max(row.final_score);
    }
    // added up in the order of the owners' names: the same sum for every order of input
    let sum: f64 = best.values().sum();
    Weights {
        schema_version: WEIGHTS_SCHEMA.to_owned(),
        dry_run: true,
        weights: best
            .into_iter()
            .map(|(owner, score)| (owner, score / sum))
            .collect(),
    }
}

#[cfg(test)]
pub(super) mod test_rows {
    use super::LeaderboardRow;

    pub fn row(
        id: &str,
        hotkey: Option<&str>,
        accepted_at_unix_ms: u64,
        final_score: f64,
    ) -> LeaderboardRow {
        LeaderboardRow {
            rank: 0,
            submission_id: id.to_owned(),
            hotkey: hotkey.map(str::to_owned),
            accepted_at_unix_ms: Some(accepted_at_unix_ms),
            scoring_version: "prism_score.v3".to_owned(),
            final_score,
            prequential_bpb: Some(2.0),
            two_part_bpb: None,
            heldout_delta: None,
            flags: Vec::new(),
            tied_with_above: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::test_rows::row;
    use super::*;

    fn order(rows: &[LeaderboardRow]) -> Vec<String> {
        leaderboard(rows)
            .rows
            .into_iter()
            .map(|row| row.submission_id)
            .collect()
    }

    #[test]
    fn ties_go_to_the_earlier_then_to_the_smaller_id() {
        assert_eq!(
            order(&[
                row("a", None, 2, 0.3),
                row("b", None, 1, 0.3 + 4e-10),
                row("c", None, 1, 0.3)
            ]),
            ["b", "c", "a"]
        );
        assert_eq!(
            order(&[row("a", None, 1, 0.3), row("b", None, 9, 0.3 + 2e-9)]),
            ["b", "a"]
        );
    }

    #[test]
    fn an_unknown_time_is_later_than_any() {
        let mut unknown = row("a", None, 0, 0.3);
        unknown.accepted_at_unix_ms = None;
        assert_eq!(order(&[unknown, row("b", None, u64::MAX, 0.3)]), ["b", "a"]);
    }

    #[test]
    fn a_score_that_is_not_finite_ranks_as_zero_and_weighs_nothing() {
        let rows = [
            row("nan", None, 1, f64::NAN),
            row("inf", None, 2, f64::INFINITY),
            row("ok", None, 3, 0.1),
        ];
        assert_eq!(order(&rows), ["ok", "nan", "inf"]);
        assert_eq!(
            weights(&rows).weights.into_iter().collect::<Vec<_>>(),
            [("submission:ok".to_owned(), 1.0)]
        );
    }

    #[test]
    fn an_owner_has_its_best_ranked_row_and_best_score() {
        let rows = [
            row("a", Some("k"), 1, 0.2),
            row("b", Some("k"), 2, 0.3),
            row("c", Some("l"), 3, 0.1),
            row("d", None, 4, 0.0),
        ];
        let board = leaderboard(&rows);
        assert_eq!(board.submissions, 4);
        assert_eq!(
            board
                .rows
                .iter()
                .map(|row| (row.rank, row.submission_id.as_str()))
                .collect::<Vec<_>>(),
            [(1, "b"), (2, "c"), (3, "d")]
        );
        let weights = weights(&rows);
        assert!(weights.dry_run);
        assert_eq!(weights.weights.len(), 2);
        assert!((weights.weights["k"] - 0.75).abs() < 1e-15);
    }

    #[test]
    fn each_epoch_has_a_standing_of_its_own() {
        let hours = |hours: u64| hours * 3_600_000;
        let mut undated = row("u", Some("k"), 0, 0.9);
        undated.accepted_at_unix_ms = None;
        let mut rows = vec![
            row("a", Some("k"), hours(1), 0.2),
            row("b", Some("k"), hours(2), 0.3),
            row("c", Some("l"), hours(5), 0.25),
            row("d", Some("k"), hours(6), 0.1),
            undated,
        ];
        let entries = |epoch: &Epoch| -> Vec<(u32, String)> {
            let entries = epoch.entries.iter();
            entries
                .map(|entry| (entry.rank, entry.submission_id.clone()))
                .collect()
        };
        let board = leaderboard(&rows);
        let ids: Vec<u64> = board.epochs.iter().map(|epoch| epoch.epoch_id).collect();
        assert_eq!(ids, [1, 0]);
        assert_eq!(entries(&board.epochs[0]), [(1, "d".to_owned())]);
        let first = [(1, "b".to_owned()), (2, "c".to_owned())];
        assert_eq!(entries(&board.epochs[1]), first);
        rows.extend((0..60).map(|number| row(&format!("x{number}"), None, hours(7), 0.5)));
        assert_eq!(leaderboard(&rows).epochs[0].entries.len(), EPOCH_ENTRIES);
    }

    #[test]
    fn empty_in_empty_out() {
        assert!(leaderboard(&[]).rows.is_empty());
        assert!(weights(&[]).weights.is_empty());
        assert!(
            weights(&[row("a", None, 1, 0.0), row("b", None, 1, -1.0)])
                .weights
                .is_empty()
        );
    }

    #[test]
    fn a_hotkey_cannot_pose_as_a_submission() {
        let rows = [
            row("a", None, 1, 0.1),
            row("b", Some("submission:a"), 2, 0.3),
        ];
        assert_eq!(leaderboard(&rows).rows.len(), 2);
        assert_eq!(weights(&rows).weights.len(), 2);
    }

    fn rows() -> impl Strategy<Value = Vec<LeaderboardRow>> {
        let one = (
            "[a-d]{1,2}",
            prop::option::of("[k-n]"),
            0_u64..4,
            prop_oneof![
                0.0..1.0_f64,
                Just(0.5),
                Just(0.0),
                Just(-0.1),
                Just(f64::NAN)
            ],
        );
        prop::collection::vec(one, 0..12).prop_map(|list| {
            list.into_iter()
                .map(|(id, hotkey, at, score)| row(&id, hotkey.as_deref(), at, score))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn permuting_the_input_changes_nothing(shuffled in rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle()))) {
            let (given, shuffled) = shuffled;
            // NaN is unequal to itself: the JSON, where it is null, is compared
            let json = |board: &Leaderboard| serde_json::to_string(board).unwrap();
            prop_assert_eq!(json(&leaderboard(&given)), json(&leaderboard(&shuffled)));
            prop_assert_eq!(weights(&given), weights(&shuffled));
        }

        #[test]
        fn weights_sum_to_one_over_owners_with_a_positive_score(rows in rows()) {
            let weights = weights(&rows).weights;
            let owners: BTreeSet<String> = rows.iter().filter(|row| row.final_score > 0.0).map(owner).collect();
            prop_assert_eq!(owners, weights.keys().cloned().collect::<BTreeSet<_>>());
            prop_assert!(weights.is_empty() || (weights.values().sum::<f64>() - 1.0).abs() < 1e-12);
        }

        #[test]
        fn every_owner_is_listed_once_by_its_best_row(rows in rows()) {
            let board = leaderboard(&rows);
            let listed: BTreeSet<String> = board.rows.iter().map(owner).collect();
            prop_assert_eq!(listed.len(), board.rows.len());
            prop_assert_eq!(&listed, &rows.iter().map(owner).collect::<BTreeSet<_>>());
            for kept in &board.rows {
                prop_assert!(rows.iter().filter(|row| owner(row) == owner(kept)).all(|row| compare(kept, row) != Ordering::Greater));
            }
            prop_assert!(board.rows.windows(2).all(|pair| bucket(pair[0].final_score) >= bucket(pair[1].final_score)));
        }
    }
}
