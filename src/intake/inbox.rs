//! The inbox over time: what was seen before, and what of it is new or complete.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::error::IntakeError;
use super::read::ends_like_a_zip;
use super::scan::{self, IgnoredReason};
use super::settle::{Observation, Settling, judge};
use super::stamp::Stamp;
use super::{Candidate, Seen};

/// An inbox and what was seen in it so far. Memory is bounded by the number of files in it.
#[derive(Debug)]
pub struct Inbox {
    path: PathBuf,
    settle: Duration,
    files: HashMap<PathBuf, Known>,
    ignored: HashSet<(PathBuf, IgnoredReason)>,
}

/// A file in one state.
#[derive(Debug, Clone, Copy)]
struct Known {
    stamp: Stamp,
    since: Instant,
    offered: bool,
}

impl Inbox {
    /// An inbox of which nothing was seen yet. A file counts as complete when it has not changed for
    /// `settle`.
    pub fn new(path: impl Into<PathBuf>, settle: Duration) -> Self {
        Self {
            path: path.into(),
            settle,
            files: HashMap::new(),
            ignored: HashSet::new(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks once, without waiting. What was offered before in the same state is left out.
    ///
    /// # Errors
    /// When the inbox itself cannot be listed.
    pub fn look(&mut self) -> Result<Vec<Seen>, IntakeError> {
        self.look_at(Instant::now(), SystemTime::now())
    }

    /// Looks until no file waits any more, or until `patience` is over; for runs that end. Files
    /// that still wait then are in the result as [`Seen::Waiting`].
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub fn look_until_settled(&mut self, patience: Duration) -> Result<Vec<Seen>, IntakeError> {
        let deadline = Instant::now() + patience;
        let mut settled = Vec::new();
        loop {
            let (waiting, decided): (Vec<Seen>, Vec<Seen>) = self
                .look()?
                .into_iter()
                .partition(|seen| matches!(seen, Seen::Waiting { .. }));
            settled.extend(decided);
            let next_look = waiting.iter().filter_map(|seen| match seen {
                Seen::Waiting { look_again_in, .. } => Some(*look_again_in),
                Seen::Ready(_) | Seen::Ignored { .. } => None,
            });
            let left = deadline.saturating_duration_since(Instant::now());
            match next_look.min() {
                Some(pause) if !left.is_zero() => std::thread::sleep(pause.min(left)),
                _ => {
                    settled.extend(waiting);
                    return Ok(settled);
                }
            }
        }
    }

    /// Forgets that a file was offered, after it turned out to have changed while it was read.
    pub fn offer_again(&mut self, path: &Path) {
        self.files.remove(path);
    }

    /// [`look`](Self::look) at a given time by both clocks.
    pub(super) fn look_at(
        &mut self,
        now: Instant,
        wall_clock: SystemTime,
    ) -> Result<Vec<Seen>, IntakeError> {
        let found = scan::scan(&self.path)?;
        let mut seen = Vec::new();
        let mut files = HashMap::with_capacity(found.files.len());
        for (path, stamp) in found.files {
            let mut known = match self.files.get(&path) {
                Some(known) if known.stamp == stamp => *known,
                _ => Known {
                    stamp,
                    since: now,
                    offered: false,
                },
            };
            if !known.offered {
                let report = self.report(&path, &known, now, wall_clock);
                known.offered = matches!(report, Seen::Ready(_));
                seen.push(report);
            }
            files.insert(path, known);
        }
        self.files = files;
        let ignored: HashSet<_> = found.ignored.iter().cloned().collect();
        for (path, reason) in found.ignored {
            let entry = (path, reason);
            if !self.ignored.contains(&entry) {
                let (path, reason) = entry;
                seen.push(Seen::Ignored { path, reason });
            }
        }
        self.ignored = ignored;
        Ok(seen)
    }

    fn report(&self, path: &Path, known: &Known, now: Instant, wall_clock: SystemTime) -> Seen {
        let unchanged_for = now.saturating_duration_since(known.since);
        let modified_ago = wall_clock.duration_since(known.stamp.modified_at).ok();
        // Opened only when the answer can matter.
        let asks_for_end =
            unchanged_for < self.settle && modified_ago.is_some_and(|age| age >= self.settle);
        let observation = Observation {
            unchanged_for,
            modified_ago,
            ends_like_a_zip: asks_for_end && ends_like_a_zip(path, known.stamp.bytes),
        };
        match judge(&observation, self.settle) {
            Settling::Ready => Seen::Ready(Candidate {
                path: path.to_owned(),
                name: path
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned())
                    .unwrap_or_default(),
                stamp: known.stamp,
            }),
            Settling::Waiting {
                reason,
                look_again_in,
            } => Seen::Waiting {
                path: path.to_owned(),
                reason,
                look_again_in,
            },
        }
    }
}
