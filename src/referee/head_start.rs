//! Whether the model that enters the stream is the untrained twin, and what the twin knew.

use serde::{Deserialize, Serialize};

use super::loss::charge;
use super::measured::CheckResult;
use super::step::Prediction;
use crate::dataset::stream::{Batch, TokenStream};

/// The first batch: the twin's loss on it, and whether the model that enters the stream is the twin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstBatch {
    /// The twin's mean loss, nats per token.
    pub step0_nats: f64,
    /// Mean UTF-8 bytes per token of the batch.
    pub bytes_per_token: f64,
    pub check: CheckResult,
}

impl FirstBatch {
    /// `twin` and `live` are predictions of the same batch.
    pub fn new(
        batch: &Batch,
        stream: &TokenStream,
        vocab_size: usize,
        twin: &Prediction,
        live: &Prediction,
        tolerance_nats: f64,
    ) -> Self {
        let bytes: u64 = batch.targets.iter().map(|&id| stream.bytes_of(id)).sum();
        // As charged: a row without a finite loss is the worst case, not a figure that is missing.
        let charged = twin.nats.iter().map(|&nats| charge(nats, vocab_size).0);
        let mean = charged.sum::<f64>() / twin.nats.len().max(1) as f64;
        let difference = twin.largest_difference_nats(live);
        Self {
            step0_nats: mean,
            bytes_per_token: bytes as f64 / batch.targets.len().max(1) as f64,
            check: CheckResult {
                name: "head_start".to_owned(),
                passed: difference <= tolerance_nats,
                evidence: format!(
                    "on the first batch the model that enters the stream and its untrained twin differ by {difference:e} nats, \
                     expected at most {tolerance_nats}"
                ),
            },
        }
    }
}
