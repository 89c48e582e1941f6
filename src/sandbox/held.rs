//! What a tree holds that no folder and no process's own memory shows: private tmpfs, files that live in memory only, and
//! deleted files that are still open.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use rustix::fs::{MemfdFlags, memfd_create, statvfs};

/// More open files than this in one tree are over any sensible need of a training run, and too many to look at.
const MAX_OPEN_FILES: usize = 100_000;

/// Sums over the open files of a tree; a file that several processes hold counts once.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// memfds, mapped or not.
    pub memory_bytes: u64,
    /// Deleted files on a disk.
    pub deleted_bytes: u64,
}

/// The private filesystems in memory of a walled tree.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Tmpfs {
    pub used_bytes: u64,
    devices: Vec<u64>,
}

/// Looks at `/tmp` and `/dev/shm` as the processes inside see them. They are known by the size that we gave them: until the
/// wall stands, its processes see the host's.
pub(super) fn tmpfs(members: &[i32], size_bytes: u64) -> Tmpfs {
    // Innermost first, and on to the next: one that is just ending has no root any more.
    members
        .iter()
        .rev()
        .map(|&member| tmpfs_of(member, size_bytes))
        .find(|found| !found.devices.is_empty())
        .unwrap_or_default()
}

fn tmpfs_of(member: i32, size_bytes: u64) -> Tmpfs {
    let mut found = Tmpfs::default();
    for place in ["tmp", "dev/shm"] {
        let path = format!("/proc/{member}/root/{place}");
        let (Ok(size), Ok(metadata)) = (statvfs(path.as_str()), fs::metadata(&path)) else {
            continue;
        };
        if size.f_blocks != size_bytes.div_ceil(size.f_frsize.max(1)) {
            continue;
        }
        found.used_bytes += size.f_blocks.saturating_sub(size.f_bfree) * size.f_frsize;
        found.devices.push(metadata.dev());
    }
    found
}

/// Looks at every open file of a tree; none if there are too many. Files on `tmpfs` are in its own sum.
pub(super) fn held(members: &[i32], tmpfs: &Tmpfs) -> Option<Held> {
    let mut held = Held::default();
    let mut known: HashSet<(u64, u64)> = HashSet::new();
    let mut looked_at = 0;
    let memory = memory_device();
    for pid in members {
        // Gone, or one that hides what it holds from its own user: then only its memory is counted.
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            continue;
        };
        for entry in entries.flatten() {
            looked_at += 1;
            if looked_at > MAX_OPEN_FILES {
                return None;
            }
            // Through the link of /proc, whatever its text says: the open file itself.
            let Ok(file) = fs::metadata(entry.path()) else {
                continue;
            };
            let place = (file.dev(), file.ino());
            if file.nlink() > 0 || !file.is_file() || !known.insert(place) {
                continue;
            }
            let bytes = file.blocks() * 512;
            if Some(file.dev()) == memory {
                held.memory_bytes += bytes;
            } else if !tmpfs.devices.contains(&file.dev()) {
                held.deleted_bytes += bytes;
            }
        }
    }
    Some(held)
}

/// The device that all memfds lie on, asked of one of our own: a name can be anybody's, "/memfd:" too.
fn memory_device() -> Option<u64> {
    static DEVICE: OnceLock<Option<u64>> = OnceLock::new();
    *DEVICE.get_or_init(|| {
        let own = memfd_create("prism-device", MemfdFlags::CLOEXEC).ok()?;
        Some(fs::File::from(own).metadata().ok()?.dev())
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process;

    use super::*;

    #[test]
    fn what_only_a_descriptor_holds_is_seen() {
        let me = [process::id() as i32];
        let mut memory = fs::File::from(memfd_create("test", MemfdFlags::CLOEXEC).unwrap());
        memory.write_all(&vec![1; 3 << 20]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deleted");
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(&vec![1; 2 << 20]).unwrap();
        file.sync_all().unwrap();
        fs::remove_file(&path).unwrap();
        // Other tests of this process have files of their own: at least ours must be seen.
        let now = held(&me, &Tmpfs::default()).unwrap();
        assert!(now.memory_bytes >= 3 << 20, "{now:?}");
        assert!(now.deleted_bytes >= 2 << 20, "{now:?}");
        let here = Tmpfs {
            used_bytes: 0,
            devices: vec![file.metadata().unwrap().dev()],
        };
        let elsewhere = held(&me, &here).unwrap();
        assert!(elsewhere.deleted_bytes < now.deleted_bytes, "{elsewhere:?}");
    }

    #[test]
    fn a_tmpfs_that_is_not_ours_is_not_counted() {
        let me = [process::id() as i32];
        assert_eq!(tmpfs(&me, 12_345), Tmpfs::default());
        assert_eq!(tmpfs(&[], 1 << 30), Tmpfs::default());
    }
}
