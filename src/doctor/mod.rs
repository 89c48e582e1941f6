//! `prism doctor`: whether this machine can do what the configuration asks of it, and the command that mends what it cannot.
//!
//! Nothing is changed and nothing of a submission runs. Every program that is asked has a time limit ([`asked`]); everything
//! that is looked at lies under a [`Machine`], so that tests can look at machines that are not there.

mod asked;
mod kernel;
mod places;
mod programs;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::config::Config;

pub const SCHEMA_VERSION: &str = "prism_doctor_report.v1";

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Ok,
    /// prism works, but not as well, or not for long.
    Warning,
    /// Something that the configuration asks for cannot work.
    Failed,
    /// The configuration does not ask for it.
    Skipped,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub outcome: Outcome,
    /// What was found, in words.
    pub found: String,
    /// The command, or the setting, that mends it; where there is something to mend.
    pub fix: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::without_fix(name, Outcome::Ok, found)
    }

    fn skipped(name: &'static str, why: impl Into<String>) -> Self {
        Self::without_fix(name, Outcome::Skipped, why)
    }

    fn warning(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            fix: Some(fix.into()),
            ..Self::without_fix(name, Outcome::Warning, found)
        }
    }

    fn failed(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            fix: Some(fix.into()),
            ..Self::without_fix(name, Outcome::Failed, found)
        }
    }

    fn without_fix(name: &'static str, outcome: Outcome, found: impl Into<String>) -> Self {
        Self {
            name,
            outcome,
            found: found.into(),
            fix: None,
        }
    }
}

/// Every check, in the order in which a person would mend them.
#[derive(Debug, Clone, Serialize)]
pub struct DoctorReport {
    pub schema_version: &'static str,
    /// The worst outcome: `ok`, `warning` or `failed`.
    pub outcome: Outcome,
    pub checks: Vec<Check>,
}

/// Where the facts of a machine are.
#[derive(Debug, Clone)]
pub struct Machine {
    /// `/proc`.
    pub proc: PathBuf,
    /// `/dev/shm`.
    pub shm: PathBuf,
    pub bwrap: OsString,
    pub nvidia_smi: OsString,
    pub timedatectl: OsString,
    pub now: SystemTime,
    /// Longest wait for a program that should answer at once.
    pub patience: Duration,
}

impl Machine {
    /// The machine that this process runs on.
    pub fn this() -> Self {
        Self {
            proc: "/proc".into(),
            shm: "/dev/shm".into(),
            bwrap: "bwrap".into(),
            nvidia_smi: "nvidia-smi".into(),
            timedatectl: "timedatectl".into(),
            now: SystemTime::now(),
            patience: Duration::from_secs(20),
        }
    }
}

/// Looks at everything that a run needs.
pub fn doctor(config: &Config, machine: &Machine) -> DoctorReport {
    let wall = programs::wall(config, machine);
    let stands = wall.outcome == Outcome::Ok;
    let checks = vec![
        programs::python(config, machine),
        programs::torch(config),
        programs::referee(config, machine),
        programs::gpu(config, machine),
        wall,
        kernel::user_namespaces(config, machine, stands),
        kernel::shared_memory(config, machine),
        kernel::inotify(config, machine),
        kernel::clock(config, machine),
        places::disk(config),
        places::corpus(config),
        places::inbox(config),
        places::outbox(config),
        places::lock(config),
    ];
    let has = |outcome| checks.iter().any(|check| check.outcome == outcome);
    DoctorReport {
        schema_version: SCHEMA_VERSION,
        outcome: if has(Outcome::Failed) {
            Outcome::Failed
        } else if has(Outcome::Warning) {
            Outcome::Warning
        } else {
            Outcome::Ok
        },
        checks,
    }
}
