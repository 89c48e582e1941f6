//! One rank: its socket, its shared memory, the questions and the answers.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::author_lines;
use super::measured::Fault;
use super::plan::Source;
use super::raised::raised;
use super::shm::{Geometry, SharedMemory};
use super::stop::{Stop, protocol, stop_for, unexpected};
use super::wire::{self, FromReferee, FromRunner};
use crate::dataset::stream::Batch;

/// Longest time for the runner to take a frame.
const SEND_PATIENCE: Duration = Duration::from_secs(30);

/// One rank's end of the wire.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    rank: u32,
    memory: Option<SharedMemory>,
    calls: u64,
    /// What the process runs, so that a fault can name the author's line.
    sources: Arc<BTreeMap<String, Source>>,
}

impl Connection {
    pub fn new(stream: UnixStream, rank: u32) -> Self {
        Self {
            stream,
            rank,
            memory: None,
            calls: 0,
            sources: Arc::default(),
        }
    }

    /// The same connection to a process that runs these files.
    pub fn to_sources(mut self, sources: Arc<BTreeMap<String, Source>>) -> Self {
        self.sources = sources;
        self
    }

    pub fn rank(&self) -> u32 {
        self.rank
    }

    pub fn send(&mut self, frame: &FromReferee<'_>) -> Result<(), Stop> {
        self.send_within(frame, SEND_PATIENCE)
    }

    pub(super) fn send_within(
        &mut self,
        frame: &FromReferee<'_>,
        patience: Duration,
    ) -> Result<(), Stop> {
        wire::send_frame(&self.stream, frame, None, patience).map_err(stop_for)
    }

    /// The next frame; `failed` frames are faults.
    pub fn receive(&mut self, patience: Duration) -> Result<FromRunner, Stop> {
        match wire::read_frame(&self.stream, Instant::now() + patience).map_err(stop_for)? {
            FromRunner::Failed {
                stage,
                exception,
                message,
                place,
            } => {
                let place = author_lines::place(&self.sources, &place);
                Err(raised(stage, &exception, &message, &place).into())
            }
            frame => Ok(frame),
        }
    }

    /// Gives the rank memory of a geometry. The old one, if any, is forgotten.
    pub fn attach(&mut self, geometry: Geometry) -> Result<(), Stop> {
        if self
            .memory
            .as_ref()
            .is_some_and(|memory| memory.geometry() == geometry)
        {
            return Ok(());
        }
        let memory = SharedMemory::new(geometry).map_err(Stop::io("shared memory"))?;
        let frame = FromReferee::Attach {
            batch_size: geometry.batch_size as u64,
            seq_len: geometry.seq_len as u64,
            vocab_size: geometry.vocab_size as u64,
            shm_bytes: memory.bytes as u64,
            ids_offset: 0,
            targets_offset: memory.targets_offset as u64,
            nats_offset: memory.nats_offset as u64,
            logits_offset: memory.logits_offset as u64,
        };
        let descriptor = Some(memory.descriptor());
        wire::send_frame(&self.stream, &frame, descriptor, SEND_PATIENCE).map_err(stop_for)?;
        self.memory = Some(memory);
        Ok(())
    }

    /// Asks for a prediction; [`Connection::take_prediction`] fetches it.
    pub fn ask_prediction(&mut self, ids: &[u32]) -> Result<(), Stop> {
        self.ask(ids, false)
    }

    /// Asks for a prediction of which losses are said first; [`Connection::await_commitment`] fetches them.
    pub fn ask_commitment(&mut self, ids: &[u32]) -> Result<(), Stop> {
        self.ask(ids, true)
    }

    /// Asks for all logits of what was committed last; [`Connection::await_prediction`] fetches them.
    pub fn ask_to_show(&mut self) -> Result<(), Stop> {
        self.send(&FromReferee::Show { call: self.calls })
    }

    fn ask(&mut self, ids: &[u32], commit: bool) -> Result<(), Stop> {
        let Some(memory) = &mut self.memory else {
            return Err(no_memory());
        };
        memory.put_ids(ids);
        self.calls += 1;
        let geometry = memory.geometry();
        let frame = FromReferee::Predict {
            call: self.calls,
            rows: geometry.batch_size as u64,
            cols: geometry.seq_len as u64,
            commit,
        };
        self.send(&frame)
    }

    /// Waits for the prediction asked for and copies its logits out.
    pub fn take_prediction(
        &mut self,
        patience: Duration,
        logits: &mut Vec<f32>,
    ) -> Result<(), Stop> {
        self.await_prediction(patience)?.copy_logits(logits);
        Ok(())
    }

    /// Waits for the prediction asked for; its logits lie in the memory.
    pub fn await_prediction(&mut self, patience: Duration) -> Result<&SharedMemory, Stop> {
        match self.receive(patience)? {
            FromRunner::Predicted { call, shape, dtype } => self.answered(call, &shape, &dtype),
            frame => Err(unexpected(&frame, "predicted").into()),
        }
    }

    /// Waits for the commitment asked for; its losses and the last column's logits lie in the memory.
    pub fn await_commitment(&mut self, patience: Duration) -> Result<&SharedMemory, Stop> {
        match self.receive(patience)? {
            FromRunner::Committed { call, shape, dtype } => self.answered(call, &shape, &dtype),
            frame => Err(unexpected(&frame, "committed").into()),
        }
    }

    /// Whether an answer is one to the last question and of its shape.
    fn answered(&self, call: u64, shape: &[u64], dtype: &str) -> Result<&SharedMemory, Stop> {
        let Some(memory) = &self.memory else {
            return Err(no_memory());
        };
        let geometry = memory.geometry();
        let expected = [
            geometry.batch_size as u64,
            geometry.seq_len as u64,
            geometry.vocab_size as u64,
        ];
        if call != self.calls {
            return Err(protocol(format!(
                "an answer to prediction {call}, expected {}",
                self.calls
            ))
            .into());
        }
        if shape[..] != expected {
            return Err(Fault::new(
                "prism:logits-shape",
                format!(
                    "the model returned logits of shape {:?} ({}), expected {expected:?}: [batch_size, seq_len, vocab_size]",
                    &shape[..shape.len().min(8)],
                    wire::clipped(dtype)
                ),
                "return one row of ctx.vocab_size logits for every position of the input",
            )
            .into());
        }
        Ok(memory)
    }

    /// Shows the batch on record, inputs and targets. The inputs are written again: the last prediction may
    /// have been a probe's.
    pub fn reveal(&mut self, batch: &Batch, step: u64, bytes_charged: u64) -> Result<(), Stop> {
        if let Some(memory) = &mut self.memory {
            memory.put_ids(&batch.ids);
            memory.put_targets(&batch.targets);
        }
        self.send(&FromReferee::Reveal {
            step,
            bytes_charged,
        })
    }
}

fn no_memory() -> Stop {
    Stop::infrastructure("a prediction before attach: a fault of the referee")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const GEOMETRY: Geometry = Geometry {
        batch_size: 2,
        seq_len: 3,
        vocab_size: 5,
    };

    /// What the referee makes of one answer to its first question.
    fn answer(frame: serde_json::Value) -> Result<Vec<f32>, Fault> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut connection = Connection::new(ours, 0);
        connection.attach(GEOMETRY).unwrap();
        connection.ask_prediction(&[0; 6]).unwrap();
        let body = serde_json::to_vec(&frame).unwrap();
        (&theirs)
            .write_all(&(body.len() as u32).to_le_bytes())
            .unwrap();
        (&theirs).write_all(&body).unwrap();
        let mut logits = Vec::new();
        match connection.take_prediction(Duration::from_secs(5), &mut logits) {
            Ok(()) => Ok(logits),
            Err(Stop::Fault(fault)) => Err(fault),
            Err(stop) => panic!("{stop:?}"),
        }
    }

    fn predicted(shape: serde_json::Value, dtype: &str) -> serde_json::Value {
        serde_json::json!({"kind": "predicted", "call": 1, "shape": shape, "dtype": dtype})
    }

    #[test]
    fn only_logits_of_exactly_the_shape_asked_for_are_taken() {
        for dtype in ["float32", "bfloat16", "float64", "int64", "whatever"] {
            let logits = answer(predicted(serde_json::json!([2, 3, 5]), dtype)).unwrap();
            assert_eq!(logits.len(), 30, "always as wide as the memory: {dtype}");
        }
        let wrong = [
            serde_json::json!([]),
            serde_json::json!([30]),
            serde_json::json!([6, 5]),
            serde_json::json!([2, 3, 4]),
            serde_json::json!([2, 3, 6]),
            serde_json::json!([2, 3, 1]),
            serde_json::json!([2, 3, 0]),
            serde_json::json!([2, 1, 5]),
            serde_json::json!([1, 3, 5]),
            serde_json::json!([3, 2, 5]),
            serde_json::json!([2, 5, 3]),
            serde_json::json!([1, 2, 3, 5]),
            serde_json::json!([2, 3, 5, 1]),
            serde_json::json!([2, 3, u64::MAX]),
            serde_json::Value::from(vec![1u64; 5_000]),
        ];
        for shape in wrong {
            let fault = answer(predicted(shape.clone(), "float32")).unwrap_err();
            assert_eq!(fault.rule_id, "prism:logits-shape", "{shape}");
            assert!(fault.message.contains("expected [2, 3, 5]"), "{fault}");
            assert!(fault.message.len() < 500, "{shape}");
        }
        // A dtype is text for a message: it is cut and its control characters are shown.
        let long = format!("\u{1b}[31m{}", "x".repeat(10_000));
        let fault = answer(predicted(serde_json::json!([1]), &long)).unwrap_err();
        assert!(fault.message.len() < 1_000 && !fault.message.contains('\u{1b}'));
    }
}
