//! The three forms in which reviews are printed, path by path.

use prism::duplicates::{self, DuplicatePolicy};
use prism::exit;
use prism::pipeline::Comparison;
use prism::review::{self, SarifLog, Severity, Subject, Verdict, catalogue};

use super::Reviewed;
use crate::cli::{Complaint, Format, output};

/// Prints reviews as they come.
pub enum Printer {
    Text,
    /// A JSON array; the number of elements printed.
    Json(usize),
    Sarif(SarifLog),
}

impl Printer {
    pub fn new(format: Format) -> Printer {
        match format {
            Format::Json => Printer::Json(0),
            Format::Sarif => Printer::Sarif(SarifLog::default()),
            _ => Printer::Text,
        }
    }

    pub fn print(&mut self, reviewed: &Reviewed) -> Result<(), Complaint> {
        match self {
            Printer::Text => output::print(&text_of(reviewed)),
            Printer::Json(count) => {
                let element = serde_json::to_string_pretty(reviewed).map_err(|error| {
                    Complaint::new(
                        exit::INFRASTRUCTURE,
                        error,
                        "please report this fault of prism",
                    )
                })?;
                let opening = if *count == 0 { "[" } else { "," };
                *count += 1;
                output::print(&format!("{opening}\n{element}"))
            }
            Printer::Sarif(log) => {
                add_to(log, reviewed);
                Ok(())
            }
        }
    }

    /// Ends the output. `unread` are paths with their errors.
    pub fn finish(self, unread: &[String]) -> Result<(), Complaint> {
        match self {
            Printer::Text => Ok(()),
            Printer::Json(0) => output::print("[]\n"),
            Printer::Json(_) => output::print("\n]\n"),
            Printer::Sarif(log) => output::json(&log.finish(unread)),
        }
    }
}

fn add_to(log: &mut SarifLog, reviewed: &Reviewed) {
    let path = reviewed.path.display().to_string();
    if let Some(rejection) = &reviewed.rejection {
        log.add_rejection(
            &path,
            &rejection.rule_id,
            &rejection.message,
            &rejection.hint,
        );
    }
    let subject = if reviewed.is_source {
        Subject::File(&path)
    } else {
        Subject::Bundle(&path)
    };
    for finding in reviewed.review.iter().flat_map(|review| &review.findings) {
        log.add_finding(subject, finding);
    }
    if let Some(comparison) = &reviewed.duplicates
        && let Some(duplicate) = &comparison.duplicate
    {
        log.add_duplicate(&path, severity(comparison), duplicate);
    }
}

/// A duplicate weighs what the operator's policy makes of it.
fn severity(comparison: &Comparison) -> Severity {
    match comparison.policy {
        DuplicatePolicy::Reject | DuplicatePolicy::Hold => Severity::Reject,
        DuplicatePolicy::Off => Severity::Warn,
    }
}

fn duplicate_text(comparison: &Comparison) -> String {
    let Some(duplicate) = &comparison.duplicate else {
        return String::new();
    };
    let level = match severity(comparison) {
        Severity::Reject => "error",
        Severity::Warn => "warning",
    };
    let title = catalogue::find(duplicates::RULE).map_or("", |rule| rule.title);
    let mut text = format!(
        "{level}[{}]: {title}\n  = why: {}\n",
        duplicates::RULE,
        duplicate.measures()
    );
    for region in &duplicate.regions {
        text.push_str(&format!("  = alike: {region}\n"));
    }
    text.push_str(&format!("  = instead: {}\n", duplicate.hint()));
    text
}

fn text_of(reviewed: &Reviewed) -> String {
    let mut text = String::new();
    if let Some(rejection) = &reviewed.rejection {
        text.push_str(&format!(
            "error[{}]: {}\n  = hint: {}\n",
            rejection.rule_id, rejection.message, rejection.hint
        ));
    }
    for finding in reviewed.review.iter().flat_map(|review| &review.findings) {
        let source = reviewed
            .files
            .get(&finding.path)
            .map(|bytes| String::from_utf8_lossy(bytes));
        text.push_str(&review::render(finding, source.as_deref()));
    }
    let contract = reviewed
        .review
        .iter()
        .find_map(|review| review.contract.as_ref());
    if let Some(contract) = contract {
        text.push_str(&format!("{}\n", contract.line()));
    }
    if let Some(comparison) = &reviewed.duplicates {
        text.push_str(&duplicate_text(comparison));
    }
    let verdict = match (&reviewed.error, &reviewed.review) {
        (Some(_), _) => "not read",
        (None, Some(review)) if review.verdict == Verdict::Held => "held",
        (None, _) if reviewed.accepted => "accepted",
        (None, _) => "rejected",
    };
    text.push_str(&format!("{verdict}: {}\n", reviewed.path.display()));
    text
}
