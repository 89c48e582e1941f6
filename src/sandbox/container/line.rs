//! The engine's command line, from plain data: nothing is asked, nothing is started.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Engine, leftovers};
use crate::sandbox::etc::{HOSTNAME, NOBODY};
use crate::sandbox::filter::{Filter, FilterLimits, INSIDE};
use crate::sandbox::{Command, Limits, SandboxError};

/// Who the inside is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    pub uid: u32,
    pub gid: u32,
    /// podman: the operator's own user, who is called `uid` inside.
    pub is_mapped: bool,
    /// Files that the inside writes to must be given to it.
    pub is_given_files: bool,
}

impl User {
    /// Nobody where that can be had: as root, and under podman, which maps its caller to whom we like. docker's inside
    /// has the numbers of the outside, so there an ordinary operator's inside is the operator.
    pub(super) fn of_this_process(engine: Engine) -> User {
        let uid = rustix::process::getuid();
        let gid = rustix::process::getgid();
        User::of(engine, uid.as_raw(), gid.as_raw())
    }

    fn of(engine: Engine, uid: u32, gid: u32) -> User {
        let nobody = User {
            uid: NOBODY,
            gid: NOBODY,
            is_mapped: false,
            is_given_files: false,
        };
        match engine {
            _ if uid == 0 => User {
                is_given_files: true,
                ..nobody
            },
            Engine::Podman => User {
                is_mapped: true,
                ..nobody
            },
            Engine::Docker => User { uid, gid, ..nobody },
        }
    }
}

/// What a command line needs beside the command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub engine: Engine,
    pub name: &'a str,
    pub owner: &'a str,
    pub image: &'a str,
    pub user: User,
}

/// The kernel's limits stand a little above the watchdog's, which can tell a breach from a crash.
fn backstop(limit: u64) -> u64 {
    limit.saturating_add(limit / 8).saturating_add(16)
}

impl Line<'_> {
    /// Runs a command: its mounts, its limits, its environment. `etc` are files for the inside's /etc.
    pub(super) fn command(
        &self,
        command: &Command,
        etc: &[(&'static str, PathBuf)],
    ) -> Result<Vec<OsString>, SandboxError> {
        let limits = &command.limits;
        let mut line = self.wall();
        self.limits(&mut line, limits);
        for (name, path) in etc {
            self.bind(&mut line, path, &Path::new("/etc").join(name), false)?;
        }
        for mount in &command.mounts {
            self.bind(&mut line, &mount.host, &mount.inside, mount.writable)?;
        }
        if command.cuda {
            flags(&mut line, self.gpus());
        }
        for (name, value) in &command.environment {
            line.push(format!("--env={name}={value}").into());
        }
        flags(&mut line, &["--workdir", "/tmp"]);
        self.start(&mut line, command.python.python.as_os_str());
        line.extend(command.arguments.iter().cloned());
        Ok(line)
    }

    /// Runs a filter, whose stdin and stdout are its caller's.
    pub(super) fn filter(
        &self,
        filter: &Filter,
        limits: &FilterLimits,
    ) -> Result<Vec<OsString>, SandboxError> {
        let mut line = self.wall();
        let memory = format!("--memory={}", backstop(limits.memory_bytes));
        let swap = format!("--memory-swap={}", backstop(limits.memory_bytes));
        let cpu = format!("--ulimit=cpu={0}:{0}", limits.cpu_s);
        flags(&mut line, &["--interactive", "--pids-limit=64"]);
        flags(
            &mut line,
            &[
                &memory,
                &swap,
                &cpu,
                "--ulimit=core=0:0",
                "--ulimit=fsize=0:0",
            ],
        );
        self.bind(&mut line, &filter.program, Path::new(INSIDE), false)?;
        flags(&mut line, &["--workdir", "/"]);
        self.start(&mut line, INSIDE.as_ref());
        line.extend(filter.arguments.iter().cloned());
        Ok(line)
    }

    /// Namespaces of its own, a root that is read-only, no rights, no network, and nobody's name on it but ours.
    fn wall(&self) -> Vec<OsString> {
        let name = format!("--name={}", self.name);
        let label = format!("--label={}={}", leftovers::LABEL, self.owner);
        let user = format!("--user={}:{}", self.user.uid, self.user.gid);
        let mut line = Vec::new();
        // never pulled: what runs is what the operator has looked at
        flags(&mut line, &["run", "--rm", "--pull=never", &name, &label]);
        flags(
            &mut line,
            &[
                "--network=none",
                "--ipc=private",
                "--cgroupns=private",
                "--read-only",
                "--cap-drop=ALL",
                "--security-opt=no-new-privileges",
                "--log-driver=none",
            ],
        );
        if self.engine == Engine::Podman {
            // podman would add writable folders of its own to a read-only root
            flags(
                &mut line,
                &["--read-only-tmpfs=false", "--http-proxy=false"],
            );
        }
        if self.user.is_mapped {
            let mapped = format!(
                "--userns=keep-id:uid={},gid={}",
                self.user.uid, self.user.gid
            );
            flags(&mut line, &[&mapped]);
        }
        let host = format!("--hostname={HOSTNAME}");
        flags(&mut line, &[&user, &host]);
        line
    }

    fn limits(&self, line: &mut Vec<OsString>, limits: &Limits) {
        let memory = backstop(limits.memory_bytes);
        let tmp = limits.tmp_bytes;
        // one file can be no larger than all of them together may be
        let file = limits.artifacts_bytes.max(tmp);
        let mut options = vec![
            format!("--memory={memory}"),
            // the same: no swap
            format!("--memory-swap={memory}"),
            format!("--pids-limit={}", backstop(limits.processes)),
            "--ulimit=core=0:0".to_owned(),
            format!("--ulimit=nofile={0}:{0}", limits.open_files),
            format!("--ulimit=fsize={file}:{file}"),
            // executable: compiled kernels are loaded from there
            format!("--tmpfs=/tmp:rw,exec,nosuid,nodev,size={tmp},mode=1777"),
        ];
        options.push(match self.engine {
            Engine::Docker => format!("--shm-size={tmp}"),
            Engine::Podman => {
                format!("--tmpfs=/dev/shm:rw,noexec,nosuid,nodev,size={tmp},mode=1777")
            }
        });
        line.extend(options.into_iter().map(OsString::from));
    }

    /// All cards; which of them a rank uses is its own affair, as everywhere.
    fn gpus(&self) -> &'static [&'static str] {
        match self.engine {
            Engine::Docker => &["--gpus=all"],
            Engine::Podman => &["--device=nvidia.com/gpu=all"],
        }
    }

    fn bind(
        &self,
        line: &mut Vec<OsString>,
        host: &Path,
        inside: &Path,
        writable: bool,
    ) -> Result<(), SandboxError> {
        let text = |path: &Path| {
            match path.to_str() {
            // the option is a list in the form of CSV
            Some(text) if !text.contains([',', '"', '\n', '\r']) => Ok(text.to_owned()),
            _ => Err(self.engine.failed(format!(
                "the path {path:?} cannot be mounted: got a comma, a quote, a line break or no UTF-8 in it"
            ))),
        }
        };
        let kind = if writable { "" } else { ",readonly" };
        let mount = format!(
            "--mount=type=bind,src={},dst={}{kind}",
            text(host)?,
            text(inside)?
        );
        line.push(mount.into());
        Ok(())
    }

    fn start(&self, line: &mut Vec<OsString>, program: &std::ffi::OsStr) {
        let mut entry = OsString::from("--entrypoint=");
        entry.push(program);
        line.extend([entry, self.image.into()]);
    }
}

fn flags(line: &mut Vec<OsString>, flags: &[&str]) {
    line.extend(flags.iter().map(OsString::from));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::sandbox::{Isolation, Mount, python};

    const IMAGE: &str =
        "prism/python@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn training(isolation: Isolation, cuda: bool) -> Command {
        let mount = |host: &str, inside: &str, writable| Mount {
            host: host.into(),
            inside: inside.into(),
            writable,
        };
        Command {
            isolation,
            image: Some(IMAGE.to_owned()),
            python: python::Environment {
                python: "/opt/venv/bin/python".into(),
                folders: Vec::new(),
            },
            arguments: [
                "-m",
                "torch.distributed.run",
                "--nproc-per-node=2",
                "/prism/runner/runner.py",
            ]
            .iter()
            .map(OsString::from)
            .collect(),
            environment: BTreeMap::from([
                ("HOME".to_owned(), "/tmp".to_owned()),
                ("OMP_NUM_THREADS".to_owned(), "2".to_owned()),
                (
                    "PRISM_SOCKET".to_owned(),
                    "/prism/socket/referee.sock".to_owned(),
                ),
            ]),
            mounts: vec![
                mount("/srv/outbox/.work/7/runner", "/prism/runner", false),
                mount("/srv/outbox/.work/7/project", "/prism/project", false),
                mount("/srv/outbox/.work/7/artifacts", "/prism/artifacts", true),
            ],
            scratch: "/srv/outbox/.work/7/scratch".into(),
            artifacts: "/srv/outbox/.work/7/artifacts".into(),
            limits: Limits {
                memory_bytes: 8 << 30,
                processes: 512,
                open_files: 1_024,
                artifacts_bytes: 2 << 30,
                tmp_bytes: 1 << 30,
                log_bytes: 1 << 20,
                limit_address_space: !cuda,
            },
            cuda,
            log: "/srv/outbox/.work/7/train.log".into(),
        }
    }

    fn line(engine: Engine, uid: u32) -> Line<'static> {
        Line {
            engine,
            name: "prism-1-2-3-0",
            owner: "1-2-3",
            image: IMAGE,
            user: User::of(engine, uid, uid),
        }
    }

    fn shown(line: Vec<OsString>) -> String {
        let arguments: Vec<_> = line.iter().map(|part| part.to_string_lossy()).collect();
        arguments.join("\n")
    }

    #[test]
    fn command_lines() {
        let etc = [(
            "hosts",
            PathBuf::from("/srv/outbox/.work/7/scratch/etc/hosts"),
        )];
        let cases = [
            (
                "docker_as_root",
                Engine::Docker,
                Isolation::Docker,
                0,
                false,
            ),
            (
                "docker_as_a_user_with_cuda",
                Engine::Docker,
                Isolation::Docker,
                1_000,
                true,
            ),
            (
                "podman_as_a_user",
                Engine::Podman,
                Isolation::Podman,
                1_000,
                false,
            ),
            (
                "podman_as_root_with_cuda",
                Engine::Podman,
                Isolation::Podman,
                0,
                true,
            ),
        ];
        for (name, engine, isolation, uid, cuda) in cases {
            let command = training(isolation, cuda);
            let line = line(engine, uid).command(&command, &etc).unwrap();
            insta::assert_snapshot!(name, shown(line));
        }
    }

    #[test]
    fn filters() {
        let filter = Filter {
            isolation: Isolation::Docker,
            image: Some(IMAGE.to_owned()),
            program: "/opt/prism/bin/prism".into(),
            arguments: vec!["tokenize-guarded".into()],
        };
        let limits = FilterLimits {
            memory_bytes: 4 << 30,
            cpu_s: 20,
            patience: Duration::from_secs(60),
            answer_bytes: 1_000,
        };
        for (name, engine) in [
            ("docker_filter", Engine::Docker),
            ("podman_filter", Engine::Podman),
        ] {
            let line = line(engine, 1_000).filter(&filter, &limits).unwrap();
            insta::assert_snapshot!(name, shown(line));
        }
    }

    #[test]
    fn a_path_cannot_add_an_option_to_a_mount() {
        for host in ["/srv/a,readonly=false", "/srv/\"a\"", "/srv/a\nb"] {
            let mut command = training(Isolation::Docker, false);
            command.mounts[0].host = host.into();
            let error = line(Engine::Docker, 0).command(&command, &[]).unwrap_err();
            assert!(error.to_string().contains("cannot be mounted"), "{error}");
        }
    }
}
