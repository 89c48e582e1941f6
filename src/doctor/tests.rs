use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use super::*;
use crate::config::{Device, Isolation};
use crate::outbox::schema::{self, Schema};

/// A machine on which everything is as it should be, in a folder.
struct Fake {
    root: tempfile::TempDir,
    machine: Machine,
    config: Config,
}

impl Fake {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().to_owned();
        let mut fake = Self {
            machine: Machine {
                proc: path.join("proc"),
                shm: path.clone(),
                bwrap: path.join("bwrap").into(),
                nvidia_smi: path.join("nvidia-smi").into(),
                timedatectl: path.join("timedatectl").into(),
                now: SystemTime::now(),
                patience: Duration::from_secs(60),
            },
            config: Config::default(),
            root,
        };
        let config = &mut fake.config;
        config.inbox = path.join("inbox");
        config.outbox = path.join("outbox");
        config.corpus.root = path.join("corpus");
        config.run.python = path.join("python");
        config.run.referee = Some(path.join("referee"));
        config.sandbox.tmp_bytes = 0;
        config.sandbox.artifacts_bytes = 0;
        for folder in ["inbox", "outbox"] {
            fs::create_dir(path.join(folder)).unwrap();
        }
        for (file, text) in [
            ("user/max_user_namespaces", "15000"),
            ("kernel/unprivileged_userns_clone", "1"),
            ("kernel/apparmor_restrict_unprivileged_userns", "0"),
            ("fs/inotify/max_user_watches", "65536"),
            ("fs/inotify/max_user_instances", "128"),
            ("fs/inotify/max_queued_events", "16384"),
        ] {
            fake.kernel_says(file, text);
        }
        fake.program("bwrap", "echo bubblewrap 0.8.0");
        fake.program("timedatectl", "echo yes");
        fake.program("nvidia-smi", "echo 'GPU 0: a card'");
        fake.program("referee", "exit 2");
        fake.program(
            "python",
            "case \"$3\" in *torch*) echo 2.11.0+cpu 1 1;; *) echo 3.11.2;; esac",
        );
        fake
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    fn program(&self, name: &str, does: &str) {
        // By another process: were it open for writing here while another test forks, it could not be started.
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 755 \"$0\"";
        let path = self.path().join(name);
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", write]).arg(path).arg(does);
        assert!(shell.status().unwrap().success());
    }

    fn kernel_says(&self, file: &str, text: &str) {
        let path = self.machine.proc.join("sys").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    fn check(&self, name: &str) -> Check {
        let report = doctor(&self.config, &self.machine);
        let value = serde_json::to_value(&report).unwrap();
        schema::check(self.path(), Schema::DoctorReport, &value).unwrap();
        let found = report.checks.into_iter().find(|check| check.name == name);
        found.unwrap()
    }

    /// The check's outcome, with words that its findings and its fix must have.
    fn expect(&self, name: &str, outcome: Outcome, found: &str, fix: &str) {
        let check = self.check(name);
        assert_eq!(check.outcome, outcome, "{check:?}");
        assert!(check.found.contains(found), "{check:?}");
        assert_eq!(check.fix.is_some(), !fix.is_empty(), "{check:?}");
        assert!(check.fix.unwrap_or_default().contains(fix));
    }
}

#[test]
fn a_machine_as_it_should_be_lacks_only_a_corpus() {
    let fake = Fake::new();
    let report = doctor(&fake.config, &fake.machine);
    let bad: Vec<&Check> = report
        .checks
        .iter()
        // the file system that tests run on may be a shared one
        .filter(|check| check.name != "lock")
        .filter(|check| !matches!(check.outcome, Outcome::Ok | Outcome::Skipped))
        .collect();
    assert_eq!(bad.len(), 1, "{bad:#?}");
    assert_eq!(bad[0].name, "corpus");
    assert_eq!(report.outcome, Outcome::Failed);
    fake.expect("corpus", Outcome::Failed, "", "prism data lock");
}

#[test]
fn python_torch_and_the_referee() {
    let mut fake = Fake::new();
    fake.expect("python", Outcome::Ok, "Python 3.11.2", "");
    fake.expect("torch", Outcome::Ok, "torch 2.11.0+cpu", "");
    fake.expect("gpu", Outcome::Skipped, "run.device is cpu", "");
    fake.program("referee", "echo libtorch.so: not found; exit 127");
    fake.expect("referee", Outcome::Failed, "not found", "prism-dev build");
    fake.program("python", "echo 2.9.1 0 0");
    fake.expect("torch", Outcome::Failed, "2.9.1, expected 2.11.x", "pip");
    fake.program(
        "python",
        "echo Traceback; echo No module named torch; exit 1",
    );
    fake.expect("torch", Outcome::Failed, "No module named torch", "pip");
    fs::remove_file(fake.path().join("python")).unwrap();
    fake.expect("python", Outcome::Failed, "No such file", "prism-dev");
    fake.config.sandbox.isolation = Isolation::Docker;
    fake.expect("python", Outcome::Skipped, "sandbox.image", "");
}

#[test]
fn a_gpu_is_looked_for_when_runs_need_one() {
    let mut fake = Fake::new();
    fake.config.run.device = Device::Cuda;
    fake.expect("gpu", Outcome::Ok, "GPU 0: a card", "");
    fake.config.run.world_size = 2;
    fake.expect("gpu", Outcome::Failed, "sees 1 devices", "nvidia-smi");
    fs::remove_file(fake.path().join("nvidia-smi")).unwrap();
    fake.expect("gpu", Outcome::Failed, "the driver", "nvidia-smi");
}

#[test]
fn why_a_wall_cannot_stand() {
    let mut fake = Fake::new();
    fake.expect("user-namespaces", Outcome::Ok, "bwrap may make them", "");
    fake.program(
        "bwrap",
        "[ \"$1\" = --version ] && echo bubblewrap 0.9.0 && exit 0; echo setting up uid map: Permission denied; exit 1",
    );
    fake.expect("sandbox", Outcome::Failed, "uid map", "user-namespaces");
    fake.expect("user-namespaces", Outcome::Failed, "", "unshare");
    for (file, value, fix) in [
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "apparmor_parser",
        ),
        (
            "kernel/unprivileged_userns_clone",
            "0",
            "unprivileged_userns_clone=1",
        ),
        ("user/max_user_namespaces", "0", "max_user_namespaces="),
    ] {
        fake.kernel_says(file, value);
        fake.expect("user-namespaces", Outcome::Failed, "cannot build", fix);
    }
    fs::remove_file(fake.path().join("bwrap")).unwrap();
    fake.expect(
        "sandbox",
        Outcome::Failed,
        "No such file",
        "install bubblewrap",
    );
    fake.config.sandbox.isolation = Isolation::None;
    fake.expect("sandbox", Outcome::Warning, "never ranked", "bwrap");
    fake.expect("user-namespaces", Outcome::Skipped, "none", "");
}

#[test]
fn limits_of_the_kernel_and_its_clock() {
    let mut fake = Fake::new();
    fake.kernel_says("fs/inotify/max_user_instances", "2");
    fake.expect(
        "inotify",
        Outcome::Warning,
        "2 instances",
        "max_user_instances=",
    );
    fake.kernel_says("fs/inotify/max_user_watches", "1");
    fake.expect(
        "inotify",
        Outcome::Warning,
        "1 watches",
        "max_user_watches=",
    );
    fs::remove_dir_all(fake.path().join("proc/sys/fs")).unwrap();
    fake.expect("inotify", Outcome::Warning, "no inotify", "rescan_ms");

    fake.program("timedatectl", "echo no");
    fake.expect("clock", Outcome::Warning, "not synchronised", "set-ntp");
    fs::remove_file(fake.path().join("timedatectl")).unwrap();
    fake.expect("clock", Outcome::Ok, "not known", "");
    fs::write(fake.path().join("outbox/leaderboard.json"), "{}").unwrap();
    fake.machine.now -= Duration::from_secs(86_400);
    fake.expect("clock", Outcome::Warning, "set back", "set-ntp");
    fake.machine.now = SystemTime::UNIX_EPOCH;
    fake.expect("clock", Outcome::Failed, "1970", "set-ntp");

    fake.machine.shm = fake.path().join("nowhere");
    fake.expect("shm", Outcome::Failed, "nowhere", "remount");
}

#[test]
fn places_that_are_missing_open_or_full() {
    let mut fake = Fake::new();
    fake.expect("outbox", Outcome::Ok, "can be written", "");
    let secret = fake.path().join("outbox/.secret");
    fs::write(&secret, [0; 32]).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    fake.expect("outbox", Outcome::Failed, "mode 644", "chmod 600");
    fs::remove_dir(fake.path().join("inbox")).unwrap();
    fake.expect("inbox", Outcome::Failed, "is no folder", "mkdir");
    assert!(fake.check("lock").found.starts_with("free"));
    fake.config.sandbox.artifacts_bytes = u64::MAX / 2;
    fake.expect("disk", Outcome::Warning, "a run may take", "prism prune");
    fake.config.outbox = fake.path().join("outbox/not/yet");
    fake.expect("outbox", Outcome::Ok, "made by the first run", "");
}

#[test]
fn who_never_answers_is_not_waited_for() {
    let mut fake = Fake::new();
    fake.machine.patience = Duration::from_millis(200);
    // A grandchild holds the output open, too.
    fake.program("bwrap", "sleep 600 & sleep 600");
    let begun = Instant::now();
    let check = programs::wall(&fake.config, &fake.machine);
    assert_eq!(check.outcome, Outcome::Failed);
    assert!(check.found.contains("did not answer"), "{check:?}");
    assert!(begun.elapsed() < Duration::from_secs(300));
}
