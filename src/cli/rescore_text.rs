//! A rescoring as people read it.

use prism::score::leaderboard::{Leaderboard, LeaderboardRow, Weights, owner};
use prism::score::rescore::{RescoreOutcome, RescoreReport};

/// Letters that a terminal would obey are shown as `?`: names and ids come from the inputs.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect()
}

/// One line for each input without a score.
pub fn failures(report: &RescoreReport) -> impl Iterator<Item = String> {
    report.rows.iter().filter_map(|row| match row {
        RescoreOutcome::Scored(_) => None,
        RescoreOutcome::Failed(row) => Some(format!("{}: {}", row.path, row.error.join("; "))),
    })
}

/// `=` behind the rank of a row that its stream does not tell from the one above.
pub fn tie_mark(row: &LeaderboardRow) -> char {
    if row.tied_with_above == Some(true) {
        '='
    } else {
        ' '
    }
}

/// How many of each.
pub fn counts(report: &RescoreReport) -> String {
    let mut text = format!("{} scored, {} errors", report.scored, report.failed);
    if report.drifted > 0 {
        text.push_str(&format!(", {} drifted", report.drifted));
    }
    if report.skipped > 0 {
        text.push_str(&format!(", {} files of another kind", report.skipped));
    }
    text
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

/// Scores, standing and weights.
pub fn text(report: &RescoreReport) -> String {
    let mut text = String::from("score     bpb      version         drift     submission  path\n");
    for row in &report.rows {
        let line = match row {
            RescoreOutcome::Scored(row) => format!(
                "{:.6}  {:<7}  {:<14}  {:<8}  {}  {}",
                row.final_score,
                number(row.bpb, 4),
                row.scoring_version,
                row.drift
                    .map_or_else(|| "-".to_owned(), |drift| format!("{drift:.1e}")),
                row.submission_id,
                row.path
            ),
            RescoreOutcome::Failed(row) => {
                format!("error     {}: {}", row.path, row.error.join("; "))
            }
        };
        text.push_str(&printable(&line));
        text.push('\n');
    }
    for row in &report.rows {
        if let RescoreOutcome::Scored(row) = row {
            for drift in &row.drifted {
                let line = format!(
                    "drift     {}: {} was {}, is {}",
                    row.path, drift.field, drift.recorded, drift.recomputed
                );
                text.push_str(&printable(&line));
                text.push('\n');
            }
        }
    }
    text.push_str(&counts(report));
    text.push('\n');
    match &report.epochs {
        None => standing(
            &mut text,
            "leaderboard",
            &report.leaderboard,
            &report.weights,
        ),
        Some(epochs) => {
            for epoch in epochs {
                let name = match epoch.epoch {
                    Some(number) => format!("leaderboard of epoch {number}"),
                    None => "leaderboard of submissions whose acceptance is not known".to_owned(),
                };
                standing(&mut text, &name, &epoch.leaderboard, &epoch.weights);
            }
        }
    }
    text
}

fn standing(text: &mut String, name: &str, leaderboard: &Leaderboard, weights: &Weights) {
    if leaderboard.rows.is_empty() {
        return;
    }
    text.push_str(&format!(
        "\n{name}\n  rank  score     bpb      weight    owner  submission\n"
    ));
    for row in &leaderboard.rows {
        let owner = owner(row);
        let line = format!(
            "  {:>4}{} {:.6}  {:<7}  {:<8}  {owner}  {}",
            row.rank,
            tie_mark(row),
            row.final_score,
            number(row.prequential_bpb, 4),
            number(weights.weights.get(&owner).copied(), 6),
            row.submission_id,
        );
        text.push_str(&printable(&line));
        text.push('\n');
    }
}
