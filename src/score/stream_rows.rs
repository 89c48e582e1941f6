//! Rows of the two streams of a run, and the fixed point that their losses are written in.

use serde::{Deserialize, Serialize};

use super::constants::Q32_ONE;
use super::error::ScoreError;

/// One scored step of one rank, as `online_loss.parquet` holds it.
///
/// Wall time and probe marks of a step are kept in a file of their own: two executions of the same run then have
/// byte-identical streams.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct OnlineRow {
    /// Step number, from 0.
    pub step: u32,
    /// Rank that predicted, from 0.
    pub rank: u32,
    /// First lane of the rank's rows.
    pub lane0: u32,
    /// Tokens charged in this step.
    pub tokens: u32,
    /// Raw UTF-8 bytes of exactly these tokens.
    pub bytes: u64,
    /// Loss of these tokens, fixed point nats (2^32 a nat).
    pub nats_q32: i64,
    /// Of these, tokens in the last position of a row, whose label is nowhere in the inputs.
    pub blind_tokens: u32,
    /// Loss of the blind tokens, fixed point nats.
    pub blind_nats_q32: i64,
    /// Loss of the referee's own causal reference predictor on the same tokens, fixed point nats.
    pub ref_nats_q32: i64,
    /// Loss of the reference predictor on the blind tokens, fixed point nats.
    pub ref_blind_nats_q32: i64,
    /// Tokens whose logits were not finite; they were charged the worst case.
    pub nonfinite: u32,
    /// Tokens that the submission left unpredicted by stopping of its own choice, charged at its last or the uniform
    /// rate: one extra row per rank at the end of the stream, step = the first step that was not taken.
    pub unpredicted: bool,
}

/// What was measured on which text.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "snake_case")]
pub enum HeldoutRole {
    /// The trained weights on the val split.
    Trained,
    /// The untrained twin on the val split.
    Twin,
    /// The trained weights on the last part of the text that they were trained on.
    TrainTail,
}

impl HeldoutRole {
    /// All roles, in the order of the file.
    pub const ALL: [Self; 3] = [Self::Trained, Self::Twin, Self::TrainTail];

    /// Name in the stream.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trained => "trained",
            Self::Twin => "twin",
            Self::TrainTail => "train_tail",
        }
    }

    /// Role of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// One step of a held-out pass, as `heldout.parquet` holds it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct HeldoutRow {
    pub role: HeldoutRole,
    pub step: u32,
    pub tokens: u32,
    pub bytes: u64,
    /// Loss of these tokens, fixed point nats (2^32 a nat).
    pub nats_q32: i64,
}

/// Nats in the streams' fixed point: `nats x 2^32`, rounded half away from zero.
///
/// # Errors
/// [`ScoreError::NatsOutOfRange`] for NaN, infinities and magnitudes of 2^31 nats or more.
pub fn nats_to_q32(nats: f64) -> Result<i64, ScoreError> {
    // 2^31 nats are 2^63 units: the first magnitude that i64 cannot hold on the positive side
    if !nats.is_finite() || nats.abs() >= 2_147_483_648.0 {
        return Err(ScoreError::NatsOutOfRange { nats });
    }
    // a product with a power of two is exact, so the only rounding is the one below
    Ok((nats * Q32_ONE as f64).round() as i64)
}

/// Checks an online stream: rows strictly ascending by (unpredicted, step, rank), no part larger than its whole.
pub(super) fn check_online(rows: &[OnlineRow]) -> Result<(), ScoreError> {
    let fault = |row: usize, what: String| ScoreError::InvalidRow {
        stream: "online_loss",
        row,
        what,
    };
    let key = |row: &OnlineRow| (row.unpredicted, row.step, row.rank);
    for (index, row) in rows.iter().enumerate() {
        if index > 0 && key(&rows[index - 1]) >= key(row) {
            return Err(fault(
                index,
                format!(
                    "step {} of rank {} follows step {} of rank {}: expected ascending steps, then ranks",
                    row.step,
                    row.rank,
                    rows[index - 1].step,
                    rows[index - 1].rank
                ),
            ));
        }
        if row.blind_tokens > row.tokens || row.nonfinite > row.tokens {
            return Err(fault(
                index,
                format!(
                    "{} blind and {} non-finite of {} tokens: a part is larger than the whole",
                    row.blind_tokens, row.nonfinite, row.tokens
                ),
            ));
        }
    }
    Ok(())
}

/// Checks a held-out stream: rows strictly ascending by (role, step).
pub(super) fn check_heldout(rows: &[HeldoutRow]) -> Result<(), ScoreError> {
    let key = |row: &HeldoutRow| (row.role, row.step);
    match rows
        .windows(2)
        .position(|pair| key(&pair[0]) >= key(&pair[1]))
    {
        None => Ok(()),
        Some(before) => Err(ScoreError::InvalidRow {
            stream: "heldout",
            row: before + 1,
            what: format!(
                "step {} of {} follows step {} of {}: expected trained, twin, train_tail, each with ascending steps",
                rows[before + 1].step,
                rows[before + 1].role.name(),
                rows[before].step,
                rows[before].role.name()
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nats_round_half_away_from_zero() {
        let half_unit = 0.5 / Q32_ONE as f64;
        for (nats, expected) in [
            (0.0, 0),
            (1.0, Q32_ONE),
            (half_unit, 1),
            (-half_unit, -1),
            (half_unit * 0.99, 0),
            (half_unit * 3.0, 2),
            (-1.5, -Q32_ONE - Q32_ONE / 2),
            (2_147_483_647.0, 2_147_483_647 * Q32_ONE),
        ] {
            assert_eq!(nats_to_q32(nats).unwrap(), expected, "{nats}");
        }
    }

    #[test]
    fn nats_that_do_not_fit_are_refused() {
        for nats in [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            2_147_483_648.0,
            -2_147_483_648.0,
            1e300,
        ] {
            assert!(
                matches!(nats_to_q32(nats), Err(ScoreError::NatsOutOfRange { .. })),
                "{nats}"
            );
        }
    }

    #[test]
    fn rows_out_of_order_are_refused() {
        let row = |step, rank, unpredicted| OnlineRow {
            step,
            rank,
            unpredicted,
            ..OnlineRow::default()
        };
        assert!(
            check_online(&[
                row(0, 0, false),
                row(0, 1, false),
                row(1, 0, false),
                row(2, 0, true)
            ])
            .is_ok()
        );
        for bad in [
            [row(0, 0, false), row(0, 0, false)],
            [row(1, 0, false), row(0, 0, false)],
            [row(0, 1, false), row(0, 0, false)],
            [row(0, 0, true), row(1, 0, false)],
        ] {
            let error = check_online(&bad).unwrap_err();
            assert!(
                error.to_string().starts_with("row 1 of online_loss: step"),
                "{error}"
            );
        }
    }

    #[test]
    fn parts_larger_than_the_whole_are_refused() {
        for row in [
            OnlineRow {
                tokens: 3,
                blind_tokens: 4,
                ..OnlineRow::default()
            },
            OnlineRow {
                tokens: 3,
                nonfinite: 4,
                ..OnlineRow::default()
            },
        ] {
            assert!(
                check_online(&[row])
                    .unwrap_err()
                    .to_string()
                    .contains("larger than the whole")
            );
        }
    }

    #[test]
    fn heldout_rows_out_of_order_are_refused() {
        use HeldoutRole::{TrainTail, Trained, Twin};
        let row = |(role, step)| HeldoutRow {
            role,
            step,
            tokens: 1,
            bytes: 1,
            nats_q32: 1,
        };
        assert!(
            check_heldout(&[(Trained, 0), (Trained, 1), (Twin, 0), (TrainTail, 0)].map(row))
                .is_ok()
        );
        assert!(check_heldout(&[(Twin, 0), (Trained, 0)].map(row)).is_err());
        assert!(check_heldout(&[(Twin, 1), (Twin, 1)].map(row)).is_err());
    }

    #[test]
    fn role_names_are_those_of_the_stream() {
        for role in HeldoutRole::ALL {
            assert_eq!(HeldoutRole::from_name(role.name()), Some(role));
            assert_eq!(serde_json::json!(role), role.name());
        }
        assert_eq!(HeldoutRole::from_name("test"), None);
    }
}
