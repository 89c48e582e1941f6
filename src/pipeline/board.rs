//! The leaderboard and the weights: derived from the submissions' folders, made anew after every run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::outbox::schema::{self, Schema};
use crate::outbox::status::{State, Status};
use crate::outbox::{Outbox, OutboxError, atomic};
use crate::score::leaderboard::{self, Leaderboard, LeaderboardRow, Weights};
use crate::score::paired::Curve;
use crate::score::stream_digests::StreamDigests;
use crate::score::ties;

use super::publish::MANIFEST;
use super::publish_v1;

/// A manifest with its streams' figures is some tens of kilobytes.
const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// Standing of all scored submissions.
#[derive(Debug, Clone, Serialize)]
pub struct Board {
    pub leaderboard: Leaderboard,
    pub weights: Weights,
    /// Measured, and not ranked, with the reason.
    pub ineligible: Vec<Ineligible>,
    /// File name in the inbox, by submission: for people, who do not think in ids.
    pub names: BTreeMap<String, String>,
    /// Files of the outbox that could not be read: their submissions are missing here.
    pub unreadable: Vec<String>,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            leaderboard: leaderboard::leaderboard(&[]),
            weights: leaderboard::weights(&[]),
            ineligible: Vec::new(),
            names: BTreeMap::new(),
            unreadable: Vec::new(),
        }
    }
}

/// A measured run that is not ranked.
#[derive(Debug, Clone, Serialize)]
pub struct Ineligible {
    pub submission_id: String,
    pub prequential_bpb: Option<f64>,
    pub final_score: f64,
    pub why: String,
}

/// Reads all manifests of scored submissions and writes `leaderboard.json` and `weights.json`.
pub fn rebuild(outbox: &Outbox) -> Result<Board, OutboxError> {
    let mut rows = Vec::new();
    let mut ineligible = Vec::new();
    let mut names = BTreeMap::new();
    let mut digests = BTreeMap::new();
    let Statuses {
        readable,
        mut unreadable,
    } = statuses(outbox)?;
    for status in readable {
        if status.state != State::Scored {
            continue;
        }
        let path = outbox.submission(&status.submission_id).join(MANIFEST);
        let read = schema::read(&path, Schema::RunManifest, MAX_MANIFEST_BYTES)
            .and_then(|manifest| Ok((row(&path, &status, &manifest)?, manifest)));
        let (row, manifest) = match read {
            Ok(read) => read,
            Err(error) => {
                unreadable.push(format!("{error} ({})", error.hint()));
                continue;
            }
        };
        names.insert(status.submission_id.clone(), status.name.clone());
        let streams = manifest["measurement"]["streams"].clone();
        if let Ok(streams) = serde_json::from_value::<StreamDigests>(streams) {
            digests.insert(status.submission_id.clone(), streams);
        }
        let folder = outbox.submission(&status.submission_id);
        let v1 = match publish_v1::why_not_ranked(&folder) {
            Ok(why) => why,
            Err(error) => {
                unreadable.push(format!("{error} ({})", error.hint()));
                continue;
            }
        };
        match why_not_ranked(&manifest).or(v1) {
            None => rows.push(row),
            Some(why) => ineligible.push(Ineligible {
                submission_id: row.submission_id,
                prequential_bpb: row.prequential_bpb,
                final_score: row.final_score,
                why,
            }),
        }
    }
    ineligible.sort_by(|a, b| {
        b.final_score
            .total_cmp(&a.final_score)
            .then_with(|| a.submission_id.cmp(&b.submission_id))
    });
    let mut standing = leaderboard::leaderboard(&rows);
    ties::mark(&mut standing, |row| {
        let folder = outbox.submission(&row.submission_id);
        // a damaged stream is no reason to stop, and nothing to hand to a decoder
        digests.get(&row.submission_id)?.check(&folder).ok()?;
        Curve::read(&folder).ok()
    });
    let board = Board {
        leaderboard: standing,
        weights: leaderboard::weights(&rows),
        ineligible,
        names,
        unreadable,
    };
    atomic::write_json(
        &outbox.root.join("leaderboard.json"),
        Schema::Leaderboard,
        &board.leaderboard,
    )?;
    atomic::write_json(
        &outbox.root.join("weights.json"),
        Schema::Weights,
        &board.weights,
    )?;
    Ok(board)
}

/// Ranked runs stood behind the full wall and used one rank.
fn why_not_ranked(manifest: &serde_json::Value) -> Option<String> {
    let isolation = &manifest["isolation"];
    if isolation["score_eligible"] != true {
        let achieved = isolation["achieved"].as_str().unwrap_or("unknown");
        return Some(format!("isolation {achieved}"));
    }
    let ranks = &manifest["run"]["world_size"];
    (*ranks != 1).then(|| format!("world size {ranks}"))
}

fn row(
    path: &Path,
    status: &Status,
    manifest: &serde_json::Value,
) -> Result<LeaderboardRow, OutboxError> {
    let score = &manifest["score"];
    let number = |name: &str| score[name].as_f64();
    let missing = |name: &str| OutboxError::Unreadable {
        path: path.to_owned(),
        reason: format!("score.{name} is not a number"),
    };
    let accepted = humantime::parse_rfc3339(&status.accepted_at)
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .ok_or_else(|| OutboxError::Unreadable {
            path: path.to_owned(),
            reason: "accepted_at of its status is not a time".to_owned(),
        })?;
    let flags = score["flags"].as_array().into_iter().flatten();
    Ok(LeaderboardRow {
        rank: 0,
        submission_id: status.submission_id.clone(),
        hotkey: status.hotkey.clone(),
        accepted_at_unix_ms: Some(accepted.as_millis() as u64),
        scoring_version: score["schema"].as_str().unwrap_or_default().to_owned(),
        final_score: number("final_score").ok_or_else(|| missing("final_score"))?,
        prequential_bpb: Some(number("prequential_bpb").ok_or_else(|| missing("prequential_bpb"))?),
        two_part_bpb: number("two_part_bpb"),
        heldout_delta: number("heldout_delta"),
        flags: flags
            .filter_map(|flag| flag.as_str().map(str::to_owned))
            .collect(),
        tied_with_above: None,
    })
}

/// All submissions of an outbox, by id; one whose status cannot be read costs nobody else anything.
#[derive(Debug, Default)]
pub struct Statuses {
    pub readable: Vec<Status>,
    pub unreadable: Vec<String>,
}

/// Reads every `status.json`.
pub fn statuses(outbox: &Outbox) -> Result<Statuses, OutboxError> {
    let mut statuses = Statuses::default();
    let entries = fs::read_dir(&outbox.root).map_err(crate::outbox::at(&outbox.root))?;
    for entry in entries {
        let entry = entry.map_err(crate::outbox::at(&outbox.root))?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let path = entry.path().join("status.json");
        if !hidden && path.is_file() {
            match Status::read_file(&path) {
                Ok(status) => statuses.readable.push(status),
                Err(error) => statuses
                    .unreadable
                    .push(format!("{error} ({})", error.hint())),
            }
        }
    }
    statuses
        .readable
        .sort_by(|a, b| a.submission_id.cmp(&b.submission_id));
    Ok(statuses)
}
