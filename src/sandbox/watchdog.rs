//! Looks at the whole tree a few times a second and ends it when a limit is broken.
//!
//! The kernel's own limits are per process; a fork bomb or a hundred workers with a little memory each pass them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use walkdir::WalkDir;

use super::limits::Limits;
use super::open::Shared;
use super::{held, tree};

/// The limit that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    Memory { got_bytes: u64, limit_bytes: u64 },
    Processes { got: u64, limit: u64 },
    Artifacts { got_bytes: u64, limit_bytes: u64 },
}

impl std::fmt::Display for Breach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory {
                got_bytes,
                limit_bytes,
            } => {
                write!(
                    f,
                    "the run used {got_bytes} bytes of memory, expected at most {limit_bytes}"
                )
            }
            Self::Processes { got, limit } => {
                write!(
                    f,
                    "the run had {got} processes and threads, expected at most {limit}"
                )
            }
            Self::Artifacts {
                got_bytes,
                limit_bytes,
            } => {
                if *got_bytes == u64::MAX {
                    return write!(
                        f,
                        "artifacts_dir, with deleted files still open, cannot be added up: more than {MAX_ARTIFACT_FILES} \
                         files, or paths too long to follow; expected at most {limit_bytes} bytes"
                    );
                }
                write!(
                    f,
                    "artifacts_dir held {got_bytes} bytes, deleted files still open included, expected at most {limit_bytes}"
                )
            }
        }
    }
}

const INTERVAL: Duration = Duration::from_millis(100);
/// Walking artifacts_dir costs more than reading /proc.
const LOOKS_PER_WALK: u32 = 5;
/// A tree of more files than this is over any sensible quota of a training run.
const MAX_ARTIFACT_FILES: usize = 100_000;

pub(super) fn watch(sandbox: &Arc<Shared>, artifacts: &Path, limits: &Limits) {
    let mut looks = 0u32;
    let mut memory_files_bytes = 0;
    let mut sharing = Sharing::default();
    while sandbox.wait(INTERVAL).is_none() {
        let Some(root) = sandbox.root() else {
            continue;
        };
        let members = tree::members(root);
        let usage = tree::usage(&members);
        // First of all: every further question to a tree that multiplies gives it time to do so.
        if let Some(breach) = breach(0, usage.tasks, 0, limits) {
            sandbox.end_for(breach);
            return;
        }
        let tmpfs = if sandbox.is_walled() {
            held::tmpfs(&members, limits.tmp_bytes)
        } else {
            held::Tmpfs::default()
        };
        let mut artifacts_bytes = 0;
        if looks.is_multiple_of(LOOKS_PER_WALK) {
            let files = held::held(&members, &tmpfs);
            // A tree that hides what it holds behind too many descriptors holds too much.
            artifacts_bytes = files.map_or(u64::MAX, |files| {
                folder_bytes(artifacts).saturating_add(files.deleted_bytes)
            });
            memory_files_bytes = files.map_or(0, |files| files.memory_bytes);
        }
        let files_bytes = tmpfs.used_bytes + memory_files_bytes;
        let room_bytes = limits.memory_bytes.saturating_sub(files_bytes);
        let is_due = looks.is_multiple_of(LOOKS_PER_WALK);
        let processes_bytes = sharing.bytes(usage.resident_bytes, room_bytes, is_due, || {
            tree::proportional_bytes(&members)
        });
        let memory_bytes = processes_bytes.saturating_add(files_bytes);
        if let Some(breach) = breach(memory_bytes, usage.tasks, artifacts_bytes, limits) {
            sandbox.end_for(breach);
            return;
        }
        looks = looks.wrapping_add(1);
    }
}

/// What the processes hold, with pages that forks share counted once. That costs much to ask, so it is asked only of
/// trees that are over the limit as long as such pages count for each process.
#[derive(Debug, Default)]
struct Sharing {
    /// Sum of the processes' own figures when it was asked last, and the answer.
    asked: Option<(u64, u64)>,
}

impl Sharing {
    /// `room_bytes` is what the processes may hold. A tree that was asked already and has not grown by what was left then
    /// is asked again only when that `is_due`.
    fn bytes(
        &mut self,
        resident_bytes: u64,
        room_bytes: u64,
        is_due: bool,
        ask: impl FnOnce() -> u64,
    ) -> u64 {
        if resident_bytes <= room_bytes {
            return resident_bytes;
        }
        if let Some((then, answer)) = self.asked.filter(|_| !is_due)
            && answer.saturating_add(resident_bytes.saturating_sub(then)) <= room_bytes
        {
            return answer;
        }
        let answer = ask().min(resident_bytes);
        self.asked = Some((resident_bytes, answer));
        answer
    }
}

fn breach(memory_bytes: u64, tasks: u64, artifacts_bytes: u64, limits: &Limits) -> Option<Breach> {
    if memory_bytes > limits.memory_bytes {
        return Some(Breach::Memory {
            got_bytes: memory_bytes,
            limit_bytes: limits.memory_bytes,
        });
    }
    if tasks > limits.processes {
        return Some(Breach::Processes {
            got: tasks,
            limit: limits.processes,
        });
    }
    (artifacts_bytes > limits.artifacts_bytes).then_some(Breach::Artifacts {
        got_bytes: artifacts_bytes,
        limit_bytes: limits.artifacts_bytes,
    })
}

/// Bytes on disk (blocks, not lengths: a sparse file costs what it uses).
fn folder_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let walk = WalkDir::new(folder).follow_links(false).into_iter();
    let mut bytes = 0u64;
    for (count, entry) in walk.enumerate() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if is_gone(&error) => continue,
            // Paths too long to follow hide what they hold.
            Err(_) => return u64::MAX,
        };
        if count > MAX_ARTIFACT_FILES {
            return u64::MAX;
        }
        if let Ok(metadata) = entry.metadata() {
            bytes = bytes.saturating_add(metadata.blocks() * 512);
        }
    }
    bytes
}

/// Files come and go while they are counted.
fn is_gone(error: &walkdir::Error) -> bool {
    error
        .io_error()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharing_is_asked_for_only_over_the_limit_and_not_every_time() {
        let mut sharing = Sharing::default();
        let never = || -> u64 { panic!("asked") };
        assert_eq!(sharing.bytes(90, 100, true, never), 90);
        assert_eq!(sharing.bytes(300, 100, false, || 60), 60);
        // grown by less than the room that was left
        assert_eq!(sharing.bytes(340, 100, false, never), 60);
        assert_eq!(sharing.bytes(341, 100, false, || 101), 101);
        assert_eq!(sharing.bytes(341, 200, true, || 70), 70);
        // an answer above the sum is a race
        assert_eq!(sharing.bytes(500, 100, true, || 900), 500);
    }
}
