//! A process that turns one request into one answer and sees nothing else: our own code with hostile data in it.
//!
//! Behind bwrap it has no network, no writable place, no file but the executable and the system's libraries; in a
//! container, no file but the executable and the image. With any isolation the kernel limits its memory and processor
//! time, it may create no file, and it is ended when patience is.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, setrlimit};

use super::container::{self, Container, Engine};
use super::{Isolation, SandboxError, bwrap};

const POLL: Duration = Duration::from_millis(5);
const OPEN_FILES: u64 = 64;

/// The program.
#[derive(Debug, Clone)]
pub struct Filter {
    pub isolation: Isolation,
    /// What a container is made from.
    pub image: Option<String>,
    /// On the host; inside it lies at [`INSIDE`].
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
}

/// What it may use.
#[derive(Debug, Clone, Copy)]
pub struct FilterLimits {
    /// Address space of each process.
    pub memory_bytes: u64,
    pub cpu_s: u64,
    pub patience: Duration,
    pub answer_bytes: u64,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FilterFailure {
    /// The wall cannot be built: the operator's affair.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("the filter cannot be started: {0}")]
    Io(std::io::Error),
    /// The program never said [`STARTED`]: whatever went wrong is not the request's fault.
    #[error("the filter did not start")]
    NotStarted,
    #[error("the filter ran out of time")]
    TimeUp,
    #[error("the filter's answer is too long")]
    AnswerTooLong,
    #[error("the filter ended without an answer")]
    Ended,
}

/// What the program writes before it reads its request; not part of the answer.
pub const STARTED: u8 = b'>';

/// Where the program lies inside.
pub(super) const INSIDE: &str = "/prism";

/// Gives the request, takes the answer. stderr is dropped: it could quote the request.
pub fn run(
    filter: &Filter,
    limits: &FilterLimits,
    request: &[u8],
) -> Result<Vec<u8>, FilterFailure> {
    if let Some(engine) = Engine::of(filter.isolation) {
        return run_in_container(engine, filter, limits, request);
    }
    let (mut command, _options) = match filter.isolation {
        Isolation::Bwrap => {
            let invocation = bwrap::filter_invocation(&filter.program, &filter.arguments)?;
            let mut command = Command::new("bwrap");
            command.args(&invocation.arguments);
            (command, Some(invocation))
        }
        _ => {
            let mut command = Command::new(&filter.program);
            command.args(&filter.arguments).current_dir(Path::new("/"));
            (command, None)
        }
    };
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0);
    let applied = *limits;
    // SAFETY: between fork and exec only system calls are made (prctl, setrlimit); nothing allocates or locks.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            applied.apply()
        });
    }
    let child = command.spawn().map_err(|source| match filter.isolation {
        Isolation::Bwrap => FilterFailure::Sandbox(SandboxError::Bwrap {
            reason: source.to_string(),
        }),
        _ => FilterFailure::Io(source),
    })?;
    converse(child, limits, request)
}

/// The engine sets the limits; its client is ended with its group, and the container through the engine.
fn run_in_container(
    engine: Engine,
    filter: &Filter,
    limits: &FilterLimits,
    request: &[u8],
) -> Result<Vec<u8>, FilterFailure> {
    struct Ending(Container);
    impl Drop for Ending {
        fn drop(&mut self) {
            self.0.remove();
        }
    }
    let (arguments, container) = container::filter_invocation(engine, filter, limits)?;
    let _ending = Ending(container);
    let child = Command::new(engine.program())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|source| FilterFailure::Sandbox(engine.failed(source.to_string())))?;
    converse(child, limits, request)
}

fn converse(
    mut child: Child,
    limits: &FilterLimits,
    request: &[u8],
) -> Result<Vec<u8>, FilterFailure> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A process that ended does not read on; that it ended is told below.
            let _ = stdin.map(|mut stdin| stdin.write_all(request));
        });
        let reader = scope.spawn(move || {
            let mut answer = Vec::new();
            let stdout = stdout.into_iter().next();
            // The sign of the start, and one byte more than it may say.
            let most = limits.answer_bytes.saturating_add(2);
            let read = stdout.map(|stdout| stdout.take(most).read_to_end(&mut answer));
            (read.is_some_and(|read| read.is_ok()), answer)
        });
        let ended = wait(&mut child, limits, || reader.is_finished());
        let (read, mut answer) = reader.join().unwrap_or((false, Vec::new()));
        if answer.first() != Some(&STARTED) {
            return Err(FilterFailure::NotStarted);
        }
        answer.remove(0);
        let too_long = answer.len() as u64 > limits.answer_bytes;
        match ended? {
            _ if too_long => Err(FilterFailure::AnswerTooLong),
            status if status.success() && read => Ok(answer),
            status => Err(why(status)),
        }
    })
}

/// Waits for the end of the process; ends it when its time is up, or when its answer is read and it does not go.
fn wait(
    child: &mut Child,
    limits: &FilterLimits,
    answered: impl Fn() -> bool,
) -> Result<std::process::ExitStatus, FilterFailure> {
    let deadline = Instant::now() + limits.patience;
    let mut since_answer: Option<Instant> = None;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) => {}
            Err(error) => {
                end(child);
                return Err(FilterFailure::Io(error));
            }
        }
        if answered() {
            since_answer.get_or_insert_with(Instant::now);
        }
        let idle = since_answer.is_some_and(|since| since.elapsed() > Duration::from_secs(2));
        if idle {
            // It closed its stdout, or its answer was cut off.
            end(child);
            return child.wait().map_err(FilterFailure::Io);
        }
        if Instant::now() >= deadline {
            end(child);
            return Err(FilterFailure::TimeUp);
        }
        std::thread::sleep(POLL);
    }
}

/// Ends the process with its group, which holds the answer's pipe open as well, and reaps it.
fn end(child: &mut Child) {
    // They may be gone already.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

/// bwrap tells a signal of the inside as 128 + its number.
fn why(status: std::process::ExitStatus) -> FilterFailure {
    use std::os::unix::process::ExitStatusExt;
    const CPU_TIME: [i32; 2] = [Signal::XCPU.as_raw(), Signal::KILL.as_raw()];
    let signal = status
        .signal()
        .or_else(|| status.code().and_then(|code| code.checked_sub(128)));
    if signal.is_some_and(|signal| CPU_TIME.contains(&signal)) {
        return FilterFailure::TimeUp;
    }
    FilterFailure::Ended
}

impl FilterLimits {
    /// Sets the limits of the calling process: system calls only.
    fn apply(&self) -> std::io::Result<()> {
        let limits = [
            (Resource::Core, 0),
            (Resource::Fsize, 0),
            (Resource::Nofile, OPEN_FILES),
            (Resource::As, self.memory_bytes),
            (Resource::Cpu, self.cpu_s),
        ];
        for (resource, value) in limits {
            let limit = Rlimit {
                current: Some(value),
                maximum: Some(value),
            };
            setrlimit(resource, limit)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FilterLimits = FilterLimits {
        memory_bytes: 1 << 30,
        cpu_s: 2,
        patience: Duration::from_secs(5),
        answer_bytes: 1_000,
    };

    /// A shell script as the program: without a wall, and behind one where the machine has it.
    fn run_script(
        isolation: Isolation,
        script: &str,
        limits: &FilterLimits,
    ) -> Result<Vec<u8>, FilterFailure> {
        let filter = Filter {
            isolation,
            image: None,
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), format!("printf '>'; {script}").into()],
        };
        run(&filter, limits, b"request")
    }

    fn isolations() -> Vec<Isolation> {
        let mut isolations = vec![Isolation::None];
        if super::super::available(Isolation::Bwrap, None).is_ok() {
            isolations.push(Isolation::Bwrap);
        }
        isolations
    }

    #[test]
    fn one_request_one_answer() {
        for isolation in isolations() {
            let answer = run_script(isolation, "cat; echo hidden >&2", &LIMITS);
            assert_eq!(answer.unwrap(), b"request", "{isolation}");
        }
    }

    #[test]
    fn what_ends_without_an_answer() {
        for isolation in isolations() {
            for script in ["exit 3", "kill -SEGV $$", "cat; exit 1"] {
                let failure = run_script(isolation, script, &LIMITS).unwrap_err();
                assert!(
                    matches!(failure, FilterFailure::Ended),
                    "{isolation} {script}: {failure:?}"
                );
            }
            let failure = run_script(isolation, "while :; do echo 0123456789; done", &LIMITS);
            assert!(
                matches!(failure, Err(FilterFailure::AnswerTooLong)),
                "{isolation}: {failure:?}"
            );
        }
    }

    #[test]
    fn what_never_started_is_not_the_request_s_fault() {
        for isolation in isolations() {
            let filter = Filter {
                isolation,
                image: None,
                program: "/bin/false".into(),
                arguments: Vec::new(),
            };
            let failure = run(&filter, &LIMITS, b"request").unwrap_err();
            assert!(
                matches!(failure, FilterFailure::NotStarted),
                "{isolation}: {failure:?}"
            );
        }
    }

    #[test]
    fn time_is_up() {
        let short = FilterLimits {
            patience: Duration::from_millis(300),
            ..LIMITS
        };
        let one_second = FilterLimits { cpu_s: 1, ..LIMITS };
        for isolation in isolations() {
            for (script, limits) in [("sleep 60", &short), ("while :; do :; done", &one_second)] {
                let failure = run_script(isolation, script, limits).unwrap_err();
                assert!(
                    matches!(failure, FilterFailure::TimeUp),
                    "{isolation} {script}: {failure:?}"
                );
            }
        }
    }

    #[test]
    fn nothing_can_be_written_and_nothing_reached() {
        if super::super::available(Isolation::Bwrap, None).is_err() {
            return;
        }
        let bwrap = |script: &str| run_script(Isolation::Bwrap, script, &LIMITS).unwrap();
        let script = "for place in / /usr /bin; do (echo x >$place/written) 2>/dev/null && echo wrote; done; echo done";
        assert_eq!(bwrap(script), b"done\n");
        let inside = String::from_utf8(bwrap("ls / | tr '\\n' ' '")).unwrap();
        for hidden in ["home", "root", "tmp", "proc", "dev", "var"] {
            assert!(!inside.split(' ').any(|name| name == hidden), "{inside}");
        }
    }
}
