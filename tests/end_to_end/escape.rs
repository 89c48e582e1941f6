//! One submission that tries every way out that we know of (`escape.py`) and then learns honestly: none works, under
//! whatever user prism runs.

use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use walkdir::WalkDir;

use crate::contest::{Contest, has_bwrap, repository, turn};
use crate::processes::descendants;
use crate::submissions::SMALL;
use crate::zips;

const PAYLOAD: &str = include_str!("escape.py");
/// A user that owns nothing on this machine.
const ORDINARY: u32 = 65_533;
const MARKER: &str = "nobody is to change or read this";

/// The first file of a folder of the corpus.
fn shard(folder: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files.remove(0)
}

/// Puts a key where the inside would look for one; without keyrings there is nothing to find.
fn leave_a_key() {
    // SAFETY: four pointers to constants that outlive the call, and their length.
    unsafe {
        libc::syscall(
            libc::SYS_add_key,
            c"user".as_ptr(),
            c"prism-test".as_ptr(),
            MARKER.as_ptr(),
            MARKER.len(),
            -3,
        );
    }
}

/// Runs the payload, as another user if one is given, and looks at what it says and at what it left.
fn nothing_gets_out(user: Option<u32>) {
    let contest = Contest::new(json!({}));
    let root = contest.root();
    let forbidden = zips::zip(&[
        ("architecture.py", SMALL),
        ("training.py", "import os\n\n\ndef train(ctx):\n    pass\n"),
    ]);
    contest.submit_bytes("other.zip", &forbidden);
    let other = prism::intake::submission_id("", &forbidden);
    let marker = root.join("marker.txt");
    fs::write(&marker, MARKER).unwrap();
    let (ipv4, ipv6) = (
        TcpListener::bind("127.0.0.1:0"),
        TcpListener::bind("[::1]:0"),
    );
    let ipv4 = ipv4.unwrap();
    let name = format!("prism-escape-{}-{user:?}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let hidden = UnixListener::bind_addr(&address).unwrap();
    let path = UnixListener::bind(root.join("host.sock")).unwrap();
    leave_a_key();
    let left_behind = format!("left-behind-{name}");
    let pid = std::process::id();
    let targets = json!({
        "port4": ipv4.local_addr().unwrap().port(),
        // a machine without IPv6 has nothing to reach by it
        "port6": ipv6.as_ref().map_or(9, |listener| listener.local_addr().unwrap().port()),
        "abstract": name,
        "socket": root.join("host.sock"),
        "root": root,
        "marker": marker,
        "other": contest.outbox().join(&other),
        "val": shard(&root.join("corpus/val")),
        "train": shard(&root.join("corpus/train")),
        "secret": contest.outbox().join(".secret"),
        // small numbers are somebody else's inside
        "pid": if pid > 2_000 { pid } else { 4_194_000 },
        "left_behind": left_behind,
    });
    let payload = PAYLOAD.replace("TARGETS = {}", &format!("TARGETS = {targets}"));
    let files = [("architecture.py", SMALL), ("training.py", &*payload)];
    contest.pass_review("escape.zip", &zips::zip(&files));
    let mut command = contest.prism(&["run", "--format", "json"]);
    if let Some(user) = user {
        for entry in WalkDir::new(root) {
            std::os::unix::fs::lchown(entry.unwrap().path(), Some(user), Some(user)).unwrap();
        }
        command.uid(user).gid(user);
    }
    let turn = turn();
    let ran = contest.run_in_turn(command);
    drop(turn);
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let submission = contest.submission("escape.zip");
    assert_eq!(submission.state(), "scored", "{:#}", submission.status);
    let log = submission.log();
    let escaped: Vec<&str> = log
        .lines()
        .filter(|line| line.starts_with("ESCAPED"))
        .collect();
    assert!(escaped.is_empty(), "{escaped:#?}\n{log}");
    let held = log.lines().filter(|line| line.starts_with("held ")).count();
    assert!(held > 70, "{held} attempts: {log}");
    let isolation = submission.manifest()["isolation"].clone();
    assert_eq!(isolation["score_eligible"], true, "{isolation:#}");

    assert_eq!(fs::read_to_string(&marker).unwrap(), MARKER);
    for listener in [&hidden, &path] {
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "somebody came");
    }
    for listener in [Some(&ipv4), ipv6.as_ref().ok()].into_iter().flatten() {
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "somebody came");
    }
    let everybody = descendants(1);
    let left: Vec<_> = everybody
        .iter()
        .filter(|process| process.command.contains(&left_behind))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    for entry in WalkDir::new(root).follow_links(false) {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(
            !name.contains("prism-was-here"),
            "{}",
            entry.path().display()
        );
    }
}

#[test]
fn nothing_that_a_submission_tries_gets_out() {
    if has_bwrap() {
        nothing_gets_out(None);
    }
}

/// Whether an ordinary user can do on this machine what a run needs: read the environment and build a wall.
fn why_not_as_an_ordinary_user() -> Option<&'static str> {
    let as_user = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).uid(ORDINARY).gid(ORDINARY);
        command.current_dir("/");
        command.output().is_ok_and(|output| output.status.success())
    };
    let python = repository().join(".venv/bin/python");
    let prism = Path::new(env!("CARGO_BIN_EXE_prism"));
    let wall = [
        "--unshare-all",
        "--unshare-user",
        "--ro-bind",
        "/",
        "/",
        "true",
    ];
    let tokenizers = repository().join("tokenizers");
    if rustix::process::getuid().as_raw() != 0 {
        return Some(
            "the tests are not run by root, so the other test has had an ordinary user already",
        );
    }
    if !as_user(prism, &["--version"]) || !as_user(&python, &["-c", "import torch"]) {
        return Some("it may not start prism or the Python environment");
    }
    if !as_user(Path::new("/bin/ls"), &[&tokenizers.to_string_lossy()]) {
        return Some("it may not read the tokenizers");
    }
    (!as_user(Path::new("bwrap"), &wall)).then_some("bubblewrap does not work for it")
}

#[test]
fn nothing_gets_out_of_the_hands_of_an_ordinary_user_either() {
    if !has_bwrap() {
        return;
    }
    match why_not_as_an_ordinary_user() {
        None => nothing_gets_out(Some(ORDINARY)),
        Some(why) => eprintln!("NOT TESTED as user {ORDINARY}: {why}"),
    }
}
