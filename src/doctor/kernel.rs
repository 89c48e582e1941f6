//! What the kernel allows: namespaces, shared memory, file events; and whether its clock can be believed.

use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::statvfs;

use super::asked::{Answer, ask, number};
use super::{Check, Machine};
use crate::config::{Config, Isolation};

/// Folders of the inbox that are counted.
const MAX_FOLDERS: usize = 100_000;
/// As deep as the inbox is looked into.
const INBOX_DEPTH: usize = 3;
/// A machine on which nothing else watches files gets along with fewer.
const FEW_INSTANCES: u64 = 16;
/// 2026-01-01: no clock that is right shows less.
const EARLIEST_S: u64 = 1_767_225_600;
const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// Why bwrap may not make a user namespace, where it may not.
pub(super) fn user_namespaces(config: &Config, machine: &Machine, wall_stands: bool) -> Check {
    const NAME: &str = "user-namespaces";
    if config.sandbox.isolation != Isolation::Bwrap {
        let isolation = config.sandbox.isolation;
        return Check::skipped(NAME, format!("sandbox.isolation is {isolation}"));
    }
    let sys = machine.proc.join("sys");
    let most = number(&sys.join("user/max_user_namespaces"));
    let unprivileged = number(&sys.join("kernel/unprivileged_userns_clone"));
    let restricted = number(&sys.join("kernel/apparmor_restrict_unprivileged_userns"));
    let shown = |value: Option<u64>| value.map_or("absent".to_owned(), |value| value.to_string());
    let found = format!(
        "user.max_user_namespaces {}, kernel.unprivileged_userns_clone {}, kernel.apparmor_restrict_unprivileged_userns {}",
        shown(most),
        shown(unprivileged),
        shown(restricted)
    );
    if wall_stands {
        return Check::ok(NAME, format!("bwrap may make them; {found}"));
    }
    let fix = if most == Some(0) {
        "echo user.max_user_namespaces=15000 | sudo tee /etc/sysctl.d/60-prism.conf && sudo sysctl --system"
    } else if unprivileged == Some(0) {
        "echo kernel.unprivileged_userns_clone=1 | sudo tee /etc/sysctl.d/60-prism.conf && sudo sysctl --system"
    } else if restricted.is_some_and(|value| value != 0) {
        "sudo install -m 0644 packaging/apparmor/bwrap /etc/apparmor.d/bwrap && sudo apparmor_parser -r /etc/apparmor.d/bwrap"
    } else {
        // The settings allow it: something around this process does not.
        "unshare --user --map-root-user true   # a container needs --security-opt seccomp=unconfined, a systemd unit no RestrictNamespaces="
    };
    Check::failed(NAME, format!("bwrap cannot build a wall; {found}"), fix)
}

pub(super) fn shared_memory(config: &Config, machine: &Machine) -> Check {
    const NAME: &str = "shm";
    let path = machine.shm.display();
    let fix = "sudo mount -o remount,size=50% /dev/shm   # a container: --shm-size";
    let free = match statvfs(&machine.shm) {
        Ok(facts) => facts.f_bavail.saturating_mul(facts.f_frsize),
        Err(error) => return Check::failed(NAME, format!("{path}: {error}"), fix),
    };
    let needed = config.sandbox.tmp_bytes;
    let found = format!("{} free in {path}", bytes(free));
    match config.sandbox.isolation {
        Isolation::None if free < needed => Check::warning(
            NAME,
            format!("{found}; sandbox.tmp_bytes is {}", bytes(needed)),
            fix,
        ),
        Isolation::None => Check::ok(NAME, found),
        _ => Check::ok(
            NAME,
            format!("{found}; a run has its own, of {}", bytes(needed)),
        ),
    }
}

pub(super) fn inotify(config: &Config, machine: &Machine) -> Check {
    const NAME: &str = "inotify";
    let folder = machine.proc.join("sys/fs/inotify");
    let limit = |name: &str| number(&folder.join(name));
    let (Some(watches), Some(instances), Some(events)) = (
        limit("max_user_watches"),
        limit("max_user_instances"),
        limit("max_queued_events"),
    ) else {
        return Check::warning(
            NAME,
            "the kernel has no inotify: the inbox is looked at every intake.rescan_ms only",
            "lower intake.rescan_ms",
        );
    };
    let folders = walkdir::WalkDir::new(&config.inbox)
        .max_depth(INBOX_DEPTH)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_dir())
        .take(MAX_FOLDERS)
        .count() as u64;
    let found = format!(
        "{watches} watches for {folders} folders of the inbox, {instances} instances, {events} queued events"
    );
    let raise = |setting: &str, value: u64| {
        format!(
            "echo fs.inotify.{setting}={value} | sudo tee /etc/sysctl.d/60-prism-inotify.conf && sudo sysctl --system"
        )
    };
    if watches < folders.saturating_mul(2) {
        let value = folders.saturating_mul(4).max(65_536);
        return Check::warning(NAME, found, raise("max_user_watches", value));
    }
    if instances < FEW_INSTANCES {
        return Check::warning(NAME, found, raise("max_user_instances", 128));
    }
    Check::ok(NAME, found)
}

/// A clock that runs ahead or was set back changes who was first.
pub(super) fn clock(config: &Config, machine: &Machine) -> Check {
    const NAME: &str = "clock";
    let fix = "sudo timedatectl set-ntp true";
    let shown = crate::outbox::status::rfc3339(machine.now);
    let since = machine.now.duration_since(UNIX_EPOCH).unwrap_or_default();
    if since.as_secs() < EARLIEST_S {
        return Check::failed(NAME, format!("it shows {shown}"), fix);
    }
    let board = config.outbox.join("leaderboard.json");
    let written = fs::metadata(board).and_then(|facts| facts.modified());
    if let Ok(written) = written
        && written > machine.now + CLOCK_SLACK
    {
        let then = crate::outbox::status::rfc3339(written);
        return Check::warning(
            NAME,
            format!(
                "it shows {shown}, and the outbox was written at {then}: it was set back, or two machines differ"
            ),
            fix,
        );
    }
    let asked = ["show", "--property=NTPSynchronized", "--value"];
    let synchronised =
        ask(&machine.timedatectl, &asked, machine.patience).and_then(Answer::success);
    match synchronised.as_deref() {
        Ok("no") => Check::warning(NAME, format!("{shown}, not synchronised"), fix),
        Ok("yes") => Check::ok(NAME, format!("{shown}, synchronised")),
        // Nobody to ask, as in a container: the host keeps the time.
        _ => Check::ok(
            NAME,
            format!("{shown}, whether it is synchronised is not known"),
        ),
    }
}

/// For people.
pub(super) fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}
