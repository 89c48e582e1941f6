//! Who the run is of: the journal of its status, and the archive that its id is made from.

use super::documents::Documents;
use super::folder::Folder;
use super::report::Check;
use crate::digest::sha256;
use crate::identity;
use crate::intake::submission_id;
use crate::outbox::status::{Identity, State, Status, epoch_id};
use crate::pipeline::{ARCHIVE, MANIFEST, summary};

/// Largest archive that is read; `archive.max_archive_bytes` of any contest is far below.
pub const MAX_ARCHIVE_BYTES: u64 = 1 << 30;

/// The status against itself, against the ids of the other files, and against which files there are.
pub fn status(folder: &Folder, documents: &Documents) -> Check {
    let name = "status";
    let Some(status) = &documents.status else {
        return Check::not_checked(name, "there is no readable status.json");
    };
    let mut problems = journal(status);
    let ids = [
        (MANIFEST, documents.manifest.as_ref()),
        (super::folder::REVIEW, documents.review.as_ref()),
    ];
    for (file, document) in ids {
        let id = document.map(|document| &document["submission_id"]);
        if let Some(id) = id.filter(|id| **id != *status.submission_id) {
            problems.push(format!(
                "{file} is of submission {id}, status.json of {}",
                status.submission_id
            ));
        }
    }
    if let Some(manifest) = &documents.manifest {
        for (field, expected) in [
            ("hotkey", status.hotkey.as_deref()),
            ("accepted_at", Some(status.accepted_at.as_str())),
        ] {
            let recorded = manifest.get(field).and_then(|value| value.as_str());
            if recorded.is_some() && recorded != expected {
                problems.push(format!(
                    "{field}: the manifest says {recorded:?}, status.json {expected:?}"
                ));
            }
        }
    }
    if let Some(score) = &status.score {
        let manifest = documents.manifest.as_ref();
        match manifest.map(summary) {
            Some(Ok(expected)) if expected == *score => {}
            Some(Err(reason)) => problems.push(format!("score: {reason}")),
            _ => problems.push("score: it is not that of the manifest".to_owned()),
        }
    }
    match (status.state, folder.has(MANIFEST)) {
        (State::Scored, false) => {
            problems.push(format!("state is scored, and there is no {MANIFEST}"));
        }
        (State::Held, true) if status.is_quarantined() => {}
        (State::Rejected | State::Failed | State::Held, true) => {
            problems.push(format!("there is a {MANIFEST} of a run without a score"));
        }
        _ => {}
    }
    let state = status
        .transitions
        .last()
        .map_or("", |last| word(last.state));
    let agreed = format!(
        "{state} after {} transitions and {} attempts",
        status.transitions.len(),
        status.attempts
    );
    Check::of(name, agreed, problems)
}

/// The transitions as a pipeline makes them. Their times are not judged: clocks are set back.
fn journal(status: &Status) -> Vec<String> {
    let mut problems = Vec::new();
    let transitions = &status.transitions;
    if let Some(first) = transitions.first() {
        if first.state != State::Received {
            let state = word(first.state);
            problems.push(format!(
                "the first transition is {state}, expected received"
            ));
        }
        if first.at != status.accepted_at {
            problems.push(format!(
                "accepted_at is {}, the first transition {}",
                status.accepted_at, first.at
            ));
        }
    }
    let accepted = humantime::parse_rfc3339(&status.accepted_at).ok();
    let expected = accepted.map(epoch_id);
    if status.epoch_id.is_some() && expected.is_some() && status.epoch_id != expected {
        problems.push("epoch_id is not that of accepted_at".to_owned());
    }
    if let Some(last) = transitions.last().filter(|last| last.state != status.state) {
        problems.push(format!(
            "state is {}, the last transition {}",
            word(status.state),
            word(last.state)
        ));
    }
    for pair in transitions.windows(2) {
        let (from, to) = (pair[0].state, pair[1].state);
        if !may_follow(from, to) {
            problems.push(format!("{} cannot follow {}", word(to), word(from)));
        }
    }
    let begun = transitions
        .iter()
        .filter(|transition| transition.state == State::Measuring)
        .count();
    if begun as u64 != u64::from(status.attempts) {
        problems.push(format!(
            "attempts is {}, measuring was entered {begun} times",
            status.attempts
        ));
    }
    problems
}

/// Which state a pipeline can go to from another; runs that were killed begin again where their last whole file says.
fn may_follow(from: State, to: State) -> bool {
    use State::{Bundled, Failed, Held, Measured, Measuring, Received, Rejected, Reviewed, Scored};
    match from {
        Received => matches!(to, Bundled | Rejected | Held),
        // scored: a person believed what was too good; received, reviewed: a person let it go on
        Held => matches!(to, Received | Bundled | Reviewed | Rejected | Held | Scored),
        Bundled => matches!(to, Bundled | Reviewed | Rejected | Held),
        // held, rejected: a person said so
        Reviewed => matches!(to, Measuring | Reviewed | Failed | Held | Rejected),
        Measuring => matches!(
            to,
            Measuring | Measured | Reviewed | Failed | Held | Rejected
        ),
        Measured => matches!(to, Scored | Held | Rejected | Failed | Measuring | Reviewed),
        // a person wants it tried again; only what the infrastructure failed can be
        Failed => matches!(to, Reviewed),
        Scored | Rejected => false,
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Received => "received",
        State::Bundled => "bundled",
        State::Reviewed => "reviewed",
        State::Measuring => "measuring",
        State::Measured => "measured",
        State::Scored => "scored",
        State::Rejected => "rejected",
        State::Failed => "failed",
        State::Held => "held",
    }
}

/// The archive's sha256 wherever it is recorded, and the id that follows from it.
pub fn archive(folder: &Folder, documents: &Documents) -> Check {
    let name = "archive";
    let status = documents.status.as_ref();
    if !folder.has(ARCHIVE) {
        if status.is_some_and(|status| status.pruned.iter().any(|file| file == ARCHIVE)) {
            return Check::not_checked(name, "the operator removed the archive by `prism prune`");
        }
        let refused = status.is_some_and(|status| {
            matches!(
                status.state,
                State::Rejected | State::Received | State::Held
            )
        });
        if refused && documents.review.is_none() && documents.manifest.is_none() {
            return Check::not_checked(name, "an archive that is not sound was not kept");
        }
        return Check::of(name, "", vec![format!("{ARCHIVE}: missing")]);
    }
    let bytes = match folder.read(ARCHIVE, MAX_ARCHIVE_BYTES) {
        Ok(bytes) => bytes,
        Err(reason) => return Check::of(name, "", vec![reason]),
    };
    let found = sha256(&bytes);
    let mut problems = Vec::new();
    let in_manifest = documents.manifest.as_ref().map(|manifest| {
        manifest["versions"]["archive_sha256"]
            .as_str()
            .unwrap_or("")
    });
    let in_status = status.map(|status| status.archive_sha256.as_deref().unwrap_or(""));
    for (file, recorded) in [("status.json", in_status), (MANIFEST, in_manifest)] {
        if let Some(recorded) = recorded.filter(|recorded| *recorded != found) {
            problems.push(format!("sha256 is {found}, {file} says {recorded:?}"));
        }
    }
    if let Some(status) = status {
        let id = submission_id(status.hotkey.as_deref().unwrap_or(""), &bytes);
        if id != status.submission_id {
            problems.push(format!(
                "its bytes and hotkey make the id {id}, status.json says {}",
                status.submission_id
            ));
        }
        if status.hotkey.is_some() && !is_signed(status) {
            problems.push("hotkey: no signature of it is recorded that holds".to_owned());
        }
    }
    Check::of(name, format!("sha256 {found}, as recorded"), problems)
}

/// Whether the recorded signature is of the hotkey that is recorded.
fn is_signed(status: &Status) -> bool {
    let Some((hotkey, identity)) = status.hotkey.as_ref().zip(status.identity.as_ref()) else {
        return false;
    };
    let Identity {
        nonce: Some(nonce),
        submitted_at: Some(submitted_at),
        signature: Some(signature),
        signed_sha256: Some(sha256),
        ..
    } = identity
    else {
        return false;
    };
    identity::is_signed(hotkey, nonce, submitted_at, sha256, signature)
}
