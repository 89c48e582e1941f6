//! One rank: its socket, its shared memory, and what can stop the conversation.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::measured::Fault;
use super::shm::{Geometry, SharedMemory};
use super::wire::{self, FromReferee, FromRunner, Stage, WireError};
use crate::dataset::stream::Batch;
use crate::sandbox::{Breach, Running, SandboxError};

/// What ends a run before its time.
#[derive(Debug)]
pub enum Stop {
    /// The submission's own affair: a verdict.
    Fault(Fault),
    /// Ours or the machine's: the run can be tried again.
    Infrastructure { message: String, hint: String },
}

impl Stop {
    pub fn infrastructure(message: impl Into<String>) -> Self {
        Self::Infrastructure {
            message: message.into(),
            hint: "the submission is tried again; if it happens again, look at the machine"
                .to_owned(),
        }
    }

    /// An input/output error of ours.
    pub fn io(what: &str) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.to_owned();
        move |error| Self::infrastructure(format!("{what}: {error}"))
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<SandboxError> for Stop {
    fn from(error: SandboxError) -> Self {
        Self::Infrastructure {
            message: error.to_string(),
            hint: error.hint().to_owned(),
        }
    }
}

impl From<crate::dataset::DatasetError> for Stop {
    fn from(error: crate::dataset::DatasetError) -> Self {
        if error.is_choice_of_tokenizer() {
            return Fault::new("prism:tokenizer", error.to_string(), error.hint()).into();
        }
        Self::Infrastructure {
            message: error.to_string(),
            hint: error.hint().to_owned(),
        }
    }
}

/// Longest time for the runner to take a frame.
const SEND_PATIENCE: Duration = Duration::from_secs(30);

/// One rank's end of the wire.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    rank: u32,
    memory: Option<SharedMemory>,
    calls: u64,
}

impl Connection {
    pub fn new(stream: UnixStream, rank: u32) -> Self {
        Self {
            stream,
            rank,
            memory: None,
            calls: 0,
        }
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
            } => Err(raised(stage, &exception, &message, &place).into()),
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

fn protocol(message: String) -> Fault {
    Fault::new(
        "prism:protocol",
        format!("the training process broke the protocol: {message}"),
        "do not touch the harness's modules, sockets or memory; use ctx as documented",
    )
}

/// A frame out of its place.
pub fn unexpected(frame: &FromRunner, expected: &str) -> Fault {
    protocol(format!("got frame {:?}, expected {expected}", frame.kind()))
}

/// What the submission's code raised, by stage.
fn raised(stage: Stage, exception: &str, message: &str, place: &str) -> Fault {
    let (exception, message, place) = (
        wire::clipped(exception),
        wire::clipped(message),
        wire::clipped(place),
    );
    let at = if place.is_empty() {
        String::new()
    } else {
        format!(" at {place}")
    };
    let text = |what: &str| format!("{what} raised {exception}{at}: {message}");
    match stage {
        Stage::Import => Fault::new(
            "prism:import-error",
            text("importing the submission"),
            "the traceback is in run.log",
        ),
        Stage::Build if exception == "TypeError" && message.contains("torch.nn.Module") => {
            Fault::new(
                "prism:build-model-return-type",
                message,
                "build_model(ctx) must return a torch.nn.Module",
            )
        }
        Stage::Build if out_of_memory(&exception, &message) => Fault::new(
            "prism:build-model-resource",
            text("build_model"),
            "build a smaller model",
        ),
        Stage::Build => Fault::new(
            "prism:build-model-instantiation",
            text("build_model"),
            "run build_model(ctx) on its own with vocab_size 4096 and sequence_length 128",
        ),
        Stage::Load => Fault::new(
            "prism:state",
            text("loading the saved weights into a fresh build_model"),
            "everything that training changes must be in the model's state_dict",
        ),
        Stage::Forward => Fault::new(
            "prism:runtime-error",
            text("the model's forward"),
            "see run.log",
        ),
        // Names of the runner's own; a submission that raises them gives itself this verdict.
        Stage::Train if ["TokenizerRefused", "UnknownTokenizer"].contains(&exception.as_str()) => {
            Fault::new(
                "prism:tokenizer",
                text("train"),
                "name a tokenizer of the contest, or ship a tokenizer.json and name it in prism.yaml",
            )
        }
        Stage::Train if out_of_memory(&exception, &message) => {
            Fault::new("prism:resource-oom", text("train"), "use less memory")
        }
        Stage::Train => Fault::new(
            "prism:runtime-error",
            text("train"),
            "the traceback is in run.log",
        ),
        Stage::Save => Fault::new(
            "prism:state",
            text("saving the weights"),
            "state_dict must hold tensors only",
        ),
    }
}

fn out_of_memory(exception: &str, message: &str) -> bool {
    let message = message.to_lowercase();
    exception == "MemoryError"
        || exception == "OutOfMemoryError"
        || [
            "out of memory",
            "can't allocate memory",
            "cannot allocate memory",
            "defaultcpuallocator",
        ]
        .iter()
        .any(|text| message.contains(text))
}

/// A wire error, before anybody looked why.
fn stop_for(error: WireError) -> Stop {
    let rule_id = match error {
        WireError::Closed => CLOSED,
        WireError::Deadline(_) => DEADLINE,
        WireError::Size { .. } | WireError::Schema(_) | WireError::Descriptors => "prism:protocol",
        WireError::Io(error) => {
            return Stop::infrastructure(format!("the referee's socket: {error}"));
        }
    };
    if rule_id == "prism:protocol" {
        return protocol(error.to_string()).into();
    }
    Fault::new(rule_id, error.to_string(), "").into()
}

/// Placeholders that [`explain`] replaces.
const CLOSED: &str = "closed";
const DEADLINE: &str = "deadline";

/// Says why a conversation ended, with what the sandbox knows: a broken limit comes first, then how the process died.
pub fn explain(stop: Stop, running: &Running, doing: &str) -> Stop {
    let Stop::Fault(fault) = stop else {
        return stop;
    };
    // A broken limit closes the socket a moment before anybody hears of it.
    if fault.rule_id == CLOSED {
        wait_for_end(running);
    }
    if let Some(breach) = running.breach() {
        return breached(breach).into();
    }
    match fault.rule_id.as_str() {
        CLOSED => {
            let how = match running.ended() {
                Some(ended) => match (ended.code, ended.signal) {
                    (Some(code), _) if code > 128 => format!("was ended by signal {}", code - 128),
                    (Some(code), _) => format!("ended with status {code}"),
                    (None, Some(signal)) => format!("was ended by signal {signal}"),
                    (None, None) => "ended".to_owned(),
                },
                None => "closed its connection".to_owned(),
            };
            Fault::new(
                "prism:runtime-error",
                format!("the training process {how} while {doing}"),
                "see run.log; the process must stay until train(ctx) returns",
            )
            .into()
        }
        DEADLINE => Fault::new(
            "prism:budget-exceeded",
            format!("{} while {doing}", fault.message),
            "the run must keep asking for batches until its budget ends, then return from train(ctx)",
        )
        .into(),
        _ => Stop::Fault(fault),
    }
}

fn wait_for_end(running: &Running) {
    let deadline = Instant::now() + Duration::from_secs(2);
    while running.ended().is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn breached(breach: Breach) -> Fault {
    let (rule_id, hint) = match breach {
        Breach::Memory { .. } => (
            "prism:resource-oom",
            "use less memory: a smaller model or batch",
        ),
        Breach::Processes { .. } => (
            "prism:resource-processes",
            "start fewer processes and threads",
        ),
        Breach::Artifacts { .. } => ("prism:artifacts-quota", "write less to ctx.artifacts_dir"),
    };
    Fault::new(rule_id, breach.to_string(), hint)
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
