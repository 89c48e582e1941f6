//! `status.json`: where a submission is, why, and when it got there.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::schema::{self, Schema};
use super::told::{self, Told};
use super::{Outbox, OutboxError, atomic, seal};
use crate::identity::Mode;

pub const FILE: &str = "status.json";
pub const SCHEMA_VERSION: &str = "prism_status.v1";

/// Rule of a run that is held because it is too good to be believed.
pub const TOO_GOOD: &str = "prism:too-good";

/// Rule of a submission that the operator holds.
pub const HELD_BY_OPERATOR: &str = "prism:held-by-operator";
/// Rule of what is the machine's or the operator's affair.
pub const INFRASTRUCTURE: &str = "prism:infrastructure";

const MAX_STATUS_BYTES: u64 = 1 << 20;

/// The rooms a submission has passed. The last four are final, but for `held`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The file was seen and has an id.
    Received,
    /// The archive is sound and has both scripts.
    Bundled,
    /// The static review accepted it; it waits for the device.
    Reviewed,
    /// The referee is at work on it.
    Measuring,
    /// Streams are on disk.
    Measured,
    Scored,
    Rejected,
    Failed,
    Held,
}

impl State {
    /// As files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Bundled => "bundled",
            Self::Reviewed => "reviewed",
            Self::Measuring => "measuring",
            Self::Measured => "measured",
            Self::Scored => "scored",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Held => "held",
        }
    }
}

/// The submission's verdict: the second axis, beside the pipeline's own status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Scored,
    Rejected,
    Failed,
    Held,
}

impl Verdict {
    /// As files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scored => "scored",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Held => "held",
        }
    }
}

/// Why, and what its author or the operator can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    pub rule_id: String,
    pub message: String,
    pub hint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    pub state: State,
    /// RFC 3339, UTC, milliseconds.
    pub at: String,
    /// Why, where a person or a fault made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What the queue of the device remembers of a submission.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Queueing {
    /// Runs begun that do not count against `run.max_attempts`: ended by a stop of prism, or forgiven by `prism retry`.
    pub forgiven: u32,
    /// RFC 3339; it is not begun again before, after a failure of the infrastructure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
}

impl Queueing {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What was known of an identity when a submission was taken in: enough to verify the signature again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// `identity.mode` at that time.
    pub mode: Mode,
    /// A hotkey that was named without a signature: it owns nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// As it was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_at: Option<String>,
    /// sr25519, 128 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// sha256 of the file that was signed: of the archive, of a bare `.py`, or of an envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_sha256: Option<String>,
}

/// What a submission came to, by the names of the HTTP contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    pub final_score: f64,
    pub q_arch: f64,
    pub q_recipe: f64,
    pub anti_cheat_multiplier: f64,
    /// Always 0: nothing is given for being different.
    pub diversity_bonus: f64,
    /// Always 0: what is taken off is a multiplier.
    pub penalty: f64,
}

/// What became of a submission at the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gated {
    pub outcome: GateOutcome,
    /// RFC 3339: since when it is without a verdict, or when it got one at once.
    pub since: String,
    /// Times that nobody answered, or that the answer decided nothing, one after the other.
    pub failures: u32,
    /// The question and the answer that decided, if anybody answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<GateAnswer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateOutcome {
    Allowed,
    Rejected,
    /// It is asked about again.
    Held,
    /// It waits for a person.
    Parked,
    /// A person let it pass.
    Released,
    /// It passed without an answer: the operator's settings want it so.
    Waived,
}

impl GateOutcome {
    /// Whether it may be measured.
    pub fn passes(self) -> bool {
        matches!(self, Self::Allowed | Self::Released | Self::Waived)
    }
}

/// Which answer to which question, by digests; `gate.json` has both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateAnswer {
    pub bundle_sha256: String,
    pub prompt_version: String,
    pub prompt_sha256: String,
    pub model: Option<String>,
    pub request_sha256: String,
    pub answer_sha256: String,
    /// `allow`, `reject` or `unsure`.
    pub verdict: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    pub schema_version: String,
    pub submission_id: String,
    /// File name in the inbox.
    pub name: String,
    /// None for a file that was too large to be read.
    pub archive_sha256: Option<String>,
    /// Whose it is: a signature of this hotkey was verified.
    pub hotkey: Option<String>,
    /// What was asked of its identity, and shown. None in statuses of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// sha256 of what the HTTP contract called `code`: base64 of the archive, or the source of a bare `.py`. None where no
    /// archive is kept, and in statuses of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_hash: Option<String>,
    /// The six hours in which it was accepted, counted from 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch_id: Option<u64>,
    /// The manifest's figures, once there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
    /// When it was first seen, RFC 3339: what breaks ties on the leaderboard.
    pub accepted_at: String,
    pub state: State,
    pub verdict: Option<Verdict>,
    pub reason: Option<Reason>,
    /// Runs begun, those that ended in an infrastructure failure included.
    pub attempts: u32,
    #[serde(default, skip_serializing_if = "Queueing::is_default")]
    pub queue: Queueing,
    /// What the gate before the device made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gated>,
    /// Files of the folder that retention took.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pruned: Vec<String>,
    pub transitions: Vec<Transition>,
    /// Which of them the log has.
    #[serde(skip)]
    pub told: Told,
}

impl Status {
    pub fn new(
        submission_id: &str,
        name: &str,
        archive_sha256: Option<&str>,
        now: SystemTime,
    ) -> Self {
        let at = rfc3339(now);
        Self {
            schema_version: SCHEMA_VERSION.to_owned(),
            submission_id: submission_id.to_owned(),
            name: name.to_owned(),
            archive_sha256: archive_sha256.map(str::to_owned),
            hotkey: None,
            identity: None,
            code_hash: None,
            epoch_id: Some(epoch_id(now)),
            score: None,
            accepted_at: at.clone(),
            state: State::Received,
            verdict: None,
            reason: None,
            attempts: 0,
            queue: Queueing::default(),
            gate: None,
            pruned: Vec::new(),
            transitions: vec![Transition {
                state: State::Received,
                at,
                note: None,
            }],
            told: Told::default(),
        }
    }

    /// Whether nothing more will happen to it by itself.
    pub fn is_final(&self) -> bool {
        matches!(self.state, State::Scored | State::Rejected | State::Failed)
            || self.is_quarantined()
    }

    /// Whether it is measured, and waits for a person to believe its score.
    pub fn is_quarantined(&self) -> bool {
        let rule_id = self.reason.as_ref().map(|reason| reason.rule_id.as_str());
        self.state == State::Held && rule_id == Some(TOO_GOOD)
    }

    /// Whether the operator holds it.
    pub fn is_held_by_operator(&self) -> bool {
        let rule_id = self.reason.as_ref().map(|reason| reason.rule_id.as_str());
        self.state == State::Held && rule_id == Some(HELD_BY_OPERATOR)
    }

    /// Whether the gate holds it.
    pub fn is_held_by_gate(&self) -> bool {
        let outcome = self.gate.as_ref().map(|gate| gate.outcome);
        self.state == State::Held
            && matches!(outcome, Some(GateOutcome::Held | GateOutcome::Parked))
    }

    /// Runs begun that count against `run.max_attempts`.
    pub fn counted_attempts(&self) -> u32 {
        self.attempts.saturating_sub(self.queue.forgiven)
    }

    /// Goes to a state that is not a verdict.
    pub fn advance(&mut self, state: State, now: SystemTime) {
        self.state = state;
        self.verdict = None;
        self.transitions.push(Transition {
            state,
            at: rfc3339(now),
            note: None,
        });
    }

    /// Writes down why the last transition was made.
    pub fn note(&mut self, note: &str) {
        if let Some(last) = self.transitions.last_mut() {
            last.note = Some(note.to_owned());
        }
    }

    /// Ends with a verdict.
    pub fn conclude(&mut self, verdict: Verdict, reason: Option<Reason>, now: SystemTime) {
        self.reason = reason;
        let state = match verdict {
            Verdict::Scored => State::Scored,
            Verdict::Rejected => State::Rejected,
            Verdict::Failed => State::Failed,
            Verdict::Held => State::Held,
        };
        self.advance(state, now);
        self.verdict = Some(verdict);
    }

    /// Reads a submission's status; none if it has no folder yet.
    pub fn read(outbox: &Outbox, id: &str) -> Result<Option<Self>, OutboxError> {
        let path = outbox.submission(id).join("status.json");
        if !path.exists() {
            return Ok(None);
        }
        Self::read_file(&path).map(Some)
    }

    /// Reads a `status.json`.
    pub fn read_file(path: &Path) -> Result<Self, OutboxError> {
        let value = schema::read(path, Schema::Status, MAX_STATUS_BYTES)?;
        let mut status: Self =
            serde_json::from_value(value).map_err(|error| OutboxError::Unreadable {
                path: path.to_owned(),
                reason: error.to_string(),
            })?;
        status.told = Told::of(status.transitions.len());
        Ok(status)
    }

    /// Writes it, and the folder if need be. A verdict is written with the folder's seal, the status last.
    pub fn write(&self, outbox: &Outbox) -> Result<(), OutboxError> {
        let folder = outbox.submission(&self.submission_id);
        atomic::create_folder(&folder)?;
        let path = folder.join(FILE);
        let bytes = atomic::json_bytes(&path, Schema::Status, self)?;
        match self.state {
            State::Scored | State::Rejected | State::Failed | State::Held => {
                let last = (FILE, bytes.as_slice());
                seal::seal(outbox, &folder, &self.submission_id, last, &self.pruned)?;
            }
            _ => seal::lift(&folder)?,
        }
        atomic::write_bytes_if_new(&path, &bytes)?;
        told::tell(self);
        Ok(())
    }
}

/// Length of an epoch of the HTTP contract.
pub const EPOCH_SECONDS: u64 = 21_600;

/// The epoch of a time.
pub fn epoch_id(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() / EPOCH_SECONDS
}

/// `2026-11-21T13:05:09.123Z`.
pub fn rfc3339(time: SystemTime) -> String {
    // A clock before 1970 is a broken clock; the format cannot show it.
    humantime::format_rfc3339_millis(time.max(UNIX_EPOCH)).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        let at =
            |seconds: u64, ms| rfc3339(UNIX_EPOCH + Duration::from_millis(seconds * 1000 + ms));
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400, 5), "2000-02-29T00:00:00.005Z");
        assert_eq!(at(1_795_266_309, 123), "2026-11-21T13:05:09.123Z");
        assert_eq!(at(4_102_444_799, 999), "2099-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_status_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(folder.path());
        let mut status = Status::new(
            "0123456789abcdef01234567",
            "a.zip",
            Some(&"0".repeat(64)),
            SystemTime::now(),
        );
        status.write(&outbox).unwrap();
        let reason = Reason {
            rule_id: "prism:x".into(),
            message: "m".into(),
            hint: "h".into(),
        };
        status.conclude(Verdict::Rejected, Some(reason), SystemTime::now());
        assert!(status.is_final());
        status.write(&outbox).unwrap();
        assert_eq!(
            Status::read(&outbox, &status.submission_id).unwrap(),
            Some(status)
        );
        assert_eq!(Status::read(&outbox, "absent").unwrap(), None);
    }
}
