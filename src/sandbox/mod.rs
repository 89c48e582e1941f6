//! The wall: where submission code runs, what it sees and what it may use.
//!
//! [`start`] runs one command behind it. The caller holds the only handle; dropping it ends every process inside.
//! What was asked for and what was achieved are both told: isolation is never weakened silently.

mod bwrap;
mod container;
mod etc;
pub mod filter;
mod held;
mod keyring;
mod limits;
mod log;
mod open;
pub mod probe;
pub mod process;
pub mod python;
mod tree;
mod watchdog;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use crate::config::Isolation;
pub use bwrap::TRIAL as BWRAP_TRIAL;
pub use container::is_pinned;
pub use limits::Limits;
pub use watchdog::Breach;

/// A folder or file that the inside sees.
#[derive(Debug, Clone)]
pub struct Mount {
    pub host: PathBuf,
    /// Where it lies inside; with isolation `none` it lies where it is.
    pub inside: PathBuf,
    pub writable: bool,
}

/// One command to run behind the wall.
#[derive(Debug, Clone)]
pub struct Command {
    pub isolation: Isolation,
    /// What a container is made from; nothing else needs one.
    pub image: Option<String>,
    pub python: python::Environment,
    /// Arguments of python.
    pub arguments: Vec<OsString>,
    pub environment: BTreeMap<String, String>,
    pub mounts: Vec<Mount>,
    /// Folder of ours where small files for the inside are made (`etc/`), and where the process is written down.
    pub scratch: PathBuf,
    /// The only writable folder; its size is limited.
    pub artifacts: PathBuf,
    pub limits: Limits,
    /// Device nodes of NVIDIA cards are bound in.
    pub cuda: bool,
    /// Where stdout and stderr go, up to `limits.log_bytes`.
    pub log: PathBuf,
}

impl Command {
    /// The path under which the inside sees a mounted host path.
    pub fn inside(&self, host: &Path) -> PathBuf {
        if self.isolation == Isolation::None {
            return host.to_owned();
        }
        self.mounts
            .iter()
            .find_map(|mount| {
                host.strip_prefix(&mount.host)
                    .ok()
                    .map(|rest| join(&mount.inside, rest))
            })
            .unwrap_or_else(|| host.to_owned())
    }
}

fn join(folder: &Path, rest: &Path) -> PathBuf {
    // `join("")` would add a slash.
    if rest.as_os_str().is_empty() {
        folder.to_owned()
    } else {
        folder.join(rest)
    }
}

/// What stands between the submission and the machine, for the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Achieved {
    pub requested: Isolation,
    pub achieved: Isolation,
    /// `bubblewrap 0.8.0`, `Docker version 27.3.1, …`; empty for `none`.
    pub version: String,
    /// What a probe inside the same wall found, by name: `network`, `root_filesystem`, `processes`, …
    pub probes: BTreeMap<String, String>,
    /// No wall, or a probe that found a hole, is not.
    pub score_eligible: bool,
}

/// What keeps the sandbox from starting: the operator's affair, never the submission's.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("bubblewrap cannot be used: {reason}")]
    Bwrap { reason: String },
    #[error("{engine} cannot be used: {reason}")]
    Container {
        engine: &'static str,
        reason: String,
    },
    #[error("python {python} cannot be used: {reason}")]
    Python { python: PathBuf, reason: String },
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl SandboxError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Bwrap { .. } => {
                "install the package bubblewrap and allow unprivileged user namespaces, or set sandbox.isolation: none \
                 (such runs are never score-eligible)"
            }
            Self::Container { .. } => {
                "install the engine, let this user talk to it, and pull sandbox.image; or set sandbox.isolation: bwrap"
            }
            Self::Python { .. } => {
                "run ./prism-dev build, or name an environment with torch 2.11 as run.python"
            }
            Self::Io { .. } => "check that the path exists and that the disk has room",
        }
    }
}

/// A command that runs behind the wall.
#[derive(Debug)]
pub struct Running {
    shared: Arc<open::Shared>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

/// How the inside ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Exit status, or none after a signal.
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// The limit that was broken, if the watchdog ended it.
    pub breach: Option<Breach>,
}

/// After the end of the inside, what is left of its output is read within this.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// Whether a wall of this kind can stand on this machine at all.
pub fn available(isolation: Isolation, image: Option<&str>) -> Result<(), SandboxError> {
    match (isolation, container::Engine::of(isolation)) {
        (Isolation::Bwrap, _) => bwrap::available(),
        (_, Some(engine)) => engine.available(image),
        (_, None) => Ok(()),
    }
}

/// Starts a command.
pub fn start(command: &Command) -> Result<Running, SandboxError> {
    open::start(command)
}

impl Running {
    /// A wall whose inside ended with status 0 before anybody looked: for conversations with peers that are threads.
    #[cfg(test)]
    pub(crate) fn of_nothing() -> Self {
        open::nothing()
    }

    /// How it ended; none while it runs.
    pub fn ended(&self) -> Option<Ended> {
        self.shared.ended()
    }

    /// The limit that was broken, if any.
    pub fn breach(&self) -> Option<Breach> {
        self.shared.breach()
    }

    /// Stops every process inside until [`Running::resume`]. False: they multiplied faster than they could be stopped.
    #[must_use]
    pub fn pause(&self) -> bool {
        self.shared.pause()
    }

    /// Lets them run on.
    pub fn resume(&self) {
        self.shared.resume();
    }

    /// Waits up to `patience` for the end, then ends every process inside.
    pub fn finish(mut self, patience: Duration) -> Ended {
        let ended = self.shared.finish(patience);
        let deadline = Instant::now() + LOG_PATIENCE;
        for thread in self.threads.drain(..) {
            // Without a wall, somebody who escaped may hold the log open for ever: that thread is left to itself.
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                // A reader that panicked has nothing to add.
                let _ = thread.join();
            }
        }
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.kill();
    }
}
