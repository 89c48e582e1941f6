//! Rescoring: every manifest and every run folder it is given, under a chosen version of the rules.
//!
//! One input costs itself only: what cannot be scored becomes a row with its reasons, and the rest goes on.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::constants::{SCORE_V2, SCORE_V3};
use super::error::ScoreError;
use super::inputs::{self, Input, MANIFEST_FILE};
use super::manifest_lines;
use super::measurement::{MeasurementBlock, RecordedMeasurement};
use super::totals::{RunTotals, totals};
use super::{json, v2, v3};

/// Schema version of a rescoring report.
pub const RESCORE_SCHEMA: &str = "prism_rescore.v1";

/// Which rules to apply.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ScoringVersion {
    /// v3 for run folders of this project, v2 for manifests.
    Auto,
    V2,
    V3,
}

/// One rescored input.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RescoreRow {
    /// As the manifest says; the file's name when it says nothing.
    pub submission_id: String,
    /// File or folder; `file:line` for a line of a file.
    pub path: String,
    pub scoring_version: String,
    /// Prequential bits per byte.
    pub bpb: f64,
    /// With the code's length (v3 only).
    pub two_part_bpb: Option<f64>,
    pub final_score: f64,
    pub flags: Vec<String>,
    pub heldout_delta: Option<f64>,
    pub train_heldout_gap: Option<f64>,
    pub memorization_flag: bool,
    pub memorization_penalty: f64,
    pub anti_cheat_multiplier: f64,
    pub recorded_scoring_version: Option<String>,
    pub recorded_final_score: Option<f64>,
    /// `final_score - recorded_final_score`, when both are of the same version.
    pub drift: Option<f64>,
}

/// One input without a score.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct RescoreFailure {
    pub submission_id: Option<String>,
    pub path: String,
    /// All reasons.
    pub error: Vec<String>,
}

/// What became of one input.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(untagged)]
pub enum RescoreOutcome {
    Scored(RescoreRow),
    Failed(RescoreFailure),
}

/// The report, in the order of the inputs.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RescoreReport {
    pub schema_version: String,
    pub scoring: ScoringVersion,
    pub scored: u64,
    pub failed: u64,
    /// JSON files of another kind, met on the way through folders.
    pub skipped: u64,
    pub rows: Vec<RescoreOutcome>,
}

/// Rescores files and folders ([`inputs::find`]). Must not be called from a rayon worker: streams are added up by
/// polars, which has a pool of its own.
pub fn rescore(paths: &[PathBuf], scoring: ScoringVersion) -> RescoreReport {
    let found: Vec<Work> = inputs::find(paths)
        .into_par_iter()
        .map(|input| look_at(input, scoring))
        .collect();
    let (mut rows, mut waiting, mut skipped) = (Vec::new(), Vec::new(), 0);
    for work in found {
        match work {
            Work::Done(outcome) => rows.push(Some(outcome)),
            Work::Skip => skipped += 1,
            Work::AddUp(run) => {
                waiting.push((rows.len(), run));
                rows.push(None);
            }
            Work::Lines(path) => manifest_lines::for_each_batch(&path, |batch| {
                let scored: Vec<_> = batch
                    .into_par_iter()
                    .map(|line| score_line(&path, line, scoring))
                    .collect();
                rows.extend(scored.into_iter().map(Some));
            }),
        }
    }
    let folders: Vec<_> = waiting
        .iter()
        .map(|(_, run)| (run.head.submission_id.clone(), run.folder.clone()))
        .collect();
    for ((place, run), sums) in waiting.into_iter().zip(totals_of_each(&folders)) {
        rows[place] = Some(score_run(run, sums));
    }
    let rows: Vec<RescoreOutcome> = rows.into_iter().flatten().collect();
    let failed = rows
        .iter()
        .filter(|row| matches!(row, RescoreOutcome::Failed(_)))
        .count() as u64;
    RescoreReport {
        schema_version: RESCORE_SCHEMA.to_owned(),
        scoring,
        scored: rows.len() as u64 - failed,
        failed,
        skipped,
        rows,
    }
}

enum Work {
    Done(RescoreOutcome),
    Skip,
    Lines(PathBuf),
    AddUp(Run),
}

/// What a manifest says about itself.
struct Head {
    submission_id: String,
    path: String,
    recorded_scoring_version: Option<String>,
    recorded_final_score: Option<f64>,
}

struct Run {
    head: Head,
    folder: PathBuf,
    facts: MeasurementBlock,
}

fn look_at(input: Result<Input, (PathBuf, ScoreError)>, scoring: ScoringVersion) -> Work {
    let (path, named) = match input {
        Err((path, error)) => {
            return Work::Done(failure(None, path.display().to_string(), error.reasons()));
        }
        Ok(Input::Lines { path }) => return Work::Lines(path),
        Ok(Input::Run { folder }) if scoring != ScoringVersion::V2 => return look_at_run(folder),
        Ok(Input::Run { folder }) => (folder.join(MANIFEST_FILE), true),
        Ok(Input::Manifest { path, named }) => (path, named),
    };
    let shown = path.display().to_string();
    match json::read(&path) {
        Err(error) => Work::Done(failure(None, shown, error.reasons())),
        Ok(document) if !named && is_of_another_kind(&document) => Work::Skip,
        Ok(manifest) => Work::Done(score_manifest(&manifest, stem(&path), shown, scoring)),
    }
}

fn look_at_run(folder: PathBuf) -> Work {
    let shown = folder.display().to_string();
    let manifest = match json::read(&folder.join(MANIFEST_FILE)) {
        Ok(manifest) => manifest,
        Err(error) => return Work::Done(failure(None, shown, error.reasons())),
    };
    let head = head(&manifest, stem(&folder), shown);
    let measurement = manifest.get("measurement").cloned().unwrap_or(Value::Null);
    let reasons = match serde_json::from_value::<RecordedMeasurement>(measurement) {
        Ok(RecordedMeasurement { facts, streams }) => match streams.check(&folder) {
            Ok(()) => {
                return Work::AddUp(Run {
                    head,
                    folder,
                    facts,
                });
            }
            Err(error) => error.reasons(),
        },
        Err(error) => vec![format!("measurement: {error}")],
    };
    Work::Done(failure(Some(head.submission_id), head.path, reasons))
}

fn score_line(path: &Path, line: manifest_lines::Line, scoring: ScoringVersion) -> RescoreOutcome {
    let shown = format!("{}:{}", path.display(), line.number);
    match line.text.and_then(|text| json::parse(&text)) {
        Ok(manifest) => score_manifest(
            &manifest,
            format!("{}:{}", stem(path), line.number),
            shown,
            scoring,
        ),
        Err(error) => failure(None, shown, error.reasons()),
    }
}

fn score_manifest(
    manifest: &Value,
    name: String,
    path: String,
    scoring: ScoringVersion,
) -> RescoreOutcome {
    let head = head(manifest, name, path);
    let schema = manifest.get("schema_version").and_then(Value::as_str);
    let reasons = match schema {
        Some("prism_run_manifest.v2") if scoring == ScoringVersion::V3 => {
            vec![format!(
                "{SCORE_V3} needs the streams of the run, which a manifest alone does not hold"
            )]
        }
        Some("prism_run_manifest.v2") => match v2::score(manifest) {
            Ok(score) => return row_v2(head, score),
            Err(reasons) => reasons,
        },
        other => vec![format!(
            "schema_version: {}, expected prism_run_manifest.v2",
            other.unwrap_or("missing or not a text")
        )],
    };
    failure(Some(head.submission_id), head.path, reasons)
}

fn score_run(run: Run, sums: Result<RunTotals, ScoreError>) -> RescoreOutcome {
    let scored = sums
        .map_err(|error| error.reasons())
        .and_then(|sums| v3::score(&sums, &run.facts.facts()));
    match scored {
        Ok(score) => row_v3(run.head, score),
        Err(reasons) => failure(Some(run.head.submission_id), run.head.path, reasons),
    }
}

/// Totals of every run. When the one query over all of them fails, halves of the list are tried, so that few damaged
/// streams among many cost few queries.
fn totals_of_each(runs: &[(String, PathBuf)]) -> Vec<Result<RunTotals, ScoreError>> {
    let mut sums = Vec::with_capacity(runs.len());
    let mut parts = vec![runs];
    while let Some(part) = parts.pop() {
        match totals(part) {
            Ok(all) => sums.extend(all.into_iter().map(Ok)),
            Err(error) if part.len() <= 1 => sums.push(Err(error)),
            Err(_) => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([second, first]);
            }
        }
    }
    sums
}

fn head(manifest: &Value, name: String, path: String) -> Head {
    let score = manifest.get("score");
    let field = |name: &str| score.and_then(|score| score.get(name));
    Head {
        submission_id: manifest
            .get("submission_id")
            .and_then(Value::as_str)
            .map_or(name, str::to_owned),
        path,
        recorded_scoring_version: field("schema").and_then(Value::as_str).map(str::to_owned),
        recorded_final_score: field("final_score").and_then(Value::as_f64),
    }
}

fn drift(head: &Head, version: &str, final_score: f64) -> Option<f64> {
    let same_rules = head.recorded_scoring_version.as_deref() == Some(version);
    head.recorded_final_score
        .filter(|_| same_rules)
        .map(|recorded| final_score - recorded)
}

fn row_v2(head: Head, score: v2::ScoreV2) -> RescoreOutcome {
    RescoreOutcome::Scored(RescoreRow {
        drift: drift(&head, SCORE_V2, score.final_score),
        submission_id: head.submission_id,
        path: head.path,
        scoring_version: SCORE_V2.to_owned(),
        bpb: score.prequential_bpb,
        two_part_bpb: None,
        final_score: score.final_score,
        flags: score.flags.into_iter().map(str::to_owned).collect(),
        heldout_delta: score.heldout_delta,
        train_heldout_gap: score.train_heldout_gap,
        memorization_flag: score.memorization_flag,
        memorization_penalty: score.memorization_penalty,
        anti_cheat_multiplier: score.anti_cheat_multiplier,
        recorded_scoring_version: head.recorded_scoring_version,
        recorded_final_score: head.recorded_final_score,
    })
}

fn row_v3(head: Head, score: v3::ScoreV3) -> RescoreOutcome {
    RescoreOutcome::Scored(RescoreRow {
        drift: drift(&head, SCORE_V3, score.final_score),
        submission_id: head.submission_id,
        path: head.path,
        scoring_version: score.schema,
        bpb: score.prequential_bpb,
        two_part_bpb: Some(score.two_part_bpb),
        final_score: score.final_score,
        flags: score.flags,
        heldout_delta: score.heldout_delta,
        train_heldout_gap: score.train_heldout_gap,
        memorization_flag: score.memorization_flag,
        memorization_penalty: score.memorization_penalty,
        anti_cheat_multiplier: score.anti_cheat_multiplier,
        recorded_scoring_version: head.recorded_scoring_version,
        recorded_final_score: head.recorded_final_score,
    })
}

fn failure(submission_id: Option<String>, path: String, error: Vec<String>) -> RescoreOutcome {
    RescoreOutcome::Failed(RescoreFailure {
        submission_id,
        path,
        error,
    })
}

/// A JSON file that names itself something other than a run manifest: a leaderboard, a corpus, a status.
fn is_of_another_kind(document: &Value) -> bool {
    let schema = document.get("schema_version").and_then(Value::as_str);
    schema.is_some_and(|schema| !schema.starts_with("prism_run_manifest."))
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
#[path = "rescore_tests.rs"]
mod tests;
