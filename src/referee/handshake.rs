//! Starting a phase: the socket, the process, every rank's `hello`, the plan.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

use super::connection::Connection;
use super::launch::{Phase, SOCKET, command, data_dir};
use super::measured::Environment;
use super::plan::RunPlan;
use super::stop::Stop;
use super::wire::{self, FromReferee, FromRunner};
use super::{sources, structure};
use crate::config::Device;
use crate::sandbox::{self, Command, Running, python};

/// A phase that runs: its wall, and one connection per rank, in order of rank.
#[derive(Debug)]
pub struct Started {
    pub connections: Vec<Connection>,
    pub running: Running,
    pub environment: Environment,
}

/// Starts a phase, takes every rank's `hello`, and checks that Python reads what was reviewed. Until then no line of the
/// submission has run: what goes wrong before the plan is sent is the machine's affair.
pub fn start(
    plan: &RunPlan,
    python: &python::Environment,
    phase: Phase,
    weights: Option<&Path>,
    tokenizers: &serde_json::Value,
) -> Result<Started, Stop> {
    let socket = plan.folder.join(phase.name()).join("socket");
    let listener = listen(&socket).map_err(Stop::io("the referee's socket"))?;
    let command = command(plan, python, phase, &socket, weights)?;
    let world_size = if phase == Phase::Train {
        plan.config.run.world_size
    } else {
        1
    };
    let running = sandbox::start(&command)?;
    let deadline = Instant::now() + Duration::from_secs(plan.config.run.startup_s);
    let sources = Arc::new(plan.sources.clone());
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
        let device = plan.config.run.device;
        let (rank, environment) = greeted(frame, phase, world_size, device)?;
        if ranks.contains_key(&rank) {
            return Err(Stop::infrastructure(format!(
                "got hello for rank {rank} of the {} process twice",
                phase.name()
            )));
        }
        let connection = Connection::new(stream, rank).to_sources(Arc::clone(&sources));
        ranks.insert(rank, (connection, environment));
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
        // No line of the submission has run yet.
        connection.send(&FromReferee::Plan(&frame)).map_err(|_| {
            Stop::infrastructure("the process closed its connection before the plan")
        })?;
    }
    let patience = deadline.saturating_duration_since(Instant::now());
    sources::check(&sources, &mut connections, &running, patience)?;
    Ok(Started {
        connections,
        running,
        environment,
    })
}

/// The rank and the circumstances that a first frame names, if they are what was started.
fn greeted(
    frame: FromRunner,
    phase: Phase,
    world_size: u32,
    device: Device,
) -> Result<(u32, Environment), Stop> {
    let FromRunner::Hello {
        protocol,
        rank,
        world_size: claimed,
        python,
        torch,
        device: has,
        device_name,
        ..
    } = frame
    else {
        return Err(Stop::infrastructure(format!(
            "got {:?} from the runner, expected hello",
            frame.kind()
        )));
    };
    if protocol != wire::PROTOCOL || claimed != world_size || rank >= world_size {
        return Err(Stop::infrastructure(format!(
            "got hello for rank {rank} of {claimed}, protocol {protocol}; expected each of {world_size} ranks once, protocol {}",
            wire::PROTOCOL
        )));
    }
    // What fell back to the CPU would be measured as something else than what was asked for.
    let expected = device.torch_name(rank);
    if device == Device::Cuda && has != expected {
        return Err(Stop::Infrastructure {
            message: format!(
                "rank {rank} of the {} process has the device {:?}, expected {expected}",
                phase.name(),
                wire::clipped(&has)
            ),
            hint: "run.device: cuda needs one working GPU for each of run.world_size ranks, visible inside the sandbox"
                .to_owned(),
        });
    }
    let environment = Environment {
        python: wire::clipped(&python),
        torch: wire::clipped(&torch),
        device: wire::clipped(&has),
        device_name: wire::clipped(&device_name),
    };
    Ok((rank, environment))
}

/// Listens at `folder/referee.sock`, in a folder that is the operator's alone: whoever connects is taken for the runner.
fn listen(folder: &Path) -> std::io::Result<UnixListener> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(folder, flags, Mode::empty())?;
    // A socket's path has at most 108 bytes; the folder's descriptor stands for the rest of it.
    let path = format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd());
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
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
        "phase": phase.told(),
        "submission_id": plan.submission_id,
        "project_dir": command.inside(&plan.project),
        "architecture": plan.architecture,
        "training": plan.training,
        "v1": plan.v1,
        "context": {
            "vocab_size": config.contest.vocab_size,
            "sequence_length": config.contest.sequence_length,
            "max_parameters": config.contest.max_parameters,
            "seed": config.contest.seed,
            "data_dir": command.inside(&data_dir(plan, phase)),
            "artifacts_dir": command.inside(&command.artifacts),
            "device": config.run.device.torch_name(rank),
            "rank": rank,
            "local_rank": rank,
            "world_size": world_size,
            "token_budget": null,
            "step_budget": config.budget.steps,
            "budget_seconds": config.budget.wall_clock_s,
            "probe": plan.probe,
        },
        "tokenizers": tokenizers,
        "structure": phase == Phase::Twin && structure::is_told_by_twin(plan),
        "weights": weights,
        "commit": phase == Phase::Train && rank == 0 && config.audit.snapshots > 0 && config.audit.commit,
        "threads": config.run.threads,
        "determinism": true,
    })
}

/// The end of a log, for an infrastructure failure: no submission code has run by then.
fn tail(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let from = text.len().saturating_sub(1_000);
    String::from_utf8_lossy(&text[from..]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = wire::PROTOCOL;

    fn hello(protocol: u32, rank: u32, world_size: u32, device: &str) -> FromRunner {
        FromRunner::Hello {
            protocol,
            rank,
            local_rank: rank,
            world_size,
            python: "3.12.0".to_owned(),
            torch: "2.11.0".to_owned(),
            device: device.to_owned(),
            device_name: "a\u{1b}b".repeat(1_000),
        }
    }

    #[test]
    fn a_rank_is_who_was_started_on_the_device_that_was_asked_for() {
        let cpu = |frame| greeted(frame, Phase::Train, 2, Device::Cpu);
        let cuda = |frame| greeted(frame, Phase::Train, 2, Device::Cuda);
        let (rank, environment) = cpu(hello(NOW, 1, 2, "cpu")).unwrap();
        assert_eq!((rank, environment.device.as_str()), (1, "cpu"));
        assert!(!environment.device_name.contains('\u{1b}'));
        assert!(environment.device_name.len() < 5_000);
        assert!(cuda(hello(NOW, 1, 2, "cuda:1")).is_ok());
        let refused = [
            cpu(hello(NOW + 1, 0, 2, "cpu")),
            cpu(hello(NOW, 2, 2, "cpu")),
            cpu(hello(NOW, u32::MAX, 2, "cpu")),
            cpu(hello(NOW, 0, 1, "cpu")),
            cpu(hello(NOW, 0, 8, "cpu")),
            cpu(FromRunner::Next {
                step: 0,
                weights: None,
            }),
            // A GPU that is not there, or another rank's.
            cuda(hello(NOW, 1, 2, "cpu")),
            cuda(hello(NOW, 1, 2, "cuda:0")),
        ];
        for refused in refused {
            assert!(
                matches!(refused, Err(Stop::Infrastructure { .. })),
                "{refused:?}"
            );
        }
    }
}
