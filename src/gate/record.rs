//! What was asked and what was said, so that anybody can hold it against the bundle again.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::answer::{self, Answer, Verdict};
use super::injection::Injection;
use super::prompt::{Ask, PROMPT_VERSION};
use crate::bundle::Bundle;
use crate::digest::sha256;
use crate::outbox::OutboxError;
use crate::outbox::schema::{self, Schema};

/// Name of the record in a submission's folder.
pub const FILE: &str = "gate.json";
pub const SCHEMA_VERSION: &str = "prism_gate.v1";

const MAX_RECORD_BYTES: u64 = 4 << 20;

/// One question with its answer. Given the bundle, everything in it but the verdict can be made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub schema_version: String,
    /// sha256 over the bundle's files ([`Bundle::digest`]).
    pub bundle_sha256: String,
    pub prompt_version: String,
    /// sha256 over prompt, rules and tool.
    pub prompt_sha256: String,
    /// The operator's own rules.
    pub rules: BTreeMap<String, String>,
    /// The model that was asked for.
    pub model: Option<String>,
    pub max_answer_tokens: u32,
    /// The random boundary of this request.
    pub boundary: String,
    /// sha256 of the request's body.
    pub request_sha256: String,
    /// sha256 of the arguments of the tool call.
    pub answer_sha256: String,
    pub answer: Verdict,
    /// Text in the bundle that is meant for the reviewer.
    pub injections: Vec<Injection>,
    /// What another question would have otherwise; no part of what can be made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circumstances: Option<Circumstances>,
}

/// How a verdict was come by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Circumstances {
    pub source: Source,
    /// RFC 3339.
    pub at: String,
    /// Whom the server says it was.
    pub served_model: Option<String>,
    pub latency_ms: u64,
}

/// Who gave a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Http,
    Command,
    /// A stored verdict.
    Recorded,
    /// One that this outbox had already.
    Cache,
}

impl Record {
    pub fn new(
        bundle: &Bundle,
        ask: &Ask<'_>,
        boundary: String,
        request_sha256: String,
        answer: Answer,
        injections: Vec<Injection>,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION.to_owned(),
            bundle_sha256: bundle.digest.clone(),
            prompt_version: PROMPT_VERSION.to_owned(),
            prompt_sha256: ask.prompt_sha256(),
            rules: ask.rules.clone(),
            model: ask.model.map(str::to_owned),
            max_answer_tokens: ask.max_answer_tokens,
            boundary,
            request_sha256,
            answer_sha256: answer.sha256,
            answer: answer.verdict,
            injections,
            circumstances: None,
        }
    }

    /// Reads a file of one.
    ///
    /// # Errors
    /// A file that cannot be read, or does not fit its schema.
    pub fn read(path: &Path) -> Result<Self, OutboxError> {
        let value = schema::read(path, Schema::Gate, MAX_RECORD_BYTES)?;
        serde_json::from_value(value).map_err(|error| OutboxError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })
    }

    /// The question that it is the answer to.
    pub fn ask(&self) -> Ask<'_> {
        Ask {
            model: self.model.as_deref(),
            max_answer_tokens: self.max_answer_tokens,
            rules: &self.rules,
        }
    }

    /// Everything about it that is not so for this bundle: digests, the request made again, injections.
    pub fn problems(&self, bundle: &Bundle) -> Vec<String> {
        if self.bundle_sha256 != bundle.digest {
            return vec![format!(
                "it is of bundle {}, not of {}",
                self.bundle_sha256, bundle.digest
            )];
        }
        if self.prompt_version != PROMPT_VERSION {
            return vec![format!(
                "it was asked by {}, this prism has {PROMPT_VERSION}",
                self.prompt_version
            )];
        }
        let ask = self.ask();
        let mut problems = Vec::new();
        for (field, recorded, again) in [
            ("prompt_sha256", &self.prompt_sha256, ask.prompt_sha256()),
            (
                "request_sha256",
                &self.request_sha256,
                sha256(&ask.request(bundle, &self.boundary)),
            ),
        ] {
            if *recorded != again {
                problems.push(format!("{field} is {again}, recorded {recorded}"));
            }
        }
        if self.injections != super::injection::find(bundle) {
            problems.push("other injections are found than are recorded".to_owned());
        }
        problems
    }

    /// Why its verdict decides nothing.
    pub fn doubt(&self, bundle: &Bundle) -> Option<String> {
        answer::doubt(&self.answer, bundle, &self.ask().rule_ids())
    }
}
