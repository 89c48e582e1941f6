//! From the bytes of an archive to a reviewed bundle, or to a rejection with its reason. Safe to run many at a time:
//! a hostile file, even one that makes us panic, costs its own submission only.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::SystemTime;

use serde::Serialize;

use super::{architecture, turns};
use crate::bundle::{self, Bundle, Kind};
use crate::config::{Config, recorded};
use crate::duplicates::{self, Duplicate, DuplicatePolicy};
use crate::intake::{Arrival, Oversized};
use crate::outbox::schema::Schema;
use crate::outbox::status::{Reason, State, Status, Verdict};
use crate::outbox::{Outbox, OutboxError, admission, atomic};
use crate::review::{self, Review, Roles};

/// Name of the archive in a submission's folder: what a later run and an audit start from.
pub const ARCHIVE: &str = "submission.zip";

/// `review.json`.
#[derive(Serialize)]
struct ReviewFile<'a> {
    schema_version: &'static str,
    submission_id: &'a str,
    #[serde(flatten)]
    review: &'a Review,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicates: Option<&'a Comparison>,
}

/// What a comparison with earlier submissions came to.
#[derive(Debug, Serialize)]
pub struct Comparison {
    pub policy: DuplicatePolicy,
    /// Earlier submissions that were looked at.
    pub compared_with: usize,
    pub duplicate: Option<Duplicate>,
}

impl Comparison {
    /// What the policy makes of it; none where the review's own verdict stands.
    pub fn verdict(&self) -> Option<review::Verdict> {
        self.duplicate.as_ref()?;
        match self.policy {
            DuplicatePolicy::Hold => Some(review::Verdict::Held),
            DuplicatePolicy::Reject => Some(review::Verdict::Rejected),
            DuplicatePolicy::Off => None,
        }
    }
}

/// An examined submission.
pub struct Examined {
    pub status: Status,
    /// The review, where it accepted the submission: what remains is to compare it with others and to [`conclude`].
    pub accepted: Option<Review>,
    /// What it claims, where it was accepted.
    pub kind: Kind,
}

/// Examines one arrival and leaves its archive, its status and the review of a rejected one in the outbox. Archive and first
/// status come first and together: from then on it does not matter what becomes of the inbox.
pub fn examine(
    config: &Config,
    outbox: &Outbox,
    arrival: &Arrival,
    accepted_at: SystemTime,
) -> Result<Examined, OutboxError> {
    let folder = outbox.submission(&arrival.submission_id);
    let settings_path = folder.join(recorded::FILE);
    // The limits that the archive is examined under; a run writes its own over it.
    let settings = config.recorded().map_err(|error| OutboxError::Unreadable {
        path: settings_path.clone(),
        reason: error.to_string(),
    })?;
    let settings = atomic::json_bytes(&settings_path, Schema::RunConfig, &settings)?;
    let mut status = match Status::read(outbox, &arrival.submission_id)? {
        None => {
            let id = &arrival.submission_id;
            let sha256 = Some(arrival.sha256.as_str());
            let mut status = Status::new(id, &arrival.name, sha256, accepted_at);
            status.hotkey.clone_from(&arrival.hotkey);
            status.identity.clone_from(&arrival.identity);
            status.code_hash.clone_from(&arrival.code_hash);
            let files = [(ARCHIVE, &*arrival.bytes), (recorded::FILE, &settings)];
            admission::admit(outbox, &status, &files)?;
            status
        }
        Some(status) if !is_open(&status) => {
            return Ok(Examined {
                status,
                accepted: None,
                kind: Kind::Full,
            });
        }
        Some(status) => {
            atomic::write_bytes_if_new(&folder.join(ARCHIVE), &arrival.bytes)?;
            atomic::write_bytes_if_new(&settings_path, &settings)?;
            status
        }
    };
    let (mut accepted, mut kind) = (None, Kind::Full);
    let judged = catch_unwind(AssertUnwindSafe(|| {
        judge(config, outbox, arrival, &mut status)
    }));
    match judged {
        Ok(result) => {
            if let Some((review, claimed)) = result? {
                (accepted, kind) = (Some(review), claimed);
            }
        }
        Err(_) => hold_for_fault(&mut status),
    }
    status.write(outbox)?;
    Ok(Examined {
        status,
        accepted,
        kind,
    })
}

/// Whether a submission is still to be examined: it never was to the end, or nobody but prism holds it.
pub fn is_open(status: &Status) -> bool {
    match status.state {
        State::Received | State::Bundled => true,
        State::Held => {
            !status.is_quarantined() && !status.is_held_by_operator() && !status.is_held_by_gate()
        }
        _ => false,
    }
}

/// Our own fault: the submission waits.
pub fn hold_for_fault(status: &mut Status) {
    status.conclude(
        Verdict::Held,
        Some(Reason {
            rule_id: "prism:internal-fault".to_owned(),
            message: "prism stopped on a fault of its own while it examined this archive"
                .to_owned(),
            hint: "please report it with the archive; other submissions are not concerned"
                .to_owned(),
        }),
        SystemTime::now(),
    );
}

/// Publishes the review of a submission that the rules accept, and the verdict of the comparison with others.
pub fn conclude(
    outbox: &Outbox,
    status: &mut Status,
    mut review: Review,
    comparison: Option<&Comparison>,
) -> Result<(), OutboxError> {
    let now = SystemTime::now();
    review.verdict = comparison
        .and_then(Comparison::verdict)
        .unwrap_or(review.verdict);
    publish_review(outbox, &status.submission_id, &review, comparison)?;
    let verdict = match review.verdict {
        review::Verdict::Held => Some(Verdict::Held),
        review::Verdict::Rejected => Some(Verdict::Rejected),
        review::Verdict::Accepted => None,
    };
    let duplicate = comparison.and_then(|comparison| comparison.duplicate.as_ref());
    match (verdict, duplicate) {
        (Some(verdict), Some(duplicate)) => {
            let reason = Reason {
                rule_id: duplicates::RULE.to_owned(),
                message: duplicate.message(),
                hint: duplicate.hint().to_owned(),
            };
            status.conclude(verdict, Some(reason), now);
        }
        _ => status.advance(State::Reviewed, now),
    }
    status.write(outbox)
}

fn publish_review(
    outbox: &Outbox,
    submission_id: &str,
    review: &Review,
    duplicates: Option<&Comparison>,
) -> Result<(), OutboxError> {
    let folder = outbox.submission(submission_id);
    let file = ReviewFile {
        schema_version: "prism_review.v1",
        submission_id,
        review,
        duplicates,
    };
    atomic::write_json(&folder.join("review.json"), Schema::Review, &file)?;
    let graph = folder.join("architecture_graph.json");
    atomic::write_json(
        &graph,
        Schema::ArchitectureGraph,
        &review.architecture_graph,
    )
}

fn judge(
    config: &Config,
    outbox: &Outbox,
    arrival: &Arrival,
    status: &mut Status,
) -> Result<Option<(Review, Kind)>, OutboxError> {
    let bundle = match bundle::open(&arrival.bytes, &config.archive) {
        Ok(bundle) => bundle,
        Err(error) => {
            let reason = Reason {
                rule_id: error.rule_id().to_owned(),
                message: error.to_string(),
                hint: error.hint().to_string(),
            };
            status.conclude(Verdict::Rejected, Some(reason), SystemTime::now());
            return Ok(None);
        }
    };
    status.advance(State::Bundled, SystemTime::now());
    status.write(outbox)?;
    let review = review_of(config, &bundle);
    let metadata = architecture::metadata(status, &bundle, &review)?;
    let folder = outbox.submission(&arrival.submission_id);
    architecture::write_metadata(&folder, &metadata)?;
    match rejection(&review) {
        Some(reason) => {
            publish_review(outbox, &arrival.submission_id, &review, None)?;
            status.conclude(Verdict::Rejected, Some(reason), SystemTime::now());
            Ok(None)
        }
        None => Ok(Some((review, bundle.kind))),
    }
}

/// Rejects a file that is too large to be read at all.
pub fn reject_unread(
    outbox: &Outbox,
    oversized: &Oversized,
    now: SystemTime,
) -> Result<Status, OutboxError> {
    let mut status = Status::new(&oversized.submission_id, &oversized.name, None, now);
    let reason = Reason {
        rule_id: "prism:archive-too-large".to_owned(),
        message: format!(
            "got an archive of {} bytes, expected at most {}",
            oversized.got_bytes, oversized.limit_bytes
        ),
        hint: "send the two scripts and prism.yaml, nothing else".to_owned(),
    };
    status.conclude(Verdict::Rejected, Some(reason), now);
    admission::admit(outbox, &status, &[])?;
    Ok(status)
}

/// The static review of a bundle, as the configuration wants it.
pub fn review_of(config: &Config, bundle: &Bundle) -> Review {
    let _turn = turns::take();
    let policy = review::Policy {
        distributed: config.distributed_policy(),
    };
    let mut review = review::review_under(&bundle.files, &roles(bundle), policy);
    review.contract = Some(review::ContractReport::new(&bundle.contract, &review.hooks));
    review
}

/// The entry points of a bundle, as the review takes them.
pub(super) fn roles(bundle: &Bundle) -> Roles<'_> {
    Roles {
        architecture: (&bundle.architecture.path, &bundle.architecture.symbol),
        training: (&bundle.training.path, &bundle.training.symbol),
        contract: bundle.contract.version,
    }
}

/// The first finding that rejects, as the reason; the others are in review.json.
fn rejection(review: &Review) -> Option<Reason> {
    if review.verdict == review::Verdict::Accepted {
        return None;
    }
    let rejecting: Vec<_> = review
        .findings
        .iter()
        .filter(|finding| finding.severity == review::Severity::Reject)
        .collect();
    let first = rejecting.first()?;
    let more = match rejecting.len() {
        1 => String::new(),
        count => format!(" (and {} more in review.json)", count - 1),
    };
    Some(Reason {
        rule_id: first.rule_id.to_string(),
        message: format!("{}:{}: {}{more}", first.path, first.line, first.explanation),
        hint: first.next_step.to_string(),
    })
}
