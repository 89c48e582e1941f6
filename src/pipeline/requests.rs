//! What an operator asks for by `prism hold|release|retry|reject`: a file each, which the prism that holds the outbox takes.
//!
//! A request is decided on the status at the time it is taken, so it may come too late; then it is refused and says why.
//! Taken twice, after a crash between the status and the removal of the request, it changes nothing more.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lineage;
use super::publish::MANIFEST;
use crate::duplicates;
use crate::outbox::schema::{self, Schema};
use crate::outbox::status::{
    GateOutcome, HELD_BY_OPERATOR, INFRASTRUCTURE, Reason, State, Status, Verdict, rfc3339,
};
use crate::outbox::{Outbox, OutboxError, atomic};

pub const SCHEMA_VERSION: &str = "prism_request.v1";
/// Rule of a submission that the operator turned away.
pub const REJECTED_BY_OPERATOR: &str = "prism:rejected-by-operator";

const FOLDER: &str = ".requests";
const MAX_REQUEST_BYTES: u64 = 1 << 16;
const MAX_REVIEW_BYTES: u64 = 64 << 20;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It waits until it is released.
    Hold,
    /// What is held goes on, or is ranked if it was held for its score.
    Release,
    /// It is tried again, at once and with all its attempts.
    Retry,
    /// It is turned away.
    Reject,
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Retry => "retry",
            Self::Reject => "reject",
        }
    }
}

/// One request, as it lies in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub schema_version: String,
    pub action: Action,
    pub submission_id: String,
    /// In the operator's words.
    pub reason: Option<String>,
    /// RFC 3339.
    pub at: String,
}

impl Request {
    pub fn new(
        action: Action,
        submission_id: &str,
        reason: Option<String>,
        now: SystemTime,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION.to_owned(),
            action,
            submission_id: submission_id.to_owned(),
            reason,
            at: rfc3339(now),
        }
    }
}

/// A request that was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    pub request: Request,
    /// The submission afterwards, or why the request was refused.
    pub outcome: Result<Status, String>,
}

/// Leaves a request for the prism that holds the outbox.
///
/// # Errors
/// Those of the file.
pub fn leave(outbox: &Outbox, request: &Request) -> Result<PathBuf, OutboxError> {
    let folder = outbox.root.join(FOLDER);
    atomic::create_folder(&folder)?;
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let name = format!("{:020}-{}.json", since.as_nanos(), std::process::id());
    let path = folder.join(name);
    atomic::write_json(&path, Schema::Request, request)?;
    Ok(path)
}

/// Requests that wait, oldest first; an unreadable one is told and left.
pub fn waiting(outbox: &Outbox) -> Vec<(PathBuf, Result<Request, OutboxError>)> {
    // Without a folder there are none.
    let Ok(entries) = fs::read_dir(outbox.root.join(FOLDER)) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            !name.starts_with(b".") && name.ends_with(b".json")
        })
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let request = read(&path);
            (path, request)
        })
        .collect()
}

fn read(path: &Path) -> Result<Request, OutboxError> {
    let value = schema::read(path, Schema::Request, MAX_REQUEST_BYTES)?;
    serde_json::from_value(value).map_err(|error| OutboxError::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// Whether anything waits.
pub fn any(outbox: &Outbox) -> bool {
    !waiting(outbox).is_empty()
}

/// Whether a request is there that the run of this submission must not go on for.
pub fn ends_run(outbox: &Outbox, submission_id: &str) -> bool {
    waiting(outbox).iter().any(|(_, request)| {
        request.as_ref().is_ok_and(|request| {
            request.submission_id == submission_id
                && matches!(request.action, Action::Hold | Action::Reject)
        })
    })
}

/// Takes every request that waits, with the outbox's lock held. Problems that are no refusals come as lines.
pub fn take(outbox: &Outbox, problems: &mut Vec<String>) -> Vec<Taken> {
    let mut taken = Vec::new();
    for (path, request) in waiting(outbox) {
        let done = request.and_then(|request| {
            let outcome = apply(outbox, &request)?;
            atomic::remove_file(&path)?;
            Ok(Taken { request, outcome })
        });
        match done {
            Ok(done) => taken.push(done),
            Err(error) => problems.push(format!("{error} ({})", error.hint())),
        }
    }
    taken
}

fn apply(outbox: &Outbox, request: &Request) -> Result<Result<Status, String>, OutboxError> {
    let Some(status) = Status::read(outbox, &request.submission_id)? else {
        return Ok(Err("there is no such submission".to_owned()));
    };
    let decided = decide(
        status.clone(),
        request.action,
        request.reason.as_deref(),
        SystemTime::now(),
    );
    let next = match decided {
        Ok(next) => next,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let folder = outbox.submission(&request.submission_id);
    if status.is_quarantined() && next.state == State::Rejected {
        // It is no run with a score any more.
        atomic::remove_file(&folder.join(MANIFEST))?;
    }
    if held_by(&status) == Some(duplicates::RULE) && next.state == State::Reviewed {
        let path = folder.join("review.json");
        let mut review = schema::read(&path, Schema::Review, MAX_REVIEW_BYTES)?;
        review["verdict"] = Value::from("accepted");
        atomic::write_json(&path, Schema::Review, &review)?;
    }
    if next.state == State::Rejected {
        lineage::forget(outbox, &request.submission_id)?;
    }
    next.write(outbox)?;
    Ok(Ok(next))
}

/// The rule that holds a submission.
fn held_by(status: &Status) -> Option<&str> {
    let reason = status.reason.as_ref()?;
    (status.state == State::Held).then_some(reason.rule_id.as_str())
}

/// What a request makes of a submission, or why not.
fn decide(
    mut status: Status,
    action: Action,
    reason: Option<&str>,
    now: SystemTime,
) -> Result<Status, String> {
    let said = reason.unwrap_or("no reason was given");
    let note = format!("{} by the operator: {said}", action.name());
    let held_by = held_by(&status).map(str::to_owned);
    let ended = matches!(
        status.state,
        State::Scored | State::Rejected | State::Failed
    );
    let infrastructure = status
        .reason
        .as_ref()
        .is_some_and(|reason| reason.rule_id == INFRASTRUCTURE);
    match (action, held_by.as_deref()) {
        (Action::Hold, None) if !ended => {
            let reason = Reason {
                rule_id: HELD_BY_OPERATOR.to_owned(),
                message: format!("held by the operator: {said}"),
                hint: "`prism release` lets it go on".to_owned(),
            };
            status.conclude(Verdict::Held, Some(reason), now);
        }
        (Action::Hold, Some(rule)) => return Err(format!("it is held already, by {rule}")),
        (Action::Release, Some(crate::outbox::status::TOO_GOOD)) => {
            status.conclude(Verdict::Scored, None, now);
        }
        (Action::Release, Some(HELD_BY_OPERATOR)) => {
            let was_reviewed = status
                .transitions
                .iter()
                .rev()
                .find_map(|past| match past.state {
                    State::Held => None,
                    State::Received | State::Bundled => Some(false),
                    _ => Some(true),
                });
            status.reason = None;
            let to = if was_reviewed == Some(true) {
                State::Reviewed
            } else {
                State::Received
            };
            status.advance(to, now);
        }
        (Action::Release, Some(duplicates::RULE)) => {
            status.reason = None;
            status.advance(State::Reviewed, now);
        }
        (Action::Release, Some(_)) if status.is_held_by_gate() => {
            if let Some(gate) = &mut status.gate {
                gate.outcome = GateOutcome::Released;
            }
            leave_gate(&mut status, now);
        }
        (Action::Release, Some(rule)) => {
            return Err(format!(
                "it is held by {rule}: `prism retry` examines it again"
            ));
        }
        (Action::Release, None) => return Err("it is not held".to_owned()),
        (Action::Retry, Some(HELD_BY_OPERATOR)) => {
            return Err("the operator holds it: `prism release` lets it go on".to_owned());
        }
        (Action::Retry, Some(crate::outbox::status::TOO_GOOD)) => {
            return Err("it is measured: `prism release` ranks it".to_owned());
        }
        (Action::Retry, Some(_)) if status.is_held_by_gate() => {
            status.gate = None;
            leave_gate(&mut status, now);
        }
        (Action::Retry, Some(_)) => {
            status.reason = None;
            status.advance(State::Received, now);
        }
        (Action::Retry, None)
            if status.state == State::Reviewed
                || status.state == State::Failed && infrastructure =>
        {
            status.queue.forgiven = status.attempts;
            status.queue.not_before = None;
            status.reason = None;
            if status.state != State::Reviewed {
                status.advance(State::Reviewed, now);
            }
        }
        (Action::Retry, None) if status.state == State::Failed => {
            return Err("it failed by its own fault, which another run would repeat".to_owned());
        }
        (Action::Reject, _) if !ended => {
            let reason = Reason {
                rule_id: REJECTED_BY_OPERATOR.to_owned(),
                message: format!("rejected by the operator: {said}"),
                hint: "ask the operator".to_owned(),
            };
            status.conclude(Verdict::Rejected, Some(reason), now);
        }
        (Action::Hold | Action::Retry | Action::Reject, _) => {
            let state = serde_json::to_value(status.state).unwrap_or_default();
            return Err(format!(
                "it is {}: results do not change",
                state.as_str().unwrap_or("concluded")
            ));
        }
    }
    status.note(&note);
    Ok(status)
}

/// Back to where it was before the gate held it.
fn leave_gate(status: &mut Status, now: SystemTime) {
    status.queue.not_before = None;
    status.reason = None;
    status.advance(State::Reviewed, now);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(path: &[State], rule: Option<&str>) -> Status {
        let now = SystemTime::now();
        let mut status = Status::new("a", "a.zip", None, now);
        for state in path {
            status.advance(*state, now);
            status.attempts += u32::from(*state == State::Measuring);
        }
        status.verdict = match status.state {
            State::Held => Some(Verdict::Held),
            State::Failed => Some(Verdict::Failed),
            _ => None,
        };
        status.reason = rule.map(|rule| Reason {
            rule_id: rule.to_owned(),
            message: "m".to_owned(),
            hint: "h".to_owned(),
        });
        status
    }

    /// States after `received`, rule of the reason, request, and what comes of it.
    type Case<'a> = (&'a [State], Option<&'a str>, Action, Result<State, &'a str>);

    #[test]
    fn requests_by_state() {
        use Action::{Hold, Reject, Release, Retry};
        use State::{Bundled, Failed, Held, Measuring, Received, Rejected, Reviewed, Scored};
        let waits = [Bundled, Reviewed];
        let parked = [Bundled, Reviewed, Held];
        let cases: &[Case<'_>] = &[
            (&waits, None, Hold, Ok(Held)),
            (&[Bundled, Reviewed, Measuring], None, Hold, Ok(Held)),
            (&parked, Some(HELD_BY_OPERATOR), Hold, Err("held already")),
            (&[Rejected], Some("prism:x"), Hold, Err("it is rejected")),
            (&parked, Some(HELD_BY_OPERATOR), Release, Ok(Reviewed)),
            (&[Held], Some(HELD_BY_OPERATOR), Release, Ok(Received)),
            (&parked, Some("prism:too-good"), Release, Ok(Scored)),
            (
                &[Bundled, Held],
                Some(duplicates::RULE),
                Release,
                Ok(Reviewed),
            ),
            (
                &[Held],
                Some("prism:internal-fault"),
                Release,
                Err("prism retry"),
            ),
            (&waits, None, Release, Err("not held")),
            (&[Held], Some("prism:internal-fault"), Retry, Ok(Received)),
            (&parked, Some(HELD_BY_OPERATOR), Retry, Err("prism release")),
            (&parked, Some("prism:too-good"), Retry, Err("prism release")),
            (&waits, Some(INFRASTRUCTURE), Retry, Ok(Reviewed)),
            (
                &[Reviewed, Failed],
                Some(INFRASTRUCTURE),
                Retry,
                Ok(Reviewed),
            ),
            (
                &[Reviewed, Failed],
                Some("prism:state"),
                Retry,
                Err("own fault"),
            ),
            (&[Scored], None, Retry, Err("it is scored")),
            (&waits, None, Reject, Ok(Rejected)),
            (&parked, Some("prism:too-good"), Reject, Ok(Rejected)),
            (&[Scored], None, Reject, Err("it is scored")),
        ];
        for (path, rule, action, expected) in cases {
            let before = status(path, *rule);
            let got = decide(before.clone(), *action, Some("why"), SystemTime::now());
            let label = format!("{action:?} of {path:?} by {rule:?}");
            match (got, expected) {
                (Ok(after), Ok(state)) => {
                    assert_eq!(after.state, *state, "{label}");
                    let last = after.transitions.last().unwrap();
                    assert_eq!(last.state, *state, "{label}");
                    assert!(last.note.as_ref().unwrap().ends_with("why"), "{label}");
                }
                (Err(refusal), Err(part)) => assert!(refusal.contains(part), "{label}: {refusal}"),
                (got, _) => panic!("{label}: {got:?}"),
            }
        }
    }

    #[test]
    fn a_retry_forgives_what_was_tried() {
        let path = [State::Reviewed, State::Measuring, State::Failed];
        let mut failed = status(&path, Some(INFRASTRUCTURE));
        failed.queue.not_before = Some(rfc3339(SystemTime::now()));
        let again = decide(failed, Action::Retry, None, SystemTime::now()).unwrap();
        assert_eq!((again.attempts, again.counted_attempts()), (1, 0));
        assert_eq!((again.queue.not_before, again.verdict), (None, None));
    }

    #[test]
    fn what_the_gate_holds_is_let_pass_or_asked_about_again() {
        let path = [State::Bundled, State::Reviewed, State::Held];
        let mut held = status(&path, Some(crate::gate::RULE_UNSURE));
        held.gate = Some(crate::outbox::status::Gated {
            outcome: GateOutcome::Held,
            since: rfc3339(SystemTime::now()),
            failures: 3,
            answer: None,
        });
        held.queue.not_before = Some(rfc3339(SystemTime::now()));
        for (action, expected) in [
            (Action::Release, Some(GateOutcome::Released)),
            (Action::Retry, None),
        ] {
            let after = decide(held.clone(), action, Some("why"), SystemTime::now()).unwrap();
            assert_eq!(after.state, State::Reviewed);
            assert_eq!(after.gate.map(|gate| gate.outcome), expected);
            assert_eq!((after.queue.not_before, after.verdict), (None, None));
        }
        let after = decide(held, Action::Reject, None, SystemTime::now()).unwrap();
        assert_eq!(after.state, State::Rejected);
    }

    #[test]
    fn requests_are_taken_in_order_and_once() {
        let root = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(root.path());
        status(&[State::Bundled, State::Reviewed], None)
            .write(&outbox)
            .unwrap();
        let now = SystemTime::now();
        for (action, id) in [
            (Action::Hold, "a"),
            (Action::Hold, "absent"),
            (Action::Release, "a"),
        ] {
            leave(&outbox, &Request::new(action, id, None, now)).unwrap();
        }
        fs::write(root.path().join(".requests/0-broken.json"), "{").unwrap();
        assert!(ends_run(&outbox, "a") && !ends_run(&outbox, "b"));
        let mut problems = Vec::new();
        let taken = take(&outbox, &mut problems);
        let outcomes: Vec<_> = taken
            .iter()
            .map(|taken| taken.outcome.as_ref().map(|status| status.state).ok())
            .collect();
        assert_eq!(outcomes, [Some(State::Held), None, Some(State::Reviewed)]);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(waiting(&outbox).len(), 1);
        assert!(!ends_run(&outbox, "a"));
    }
}
