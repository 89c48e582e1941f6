//! The two competitions of an outbox: read from its ranked runs, written to `ownership.jsonl` and `families.json`.

use serde::Serialize;
use serde_json::Value;

use super::board;
use super::board_cache::BoardCache;
use super::ledger::Ledger;
use crate::config::Competitions;
use crate::families::ledger::{self, Baseline, Event, Family, Run, TRAINING, Threshold};
use crate::families::pools::{self, Pools};
use crate::outbox::schema::{self, Schema};
use crate::outbox::status::Status;
use crate::outbox::{Outbox, OutboxError, atomic};
use crate::score::components;
use crate::score::leaderboard::{LeaderboardRow, owner};

/// Log of ownership, one event a line.
pub const OWNERSHIP: &str = ledger::OWNERSHIP_FILE;
/// Families, trainings, and what they earn.
pub const FAMILIES: &str = "families.json";
const FAMILIES_SCHEMA: &str = "prism_families.v1";

/// `families.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FamiliesFile {
    pub schema_version: &'static str,
    /// Rules that q_arch and q_recipe were computed by.
    pub scoring_version: &'static str,
    /// Where both competitions start.
    pub baseline: Baseline,
    pub architecture_threshold: Threshold,
    pub training_threshold: Threshold,
    pub pools: Pools,
    pub families: Vec<Family>,
    /// Share of every owner in both pools; these are the weights where `competitions.weights` is `two_pools`.
    pub weights: std::collections::BTreeMap<String, f64>,
}

/// Both files' content.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    pub file: FamiliesFile,
    pub events: Vec<Event>,
}

/// The competitions over these runs.
pub fn standing(runs: &[Run], settings: &Competitions) -> Standing {
    let nothing = components::nothing_learned();
    let baseline = Baseline {
        q_arch: nothing.q_arch,
        q_recipe: nothing.q_recipe,
    };
    let ledger = ledger::ledger(runs, baseline);
    let pools = settings.pools();
    Standing {
        file: FamiliesFile {
            schema_version: FAMILIES_SCHEMA,
            scoring_version: components::COMPONENTS_VERSION,
            baseline,
            architecture_threshold: ledger::ARCHITECTURE,
            training_threshold: TRAINING,
            pools,
            weights: pools::weights(&ledger.families, pools),
            families: ledger.families,
        },
        events: ledger.events,
    }
}

/// A ranked run as the competitions see it; none for one without a family, as of an earlier version of prism.
///
/// # Errors
/// What is wrong with its manifest.
pub fn run_of(
    status: &Status,
    row: &LeaderboardRow,
    manifest: &Value,
) -> Result<Option<Run>, String> {
    let architecture = &manifest["architecture"];
    let structure = &architecture["structure"];
    if structure.is_null() {
        return Ok(None);
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let hash = |name: &str| text(&architecture["source"][name]);
    let (Some(structure_digest), Some(graph_hash), Some(training_hash)) = (
        text(&structure["digest"]),
        hash("architecture_graph_hash"),
        hash("training_hash"),
    ) else {
        return Err("architecture: its hashes are not there".to_owned());
    };
    let score = components::measured(manifest)?;
    let kind = architecture["kind"].as_str();
    Ok(Some(Run {
        submission_id: status.submission_id.clone(),
        owner: owner(row),
        accepted_at: status.accepted_at.clone(),
        concluded_at: concluded_at(status),
        claims_training: kind != Some("architecture_only"),
        claims_architecture: kind != Some("training_for_arch"),
        structure_digest,
        basis: serde_json::from_value(structure["basis"].clone())
            .map_err(|error| format!("architecture.structure.basis: {error}"))?,
        graph_hash,
        training_hash,
        q_arch: score.q_arch,
        q_recipe: score.q_recipe,
        q_recipe_std: score.q_recipe_std,
    }))
}

/// When a submission came to its verdict, RFC 3339.
pub fn concluded_at(status: &Status) -> String {
    let concluded = status.transitions.last().map(|last| &last.at);
    concluded.unwrap_or(&status.accepted_at).clone()
}

/// Writes both files; unchanged ones are left alone.
pub fn write(outbox: &Outbox, standing: &Standing) -> Result<(), OutboxError> {
    let path = outbox.root.join(OWNERSHIP);
    let unreadable = |error: serde_json::Error| OutboxError::Unreadable {
        path: path.clone(),
        reason: error.to_string(),
    };
    let mut log = Vec::new();
    for event in &standing.events {
        // through a Value: its keys are sorted
        let value = serde_json::to_value(event).map_err(unreadable)?;
        schema::check(&path, Schema::OwnershipEvent, &value)?;
        serde_json::to_writer(&mut log, &value).map_err(unreadable)?;
        log.push(b'\n');
    }
    atomic::write_bytes_if_new(&path, &log)?;
    atomic::write_json(
        &outbox.root.join(FAMILIES),
        Schema::Families,
        &standing.file,
    )
}

/// Digest of the structure of the family with this id, if there is one.
pub fn target(outbox: &Outbox, architecture_id: &str) -> Result<Option<String>, OutboxError> {
    let scored = board::read(outbox, &Ledger::default(), &BoardCache::open(outbox))?;
    let standing = scored.standing(&Competitions::default());
    let families = standing.file.families.into_iter();
    let mut found = families.filter(|family| family.family == architecture_id);
    Ok(found.next().map(|family| family.structure_digest))
}
