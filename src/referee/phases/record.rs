//! The running sums of a stream and the rows that go on record, one per step and rank.

use std::ops::Range;
use std::time::Duration;

use crate::dataset::stream::{Batch, Lanes, TokenStream};
use crate::referee::connection::Stop;
use crate::referee::loss::{WORST_CASE_FACTOR, uniform_nats};
use crate::referee::reference::Reference;
use crate::referee::shm::Geometry;
use crate::referee::step::{self, BatchCharge, Prediction};
use crate::score::stream_rows::{OnlineRow, nats_to_q32};

/// The lanes of one rank.
pub fn own_lanes(geometry: Geometry, rank: usize) -> Range<usize> {
    rank * geometry.batch_size..(rank + 1) * geometry.batch_size
}

/// Sums of a running stream and the buffers of its steps, one per rank.
pub struct Record<'a> {
    pub geometry: Geometry,
    pub stream: &'a TokenStream,
    reference: Reference,
    pub scored: Vec<Prediction>,
    pub probed: Vec<Prediction>,
    /// The reference predictor's losses on the last batch, position by position.
    pub reference_nats: Vec<f64>,
    /// Nats per token of each rank's last step.
    pub last_rate: Vec<f64>,
    pub bytes: u64,
    pub nats: f64,
    /// Part of the step that was not the submission's time.
    pub paused: Duration,
}

impl<'a> Record<'a> {
    pub fn new(geometry: Geometry, stream: &'a TokenStream, ranks: usize) -> Self {
        Self {
            geometry,
            stream,
            reference: Reference::new(geometry.vocab_size),
            scored: (0..ranks).map(|_| Prediction::default()).collect(),
            probed: (0..ranks).map(|_| Prediction::default()).collect(),
            reference_nats: Vec::new(),
            last_rate: vec![0.0; ranks],
            bytes: 0,
            nats: 0.0,
            paused: Duration::ZERO,
        }
    }

    /// One row of the stream.
    pub fn row(
        &mut self,
        index: usize,
        rank: usize,
        batch: &Batch,
        lanes: &Lanes<'_>,
    ) -> Result<OnlineRow, Stop> {
        let vocab_size = self.geometry.vocab_size;
        let mut charge =
            step::charge_batch(batch, &self.scored[rank].nats, vocab_size, self.stream);
        if charge.all.tokens > 0 {
            self.last_rate[rank] = charge.all.nats / f64::from(charge.all.tokens);
        }
        let (mut ref_nats, ref_blind_nats) = self.consult_reference(batch);
        if index == 0 {
            let first = lanes.first_tokens(own_lanes(self.geometry, rank));
            let first = step::charge_first_tokens(&first, vocab_size, self.stream);
            // The reference has no context for them either.
            ref_nats += first.all.nats;
            add(&mut charge, &first);
        }
        self.bytes += charge.bytes;
        self.nats += charge.all.nats;
        let q32 = |nats| nats_to_q32(nats).map_err(|error| Stop::infrastructure(error.to_string()));
        Ok(OnlineRow {
            step: index as u32,
            rank: rank as u32,
            lane0: (rank * self.geometry.batch_size) as u32,
            tokens: charge.all.tokens,
            bytes: charge.bytes,
            nats_q32: q32(charge.all.nats)?,
            blind_tokens: charge.blind.tokens,
            blind_nats_q32: q32(charge.blind.nats)?,
            ref_nats_q32: q32(ref_nats)?,
            ref_blind_nats_q32: q32(ref_blind_nats)?,
            nonfinite: charge.all.nonfinite,
            unpredicted: false,
        })
    }

    /// The row of what a rank left by its own choice: its last rate or the uniform one, whichever is more.
    pub fn row_left(
        &self,
        index: usize,
        rank: usize,
        tokens: u64,
        bytes: u64,
    ) -> Result<OnlineRow, Stop> {
        let uniform = uniform_nats(self.geometry.vocab_size);
        // Absurd logits cost their own step; a whole text at their rate would not fit the stream.
        let rate = self.last_rate[rank].clamp(uniform, WORST_CASE_FACTOR * uniform);
        let tokens = u32::try_from(tokens)
            .map_err(|_| Stop::infrastructure("more than 2^32 tokens left in one rank's lanes"))?;
        Ok(OnlineRow {
            step: index as u32,
            rank: rank as u32,
            lane0: (rank * self.geometry.batch_size) as u32,
            tokens,
            bytes,
            nats_q32: nats_to_q32(rate * f64::from(tokens))
                .map_err(|error| Stop::infrastructure(error.to_string()))?,
            unpredicted: true,
            ..OnlineRow::default()
        })
    }

    /// The reference predictor's losses on the batch, all and blind, before it learns from it.
    fn consult_reference(&mut self, batch: &Batch) -> (f64, f64) {
        let (mut all, mut blind) = (0.0, 0.0);
        self.reference_nats.clear();
        self.reference_nats.resize(batch.ids.len(), 0.0);
        for learn in [false, true] {
            for row in 0..batch.rows {
                for column in 0..batch.lengths[row] {
                    let place = row * batch.cols + column;
                    let (context, target) = (batch.ids[place], batch.targets[place]);
                    if learn {
                        self.reference.learn(context, target);
                        continue;
                    }
                    let nats = self.reference.nats(context, target);
                    self.reference_nats[place] = nats;
                    all += nats;
                    if column + 1 == batch.cols {
                        blind += nats;
                    }
                }
            }
        }
        (all, blind)
    }
}

fn add(charge: &mut BatchCharge, more: &BatchCharge) {
    charge.all.nats += more.all.nats;
    charge.all.tokens += more.all.tokens;
    charge.bytes += more.bytes;
}
