//! What is printed: tables for people, JSON for programs. A closed pipe is the reader's choice, not an error.

use std::io::Write;

use prism::config::Config;
use prism::exit;
use prism::logging;
use prism::pipeline::{Board, Outcome, Report};
use serde::Serialize;

use super::rescore_text::tie_mark;
use super::{Complaint, Format};

/// Prints on stdout.
pub fn print(text: &str) -> Result<(), Complaint> {
    print_bytes(text.as_bytes())
}

/// Prints bytes on stdout.
pub fn print_bytes(bytes: &[u8]) -> Result<(), Complaint> {
    let mut stdout = std::io::stdout().lock();
    written_or_unread(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// Prints a value as JSON.
pub fn json(value: &impl Serialize) -> Result<(), Complaint> {
    let text = serde_json::to_string_pretty(value).map_err(|error| {
        Complaint::new(
            exit::INFRASTRUCTURE,
            error,
            "please report this fault of prism",
        )
    })?;
    print(&format!("{text}\n"))
}

/// Prints a large value as JSON without holding its text.
pub fn json_piecewise(value: &impl Serialize) -> Result<(), Complaint> {
    let mut stdout = std::io::BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let written = serde_json::to_writer_pretty(&mut stdout, value)
        .map_err(std::io::Error::from)
        .and_then(|()| stdout.write_all(b"\n"))
        .and_then(|()| stdout.flush());
    written_or_unread(written)
}

fn written_or_unread(written: std::io::Result<()>) -> Result<(), Complaint> {
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Complaint::new(
            exit::INFRASTRUCTURE,
            format!("stdout: {error}"),
            "check where the output goes",
        )),
        _ => Ok(()),
    }
}

/// Prints an error on stderr; with `--format json` as an object, so that programs read it too.
pub fn complain(format: Format, complaint: &Complaint) {
    if logging::is_json() {
        let (message, hint) = (&complaint.message, complaint.hint.as_str());
        tracing::error!(hint, exit_code = u64::from(complaint.code), "{message}");
        return;
    }
    match format {
        Format::Json => {
            let object = serde_json::json!({
                "error": complaint.message, "hint": complaint.hint, "exit_code": complaint.code,
            });
            eprintln!("{object}");
        }
        _ => eprintln!("prism: {}\n  hint: {}", complaint.message, complaint.hint),
    }
}

/// Prints the configuration in force, in the form of its file.
pub fn config(format: Format, config: &Config) -> Result<(), Complaint> {
    match format {
        Format::Json => json(config),
        _ => {
            let text = serde_yaml::to_string(config).map_err(|error| {
                Complaint::new(
                    exit::INFRASTRUCTURE,
                    error,
                    "please report this fault of prism",
                )
            })?;
            print(&text)
        }
    }
}

/// Prints what a run of the pipeline did.
pub fn report(format: Format, report: &Report) -> Result<(), Complaint> {
    if format == Format::Json {
        return json(report);
    }
    let mut text = String::new();
    for outcome in &report.processed {
        text.push_str(&outcome_lines(outcome));
    }
    for line in &report.infrastructure {
        text.push_str(&format!("not measured  {line}\n"));
    }
    for line in &report.requests {
        text.push_str(&format!("asked for     {line}\n"));
    }
    if report.known > 0 {
        text.push_str(&format!("{} known already\n", report.known));
    }
    for line in &report.waiting {
        text.push_str(&format!("waiting       {line}\n"));
    }
    for line in &report.ignored {
        text.push_str(&format!("ignored       {line}\n"));
    }
    text.push_str(&board(&report.board));
    print(&text)
}

fn outcome_lines(outcome: &Outcome) -> String {
    let state = serde_json::to_value(outcome.state).ok();
    let state = state
        .as_ref()
        .and_then(|state| state.as_str())
        .unwrap_or("?");
    let mut text = format!("{state:<13} {}  {}\n", outcome.submission_id, outcome.name);
    if let Some(reason) = &outcome.reason {
        text.push_str(&format!(
            "              {}: {}\n",
            reason.rule_id, reason.message
        ));
        text.push_str(&format!("              hint: {}\n", reason.hint));
    }
    text
}

/// The leaderboard as a table.
pub fn board(board: &Board) -> String {
    let mut text = String::from("\nleaderboard\n");
    if board.leaderboard.rows.is_empty() {
        text.push_str("  no score-eligible submission yet\n");
    } else {
        text.push_str("  rank  score     bpb      two-part  held-out delta  submission\n");
    }
    let optional =
        |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
    for row in &board.leaderboard.rows {
        text.push_str(&format!(
            "  {:>4}{} {:.6}  {:<7}  {:<8}  {:<14}  {}{}\n",
            row.rank,
            tie_mark(row),
            row.final_score,
            optional(row.prequential_bpb),
            optional(row.two_part_bpb),
            optional(row.heldout_delta),
            named(board, &row.submission_id),
            if row.flags.is_empty() {
                String::new()
            } else {
                format!("  [{}]", row.flags.join(", "))
            },
        ));
    }
    if !board.ineligible.is_empty() {
        text.push_str("\nmeasured, not ranked\n");
        text.push_str("  score     bpb      why             submission\n");
        for row in &board.ineligible {
            text.push_str(&format!(
                "  {:.6}  {:<7}  {:<14}  {}\n",
                row.final_score,
                optional(row.prequential_bpb),
                row.why,
                named(board, &row.submission_id)
            ));
        }
    }
    text
}

/// An id and the name that people know it by.
fn named(board: &Board, submission_id: &str) -> String {
    match board.names.get(submission_id) {
        Some(name) => format!("{submission_id}  {name}"),
        None => submission_id.to_owned(),
    }
}
