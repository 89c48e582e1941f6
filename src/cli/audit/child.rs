//! Streams are decoded in a process of its own: a parquet file that was made for it can end its reader.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use prism::audit::streams as room;
use prism::exit;
use rustix::process::{Resource, Rlimit, setrlimit};
use serde_json::Value;

use super::super::{Complaint, output};

/// The hidden command that the child runs.
pub const COMMAND: &str = "audit-streams";

/// A run of a million steps needs a tenth of it; a length that was made up needs more.
const MEMORY_BYTES: u64 = 8 << 30;
const PATIENCE: Duration = Duration::from_secs(300);
/// The blocks of a run are some megabytes.
const MAX_ANSWER_BYTES: u64 = 256 << 20;

/// `prism audit-streams FOLDER`: the score blocks as JSON, or `{"error": …}`.
pub fn streams(folder: &Path) -> Result<u8, Complaint> {
    let answer =
        room::recompute(folder).unwrap_or_else(|reason| serde_json::json!({"error": reason}));
    output::json(&answer)?;
    Ok(exit::OK)
}

/// Runs [`streams`] in a child with limits.
pub fn recompute(folder: &Path) -> Result<Value, String> {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(COMMAND)
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    // SAFETY: three system calls between fork and exec; nothing allocates or locks.
    unsafe {
        command.pre_exec(|| {
            let limit = |bytes| Rlimit {
                current: Some(bytes),
                maximum: Some(bytes),
            };
            setrlimit(Resource::As, limit(MEMORY_BYTES))?;
            setrlimit(Resource::Core, limit(0))?;
            use rustix::process::{Signal, set_parent_process_death_signal};
            Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
        });
    }
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let stdout = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut answer = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
        }
        Ok::<_, std::io::Error>(answer)
    });
    let status = wait(&mut child).map_err(|error| error.to_string())?;
    let answer = reader
        .join()
        .map_err(|_| "its answer could not be read".to_owned())?
        .map_err(|error| error.to_string())?;
    let Some(status) = status else {
        return Err(format!(
            "the decoder was ended after {} s",
            PATIENCE.as_secs()
        ));
    };
    if !status.success() {
        return Err(match status.signal() {
            Some(signal) => format!("the decoder did not survive the streams: signal {signal}"),
            None => "the decoder gave up on the streams".to_owned(),
        });
    }
    let answer: Value = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
    match answer.get("error").and_then(Value::as_str) {
        Some(reason) => Err(reason.to_owned()),
        None => Ok(answer),
    }
}

/// Its status, or none when it had to be killed.
fn wait(child: &mut std::process::Child) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(1);
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}
