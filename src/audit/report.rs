//! What an audit found: per run a verdict and every check with its result; as JSON and as text.

use std::fmt::Write as _;

use serde::Serialize;

pub const SCHEMA_VERSION: &str = "prism_audit_report.v1";

/// Problems that one check tells; the rest is counted.
const MAX_PROBLEMS: usize = 12;

/// Length that a hostile name or value is cut to.
const MAX_PROBLEM_CHARS: usize = 400;

/// What no audit of a run folder can see.
const NOT_IN_A_FOLDER: [&str; 5] = [
    "the text: corpus_manifest.json names shards by sha256, the shards are elsewhere (prism data verify)",
    "that the recorded losses are those of this code on that text: only --reexecute shows it",
    "Python, torch and the kernel: their versions are recorded, not their bytes",
    "times, device names and what the sandbox reported about itself",
    "the logs of the twin and of the held-out process: they stay with the operator",
];

/// Result of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Passed,
    Failed,
    NotChecked,
}

/// One check of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub outcome: Outcome,
    /// What was found, or why nothing could be.
    pub statement: String,
    /// What does not agree.
    pub problems: Vec<String>,
}

impl Check {
    /// Passed, with what was found to agree, unless there are problems.
    pub fn of(name: &'static str, agreed: impl Into<String>, problems: Vec<String>) -> Self {
        let (outcome, statement) = match problems.len() {
            0 => (Outcome::Passed, agreed.into()),
            1 => (Outcome::Failed, "1 problem".to_owned()),
            count => (Outcome::Failed, format!("{count} problems")),
        };
        Self {
            name,
            outcome,
            statement,
            problems: told(problems),
        }
    }

    pub fn not_checked(name: &'static str, why: impl Into<String>) -> Self {
        Self {
            name,
            outcome: Outcome::NotChecked,
            statement: why.into(),
            problems: Vec::new(),
        }
    }
}

fn told(problems: Vec<String>) -> Vec<String> {
    let more = problems.len().saturating_sub(MAX_PROBLEMS);
    let mut told: Vec<String> = problems
        .into_iter()
        .take(MAX_PROBLEMS)
        .map(|problem| shown(&problem))
        .collect();
    if more > 0 {
        told.push(format!("{more} more"));
    }
    told
}

/// A text that may hold anything, on one line of bounded length.
pub fn shown(text: &str) -> String {
    let mut line = String::new();
    for (count, letter) in text.chars().enumerate() {
        if count == MAX_PROBLEM_CHARS {
            line.push_str("...");
            break;
        }
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}

/// The verdict on one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunVerdict {
    /// Nothing that was checked contradicts anything else.
    Consistent,
    Inconsistent,
    /// The run has no verdict yet, hence no seal.
    Unfinished,
    /// No run folder, or one that cannot be read.
    Unreadable,
}

impl RunVerdict {
    pub fn name(self) -> &'static str {
        match self {
            Self::Consistent => "consistent",
            Self::Inconsistent => "inconsistent",
            Self::Unfinished => "unfinished",
            Self::Unreadable => "unreadable",
        }
    }
}

/// What running it again came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reexecution {
    pub result: ReexecutionResult,
    pub statement: String,
    /// Steps whose rows were compared.
    pub compared_steps: u64,
    /// Largest difference per token, in nats, before the first step that differs.
    pub largest_difference_nats: f64,
    pub first_difference: Option<Difference>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReexecutionResult {
    Identical,
    WithinTolerance,
    Different,
    NotPossible,
}

/// The first place where two executions part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `online_loss`, or the role in the held-out stream.
    pub stream: String,
    pub step: u32,
    pub rank: u32,
    /// Column; `row` when one of them has no such row.
    pub field: &'static str,
    pub recorded: String,
    pub reexecuted: String,
}

/// One audited run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunAudit {
    /// Last part of the path that was named.
    pub run: String,
    pub submission_id: Option<String>,
    pub verdict: RunVerdict,
    /// Key whose signature holds.
    pub signed_by: Option<String>,
    pub checks: Vec<Check>,
    pub reexecution: Option<Reexecution>,
}

impl RunAudit {
    pub fn unreadable(run: &str, reason: impl Into<String>) -> Self {
        Self {
            run: shown(run),
            submission_id: None,
            verdict: RunVerdict::Unreadable,
            signed_by: None,
            checks: vec![Check::of("files", "", vec![reason.into()])],
            reexecution: None,
        }
    }
}

impl RunAudit {
    /// Adds what running it again came to; a difference is a contradiction.
    pub fn executed_again(&mut self, again: Reexecution) {
        if again.result == ReexecutionResult::Different {
            self.verdict = RunVerdict::Inconsistent;
        }
        self.reexecution = Some(again);
    }
}

/// `prism audit --format json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditReport {
    pub schema_version: &'static str,
    pub consistent: u64,
    pub inconsistent: u64,
    pub unfinished: u64,
    pub unreadable: u64,
    pub runs: Vec<RunAudit>,
    /// What no audit of a run folder can see.
    pub not_in_a_folder: [&'static str; 5],
}

impl AuditReport {
    pub fn new(runs: Vec<RunAudit>) -> Self {
        let count = |verdict| runs.iter().filter(|run| run.verdict == verdict).count() as u64;
        Self {
            schema_version: SCHEMA_VERSION,
            consistent: count(RunVerdict::Consistent),
            inconsistent: count(RunVerdict::Inconsistent),
            unfinished: count(RunVerdict::Unfinished),
            unreadable: count(RunVerdict::Unreadable),
            runs,
            not_in_a_folder: NOT_IN_A_FOLDER,
        }
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for run in &self.runs {
            // writing to a String cannot fail
            let _ = writeln!(text, "{:<14}{}", run.verdict.name(), run.run);
            for check in &run.checks {
                let outcome = match check.outcome {
                    Outcome::Passed => "ok",
                    Outcome::Failed => "FAILED",
                    Outcome::NotChecked => "not checked",
                };
                let _ = writeln!(text, "  {outcome:<12}{:<11}{}", check.name, check.statement);
                for problem in &check.problems {
                    let _ = writeln!(text, "              - {problem}");
                }
            }
            if let Some(again) = &run.reexecution {
                let _ = writeln!(text, "  executed again: {}", again.statement);
            }
        }
        let _ = writeln!(text, "not in any run folder, so not checked:");
        for limit in self.not_in_a_folder {
            let _ = writeln!(text, "  - {limit}");
        }
        let counts = [
            (self.consistent, "consistent"),
            (self.inconsistent, "inconsistent"),
            (self.unfinished, "unfinished"),
            (self.unreadable, "unreadable"),
        ];
        let counts: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        let _ = writeln!(text, "{}", counts.join(", "));
        text
    }
}
