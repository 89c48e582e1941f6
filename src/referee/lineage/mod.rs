//! What outlives a run that the infrastructure ended: the record of its stream and its newest checkpoint, in a folder that
//! the sandbox cannot reach.
//!
//! The record has one line for each step, written when everything that the referee does at the step is done and before its
//! targets are shown. A run that goes on restores the checkpoint, is shown again what stands on record since, without a
//! charge, and is charged from where the record ends. Nothing that stands on record is ever taken back.

mod keeper;
mod kept;
mod line;
mod read;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use keeper::Keeper;
pub use kept::{KeptCheckpoint, checkpoint_folder};
pub use line::{Begun, Ended, Line, Resumed, SnapshotLine, StepLine};
pub use read::{PastRecord, look};

/// Name of the record in its folder.
pub const RECORD: &str = "record.jsonl";
/// Folder of the snapshots that are to be replayed.
pub const SNAPSHOTS: &str = "snapshots";
/// What the runner writes about a checkpoint, in the artifacts' folder.
pub const RETURN: &str = "v1_checkpoint.json";

/// Where a run keeps what outlives it, and what it goes on from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineagePlan {
    pub folder: PathBuf,
    /// A checkpoint is asked for after so many batches, and after each further so many.
    pub every_steps: u32,
    /// None: the run begins at its beginning.
    pub resume: Option<KeptCheckpoint>,
}
