//! Rescoring: every manifest and every run folder it is given, under a chosen version of the rules.
//!
//! One input costs itself only: what cannot be scored becomes a row with its reasons, and the rest goes on.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::constants::{SCORE_V1, SCORE_V2, SCORE_V3};
use super::drift::DEFAULT_TOLERANCE;
use super::error::ScoreError;
use super::identity::{Identity, Index};
use super::inputs::{self, Input, MANIFEST_FILE};
use super::leaderboard::{Leaderboard, LeaderboardRow, Weights, leaderboard, weights};
use super::manifest_file::{self, MANIFEST_V1, MANIFEST_V2};
use super::manifest_lines;
use super::measurement::{MeasurementBlock, RecordedMeasurement};
use super::paired::Curve;
use super::rescore_row::{Head, failure};
pub use super::rescore_row::{RescoreFailure, RescoreOutcome, RescoreRow};
use super::standings::{EpochStanding, by_epoch};
use super::stream_child::totals_in_children;
use super::ties;
use super::totals::{RunTotals, totals_of_each};
use super::{json, v1, v2, v3};

/// Schema version of a rescoring report.
pub const RESCORE_SCHEMA: &str = "prism_rescore.v1";

/// Beside the manifest of a run folder: who submitted it, and when it was accepted.
const STATUS_FILE: &str = "status.json";

/// Which rules to apply.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ScoringVersion {
    /// v3 for run folders of this project, for manifests alone the version of their own kind.
    #[default]
    Auto,
    V1,
    V2,
    V3,
}

/// How to rescore.
#[derive(Clone, Debug)]
pub struct Options {
    pub scoring: ScoringVersion,
    /// Difference up to which a recorded number counts as reproduced ([`super::drift`]).
    pub tolerance: f64,
    /// Identities that stand above those of the manifests.
    pub index: Option<Index>,
    /// Length of an epoch; none: no standings by epoch.
    pub epoch_seconds: Option<u64>,
    /// Mark neighbours on the leaderboards that their streams do not tell apart.
    pub ties: bool,
    /// The program, and its argument, that adds up streams out of this process ([`super::stream_child`]); none: in it,
    /// which a forged stream can end.
    pub stream_helper: Option<(PathBuf, &'static str)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            scoring: ScoringVersion::Auto,
            tolerance: DEFAULT_TOLERANCE,
            index: None,
            epoch_seconds: None,
            ties: false,
            stream_helper: None,
        }
    }
}

/// The report, in the order of the inputs.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RescoreReport {
    pub schema_version: String,
    pub scoring: ScoringVersion,
    pub tolerance: f64,
    pub scored: u64,
    pub failed: u64,
    /// Scored inputs whose recorded score is not reproduced within the tolerance.
    pub drifted: u64,
    /// JSON files of another kind, met on the way through folders.
    pub skipped: u64,
    pub rows: Vec<RescoreOutcome>,
    /// Standing of everything that was scored.
    pub leaderboard: Leaderboard,
    pub weights: Weights,
    /// The same by epoch of acceptance, when asked for.
    pub epochs: Option<Vec<EpochStanding>>,
}

/// Rescores files, folders and patterns ([`inputs::find`]). Must not be called from a rayon worker: streams are decoded
/// by polars, which has a pool of its own.
pub fn rescore(paths: &[PathBuf], options: &Options) -> RescoreReport {
    let found: Vec<Work> = inputs::find(paths)
        .into_par_iter()
        .map_init(Vec::new, |room, input| look_at(input, options, room))
        .collect();
    let (mut rows, mut waiting, mut skipped) = (Vec::with_capacity(found.len()), Vec::new(), 0);
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
                    .map(|line| score_line(&path, line, options))
                    .collect();
                rows.extend(scored.into_iter().map(Some));
            }),
        }
    }
    let folders: Vec<_> = waiting
        .iter()
        .map(|(_, run)| (run.head.submission_id().to_owned(), run.folder.clone()))
        .collect();
    let sums = match &options.stream_helper {
        Some((program, argument)) => totals_in_children(program, &[*argument], &folders),
        None => totals_of_each(&folders),
    };
    for ((place, run), sums) in waiting.into_iter().zip(sums) {
        rows[place] = Some(score_run(run, sums));
    }
    report(rows.into_iter().flatten().collect(), skipped, options)
}

fn report(rows: Vec<RescoreOutcome>, skipped: u64, options: &Options) -> RescoreReport {
    let standings: Vec<LeaderboardRow> = rows.iter().filter_map(RescoreOutcome::standing).collect();
    let drifted = rows
        .iter()
        .filter(|row| matches!(row, RescoreOutcome::Scored(row) if !row.drifted.is_empty()))
        .count();
    let mut standing = leaderboard(&standings);
    let mut epochs = options
        .epoch_seconds
        .map(|seconds| by_epoch(&standings, seconds));
    if options.ties {
        mark_ties(
            &rows,
            &mut standing,
            epochs.as_deref_mut().unwrap_or_default(),
        );
    }
    RescoreReport {
        schema_version: RESCORE_SCHEMA.to_owned(),
        scoring: options.scoring,
        tolerance: options.tolerance,
        scored: standings.len() as u64,
        failed: (rows.len() - standings.len()) as u64,
        drifted: drifted as u64,
        skipped,
        rows,
        leaderboard: standing,
        weights: weights(&standings),
        epochs,
    }
}

/// Streams of run folders were compared with their digests when they were scored.
fn mark_ties(rows: &[RescoreOutcome], all: &mut Leaderboard, epochs: &mut [EpochStanding]) {
    let folders: HashMap<(&str, u64), &str> = rows
        .iter()
        .filter_map(|row| match row {
            RescoreOutcome::Scored(row) if row.scoring_version == SCORE_V3 => {
                Some(((&*row.submission_id, row.final_score.to_bits()), &*row.path))
            }
            _ => None,
        })
        .collect();
    let curve = |row: &LeaderboardRow| {
        let folder = folders.get(&(&*row.submission_id, row.final_score.to_bits()))?;
        Curve::read(Path::new(folder)).ok()
    };
    ties::mark(all, curve);
    for epoch in epochs {
        ties::mark(&mut epoch.leaderboard, curve);
    }
}

enum Work {
    Done(RescoreOutcome),
    Skip,
    Lines(PathBuf),
    AddUp(Run),
}

struct Run {
    head: Head,
    folder: PathBuf,
    facts: MeasurementBlock,
}

fn look_at(
    input: Result<Input, (PathBuf, ScoreError)>,
    options: &Options,
    room: &mut Vec<u8>,
) -> Work {
    let from_streams = matches!(options.scoring, ScoringVersion::Auto | ScoringVersion::V3);
    let (path, named) = match input {
        Err((path, error)) => {
            return Work::Done(failure(None, path.display().to_string(), error.reasons()));
        }
        Ok(Input::Lines { path }) => return Work::Lines(path),
        Ok(Input::Run { folder }) if from_streams => return look_at_run(folder, options, room),
        Ok(Input::Run { folder }) => (folder.join(MANIFEST_FILE), true),
        Ok(Input::Manifest { path, named }) => (path, named),
    };
    let shown = path.display().to_string();
    match manifest_file::load(&path, room) {
        Err(error) => Work::Done(failure(None, shown, error.reasons())),
        Ok(document) if !named && is_of_another_kind(&document) => Work::Skip,
        Ok(manifest) => Work::Done(score_manifest(manifest, stem(&path), shown, options)),
    }
}

fn look_at_run(folder: PathBuf, options: &Options, room: &mut Vec<u8>) -> Work {
    let shown = folder.display().to_string();
    let mut manifest = match manifest_file::load(&folder.join(MANIFEST_FILE), room) {
        Ok(manifest) => manifest,
        Err(error) => return Work::Done(failure(None, shown, error.reasons())),
    };
    let (index, tolerance) = (options.index.as_ref(), options.tolerance);
    let mut head = match Head::take(&mut manifest, stem(&folder), shown, index, tolerance) {
        Ok(head) => head,
        Err(failure) => return Work::Done(RescoreOutcome::Failed(failure)),
    };
    let status = folder.join(STATUS_FILE);
    if status.is_file() {
        match json::read(&status).map(|status| status.as_object().map(Identity::of)) {
            Ok(Some(Ok(identity))) => head.fill_identity(identity),
            Ok(Some(Err(reason))) => {
                return Work::Done(head.fail(vec![format!("{STATUS_FILE}: {reason}")]));
            }
            Ok(None) => {
                return Work::Done(head.fail(vec![format!("{STATUS_FILE}: expected an object")]));
            }
            Err(error) => return Work::Done(head.fail(vec![format!("{STATUS_FILE}: {error}")])),
        }
    }
    let measurement = manifest
        .get_mut("measurement")
        .map_or(Value::Null, Value::take);
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
    Work::Done(head.fail(reasons))
}

fn score_line(path: &Path, line: manifest_lines::Line, options: &Options) -> RescoreOutcome {
    let shown = format!("{}:{}", path.display(), line.number);
    match line.text.and_then(|text| manifest_file::parse(&text)) {
        Ok(manifest) => {
            let name = format!("{}:{}", stem(path), line.number);
            score_manifest(manifest, name, shown, options)
        }
        Err(error) => failure(None, shown, error.reasons()),
    }
}

fn score_manifest(
    mut manifest: Value,
    name: String,
    path: String,
    options: &Options,
) -> RescoreOutcome {
    use ScoringVersion::{Auto, V1, V2, V3};
    let (index, tolerance) = (options.index.as_ref(), options.tolerance);
    let head = match Head::take(&mut manifest, name, path, index, tolerance) {
        Ok(head) => head,
        Err(failure) => return RescoreOutcome::Failed(failure),
    };
    let needs = |rules: &str, what: &str| vec![format!("{rules} needs {what}")];
    let reasons = match (manifest_file::schema_version(&manifest), options.scoring) {
        (Some(MANIFEST_V2), Auto | V2) => match v2::score(&manifest) {
            Ok(score) => return head.score_v2(score),
            Err(reasons) => reasons,
        },
        (Some(MANIFEST_V1), Auto | V1) => match v1::score(&manifest) {
            Ok(score) => return head.score_v1(score),
            Err(reasons) => reasons,
        },
        (Some(MANIFEST_V1 | MANIFEST_V2), V3) => needs(
            SCORE_V3,
            "the streams of the run, which a manifest alone does not hold",
        ),
        (Some(MANIFEST_V2), V1) => needs(SCORE_V1, "the fields of a prism_run_manifest.v1"),
        (Some(MANIFEST_V1), V2) => needs(SCORE_V2, "the fields of a prism_run_manifest.v2"),
        (other, _) => vec![format!(
            "schema_version: {}, expected {MANIFEST_V1} or {MANIFEST_V2}",
            other.map_or("missing or not a text".to_owned(), |text| text
                .chars()
                .take(60)
                .collect())
        )],
    };
    head.fail(reasons)
}

fn score_run(run: Run, sums: Result<RunTotals, ScoreError>) -> RescoreOutcome {
    let scored = sums
        .map_err(|error| error.reasons())
        .and_then(|sums| v3::score(&sums, &run.facts.facts()));
    match scored {
        Ok(score) => run.head.score_v3(score),
        Err(reasons) => run.head.fail(reasons),
    }
}

/// A JSON file that names itself something other than a run manifest: a leaderboard, a corpus, a status.
fn is_of_another_kind(document: &Value) -> bool {
    manifest_file::schema_version(document)
        .is_some_and(|schema| !schema.starts_with("prism_run_manifest."))
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
