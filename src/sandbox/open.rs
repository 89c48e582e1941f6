//! Starting a command behind the wall, and ending everything that it started.

use std::collections::BTreeSet;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::container::{self, Container, Engine};
use super::process::ProcessIdentity;
use super::watchdog::{self, Breach};
use super::{Command, Ended, Isolation, Limits, Running, SandboxError, bwrap, log, tree};

/// A process that could not be ended within this is stuck in the kernel; nothing more can be done.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// A tree that is not at rest after this multiplies on purpose.
const PAUSE_PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(5);

/// Sandboxes of this process that still run: what is our child and not one of them is an orphan.
static LIVE: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn live() -> MutexGuard<'static, BTreeSet<i32>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn signal_all(members: &[i32], signal: Signal) {
    for pid in members.iter().filter_map(|&member| Pid::from_raw(member)) {
        // It may be gone already.
        let _ = kill_process(pid, signal);
    }
}

/// What the threads of one sandbox share.
#[derive(Debug)]
pub(super) struct Shared {
    handle: Arc<duct::ReaderHandle>,
    pid: i32,
    isolation: Isolation,
    /// What the engine runs for us; then `pid` is its client.
    container: Option<Container>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ended: Option<(Option<i32>, Option<i32>)>,
    breach: Option<Breach>,
}

/// bwrap with what it must find open, or the command itself without a wall.
fn own_child(
    command: &Command,
) -> Result<(duct::Expression, Option<bwrap::Invocation>), SandboxError> {
    let invocation = match command.isolation {
        Isolation::Bwrap => Some(bwrap::invocation(command)?),
        _ => None,
    };
    let expression = match &invocation {
        Some(invocation) => duct::cmd("bwrap", &invocation.arguments),
        None => {
            // An orphan of an unwalled run becomes our child, where it can be found and ended.
            let _ = rustix::process::set_child_subreaper(Pid::from_raw(1));
            duct::cmd(&command.python.python, &command.arguments)
        }
    };
    Ok((expression.full_env(command.environment.clone()), invocation))
}

fn not_started(command: &Command, source: &std::io::Error) -> SandboxError {
    let reason = source.to_string();
    match (command.isolation, Engine::of(command.isolation)) {
        (_, Some(engine)) => engine.failed(reason),
        (Isolation::Bwrap, None) => SandboxError::Bwrap { reason },
        (_, None) => SandboxError::Python {
            python: command.python.python.clone(),
            reason,
        },
    }
}

pub(super) fn start(command: &Command) -> Result<Running, SandboxError> {
    let (expression, container, _options) = match Engine::of(command.isolation) {
        Some(engine) => {
            let (arguments, container) = container::invocation(engine, command)?;
            // the client needs its own environment; the inside gets its own with the arguments
            let expression = duct::cmd(engine.program(), arguments);
            (expression, Some(container), None)
        }
        None => {
            let (expression, options) = own_child(command)?;
            (expression, None, options)
        }
    };
    let limits = container.is_none().then(|| command.limits.clone());
    let expression = expression
        .stdin_null()
        .stderr_to_stdout()
        .unchecked()
        .before_spawn(move |process| {
            let limits = limits.clone();
            process.process_group(0);
            // SAFETY: between fork and exec only system calls are made (setrlimit, prctl); nothing allocates or locks.
            unsafe {
                process.pre_exec(move || {
                    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                    limits.as_ref().map_or(Ok(()), Limits::apply)
                });
            }
            Ok(())
        });
    let handle = expression
        .reader()
        .map_err(|source| not_started(command, &source))?;
    let handle = Arc::new(handle);
    let pid = handle.pids().first().copied().unwrap_or(0) as i32;
    live().insert(pid);
    // Should we die and it not, the next run of prism knows it by this.
    if let Some(identity) = ProcessIdentity::of(pid)
        && let Err(source) = identity.record(&command.scratch)
    {
        let _ = handle.kill();
        live().remove(&pid);
        return Err(SandboxError::Io {
            path: command.scratch.clone(),
            source,
        });
    }
    let shared = Arc::new(Shared {
        handle: Arc::clone(&handle),
        pid,
        isolation: command.isolation,
        container,
        state: Mutex::default(),
    });
    let (log_path, cap) = (command.log.clone(), command.limits.log_bytes);
    let reader = std::thread::spawn(move || {
        log::copy_capped(&*handle, &log_path, cap);
    });
    let (watched, artifacts, limits) = (
        Arc::clone(&shared),
        command.artifacts.clone(),
        command.limits.clone(),
    );
    let watcher = std::thread::spawn(move || watchdog::watch(&watched, &artifacts, &limits));
    Ok(Running {
        shared,
        threads: vec![reader, watcher],
    })
}

#[cfg(test)]
pub(super) fn nothing() -> Running {
    let handle = duct::cmd!("true").unchecked().reader().unwrap();
    let pid = handle.pids().first().copied().unwrap_or(0) as i32;
    let shared = Arc::new(Shared {
        handle: Arc::new(handle),
        pid,
        // Its end looks for no orphans among the children of this process, which other tests have, too.
        isolation: Isolation::Bwrap,
        container: None,
        state: Mutex::default(),
    });
    assert!(shared.wait(Duration::from_secs(20)).is_some());
    Running {
        shared,
        threads: Vec::new(),
    }
}

impl Shared {
    /// The process that all others of the inside descend from, as the host numbers it; none until there is one.
    pub(super) fn root(&self) -> Option<i32> {
        match &self.container {
            Some(container) => container.pid(),
            None => Some(self.pid),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_walled(&self) -> bool {
        self.isolation != Isolation::None
    }

    pub(super) fn breach(&self) -> Option<Breach> {
        self.state().breach
    }

    /// Stops every process inside until [`Shared::resume`]. False: they multiplied faster than they could be stopped.
    pub(super) fn pause(&self) -> bool {
        if let Some(container) = &self.container {
            return container.pause() || self.ended().is_some();
        }
        let deadline = Instant::now() + PAUSE_PATIENCE;
        let mut before = Vec::new();
        while self.ended().is_none() {
            let members = tree::members(self.pid);
            if members == before && members.iter().all(|&member| tree::is_at_rest(member)) {
                return true;
            }
            if Instant::now() >= deadline {
                // One that the kernel keeps (a disk, a driver) stops before it does anything else of its own.
                return members == before;
            }
            // All of them, each time: a process whose first thread has ended looks dead while its others run.
            signal_all(&members, Signal::STOP);
            std::thread::sleep(Duration::from_millis(1));
            before = members;
        }
        true
    }

    pub(super) fn resume(&self) {
        if let Some(container) = &self.container {
            return container.resume();
        }
        // Children first: none of them finds its parent running and itself still stopped.
        let mut members = tree::members(self.pid);
        members.reverse();
        signal_all(&members, Signal::CONT);
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        let mut state = self.state();
        if state.ended.is_none()
            && let Ok(Some(output)) = self.handle.try_wait()
        {
            state.ended = Some((output.status.code(), output.status.signal()));
        }
        state.ended.map(|(code, signal)| Ended {
            code,
            signal,
            breach: state.breach,
        })
    }

    /// Waits up to `patience` for the end.
    pub(super) fn wait(&self, patience: Duration) -> Option<Ended> {
        let deadline = Instant::now() + patience;
        loop {
            let ended = self.ended();
            if ended.is_some() || Instant::now() >= deadline {
                return ended;
            }
            std::thread::sleep(POLL.min(patience));
        }
    }

    pub(super) fn end_for(&self, breach: Breach) {
        self.state().breach.get_or_insert(breach);
        self.kill();
    }

    /// Ends every process inside. With bwrap, its first process takes the whole PID namespace along; a container is ended
    /// by its engine, and its client here.
    pub(super) fn kill(&self) {
        if let Some(container) = self.container.as_ref().filter(|_| self.ended().is_none()) {
            container.remove();
        }
        let deadline = Instant::now() + KILL_PATIENCE;
        // Once it has ended, its number may be somebody else's.
        while self.ended().is_none() {
            let mut members = tree::members(self.pid);
            members.reverse();
            signal_all(&members, Signal::KILL);
            if let Some(group) = Pid::from_raw(self.pid) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            if self.wait(Duration::from_millis(20)).is_some() || Instant::now() >= deadline {
                break;
            }
        }
        if self.isolation == Isolation::None {
            self.kill_orphans();
        }
    }

    /// Without a PID namespace, workers with sessions of their own outlive torchrun and become our children.
    fn kill_orphans(&self) {
        let me = rustix::process::getpid().as_raw_nonzero().get();
        let mut live = live();
        live.remove(&self.pid);
        for child in tree::children(me) {
            if live.contains(&child) {
                continue;
            }
            for member in tree::members(child) {
                if let Some(pid) = Pid::from_raw(member) {
                    let _ = kill_process(pid, Signal::KILL);
                    let _ =
                        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG);
                }
            }
        }
    }

    pub(super) fn finish(&self, patience: Duration) -> Ended {
        if self.wait(patience).is_none() {
            self.kill();
        } else if self.isolation == Isolation::None {
            self.kill_orphans();
        }
        let state_breach = self.breach();
        self.ended().unwrap_or(Ended {
            code: None,
            signal: None,
            breach: state_breach,
        })
    }
}
