//! Taking snapshots: the weights of rank 0 at secret steps, after the prediction and before the targets are shown.

use std::path::PathBuf;
use std::time::Instant;

use super::Training;
use crate::config::Audit;
use crate::referee::phases::record::Record;
use crate::referee::phases::{check_saved, too_many_processes};
use crate::referee::saved_weights;
use crate::referee::snapshot::{SnapshotFigures, SnapshotSteps};
use crate::referee::stop::{Stop, explain, unexpected};
use crate::referee::wire::{FromReferee, FromRunner};

/// What the runner calls the file.
const FILE: &str = "snapshot.safetensors";

/// A snapshot that will be replayed.
#[derive(Debug)]
pub struct Kept {
    pub step: usize,
    /// Holds the weights and nothing else.
    pub folder: PathBuf,
    pub elements: u64,
    /// The scored losses of the step, position by position, rank by rank.
    pub nats: Vec<Vec<f64>>,
}

/// The snapshots of one training.
#[derive(Debug)]
pub struct Snapshots {
    key: [u8; 32],
    replays: u32,
    artifacts: PathBuf,
    folder: PathBuf,
    steps: SnapshotSteps,
    /// What the runner committed to before the current batch.
    commitment: Option<String>,
    pub figures: SnapshotFigures,
    pub kept: Vec<Kept>,
}

impl Snapshots {
    /// `artifacts` is where the runner saves, `folder` where copies are kept.
    pub fn new(key: [u8; 32], audit: &Audit, artifacts: PathBuf, folder: PathBuf) -> Self {
        Self {
            key,
            replays: audit.snapshots,
            artifacts,
            folder,
            steps: SnapshotSteps::default(),
            commitment: None,
            figures: SnapshotFigures {
                committed: audit.snapshots > 0 && audit.commit,
                ..SnapshotFigures::default()
            },
            kept: Vec::new(),
        }
    }

    /// Draws the steps of a stream.
    pub(super) fn draw(&mut self, steps: usize) {
        self.steps = SnapshotSteps::draw(self.key, steps, self.replays);
    }

    /// What rank 0 said with `next`: the sha256 of its weights before it sees the next batch.
    pub(super) fn commit(&mut self, weights: Option<String>) {
        self.commitment = weights;
    }
}

impl Training<'_> {
    /// Asks for the weights, if this step is one where they are wanted.
    pub(super) fn take_snapshot(
        &mut self,
        index: usize,
        record: &mut Record<'_>,
    ) -> Result<(), Stop> {
        if !self.snapshots.steps.asks(index) {
            return Ok(());
        }
        let doing = "saving a snapshot of the weights";
        let save = FromReferee::Save { path: FILE };
        if let Some(rank) = self.started.connections.first_mut() {
            rank.send(&save)
                .map_err(|stop| explain(stop, &self.started.running, doing))?;
        }
        let frame = self.receive(0, self.predict_patience.now(), doing)?;
        if !matches!(frame, FromRunner::Saved { .. }) {
            return Err(unexpected(&frame, "saved").into());
        }
        // Copying is not the submission's time, so it gets none to itself.
        let paused = Instant::now();
        if !self.started.running.pause() {
            return Err(too_many_processes().into());
        }
        let snapshots = &mut self.snapshots;
        let folder = snapshots.folder.join(index.to_string());
        let taken = saved_weights::take(&snapshots.artifacts, FILE, &folder)?;
        snapshots.figures.steps.push(index as u32);
        if snapshots.figures.committed && snapshots.commitment.as_ref() != Some(&taken.sha256) {
            snapshots.figures.changed.push(index as u32);
        }
        if snapshots.steps.replays(index) {
            snapshots.kept.push(Kept {
                step: index,
                folder,
                elements: taken.elements,
                nats: record
                    .scored
                    .iter()
                    .map(|prediction| prediction.nats.clone())
                    .collect(),
            });
        } else {
            std::fs::remove_dir_all(&folder).map_err(Stop::io("a snapshot"))?;
        }
        self.started.running.resume();
        record.paused += paused.elapsed();
        Ok(check_saved(
            taken.elements,
            self.config.contest.max_parameters,
        )?)
    }
}
