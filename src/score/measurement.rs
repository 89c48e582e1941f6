//! The facts of a run that its streams do not hold. Together with the streams they determine the score, bit for bit.

use serde::{Deserialize, Serialize};

use super::code_length::CodeLength;
use super::stream_digests::StreamDigests;
use super::v3::RunFacts;

/// One check of the referee: causality, purity, head start, cap, state.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Stable name, for example `prism:non-causal`.
    pub name: String,
    pub passed: bool,
    /// The figures that decided, also when the check passed.
    pub evidence: String,
}

/// The `measurement` block as a manifest holds it: the facts, and which streams they belong to.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct RecordedMeasurement {
    #[serde(flatten)]
    pub facts: MeasurementBlock,
    pub streams: StreamDigests,
}

/// The facts of a run, as the pipeline hands them to this room.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct MeasurementBlock {
    /// Width of the scored distribution: number of ids that logits are given for.
    pub vocab_size: u32,
    /// Mean raw bytes of text per token of the twin's first batch.
    pub bytes_per_token: f64,
    /// Mean loss of the untrained twin on the first batch, nats per token; none when it was not measured.
    pub step0_nats: Option<f64>,
    pub code: CodeLength,
    pub checks: Vec<Check>,
    /// The run's time was over before its text was.
    #[serde(default)]
    pub out_of_time: bool,
}

impl MeasurementBlock {
    /// The facts as the scoring rules take them.
    pub fn facts(&self) -> RunFacts {
        RunFacts {
            vocab_size: self.vocab_size,
            code_bits: self.code.bits,
            checks: self.checks.clone(),
            step0_nats: self.step0_nats,
            bytes_per_token: self.bytes_per_token,
            out_of_time: self.out_of_time,
        }
    }
}
