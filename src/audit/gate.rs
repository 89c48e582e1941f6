//! What the reviewer before the device was asked and said, held against the archive: the question can be made again, the
//! evidence stands where it says, and the status follows from both.

use super::documents::Documents;
use super::folder::Folder;
use super::identity::MAX_ARCHIVE_BYTES;
use super::report::Check;
use crate::bundle;
use crate::gate::answer::Said;
use crate::gate::prompt::PROMPT_VERSION;
use crate::gate::record::FILE;
use crate::outbox::status::{GateOutcome, Status};
use crate::pipeline::ARCHIVE;

/// The check `gate`; none for a run that nobody was asked about.
pub fn check(folder: &Folder, documents: &Documents) -> Option<Check> {
    let name = "gate";
    let gated = documents
        .status
        .as_ref()
        .and_then(|status| status.gate.as_ref());
    let Some(record) = &documents.gate else {
        let answer = gated.and_then(|gated| gated.answer.as_ref());
        if folder.has(FILE) || answer.is_some() {
            let problem = format!("there is no readable {FILE}");
            return Some(Check::of(name, "", vec![problem]));
        }
        return gated.map(|gated| {
            let outcome = word(gated.outcome);
            Check::of(name, format!("{outcome}, without an answer"), Vec::new())
        });
    };
    if record.prompt_version != PROMPT_VERSION {
        let version = &record.prompt_version;
        let why = format!("it was asked by {version}, this prism has {PROMPT_VERSION}");
        return Some(Check::not_checked(name, why));
    }
    let limits = super::replay::limits(documents);
    let opened = folder
        .read(ARCHIVE, MAX_ARCHIVE_BYTES)
        .and_then(|bytes| bundle::open(&bytes, &limits).map_err(|error| error.to_string()));
    let bundle = match opened {
        Ok(bundle) => bundle,
        Err(reason) => return Some(Check::not_checked(name, reason)),
    };
    let mut problems = record.problems(&bundle);
    let doubt = record.doubt(&bundle);
    let said = record.answer.verdict;
    if let Some(status) = &documents.status {
        problems.extend(status_problems(status, said, doubt.as_deref()));
        let answer = status.gate.as_ref().and_then(|gate| gate.answer.as_ref());
        if answer.is_some_and(|answer| {
            answer.request_sha256 != record.request_sha256
                || answer.answer_sha256 != record.answer_sha256
        }) {
            problems.push(format!("status.json names another answer than {FILE}"));
        }
    }
    let agreed = format!(
        "the question was made again; {} with {} pieces of evidence that stand",
        match said {
            Said::Allow => "allowed",
            Said::Reject => "rejected",
            Said::Unsure => "unsure",
        },
        record.answer.evidence.len()
    );
    Some(Check::of(name, agreed, problems))
}

/// A verdict that does not follow from the answer.
fn status_problems(status: &Status, said: Said, doubt: Option<&str>) -> Vec<String> {
    let Some(gate) = &status.gate else {
        return vec![format!(
            "there is a {FILE}, and status.json knows of no gate"
        )];
    };
    let follows = match gate.outcome {
        GateOutcome::Allowed => said == Said::Allow && doubt.is_none(),
        // Or it was without a verdict for too long.
        GateOutcome::Rejected => said == Said::Reject && doubt.is_none() || gate.failures > 0,
        GateOutcome::Held | GateOutcome::Parked | GateOutcome::Released | GateOutcome::Waived => {
            true
        }
    };
    if follows {
        return Vec::new();
    }
    let doubt = doubt.unwrap_or("it says otherwise");
    vec![format!(
        "status.json says {}, which does not follow from the answer: {doubt}",
        word(gate.outcome)
    )]
}

fn word(outcome: GateOutcome) -> String {
    let word = serde_json::to_value(outcome).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}
