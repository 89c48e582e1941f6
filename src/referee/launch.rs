//! Starting a phase: the socket, the runner's files, what the inside sees, and the first frames.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::connection::{Connection, Stop};
use super::measured::Environment;
use super::plan::RunPlan;
use super::wire::{self, FromReferee, FromRunner};
use crate::dataset::manifest::hex;
use crate::sandbox::{self, Command, Limits, Mount, Running, SandboxError, python};

macro_rules! runner_file {
    ($name:literal) => {
        ($name, include_str!(concat!("../runner/", $name)))
    };
}

/// The runner, file by file, as it is written into every run's own folder.
pub const RUNNER_FILES: &[(&str, &str)] = &[
    runner_file!("runner.py"),
    runner_file!("prism_runner/__init__.py"),
    runner_file!("prism_runner/blackboard.py"),
    runner_file!("prism_runner/census.py"),
    runner_file!("prism_runner/failure.py"),
    runner_file!("prism_runner/predict.py"),
    runner_file!("prism_runner/project.py"),
    runner_file!("prism_runner/reference_tokenizer.py"),
    runner_file!("prism_runner/seeds.py"),
    runner_file!("prism_runner/session.py"),
    runner_file!("prism_runner/weights.py"),
    runner_file!("prism_runner/wire.py"),
    runner_file!("prism_challenge/__init__.py"),
    runner_file!("prism_challenge/evaluator/__init__.py"),
    runner_file!("prism_challenge/evaluator/interface.py"),
];

/// A process of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Twin,
    Train,
    HeldOut,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Self::Twin => "twin",
            Self::Train => "train",
            Self::HeldOut => "heldout",
        }
    }
}

/// A phase that runs: its wall, and one connection per rank, in order of rank.
#[derive(Debug)]
pub struct Started {
    pub connections: Vec<Connection>,
    pub running: Running,
    pub environment: Environment,
    // The socket lives as long as the phase.
    _socket: tempfile::TempDir,
}

/// sha256 over the runner's files, which is part of what a manifest names.
pub fn runner_digest() -> String {
    let mut hash = Sha256::new();
    for (name, text) in RUNNER_FILES {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hex(&hash.finalize())
}

/// The command of a phase. Folders are made; nothing is started.
pub fn command(
    plan: &RunPlan,
    python: &python::Environment,
    phase: Phase,
    socket: &Path,
    weights: Option<&Path>,
) -> Result<Command, SandboxError> {
    let config = &plan.config;
    let folder = plan.folder.join(phase.name());
    let artifacts = folder.join("artifacts");
    let scratch = folder.join("scratch");
    let runner = folder.join("runner");
    for path in [&artifacts, &scratch, &runner] {
        fs::create_dir_all(path).map_err(at(path))?;
    }
    // Inside a user namespace the submission is another user; outside it is the operator's own.
    open_to_all(&artifacts)?;
    for (name, text) in RUNNER_FILES {
        let path = runner.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(at(parent))?;
        }
        fs::write(&path, text).map_err(at(&path))?;
    }
    let mount = |host: &Path, inside: &str, writable| Mount {
        host: host.to_owned(),
        inside: Path::new("/prism").join(inside),
        writable,
    };
    let mut mounts = vec![
        mount(&runner, "runner", false),
        mount(&plan.project, "project", false),
        mount(&data_dir(plan), "data", false),
        mount(&config.corpus.tokenizers, "tokenizers", false),
        mount(socket, "socket", false),
        mount(&artifacts, "artifacts", true),
    ];
    if let Some(weights) = weights {
        mounts.push(mount(weights, "weights", false));
    }
    let cuda = config.run.device == crate::config::Device::Cuda;
    let mut command = Command {
        isolation: config.sandbox.isolation,
        python: python.clone(),
        arguments: Vec::new(),
        environment: BTreeMap::new(),
        mounts,
        scratch,
        artifacts,
        limits: Limits {
            memory_bytes: config.sandbox.memory_bytes,
            processes: config.sandbox.processes,
            open_files: config.sandbox.open_files,
            artifacts_bytes: config.sandbox.artifacts_bytes,
            tmp_bytes: config.sandbox.tmp_bytes,
            log_bytes: config.sandbox.log_bytes,
            limit_address_space: !cuda,
        },
        cuda,
        log: plan.folder.join(format!("{}.log", phase.name())),
    };
    command.environment = environment(plan, &command, socket);
    let script: OsString = command.inside(&runner.join("runner.py")).into();
    command.arguments = match phase {
        Phase::Train => {
            let ranks = format!("--nproc-per-node={}", config.run.world_size);
            let torchrun = [
                "-m",
                "torch.distributed.run",
                "--standalone",
                "--nnodes=1",
                &ranks,
            ];
            torchrun
                .iter()
                .map(OsString::from)
                .chain([script])
                .collect()
        }
        // One process without collectives: torchrun would only add two seconds.
        Phase::Twin | Phase::HeldOut => vec![script],
    };
    Ok(command)
}

/// The text that submissions may read: the open sample.
pub fn data_dir(plan: &RunPlan) -> PathBuf {
    plan.config.corpus.root.join("open")
}

fn environment(plan: &RunPlan, command: &Command, socket: &Path) -> BTreeMap<String, String> {
    let run = &plan.config.run;
    let socket = command.inside(&socket.join("referee.sock"));
    let home = match command.isolation {
        sandbox::Isolation::Bwrap => "/tmp".to_owned(),
        sandbox::Isolation::None => command.scratch.display().to_string(),
    };
    [
        ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("USER", "prism".to_owned()),
        ("LOGNAME", "prism".to_owned()),
        ("TMPDIR", home.clone()),
        ("TORCHINDUCTOR_CACHE_DIR", format!("{home}/inductor")),
        ("TRITON_CACHE_DIR", format!("{home}/triton")),
        ("HOME", home),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ("PYTHONNOUSERSITE", "1".to_owned()),
        ("PYTHONUNBUFFERED", "1".to_owned()),
        // Read by the interpreter at its start: later it has no effect.
        (
            "PYTHONHASHSEED",
            (plan.config.contest.seed % (1 << 32)).to_string(),
        ),
        ("OMP_NUM_THREADS", run.threads.to_string()),
        ("MKL_NUM_THREADS", run.threads.to_string()),
        // Read when CUDA starts; without it cuBLAS sums in another order every time.
        ("CUBLAS_WORKSPACE_CONFIG", ":4096:8".to_owned()),
        ("PRISM_SOCKET", socket.display().to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// Starts a phase and takes every rank's `hello`. Until then no line of the submission has run: whatever goes wrong
/// is the machine's affair.
pub fn start(
    plan: &RunPlan,
    python: &python::Environment,
    phase: Phase,
    weights: Option<&Path>,
    tokenizers: &serde_json::Value,
) -> Result<Started, Stop> {
    let socket = tempfile::Builder::new()
        .prefix("prism-")
        .tempdir()
        .map_err(Stop::io("the socket's folder"))?;
    open_to_all(socket.path())?;
    let path = socket.path().join("referee.sock");
    let listener = UnixListener::bind(&path).map_err(Stop::io("the referee's socket"))?;
    open_to_all(&path)?;
    listener
        .set_nonblocking(true)
        .map_err(Stop::io("the referee's socket"))?;
    let command = command(plan, python, phase, socket.path(), weights)?;
    let world_size = if phase == Phase::Train {
        plan.config.run.world_size
    } else {
        1
    };
    let running = sandbox::start(&command)?;
    let deadline = Instant::now() + Duration::from_secs(plan.config.run.startup_s);
    let mut ranks: BTreeMap<u32, (Connection, Environment)> = BTreeMap::new();
    while ranks.len() < world_size as usize {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if let Some(ended) = running.ended() {
                    let log = tail(&command.log);
                    return Err(Stop::infrastructure(format!(
                        "the {} process ended before it said hello ({ended:?}): {log}",
                        phase.name()
                    )));
                }
                if Instant::now() >= deadline {
                    return Err(Stop::infrastructure(format!(
                        "the {} process did not start within {} s",
                        phase.name(),
                        plan.config.run.startup_s
                    )));
                }
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            Err(error) => return Err(Stop::io("the referee's socket")(error)),
        };
        stream
            .set_nonblocking(false)
            .map_err(Stop::io("the referee's socket"))?;
        let frame = wire::read_frame(&stream, deadline)
            .map_err(|error| Stop::infrastructure(format!("no hello from the runner: {error}")))?;
        let FromRunner::Hello {
            protocol,
            rank,
            world_size: claimed,
            python,
            torch,
            device,
            device_name,
            ..
        } = frame
        else {
            return Err(Stop::infrastructure(format!(
                "got {:?} from the runner, expected hello",
                frame.kind()
            )));
        };
        if protocol != wire::PROTOCOL
            || claimed != world_size
            || rank >= world_size
            || ranks.contains_key(&rank)
        {
            return Err(Stop::infrastructure(format!(
                "got hello for rank {rank} of {claimed}, protocol {protocol}; expected each of {world_size} ranks once, \
                 protocol {}",
                wire::PROTOCOL
            )));
        }
        let environment = Environment {
            python: wire::clipped(&python),
            torch: wire::clipped(&torch),
            device: wire::clipped(&device),
            device_name: wire::clipped(&device_name),
        };
        ranks.insert(rank, (Connection::new(stream, rank), environment));
    }
    let environment = ranks
        .get(&0)
        .map(|(_, environment)| environment.clone())
        .unwrap_or_default();
    let mut connections: Vec<Connection> = ranks
        .into_values()
        .map(|(connection, _)| connection)
        .collect();
    for connection in &mut connections {
        let frame = plan_frame(
            plan,
            &command,
            phase,
            weights,
            tokenizers,
            connection.rank(),
            world_size,
        );
        connection.send(&FromReferee::Plan(&frame))?;
    }
    Ok(Started {
        connections,
        running,
        environment,
        _socket: socket,
    })
}

/// The `plan` frame of one rank.
fn plan_frame(
    plan: &RunPlan,
    command: &Command,
    phase: Phase,
    weights: Option<&Path>,
    tokenizers: &serde_json::Value,
    rank: u32,
    world_size: u32,
) -> serde_json::Value {
    let config = &plan.config;
    let weights = weights.map(|folder| command.inside(&folder.join("weights.safetensors")));
    let mut tokenizers = tokenizers.clone();
    for entry in tokenizers
        .as_object_mut()
        .into_iter()
        .flat_map(|map| map.values_mut())
    {
        if let Some(file) = entry["file"].as_str() {
            entry["file"] = command.inside(Path::new(file)).display().to_string().into();
        }
    }
    serde_json::json!({
        "phase": phase.name(),
        "submission_id": plan.submission_id,
        "project_dir": command.inside(&plan.project),
        "architecture": plan.architecture,
        "training": plan.training,
        "context": {
            "vocab_size": config.contest.vocab_size,
            "sequence_length": config.contest.sequence_length,
            "max_parameters": config.contest.max_parameters,
            "seed": config.contest.seed,
            "data_dir": command.inside(&data_dir(plan)),
            "artifacts_dir": command.inside(&command.artifacts),
            "device": config.run.device.torch_name(rank),
            "rank": rank,
            "local_rank": rank,
            "world_size": world_size,
            "token_budget": null,
            "step_budget": config.budget.steps,
            "budget_seconds": config.budget.wall_clock_s,
        },
        "tokenizers": tokenizers,
        "weights": weights,
        "threads": config.run.threads,
        "determinism": true,
    })
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> SandboxError {
    let path = path.to_owned();
    move |source| SandboxError::Io { path, source }
}

/// The inside runs as nobody: what it must reach, it must be let into. The folders above are closed.
fn open_to_all(path: &Path) -> Result<(), SandboxError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).map_err(at(path))
}

/// The end of a log, for an infrastructure failure: no submission code has run by then.
fn tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let from = text.len().saturating_sub(1_000);
    String::from_utf8_lossy(&text[from..]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::RUNNER_FILES;

    #[test]
    fn every_file_of_the_runner_is_embedded() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/runner");
        let on_disk: std::collections::BTreeSet<String> = walkdir::WalkDir::new(&folder)
            .into_iter()
            .flatten()
            .filter(|entry| {
                entry
                    .path()
                    .extension()
                    .is_some_and(|extension| extension == "py")
            })
            .filter_map(|entry| {
                Some(
                    entry
                        .path()
                        .strip_prefix(&folder)
                        .ok()?
                        .display()
                        .to_string(),
                )
            })
            .collect();
        let embedded = RUNNER_FILES
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        assert_eq!(on_disk, embedded);
    }
}
