//! From the streams of a run to the points of its curve.

use std::path::Path;

use super::PlotError;
use crate::audit::sealed_files;
use crate::outbox::selection::label;
use crate::outbox::status::{self, Status};
use crate::score::stream_rows::{HeldoutRole, HeldoutRow, OnlineRow};
use crate::score::streams::{HELDOUT_FILE, ONLINE_FILE, read_heldout, read_online};

/// Points of a curve: steps are joined until they hold this part of the run's text.
const WINDOWS: u64 = 150;
const MAX_NAME_CHARS: usize = 28;
const BITS_PER_Q32: f64 = std::f64::consts::LOG2_E / 4_294_967_296.0;

/// One run as it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// ASCII, short.
    pub name: String,
    /// (bytes predicted up to the end of the window, bits per byte within the window).
    pub points: Vec<(f64, f64)>,
    /// Bits per byte of everything that was charged.
    pub total_bpb: f64,
    /// Held-out text: before and after training.
    pub twin_bpb: Option<f64>,
    pub trained_bpb: Option<f64>,
}

/// The curve of a run folder; none without an online stream. Streams are decoded only if they are what the folder's
/// digest list says.
pub fn of_run(folder: &Path) -> Result<Option<Curve>, PlotError> {
    let broken = |reasons| PlotError::Run {
        folder: folder.to_owned(),
        reasons,
    };
    let files = sealed_files(folder).map_err(broken)?;
    let has = |name: &str| files.iter().any(|(file, _)| file == name);
    if !has(ONLINE_FILE) {
        return Ok(None);
    }
    let told = |error: crate::score::ScoreError| broken(error.reasons());
    let online = read_online(&folder.join(ONLINE_FILE)).map_err(told)?;
    let heldout = if has(HELDOUT_FILE) {
        read_heldout(&folder.join(HELDOUT_FILE)).map_err(told)?
    } else {
        Vec::new()
    };
    let name = Status::read_file(&folder.join(status::FILE))
        .map_or_else(|_| label(folder), |status| status.name);
    Ok(curve(&name, &online, &heldout))
}

/// The curve of these rows; none if no text was predicted.
fn curve(name: &str, online: &[OnlineRow], heldout: &[HeldoutRow]) -> Option<Curve> {
    let points = windows(online);
    let (nats, bytes) = sum(online.iter().map(|row| (row.nats_q32, row.bytes)));
    let role_bpb = |role: HeldoutRole| {
        let rows = heldout.iter().filter(|row| row.role == role);
        let (nats, bytes) = sum(rows.map(|row| (row.nats_q32, row.bytes)));
        bits_per_byte(nats, bytes)
    };
    Some(Curve {
        name: short(name),
        total_bpb: bits_per_byte(nats, bytes)?,
        twin_bpb: role_bpb(HeldoutRole::Twin),
        trained_bpb: role_bpb(HeldoutRole::Trained),
        points: (!points.is_empty()).then_some(points)?,
    })
}

/// Predicted steps, joined to windows of at least a [`WINDOWS`]th of the text. A last window of less than half the one
/// before is joined to that: a part of a step is too little text for a mean. What was left unpredicted is not drawn.
fn windows(online: &[OnlineRow]) -> Vec<(f64, f64)> {
    let predicted = || online.iter().filter(|row| !row.unpredicted);
    let total: u64 = predicted().map(|row| row.bytes).sum();
    // (nats, bytes) of every window
    let mut windows: Vec<(i128, u64)> = Vec::new();
    let (mut nats, mut bytes) = (0_i128, 0_u64);
    let mut rows = predicted().peekable();
    while let Some(row) = rows.next() {
        nats += i128::from(row.nats_q32);
        bytes += row.bytes;
        let step_goes_on = rows.peek().is_some_and(|next| next.step == row.step);
        let is_full = bytes.saturating_mul(WINDOWS) >= total;
        if !step_goes_on && (is_full || rows.peek().is_none()) {
            windows.push((nats, bytes));
            (nats, bytes) = (0, 0);
        }
    }
    if let [.., before, last] = windows.as_mut_slice()
        && last.1.saturating_mul(2) < before.1
    {
        *before = (before.0 + last.0, before.1 + last.1);
        windows.pop();
    }
    let mut so_far = 0;
    windows
        .into_iter()
        .filter_map(|(nats, bytes)| {
            so_far += bytes;
            Some((so_far as f64, bits_per_byte(nats, bytes)?))
        })
        .collect()
}

fn sum(rows: impl Iterator<Item = (i64, u64)>) -> (i128, u64) {
    rows.fold((0, 0), |(nats, bytes), (more_nats, more_bytes)| {
        (nats + i128::from(more_nats), bytes + more_bytes)
    })
}

fn bits_per_byte(nats_q32: i128, bytes: u64) -> Option<f64> {
    (bytes > 0).then(|| nats_q32 as f64 * BITS_PER_Q32 / bytes as f64)
}

/// A name that the embedded font has letters for.
fn short(name: &str) -> String {
    let stem = name.strip_suffix(".zip").unwrap_or(name);
    let letter = |letter: char| match letter {
        ' '..='~' => letter,
        _ => '?',
    };
    let mut short: String = stem.chars().take(MAX_NAME_CHARS).map(letter).collect();
    if stem.chars().count() > MAX_NAME_CHARS {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::run_fixture::{heldout_rows, online_rows};

    #[test]
    fn windows_are_exact_means() {
        let drawn = curve("a\u{e9}.zip", &online_rows(), &heldout_rows()).unwrap();
        assert_eq!(drawn.name, "a?");
        let bytes: Vec<f64> = drawn.points.iter().map(|point| point.0).collect();
        assert_eq!(bytes, [400.0, 802.0, 1206.0]);
        let first = (500.0 + 1.0 / 3.0) / std::f64::consts::LN_2 / 400.0;
        assert!((drawn.points[0].1 - first).abs() < 1e-9);
        let twin = 720.0 / std::f64::consts::LN_2 / 256.0;
        assert!((drawn.twin_bpb.unwrap() - twin).abs() < 1e-9);
        assert!(drawn.trained_bpb.unwrap() < twin);
    }

    #[test]
    fn long_runs_have_few_points_that_add_up() {
        let rows: Vec<OnlineRow> = (0..10_000)
            .map(|step| OnlineRow {
                step,
                tokens: 10,
                bytes: 100,
                nats_q32: i64::from(step) << 24,
                ..OnlineRow::default()
            })
            .collect();
        let points = windows(&rows);
        assert!((100..=150).contains(&points.len()), "{}", points.len());
        let mut from = 0.0;
        let bits: f64 = points
            .iter()
            .map(|(to, bpb)| {
                let bits = bpb * (to - from);
                from = *to;
                bits
            })
            .sum();
        let (nats, _) = sum(rows.iter().map(|row| (row.nats_q32, row.bytes)));
        assert!((bits / (nats as f64 * BITS_PER_Q32) - 1.0).abs() < 1e-12);
        assert_eq!(points.last().unwrap().0, 1_000_000.0);
    }

    #[test]
    fn nothing_predicted_is_no_curve() {
        assert_eq!(curve("a", &[], &[]), None);
        assert_eq!(curve("a", &[OnlineRow::default()], &[]), None);
    }
}
