//! What the wall really keeps out, asked from inside the same wall before any submission is behind it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::container::Engine;
use super::{Achieved, Command, Isolation, SandboxError, bwrap, start};

/// Asks some questions and prints one JSON object. It is our own code: its answers can be believed.
const QUESTIONS: &str = r#"
import ctypes, json, os, socket
def attempt(name, action):
    try:
        action()
        return "open"
    except OSError as error:
        return "closed (" + (error.strerror or str(error)) + ")"
def connect():
    with socket.create_connection(("192.0.2.1", 9), timeout=1):
        pass
def write(path):
    with open(path, "w"):
        pass
    os.unlink(path)
def unshare():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def rights():
    with open("/proc/self/status") as file:
        held = dict(line.rstrip().split(":\t") for line in file if line.startswith("Cap"))
    held = [name for name in ("CapPrm", "CapEff", "CapBnd") if int(held[name], 16) != 0]
    return "open (" + ", ".join(held) + ")" if held else "closed"
def gains():
    # PR_GET_NO_NEW_PRIVS
    return "closed" if ctypes.CDLL(None).prctl(39, 0, 0, 0, 0) == 1 else "open (set-user-id programs work)"
interfaces = sorted(name for _, name in socket.if_nameindex())
processes = sum(name.isdigit() for name in os.listdir("/proc"))
print(json.dumps({
    "network": "closed (only " + ", ".join(interfaces) + ")" if interfaces == ["lo"] else attempt("network", connect),
    "root_filesystem": attempt("root", lambda: write("/usr/prism-probe")),
    "working_folder": attempt("root", lambda: write("/prism-probe")),
    "kernel_settings": attempt("sysctl", lambda: open("/proc/sys/kernel/core_pattern", "w").close()),
    "other_processes": "closed" if processes <= 3 else "open (%d seen)" % processes,
    "user_namespaces": attempt("unshare", unshare),
    "capabilities": rights(),
    "new_privileges": gains(),
}))
"#;

/// What was achieved of what was asked for. An error means that the wall cannot stand at all.
pub fn achieved(command: &Command) -> Result<Achieved, SandboxError> {
    if command.isolation == Isolation::None {
        return Ok(Achieved {
            requested: Isolation::None,
            achieved: Isolation::None,
            version: String::new(),
            probes: BTreeMap::new(),
            score_eligible: false,
        });
    }
    let engine = Engine::of(command.isolation);
    let failed = |reason: String| match engine {
        Some(engine) => engine.failed(reason),
        None => SandboxError::Bwrap { reason },
    };
    let version = match engine {
        Some(engine) => engine.version()?,
        None => bwrap::version()?,
    };
    let mut probe = command.clone();
    probe.arguments = vec!["-I".into(), "-c".into(), QUESTIONS.into()];
    probe.log = command.scratch.join("probe.log");
    let ended = start(&probe)?.finish(Duration::from_secs(30));
    let said = read_log(&probe.log);
    if ended.code != Some(0) {
        return Err(failed(format!("the probe inside it failed: {said}")));
    }
    let probes: BTreeMap<String, String> = serde_json::from_str(&said)
        .map_err(|_| failed(format!("the probe inside it answered: {said}")))?;
    let score_eligible = probes.values().all(|answer| !answer.starts_with("open"));
    Ok(Achieved {
        requested: command.isolation,
        achieved: command.isolation,
        version,
        probes,
        score_eligible,
    })
}

fn read_log(path: &Path) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .chars()
        .take(1_000)
        .collect()
}
