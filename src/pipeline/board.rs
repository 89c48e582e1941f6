//! The leaderboard and the weights: derived from the submissions' folders, made anew after every run.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use crate::outbox::file_stamp::FileStamp;
use crate::outbox::schema::{self, Schema};
use crate::outbox::status::{State, Status};
use crate::outbox::{Outbox, OutboxError, atomic};
use crate::score::leaderboard::{self, Leaderboard, LeaderboardRow, Weights};
use crate::score::paired::Curve;
use crate::score::stream_digests::StreamDigests;
use crate::score::streams::ONLINE_FILE;
use crate::score::ties;

use super::board_cache::{self, BoardCache, Run};
use super::competitions::{self, Standing};
use super::ledger::{Ledger, Statuses};
use super::publish::MANIFEST;
use super::publish_v1;
use crate::config::{Competitions, WeightsFrom};
use crate::families::ledger::Run as Competing;

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

/// The scored submissions of an outbox.
#[derive(Debug, Default)]
pub struct Scored {
    runs: BTreeMap<String, Run>,
    names: BTreeMap<String, String>,
    pub unreadable: Vec<String>,
}

impl Scored {
    /// The two competitions, over the ranked runs.
    pub fn standing(&self, settings: &Competitions) -> Standing {
        let ranked = self
            .runs
            .values()
            .filter(|run| run.why_not_ranked.is_none());
        let competing: Vec<Competing> = ranked.filter_map(|run| run.competing.clone()).collect();
        competitions::standing(&competing, settings)
    }
}

/// Reads the manifests of all scored submissions; those that have not changed since the last time are known from `cache`.
pub fn read(outbox: &Outbox, ledger: &Ledger, cache: &BoardCache) -> Result<Scored, OutboxError> {
    let Statuses {
        readable,
        unreadable,
    } = ledger.statuses(outbox)?;
    let mut scored = Scored {
        unreadable,
        ..Scored::default()
    };
    let read: Vec<(Status, Result<Run, OutboxError>)> = readable
        .into_par_iter()
        .filter(|status| status.state == State::Scored)
        .map(|status| {
            let run = run_of(outbox, &status, cache);
            (status, run)
        })
        .collect();
    for (status, run) in read {
        let run = match run {
            Ok(run) => run,
            Err(error) => {
                let problem = format!("{error} ({})", error.hint());
                scored.unreadable.push(problem);
                continue;
            }
        };
        scored.unreadable.extend(run.why_not_competing.clone());
        scored
            .names
            .insert(status.submission_id.clone(), status.name);
        scored.runs.insert(status.submission_id, run);
    }
    Ok(scored)
}

/// Writes `leaderboard.json`, `weights.json` and what the two competitions came to.
pub fn rebuild(
    outbox: &Outbox,
    ledger: &Ledger,
    cache: &mut BoardCache,
    settings: &Competitions,
) -> Result<Board, OutboxError> {
    let scored = read(outbox, ledger, cache)?;
    let competitions = scored.standing(settings);
    competitions::write(outbox, &competitions)?;
    let Scored {
        runs,
        names,
        unreadable,
    } = scored;
    let mut rows = Vec::new();
    let mut ineligible = Vec::new();
    for run in runs.values() {
        match &run.why_not_ranked {
            None => rows.push(run.row.clone()),
            Some(why) => ineligible.push(Ineligible {
                submission_id: run.row.submission_id.clone(),
                prequential_bpb: run.row.prequential_bpb,
                final_score: run.row.final_score,
                why: why.clone(),
            }),
        }
    }
    ineligible.sort_by(|a, b| {
        b.final_score
            .total_cmp(&a.final_score)
            .then_with(|| a.submission_id.cmp(&b.submission_id))
    });
    let mut standing = leaderboard::leaderboard(&rows);
    let ties = mark_ties(outbox, &mut standing, &runs, cache);
    let board = Board {
        leaderboard: standing,
        weights: match settings.weights {
            WeightsFrom::Single => leaderboard::weights(&rows),
            WeightsFrom::TwoPools => Weights {
                weights: competitions.file.weights,
                ..leaderboard::weights(&[])
            },
        },
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
    cache.replace(runs, ties);
    cache.save()?;
    Ok(board)
}

/// A scored run, from its files or as it was the last time.
fn run_of(outbox: &Outbox, status: &Status, cache: &BoardCache) -> Result<Run, OutboxError> {
    let folder = outbox.submission(&status.submission_id);
    let path = folder.join(MANIFEST);
    let stamp = FileStamp::of(&path).map_err(crate::outbox::at(&path))?;
    let online = FileStamp::of(&folder.join(ONLINE_FILE)).ok();
    let accepted_at_unix_ms = Some(accepted_at(&path, status)?);
    if let Some(known) = cache.run(&status.submission_id)
        && known.manifest == stamp
        && known.online == online
        && known.row.accepted_at_unix_ms == accepted_at_unix_ms
        && known.row.hotkey == status.hotkey
    {
        let mut known = known.clone();
        if let Some(competing) = &mut known.competing {
            competing.concluded_at = competitions::concluded_at(status);
        }
        return Ok(known);
    }
    let manifest = schema::read(&path, Schema::RunManifest, MAX_MANIFEST_BYTES)?;
    let streams = manifest["measurement"]["streams"].clone();
    // a damaged stream is no reason to stop, and nothing to hand to a decoder
    let stream = serde_json::from_value::<StreamDigests>(streams)
        .ok()
        .filter(|digests| digests.check(&folder).is_ok())
        .map(|digests| digests.online_sha256);
    let row = LeaderboardRow {
        accepted_at_unix_ms,
        ..row(&path, status, &manifest)?
    };
    let competing = competitions::run_of(status, &row, &manifest)
        .map_err(|error| format!("{}: {error}", path.display()));
    Ok(Run {
        row,
        why_not_competing: competing.as_ref().err().cloned(),
        competing: competing.ok().flatten(),
        why_not_ranked: why_not_ranked(&manifest).or(publish_v1::why_not_ranked(&folder)?),
        manifest: stamp,
        online,
        stream,
    })
}

/// Marks neighbours whose streams do not tell them apart, and returns what was found, by pair of streams.
fn mark_ties(
    outbox: &Outbox,
    standing: &mut Leaderboard,
    runs: &BTreeMap<String, Run>,
    cache: &BoardCache,
) -> BTreeMap<String, Option<bool>> {
    let rows = &standing.rows;
    let found: Vec<(usize, String, Option<bool>)> = ties::neighbours(rows)
        .into_par_iter()
        .filter_map(|neighbours| {
            let above = rows.get(neighbours.below.checked_sub(1)?)?;
            let below = rows.get(neighbours.below)?;
            let stream = |row: &LeaderboardRow| runs.get(&row.submission_id)?.stream.as_deref();
            let name = board_cache::pair(stream(above)?, stream(below)?, neighbours.offset_bpb);
            let tied = cache.tie(&name).unwrap_or_else(|| {
                let curve =
                    |row: &LeaderboardRow| Curve::read(&outbox.submission(&row.submission_id)).ok();
                ties::tied(&curve(above)?, &curve(below)?, neighbours.offset_bpb)
            });
            Some((neighbours.below, name, tied))
        })
        .collect();
    let mut ties = BTreeMap::new();
    for (below, name, tied) in found {
        if let Some(row) = standing.rows.get_mut(below) {
            row.tied_with_above = tied;
        }
        ties.insert(name, tied);
    }
    ties
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
    let flags = score["flags"].as_array().into_iter().flatten();
    Ok(LeaderboardRow {
        rank: 0,
        submission_id: status.submission_id.clone(),
        hotkey: status.hotkey.clone(),
        accepted_at_unix_ms: None,
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

/// When a submission was accepted, in milliseconds since 1970.
fn accepted_at(path: &Path, status: &Status) -> Result<u64, OutboxError> {
    humantime::parse_rfc3339(&status.accepted_at)
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .map(|since| since.as_millis() as u64)
        .ok_or_else(|| OutboxError::Unreadable {
            path: path.to_owned(),
            reason: "accepted_at of its status is not a time".to_owned(),
        })
}
