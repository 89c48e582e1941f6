//! What can go wrong in this room, and what a person can do about it.

use std::path::PathBuf;

/// Errors of reading, writing and adding up streams and manifests.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },

    #[error(
        "loss of {nats} nats does not fit the stream: expected a finite number of magnitude below 2^31"
    )]
    NatsOutOfRange { nats: f64 },

    #[error("row {row} of {stream}: {what}")]
    InvalidRow {
        stream: &'static str,
        row: usize,
        what: String,
    },

    #[error("{} is not a readable stream: {what}", path.display())]
    BadStream { path: PathBuf, what: String },

    #[error("cannot add up the streams of {runs} runs: {what}")]
    Query { runs: usize, what: String },

    #[error("run folder {} is listed twice", path.display())]
    DuplicateRun { path: PathBuf },

    #[error("{} is {bytes} bytes: the limit is {limit_bytes}", path.display())]
    TooLarge {
        path: PathBuf,
        bytes: u64,
        limit_bytes: u64,
    },

    #[error("the index {}: {what}", path.display())]
    BadIndex { path: PathBuf, what: String },

    #[error("not valid JSON: {what}")]
    MalformedJson { what: String },

    #[error("numbers that are not finite: {}", places.join(", "))]
    NonFiniteJson { places: Vec<String> },

    #[error("run {submission_id} cannot be scored: {}", reasons.join("; "))]
    Unscorable {
        submission_id: String,
        reasons: Vec<String>,
    },
}

impl ScoreError {
    /// What to do about it, in one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => {
                "Check that the path exists, that it is readable or writable, and that the disk is not full."
            }
            Self::NatsOutOfRange { .. } => {
                "Charge non-finite losses their worst case before they are written."
            }
            Self::InvalidRow { .. } => {
                "The writer of the stream is at fault: measure the run again."
            }
            Self::BadStream { .. } => {
                "The file is damaged, incomplete or of another version: restore it, or measure the run again."
            }
            Self::Query { .. } => "Rescore the runs one by one to find the damaged stream.",
            Self::DuplicateRun { .. } => "Name every run folder once.",
            Self::TooLarge { .. } => {
                "A manifest of a real run is far smaller: look at what wrote this file."
            }
            Self::BadIndex { .. } => {
                "Give a table with submission_id, hotkey and accepted_at (CSV, JSON or Parquet), one row for each submission."
            }
            Self::MalformedJson { .. } => "Restore the file, or leave it out.",
            Self::NonFiniteJson { .. } => {
                "The run that wrote these values is degenerate: measure it again."
            }
            Self::Unscorable { .. } => {
                "The recorded run carries no usable measurement: measure it again."
            }
        }
    }

    /// The error as the list of reasons that a report shows, one per line.
    pub fn reasons(&self) -> Vec<String> {
        match self {
            Self::NonFiniteJson { places } => places
                .iter()
                .map(|place| format!("not a finite number: {place}"))
                .collect(),
            Self::Unscorable { reasons, .. } => reasons.clone(),
            other => vec![other.to_string()],
        }
    }
}
