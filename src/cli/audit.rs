//! `prism audit RUN…`: run folders on their own, against everything that they say about themselves.

mod child;

use std::path::{Path, PathBuf};
use std::slice::from_ref;

use clap::Args;
use prism::audit::reexecute::reexecute;
use prism::audit::report::{AuditReport, ReexecutionResult, RunAudit, RunVerdict};
use prism::audit::{self as room, Standards};
use prism::config::Config;
use prism::digest;
use prism::exit;
use prism::export::{self, ExportError};
use prism::outbox::OutboxError;
use prism::outbox::selection::{self, label};
use prism::pipeline::referee_executable;
use prism::progress::{Progress, Show};
use prism::signing::keys::PublicKey;

use super::{Complaint, Format, Global, output};

pub use child::streams;

#[derive(Args)]
pub struct Audit {
    /// Run folders, folders of them (an outbox), or archives of `prism export`.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Key that the runs must be signed with: a .pub file or 64 hexadecimal digits. May be given more than once.
    #[arg(long, value_name = "KEY")]
    public_key: Vec<String>,
    /// Execute consistent runs again in the sandbox and compare the streams; needs the corpus of the run.
    #[arg(long)]
    reexecute: bool,
}

pub fn audit(config: &Config, global: &Global, arguments: &Audit) -> Result<u8, Complaint> {
    let known_keys = arguments
        .public_key
        .iter()
        .map(|text| PublicKey::named(text))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Complaint::new(exit::USAGE, &error, error.hint()))?;
    let referee = referee_executable(config).ok();
    let standards = Standards {
        known_keys: &known_keys,
        prism_sha256: digest::own_executable().ok(),
        referee_sha256: referee.and_then(|path| digest::file_digest(&path).ok()),
        tokenizers: &config.corpus.tokenizers,
        recompute: &child::recompute,
    };
    let progress = Progress::new(if global.quiet {
        Show::Quiet
    } else {
        Show::News
    });
    let look = |name: &str, folder: &Path| {
        let mut run = room::audit(name, folder, &standards);
        if arguments.reexecute && run.verdict == RunVerdict::Consistent {
            run.executed_again(reexecute(folder, config, &progress));
        }
        run
    };
    let mut runs = Vec::new();
    for path in &arguments.runs {
        if !path.is_file() {
            for folder in selection::run_folders(from_ref(path)).map_err(outbox_complaint)? {
                runs.push(look(&label(&folder), &folder));
            }
            continue;
        }
        let unpacked = export::unpack(path, export::Limits::default(), &mut |name, folder| {
            runs.push(look(name, folder));
        });
        match unpacked {
            Ok(()) => {}
            Err(ExportError::NotAnArchive { reason, .. }) => {
                runs.push(RunAudit::unreadable(&label(path), reason));
            }
            Err(error) => return Err(export_complaint(error)),
        }
    }
    let report = AuditReport::new(runs);
    match global.format {
        Format::Json => output::json(&report)?,
        _ => output::print(&report.text())?,
    }
    Ok(code(&report))
}

/// 1 when a run contradicts itself or is not concluded, else 4 when one could not be looked at or not be executed again.
fn code(report: &AuditReport) -> u8 {
    let is_stuck = |run: &RunAudit| {
        let again = run.reexecution.as_ref();
        run.verdict == RunVerdict::Unreadable
            || again.is_some_and(|again| again.result == ReexecutionResult::NotPossible)
    };
    if report.inconsistent + report.unfinished > 0 {
        exit::AUDIT_INCONSISTENT
    } else if report.runs.iter().any(is_stuck) {
        exit::INFRASTRUCTURE
    } else {
        exit::OK
    }
}

pub fn export_complaint(error: ExportError) -> Complaint {
    Complaint::new(exit::INFRASTRUCTURE, &error, error.hint())
}

pub fn outbox_complaint(error: OutboxError) -> Complaint {
    Complaint::new(exit::INFRASTRUCTURE, &error, error.hint())
}
