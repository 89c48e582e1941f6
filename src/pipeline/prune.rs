//! Retention: what an outbox may forget. Nothing is removed that a result in the making, a person or the leaderboard needs.
//!
//! A submission that is forgotten leaves its status in `.pruned/`: its file in the inbox is known by that, and not measured
//! again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use walkdir::WalkDir;

use super::examine::ARCHIVE;
use super::ledger::Ledger;
use crate::outbox::schema::Schema;
use crate::outbox::status::{State, Status};
use crate::outbox::{Outbox, OutboxError, atomic};

const PRUNED: &str = ".pruned";

/// What is removed of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Its folder; the status stays as a memory.
    Runs,
    /// Its archive, out of its folder.
    Bundles,
    /// Logs that may quote held-out text.
    Secrets,
}

/// Which of them: those that any rule names.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// Concluded longer ago than this.
    pub older_than: Option<Duration>,
    /// All but so many, the newest.
    pub keep: Option<usize>,
    /// The oldest, until what is left is no larger.
    pub max_bytes: Option<u64>,
    /// Also what the leaderboard or a person needs.
    pub force: bool,
}

/// One removal.
#[derive(Debug, Clone, Serialize)]
pub struct Removal {
    pub submission_id: String,
    pub name: String,
    pub state: State,
    /// RFC 3339.
    pub concluded_at: String,
    pub bytes: u64,
}

/// What was, or would be, removed.
#[derive(Debug, Clone, Serialize)]
pub struct Pruned {
    pub what: What,
    /// False: nothing was touched.
    pub applied: bool,
    pub removed: Vec<Removal>,
    /// What the rules name and the leaderboard or a person needs.
    pub kept_for_need: Vec<Removal>,
    pub bytes_before: u64,
    pub bytes_after: u64,
    /// What could not be removed, with the reason.
    pub problems: Vec<String>,
}

/// Whether a submission was forgotten on purpose.
pub fn is_pruned(outbox: &Outbox, submission_id: &str) -> bool {
    memory(outbox, submission_id).is_file()
}

/// The statuses of what was forgotten; one that cannot be read is passed over.
///
/// # Errors
/// A folder that cannot be listed.
pub fn remembered(outbox: &Outbox) -> Result<Vec<Status>, OutboxError> {
    let folder = outbox.root.join(PRUNED);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut statuses = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(crate::outbox::at(&folder))? {
        let path = entry.map_err(crate::outbox::at(&folder))?.path();
        if path.extension().is_some_and(|suffix| suffix == "json") {
            statuses.extend(Status::read_file(&path).ok());
        }
    }
    Ok(statuses)
}

fn memory(outbox: &Outbox, submission_id: &str) -> PathBuf {
    outbox
        .root
        .join(PRUNED)
        .join(format!("{submission_id}.json"))
}

/// Finds what the rules name, and removes it if `apply`; with the outbox's lock held. `ranked` are the submissions of the
/// leaderboard.
///
/// # Errors
/// An outbox that cannot be listed.
pub fn prune(
    outbox: &Outbox,
    what: What,
    rules: &Rules,
    ranked: &BTreeSet<String>,
    apply: bool,
    now: SystemTime,
) -> Result<Pruned, OutboxError> {
    let mut statuses = Ledger::default().statuses(outbox)?.readable;
    statuses.retain(|status| status.verdict.is_some());
    statuses.sort_by_cached_key(|status| (concluded_at(status), status.submission_id.clone()));
    let sized: Vec<(Status, u64)> = statuses
        .into_iter()
        .map(|status| {
            let bytes = size(&place(outbox, what, &status.submission_id));
            (status, bytes)
        })
        .filter(|(_, bytes)| *bytes > 0)
        .collect();
    let bytes_before: u64 = sized.iter().map(|(_, bytes)| bytes).sum();
    let mut pruned = Pruned {
        what,
        applied: apply,
        removed: Vec::new(),
        kept_for_need: Vec::new(),
        bytes_before,
        bytes_after: bytes_before,
        problems: Vec::new(),
    };
    let count = sized.len();
    for (place, (status, bytes)) in sized.into_iter().enumerate() {
        let age = humantime::parse_rfc3339(&concluded_at(&status))
            .ok()
            .and_then(|at| now.duration_since(at).ok())
            .unwrap_or_default();
        let is_named = rules.older_than.is_some_and(|limit| age > limit)
            || rules.keep.is_some_and(|keep| count - place > keep)
            || rules
                .max_bytes
                .is_some_and(|most| pruned.bytes_after > most);
        if !is_named {
            continue;
        }
        let removal = Removal {
            concluded_at: concluded_at(&status),
            submission_id: status.submission_id.clone(),
            name: status.name.clone(),
            state: status.state,
            bytes,
        };
        // Nobody ranks by what processes printed.
        let is_needed = what != What::Secrets
            && (status.state == State::Held || ranked.contains(&status.submission_id));
        if is_needed && !rules.force {
            pruned.kept_for_need.push(removal);
            continue;
        }
        if apply && let Err(error) = remove(outbox, what, status) {
            pruned.problems.push(format!("{error} ({})", error.hint()));
            continue;
        }
        pruned.bytes_after = pruned.bytes_after.saturating_sub(bytes);
        pruned.removed.push(removal);
    }
    Ok(pruned)
}

fn concluded_at(status: &Status) -> String {
    let last = status.transitions.last();
    last.map_or_else(String::new, |last| last.at.clone())
}

fn place(outbox: &Outbox, what: What, submission_id: &str) -> PathBuf {
    match what {
        What::Runs => outbox.submission(submission_id),
        What::Bundles => outbox.submission(submission_id).join(ARCHIVE),
        What::Secrets => outbox.private(submission_id),
    }
}

fn size(path: &Path) -> u64 {
    let files = WalkDir::new(path).follow_links(false).into_iter().flatten();
    files
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| Some(entry.metadata().ok()?.len()))
        .sum()
}

fn remove(outbox: &Outbox, what: What, mut status: Status) -> Result<(), OutboxError> {
    let path = place(outbox, what, &status.submission_id);
    match what {
        What::Secrets => atomic::remove_folder(&path),
        What::Bundles => {
            // Sealed without it first: should this be the end, the next `prune` finds it there.
            status.pruned = vec![ARCHIVE.to_owned()];
            status.write(outbox)?;
            atomic::remove_file(&path)
        }
        What::Runs => {
            let memory = memory(outbox, &status.submission_id);
            atomic::create_folder(&outbox.root.join(PRUNED))?;
            atomic::write_json(&memory, Schema::Status, &status)?;
            // Out of sight in one step; what a kill leaves in there, the next run removes.
            let doomed = outbox.work(&format!("{}.pruned", status.submission_id));
            atomic::remove_folder(&doomed)?;
            atomic::publish(&path, &doomed)?;
            atomic::remove_folder(&doomed)?;
            atomic::remove_folder(&outbox.private(&status.submission_id))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::status::{Reason, Verdict, rfc3339};

    const DAY: Duration = Duration::from_secs(86_400);

    /// `count` rejected submissions, one concluded each day, the last today, of 1,000 bytes of archive and log each.
    fn outbox(root: &Path, count: u32, now: SystemTime) -> Outbox {
        let outbox = Outbox::new(root);
        outbox.create().unwrap();
        for place in 0..count {
            let at = now - DAY * (count - 1 - place) - DAY / 2;
            let mut status = Status::new(&format!("s{place}"), "s.zip", None, at);
            let reason = Reason {
                rule_id: "prism:x".into(),
                message: "m".into(),
                hint: "h".into(),
            };
            status.write(&outbox).unwrap();
            let folder = outbox.submission(&status.submission_id);
            std::fs::write(folder.join(ARCHIVE), vec![0; 1_000]).unwrap();
            let private = outbox.private(&status.submission_id);
            std::fs::create_dir_all(&private).unwrap();
            std::fs::write(private.join("twin.log"), vec![0; 1_000]).unwrap();
            status.conclude(Verdict::Rejected, Some(reason), at);
            status.write(&outbox).unwrap();
        }
        outbox
    }

    fn ids(removals: &[Removal]) -> Vec<&str> {
        let ids = removals
            .iter()
            .map(|removal| removal.submission_id.as_str());
        ids.collect()
    }

    #[test]
    fn rules_name_the_oldest_and_need_keeps() {
        let root = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let outbox = outbox(root.path(), 4, now);
        let ranked = BTreeSet::from(["s1".to_owned()]);
        let named = |rules: Rules| {
            let what = What::Bundles;
            let pruned = prune(&outbox, what, &rules, &ranked, false, now).unwrap();
            let [removed, kept] =
                [&pruned.removed, &pruned.kept_for_need].map(|list| ids(list).join(" "));
            (removed, kept)
        };
        let text = |removed: &str, kept: &str| (removed.to_owned(), kept.to_owned());
        assert_eq!(named(Rules::default()), text("", ""));
        let older = Rules {
            older_than: Some(DAY * 2),
            ..Rules::default()
        };
        assert_eq!(named(older), text("s0", "s1"));
        let keep = Rules {
            keep: Some(1),
            ..Rules::default()
        };
        assert_eq!(named(keep), text("s0 s2", "s1"));
        let size = Rules {
            max_bytes: Some(2_500),
            ..Rules::default()
        };
        assert_eq!(named(size), text("s0 s2", "s1"));
        let force = Rules {
            force: true,
            ..keep
        };
        assert_eq!(named(force), text("s0 s1 s2", ""));
    }

    #[test]
    fn what_is_removed_leaves_the_rest_whole() {
        let root = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let outbox = outbox(root.path(), 3, now);
        let all = |keep| Rules {
            keep: Some(keep),
            ..Rules::default()
        };
        let none = BTreeSet::new();
        let secrets = prune(&outbox, What::Secrets, &all(0), &none, true, now).unwrap();
        assert_eq!((secrets.removed.len(), secrets.bytes_after), (3, 0));
        assert!(!outbox.private("s0").exists());

        let bundles = prune(&outbox, What::Bundles, &all(1), &none, true, now).unwrap();
        assert_eq!(ids(&bundles.removed), ["s0", "s1"], "{bundles:?}");
        assert_eq!(bundles.bytes_after, 1_000);
        let status = Status::read(&outbox, "s0").unwrap().unwrap();
        assert_eq!(status.pruned, [ARCHIVE]);
        let list = std::fs::read_to_string(outbox.submission("s0").join("digests.json")).unwrap();
        assert!(!list.contains(ARCHIVE) && list.contains("status.json"));

        let runs = prune(&outbox, What::Runs, &all(1), &none, true, now).unwrap();
        assert_eq!(ids(&runs.removed), ["s0", "s1"], "{runs:?}");
        assert!(!outbox.submission("s0").exists() && is_pruned(&outbox, "s0"));
        assert!(outbox.submission("s2").exists() && !is_pruned(&outbox, "s2"));
        let remembered = Status::read_file(&memory(&outbox, "s0")).unwrap();
        assert_eq!(remembered.state, State::Rejected);
    }

    #[test]
    fn what_is_not_concluded_is_never_named() {
        let root = tempfile::tempdir().unwrap();
        let outbox = outbox(root.path(), 0, SystemTime::now());
        let mut status = Status::new("a", "a.zip", None, SystemTime::UNIX_EPOCH);
        status.advance(State::Reviewed, SystemTime::UNIX_EPOCH);
        status.write(&outbox).unwrap();
        let rules = Rules {
            keep: Some(0),
            force: true,
            ..Rules::default()
        };
        let now = SystemTime::now();
        let pruned = prune(&outbox, What::Runs, &rules, &BTreeSet::new(), true, now).unwrap();
        assert!(pruned.removed.is_empty(), "{} {pruned:?}", rfc3339(now));
    }
}
