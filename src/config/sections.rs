//! The sections of the configuration: every setting and its meaning.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::duplicates::DuplicatePolicy;
use crate::families::pools::Pools;
use crate::intake::Sentinel;
use crate::logging::LogFormat;
use crate::review::DistributedPolicy;

/// What is said on stderr.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text`, for people, or `json`: one object a line.
    pub format: LogFormat,
}

/// Figures for Prometheus.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// File for the node exporter's textfile collector (`….prom`); absent: none is written.
    pub textfile: Option<PathBuf>,
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

/// What the weights are made of. `ownership.jsonl` and `families.json` are written in either case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Competitions {
    /// `single`: the best score of every owner; `two_pools`: what architectures and trainings added.
    pub weights: WeightsFrom,
    /// With `two_pools`: share of the owners of architecture families. Both shares add up to 1.
    pub architecture: f64,
    /// With `two_pools`: share of the owners of trainings.
    pub training: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightsFrom {
    Single,
    TwoPools,
}

impl Competitions {
    /// Both shares.
    pub fn pools(&self) -> Pools {
        Pools {
            architecture: self.architecture,
            training: self.training,
        }
    }
}

/// What a command tells the runs that it makes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// `ctx.probe`: empty in every scored run.
    pub probe: BTreeMap<String, f64>,
    pub target: Target,
}

/// The family that a training is for.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Target {
    /// As the outbox has it.
    #[default]
    FromOutbox,
    /// By the digest of its structure: a re-execution, whose outbox is empty.
    Is(String),
    /// Any: a probe, which asks for other sizes.
    Unchecked,
}

/// When a file in the inbox counts as whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Intake {
    /// Size and mtime must rest this long before a file is read, in milliseconds.
    pub settle_ms: u64,
    /// `prism watch` looks at the whole inbox this often, in milliseconds, whatever the file events say.
    pub rescan_ms: u64,
    /// `ready` or `sha256`: a file is complete when there is a NAME.ready or NAME.sha256 beside it; `none`: when it rests.
    pub sentinel: Sentinel,
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
    /// Mode of runs of the first contract: `local_cpu_smoke` (never ranked), `gpu_proxy_eval` or `full_scale_eval`; absent:
    /// `local_cpu_smoke` on the CPU, `gpu_proxy_eval` on a GPU.
    pub v1_mode: Option<V1Mode>,
    /// Most rows a submission may ask for per rank.
    pub max_batch_size: u32,
    /// Longest row a submission may ask for, in tokens.
    pub max_seq_len: u32,
    /// Fewest full steps a stream may be cut into: nobody learns, and nothing can be checked, in one giant batch.
    pub min_steps: u32,
    /// Largest batch of logits per rank (rows × tokens × vocab_size × 4), in bytes: shared memory and a copy of it.
    pub max_logits_bytes: u64,
}

/// Modes of the first contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum V1Mode {
    LocalCpuSmoke,
    GpuProxyEval,
    FullScaleEval,
}

impl V1Mode {
    /// As manifests write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::LocalCpuSmoke => "local_cpu_smoke",
            Self::GpuProxyEval => "gpu_proxy_eval",
            Self::FullScaleEval => "full_scale_eval",
        }
    }
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
    /// Batches between two checkpoints of a submission of the first contract that saves and loads them: what a later
    /// attempt goes on from; 0: none but that of the end, and every attempt begins at the beginning.
    pub checkpoint_steps: u32,
    /// Wait before it is tried again, in seconds; doubled after each further failure, at most an hour; 0: none.
    pub retry_after_s: u64,
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
    /// `bwrap`; `docker` or `podman` with an image; or `none` for machines without any: recorded, and never
    /// score-eligible.
    pub isolation: Isolation,
    /// With `docker` and `podman`: the image, pinned by digest (`name@sha256:…`), that holds `run.python`.
    pub image: Option<String>,
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
    Docker,
    Podman,
    None,
}

impl std::fmt::Display for Isolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Isolation::Bwrap => "bwrap",
            Isolation::Docker => "docker",
            Isolation::Podman => "podman",
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
    /// Snapshots that are replayed, at secret steps in every part of the stream; 0: none are taken.
    pub snapshots: u32,
    /// Whether the runner commits to its weights (a sha256) before every batch that may be one of them.
    pub commit: bool,
    /// Largest difference of log-probabilities (nats) that counts as the same prediction, in float32.
    pub tolerance_nats: f64,
    /// How the predictions of the stream come: `full`, all logits; `committed`, losses first, and all logits of secret steps
    /// afterwards; `auto`: `committed` from a vocabulary of `committed_from_vocab` on.
    pub transport: TransportSetting,
    /// `contest.vocab_size` from which on `auto` means `committed`.
    pub committed_from_vocab: u32,
    /// With `committed`: one batch in so many is audited, at secret times, beside those that are probed; more often in
    /// short streams, so that 16 audits are expected in any; 0: only those that are probed.
    pub show_one_in: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransportSetting {
    Auto,
    Full,
    Committed,
}
