//! docker and podman: the same wall as [`super::bwrap`]'s, built by a container engine from an image pinned by digest.
//!
//! The engine's client is our child; the inside is the engine's. So the inside is found, paused and ended through the
//! engine, by the name that we gave it.

mod leftovers;
mod line;

use std::ffi::OsString;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::filter::{Filter, FilterLimits};
use super::{Command, Isolation, SandboxError, etc};
use line::User;

/// Whether `image` is a name pinned by digest: `name@sha256:` and 64 hexadecimal digits.
pub fn is_pinned(image: &str) -> bool {
    let Some((name, digest)) = image.split_once("@sha256:") else {
        return false;
    };
    let is_name = name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte));
    let is_digest = digest.len() == 64
        && digest
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    is_name && is_digest
}

/// A container engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Docker,
    Podman,
}

impl Engine {
    /// The engine of an isolation, if it has one.
    pub(super) fn of(isolation: Isolation) -> Option<Engine> {
        match isolation {
            Isolation::Docker => Some(Engine::Docker),
            Isolation::Podman => Some(Engine::Podman),
            Isolation::Bwrap | Isolation::None => None,
        }
    }

    pub(super) fn program(self) -> &'static str {
        match self {
            Engine::Docker => "docker",
            Engine::Podman => "podman",
        }
    }

    pub(super) fn failed(self, reason: impl Into<String>) -> SandboxError {
        SandboxError::Container {
            engine: self.program(),
            reason: reason.into(),
        }
    }

    /// What one of the engine's commands says on stdout.
    fn ask(self, arguments: &[&str]) -> Result<String, SandboxError> {
        let shown = format!("{} {}", self.program(), arguments.join(" "));
        let output = duct::cmd(self.program(), arguments)
            .stdin_null()
            .stdout_capture()
            .stderr_capture()
            .unchecked()
            .run()
            .map_err(|error| self.failed(format!("`{shown}`: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said: String = said.trim().chars().take(500).collect();
            return Err(self.failed(format!("`{shown}`: {said}")));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// `Docker version 27.3.1, build ce12230`, or why there is none.
    pub(super) fn version(self) -> Result<String, SandboxError> {
        self.ask(&["--version"])
    }

    /// Whether the engine answers and has the image; ends what runs that were killed have left behind.
    pub(super) fn available(self, image: Option<&str>) -> Result<(), SandboxError> {
        self.version()?;
        let image = self.image(image)?;
        self.ask(&["image", "inspect", "--format", "{{.Id}}", image])?;
        leftovers::remove(self)
    }

    fn image(self, image: Option<&str>) -> Result<&str, SandboxError> {
        image
            .filter(|image| is_pinned(image))
            .ok_or_else(|| self.failed("sandbox.image names no image pinned by digest"))
    }
}

/// A container that was or will be started under this name.
#[derive(Debug)]
pub(super) struct Container {
    engine: Engine,
    name: String,
    /// The first process inside, as the host numbers it.
    pid: OnceLock<i32>,
}

impl Container {
    fn new(engine: Engine) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self {
            engine,
            name: format!("prism-{}-{count}", leftovers::owner()),
            pid: OnceLock::new(),
        }
    }

    /// The first process inside; none until it runs.
    pub(super) fn pid(&self) -> Option<i32> {
        if let Some(pid) = self.pid.get() {
            return Some(*pid);
        }
        let told = self.ask(&["inspect", "--format", "{{.State.Pid}}"])?;
        let pid = told.parse::<i32>().ok().filter(|pid| *pid > 0)?;
        Some(*self.pid.get_or_init(|| pid))
    }

    /// Freezes every process inside; false where the engine cannot.
    pub(super) fn pause(&self) -> bool {
        self.ask(&["pause"]).is_some()
    }

    pub(super) fn resume(&self) {
        // One that is not paused, or is gone, needs nothing.
        let _ = self.ask(&["unpause"]);
    }

    /// Ends every process inside, paused or not, and forgets the container.
    pub(super) fn remove(&self) {
        // It may be gone already.
        let _ = self.ask(&["rm", "--force"]);
    }

    fn ask(&self, arguments: &[&str]) -> Option<String> {
        let arguments = [arguments, &[&self.name]].concat();
        self.engine.ask(&arguments).ok()
    }
}

/// What to start for a command: arguments of the engine's program, and the container that it becomes.
pub(super) fn invocation(
    engine: Engine,
    command: &Command,
) -> Result<(Vec<OsString>, Container), SandboxError> {
    let image = engine.image(command.image.as_deref())?;
    let container = Container::new(engine);
    let user = User::of_this_process(engine);
    if user.is_given_files {
        give_files(command, user)?;
    }
    let etc = etc::files(&command.scratch, user.uid, user.gid)?;
    let line = line::Line {
        engine,
        name: &container.name,
        owner: &leftovers::owner(),
        image,
        user,
    };
    Ok((line.command(command, &etc)?, container))
}

/// What to start for a filter: a root of the image and the program, nothing else.
pub(super) fn filter_invocation(
    engine: Engine,
    filter: &Filter,
    limits: &FilterLimits,
) -> Result<(Vec<OsString>, Container), SandboxError> {
    let image = engine.image(filter.image.as_deref())?;
    let container = Container::new(engine);
    let line = line::Line {
        engine,
        name: &container.name,
        owner: &leftovers::owner(),
        image,
        user: User::of_this_process(engine),
    };
    Ok((line.filter(filter, limits)?, container))
}

/// Started by root, the inside is nobody, whom root's files do not serve: it gets what it writes to.
fn give_files(command: &Command, user: User) -> Result<(), SandboxError> {
    let give = |path: &Path| {
        std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid)).map_err(|source| {
            SandboxError::Io {
                path: path.to_owned(),
                source,
            }
        })
    };
    for mount in &command.mounts {
        if mount.writable {
            give(&mount.host)?;
        }
        // Who connects to a socket must be allowed to write to it.
        for entry in std::fs::read_dir(&mount.host)
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.file_type().is_ok_and(|kind| kind.is_socket()) {
                give(&entry.path())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digests_pin_an_image() {
        let digest = "0123456789abcdef".repeat(4);
        for (image, pinned) in [
            (format!("prism/python@sha256:{digest}"), true),
            (format!("host:5000/prism/python:3.11@sha256:{digest}"), true),
            ("prism/python:3.11".to_owned(), false),
            (format!("prism@sha256:{}", &digest[1..]), false),
            (format!("prism@sha256:{}", digest.to_uppercase()), false),
            (format!("@sha256:{digest}"), false),
            (format!("--privileged@sha256:{digest}"), false),
            (format!("a b@sha256:{digest}"), false),
        ] {
            assert_eq!(is_pinned(&image), pinned, "{image}");
        }
    }
}
