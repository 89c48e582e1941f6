//! Statistical ties on a leaderboard: neighbours whose streams do not tell them apart.

use super::leaderboard::{Leaderboard, LeaderboardRow};
use super::paired::{Curve, difference};

/// Two neighbours of a leaderboard that can be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// Place of the lower one among the rows.
    pub below: usize,
    /// What the upper one's code costs more, bits per byte.
    pub offset_bpb: f64,
}

/// The neighbours under the rules of v3 whose scores are above zero.
pub fn neighbours(rows: &[LeaderboardRow]) -> Vec<Neighbours> {
    let pairs = rows.windows(2).enumerate();
    pairs
        .filter_map(|(above, pair)| {
            let [upper, lower] = pair else { return None };
            Some(Neighbours {
                below: above + 1,
                offset_bpb: code_bpb(upper)? - code_bpb(lower)?,
            })
        })
        .collect()
}

/// Whether two streams are not told apart ([`mark`]).
pub fn tied(above: &Curve, below: &Curve, offset_bpb: f64) -> Option<bool> {
    difference(above, below, offset_bpb).map(|difference| !difference.is_significant())
}

/// Marks each row that is compared with the one above it: tied when the 95 % interval of their difference in two-part
/// bits per byte ([`difference`]) has zero in it. `curve` gives a row's stream; rows without one, under other rules than
/// v3, or with a score of zero are not compared. Ranks do not change.
pub fn mark(leaderboard: &mut Leaderboard, curve: impl Fn(&LeaderboardRow) -> Option<Curve>) {
    let mut above: Option<(f64, Curve)> = None;
    for row in &mut leaderboard.rows {
        let here = code_bpb(row).zip(curve(row));
        row.tied_with_above = match (&above, &here) {
            (Some((code_above, above)), Some((code, here))) => tied(above, here, code_above - code),
            _ => None,
        };
        above = here;
    }
}

/// What the code adds to the bits per byte of the stream.
fn code_bpb(row: &LeaderboardRow) -> Option<f64> {
    let (two_part, stream) = row.two_part_bpb.zip(row.prequential_bpb)?;
    (row.final_score > 0.0).then_some(two_part - stream)
}

#[cfg(test)]
mod tests {
    use super::super::leaderboard::{leaderboard, test_rows};
    use super::super::stream_rows::{OnlineRow, nats_to_q32};
    use super::*;

    fn curve(level: f64) -> Curve {
        let rows: Vec<OnlineRow> = (0..100_u32)
            .map(|step| OnlineRow {
                step,
                bytes: 1_000,
                nats_q32: nats_to_q32(1_000.0 * level + f64::from(step * 37 % 11)).unwrap(),
                ..OnlineRow::default()
            })
            .collect();
        Curve::of(&rows)
    }

    #[test]
    fn neighbours_that_cannot_be_told_apart_are_marked() {
        let row = |id: &str, score: f64, two_part_bpb: f64| LeaderboardRow {
            two_part_bpb: Some(two_part_bpb),
            ..test_rows::row(id, None, 1, score)
        };
        let mut board = leaderboard(&[
            row("a", 0.5, 2.0),
            row("b", 0.4, 2.0),
            row("c", 0.3, 2.0),
            row("d", 0.2, 2.5),
            row("e", 0.1, 2.5),
            row("zero", 0.0, 2.5),
        ]);
        mark(&mut board, |row| match row.submission_id.as_str() {
            "a" | "b" | "d" => Some(curve(1.0)),
            "c" => Some(curve(1.1)),
            "zero" => Some(curve(1.0)),
            _ => None,
        });
        let marks: Vec<Option<bool>> = board.rows.iter().map(|row| row.tied_with_above).collect();
        // d's code costs half a bit more per byte than c's, which its stream does not make up for
        assert_eq!(
            marks,
            [None, Some(true), Some(false), Some(false), None, None]
        );
    }
}
