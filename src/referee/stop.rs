//! What ends a run before its time, and why: a verdict on the submission, or the machine's affair.

use std::time::{Duration, Instant};

use super::measured::Fault;
use super::wire::{FromRunner, WireError};
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

pub(super) fn protocol(message: String) -> Fault {
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

/// A wire error, before anybody looked why.
pub(super) fn stop_for(error: WireError) -> Stop {
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
