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

pub(super) fn watch(shared: &Arc<Shared>, artifacts: &Path, limits: &Limits) {
    let mut looks = 0u32;
    let mut memory_files_bytes = 0;
    while shared.wait(INTERVAL).is_none() {
        let members = tree::members(shared.pid());
        let usage = tree::usage(&members);
        let tmpfs = if shared.is_walled() {
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
        let memory_bytes = usage.resident_bytes + tmpfs.used_bytes + memory_files_bytes;
        if let Some(breach) = breach(memory_bytes, usage.tasks, artifacts_bytes, limits) {
            shared.end_for(breach);
            return;
        }
        looks = looks.wrapping_add(1);
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
