//! A rescoring, its leaderboard and its weights as tables.

use super::leaderboard::{LeaderboardRow, Weights};
use super::rescore::{RescoreOutcome, RescoreReport, RescoreRow};
use super::table::Table;

/// One row for each input, in their order; `error` is empty for those with a score.
pub fn rescore_table(report: &RescoreReport) -> Table {
    let rows = &report.rows;
    let scored = |row: &RescoreOutcome| match row {
        RescoreOutcome::Scored(row) => Some(row.clone()),
        RescoreOutcome::Failed(_) => None,
    };
    let number = |pick: fn(&RescoreRow) -> Option<f64>| {
        move |row: &RescoreOutcome| match row {
            RescoreOutcome::Scored(row) => pick(row),
            RescoreOutcome::Failed(_) => None,
        }
    };
    let text = |pick: fn(&RescoreRow) -> Option<String>| {
        move |row: &RescoreOutcome| match row {
            RescoreOutcome::Scored(row) => pick(row),
            RescoreOutcome::Failed(_) => None,
        }
    };
    let joined = |list: &[String]| list.join(";");
    Table::default()
        .text("submission_id", rows, |row| match row {
            RescoreOutcome::Scored(row) => Some(row.submission_id.clone()),
            RescoreOutcome::Failed(row) => row.submission_id.clone(),
        })
        .text("path", rows, |row| match row {
            RescoreOutcome::Scored(row) => Some(row.path.clone()),
            RescoreOutcome::Failed(row) => Some(row.path.clone()),
        })
        .text("hotkey", rows, text(|row| row.hotkey.clone()))
        .count("accepted_at_unix_ms", rows, |row| {
            scored(row).and_then(|row| row.accepted_at_unix_ms)
        })
        .text(
            "scoring_version",
            rows,
            text(|row| Some(row.scoring_version.clone())),
        )
        .number("bpb", rows, number(|row| row.bpb))
        .number("two_part_bpb", rows, number(|row| row.two_part_bpb))
        .number("q_arch", rows, number(|row| row.q_arch))
        .number("q_recipe", rows, number(|row| row.q_recipe))
        .number("final_score", rows, number(|row| Some(row.final_score)))
        .text("flags", rows, |row| {
            scored(row).map(|row| joined(&row.flags))
        })
        .number("heldout_delta", rows, number(|row| row.heldout_delta))
        .number(
            "train_heldout_gap",
            rows,
            number(|row| row.train_heldout_gap),
        )
        .flag("memorization_flag", rows, |row| {
            scored(row).map(|row| row.memorization_flag)
        })
        .number(
            "memorization_penalty",
            rows,
            number(|row| Some(row.memorization_penalty)),
        )
        .number(
            "anti_cheat_multiplier",
            rows,
            number(|row| Some(row.anti_cheat_multiplier)),
        )
        .text(
            "recorded_scoring_version",
            rows,
            text(|row| row.recorded_scoring_version.clone()),
        )
        .number(
            "recorded_final_score",
            rows,
            number(|row| row.recorded_final_score),
        )
        .number("drift", rows, number(|row| row.drift))
        .text("drifted_fields", rows, |row| {
            scored(row).map(|row| {
                let fields: Vec<String> =
                    row.drifted.into_iter().map(|drift| drift.field).collect();
                joined(&fields)
            })
        })
        .text("error", rows, |row| match row {
            RescoreOutcome::Scored(_) => None,
            RescoreOutcome::Failed(row) => Some(row.error.join("; ")),
        })
}

/// The standing of everything, or by epoch when the report has epochs.
pub fn leaderboard_table(report: &RescoreReport) -> Table {
    let rows: Vec<(Option<u64>, &LeaderboardRow)> = match &report.epochs {
        None => report
            .leaderboard
            .rows
            .iter()
            .map(|row| (None, row))
            .collect(),
        Some(epochs) => epochs
            .iter()
            .flat_map(|epoch| epoch.leaderboard.rows.iter().map(|row| (epoch.epoch, row)))
            .collect(),
    };
    let table = match report.epochs {
        None => Table::default(),
        Some(_) => Table::default().count("epoch", &rows, |row| row.0),
    };
    table
        .count("rank", &rows, |row| Some(u64::from(row.1.rank)))
        .text("submission_id", &rows, |row| {
            Some(row.1.submission_id.clone())
        })
        .text("hotkey", &rows, |row| row.1.hotkey.clone())
        .count("accepted_at_unix_ms", &rows, |row| {
            row.1.accepted_at_unix_ms
        })
        .text("scoring_version", &rows, |row| {
            Some(row.1.scoring_version.clone())
        })
        .number("final_score", &rows, |row| Some(row.1.final_score))
        .number("prequential_bpb", &rows, |row| row.1.prequential_bpb)
        .number("two_part_bpb", &rows, |row| row.1.two_part_bpb)
        .number("heldout_delta", &rows, |row| row.1.heldout_delta)
        .text("flags", &rows, |row| Some(row.1.flags.join(";")))
        .flag("tied_with_above", &rows, |row| row.1.tied_with_above)
}

/// Owner and weight, or epoch, owner and weight when the report has epochs.
pub fn weights_table(report: &RescoreReport) -> Table {
    fn of(epoch: Option<u64>, weights: &Weights) -> Vec<(Option<u64>, String, f64)> {
        let weights = weights.weights.iter();
        weights
            .map(|(owner, weight)| (epoch, owner.clone(), *weight))
            .collect()
    }
    let rows: Vec<(Option<u64>, String, f64)> = match &report.epochs {
        None => of(None, &report.weights),
        Some(epochs) => epochs
            .iter()
            .flat_map(|epoch| of(epoch.epoch, &epoch.weights))
            .collect(),
    };
    let table = match report.epochs {
        None => Table::default(),
        Some(_) => Table::default().count("epoch", &rows, |row| row.0),
    };
    table
        .text("owner", &rows, |row| Some(row.1.clone()))
        .number("weight", &rows, |row| Some(row.2))
}
