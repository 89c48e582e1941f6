//! Two executions of the same run, row by row: equal, equal within a tolerance, or different from a step on.

use super::report::Difference;
use crate::score::stream_rows::{HeldoutRow, OnlineRow};

/// What a comparison came to.
#[derive(Debug, Default, PartialEq)]
pub struct Compared {
    /// Steps (online) and rows (held-out) that were compared before the first difference.
    pub steps: u64,
    pub is_identical: bool,
    /// Largest difference per token, in nats.
    pub largest_nats: f64,
    pub first: Option<Difference>,
}

/// A row as the comparison sees it.
struct Row {
    stream: String,
    step: u32,
    rank: u32,
    tokens: u32,
    /// What has to be equal.
    exact: Vec<(&'static str, i128)>,
    /// Losses in the streams' fixed point, which may differ by the tolerance for each token.
    nats_q32: Vec<(&'static str, i64)>,
}

impl From<&OnlineRow> for Row {
    fn from(row: &OnlineRow) -> Self {
        Self {
            stream: "online_loss".to_owned(),
            step: row.step,
            rank: row.rank,
            tokens: row.tokens,
            exact: vec![
                ("lane0", row.lane0.into()),
                ("tokens", row.tokens.into()),
                ("bytes", row.bytes.into()),
                ("blind_tokens", row.blind_tokens.into()),
                ("ref_nats_q32", row.ref_nats_q32.into()),
                ("ref_blind_nats_q32", row.ref_blind_nats_q32.into()),
                ("nonfinite", row.nonfinite.into()),
                ("unpredicted", row.unpredicted.into()),
            ],
            nats_q32: vec![
                ("nats_q32", row.nats_q32),
                ("blind_nats_q32", row.blind_nats_q32),
            ],
        }
    }
}

impl From<&HeldoutRow> for Row {
    fn from(row: &HeldoutRow) -> Self {
        Self {
            stream: row.role.name().to_owned(),
            step: row.step,
            rank: 0,
            tokens: row.tokens,
            exact: vec![("tokens", row.tokens.into()), ("bytes", row.bytes.into())],
            nats_q32: vec![("nats_q32", row.nats_q32)],
        }
    }
}

/// The online streams. With `prefix_only` the longer one may go on: the clock ended at least one of them.
pub fn online(
    recorded: &[OnlineRow],
    again: &[OnlineRow],
    tolerance_nats: f64,
    prefix_only: bool,
) -> Compared {
    rows(recorded, again, tolerance_nats, prefix_only)
}

/// The held-out streams.
pub fn heldout(recorded: &[HeldoutRow], again: &[HeldoutRow], tolerance_nats: f64) -> Compared {
    rows(recorded, again, tolerance_nats, false)
}

fn rows<R>(recorded: &[R], again: &[R], tolerance_nats: f64, prefix_only: bool) -> Compared
where
    for<'a> Row: From<&'a R>,
{
    let mut compared = Compared {
        is_identical: true,
        ..Compared::default()
    };
    let mut last_step = None;
    for index in 0..recorded.len().max(again.len()) {
        let left = recorded.get(index).map(Row::from);
        let right = again.get(index).map(Row::from);
        let difference = match (&left, &right) {
            (Some(left), Some(right)) => compared.add(left, right, tolerance_nats),
            _ if prefix_only => break,
            (None, None) => None,
            (Some(row), None) => Some(missing(row, "there", "no such row")),
            (None, Some(row)) => Some(missing(row, "no such row", "there")),
        };
        if difference.is_some() {
            compared.is_identical = false;
            compared.first = difference;
            return compared;
        }
        let place = left.map(|row| (row.stream, row.step));
        if place != last_step {
            compared.steps += 1;
            last_step = place;
        }
    }
    compared
}

fn missing(row: &Row, recorded: &str, reexecuted: &str) -> Difference {
    Difference {
        stream: row.stream.clone(),
        step: row.step,
        rank: row.rank,
        field: "row",
        recorded: recorded.to_owned(),
        reexecuted: reexecuted.to_owned(),
    }
}

impl Compared {
    /// The first field in which two rows differ by more than is allowed.
    fn add(&mut self, left: &Row, right: &Row, tolerance_nats: f64) -> Option<Difference> {
        let difference = |field, recorded: String, reexecuted: String| {
            Some(Difference {
                stream: left.stream.clone(),
                step: left.step,
                rank: left.rank,
                field,
                recorded,
                reexecuted,
            })
        };
        let place = |row: &Row| format!("step {} of rank {} of {}", row.step, row.rank, row.stream);
        if place(left) != place(right) {
            return difference("row", place(left), place(right));
        }
        for ((field, left), (_, right)) in left.exact.iter().zip(&right.exact) {
            if left != right {
                return difference(field, left.to_string(), right.to_string());
            }
        }
        for ((field, one), (_, two)) in left.nats_q32.iter().zip(&right.nats_q32) {
            if one == two {
                continue;
            }
            self.is_identical = false;
            let nats =
                (i128::from(*one) - i128::from(*two)).unsigned_abs() as f64 / 4_294_967_296.0;
            let per_token = nats / f64::from(left.tokens.max(1));
            if per_token > tolerance_nats {
                return difference(field, one.to_string(), two.to_string());
            }
            self.largest_nats = self.largest_nats.max(per_token);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::run_fixture::{heldout_rows, online_rows};

    #[test]
    fn equal_near_and_different() {
        let recorded = online_rows();
        let same = online(&recorded, &recorded, 1e-3, false);
        assert!(same.is_identical && same.first.is_none());
        assert_eq!(same.steps, 4);
        let mut near = recorded.clone();
        near[3].nats_q32 += 1 << 24; // 2^-8 nats over 101 tokens
        let found = online(&recorded, &near, 1e-3, false);
        assert!(!found.is_identical && found.first.is_none());
        assert!((found.largest_nats - 1.0 / 256.0 / 101.0).abs() < 1e-12);
        let first = online(&recorded, &near, 1e-6, false).first.unwrap();
        assert_eq!((first.step, first.rank, first.field), (1, 1, "nats_q32"));
        assert_eq!(first.reexecuted, near[3].nats_q32.to_string());
        let mut other = recorded.clone();
        other[2].bytes += 1;
        let found = online(&recorded, &other, 1e9, false);
        assert_eq!(found.steps, 1);
        assert_eq!(found.first.unwrap().field, "bytes");
    }

    #[test]
    fn streams_of_other_lengths() {
        let recorded = online_rows();
        let short = &recorded[..4];
        for (left, right, there) in [
            (&recorded[..], short, "there"),
            (short, &recorded, "no such row"),
        ] {
            let first = online(left, right, 1.0, false).first.unwrap();
            assert_eq!((first.step, first.rank, first.field), (2, 0, "row"));
            assert_eq!(first.recorded, there);
            let prefix = online(left, right, 1.0, true);
            assert!(prefix.is_identical && prefix.first.is_none());
            assert_eq!(prefix.steps, 2);
        }
        let heldout_recorded = heldout_rows();
        assert!(heldout(&heldout_recorded, &heldout_recorded, 0.0).is_identical);
        let first = heldout(&heldout_recorded, &heldout_recorded[1..], 1.0)
            .first
            .unwrap();
        assert_eq!((first.stream.as_str(), first.field), ("trained", "row"));
    }
}
