//! Programs that are asked something, and may be absent, broken, or never answer.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

const POLL: Duration = Duration::from_millis(5);
/// What is read of an answer.
const MAX_ANSWER_BYTES: u64 = 4_096;

/// What a program said, stdout and stderr together, and how it ended.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: ExitStatus,
    pub said: String,
}

impl Answer {
    /// What it said when it ended well, or what it said when it did not.
    pub fn success(self) -> Result<String, String> {
        if self.status.success() {
            return Ok(self.said);
        }
        match self.said.is_empty() {
            true => Err(self.status.to_string()),
            false => Err(self.said),
        }
    }
}

/// Starts a program and waits up to `patience` for its end; then it and its process group are killed.
///
/// # Errors
/// In words: it cannot be started, or did not answer in time.
pub(super) fn ask(
    program: impl AsRef<OsStr>,
    arguments: &[&str],
    patience: Duration,
) -> Result<Answer, String> {
    let program = program.as_ref();
    let failed = |error: std::io::Error| format!("`{}`: {error}", program.to_string_lossy());
    // Into a file: a grandchild that holds a pipe open would be waited for.
    let mut output = tempfile::tempfile().map_err(failed)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(failed)?)
        .stderr(output.try_clone().map_err(failed)?)
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let deadline = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if Instant::now() >= deadline {
            if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                // It may end by itself at this moment.
                let _ = kill_process_group(group, Signal::KILL);
            }
            // One that is stuck in the kernel is not waited for.
            let _ = child.try_wait();
            return Err(format!(
                "`{}` did not answer within {} s",
                program.to_string_lossy(),
                patience.as_secs_f32()
            ));
        }
        std::thread::sleep(POLL);
    };
    output.rewind().map_err(failed)?;
    let mut said = Vec::new();
    output
        .take(MAX_ANSWER_BYTES)
        .read_to_end(&mut said)
        .map_err(failed)?;
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    Ok(Answer { status, said })
}

/// A number that the kernel shows in a file; none where it has no such file.
pub(super) fn number(path: &std::path::Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}
