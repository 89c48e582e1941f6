//! What a run came to: `measured.json`, written by the referee, read by the pipeline.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::blind::BlindFigures;
use super::lineage::Resumed;
use super::snapshot::SnapshotFigures;
use super::transport::TransportFigures;
use super::v1_outcome::V1Outcome;

use crate::families::structure::Structure;
use crate::sandbox::Achieved;

/// The end of a run that is the submission's own affair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{rule_id}: {message}")]
pub struct Fault {
    /// `prism:param-cap`, `prism:budget-exceeded`, …
    pub rule_id: String,
    /// What, where, got and expected. Never text of val or test.
    pub message: String,
    pub hint: String,
    /// Whether the fault was found before training (a rejection) or in it (a failure).
    pub before_training: bool,
}

impl Fault {
    pub fn new(rule_id: &str, message: impl Into<String>, hint: &str) -> Self {
        Self {
            rule_id: rule_id.to_owned(),
            message: message.into(),
            hint: hint.to_owned(),
            before_training: false,
        }
    }
}

/// A check that a run passed or not, with its figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckResult {
    /// `causality`, `head_start`, `blind_gap`, `snapshot`, `ranks_agree`, `state`.
    pub name: String,
    pub passed: bool,
    pub evidence: String,
}

/// Where and with what the submission ran, as its own process said: recorded, never scored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    pub python: String,
    pub torch: String,
    pub device: String,
    pub device_name: String,
}

/// One probe of causality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeResult {
    /// `twin`, `train`, `tail` or `val` (the last two by the held-out process).
    pub phase: String,
    pub step: u32,
    pub rank: u32,
    /// First position of each row that was changed, or none for a repeat of the same batch.
    pub cuts: Option<Vec<u32>>,
    /// Largest difference of log-probabilities at positions that should agree, in nats.
    pub largest_difference_nats: f64,
    pub compared_positions: u64,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    pub submission_id: String,
    /// None: the run came to its end and can be scored.
    pub fault: Option<Fault>,
    /// `data_exhausted`, `step_budget`, `wall_clock` or `submission_ended`.
    pub stopped_reason: Option<String>,
    pub tokenizer: Option<String>,
    pub batch_size: Option<u32>,
    pub seq_len: Option<u32>,
    pub world_size: u32,
    pub vocab_size: u32,
    /// Text that the run was to predict.
    pub stream_documents: u64,
    pub stream_bytes: u64,
    pub stream_tokens: u64,
    pub corpus_manifest_sha256: String,
    pub corpus_name: String,
    pub shard_count: u64,
    /// Elements of all tensors of the twin, by distinct storage.
    pub model_params: Option<u64>,
    /// The architecture as it was traced.
    pub structure: Option<Structure>,
    /// The twin's mean loss on the first batch, in nats per token.
    pub step0_nats: Option<f64>,
    /// Mean UTF-8 bytes per token of that batch.
    pub step0_bytes_per_token: f64,
    pub checks: Vec<CheckResult>,
    pub probes: Vec<ProbeResult>,
    /// How predictions came, and how likely tampering with them survives; none before the stream.
    pub transport: Option<TransportFigures>,
    /// Whether labels that are nowhere in the inputs cost more than others.
    pub blind: Option<BlindFigures>,
    /// Whether what was scored came out of the weights alone.
    pub snapshots: Option<SnapshotFigures>,
    /// Most elements in the tensors of the live model, at the secret steps and at the end.
    pub live_params: Option<u64>,
    /// What only runs of the first contract have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v1: Option<V1Outcome>,
    /// How often it went on from a checkpoint, and from which.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumes: Vec<Resumed>,
    pub isolation: Option<Achieved>,
    pub environment: Environment,
    /// The key of the probe schedule, published now that the run is over.
    pub audit_key: String,
    /// Key of the stream's order; none where it is the files' own.
    pub order_key: Option<String>,
    /// Seconds by part of the run: `twin`, `train`, `heldout` (wall time of each process), `stream` (first batch to last,
    /// less what was not the submission's own), `referee` (losses and records, within `stream`).
    pub seconds: BTreeMap<String, f64>,
    /// sha256 of the runner's files and of the referee's executable.
    pub digests: BTreeMap<String, String>,
    pub started_at: String,
    pub ended_at: String,
}
