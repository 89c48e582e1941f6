//! The running sums of a stream and the rows that go on record, one per step and rank.

use std::ops::Range;
use std::time::Duration;

use crate::dataset::stream::{Batch, Lanes, TokenStream};
use crate::referee::loss::{WORST_CASE_FACTOR, row_q32, uniform_nats};
use crate::referee::reference::Reference;
use crate::referee::shm::Geometry;
use crate::referee::step::{self, BatchCharge, Prediction};
use crate::referee::stop::Stop;
use crate::referee::surprise::Surprise;
use crate::score::stream_rows::OnlineRow;

/// Tokens of one row of text that was not predicted: at twice the uniform rate of 2^20 ids they stay below 2^31 nats.
const MAX_ROW_TOKENS: u64 = 1 << 26;

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
    /// Each rank's steps that cost far less than those before them.
    pub surprises: Vec<Surprise>,
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
            surprises: (0..ranks).map(|_| Surprise::default()).collect(),
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
        let mut charge = step::charge_batch(
            batch,
            self.scored[rank].on_record(),
            vocab_size,
            self.stream,
        );
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
        let q32 = |nats| row_q32(nats).map_err(Stop::infrastructure);
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

    /// The rows of text that a rank did not come to: its last rate or the uniform one, whichever is more. One row, unless
    /// the text is larger than a row's fixed point can say; `index` and the following numbers are theirs.
    pub fn rows_left(
        &self,
        index: usize,
        rank: usize,
        tokens: u64,
        bytes: u64,
    ) -> Result<Vec<OnlineRow>, Stop> {
        let uniform = uniform_nats(self.geometry.vocab_size);
        // Absurd logits cost their own step; a whole text at their rate would say nothing more.
        let rate = self.last_rate[rank].clamp(uniform, WORST_CASE_FACTOR * uniform);
        let mut rows = Vec::new();
        let (mut tokens, mut bytes) = (tokens, bytes);
        while tokens > 0 {
            let part = tokens.min(MAX_ROW_TOKENS);
            // The last row takes what is left of the bytes: their sum is exact, whatever the shares.
            let share = (u128::from(bytes) * u128::from(part) / u128::from(tokens)) as u64;
            rows.push(OnlineRow {
                step: (index + rows.len()) as u32,
                rank: rank as u32,
                lane0: (rank * self.geometry.batch_size) as u32,
                tokens: part as u32,
                bytes: share,
                nats_q32: row_q32(rate * part as f64).map_err(Stop::infrastructure)?,
                unpredicted: true,
                ..OnlineRow::default()
            });
            tokens -= part;
            bytes -= share;
        }
        Ok(rows)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tokenizer::Tokenizer;

    #[test]
    fn text_left_is_charged_at_the_larger_rate_in_rows_that_fit() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tokenizers");
        let tokenizer = Tokenizer::load("bytes", &folder).unwrap();
        let stream = TokenStream::new(&[], &tokenizer).unwrap();
        let geometry = Geometry {
            batch_size: 4,
            seq_len: 8,
            vocab_size: 1 << 20,
        };
        let mut record = Record::new(geometry, &stream, 2);
        let uniform = (2f64).powi(20).ln();
        for (last, expected) in [
            (0.5, uniform),
            (1.5 * uniform, 1.5 * uniform),
            (8_192.0, 2.0 * uniform),
        ] {
            record.last_rate[1] = last;
            let rows = record.rows_left(7, 1, 300_000_000, 1_000_000_001).unwrap();
            assert_eq!(rows.len(), 5);
            assert!(rows.iter().all(|row| row.unpredicted && row.rank == 1));
            let steps: Vec<u32> = rows.iter().map(|row| row.step).collect();
            assert_eq!(steps, [7, 8, 9, 10, 11]);
            let tokens: u64 = rows.iter().map(|row| u64::from(row.tokens)).sum();
            let bytes: u64 = rows.iter().map(|row| row.bytes).sum();
            assert_eq!((tokens, bytes), (300_000_000, 1_000_000_001));
            let nats: f64 = rows.iter().map(|row| row.nats_q32 as f64).sum();
            let rate = nats / 2f64.powi(32) / tokens as f64;
            assert!((rate - expected).abs() < 1e-6, "{rate} {expected}");
        }
        assert_eq!(record.rows_left(7, 1, 0, 0).unwrap(), []);
    }
}
