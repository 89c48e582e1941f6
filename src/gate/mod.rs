//! The gate before the device: a reviewer that can read, most often a language model, is asked about every submission that
//! the static rooms accepted.
//!
//! [`review`] takes a bundle and gives a [`Ruling`]; it decides nothing else and writes nothing but its cache. The whole
//! bundle is shown, as data ([`material`]); the answer is one tool call ([`answer`]) whose evidence is held against the
//! source. What is not a clear answer is none: the submission is held.

pub mod answer;
pub mod cache;
mod command;
mod error;
mod http;
pub mod injection;
mod material;
mod patience;
pub mod prompt;
pub mod record;
mod recorded;
mod secret;
mod tls;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

pub use error::GateError;

use answer::{Evidence, Said};
use cache::Cache;
use prompt::Ask;
use record::{Circumstances, Record, Source};

use crate::bundle::Bundle;
use crate::config::gate::{Gate, GateMode, OnInjection};
use crate::digest::sha256;
use crate::outbox::status::rfc3339;

/// Rejected by the reviewer, with evidence.
pub const RULE: &str = "prism:llm-gate";
/// Text that is meant for the reviewer.
pub const RULE_INJECTION: &str = "prism:llm-gate-injection";
/// Held: more than the reviewer is shown.
pub const RULE_TOO_LARGE: &str = "prism:llm-gate-too-large";
/// Held: no answer.
pub const RULE_UNAVAILABLE: &str = "prism:llm-gate-unavailable";
/// Held: an answer that decides nothing.
pub const RULE_UNSURE: &str = "prism:llm-gate-unsure";
/// Without an answer for too long.
pub const RULE_EXPIRED: &str = "prism:llm-gate-expired";

/// What becomes of a submission.
#[derive(Debug)]
pub struct Ruling {
    pub outcome: Outcome,
    /// What was asked and said; none where nobody answered.
    pub record: Option<Record>,
}

#[derive(Debug)]
pub enum Outcome {
    Allowed,
    /// For good.
    Rejected {
        rule_id: &'static str,
        message: String,
        hint: &'static str,
    },
    /// It waits.
    Held(Hold),
}

/// Why a submission waits.
#[derive(Debug)]
pub struct Hold {
    pub rule_id: &'static str,
    pub message: String,
    pub hint: String,
    /// Whether asking again can change anything.
    pub is_asked_again: bool,
    /// How long the reviewer wants to be left alone.
    pub retry_after: Option<Duration>,
    /// Whether the machine, the network or the operator is at fault.
    pub is_infrastructure: bool,
}

/// Whom to ask, made ready once for many submissions.
#[derive(Debug)]
pub enum Reviewer {
    Http(Box<http::Client>),
    Command(command::Program),
    Recorded(recorded::Records),
}

impl Reviewer {
    /// The reviewer of a configuration; none with mode `off`.
    ///
    /// # Errors
    /// A key, certificates or records that cannot be used.
    pub fn new(gate: &Gate) -> Result<Option<Self>, GateError> {
        Ok(match (gate.mode, &gate.records) {
            (GateMode::Off, _) => None,
            (GateMode::Http, _) => Some(Self::Http(Box::new(http::Client::new(gate)?))),
            (GateMode::Command, _) => Some(Self::Command(command::Program::new(gate))),
            (GateMode::Recorded, Some(path)) => {
                Some(Self::Recorded(recorded::Records::read(path)?))
            }
            (GateMode::Recorded, None) => {
                return Err(GateError::Records {
                    path: "(none)".into(),
                    reason: "gate.records names none".to_owned(),
                });
            }
        })
    }
}

/// Where the gate works, and whether it is to end.
pub struct Place<'a> {
    pub cache: &'a Cache,
    /// A folder of nobody else for a program that is started.
    pub work: &'a Path,
    pub is_stopped: &'a dyn Fn() -> bool,
}

/// Asks about one bundle, unless the answer is known or nobody has to be asked.
///
/// # Errors
/// [`GateError::Stopped`] only: every other failure is a ruling that holds the submission.
pub fn review(
    bundle: &Bundle,
    gate: &Gate,
    reviewer: Result<&Reviewer, &GateError>,
    place: &Place<'_>,
) -> Result<Ruling, GateError> {
    let injections = injection::find(bundle);
    if gate.injection == OnInjection::Reject
        && let Some(first) = injections.first()
    {
        return Ok(Ruling {
            outcome: Outcome::Rejected {
                rule_id: RULE_INJECTION,
                message: injected(first, injections.len()),
                hint: "leave out what is meant for a reviewer",
            },
            record: None,
        });
    }
    let bytes = material::size_bytes(bundle);
    if bytes > gate.max_bundle_bytes && gate.mode != GateMode::Recorded {
        return Ok(hold(Hold {
            rule_id: RULE_TOO_LARGE,
            message: format!("the bundle has {bytes} bytes, the reviewer is shown at most {}", gate.max_bundle_bytes),
            hint: "send less, or ask the operator to raise gate.max_bundle_bytes; nothing is shown in part".to_owned(),
            is_asked_again: true,
            retry_after: None,
            is_infrastructure: false,
        }));
    }
    let reviewer = match reviewer {
        Ok(reviewer) => reviewer,
        Err(error) => return Ok(hold(told(error))),
    };
    match answer(bundle, gate, reviewer, injections, place) {
        Ok(record) => Ok(rule(bundle, record)),
        Err(GateError::Stopped) => Err(GateError::Stopped),
        Err(error) => Ok(hold(told(&error))),
    }
}

fn hold(hold: Hold) -> Ruling {
    Ruling {
        outcome: Outcome::Held(hold),
        record: None,
    }
}

/// The verdict of whoever has one: the cache, the records, the reviewer.
fn answer(
    bundle: &Bundle,
    gate: &Gate,
    reviewer: &Reviewer,
    injections: Vec<injection::Injection>,
    place: &Place<'_>,
) -> Result<Record, GateError> {
    let began = Instant::now();
    let known = |record: Record, source| Record {
        circumstances: Some(Circumstances {
            source,
            at: rfc3339(SystemTime::now()),
            served_model: None,
            latency_ms: 0,
        }),
        ..record
    };
    let ask = Ask {
        model: gate.model.as_deref(),
        max_answer_tokens: gate.max_answer_tokens,
        rules: &gate.rules,
    };
    let is_recorded = matches!(reviewer, Reviewer::Recorded(_));
    if !is_recorded && let Some(record) = place.cache.get(bundle, &ask) {
        return Ok(known(record, Source::Cache));
    }
    let boundary = material::boundary().map_err(|error| GateError::Random {
        reason: error.to_string(),
    })?;
    let request = ask.request(bundle, &boundary);
    let request_sha256 = sha256(&request);
    let (bytes, source) = match reviewer {
        Reviewer::Http(client) => (client.ask(request, place.is_stopped)?, Source::Http),
        Reviewer::Command(program) => {
            let said = program.ask(request, place.work, place.is_stopped)?;
            (said, Source::Command)
        }
        Reviewer::Recorded(records) => {
            let record = records.find(bundle, ask.model)?.clone();
            return Ok(known(record, Source::Recorded));
        }
    };
    let answer = answer::parse(&bytes)?;
    if let Reviewer::Http(client) = reviewer
        && client.has_key_in(&answer)
    {
        return Err(GateError::Malformed {
            reason: http::SENDS_KEY.to_owned(),
        });
    }
    let circumstances = Circumstances {
        source,
        at: rfc3339(SystemTime::now()),
        served_model: answer.served_model.clone(),
        latency_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    let mut record = Record::new(bundle, &ask, boundary, request_sha256, answer, injections);
    record.circumstances = Some(circumstances);
    if record.doubt(bundle).is_none() {
        place.cache.put(bundle, &ask, &record)?;
    }
    Ok(record)
}

/// A failure as a reason to wait.
fn told(error: &GateError) -> Hold {
    Hold {
        rule_id: RULE_UNAVAILABLE,
        message: error.to_string(),
        hint: error.hint().to_owned(),
        is_asked_again: true,
        retry_after: error.retry_after(),
        is_infrastructure: true,
    }
}

/// What a verdict comes to.
fn rule(bundle: &Bundle, record: Record) -> Ruling {
    let unsure = |rule_id, message: String, is_asked_again| {
        Outcome::Held(Hold {
            rule_id,
            message,
            hint: "a person decides by `prism release` or `prism reject`".to_owned(),
            is_asked_again,
            retry_after: None,
            is_infrastructure: false,
        })
    };
    let outcome = if let Some(doubt) = record.doubt(bundle) {
        unsure(
            RULE_UNSURE,
            format!("the reviewer's answer decides nothing: {doubt}"),
            true,
        )
    } else {
        match (
            record.answer.verdict,
            record.answer.evidence.first(),
            record.injections.first(),
        ) {
            (Said::Reject, Some(first), _) => Outcome::Rejected {
                rule_id: RULE,
                message: rejected(first, record.answer.evidence.len()),
                hint: "gate.json has all evidence; mend it and send it again",
            },
            (_, _, Some(first)) => unsure(
                RULE_INJECTION,
                injected(first, record.injections.len()),
                false,
            ),
            _ => Outcome::Allowed,
        }
    };
    Ruling {
        outcome,
        record: Some(record),
    }
}

fn rejected(first: &Evidence, count: usize) -> String {
    let Evidence {
        path,
        line,
        rule,
        explanation,
        ..
    } = first;
    format!("{path}:{line}: {rule}: {explanation}{}", more(count))
}

fn injected(first: &injection::Injection, count: usize) -> String {
    let what = match first.kind {
        injection::Kind::AddressesReviewer => "speaks to the reviewer",
        injection::Kind::ForgedDelimiter => "imitates the marks that tell speakers apart",
        injection::Kind::HiddenText => "holds text that is not seen",
    };
    let (path, line, quote) = (&first.path, first.line, &first.quote);
    format!("{path}:{line} {what}: {quote}{}", more(count))
}

fn more(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    }
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
