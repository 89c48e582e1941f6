//! `prism probe ZIP`: one submission in many small sizes. Nothing of it is ranked, and the outbox is not touched.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use prism::config::Config;
use prism::exit;
use prism::plot::{self, Panel, Scale};
use prism::probe::report::ProbeReport;
use prism::probe::{self, ProbeError};
use prism::progress::{Progress, Show};

use super::{Complaint, Format, Global, output};

#[derive(clap::Args)]
pub struct Arguments {
    /// The archive.
    zip: PathBuf,
    /// Text of each run, in bytes.
    #[arg(long, default_value_t = 200_000, value_name = "N")]
    bytes: u64,
    /// Draw the runs' losses: `.svg` or `.png`.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Keep the runs in this folder, which must not be there yet.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

pub fn probe(config: &Config, global: &Global, arguments: &Arguments) -> Result<u8, Complaint> {
    let progress = Progress::new(if global.quiet {
        Show::Quiet
    } else {
        Show::News
    });
    let io = |error: std::io::Error| {
        Complaint::new(exit::INFRASTRUCTURE, error, "check that the disk has room")
    };
    let scratch = tempfile::tempdir().map_err(io)?;
    let folder = match &arguments.keep {
        None => scratch.path().to_owned(),
        Some(folder) => {
            std::fs::create_dir(folder).map_err(|error| {
                Complaint::new(
                    exit::USAGE,
                    format!("{}: {error}", folder.display()),
                    "name a folder that is not there yet",
                )
            })?;
            folder.clone()
        }
    };
    let probed = probe::probe(config, &arguments.zip, arguments.bytes, &folder, &progress)
        .map_err(complaint)?;
    if let Some(target) = &arguments.plot {
        draw(&probed.panels(), target)?;
    }
    match global.format {
        Format::Json => output::json(&probed.report)?,
        _ => output::print(&table(&probed.report))?,
    }
    Ok(exit::OK)
}

fn draw(panels: &[Panel], target: &Path) -> Result<(), Complaint> {
    if panels.is_empty() {
        return Ok(());
    }
    plot::panels(panels, target, Scale::Log)
        .map(|_| ())
        .map_err(|error| Complaint::new(exit::INFRASTRUCTURE, &error, error.hint()))
}

fn complaint(error: ProbeError) -> Complaint {
    let hint = error.hint();
    match error {
        ProbeError::Pipeline(error) => super::run::complaint(error),
        error @ (ProbeError::Io { .. } | ProbeError::Archive { .. }) => {
            Complaint::new(exit::USAGE, error, hint)
        }
        error => Complaint::new(exit::INFRASTRUCTURE, error, hint),
    }
}

fn table(report: &ProbeReport) -> String {
    let shown = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
    let mut text = format!(
        "{:<14} {:>9} {:>9} {:>12} {:>6} {:>7}\n",
        "run", "bpb", "val bpb", "parameters", "rows", "spikes"
    );
    for run in &report.runs {
        let count = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
        let _ = writeln!(
            text,
            "{:<14} {:>9} {:>9} {:>12} {:>6} {:>7}  {}",
            run.label,
            shown(run.prequential_bpb),
            shown(run.val_bpb_trained),
            count(run.model_params),
            count(run.batch_size),
            run.loss_spike_count,
            run.reason.as_deref().unwrap_or_default(),
        );
    }
    text.push('\n');
    for regime in &report.regimes {
        let consistency = if regime.offered {
            shown(regime.consistency)
        } else {
            "not offered".to_owned()
        };
        let _ = writeln!(text, "{:<14} {consistency}", regime.regime.name());
    }
    let _ = writeln!(
        text,
        "{:<14} {}",
        "consistency",
        shown(report.scaling_consistency)
    );
    text
}
