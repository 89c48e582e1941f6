//! What the leaderboard was made from the last time: a run whose files have not changed since is not read again.
//!
//! Derived, like the leaderboard itself: `.index/board.json` may be removed at any time, and is not read when anything about
//! it is wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::families::ledger::Run as Competing;
use crate::outbox::file_stamp::FileStamp;
use crate::outbox::{Outbox, OutboxError, atomic};
use crate::score::leaderboard::LeaderboardRow;

/// Counted up when what is kept, or what it is made by, changes.
const VERSION: u32 = 1;
const FILE: &str = "board.json";
const MAX_BYTES: u64 = 1 << 30;

/// One scored run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// States of the manifest and of the streams when this was made from them.
    pub manifest: FileStamp,
    pub online: Option<FileStamp>,
    pub row: LeaderboardRow,
    /// None: it is ranked.
    pub why_not_ranked: Option<String>,
    /// What the two competitions see of it; none for a run without a family.
    pub competing: Option<Competing>,
    /// What is wrong with what they should see.
    pub why_not_competing: Option<String>,
    /// sha256 of the online stream, if both streams were those that the manifest records.
    pub stream: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    prism: String,
    runs: BTreeMap<String, Run>,
    /// Whether two streams, apart by their code's bits per byte, are told apart: by [`pair`].
    ties: BTreeMap<String, Option<bool>>,
}

/// The runs and comparisons of the last leaderboard.
#[derive(Debug)]
pub struct BoardCache {
    path: PathBuf,
    kept: Kept,
    is_changed: bool,
}

impl BoardCache {
    /// Reads what the last run left, or begins anew.
    pub fn open(outbox: &Outbox) -> Self {
        let path = outbox.root.join(".index").join(FILE);
        let kept = read(&path).unwrap_or_default();
        Self {
            path,
            kept,
            is_changed: false,
        }
    }

    /// A run as it was the last time.
    pub fn run(&self, submission_id: &str) -> Option<&Run> {
        self.kept.runs.get(submission_id)
    }

    /// Whether a pair is tied, as it was found the last time.
    pub fn tie(&self, pair: &str) -> Option<Option<bool>> {
        self.kept.ties.get(pair).copied()
    }

    /// Keeps these runs and comparisons, and no others.
    pub fn replace(&mut self, runs: BTreeMap<String, Run>, ties: BTreeMap<String, Option<bool>>) {
        if runs != self.kept.runs || ties != self.kept.ties {
            self.kept = Kept {
                version: VERSION,
                prism: env!("CARGO_PKG_VERSION").to_owned(),
                runs,
                ties,
            };
            self.is_changed = true;
        }
    }

    /// Leaves it for the next run.
    ///
    /// # Errors
    /// Those of the file.
    pub fn save(&mut self) -> Result<(), OutboxError> {
        if !self.is_changed {
            return Ok(());
        }
        let text = serde_json::to_vec(&self.kept).map_err(|error| OutboxError::Unreadable {
            path: self.path.clone(),
            reason: error.to_string(),
        })?;
        if let Some(folder) = self.path.parent() {
            atomic::create_folder(folder)?;
        }
        atomic::write(&self.path, &text)?;
        self.is_changed = false;
        Ok(())
    }
}

/// The name of a comparison: streams by content, and what the code of the upper one costs more.
pub fn pair(above: &str, below: &str, offset_bpb: f64) -> String {
    format!("{above} {below} {:016x}", offset_bpb.to_bits())
}

fn read(path: &Path) -> Option<Kept> {
    let length = path.metadata().ok()?.len();
    if length > MAX_BYTES {
        return None;
    }
    let kept: Kept = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    (kept.version == VERSION && kept.prism == env!("CARGO_PKG_VERSION")).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_read_again_and_a_broken_file_is_none() {
        let root = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(root.path());
        let file = root.path().join("x");
        std::fs::write(&file, "x").unwrap();
        let run = Run {
            manifest: FileStamp::of(&file).unwrap(),
            online: None,
            row: LeaderboardRow {
                rank: 0,
                submission_id: "a".to_owned(),
                hotkey: None,
                accepted_at_unix_ms: Some(1),
                scoring_version: "prism_score.v3".to_owned(),
                final_score: 0.1 + 0.2,
                prequential_bpb: Some(2.0),
                two_part_bpb: None,
                heldout_delta: None,
                flags: Vec::new(),
                tied_with_above: None,
            },
            why_not_ranked: None,
            competing: None,
            why_not_competing: None,
            stream: Some("s".to_owned()),
        };
        let name = pair("s", "t", -0.5);
        let mut cache = BoardCache::open(&outbox);
        let runs = BTreeMap::from([("a".to_owned(), run.clone())]);
        cache.replace(runs, BTreeMap::from([(name.clone(), Some(true))]));
        cache.save().unwrap();
        let again = BoardCache::open(&outbox);
        assert_eq!(again.run("a"), Some(&run));
        assert_eq!(again.tie(&name), Some(Some(true)));
        assert_eq!(again.tie(&pair("s", "t", 0.5)), None);
        std::fs::write(&cache.path, "{").unwrap();
        assert_eq!(BoardCache::open(&outbox).run("a"), None);
    }
}
