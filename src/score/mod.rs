//! From streams to scores: loss streams on disk, bits per byte, held-out figures, the versioned scoring rules,
//! leaderboard, weights, and rescoring of what is already there.
//!
//! [`score_run`] is the way through this room for a run that was just measured. Nothing here looks at a submission.

pub mod code_length;
pub mod components;
pub mod constants;
pub mod drift;
pub mod error;
pub mod formulas;
pub mod identity;
mod index_file;
pub mod inputs;
mod instant;
pub mod json;
pub mod leaderboard;
pub mod manifest;
mod manifest_file;
mod manifest_lines;
pub mod measurement;
pub mod paired;
pub mod plausible;
pub mod report_tables;
pub mod rescore;
pub mod rescore_row;
mod skim;
pub mod standings;
pub mod stream_child;
pub mod stream_digests;
mod stream_query;
pub mod stream_rows;
mod stream_sums;
pub mod streams;
pub mod table;
pub mod ties;
pub mod totals;
pub mod v1;
mod v1_fields;
pub mod v2;
pub mod v3;

use std::path::Path;

pub use error::ScoreError;

/// A scored run: what its streams add up to, its score, and the manifest's blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredRun {
    pub totals: totals::RunTotals,
    pub score: v3::ScoreV3,
    pub blocks: manifest::ManifestBlocks,
    pub coverage: manifest::DataCoverage,
}

/// Scores the run whose streams lie in `folder`, under `prism_score.v3`. The result is a function of the streams and of
/// `measurement`, bit for bit; `model_params` (the referee's count) is passed through to the manifest.
///
/// # Errors
/// Those of reading the streams, and [`ScoreError::Unscorable`] with all reasons. Must not be called from a rayon
/// worker ([`totals::totals`]).
pub fn score_run(
    submission_id: &str,
    folder: &Path,
    measurement: &measurement::MeasurementBlock,
    model_params: Option<u64>,
) -> Result<ScoredRun, ScoreError> {
    let runs = [(submission_id.to_owned(), folder.to_path_buf())];
    let unscorable = |reasons| ScoreError::Unscorable {
        submission_id: submission_id.to_owned(),
        reasons,
    };
    let totals = totals::totals(&runs)?
        .pop()
        .ok_or_else(|| unscorable(vec!["its streams add up to nothing".to_owned()]))?;
    let score = v3::score(&totals, &measurement.facts()).map_err(unscorable)?;
    let rows = streams::read_online(&folder.join(streams::ONLINE_FILE))?;
    let digests = stream_digests::StreamDigests::of(folder)?;
    let blocks =
        manifest::manifest_blocks(&totals, &rows, &score, measurement, &digests, model_params);
    Ok(ScoredRun {
        totals,
        score,
        blocks,
        coverage: manifest::data_coverage(&rows),
    })
}

#[cfg(test)]
pub(crate) mod run_fixture;
#[cfg(test)]
mod schema_tests;
