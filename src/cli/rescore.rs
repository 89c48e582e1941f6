//! `prism rescore PATH…`: every score again, under a chosen version of the rules.

use std::path::PathBuf;

use clap::ValueEnum;
use prism::exit;
use prism::score::rescore::{self as room, RescoreOutcome, ScoringVersion};

use super::{Complaint, Format, Global, output};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scoring {
    /// v3 for runs measured here, v2 for historical manifests.
    Own,
    V2,
    V3,
}

pub fn rescore(global: &Global, paths: &[PathBuf], scoring: Scoring) -> Result<u8, Complaint> {
    let version = match scoring {
        Scoring::Own => ScoringVersion::Auto,
        Scoring::V2 => ScoringVersion::V2,
        Scoring::V3 => ScoringVersion::V3,
    };
    let report = room::rescore(paths, version);
    if global.format == Format::Json {
        output::json(&report)?;
        return Ok(exit::OK);
    }
    let mut text = String::from("score     bpb      version         drift     submission  path\n");
    for row in &report.rows {
        match row {
            RescoreOutcome::Scored(row) => text.push_str(&format!(
                "{:.6}  {:<7.4}  {:<14}  {:<8}  {}  {}\n",
                row.final_score,
                row.bpb,
                row.scoring_version,
                row.drift
                    .map_or_else(|| "-".to_owned(), |drift| format!("{drift:.1e}")),
                row.submission_id,
                row.path
            )),
            RescoreOutcome::Failed(row) => {
                text.push_str(&format!(
                    "error     {}: {}\n",
                    row.path,
                    row.error.join("; ")
                ));
            }
        }
    }
    text.push_str(&format!(
        "{} scored, {} errors\n",
        report.scored, report.failed
    ));
    output::print(&text)?;
    Ok(exit::OK)
}
