//! What a run of the first contract publishes besides: `prism_run_manifest.v1.json`, `metrics.json`, and its checkpoint.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::measure::MeasureFailure;
use super::publish::{self, CORPUS_MANIFEST, LOG};
use super::v1_manifest::{self, Artifact, Facts};
use crate::bundle::Bundle;
use crate::digest::{file_digest, sha256};
use crate::outbox::schema::{self, Schema};
use crate::outbox::status::rfc3339;
use crate::outbox::{OutboxError, atomic};
use crate::referee::checkpoint::Checkpoint;
use crate::referee::launch::Phase;
use crate::referee::session::ONLINE_JOURNAL;
use crate::referee::v1_outcome::V1Outcome;
use crate::review;
use crate::score::stream_rows::OnlineRow;

pub const MANIFEST: &str = "prism_run_manifest.v1.json";
pub const METRICS: &str = "metrics.json";
/// Folder of checkpoints below the submission's.
pub const CHECKPOINTS: &str = "checkpoints";
const METADATA: &str = "architecture_metadata.json";
const GRAPH: &str = "architecture_graph.json";
const CHECKPOINT_METADATA: &str = "checkpoint_metadata.v1.json";
const MAX_DOCUMENT_BYTES: u64 = 64 << 20;

/// Publishes them. `facts` are those of the scored run.
pub fn publish(
    folder: &Path,
    bundle: &Bundle,
    outcome: &V1Outcome,
    mut facts: Facts<'_>,
) -> Result<(), MeasureFailure> {
    facts.online = publish::rows::<OnlineRow>(&facts.plan.folder.join(ONLINE_JOURNAL))?;
    facts.corpus = schema::read(
        &folder.join(CORPUS_MANIFEST),
        Schema::LockedData,
        MAX_DOCUMENT_BYTES,
    )?;
    facts.architecture = schema::read(
        &folder.join(METADATA),
        Schema::ArchitectureMetadata,
        MAX_DOCUMENT_BYTES,
    )?;
    let hooks = review::hooks_of(&bundle.files, &super::examine::roles(bundle));
    let evidence = hooks
        .iter()
        .map(|hook| hook_evidence(bundle, hook))
        .collect();
    let mut checkpoints = Vec::new();
    checkpoints.extend(publish_resumed(folder, outcome, &facts)?);
    if let Some(checkpoint) = &outcome.checkpoint {
        let artifacts = facts
            .plan
            .folder
            .join(Phase::Train.name())
            .join("artifacts");
        let left = Left {
            checkpoint,
            attempt: facts.plan.v1.as_ref().map_or(1, |v1| v1.attempt),
            created_at: rfc3339(SystemTime::now()),
        };
        let from = artifacts.join(&checkpoint.path);
        let to = folder.join(&checkpoint.path);
        atomic::create_folder(to.parent().unwrap_or(folder))?;
        let at = |path: &Path| crate::outbox::at(path.to_owned());
        fs::set_permissions(&from, fs::Permissions::from_mode(0o644)).map_err(at(&from))?;
        atomic::sync_file(&from)?;
        atomic::publish(&from, &to)?;
        checkpoints.push(publish_checkpoint(folder, &left, outcome, &facts)?);
    }
    let metrics = v1_manifest::metrics(&facts, outcome);
    let file = v1_manifest::metrics_file(&facts, outcome, &hooks, &metrics);
    atomic::write_json(&folder.join(METRICS), Schema::V1Metrics, &file)?;
    let artifact = |name: &str, content_type: &'static str| -> Result<Artifact, MeasureFailure> {
        let path = folder.join(name);
        let metadata = fs::metadata(&path).map_err(crate::outbox::at(&path))?;
        Ok(Artifact {
            path: name.to_owned(),
            sha256: file_digest(&path).map_err(crate::outbox::at(&path))?,
            content_type,
            bytes: metadata.len(),
        })
    };
    let artifacts = v1_manifest::Artifacts {
        architecture_graph: artifact(GRAPH, "application/json")?,
        architecture_metadata: artifact(METADATA, "application/json")?,
        run_log: artifact(LOG, "text/plain")?,
        checkpoints,
        metrics: artifact(METRICS, "application/json")?,
    };
    let manifest = v1_manifest::manifest(&facts, outcome, &hooks, evidence, metrics, &artifacts);
    atomic::write_json(&folder.join(MANIFEST), Schema::RunManifestV1, &manifest)?;
    Ok(())
}

/// A hook as evidence: where it is defined, and its first line by digest.
fn hook_evidence(bundle: &Bundle, hook: &review::Hook) -> Value {
    let source = bundle.files.get(&hook.path).map_or(&[][..], Vec::as_slice);
    let line = source
        .split(|&byte| byte == b'\n')
        .nth(hook.line.saturating_sub(1))
        .unwrap_or_default();
    json!({
        "rule_id": "prism:hook",
        "artifact_path": hook.path,
        "line": hook.line,
        "ast_node": "FunctionDef",
        "snippet_hash": sha256(line),
        "explanation": format!("the hook {} of the submission", hook.name),
    })
}

/// An accepted checkpoint and the attempt that left it.
pub struct Left<'a> {
    pub checkpoint: &'a Checkpoint,
    pub attempt: u32,
    /// RFC 3339.
    pub created_at: String,
}

/// The checkpoint that the run went on from last, as a second name of the lineage's copy: a publication that is ended in
/// the middle leaves that one whole.
fn publish_resumed(
    folder: &Path,
    outcome: &V1Outcome,
    facts: &Facts<'_>,
) -> Result<Option<Value>, MeasureFailure> {
    let (Some(lineage), Some(kept)) = (&facts.plan.lineage, facts.plan.resume_folder()) else {
        return Ok(None);
    };
    let Some(from) = &lineage.resume else {
        return Ok(None);
    };
    let checkpoint = &from.accepted;
    let to = folder.join(&checkpoint.path);
    let home = to.parent().unwrap_or(folder);
    atomic::create_folder(home)?;
    atomic::link(&kept.join(&checkpoint.hook_return.path), &to)?;
    let left = Left {
        checkpoint,
        attempt: from.attempt,
        created_at: from.created_at.clone(),
    };
    publish_checkpoint(folder, &left, outcome, facts).map(Some)
}

/// Writes a published checkpoint's metadata beside it: the manifest's entry.
fn publish_checkpoint(
    folder: &Path,
    left: &Left<'_>,
    outcome: &V1Outcome,
    facts: &Facts<'_>,
) -> Result<Value, MeasureFailure> {
    let checkpoint = left.checkpoint;
    let place = folder.join(&checkpoint.path);
    let home = place.parent().unwrap_or(folder);
    let metadata = v1_manifest::checkpoint_metadata(facts, outcome, left);
    let path = home.join(CHECKPOINT_METADATA);
    atomic::write_json(&path, Schema::CheckpointMetadata, &metadata)?;
    let relative = path.strip_prefix(folder).unwrap_or(&path);
    Ok(json!({
        "path": checkpoint.path,
        "metadata_path": relative,
        "bytes": checkpoint.bytes,
        "attempt": left.attempt,
        "world_size": facts.measured.world_size,
        "rank_writer": 0,
        "created_at": left.created_at,
    }))
}

/// Removes what an attempt that died had published.
pub fn withdraw(folder: &Path) -> Result<(), OutboxError> {
    for name in [MANIFEST, METRICS] {
        atomic::remove_file(&folder.join(name))?;
    }
    atomic::remove_folder(&folder.join(CHECKPOINTS))
}

/// Why a run of the first contract is not ranked, if its manifest says so.
pub fn why_not_ranked(folder: &Path) -> Result<Option<String>, OutboxError> {
    let path = folder.join(MANIFEST);
    if !path.exists() {
        return Ok(None);
    }
    let manifest = schema::read(&path, Schema::RunManifestV1, MAX_DOCUMENT_BYTES)?;
    let mode = manifest["mode"].as_str().unwrap_or_default();
    Ok((mode == v1_manifest::SMOKE).then(|| format!("contract v1, mode {mode}")))
}
