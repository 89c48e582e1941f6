//! Adding up the streams of one run, row by row: the quick way for runs of a usual length.
//!
//! Small files cost a query engine more to plan than to read, so each is decoded whole by polars and its rows are added
//! here. Streams of more than [`MOST_ROWS`] are left to the query ([`super::totals`]), whose memory does not grow with
//! them. Sums are integers: both ways give the same ones.

use std::path::Path;

use super::error::ScoreError;
use super::stream_rows::{HeldoutRole, HeldoutRow, OnlineRow};
use super::streams::{HELDOUT_FILE, ONLINE_FILE, count_rows, read_heldout, read_online};
use super::totals::{RunTotals, StreamSum};

/// Rows of a stream that is decoded whole: some 40 MB while it is.
pub(super) const MOST_ROWS: usize = 1 << 18;

/// Adds up the streams in `folder`; none when one of them has more than `most_rows`.
///
/// # Errors
/// Those of [`read_online`] and [`read_heldout`]; [`ScoreError::BadStream`] for a stream without rows or with a hole.
pub(super) fn sum_run(
    submission_id: &str,
    folder: &Path,
    most_rows: usize,
) -> Result<Option<RunTotals>, ScoreError> {
    let (online, heldout) = (folder.join(ONLINE_FILE), folder.join(HELDOUT_FILE));
    let has_heldout = heldout.exists();
    if count_rows(&online)? > most_rows || (has_heldout && count_rows(&heldout)? > most_rows) {
        return Ok(None);
    }
    let rows = read_online(&online)?;
    let mut totals = sum_online(submission_id, &rows)
        .map_err(|what| ScoreError::BadStream { path: online, what })?;
    if has_heldout {
        let rows = read_heldout(&heldout)?;
        add_heldout(&mut totals, &rows).map_err(|what| ScoreError::BadStream {
            path: heldout,
            what,
        })?;
    }
    Ok(Some(totals))
}

/// Sums of an online stream whose rows ascend by (unpredicted, step, rank).
fn sum_online(submission_id: &str, rows: &[OnlineRow]) -> Result<RunTotals, String> {
    if rows.is_empty() {
        return Err("it has no rows".to_owned());
    }
    let mut totals = RunTotals {
        submission_id: submission_id.to_owned(),
        ..RunTotals::default()
    };
    for row in rows {
        let sum = StreamSum {
            tokens: row.tokens.into(),
            bytes: row.bytes,
            nats_q32: row.nats_q32.into(),
        };
        add(&mut totals.charged, sum)?;
        if row.unpredicted {
            add(&mut totals.unpredicted, sum)?;
        } else {
            if row.step == 0 {
                add(&mut totals.first_step, sum)?;
            }
            if row.rank == 0 {
                if u64::from(row.step) != totals.steps {
                    return Err(format!(
                        "rank 0 has step {} after {} steps: expected every step once",
                        row.step, totals.steps
                    ));
                }
                totals.steps += 1;
            }
            totals.ranks = totals.ranks.max(u64::from(row.rank) + 1);
        }
        totals.blind_tokens += u64::from(row.blind_tokens);
        totals.blind_nats_q32 += i128::from(row.blind_nats_q32);
        totals.ref_nats_q32 += i128::from(row.ref_nats_q32);
        totals.ref_blind_nats_q32 += i128::from(row.ref_blind_nats_q32);
        totals.nonfinite_tokens += u64::from(row.nonfinite);
    }
    if totals.steps == 0 {
        totals.ranks = 0;
    }
    Ok(totals)
}

fn add(sum: &mut StreamSum, more: StreamSum) -> Result<(), String> {
    sum.tokens += more.tokens;
    sum.bytes = sum
        .bytes
        .checked_add(more.bytes)
        .ok_or("bytes add up to more than 2^64 - 1")?;
    sum.nats_q32 += more.nats_q32;
    Ok(())
}

fn add_heldout(totals: &mut RunTotals, rows: &[HeldoutRow]) -> Result<(), String> {
    for row in rows {
        let sum = match row.role {
            HeldoutRole::Trained => &mut totals.trained,
            HeldoutRole::Twin => &mut totals.twin,
            HeldoutRole::TrainTail => &mut totals.train_tail,
        }
        .get_or_insert_default();
        let more = StreamSum {
            tokens: row.tokens.into(),
            bytes: row.bytes,
            nats_q32: row.nats_q32.into(),
        };
        add(sum, more)?;
    }
    Ok(())
}
