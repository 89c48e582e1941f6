//! `prism rescore PATH…`: every score again, under a chosen version of the rules.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use prism::exit;
use prism::outbox::atomic;
use prism::outbox::schema::Schema;
use prism::score::ScoreError;
use prism::score::drift::DEFAULT_TOLERANCE;
use prism::score::identity::Index;
use prism::score::report_tables::{leaderboard_table, rescore_table, weights_table};
use prism::score::rescore::{self as room, Options, RescoreReport, ScoringVersion};
use prism::score::table::Table;

use super::rescore_text::{self, printable};
use super::{Complaint, Format, Global, output};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scoring {
    /// v3 for runs measured here, v2 and v1 for historical manifests.
    Auto,
    V3,
    V2,
    V1,
}

#[derive(clap::Args)]
pub struct Arguments {
    /// Manifests (.json), files of one manifest a line (.jsonl, .jsonl.zst), run folders, folders of any, or patterns.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Rules: those of the input's own kind, or one version for all.
    #[arg(long, value_enum, default_value_t = Scoring::Auto)]
    scoring: Scoring,
    /// Who submitted what, and when: submission_id, hotkey, accepted_at (.csv, .json, .jsonl or .parquet).
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,
    /// Rank and weigh by epochs of acceptance of this length as well, for example 21600.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    epoch_seconds: Option<u64>,
    /// Mark neighbours on the leaderboard whose streams do not tell them apart (run folders only).
    #[arg(long)]
    ties: bool,
    /// Difference up to which a recorded number is reproduced: |a - b| <= T x max(1, |a|).
    #[arg(long, value_name = "T", default_value_t = DEFAULT_TOLERANCE, value_parser = tolerance)]
    tolerance: f64,
    /// Exit with 1 when any input has no score.
    #[arg(long)]
    strict: bool,
    /// Write the report there instead of to stdout, in the form of --format; parquet needs it.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the leaderboard there (.json, .csv or .parquet).
    #[arg(long, value_name = "FILE")]
    leaderboard: Option<PathBuf>,
    /// Write the weights there (.json, .csv or .parquet).
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
}

/// Name of the command that adds up streams for `rescore`.
pub const SUM_STREAMS: &str = "sum-streams";

/// Adds up streams: folders in, sums out, a line for each.
pub fn sum_streams() -> Result<u8, Complaint> {
    prism::score::stream_child::serve(std::io::stdin().lock(), std::io::stdout().lock()).map_err(
        |error| Complaint::new(exit::USAGE, error, "`prism rescore` starts this command"),
    )?;
    Ok(exit::OK)
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err("expected a number from 0".to_owned()),
    }
}

pub fn rescore(global: &Global, arguments: &Arguments) -> Result<u8, Complaint> {
    check(global, arguments)?;
    let options = Options {
        scoring: match arguments.scoring {
            Scoring::Auto => ScoringVersion::Auto,
            Scoring::V3 => ScoringVersion::V3,
            Scoring::V2 => ScoringVersion::V2,
            Scoring::V1 => ScoringVersion::V1,
        },
        tolerance: arguments.tolerance,
        index: match &arguments.index {
            None => None,
            Some(path) => Some(
                Index::read(path)
                    .map_err(|error| Complaint::new(exit::USAGE, &error, error.hint()))?,
            ),
        },
        epoch_seconds: arguments.epoch_seconds,
        ties: arguments.ties,
        stream_helper: std::env::current_exe().ok().map(|path| (path, SUM_STREAMS)),
    };
    let report = room::rescore(&arguments.paths, &options);
    if let Some(path) = &arguments.leaderboard {
        let json = |path: &Path| atomic::write_json(path, Schema::Leaderboard, &report.leaderboard);
        write_standing(path, &leaderboard_table(&report), json)?;
    }
    if let Some(path) = &arguments.weights {
        let json = |path: &Path| atomic::write_json(path, Schema::Weights, &report.weights);
        write_standing(path, &weights_table(&report), json)?;
    }
    publish(global.format, arguments.output.as_deref(), &report)?;
    let complete =
        matches!(global.format, Format::Text | Format::Json) && arguments.output.is_none();
    if !global.quiet && !complete {
        news(&report);
    }
    if arguments.strict && report.failed > 0 {
        return Ok(exit::RESCORE_STRICT);
    }
    Ok(exit::OK)
}

fn usage(message: &str, hint: &str) -> Complaint {
    Complaint::new(exit::USAGE, message, hint)
}

/// What the parser cannot know, before any work.
fn check(global: &Global, arguments: &Arguments) -> Result<(), Complaint> {
    if global.format == Format::Parquet && arguments.output.is_none() {
        return Err(usage(
            "--format parquet needs --output FILE",
            "Parquet is no text: name the file to write.",
        ));
    }
    for path in [&arguments.leaderboard, &arguments.weights]
        .into_iter()
        .flatten()
    {
        match suffix(path) {
            "csv" | "parquet" => {}
            "json" if arguments.epoch_seconds.is_none() => {}
            "json" => {
                return Err(usage(
                    "--epoch-seconds with a .json file for leaderboard or weights",
                    "The report of --format json has the standing of every epoch; .csv and .parquet have a column for it.",
                ));
            }
            _ => {
                return Err(usage(
                    &format!("{}: its form is not known", path.display()),
                    "Give a name that ends in .json, .csv or .parquet.",
                ));
            }
        }
    }
    Ok(())
}

fn suffix(path: &Path) -> &str {
    path.extension()
        .and_then(|suffix| suffix.to_str())
        .unwrap_or_default()
}

fn wrong(error: ScoreError) -> Complaint {
    Complaint::new(exit::INFRASTRUCTURE, &error, error.hint())
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> Complaint {
    move |error| {
        Complaint::new(
            exit::INFRASTRUCTURE,
            format!("{}: {error}", path.display()),
            "check that the folder exists and is writable",
        )
    }
}

fn write_standing(
    path: &Path,
    table: &Table,
    json: impl Fn(&Path) -> Result<(), prism::outbox::OutboxError>,
) -> Result<(), Complaint> {
    let path = std::path::absolute(path).map_err(io(path))?;
    match suffix(&path) {
        "csv" => replace(&path, &table.csv().map_err(wrong)?),
        "parquet" => table.write_parquet(&path).map_err(wrong),
        _ => {
            json(&path).map_err(|error| Complaint::new(exit::INFRASTRUCTURE, &error, error.hint()))
        }
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), Complaint> {
    atomic::write(path, bytes)
        .map_err(|error| Complaint::new(exit::INFRASTRUCTURE, &error, error.hint()))
}

/// The report, in its form, to its place.
fn publish(form: Format, path: Option<&Path>, report: &RescoreReport) -> Result<(), Complaint> {
    let path = match path {
        None => None,
        Some(path) => Some(std::path::absolute(path).map_err(io(path))?),
    };
    if let (Format::Parquet, Some(path)) = (form, &path) {
        return rescore_table(report).write_parquet(path).map_err(wrong);
    }
    let bytes = match form {
        Format::Json if path.is_none() => return output::json_piecewise(report),
        Format::Json => {
            let mut text = serde_json::to_vec_pretty(report).map_err(|error| {
                Complaint::new(
                    exit::INFRASTRUCTURE,
                    error,
                    "please report this fault of prism",
                )
            })?;
            text.push(b'\n');
            text
        }
        Format::Csv => rescore_table(report).csv().map_err(wrong)?,
        _ => rescore_text::text(report).into_bytes(),
    };
    match path {
        Some(path) => replace(&path, &bytes),
        None => output::print_bytes(&bytes),
    }
}

/// What stdout does not show: the counts, and every input without a score.
fn news(report: &RescoreReport) {
    let mut stderr = std::io::stderr().lock();
    for line in rescore_text::failures(report) {
        // nobody is left to tell when stderr is closed
        let _ = writeln!(stderr, "prism: {}", printable(&line));
    }
    let _ = writeln!(stderr, "prism: {}", rescore_text::counts(report));
}
