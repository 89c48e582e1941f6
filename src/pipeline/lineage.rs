//! What of a run outlives an end that is not its own, and when a later attempt may go on from it: `.private/<id>/lineage/`.
//!
//! A verdict ends a lineage, so every end without one (a failure of the infrastructure, a prism or machine that died, a
//! stop) may be gone on from, as often as `run.max_attempts` allows. The same archive, settings, text and executables
//! are one lineage; anything else begins anew.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::measure::{self, MeasureFailure};
use crate::config::Config;
use crate::dataset::manifest as corpus;
use crate::digest::{self, file_digest, sha256};
use crate::outbox::status::Status;
use crate::outbox::{Outbox, OutboxError, atomic, secret};
use crate::referee::lineage::{self, LineagePlan};
use crate::referee::plan::{RunPlan, V1Plan};
use crate::referee::runner_files::runner_digest;

const FILE: &str = "lineage.json";
/// What a submission needs to be gone on from.
const HOOKS: [&str; 2] = ["save_checkpoint", "load_checkpoint"];

/// What all attempts of a lineage have in common.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    submission_id: String,
    archive_sha256: Option<String>,
    config_sha256: String,
    corpus_manifest_sha256: String,
    order_key: Option<String>,
    runner_sha256: String,
    referee_sha256: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    identity: Identity,
    /// The attempt that began it: its audit key is that of all.
    first_attempt: u32,
}

/// Gives a plan its lineage, if its submission can have one: the one that is there, where a run can go on from it, else
/// a new one.
pub fn join(
    mut plan: RunPlan,
    config: &Config,
    outbox: &Outbox,
    status: &Status,
) -> Result<RunPlan, MeasureFailure> {
    let every_steps = config.run.checkpoint_steps;
    let can = plan.v1.as_ref().is_some_and(can_go_on) && every_steps > 0;
    if !can {
        forget(outbox, &status.submission_id)?;
        return Ok(plan);
    }
    let folder = std::path::absolute(folder(outbox, &status.submission_id))
        .map_err(crate::outbox::at(&outbox.root))?;
    let identity = identity(&plan, config, status)?;
    let there = fs::read(folder.join(FILE))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Recorded>(&bytes).ok())
        .filter(|recorded| recorded.identity == identity);
    let resume = match &there {
        Some(_) => lineage::look(&folder).map_err(crate::outbox::at(&folder))?,
        None => None,
    };
    let first_attempt = match (&there, &resume) {
        (Some(recorded), Some(_)) => recorded.first_attempt,
        _ => {
            atomic::remove_folder(&folder)?;
            atomic::create_folder(&folder)?;
            let recorded = Recorded {
                identity,
                first_attempt: status.attempts,
            };
            let text = serde_json::to_vec_pretty(&recorded)
                .map_err(|error| super::publish::ours(error.to_string()))?;
            atomic::write(&folder.join(FILE), &text)?;
            status.attempts
        }
    };
    // One schedule of probes and snapshots for the whole stream. An attempt that ended told nothing of it to this one:
    // its checkpoint is older than all that it was asked since.
    let key = secret::run_key(
        outbox,
        &status.submission_id,
        first_attempt.saturating_sub(1),
    )?;
    plan.audit_key = digest::hex(&key);
    plan.lineage = Some(LineagePlan {
        folder,
        every_steps,
        resume,
    });
    Ok(plan)
}

fn can_go_on(v1: &V1Plan) -> bool {
    HOOKS.iter().all(|hook| v1.hooks.contains_key(*hook))
}

fn identity(plan: &RunPlan, config: &Config, status: &Status) -> Result<Identity, MeasureFailure> {
    let settings = config
        .recorded()
        .map_err(|error| super::publish::ours(error.to_string()))?;
    let manifest = config.corpus.root.join(corpus::FILE_NAME);
    let referee = measure::referee_executable(config)?;
    Ok(Identity {
        submission_id: status.submission_id.clone(),
        archive_sha256: status.archive_sha256.clone(),
        config_sha256: sha256(settings.to_string().as_bytes()),
        corpus_manifest_sha256: file_digest(&manifest).map_err(crate::outbox::at(&manifest))?,
        order_key: plan.order_key.clone(),
        runner_sha256: runner_digest(),
        referee_sha256: file_digest(&referee).map_err(crate::outbox::at(&referee))?,
    })
}

/// Removes the lineage of a submission whose verdict is known, or that begins anew.
pub fn forget(outbox: &Outbox, submission_id: &str) -> Result<(), OutboxError> {
    atomic::remove_folder(&folder(outbox, submission_id))
}

fn folder(outbox: &Outbox, submission_id: &str) -> PathBuf {
    outbox.private(submission_id).join("lineage")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::review::HookRole;

    #[test]
    fn a_run_can_go_on_where_both_hooks_are_there() {
        let v1 = |hooks: &[&str]| V1Plan {
            kind: "full".to_owned(),
            architecture_id: None,
            attempt: 1,
            hooks: hooks
                .iter()
                .map(|hook| ((*hook).to_owned(), HookRole::Architecture))
                .collect::<BTreeMap<_, _>>(),
        };
        assert!(can_go_on(&v1(&[
            "save_checkpoint",
            "infer",
            "load_checkpoint"
        ])));
        assert!(!can_go_on(&v1(&["save_checkpoint"])));
        assert!(!can_go_on(&v1(&["load_checkpoint"])));
    }
}
