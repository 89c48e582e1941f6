//! What the pipeline tells the referee about one run: one JSON file, written by us, read by us.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::bundle::EntryPoint;
use crate::config::Config;
use crate::review::HookRole;

/// One run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunPlan {
    pub submission_id: String,
    /// Digest of the structure that a training was sent for.
    pub target: Option<String>,
    /// What `ctx.probe` holds: empty in every scored run.
    pub probe: BTreeMap<String, f64>,
    /// The unpacked bundle.
    pub project: PathBuf,
    pub architecture: EntryPoint,
    pub training: EntryPoint,
    /// What the loop of the first contract is told; none: the submission has a `train` of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v1: Option<V1Plan>,
    /// Every Python file as it runs: without comments, docstrings and layout.
    pub sources: BTreeMap<String, Source>,
    /// `tokenizer:` of prism.yaml, which the training can only agree with. `tokenizer.json` is the project's own file.
    pub tokenizer: Option<String>,
    /// The `prism` executable, which loads a tokenizer of the project's own in a process of its own.
    pub prism: PathBuf,
    /// Everything the run writes goes here: journals, logs, artifacts, sockets.
    pub folder: PathBuf,
    /// Key of the probe schedule, hexadecimal; secret until the run is over.
    pub audit_key: String,
    /// Key of the stream's order, hexadecimal, where the order is keyed; secret until the run is over.
    pub order_key: Option<String>,
    pub config: Config,
}

/// A Python file as it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Digest of its syntax tree, as our parser reads it.
    pub ast_sha256: String,
    /// For each of its lines the author's, from 1.
    pub lines: Vec<u32>,
}

/// A submission of the first contract.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct V1Plan {
    /// As prism.yaml writes it.
    pub kind: String,
    /// `architecture_id` of prism.yaml.
    pub architecture_id: Option<String>,
    /// From 1.
    pub attempt: u32,
    /// Its hooks, and the entry point that each is taken from.
    pub hooks: BTreeMap<String, HookRole>,
}
