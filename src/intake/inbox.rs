//! The inbox over time: what was seen before, and what of it is new or complete.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::customs::{Customs, Sentinel};
use super::error::IntakeError;
use super::read::{ends_like_a_zip, ends_like_json};
use super::scan::{self, Found, IgnoredReason};
use super::settle::{Observation, Settling, WaitReason, judge};
use super::stamp::Stamp;
use super::{Beside, Candidate, Form, Seen};

/// What waits for something else than time is looked at again when that changes, and at least so often.
const LONG: Duration = Duration::from_secs(3_600);
/// What lies beside a file that does not come is mentioned after this time.
const LONE_FOR: Duration = Duration::from_secs(60);

/// An inbox and what was seen in it so far. Memory is bounded by the number of files in it.
#[derive(Debug)]
pub struct Inbox {
    path: PathBuf,
    customs: Customs,
    files: HashMap<PathBuf, Known>,
    ignored: HashSet<(PathBuf, IgnoredReason)>,
}

/// States of a file and of what lies beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct States {
    own: Stamp,
    sidecar: Option<Stamp>,
    sentinel: Option<Stamp>,
}

impl States {
    fn of(found: &Found) -> Self {
        let stamp = |beside: &Option<Box<Beside>>| beside.as_ref().map(|beside| beside.stamp);
        Self {
            own: found.stamp,
            sidecar: stamp(&found.sidecar),
            sentinel: stamp(&found.sentinel),
        }
    }
}

/// A file in one state.
#[derive(Debug, Clone, Copy)]
struct Known {
    states: States,
    /// When the path was first seen, in whatever state.
    seen: Instant,
    since: Instant,
    offered: bool,
}

impl Inbox {
    /// An inbox of which nothing was seen yet.
    pub fn new(path: impl Into<PathBuf>, customs: Customs) -> Self {
        Self {
            path: path.into(),
            customs,
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
                Some(pause) if pause <= left => std::thread::sleep(pause),
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
        let found = scan::scan(&self.path, &self.customs)?;
        let mut seen = Vec::new();
        let mut files = HashMap::with_capacity(found.files.len());
        for file in found.files {
            let states = States::of(&file);
            let before = self.files.get(&file.path);
            let mut known = match before {
                Some(known) if known.states == states => *known,
                _ => Known {
                    states,
                    seen: before.map_or(now, |known| known.seen),
                    since: now,
                    offered: false,
                },
            };
            let path = file.path.clone();
            if !known.offered {
                let report = self.report(file, &known, now, wall_clock);
                known.offered = matches!(report, Seen::Ready(_));
                seen.push(report);
            }
            files.insert(path, known);
        }
        self.files = files;
        let mut all_ignored = found.ignored;
        let is_old = |stamp: &Stamp| {
            let age = wall_clock.duration_since(stamp.arrived_at());
            age.is_ok_and(|age| age >= LONE_FOR)
        };
        let lone = found.lone.into_iter().filter(|(_, stamp)| is_old(stamp));
        all_ignored.extend(lone.map(|(path, _)| (path, IgnoredReason::Lone)));
        let ignored: HashSet<_> = all_ignored.iter().cloned().collect();
        for (path, reason) in all_ignored {
            let entry = (path, reason);
            if !self.ignored.contains(&entry) {
                let (path, reason) = entry;
                seen.push(Seen::Ignored { path, reason });
            }
        }
        self.ignored = ignored;
        Ok(seen)
    }

    fn report(&self, found: Found, known: &Known, now: Instant, wall_clock: SystemTime) -> Seen {
        let waiting = match self.settling(&found, known, now, wall_clock) {
            Settling::Ready => None,
            Settling::Waiting {
                reason,
                look_again_in,
            } => Some((reason, look_again_in)),
        };
        match waiting {
            None => Seen::Ready(Candidate {
                name: found
                    .path
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned())
                    .unwrap_or_default(),
                path: found.path,
                stamp: found.stamp,
                form: found.form,
                sidecar: found.sidecar,
                sentinel: found.sentinel,
            }),
            Some((reason, look_again_in)) => Seen::Waiting {
                path: found.path,
                reason,
                look_again_in,
            },
        }
    }

    fn settling(
        &self,
        found: &Found,
        known: &Known,
        now: Instant,
        wall_clock: SystemTime,
    ) -> Settling {
        let settle = self.customs.settle;
        if self.customs.sentinel != Sentinel::None {
            // who writes a sentinel says that all of it is there, the sidecar included
            return match found.sentinel {
                Some(_) => Settling::Ready,
                None => Settling::Waiting {
                    reason: WaitReason::NoSentinel,
                    look_again_in: LONG,
                },
            };
        }
        let unchanged_for = now.saturating_duration_since(known.since);
        let ago = |stamp: &Stamp| wall_clock.duration_since(stamp.modified_at).ok();
        let sidecar = found.sidecar.as_ref();
        // the younger of both; a time in the future has no age
        let modified_ago = match (ago(&found.stamp), sidecar.map(|beside| ago(&beside.stamp))) {
            (own, None) => own,
            (own, Some(beside)) => own.zip(beside).map(|(own, beside)| own.min(beside)),
        };
        // Opened only when the answer can matter.
        let asks_for_end = unchanged_for < settle && modified_ago.is_some_and(|age| age >= settle);
        let observation = Observation {
            unchanged_for,
            modified_ago,
            ends_whole: asks_for_end && ends_whole(found),
        };
        let judged = judge(&observation, settle);
        let (Settling::Ready, Some(wait), None) = (judged, self.customs.sidecars, sidecar) else {
            return judged;
        };
        let here_for = wall_clock
            .duration_since(found.stamp.arrived_at())
            .unwrap_or_default()
            .max(now.saturating_duration_since(known.seen));
        match wait.saturating_sub(here_for) {
            Duration::ZERO => Settling::Ready,
            look_again_in => Settling::Waiting {
                reason: WaitReason::NoSidecar,
                look_again_in,
            },
        }
    }
}

/// Whether a file ends as one of its form does, and so does what lies beside it.
fn ends_whole(found: &Found) -> bool {
    let own = match found.form {
        Form::Zip => ends_like_a_zip(&found.path, found.stamp.bytes),
        Form::Envelope => ends_like_json(&found.path, found.stamp.bytes),
        Form::Source | Form::Folder => false,
    };
    let beside = found.sidecar.as_ref();
    own && beside.is_none_or(|beside| ends_like_json(&beside.path, beside.stamp.bytes))
}
