//! The start of the training: every rank asks for its batches.

use std::time::Duration;

use super::Training;
use crate::referee::measured::Fault;
use crate::referee::patience::Patience;
use crate::referee::stop::{Stop, unexpected};
use crate::referee::wire::FromRunner;

/// What the submission asked for with `ctx.iter_train_batches`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    pub batch_size: u64,
    pub seq_len: u64,
    pub tokenizer: Option<String>,
}

impl Training<'_> {
    /// Waits until every rank asked for batches, all of the same shape.
    pub fn opened(&mut self) -> Result<Opened, Stop> {
        // Imports and set-up (data parallel wrappers, compilation) come before the first batch.
        let all = Duration::from_secs(self.config.run.build_s + self.config.budget.grace_s);
        let patience = Patience::new(all, all);
        let mut opened: Option<Opened> = None;
        for rank in 0..self.started.connections.len() {
            let frame = self.receive(rank, patience.now(), "waiting for ctx.iter_train_batches")?;
            let asked = match frame {
                FromRunner::Open {
                    batch_size,
                    seq_len,
                    tokenizer,
                } => Opened {
                    batch_size,
                    seq_len,
                    tokenizer,
                },
                FromRunner::Finished { .. } => return Err(no_learning().into()),
                frame => return Err(unexpected(&frame, "open").into()),
            };
            if opened.as_ref().is_some_and(|opened| *opened != asked) {
                return Err(Fault::new(
                    "prism:geometry",
                    format!("rank {rank} asked for another batch shape or tokenizer than rank 0"),
                    "all ranks must call ctx.iter_train_batches with the same arguments",
                )
                .into());
            }
            opened = Some(asked);
        }
        opened.ok_or_else(|| {
            Stop::infrastructure("a phase without a connection: a fault of the referee")
        })
    }
}

fn no_learning() -> Fault {
    Fault::new(
        "prism:no-learning",
        "train(ctx) returned without asking for a batch",
        "loop over ctx.iter_train_batches(model, batch_size=…, seq_len=…) and train on each batch",
    )
}
