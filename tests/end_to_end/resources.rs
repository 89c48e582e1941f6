//! The wall's limits, each broken by a payload that knows how it is measured: most of them plain Python behind the real
//! wall, three as submissions.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use prism::sandbox::{self, Breach, Command, Isolation, Limits, Mount, python};

use serde_json::json;

use crate::contest::{Contest, alone, has_bwrap, repository, turn, wait_for};
use crate::submissions::{SMALL, training, training_with};
use crate::zips;

const MIB: u64 = 1 << 20;

/// A wall with small limits around one script; `artifacts` is its working folder.
fn wall(root: &Path, script: &str) -> Command {
    let artifacts = root.join("artifacts");
    let scratch = root.join("scratch");
    for folder in [&artifacts, &scratch] {
        fs::create_dir_all(folder).unwrap();
    }
    let script = format!("import os, time\nos.chdir('/prism/artifacts')\n{script}");
    Command {
        isolation: Isolation::Bwrap,
        image: None,
        python: python::discover(&repository().join(".venv/bin/python")).unwrap(),
        arguments: vec!["-I".into(), "-c".into(), script.into()],
        environment: BTreeMap::new(),
        mounts: vec![Mount {
            host: artifacts.clone(),
            inside: "/prism/artifacts".into(),
            writable: true,
        }],
        scratch,
        artifacts,
        limits: Limits {
            memory_bytes: 192 * MIB,
            processes: 24,
            open_files: 256,
            artifacts_bytes: 32 * MIB,
            tmp_bytes: 512 * MIB,
            log_bytes: 10_000,
            limit_address_space: true,
        },
        cuda: false,
        log: root.join("log"),
    }
}

/// What ended a payload that sleeps for ever once it has what it wanted.
fn breach_of(name: &str, script: &str) -> Breach {
    let folder = tempfile::tempdir().unwrap();
    let command = wall(folder.path(), &format!("{script}\ntime.sleep(600)"));
    let running = sandbox::start(&command).unwrap();
    let begun = Instant::now();
    while running.ended().is_none() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{name}: nothing ended it"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    let ended = running.finish(Duration::ZERO);
    let log = fs::read_to_string(&command.log).unwrap_or_default();
    ended
        .breach
        .unwrap_or_else(|| panic!("{name}: no breach, {ended:?}: {log}"))
}

#[test]
fn memory_counts_wherever_it_lies() {
    if !has_bwrap() {
        return;
    }
    let _turn = turn();
    let cases = [
        ("private", "block = bytearray(300 << 20)"),
        (
            "shared and anonymous",
            "import mmap\nblock = mmap.mmap(-1, 300 << 20)\nfor place in range(0, 300 << 20, 4096):\n    block[place] = 1",
        ),
        (
            "a file in memory that nobody maps",
            "memory = os.memfd_create('x')\nfor _ in range(300):\n    os.write(memory, bytes(1 << 20))",
        ),
        (
            "files in /dev/shm",
            "with open('/dev/shm/x', 'wb') as file:\n    for _ in range(300):\n        file.write(bytes(1 << 20))",
        ),
        (
            "files in /tmp, deleted and open",
            "file = open('/tmp/x', 'wb')\nos.unlink('/tmp/x')\nfor _ in range(300):\n    file.write(bytes(1 << 20))",
        ),
        (
            "a little in each of many processes",
            "for _ in range(12):\n    if os.fork() == 0:\n        block = bytearray(b'x' * (25 << 20))\n        time.sleep(600)",
        ),
    ];
    for (name, script) in cases {
        let breach = breach_of(name, script);
        assert!(matches!(breach, Breach::Memory { .. }), "{name}: {breach}");
    }
}

/// What forks share is one memory: six processes that see the same 100 MiB hold 100, not 600.
#[test]
fn memory_that_forks_share_counts_once() {
    if !has_bwrap() {
        return;
    }
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let script = "
block = bytearray(b'x' * (100 << 20))
children = []
for _ in range(5):
    child = os.fork()
    if child == 0:
        # long enough for several looks
        time.sleep(3)
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
print('all done')";
    let command = wall(folder.path(), script);
    let ended = sandbox::start(&command)
        .unwrap()
        .finish(Duration::from_secs(60));
    let log = fs::read_to_string(&command.log).unwrap_or_default();
    assert_eq!((ended.code, ended.breach), (Some(0), None), "{log}");
    assert!(log.contains("all done"), "{log}");
}

#[test]
fn the_artifacts_quota_counts_what_no_folder_shows() {
    if !has_bwrap() {
        return;
    }
    let _turn = turn();
    let cases = [
        (
            "plain files",
            "for name in 'abcd':\n    with open(name, 'wb') as file:\n        file.write(bytes(10 << 20))",
        ),
        (
            "deleted files that are still open",
            "held = []\nfor name in 'abcd':\n    file = open(name, 'wb', buffering=0)\n    os.unlink(name)\n    file.write(bytes(10 << 20))\n    held.append(file)",
        ),
        (
            "below a path too long to follow",
            "for _ in range(1200):\n    os.mkdir('folder')\n    os.chdir('folder')\nopen('file', 'wb').write(bytes(1 << 20))",
        ),
    ];
    for (name, script) in cases {
        let breach = breach_of(name, script);
        assert!(
            matches!(breach, Breach::Artifacts { .. }),
            "{name}: {breach}"
        );
    }
}

#[test]
fn a_fork_bomb_ends_and_takes_its_children_along() {
    if !has_bwrap() {
        return;
    }
    let _turn = turn();
    let _alone = alone();
    let bomb =
        "while True:\n    try:\n        os.fork()\n    except OSError:\n        time.sleep(0.01)";
    let breach = breach_of("fork bomb", bomb);
    // Its children share most of their memory, which counts for each of them: either limit may come first.
    assert!(
        matches!(breach, Breach::Processes { .. } | Breach::Memory { .. }),
        "{breach}"
    );
}

#[test]
fn a_paused_tree_does_nothing_until_it_is_let_go() {
    if !has_bwrap() {
        return;
    }
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    // The first thread of the child ends: /proc calls the process dead while its other thread counts on.
    let script = "
import ctypes, threading
def count():
    while True:
        with open('count', 'ab', buffering=0) as file:
            file.write(b'x')
        time.sleep(0.001)
if os.fork() == 0:
    threading.Thread(target=count).start()
    ctypes.CDLL(None).pthread_exit(None)
print('x' * 100_000, flush=True)
time.sleep(600)";
    let command = wall(folder.path(), script);
    let running = sandbox::start(&command).unwrap();
    let counter = command.artifacts.join("count");
    let counted = || fs::metadata(&counter).map_or(0, |file| file.len());
    let grows = |from: u64| (counted() > from + 20).then_some(());
    wait_for("the counting", Duration::from_secs(20), || grows(0));
    assert!(running.pause());
    let at_rest = counted();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(counted(), at_rest, "it counts on");
    running.resume();
    wait_for("more counting", Duration::from_secs(20), || grows(at_rest));
    // A tree at rest is ended like any other.
    assert!(running.pause());
    let ended = running.finish(Duration::ZERO);
    assert_eq!((ended.code, ended.breach), (None, None), "{ended:?}");
    let log = fs::metadata(&command.log).unwrap().len();
    assert!((10_000..10_200).contains(&log), "{log} bytes of log");
}

/// Takes shared memory that no process maps while it trains.
const MEMORY_BOMB: &str = "\
if step == 2:
    import os
    for _ in range(4):
        memory = os.memfd_create('x')
        for _ in range(900):
            os.write(memory, bytes(1 << 20))";

/// Fills artifacts_dir with files that have no name any more.
const DISK_BOMB: &str = "\
if step == 2:
    held = []
    for number in range(100):
        path = f'{ctx.artifacts_dir}/{number}'
        held.append(open(path, 'wb', buffering=0))
        __import__('os').unlink(path)
        held[-1].write(bytes(1 << 20))
    __import__('time').sleep(600)";

/// Eats all processors from the moment that the twin stands; the training and the held-out process are honest.
const BUSY_TWIN: &str = "
import os


def build_model(ctx):
    if 'RANK' not in os.environ and 'weights' not in os.listdir('/prism'):
        for _ in range(2):
            if os.fork() == 0:
                while True:
                    pass
    return Small(ctx.vocab_size)
";

#[test]
fn what_a_submission_does_to_the_machine_is_its_own_fault() {
    if !has_bwrap() {
        return;
    }
    let contest = Contest::new(json!({
        "sandbox": {"artifacts_bytes": 32 * MIB, "memory_bytes": 2_048 * MIB},
        "run": {"startup_s": 40},
    }));
    let pass = |name: &str, architecture: &str, training: &str| {
        let files = [("architecture.py", architecture), ("training.py", training)];
        contest.pass_review(name, &zips::zip(&files));
    };
    let with = |in_loop| training_with(4, 64, "bytes", "", in_loop);
    pass("memory.zip", SMALL, &with(MEMORY_BOMB));
    pass("disk.zip", SMALL, &with(DISK_BOMB));
    let honest = SMALL.split("\n\ndef build_model").next().unwrap();
    pass("twin.zip", &format!("{honest}\n{BUSY_TWIN}"), &training());
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for (name, rule_id) in [
        ("memory.zip", "prism:resource-oom"),
        ("disk.zip", "prism:artifacts-quota"),
    ] {
        let submission = contest.submission(name);
        assert_eq!(
            (submission.state(), submission.rule_id()),
            ("failed", rule_id),
            "{:#}",
            submission.status
        );
        assert_eq!(submission.status["attempts"], 1, "{name}");
    }
    // It was stopped while the training started; then it had its turn, alone.
    let twin = contest.submission("twin.zip");
    assert_eq!(twin.state(), "scored", "{:#}", twin.status);
    assert_eq!(twin.flags(), [""; 0]);
}
