//! Where prism reads and writes: disk, corpus, inbox, outbox and its lock.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{Access, access, statfs, statvfs};

use super::Check;
use super::kernel::bytes;
use crate::config::Config;
use crate::outbox::{Outbox, lock};
use crate::pipeline::corpus_is_proven;

/// Below this nothing can be concluded.
const LEAST_BYTES: u64 = 256 << 20;
/// A submission has about fifteen files.
const LEAST_FILES: u64 = 10_000;

/// File systems whose locks may not reach other hosts, and whose events do not come: nfs, cifs, smb2, fuse, 9p, ceph.
const SHARED: [(u64, &str); 6] = [
    (0x6969, "nfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "ceph"),
];

fn shared(path: &Path) -> Option<&'static str> {
    let kind = statfs(path).ok()?.f_type as u64 & 0xffff_ffff;
    let known = SHARED.iter().find(|(magic, _)| *magic == kind)?;
    Some(known.1)
}

/// The folder itself, or the first above it that is there.
fn existing(path: &Path) -> &Path {
    path.ancestors()
        .find(|folder| !folder.as_os_str().is_empty() && folder.exists())
        .unwrap_or(Path::new("."))
}

pub(super) fn disk(config: &Config) -> Check {
    const NAME: &str = "disk";
    let place = existing(&config.outbox);
    let facts = match statvfs(place) {
        Ok(facts) => facts,
        Err(error) => {
            return Check::failed(
                NAME,
                format!("{}: {error}", place.display()),
                format!("df {}", place.display()),
            );
        }
    };
    let free = facts.f_bavail.saturating_mul(facts.f_frsize);
    let needed = config.sandbox.artifacts_bytes.saturating_add(LEAST_BYTES);
    let found = format!("{} free for the outbox", bytes(free));
    let fix = "prism prune runs --keep 1000   # shows what would go; --apply does it";
    if free < LEAST_BYTES {
        return Check::failed(NAME, found, fix);
    }
    if free < needed {
        let found = format!("{found}; a run may take {}", bytes(needed));
        return Check::warning(NAME, found, fix);
    }
    // File systems without a table of inodes show none.
    if facts.f_files > 0 && facts.f_favail < LEAST_FILES {
        let found = format!("{found}, and only {} inodes", facts.f_favail);
        return Check::warning(NAME, found, fix);
    }
    Check::ok(NAME, found)
}

pub(super) fn corpus(config: &Config) -> Check {
    const NAME: &str = "corpus";
    let root = config.corpus.root.display();
    match corpus_is_proven(config) {
        Ok(()) => Check::ok(NAME, format!("{root} is locked and proven")),
        Err(error) => {
            let fix = if config.corpus.root.join("MANIFEST.json").exists() {
                format!("prism data verify {root}")
            } else {
                format!("prism data lock --output {root} SOURCE...")
            };
            Check::failed(NAME, error.to_string(), fix)
        }
    }
}

pub(super) fn inbox(config: &Config) -> Check {
    const NAME: &str = "inbox";
    let inbox = &config.inbox;
    let shown = inbox.display();
    if !inbox.is_dir() {
        return Check::failed(
            NAME,
            format!("{shown} is no folder"),
            format!("mkdir -p {shown}"),
        );
    }
    if let Err(error) = access(inbox, Access::READ_OK | Access::EXEC_OK) {
        return Check::failed(
            NAME,
            format!("{shown} cannot be read: {error}"),
            format!("chmod u+rx {shown}   # or chown it to the user that runs prism"),
        );
    }
    match shared(inbox) {
        Some(kind) => Check::ok(
            NAME,
            format!(
                "{shown}, on {kind}: changes made on other hosts are seen every intake.rescan_ms"
            ),
        ),
        None => Check::ok(NAME, format!("{shown} can be read")),
    }
}

/// Folders and files that nobody but prism may read, with their mode.
const PRIVATE: [(&str, u32); 3] = [(".secret", 0o600), (".private", 0o700), (".work", 0o700)];

pub(super) fn outbox(config: &Config) -> Check {
    const NAME: &str = "outbox";
    let outbox = &config.outbox;
    let place = existing(outbox);
    let shown = place.display();
    if let Err(error) = access(place, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        return Check::failed(
            NAME,
            format!("{shown} cannot be written: {error}"),
            format!("chmod u+rwx {shown}   # or chown it to the user that runs prism"),
        );
    }
    if place != outbox {
        return Check::ok(
            NAME,
            format!("{} is made by the first run", outbox.display()),
        );
    }
    for (name, most) in PRIVATE {
        let path = outbox.join(name);
        let Ok(facts) = fs::symlink_metadata(&path) else {
            continue;
        };
        let mode = facts.permissions().mode() & 0o777;
        if mode & !most != 0 {
            return Check::failed(
                NAME,
                format!(
                    "{} has mode {mode:03o}, expected {most:03o}",
                    path.display()
                ),
                format!("chmod {most:03o} {}", path.display()),
            );
        }
    }
    Check::ok(NAME, format!("{shown} can be written"))
}

pub(super) fn lock(config: &Config) -> Check {
    const NAME: &str = "lock";
    let outbox = Outbox::new(&config.outbox);
    let found = match lock::holder(&outbox) {
        Ok(Some(holder)) => format!("held by {holder}"),
        Ok(None) => "free".to_owned(),
        Err(error) => {
            return Check::failed(
                NAME,
                error.to_string(),
                format!("chmod u+rw {}/.lock", outbox.root.display()),
            );
        }
    };
    match shared(existing(&config.outbox)) {
        Some(kind) => Check::warning(
            NAME,
            format!("{found}; the outbox is on {kind}, where a lock may not reach other hosts"),
            "let one host work on this outbox, or put it on a local disk",
        ),
        None => Check::ok(NAME, found),
    }
}
