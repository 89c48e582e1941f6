//! What a phase starts: the runner's files, what the inside sees, its environment and command line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::past;
use super::plan::RunPlan;
use super::runner_files::RUNNER_FILES;
use crate::sandbox::{self, Command, Limits, Mount, SandboxError, python};

/// Name of the referee's socket in its folder.
pub const SOCKET: &str = "referee.sock";

/// Where a sandboxed process finds the submission's files.
pub const INSIDE_PROJECT: &str = "/prism/project";

/// How often idle threads of OpenMP look for work before they sleep, in the runner and in the referee. The two take turns,
/// and the default keeps the cores of the one that waits busy for about 10 ms after its turn. It changes no bit.
pub const SPINS: (&str, &str) = ("GOMP_SPINCOUNT", "10000");

/// A process of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Twin,
    Train,
    /// A replay of one snapshot.
    Shadow,
    HeldOut,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Self::Twin => "twin",
            Self::Train => "train",
            Self::Shadow => "shadow",
            Self::HeldOut => "heldout",
        }
    }

    /// What the runner is told: a replay cannot be told from the held-out process.
    pub fn told(self) -> &'static str {
        match self {
            Self::Shadow => Self::HeldOut.name(),
            phase => phase.name(),
        }
    }
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
    let data = data_dir(plan, phase);
    past::lay_out(&data, &config.corpus.root.join("open")).map_err(at(&data))?;
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
        mount(&data, "data", false),
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
        image: config.sandbox.image.clone(),
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
        Phase::Twin | Phase::Shadow | Phase::HeldOut => vec![script],
    };
    Ok(command)
}

/// The text that submissions may read: the open sample, and in training what was charged of the stream.
pub fn data_dir(plan: &RunPlan, phase: Phase) -> PathBuf {
    plan.folder.join(match phase {
        Phase::Train => "train/data",
        Phase::Twin | Phase::Shadow | Phase::HeldOut => "data",
    })
}

fn environment(plan: &RunPlan, command: &Command, socket: &Path) -> BTreeMap<String, String> {
    let run = &plan.config.run;
    let socket = command.inside(&socket.join(SOCKET));
    let home = match command.isolation {
        sandbox::Isolation::None => command.scratch.display().to_string(),
        _ => "/tmp".to_owned(),
    };
    // A run on the CPU is one on the CPU, also where no sandbox hides the GPUs.
    let hidden_devices =
        (run.device == crate::config::Device::Cpu).then(|| ("CUDA_VISIBLE_DEVICES", String::new()));
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
        (SPINS.0, SPINS.1.to_owned()),
        // Read when CUDA starts; without it cuBLAS sums in another order every time.
        ("CUBLAS_WORKSPACE_CONFIG", ":4096:8".to_owned()),
        ("PRISM_SOCKET", socket.display().to_string()),
    ]
    .into_iter()
    .chain(hidden_devices)
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> SandboxError {
    let path = path.to_owned();
    move |source| SandboxError::Io { path, source }
}
