//! Why there is no answer.

use std::path::PathBuf;
use std::time::Duration;

use crate::outbox::OutboxError;

/// What keeps a reviewer from answering, or an answer from being one. None of it says what the key is, or repeats what a
/// server sent.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    #[error("the key in {place} cannot be used: {reason}")]
    Key { place: String, reason: String },
    #[error("the reviewer cannot be reached: {reason}")]
    Unreachable { reason: String },
    #[error("the reviewer did not answer within {seconds} s")]
    Timeout { seconds: u64 },
    #[error("the reviewer answered with status {status}")]
    Status {
        status: u16,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    #[error("the reviewer redirects elsewhere (status {status}), and is not followed")]
    Redirect { status: u16 },
    #[error("the answer was cut off: {reason}")]
    CutOff { reason: String },
    #[error("the answer is longer than {limit_bytes} bytes")]
    TooLong { limit_bytes: u64 },
    #[error("the answer is none: {reason}")]
    Malformed { reason: String },
    #[error("the reviewer {program} cannot be started: {reason}")]
    Start { program: String, reason: String },
    #[error("the reviewer {program} ended with {end}")]
    Ended { program: String, end: String },
    #[error("no record in {path} is of this bundle, prompt and model")]
    NoRecord { path: PathBuf },
    #[error("the records in {path} cannot be used: {reason}")]
    Records { path: PathBuf, reason: String },
    #[error("randomness: {reason}")]
    Random { reason: String },
    #[error("prism was asked to stop")]
    Stopped,
    #[error(transparent)]
    Outbox(#[from] OutboxError),
}

impl GateError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Key { .. } => {
                "gate.api_key_file or gate.api_key_env names where the key is; one line, nothing else"
            }
            Self::Status {
                status: 401 | 403, ..
            } => "the key is not accepted: renew it",
            Self::Status { status: 402, .. } => "the account with the reviewer's provider is empty",
            Self::Status {
                status: 400 | 404 | 422,
                ..
            } => "check gate.base_url and gate.model, and that the model can call tools",
            Self::Status { .. }
            | Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::CutOff { .. } => "it is asked again after a while",
            Self::Redirect { .. } => "name the final address in gate.base_url",
            Self::TooLong { .. } => "it is asked again; gate.max_answer_bytes is the limit",
            Self::Malformed { .. } => {
                "it is asked again; a model that never answers by the tool cannot be the reviewer"
            }
            Self::Start { .. } | Self::Ended { .. } => {
                "run gate.command by hand to see what is wrong"
            }
            Self::NoRecord { .. } => {
                "gate.mode recorded only knows verdicts that were recorded; `prism release` lets it pass"
            }
            Self::Records { .. } => {
                "gate.records is a file of a verdict, a folder of such, or an outbox"
            }
            Self::Random { .. } => "the machine gives no random bytes",
            Self::Stopped => "the next run asks again",
            Self::Outbox(error) => error.hint(),
        }
    }

    /// How long the reviewer wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
