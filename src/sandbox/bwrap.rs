//! bubblewrap: new user, PID, IPC, UTS, cgroup and network namespaces, a root made of read-only parts.

use std::ffi::OsString;
use std::io::{Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, memfd_create};

use super::etc::{self, HOSTNAME, NOBODY};
use super::filter::INSIDE;
use super::{Command, SandboxError};

/// Parts of the system that every interpreter needs; each is bound only where it exists.
const SYSTEM: &[&str] = &[
    "/usr",
    "/lib",
    "/lib64",
    "/lib32",
    "/bin",
    "/sbin",
    "/etc/ld.so.cache",
    "/etc/alternatives",
];
const NVIDIA: &[&str] = &[
    "/dev/nvidiactl",
    "/dev/nvidia-uvm",
    "/dev/nvidia-uvm-tools",
    "/dev/nvidia-modeset",
    "/dev/nvidia-caps",
];

/// `bubblewrap 0.8.0`, or why there is none.
pub(super) fn version() -> Result<String, SandboxError> {
    duct::cmd!("bwrap", "--version")
        .stderr_to_stdout()
        .read()
        .map_err(|error| SandboxError::Bwrap {
            reason: format!("`bwrap --version`: {error}"),
        })
}

/// Arguments that build the smallest wall with every namespace, around `true`.
pub const TRIAL: &[&str] = &[
    "--unshare-all",
    "--unshare-user",
    "--ro-bind",
    "/",
    "/",
    "true",
];

/// Whether bwrap is installed and may make the namespaces.
pub(super) fn available() -> Result<(), SandboxError> {
    version()?;
    let output = duct::cmd("bwrap", TRIAL)
        .stderr_to_stdout()
        .stdout_capture()
        .unchecked()
        .run()
        .map_err(|error| SandboxError::Bwrap {
            reason: error.to_string(),
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let reason = said.trim().chars().take(500).collect();
    Err(SandboxError::Bwrap { reason })
}

/// The command line of bwrap. Its options are in a file of memory that bwrap reads and closes: on the command line they
/// would tell the inside, through /proc/1/cmdline, where everything lies on the host.
pub(super) struct Invocation {
    pub arguments: Vec<OsString>,
    /// Must stay open until bwrap has started.
    pub _options: OwnedFd,
}

/// The invocation for a command.
pub(super) fn invocation(command: &Command) -> Result<Invocation, SandboxError> {
    let mut inside = vec![command.python.python.clone().into()];
    inside.extend(command.arguments.iter().cloned());
    with_options(options_of(command)?, inside)
}

/// The invocation for a filter: a root of libraries and the program, nothing else.
pub(super) fn filter_invocation(
    program: &Path,
    arguments: &[OsString],
) -> Result<Invocation, SandboxError> {
    let mut line = Line(Vec::new());
    line.namespaces();
    for part in SYSTEM {
        line.system(Path::new(part));
    }
    line.bind("--ro-bind", program, Path::new(INSIDE));
    line.flags(&["--remount-ro", "/", "--chdir", "/"]);
    let mut inside = vec![INSIDE.into()];
    inside.extend(arguments.iter().cloned());
    with_options(line.0, inside)
}

fn with_options(options: Vec<OsString>, inside: Vec<OsString>) -> Result<Invocation, SandboxError> {
    let failed = |source: std::io::Error| SandboxError::Io {
        path: "memfd".into(),
        source,
    };
    // Inherited across exec on purpose, hence no CLOEXEC.
    let memory =
        memfd_create("bwrap-options", MemfdFlags::empty()).map_err(|e| failed(e.into()))?;
    let mut file = std::fs::File::from(memory);
    for option in options {
        file.write_all(option.as_bytes())
            .and_then(|()| file.write_all(b"\0"))
            .map_err(failed)?;
    }
    file.rewind().map_err(failed)?;
    let options = OwnedFd::from(file);
    let mut arguments: Vec<OsString> = vec![
        "--args".into(),
        options.as_raw_fd().to_string().into(),
        "--".into(),
    ];
    arguments.extend(inside);
    Ok(Invocation {
        arguments,
        _options: options,
    })
}

fn options_of(command: &Command) -> Result<Vec<OsString>, SandboxError> {
    let mut line = Line(Vec::new());
    line.namespaces();
    for part in SYSTEM {
        line.system(Path::new(part));
    }
    for (name, path) in etc::files(&command.scratch, NOBODY, NOBODY)? {
        line.bind("--ro-bind", &path, &Path::new("/etc").join(name));
    }
    line.flags(&["--proc", "/proc", "--dev", "/dev"]);
    // Started by root, the inside is still the kernel's user 0, which owns every kernel setting. bwrap covers other
    // parts of /proc by itself; this one it takes for read-only because its folder is.
    line.bind("--ro-bind", Path::new("/proc/sys"), Path::new("/proc/sys"));
    let size = command.limits.tmp_bytes.to_string();
    for place in ["/dev/shm", "/tmp"] {
        line.flags(&["--size", &size, "--tmpfs", place]);
    }
    // After the private /tmp: an environment may lie below the host's.
    for folder in &command.python.folders {
        if !SYSTEM.iter().any(|part| folder.starts_with(part)) {
            line.bind("--ro-bind", folder, folder);
        }
    }
    if command.cuda {
        line.cuda(Path::exists);
    }
    for mount in &command.mounts {
        let kind = if mount.writable {
            "--bind"
        } else {
            "--ro-bind"
        };
        line.bind(kind, &mount.host, &mount.inside);
    }
    // --dev makes a writable tmpfs without a limit, which nothing would count.
    line.flags(&["--remount-ro", "/dev", "--remount-ro", "/"]);
    line.flags(&["--chdir", "/tmp"]);
    Ok(line.0)
}

struct Line(Vec<OsString>);

impl Line {
    /// Namespaces of its own for everything, and no rights in them.
    fn namespaces(&mut self) {
        self.flags(&[
            "--unshare-all",
            "--unshare-user",
            "--disable-userns",
            "--die-with-parent",
            "--new-session",
        ]);
        let nobody = NOBODY.to_string();
        self.flags(&["--cap-drop", "ALL", "--uid", &nobody, "--gid", &nobody]);
        self.flags(&["--hostname", HOSTNAME]);
    }

    fn flags(&mut self, flags: &[&str]) {
        self.0.extend(flags.iter().map(OsString::from));
    }

    fn bind(&mut self, kind: &str, host: &Path, inside: &Path) {
        self.0.extend([kind.into(), host.into(), inside.into()]);
    }

    /// /bin is a link on merged-usr systems: the link is made again, not followed.
    fn system(&mut self, path: &Path) {
        match std::fs::read_link(path) {
            Ok(target) => self.bind("--symlink", &target, path),
            Err(_) if path.exists() => self.bind("--ro-bind", path, path),
            Err(_) => {}
        }
    }

    /// Device nodes must come after --dev, and before it is made read-only; cuInit reads /sys.
    fn cuda(&mut self, is_there: impl Fn(&Path) -> bool) {
        let cards = (0..16).map(|card| format!("/dev/nvidia{card}"));
        for node in NVIDIA.iter().map(|node| (*node).to_owned()).chain(cards) {
            let node = PathBuf::from(node);
            if is_there(&node) {
                self.bind("--dev-bind", &node, &node);
            }
        }
        self.bind("--ro-bind", Path::new("/sys"), Path::new("/sys"));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sandbox::{Isolation, Limits, python};

    fn command(scratch: &Path) -> Command {
        Command {
            isolation: Isolation::Bwrap,
            image: None,
            python: python::Environment {
                python: "/tmp/clone/.venv/bin/python".into(),
                folders: vec!["/tmp/clone/.venv".into()],
            },
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            mounts: Vec::new(),
            scratch: scratch.to_owned(),
            artifacts: scratch.join("artifacts"),
            limits: Limits {
                memory_bytes: 1 << 30,
                processes: 8,
                open_files: 64,
                artifacts_bytes: 1 << 20,
                tmp_bytes: 1 << 20,
                log_bytes: 1 << 20,
                limit_address_space: true,
            },
            cuda: false,
            log: scratch.join("log"),
        }
    }

    fn place(options: &[OsString], flags: &[&str]) -> usize {
        options
            .windows(flags.len())
            .position(|some| some == flags)
            .unwrap_or_else(|| panic!("{flags:?} in {options:?}"))
    }

    #[test]
    fn an_environment_below_tmp_is_not_hidden_by_the_private_tmp() {
        let scratch = tempfile::tempdir().unwrap();
        let options = options_of(&command(scratch.path())).unwrap();
        assert!(
            place(&options, &["--tmpfs", "/tmp"])
                < place(&options, &["--ro-bind", "/tmp/clone/.venv"])
        );
    }

    #[test]
    fn what_is_read_only_becomes_so_when_all_is_in_place() {
        let scratch = tempfile::tempdir().unwrap();
        let options = options_of(&command(scratch.path())).unwrap();
        let sealed = place(&options, &["--remount-ro", "/dev", "--remount-ro", "/"]);
        let last = ["--bind", "--ro-bind", "--dev", "--tmpfs", "--symlink"]
            .iter()
            .filter_map(|flag| options.iter().rposition(|option| option == flag))
            .max();
        assert!(last.is_some_and(|last| last < sealed), "{options:?}");
    }

    #[test]
    fn the_nodes_of_the_cards_that_are_there() {
        let mut line = Line(Vec::new());
        let there = [
            "/dev/nvidiactl",
            "/dev/nvidia-uvm",
            "/dev/nvidia0",
            "/dev/nvidia3",
        ];
        line.cuda(|node| there.iter().any(|there| Path::new(there) == node));
        for node in there {
            place(&line.0, &["--dev-bind", node, node]);
        }
        place(&line.0, &["--ro-bind", "/sys", "/sys"]);
        assert_eq!(line.0.len(), 3 * (there.len() + 1), "{:?}", line.0);
    }
}
