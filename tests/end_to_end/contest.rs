//! A contest of its own for each test: inbox, outbox, corpus and configuration in one temporary folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant, SystemTime};

use prism::outbox::Outbox;
use prism::outbox::status::{State, Status};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::outbox::Submission;
use crate::{corpus, outbox, zips};

/// A run that takes longer hangs: the longest theme here needs about a minute on two free cores, and machines are shared.
const LONGEST_RUN: Duration = Duration::from_secs(1_500);

/// Held by whoever measures.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Held for reading while a short command runs, for writing by who takes all processes that the machine has.
static MACHINE: RwLock<()> = RwLock::new(());

/// No short command runs meanwhile: it could start nothing. To be asked for after the [`turn`].
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// Whether bubblewrap can build a wall on this machine.
pub fn has_bwrap() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| {
        let probe = ["--unshare-all", "--ro-bind", "/", "/", "true"];
        let works = Command::new("bwrap")
            .args(probe)
            .output()
            .is_ok_and(|output| output.status.success());
        let isolation = if works { "bwrap" } else { "none" };
        eprintln!("end to end: isolation is {isolation}");
        works
    })
}

/// The folder of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A `prism` command that takes nothing from the environment of the tests.
pub fn prism<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prism"));
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"PRISM_") {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// stdout as the one JSON document that it must be.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not JSON ({error}): {self:?}"))
    }
}

/// Runs a short command to its end.
pub fn finish(command: &mut Command) -> Ran {
    let _machine = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    let output = command.output().expect("prism starts");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

/// A folder with everything that a contest needs.
pub struct Contest {
    folder: TempDir,
    settings: Value,
}

impl Contest {
    /// A contest over a fresh small corpus, with `changes` laid over the suite's settings.
    pub fn new(changes: Value) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path();
        fs::create_dir(root.join("inbox")).unwrap();
        corpus::lock(root);
        let mut settings = json!({
            "inbox": root.join("inbox"),
            "outbox": root.join("outbox"),
            "corpus": {"root": root.join("corpus"), "tokenizers": repository().join("tokenizers")},
            // the tests' submissions are much alike on purpose
            "duplicates": {"policy": "off"},
            "intake": {"settle_ms": 200, "rescan_ms": 1_000},
            "budget": {"bytes": corpus::BUDGET_BYTES, "wall_clock_s": 60, "grace_s": 5},
            "held_out": {"val_bytes": corpus::VAL_BYTES, "train_tail_bytes": 4_000},
            "run": {
                "python": repository().join(".venv/bin/python"),
                "threads": 1, "referee_threads": 1, "build_s": 20, "predict_s": 20, "retry_after_s": 0,
            },
            // each replay is a process of its own; the tests of snapshots ask for some
            "audit": {"snapshots": 0},
            "sandbox": {"isolation": if has_bwrap() { "bwrap" } else { "none" }},
        });
        merge(&mut settings, &changes);
        let contest = Self { folder, settings };
        contest.write_config();
        contest.fix_the_secret();
        contest
    }

    /// The operator's secret decides which steps are probed, and how: the same one each time makes a test's verdict the
    /// same each time.
    fn fix_the_secret(&self) {
        let outbox = self.root().join("outbox");
        fs::create_dir(&outbox).unwrap();
        let secret = outbox.join(".secret");
        fs::write(&secret, [7; 32]).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Lays more settings over those in force.
    pub fn change(&mut self, changes: Value) {
        merge(&mut self.settings, &changes);
        self.write_config();
    }

    fn write_config(&self) {
        // JSON is YAML.
        let text = serde_json::to_string_pretty(&self.settings).unwrap();
        fs::write(self.config(), text).unwrap();
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn config(&self) -> PathBuf {
        self.root().join("config.yaml")
    }

    pub fn inbox(&self) -> PathBuf {
        self.root().join("inbox")
    }

    pub fn outbox(&self) -> PathBuf {
        PathBuf::from(self.settings["outbox"].as_str().unwrap())
    }

    pub fn corpus(&self) -> PathBuf {
        self.root().join("corpus")
    }

    /// Puts a submission of these two scripts into the inbox.
    pub fn submit(&self, name: &str, architecture: &str, training: &str) {
        let files = [("architecture.py", architecture), ("training.py", training)];
        self.submit_bytes(name, &zips::zip(&files));
    }

    /// Puts any bytes into the inbox.
    pub fn submit_bytes(&self, name: &str, bytes: &[u8]) {
        fs::write(self.inbox().join(name), bytes).unwrap();
    }

    /// Leaves a submission in the outbox as if the review had accepted it: the referee has to stand alone.
    pub fn pass_review(&self, name: &str, archive: &[u8]) {
        let outbox = Outbox::new(&self.outbox());
        outbox.create().unwrap();
        let id = prism::intake::submission_id("", archive);
        let sha256 = format!("{:x}", Sha256::digest(archive));
        let mut status = Status::new(&id, name, Some(&sha256), SystemTime::now());
        status.advance(State::Bundled, SystemTime::now());
        status.advance(State::Reviewed, SystemTime::now());
        status.write(&outbox).unwrap();
        fs::write(outbox.submission(&id).join("submission.zip"), archive).unwrap();
    }

    /// `prism --config FILE …`, in a folder where no relative path leads anywhere.
    pub fn prism(&self, arguments: &[&str]) -> Command {
        let mut command = prism(["--config"]);
        command.arg(self.config()).args(arguments);
        command.current_dir(self.root());
        command
    }

    /// Starts a command with its output in files, so that it never waits for us.
    pub fn start(&self, mut command: Command, label: &str) -> Started {
        let output = |kind: &str| self.root().join(format!("{label}.{kind}"));
        let file = |kind: &str| fs::File::create(output(kind)).unwrap();
        command.stdout(file("stdout")).stderr(file("stderr"));
        let child = command.stdin(Stdio::null()).spawn().expect("prism starts");
        Started {
            child,
            stdout: output("stdout"),
            stderr: output("stderr"),
        }
    }

    /// `prism run --format json` when it is this test's turn; the outbox is checked afterwards.
    pub fn run(&self) -> Ran {
        let _turn = turn();
        self.run_in_turn(self.prism(&["run", "--format", "json"]))
    }

    /// Any measuring command, by a test that holds its [`turn`].
    pub fn run_in_turn(&self, command: Command) -> Ran {
        let ran = self.start(command, "run").finish();
        outbox::check(&self.outbox(), &ran);
        ran
    }

    /// The submission of that file name.
    pub fn submission(&self, name: &str) -> Submission {
        outbox::submissions(&self.outbox())
            .into_iter()
            .find(|submission| submission.status["name"] == name)
            .unwrap_or_else(|| panic!("{name} has no folder in the outbox"))
    }
}

/// A command that runs.
pub struct Started {
    pub child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Started {
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// What it printed on stdout so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap()
    }

    /// What it printed on stderr so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// Waits until a training prints `marker`, which its log in the work folder shows.
    pub fn wait_for_log(&mut self, outbox: &Path, marker: &str) {
        wait_for(marker, LONGEST_RUN, || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!(
                    "prism ended ({status}) before {marker:?}: {}",
                    self.stderr()
                );
            }
            let runs = fs::read_dir(outbox.join(".work")).ok()?;
            runs.flatten()
                .filter_map(|run| fs::read_to_string(run.path().join("train.log")).ok())
                .find(|log| log.contains(marker))
        });
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Ran {
        let deadline = Instant::now() + LONGEST_RUN;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                panic!("prism hangs: {}{}", self.stdout(), self.stderr());
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        Ran {
            code: status.code(),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Started {
    /// A test that fails leaves nothing running.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // It may have ended in this moment.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits until `ready` gives something.
pub fn wait_for<T>(what: &str, patience: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "{what} did not happen in {patience:?}"
        );
        std::thread::sleep(Duration::from_millis(25));
    }
}

fn merge(settings: &mut Value, changes: &Value) {
    match (settings, changes) {
        (Value::Object(settings), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(settings.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (settings, changes) => *settings = changes.clone(),
    }
}
