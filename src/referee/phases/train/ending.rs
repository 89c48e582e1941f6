//! The end of the training: what was not predicted is charged, the state is asked for once more, the weights are saved.

use std::time::Duration;

use super::{StreamEnd, Training};
use crate::dataset::stream::{Batch, Lanes};
use crate::referee::phases::record::{Record, own_lanes};
use crate::referee::phases::{evaluation_patience, ranks};
use crate::referee::shm::Geometry;
use crate::referee::step::{self, Prediction};
use crate::referee::stop::{Stop, explain, unexpected};
use crate::referee::wire::{FromReferee, FromRunner};

impl Training<'_> {
    /// Text that a submission did not come to is charged at its last rate or the uniform rate, whichever is more, whether
    /// it returned or its time ran out: who stalls cannot be told from who is slow, and stopping never pays.
    pub(super) fn charge_the_rest(
        &mut self,
        index: usize,
        lanes: &Lanes<'_>,
        record: &mut Record<'_>,
    ) -> Result<(), Stop> {
        for rank in 0..self.started.connections.len() {
            let (tokens, bytes) = lanes.left_after(index, own_lanes(record.geometry, rank));
            for row in record.rows_left(index, rank, tokens, bytes)? {
                self.journal
                    .append(&row)
                    .map_err(Stop::io("the loss stream"))?;
            }
        }
        Ok(())
    }

    /// What every rank says at the end of the stream.
    pub(super) fn end_of(
        &mut self,
        stopped_reason: &'static str,
        geometry: Geometry,
        lanes: &Lanes<'_>,
        revealed_steps: usize,
    ) -> Result<StreamEnd, Stop> {
        self.predict_patience = evaluation_patience(&self.config.run);
        let check = self.final_prediction(geometry, lanes, revealed_steps)?;
        let ranks = match &check {
            None => None,
            Some((batch, rank0)) => ranks::agree(
                &mut self.started.connections,
                geometry.vocab_size,
                batch,
                rank0,
                self.loss,
                self.predict_patience,
                self.config.audit.tolerance_nats,
            )
            .map_err(|stop| {
                explain(
                    stop,
                    &self.started.running,
                    "comparing the ranks on the last batch",
                )
            })?,
        };
        Ok(StreamEnd {
            stopped_reason,
            revealed_steps,
            check,
            ranks,
        })
    }

    /// What the trained process says of the last batch it was trained on: the saved weights must say the same.
    pub(super) fn final_prediction(
        &mut self,
        geometry: Geometry,
        lanes: &Lanes<'_>,
        revealed_steps: usize,
    ) -> Result<Option<(Batch, Prediction)>, Stop> {
        let Some(last) = revealed_steps.checked_sub(1) else {
            return Ok(None);
        };
        let batch = lanes.batch(last, own_lanes(geometry, 0));
        let mut prediction = Prediction::default();
        let patience = self.predict_patience.now();
        let connection = &mut self.started.connections[0];
        step::predict(
            connection,
            geometry.vocab_size,
            &batch,
            self.loss,
            patience,
            &mut prediction,
        )
        .map_err(|stop| {
            explain(
                stop,
                &self.started.running,
                "predicting the last batch again",
            )
        })?;
        Ok(Some((batch, prediction)))
    }

    /// Has rank 0 save its weights, then ends all ranks.
    pub fn save_and_end(mut self) -> Result<(), Stop> {
        let save = FromReferee::Save {
            path: "weights.safetensors",
        };
        for rank in 0..self.started.connections.len() {
            self.count_live(rank)?;
        }
        let asked = self
            .started
            .connections
            .first_mut()
            .map_or(Ok(()), |rank| rank.send(&save));
        asked.map_err(|stop| explain(stop, &self.started.running, "saving the weights"))?;
        let frame = self.receive(0, Duration::from_secs(300), "saving the weights")?;
        if !matches!(frame, FromRunner::Saved { .. }) {
            return Err(unexpected(&frame, "saved").into());
        }
        for connection in &mut self.started.connections {
            // A rank that is gone already needs no end.
            let _ = connection.send(&FromReferee::End { reason: "done" });
        }
        self.started.running.finish(Duration::from_secs(20));
        Ok(())
    }
}
