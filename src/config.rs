//! `config.yaml`: every setting, its default and its meaning, once.
//!
//! The order of authority is: command line, `PRISM_…` environment variables, the file, the defaults here.
//! `prism config` prints the result; unknown keys are errors, so that a typing slip never passes as a default.

mod defaults;
mod environment;
pub mod gate;
mod ranges;
pub mod recorded;
mod sections;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bundle;
use crate::identity;
use crate::intake::Customs;
use crate::review::DistributedPolicy;
use environment::overlay;
use gate::Gate;
pub use sections::{
    Audit, Budget, Competitions, Contest, Corpus, Device, Duplicates, HeldOut, Intake, Isolation,
    Keys, Log, Metrics, Order, Quarantine, Review, Run, Sandbox, Target, Told, TransportSetting,
    V1Mode, WeightsFrom,
};

/// Everything an operator can set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder that people drop zips into. Read only: nothing in it is moved or deleted.
    pub inbox: PathBuf,
    /// Folder where everything about every submission appears. It is the only state.
    pub outbox: PathBuf,
    pub intake: Intake,
    pub identity: identity::Settings,
    pub archive: bundle::Limits,
    pub review: Review,
    pub duplicates: Duplicates,
    pub gate: Gate,
    pub corpus: Corpus,
    pub contest: Contest,
    pub budget: Budget,
    pub held_out: HeldOut,
    pub run: Run,
    pub sandbox: Sandbox,
    pub audit: Audit,
    pub keys: Keys,
    pub quarantine: Quarantine,
    pub competitions: Competitions,
    pub log: Log,
    pub metrics: Metrics,
    /// What a command tells the runs that it makes; no file sets it.
    #[serde(skip)]
    pub told: Told,
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the configuration {path} is not valid: {source}")]
    Parse {
        path: PathBuf,
        source: serde_yaml::Error,
    },
    #[error("the environment variable {name}={value:?} is not valid: {reason}")]
    Environment {
        name: String,
        value: String,
        reason: String,
    },
    #[error("{key}: got {got}, expected {expected}")]
    Range {
        key: &'static str,
        got: String,
        expected: &'static str,
    },
    #[error("recorded settings: {reason}")]
    Recorded { reason: String },
}

impl ConfigError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read { .. } => {
                "name an existing file with --config, or leave the option out to use the defaults"
            }
            Self::Parse { .. } => {
                "`prism config` prints every key with its default; unknown keys are errors"
            }
            Self::Environment { .. } => {
                "names are PRISM_<SECTION>_<KEY>, as in PRISM_BUDGET_BYTES=1000000"
            }
            Self::Range { .. } => "mend the value in the configuration",
            Self::Recorded { .. } => "use the version of prism that made the run",
        }
    }
}

impl Config {
    /// Reads the file (if any), lays `PRISM_…` variables over it and checks the ranges.
    ///
    /// Relative paths stay relative to the working directory.
    pub fn load(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut tree = match path {
            None => serde_yaml::Value::Mapping(serde_yaml::Mapping::new()),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
                    path: path.to_owned(),
                    source,
                })?;
                let parse = |source| ConfigError::Parse {
                    path: path.to_owned(),
                    source,
                };
                match serde_yaml::from_str(&text).map_err(parse)? {
                    serde_yaml::Value::Null => {
                        serde_yaml::Value::Mapping(serde_yaml::Mapping::new())
                    }
                    value => value,
                }
            }
        };
        overlay(&mut tree, environment)?;
        let origin = path.unwrap_or(Path::new("(defaults)")).to_owned();
        let mut config: Self =
            serde_yaml::from_value(tree).map_err(|source| ConfigError::Parse {
                path: origin,
                source,
            })?;
        config.check()?;
        if let Some(first) = config.contest.seeds.first() {
            config.contest.seed = *first;
        }
        Ok(config)
    }

    /// How the inbox is read.
    pub fn customs(&self) -> Customs {
        let milliseconds = std::time::Duration::from_millis;
        let reads_sidecars = self.identity.mode != identity::Mode::Off;
        Customs {
            settle: milliseconds(self.intake.settle_ms),
            sentinel: self.intake.sentinel,
            sidecars: reads_sidecars.then(|| milliseconds(self.identity.sidecar_wait_ms)),
        }
    }

    /// The mode of runs of the first contract.
    pub fn v1_mode(&self) -> V1Mode {
        let by_device = match self.run.device {
            Device::Cpu => V1Mode::LocalCpuSmoke,
            Device::Cuda => V1Mode::GpuProxyEval,
        };
        self.contest.v1_mode.unwrap_or(by_device)
    }

    /// The policy for scripts that are not ready for several ranks.
    pub fn distributed_policy(&self) -> DistributedPolicy {
        let by_world_size = if self.run.world_size > 1 {
            DistributedPolicy::Reject
        } else {
            DistributedPolicy::Flag
        };
        self.review.distributed.unwrap_or(by_world_size)
    }
}
