//! The lines of the record, and what each restores.

use serde::{Deserialize, Serialize};

use super::kept::KeptCheckpoint;
use crate::referee::blind::BlindWatch;
use crate::referee::committed::Counts;
use crate::referee::head_start::FirstBatch;
use crate::referee::measured::ProbeResult;
use crate::score::stream_rows::OnlineRow;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    Begun(Begun),
    Step(Box<StepLine>),
    Checkpoint(KeptCheckpoint),
    Ended(Ended),
    Resumed(Resumed),
}

/// The shape of the stream: a run that goes on must ask for the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begun {
    pub batch_size: u64,
    pub seq_len: u64,
    pub tokenizer: String,
    pub stream_tokens: u64,
    pub stream_bytes: u64,
}

/// A step of which nothing is left to do but to show its targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepLine {
    pub step: u32,
    /// One of each rank.
    pub rows: Vec<OnlineRow>,
    pub probes: Vec<ProbeResult>,
    /// Sums so far.
    pub blind: BlindWatch,
    pub answers: Counts,
    pub live_params: u64,
    /// Of step 0 alone.
    pub first: Option<FirstBatch>,
    /// Where the weights were asked for.
    pub snapshot: Option<SnapshotLine>,
}

/// What a snapshot came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotLine {
    /// The weights were not those committed to.
    pub changed: bool,
    pub elements: u64,
    /// The scored losses by rank, as the bits of each float64, where it will be replayed: JSON has no infinity.
    pub nats_bits: Option<Vec<Vec<u64>>>,
}

/// The end of a stream before its text was: what was left is charged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// `wall_clock` or `submission_ended`.
    pub reason: String,
    pub rows: Vec<OnlineRow>,
}

/// A run that went on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resumed {
    pub attempt: u32,
    /// The attempt that left the checkpoint.
    pub from_attempt: u32,
    /// Batches that the checkpoint was trained on.
    pub checkpoint_step: u32,
    /// Steps on record: those from `checkpoint_step` to here were shown again and not charged again.
    pub record_steps: u32,
    /// The checkpoint's path, relative to the artifact root.
    pub path: String,
    pub sha256: String,
}
