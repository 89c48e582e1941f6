//! A process by what makes it that process: its number, when it started, and since which start of the machine. Numbers
//! are given out again; all three together are not.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::tree;

/// Name of the file that a started process is written down in.
pub const FILE: &str = "process.json";

/// A killed process that is still there after this is stuck in the kernel.
const END_PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);
const MAX_FILE_BYTES: u64 = 4_096;

/// One process of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessIdentity {
    pub pid: i32,
    /// Clock ticks from the start of the machine to the start of the process.
    pub started_ticks: u64,
    /// The kernel's random id of this start of the machine.
    pub boot_id: String,
}

impl ProcessIdentity {
    /// The process that has this number now.
    pub fn of(pid: i32) -> Option<Self> {
        Some(Self {
            pid,
            started_ticks: tree::started_ticks(pid)?,
            boot_id: boot_id()?,
        })
    }

    /// This process.
    pub fn own() -> Option<Self> {
        Self::of(rustix::process::getpid().as_raw_nonzero().get())
    }

    /// Whether it runs; one that only waits to be collected does not.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self) && !tree::is_dead(self.pid)
    }

    /// Kills it and all its descendants and waits for its end. False: it is stuck.
    pub fn end(&self) -> bool {
        let deadline = Instant::now() + END_PATIENCE;
        while self.is_alive() {
            // Children first: none of them finds its parent gone and goes on.
            let mut members: Vec<Self> = tree::members(self.pid)
                .into_iter()
                .filter_map(Self::of)
                .collect();
            members.reverse();
            for member in &members {
                member.kill();
            }
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    }

    /// The descriptor is held before the identity is looked at, so that no other process can take the number between.
    fn kill(&self) {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return;
        };
        let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else {
            return;
        };
        if self.is_alive() {
            // It may have ended in this moment.
            let _ = pidfd_send_signal(&descriptor, Signal::KILL);
        }
    }

    /// Writes it down as [`FILE`] in a folder of ours.
    ///
    /// # Errors
    /// Those of the file.
    pub fn record(&self, folder: &Path) -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(FILE), serde_json::to_vec(self)?)
    }

    /// What [`Self::record`] wrote; none if there is nothing that can be read.
    pub fn recorded(folder: &Path) -> Option<Self> {
        let path = folder.join(FILE);
        let metadata = path.symlink_metadata().ok()?;
        if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
            return None;
        }
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }
}

fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_the_very_process_is_ended_with_its_children() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 1000 & wait"])
            .spawn()
            .unwrap();
        let pid = child.id() as i32;
        let identity = ProcessIdentity::of(pid).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while tree::members(pid).len() < 2 && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
        let sleeper = ProcessIdentity::of(tree::members(pid)[1]).unwrap();

        // the same number at another time, or before the machine was started again
        let later = ProcessIdentity {
            started_ticks: identity.started_ticks + 1,
            ..identity.clone()
        };
        let before = ProcessIdentity {
            boot_id: "another".to_owned(),
            ..identity.clone()
        };
        for other in [later, before] {
            assert!(!other.is_alive());
            assert!(other.end());
            assert!(identity.is_alive());
        }

        assert!(identity.end());
        assert!(!identity.is_alive() && !sleeper.is_alive());
        child.wait().unwrap();
        assert!(ProcessIdentity::own().unwrap().is_alive());
    }

    #[test]
    fn what_was_recorded_is_read_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let own = ProcessIdentity::own().unwrap();
        assert_eq!(ProcessIdentity::recorded(folder.path()), None);
        own.record(folder.path()).unwrap();
        assert_eq!(ProcessIdentity::recorded(folder.path()), Some(own));
        fs::write(folder.path().join(FILE), "{}").unwrap();
        assert_eq!(ProcessIdentity::recorded(folder.path()), None);
    }
}
