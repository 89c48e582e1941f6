//! After the training: snapshots and saved weights, each in a fresh process.

use super::{Left, Session};
use crate::referee::handshake;
use crate::referee::launch::Phase;
use crate::referee::loss::Loss;
use crate::referee::phases::heldout;
use crate::referee::phases::heldout::Evaluated;
use crate::referee::phases::heldout::Trained;
use crate::referee::phases::shadow;
use crate::referee::phases::shadow::Replayed;
use crate::referee::stop::Stop;

impl Session<'_> {
    /// Replays the snapshots that were kept.
    pub(super) fn replay(&mut self, left: &Left, loss: &mut dyn Loss) -> Result<(), Stop> {
        let Some(figures) = &mut self.measured.snapshots else {
            return Ok(());
        };
        let ranks = self.config.run.world_size as usize;
        let geometry = left.geometry;
        let lanes = left
            .texts
            .stream
            .lanes(geometry.batch_size * ranks, geometry.seq_len)?;
        let run = Replayed {
            plan: self.plan,
            python: &self.python,
            tokenizers: &self.tokenizers,
            key: self.schedule.for_phase("replays").key(),
            geometry,
            lanes: &lanes,
        };
        figures.replays = shadow::replay(&run, &left.kept, loss)?;
        let check = figures.check(self.config.audit.tolerance_nats);
        self.measured.checks.push(check);
        Ok(())
    }

    pub(super) fn held_out(&mut self, left: &Left, loss: &mut dyn Loss) -> Result<Evaluated, Stop> {
        let started = handshake::start(
            self.plan,
            &self.python,
            Phase::HeldOut,
            Some(&left.weights),
            &self.tokenizers,
        )?;
        let trained = Trained {
            geometry: left.geometry,
            check: left.check.as_ref().map(|(batch, live)| (batch, live)),
            tail: &left.tail,
            stream: &left.texts.stream,
            schedule: &self.schedule,
        };
        heldout::evaluate_trained(
            started,
            self.config,
            &trained,
            &left.texts.val,
            loss,
            &mut self.heldout,
        )
    }
}
