//! `config.yaml`: every setting, its default and its meaning, once.
//!
//! The order of authority is: command line, `PRISM_…` environment variables, the file, the defaults here.
//! `prism config` prints the result; unknown keys are errors, so that a typing slip never passes as a default.

pub mod recorded;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bundle;
use crate::duplicates::DuplicatePolicy;
use crate::review::DistributedPolicy;

/// Everything an operator can set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder that people drop zips into. Read only: nothing in it is moved or deleted.
    pub inbox: PathBuf,
    /// Folder where everything about every submission appears. It is the only state.
    pub outbox: PathBuf,
    pub intake: Intake,
    pub archive: bundle::Limits,
    pub review: Review,
    pub duplicates: Duplicates,
    pub corpus: Corpus,
    pub contest: Contest,
    pub budget: Budget,
    pub held_out: HeldOut,
    pub run: Run,
    pub sandbox: Sandbox,
    pub audit: Audit,
    pub keys: Keys,
    pub quarantine: Quarantine,
}

/// Who signs run folders.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// File of `prism keys generate`, readable by its owner alone; absent: runs are not signed.
    pub signing_key: Option<PathBuf>,
}

/// Runs that are too good to be believed are held until a person has looked at them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quarantine {
    /// Prequential bits per byte below which a run is held; 0: none is.
    pub floor_bpb: f64,
    /// Run folders whose learning is believed: none is held for learning faster when the list is empty.
    pub references: Vec<PathBuf>,
    /// How much lower than the best reference's the bits per byte may be, at each eighth of the text.
    pub margin_bpb: f64,
    /// Submissions (ids) that a person has looked at: they are ranked.
    pub accepted: Vec<String>,
}

/// When a file in the inbox counts as whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Intake {
    /// Size and mtime must rest this long before a file is read, in milliseconds.
    pub settle_ms: u64,
    /// `prism watch` looks at the whole inbox this often, in milliseconds, whatever the file events say.
    pub rescan_ms: u64,
}

/// What the static review looks for beyond its rules.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Review {
    /// Training scripts that are not ready for several ranks: `reject`, `flag` or `off`; absent: `reject` when
    /// `run.world_size` is more than 1, else `flag`.
    pub distributed: Option<DistributedPolicy>,
}

/// Submissions that say again what an earlier one of another owner said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Duplicates {
    /// What happens to them: `reject`, `hold` or `off`.
    pub policy: DuplicatePolicy,
    /// Source similarity from which on a submission is one (the historical measure), 0 to 1.
    pub source: f64,
    /// Similarity of the architecture graphs from which on it is one (the historical measure), 0 to 1.
    pub graph: f64,
    /// Share of the earlier submission's structure, names and formatting aside, from which on it is one, 0 to 1.
    pub structure: f64,
}

/// The locked text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Corpus {
    /// Folder that `prism data lock` wrote (`MANIFEST.json`, `train/`, `val/`, `test/`, `open/`).
    pub root: PathBuf,
    /// Folder with `<name>.json` tokenizers, the shipped `prism-4096.json` among them.
    pub tokenizers: PathBuf,
    /// Order of the scored stream: `file`, or `keyed`: by a key of each run that is published when the run is over.
    pub order: Order,
    /// With `keyed`: this key (64 hexadecimal digits) instead of one of each run's own, to repeat a run.
    pub order_key: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    File,
    Keyed,
}

/// The geometry that every submission is told, and the limits of its own choices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Contest {
    /// Width of every model's head; at least the size of any tokenizer in use.
    pub vocab_size: u32,
    /// Row length of held-out text and of a submission that asks for none, in tokens.
    pub sequence_length: u32,
    /// Cap on tensor elements: parameters, buffers and plain tensors, by distinct storage.
    pub max_parameters: u64,
    /// Seed forced before submission code is imported and at every build_model.
    pub seed: u64,
    /// Seeds that every submission is measured under, one run each; empty: `seed` alone. The first takes the place of
    /// `seed` and decides score and rank, the others give mean and spread.
    pub seeds: Vec<u64>,
    /// Most rows a submission may ask for per rank.
    pub max_batch_size: u32,
    /// Longest row a submission may ask for, in tokens.
    pub max_seq_len: u32,
    /// Fewest full steps a stream may be cut into: nobody learns, and nothing can be checked, in one giant batch.
    pub min_steps: u32,
    /// Largest batch of logits per rank (rows × tokens × vocab_size × 4), in bytes: shared memory and a copy of it.
    pub max_logits_bytes: u64,
}

/// What one run may use, whichever ends first. The reason is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Text to be predicted, in UTF-8 bytes; the document at the border is taken whole.
    pub bytes: u64,
    /// Most steps; absent: no limit.
    pub steps: Option<u32>,
    /// Training time, in seconds, from the first batch. At its end the stream closes and is scored as it is.
    pub wall_clock_s: u64,
    /// Time after that for train() to return, in seconds, before the process tree is killed and the run fails.
    pub grace_s: u64,
}

/// The secret text that tells learning from memorising.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeldOut {
    /// Prefix of val that is predicted, in bytes (border document included).
    pub val_bytes: u64,
    /// The end of the training stream that is predicted again by the trained model, in bytes.
    pub train_tail_bytes: u64,
}

/// Where and how the training script runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    /// Python of the environment that holds torch.
    pub python: PathBuf,
    /// The measuring executable; absent: beside `prism`.
    pub referee: Option<PathBuf>,
    /// `cpu` or `cuda`.
    pub device: Device,
    /// Ranks that torchrun starts, 1 to 8. Scored runs use 1.
    pub world_size: u32,
    /// Threads of torch per rank. Part of what makes a CPU run repeatable to the bit, hence a number, not "all".
    pub threads: u32,
    /// Threads the referee uses for its own losses; they never change a bit of the result.
    pub referee_threads: u32,
    /// Longest wait for a process to start and import torch, in seconds.
    pub startup_s: u64,
    /// Longest wait for build_model, in seconds.
    pub build_s: u64,
    /// Longest wait for one prediction, in seconds.
    pub predict_s: u64,
    /// Longest wait for all predictions of public text, of the twin's val, and of the held-out process, in seconds each.
    pub evaluate_s: u64,
    /// Infrastructure failures before a submission ends as failed.
    pub max_attempts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    Cpu,
    Cuda,
}

impl Device {
    /// The name torch uses, with the index of the rank's own device.
    pub fn torch_name(self, local_rank: u32) -> String {
        match self {
            Device::Cpu => "cpu".to_owned(),
            Device::Cuda => format!("cuda:{local_rank}"),
        }
    }
}

/// The wall between submission code and everything else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sandbox {
    /// `bwrap`, or `none` for machines without it: recorded, and never score-eligible.
    pub isolation: Isolation,
    /// Resident memory of the whole process tree, in bytes.
    pub memory_bytes: u64,
    /// Processes and threads of the whole tree.
    pub processes: u64,
    /// Open files per process.
    pub open_files: u64,
    /// Size of artifacts_dir, in bytes.
    pub artifacts_bytes: u64,
    /// Private /tmp and /dev/shm, in bytes each.
    pub tmp_bytes: u64,
    /// stdout and stderr that are kept, in bytes; the rest is counted and dropped.
    pub log_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    Bwrap,
    None,
}

impl std::fmt::Display for Isolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Isolation::Bwrap => "bwrap",
            Isolation::None => "none",
        })
    }
}

/// The checks that a run cannot foresee.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// Steps at the start that are always probed for causality.
    pub first_steps: u32,
    /// One later step in so many is probed, at secret times; more often in short streams, so that 8 probes are
    /// expected in any; 0: none.
    pub one_in: u32,
    /// Largest difference of log-probabilities (nats) that counts as the same prediction, in float32.
    pub tolerance_nats: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            inbox: "inbox".into(),
            outbox: "outbox".into(),
            intake: Intake::default(),
            archive: bundle::Limits::default(),
            review: Review::default(),
            duplicates: Duplicates::default(),
            corpus: Corpus::default(),
            contest: Contest::default(),
            budget: Budget::default(),
            held_out: HeldOut::default(),
            run: Run::default(),
            sandbox: Sandbox::default(),
            audit: Audit::default(),
            keys: Keys::default(),
            quarantine: Quarantine::default(),
        }
    }
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            settle_ms: 2_000,
            rescan_ms: 10_000,
        }
    }
}

impl Default for Duplicates {
    fn default() -> Self {
        Self {
            policy: DuplicatePolicy::Reject,
            source: 0.85,
            graph: 0.82,
            structure: 0.85,
        }
    }
}

impl Default for Corpus {
    fn default() -> Self {
        Self {
            root: "corpus".into(),
            tokenizers: "tokenizers".into(),
            order: Order::File,
            order_key: None,
        }
    }
}

impl Default for Contest {
    fn default() -> Self {
        Self {
            vocab_size: 4_096,
            sequence_length: 128,
            max_parameters: 150_000_000,
            seed: 1_337,
            seeds: Vec::new(),
            max_batch_size: 256,
            max_seq_len: 2_048,
            min_steps: 8,
            max_logits_bytes: 1 << 30,
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes: 100_000_000,
            steps: None,
            wall_clock_s: 1_200,
            grace_s: 120,
        }
    }
}

impl Default for HeldOut {
    fn default() -> Self {
        Self {
            val_bytes: 65_536,
            train_tail_bytes: 65_536,
        }
    }
}

impl Default for Run {
    fn default() -> Self {
        Self {
            python: ".venv/bin/python".into(),
            referee: None,
            device: Device::Cpu,
            world_size: 1,
            threads: 2,
            referee_threads: 2,
            startup_s: 180,
            build_s: 60,
            predict_s: 120,
            evaluate_s: 600,
            max_attempts: 3,
        }
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            isolation: Isolation::Bwrap,
            memory_bytes: 8 << 30,
            processes: 512,
            open_files: 1_024,
            artifacts_bytes: 2 << 30,
            tmp_bytes: 1 << 30,
            log_bytes: 1 << 20,
        }
    }
}

impl Default for Quarantine {
    fn default() -> Self {
        Self {
            floor_bpb: 0.5,
            references: Vec::new(),
            margin_bpb: 0.3,
            accepted: Vec::new(),
        }
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            first_steps: 2,
            one_in: 64,
            tolerance_nats: 1e-3,
        }
    }
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

    /// The policy for scripts that are not ready for several ranks.
    pub fn distributed_policy(&self) -> DistributedPolicy {
        let by_world_size = if self.run.world_size > 1 {
            DistributedPolicy::Reject
        } else {
            DistributedPolicy::Flag
        };
        self.review.distributed.unwrap_or(by_world_size)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let range = |ok: bool, key, got: &dyn std::fmt::Display, expected| {
            if ok {
                Ok(())
            } else {
                Err(ConfigError::Range {
                    key,
                    got: got.to_string(),
                    expected,
                })
            }
        };
        if let Some(key) = &self.corpus.order_key {
            range(
                key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "corpus.order_key",
                key,
                "64 hexadecimal digits",
            )?;
        }
        let contest = &self.contest;
        range(
            (1..=8).contains(&self.run.world_size),
            "run.world_size",
            &self.run.world_size,
            "1 to 8",
        )?;
        range(
            (1..=64).contains(&self.run.threads),
            "run.threads",
            &self.run.threads,
            "1 to 64",
        )?;
        range(
            (1..=64).contains(&self.run.referee_threads),
            "run.referee_threads",
            &self.run.referee_threads,
            "1 to 64",
        )?;
        range(
            (257..=1 << 20).contains(&contest.vocab_size),
            "contest.vocab_size",
            &contest.vocab_size,
            "257 to 1048576",
        )?;
        range(
            (2..=contest.max_seq_len).contains(&contest.sequence_length),
            "contest.sequence_length",
            &contest.sequence_length,
            "2 to contest.max_seq_len",
        )?;
        range(
            contest.max_seq_len <= 65_536,
            "contest.max_seq_len",
            &contest.max_seq_len,
            "at most 65536",
        )?;
        range(
            (1..=4_096).contains(&contest.max_batch_size),
            "contest.max_batch_size",
            &contest.max_batch_size,
            "1 to 4096",
        )?;
        range(
            self.budget.bytes > 0,
            "budget.bytes",
            &self.budget.bytes,
            "more than 0",
        )?;
        for (key, threshold) in [
            ("duplicates.source", self.duplicates.source),
            ("duplicates.graph", self.duplicates.graph),
            ("duplicates.structure", self.duplicates.structure),
        ] {
            range(
                threshold > 0.0 && threshold <= 1.0,
                key,
                &threshold,
                "more than 0, at most 1",
            )?;
        }
        let distinct: std::collections::BTreeSet<_> = contest.seeds.iter().collect();
        range(
            distinct.len() == contest.seeds.len() && contest.seeds.len() <= 16,
            "contest.seeds",
            &format!("{:?}", contest.seeds),
            "at most 16 different seeds",
        )?;
        for (key, bound) in [
            ("quarantine.floor_bpb", self.quarantine.floor_bpb),
            ("quarantine.margin_bpb", self.quarantine.margin_bpb),
        ] {
            range(
                bound.is_finite() && bound >= 0.0,
                key,
                &bound,
                "a number from 0",
            )?;
        }
        range(
            self.audit.tolerance_nats > 0.0 && self.audit.tolerance_nats.is_finite(),
            "audit.tolerance_nats",
            &self.audit.tolerance_nats,
            "a positive number",
        )
    }
}

/// `PRISM_BUDGET_BYTES=5` sets `budget.bytes`. Names that no setting has are ignored only if they are the
/// program's own (`PRISM_CONFIG`); everything else must be a setting.
fn overlay(
    tree: &mut serde_yaml::Value,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<(), ConfigError> {
    // The defaults, as a tree, say which settings exist.
    let known = serde_yaml::to_value(Config::default()).map_err(|source| ConfigError::Parse {
        path: "(defaults)".into(),
        source,
    })?;
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix("PRISM_") else {
            continue;
        };
        if rest == "CONFIG" {
            continue;
        }
        let invalid = |reason: &str| ConfigError::Environment {
            name: name.clone(),
            value: value.clone(),
            reason: reason.to_owned(),
        };
        let path = setting_path(&known, &rest.to_lowercase())
            .ok_or_else(|| invalid("no setting of that name"))?;
        let parsed = serde_yaml::from_str(&value).map_err(|_| invalid("not a YAML scalar"))?;
        let mut place = &mut *tree;
        for key in path {
            let serde_yaml::Value::Mapping(map) = place else {
                return Err(invalid("the configuration file has no section there"));
            };
            place = map
                .entry(serde_yaml::Value::String(key))
                .or_insert_with(|| serde_yaml::Value::Mapping(serde_yaml::Mapping::new()));
        }
        *place = parsed;
    }
    Ok(())
}

/// Finds `held_out_val_bytes` as `["held_out", "val_bytes"]`.
fn setting_path(known: &serde_yaml::Value, name: &str) -> Option<Vec<String>> {
    let serde_yaml::Value::Mapping(map) = known else {
        return None;
    };
    for (key, value) in map {
        let key = key.as_str()?;
        if key == name && !value.is_mapping() {
            return Some(vec![key.to_owned()]);
        }
        if let Some(rest) = name
            .strip_prefix(key)
            .and_then(|rest| rest.strip_prefix('_'))
            && value.is_mapping()
            && let Some(mut path) = setting_path(value, rest)
        {
            path.insert(0, key.to_owned());
            return Some(path);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::load(
            None,
            environment
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
        )
    }

    #[test]
    fn the_environment_lies_over_the_defaults() {
        let config = with(&[
            ("PRISM_BUDGET_BYTES", "5"),
            ("PRISM_HELD_OUT_VAL_BYTES", "7"),
            ("PRISM_SANDBOX_ISOLATION", "none"),
            ("PRISM_INBOX", "/somewhere"),
            ("HOME", "/root"),
        ])
        .unwrap();
        assert_eq!(config.budget.bytes, 5);
        assert_eq!(config.held_out.val_bytes, 7);
        assert_eq!(config.sandbox.isolation, Isolation::None);
        assert_eq!(config.inbox, Path::new("/somewhere"));
        assert_eq!(config.budget.wall_clock_s, Budget::default().wall_clock_s);
    }

    #[test]
    fn slips_are_errors() {
        assert!(matches!(
            with(&[("PRISM_BUGDET_BYTES", "5")]),
            Err(ConfigError::Environment { .. })
        ));
        assert!(matches!(
            with(&[("PRISM_BUDGET_BYTES", "many")]),
            Err(ConfigError::Parse { .. })
        ));
        assert!(matches!(
            with(&[("PRISM_RUN_WORLD_SIZE", "9")]),
            Err(ConfigError::Range { .. })
        ));
        assert!(matches!(
            with(&[("PRISM_BUDGET", "5")]),
            Err(ConfigError::Environment { .. })
        ));
    }

    #[test]
    fn the_first_of_several_seeds_is_the_run_s_own() {
        let config = with(&[("PRISM_CONTEST_SEEDS", "[7, 8]")]).unwrap();
        assert_eq!((config.contest.seed, config.contest.seeds), (7, vec![7, 8]));
        assert!(matches!(
            with(&[("PRISM_CONTEST_SEEDS", "[7, 7]")]),
            Err(ConfigError::Range { .. })
        ));
        assert!(matches!(
            with(&[("PRISM_QUARANTINE_FLOOR_BPB", "-1")]),
            Err(ConfigError::Range { .. })
        ));
    }

    #[test]
    fn unknown_keys_in_the_file_are_errors() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "budget:\n  byts: 5\n").unwrap();
        let error = Config::load(Some(file.path()), std::iter::empty()).unwrap_err();
        assert!(error.to_string().contains("is not valid"), "{error}");
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(
            Config::load(Some(file.path()), std::iter::empty()).unwrap(),
            Config::default()
        );
    }
}
