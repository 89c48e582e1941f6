//! Any program as the reviewer: the request on its stdin, the answer on its stdout, both as over HTTP.
//!
//! It runs in a process group of its own, which is ended with it: when it is done, late, too loud, or prism is to stop. One
//! that a killed prism left behind is ended by the next one: it is written down where those of runs are.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::GateError;
use super::patience::LOOK_EVERY;
use crate::config::gate::Gate;
use crate::outbox::fault::{self, Step};
use crate::outbox::{at, atomic};
use crate::sandbox::process::ProcessIdentity;

/// What an ended program wrote is read for so long; whoever still holds its stdout then has left its group.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// The program and its limits.
#[derive(Debug, Clone)]
pub struct Program {
    arguments: Vec<String>,
    timeout_s: u64,
    max_answer_bytes: u64,
}

/// What its stdout came to.
type Output = Result<Vec<u8>, GateError>;

impl Program {
    pub fn new(gate: &Gate) -> Self {
        Self {
            arguments: gate.command.clone(),
            timeout_s: gate.timeout_s,
            max_answer_bytes: gate.max_answer_bytes,
        }
    }

    fn name(&self) -> String {
        self.arguments.first().cloned().unwrap_or_default()
    }

    /// Asks, and gives what it printed. `work` is a folder of the outbox's `.work/` of nobody else.
    ///
    /// # Errors
    /// A program that cannot be started, fails, is late or says too much, and [`GateError::Stopped`].
    pub fn ask(&self, request: Vec<u8>, work: &Path, is_stopped: &dyn Fn() -> bool) -> Output {
        atomic::create_folder(work)?;
        let answer = self.run(request, work, is_stopped);
        atomic::remove_folder(work)?;
        answer
    }

    fn run(&self, request: Vec<u8>, work: &Path, is_stopped: &dyn Fn() -> bool) -> Output {
        let start = |error: std::io::Error| GateError::Start {
            program: self.name(),
            reason: error.to_string(),
        };
        let program = PathBuf::from(self.name());
        fault::step(Step::Spawn, &program).map_err(at(&program))?;
        let mut child = Command::new(&program)
            .args(self.arguments.iter().skip(1))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(start)?;
        let group = Group(Pid::from_child(&child));
        if let Some(identity) = ProcessIdentity::of(group.0.as_raw_nonzero().get()) {
            identity.record(work).map_err(at(work))?;
        }
        let output = self.converse(&mut child, request);
        let said = self.wait(&output, &group, is_stopped);
        // Whoever of it is left; before the leader is collected, so that the number is still its own.
        drop(group);
        let status = child.wait().map_err(start)?;
        let said = match said {
            Some(said) => said?,
            None => output
                .recv_timeout(LAST_WORDS)
                .map_err(|_| self.ended("its stdout still held open"))??,
        };
        if !status.success() {
            return Err(self.ended(&how(status)));
        }
        Ok(said)
    }

    /// Writes the request and reads the answer, each on a thread that ends with the pipe.
    fn converse(&self, child: &mut Child, request: Vec<u8>) -> Receiver<Output> {
        if let Some(mut stdin) = child.stdin.take() {
            std::thread::spawn(move || {
                // One that does not read all of it may have its reasons.
                let _ = stdin.write_all(&request);
            });
        }
        let (sender, receiver) = channel();
        let limit_bytes = self.max_answer_bytes;
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                let mut said = Vec::new();
                let read = stdout.take(limit_bytes + 1).read_to_end(&mut said);
                let output = match read {
                    Err(error) => Err(GateError::CutOff {
                        reason: error.kind().to_string(),
                    }),
                    Ok(_) if said.len() as u64 > limit_bytes => {
                        Err(GateError::TooLong { limit_bytes })
                    }
                    Ok(_) => Ok(said),
                };
                // Nobody may be there to take it.
                let _ = sender.send(output);
            });
        }
        receiver
    }

    /// Waits for its end, and takes what it said if that came first.
    fn wait(
        &self,
        output: &Receiver<Output>,
        group: &Group,
        is_stopped: &dyn Fn() -> bool,
    ) -> Option<Output> {
        let deadline = Instant::now() + Duration::from_secs(self.timeout_s);
        let mut said = None;
        while !group.leader_has_ended() {
            if is_stopped() {
                return Some(Err(GateError::Stopped));
            }
            if Instant::now() >= deadline {
                return Some(Err(GateError::Timeout {
                    seconds: self.timeout_s,
                }));
            }
            if said.is_some() {
                std::thread::sleep(LOOK_EVERY);
                continue;
            }
            match output.recv_timeout(LOOK_EVERY) {
                Ok(Err(error)) => return Some(Err(error)),
                Ok(answer) => said = Some(answer),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Some(Err(self.ended("no stdout"))),
            }
        }
        said
    }

    fn ended(&self, end: &str) -> GateError {
        GateError::Ended {
            program: self.name(),
            end: end.to_owned(),
        }
    }
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".to_owned(),
    }
}

/// A process group that does not outlive this value.
struct Group(Pid);

impl Group {
    /// It stays there to be collected.
    fn leader_has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.0), options), Ok(None))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Those that it started elsewhere first, as far as they still are its descendants.
        if !self.leader_has_ended()
            && let Some(leader) = ProcessIdentity::of(self.0.as_raw_nonzero().get())
        {
            leader.end();
        }
        // It may be empty.
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(script: &str, timeout_s: u64, is_stopped: &dyn Fn() -> bool) -> Result<String, String> {
        let root = tempfile::tempdir().unwrap();
        let program = Program::new(&Gate {
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            timeout_s,
            max_answer_bytes: 1_000,
            ..Gate::default()
        });
        let work = root.path().join("work");
        let answer = program.ask(b"the question".to_vec(), &work, is_stopped);
        assert!(!work.exists());
        match answer {
            Ok(said) => Ok(String::from_utf8(said).unwrap()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_program_answers_or_it_does_not() {
        let never = || false;
        let said = ask("read line; printf '%s' \"got $line\"", 600, &never);
        assert_eq!(said.as_deref(), Ok("got the question"));
        assert_eq!(
            ask("exec >&-; exec sleep 0", 600, &never).as_deref(),
            Ok("")
        );
        for (script, timeout_s, part) in [
            ("exit 3", 600, "exit code 3"),
            ("kill -9 $$", 600, "signal 9"),
            ("yes", 600, "longer than 1000 bytes"),
            ("sleep 1000", 1, "within 1 s"),
            ("exec >&-; sleep 1000", 1, "within 1 s"),
        ] {
            let error = ask(script, timeout_s, &never).unwrap_err();
            assert!(error.contains(part), "{script}: {error}");
        }
        let missing = Program::new(&Gate {
            command: vec!["/no/such/reviewer".to_owned()],
            ..Gate::default()
        });
        let root = tempfile::tempdir().unwrap();
        let error = missing
            .ask(Vec::new(), &root.path().join("work"), &never)
            .unwrap_err();
        assert!(matches!(error, GateError::Start { .. }), "{error}");
        assert!(
            ask("sleep 1000", 600, &|| true)
                .unwrap_err()
                .contains("stop")
        );
    }

    #[test]
    fn nothing_of_a_program_outlives_it() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        // the background process holds stdout open, so that its end is seen at once
        let script = format!("sleep 1000 & echo $! > {}; echo done", pid.display());
        assert_eq!(ask(&script, 600, &|| false).as_deref(), Ok("done\n"));
        let number: i32 = std::fs::read_to_string(&pid)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while ProcessIdentity::of(number).is_some_and(|process| process.is_alive()) {
            assert!(Instant::now() < deadline, "{number} lives on");
            std::thread::sleep(LOOK_EVERY);
        }
    }
}
