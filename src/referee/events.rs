//! What the referee tells the pipeline while it works: one JSON object a line on stdout.

use serde::{Deserialize, Serialize};

/// News of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A part of the run begins.
    Stage { stage: RunStage },
    /// Where the stream is.
    Progress {
        bytes: u64,
        total_bytes: u64,
        bpb: f64,
        elapsed_s: f64,
    },
    /// Something of ours or the machine's failed; the run can be tried again.
    Infrastructure { message: String, hint: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStage {
    Twin,
    Train,
    HeldOut,
}

impl RunStage {
    pub fn name(self) -> &'static str {
        match self {
            Self::Twin => "twin",
            Self::Train => "train",
            Self::HeldOut => "held-out",
        }
    }
}
