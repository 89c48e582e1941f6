//! `prism doctor`: what the machine lacks, and the command that mends it.

use std::fmt::Write as _;

use prism::config::Config;
use prism::doctor::{DoctorReport, Machine, Outcome, doctor};
use prism::exit;

use super::{Complaint, Format, Global, output};

pub fn examine(config: &Config, global: &Global) -> Result<u8, Complaint> {
    let report = doctor(config, &Machine::this());
    match global.format {
        Format::Json => output::json(&report)?,
        _ => output::print(&text(&report))?,
    }
    Ok(match report.outcome {
        Outcome::Failed => exit::DOCTOR_FAILED,
        Outcome::Ok | Outcome::Warning | Outcome::Skipped => exit::OK,
    })
}

fn text(report: &DoctorReport) -> String {
    let mut text = String::new();
    for check in &report.checks {
        let word = match check.outcome {
            Outcome::Ok => "ok",
            Outcome::Warning => "warning",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
        };
        let _ = writeln!(text, "{word:<8} {:<16} {}", check.name, check.found);
        if let Some(fix) = &check.fix {
            let _ = writeln!(text, "{:<25} fix: {fix}", "");
        }
    }
    text
}
