//! `prism audit RUN…`: run folders on their own, against everything that they say about themselves.

mod child;

use std::path::PathBuf;

use clap::Args;
use prism::audit::report::{AuditReport, RunVerdict};
use prism::audit::{self as room, Standards};
use prism::config::Config;
use prism::digest;
use prism::exit;
use prism::outbox::OutboxError;
use prism::outbox::selection::{self, label};
use prism::pipeline::referee_executable;
use prism::signing::keys::PublicKey;

use super::{Complaint, Format, Global, output};

pub use child::streams;

#[derive(Args)]
pub struct Audit {
    /// Run folders, or folders of them (an outbox).
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Key that the runs must be signed with: a .pub file or 64 hexadecimal digits. May be given more than once.
    #[arg(long, value_name = "KEY")]
    public_key: Vec<String>,
}

pub fn audit(config: &Config, global: &Global, arguments: &Audit) -> Result<u8, Complaint> {
    let known_keys = arguments
        .public_key
        .iter()
        .map(|text| PublicKey::named(text))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Complaint::new(exit::USAGE, &error, error.hint()))?;
    let folders = selection::run_folders(&arguments.runs).map_err(outbox_complaint)?;
    let referee = referee_executable(config).ok();
    let standards = Standards {
        known_keys: &known_keys,
        prism_sha256: digest::own_executable().ok(),
        referee_sha256: referee.and_then(|path| digest::file_digest(&path).ok()),
        tokenizers: &config.corpus.tokenizers,
        recompute: &child::recompute,
    };
    let runs = folders
        .iter()
        .map(|folder| room::audit(&label(folder), folder, &standards))
        .collect();
    let report = AuditReport::new(runs);
    match global.format {
        Format::Json => output::json(&report)?,
        Format::Text => output::print(&report.text())?,
    }
    Ok(code(&report))
}

/// 4 when a run could not be looked at, else 1 when one is not consistent.
fn code(report: &AuditReport) -> u8 {
    if report.unreadable > 0 {
        return exit::INFRASTRUCTURE;
    }
    let all_consistent = report
        .runs
        .iter()
        .all(|run| run.verdict == RunVerdict::Consistent);
    if all_consistent {
        exit::OK
    } else {
        exit::AUDIT_INCONSISTENT
    }
}

pub fn outbox_complaint(error: OutboxError) -> Complaint {
    Complaint::new(exit::INFRASTRUCTURE, &error, error.hint())
}
