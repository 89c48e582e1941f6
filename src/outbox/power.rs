//! What a power failure leaves of the disk: only what was synced. For crash tests (`power:N` of [`super::fault`]).
//!
//! While such a fault is armed, every change of the disk is remembered until the sync that makes it last: a file's content
//! until the file is synced, a new name, a rename or a removal until the folder is. When the power fails, what is still
//! remembered is undone, the last change first. Real disks may keep some of it; that all of it is lost is the one extreme,
//! and a plain kill, which loses none, is the other.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One change that is not on the disk yet.
#[derive(Debug)]
enum Change {
    /// Bytes that only the kernel has.
    Content(PathBuf),
    /// A new file or folder.
    Entry(PathBuf),
    Rename {
        from: PathBuf,
        to: PathBuf,
        /// Where the file that was replaced is kept.
        replaced: Option<PathBuf>,
    },
    /// Something that was removed, and where it is kept.
    Removal { path: PathBuf, kept: PathBuf },
}

static ARMED: AtomicBool = AtomicBool::new(false);
static CHANGES: Mutex<Vec<Change>> = Mutex::new(Vec::new());
static KEPT: AtomicU64 = AtomicU64::new(0);

/// From now on changes are remembered.
pub fn arm() {
    ARMED.store(true, Ordering::SeqCst);
}

/// A file was made.
pub fn created(path: &Path) {
    remember([
        Change::Entry(path.to_owned()),
        Change::Content(path.to_owned()),
    ]);
}

/// A folder was made.
pub fn folder_created(path: &Path) {
    remember([Change::Entry(path.to_owned())]);
}

/// A file was synced: its content lasts.
pub fn synced(path: &Path) {
    change(|changes| {
        changes.retain(|change| !matches!(change, Change::Content(there) if there == path));
    });
}

/// Before `to` is replaced: where what is there is kept, if anything is.
pub fn keep(to: &Path) -> Option<PathBuf> {
    if !ARMED.load(Ordering::SeqCst) || !to.is_file() {
        return None;
    }
    let kept = place()?;
    fs::copy(to, &kept).ok()?;
    Some(kept)
}

/// A file or folder has another name.
pub fn renamed(from: &Path, to: &Path, replaced: Option<PathBuf>) {
    remember([Change::Rename {
        from: from.to_owned(),
        to: to.to_owned(),
        replaced,
    }]);
}

/// Removes by moving out of the way, so that it can come back. False: nobody asked for that, it is to be removed.
pub fn removed(path: &Path) -> bool {
    if !ARMED.load(Ordering::SeqCst) {
        return false;
    }
    let Some(kept) = place().filter(|kept| fs::rename(path, kept).is_ok()) else {
        return false;
    };
    remember([Change::Removal {
        path: path.to_owned(),
        kept,
    }]);
    true
}

/// A folder was synced: names in it last.
pub fn folder_synced(folder: &Path) {
    change(|changes| settle(changes, folder));
}

/// Undoes what is not on the disk.
pub fn fail() {
    change(|changes| {
        for change in changes.drain(..).rev() {
            undo(&change);
        }
    });
}

fn settle(changes: &mut Vec<Change>, folder: &Path) {
    let is_in = |path: &Path| path.parent() == Some(folder);
    let mut index = 0;
    while let Some(change) = changes.get(index) {
        let lasts = match change {
            Change::Content(_) => false,
            Change::Entry(path) | Change::Removal { path, .. } => is_in(path),
            Change::Rename { to, .. } => is_in(to),
        };
        if !lasts {
            index += 1;
            continue;
        }
        if let Change::Rename { from, to, .. } = changes.remove(index) {
            // The name that lasts is the only one that the thing has; what happened below the old one has the new one now.
            let before = changes.len();
            let mut place = 0;
            changes.retain(|change| {
                place += 1;
                !(place <= index && matches!(change, Change::Entry(path) if *path == from))
            });
            index -= before - changes.len();
            for earlier in changes.iter_mut().take(index) {
                earlier.moved(&from, &to);
            }
        }
    }
}

impl Change {
    fn moved(&mut self, from: &Path, to: &Path) {
        let paths = match self {
            Self::Content(path) | Self::Entry(path) | Self::Removal { path, .. } => vec![path],
            Self::Rename {
                from: old, to: new, ..
            } => vec![old, new],
        };
        for path in paths {
            if let Ok(rest) = path.strip_prefix(from) {
                *path = if rest.as_os_str().is_empty() {
                    to.to_owned()
                } else {
                    to.join(rest)
                };
            }
        }
    }
}

fn undo(change: &Change) {
    // What a later change took away is not there to be undone.
    let _ = match change {
        Change::Content(path) => File::options()
            .write(true)
            .truncate(true)
            .open(path)
            .map(drop),
        Change::Entry(path) if path.is_dir() => fs::remove_dir_all(path),
        Change::Entry(path) => fs::remove_file(path),
        Change::Rename { from, to, replaced } => {
            let back = fs::rename(to, from);
            match replaced {
                Some(kept) => fs::copy(kept, to).map(drop),
                None => back,
            }
        }
        Change::Removal { path, kept } => fs::rename(kept, path),
    };
}

/// A free name outside of every outbox, on a file system that a rename may reach.
fn place() -> Option<PathBuf> {
    let folder = std::env::temp_dir().join(format!("prism-power-{}", std::process::id()));
    fs::create_dir_all(&folder).ok()?;
    Some(folder.join(KEPT.fetch_add(1, Ordering::SeqCst).to_string()))
}

fn remember<const N: usize>(new: [Change; N]) {
    change(|changes| changes.extend(new));
}

fn change(act: impl FnOnce(&mut Vec<Change>)) {
    if !ARMED.load(Ordering::SeqCst) {
        return;
    }
    let mut changes = CHANGES
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    act(&mut changes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str) -> Change {
        Change::Entry(path.into())
    }

    #[test]
    fn a_folder_that_is_synced_keeps_its_names_and_not_those_below() {
        let mut changes = vec![
            entry("/o/drafts/x"),
            entry("/o/drafts/x/a"),
            Change::Content("/o/drafts/x/a".into()),
            Change::Rename {
                from: "/o/drafts/x".into(),
                to: "/o/x".into(),
                replaced: None,
            },
        ];
        settle(&mut changes, Path::new("/o"));
        let left = format!("{changes:?}");
        assert_eq!(left, "[Entry(\"/o/x/a\"), Content(\"/o/x/a\")]");
        settle(&mut changes, Path::new("/o/x"));
        assert_eq!(format!("{changes:?}"), "[Content(\"/o/x/a\")]");
    }

    #[test]
    fn what_was_not_synced_is_undone_last_change_first() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::write(at("status"), "new").unwrap();
        fs::write(at("old"), "old").unwrap();
        fs::write(at("kept"), "removed").unwrap();
        fs::create_dir(at("folder")).unwrap();
        let changes = [
            Change::Entry(at("folder")),
            Change::Entry(at("draft")),
            Change::Content(at("draft")),
            Change::Rename {
                from: at("draft"),
                to: at("status"),
                replaced: Some(at("old")),
            },
            Change::Removal {
                path: at("gone"),
                kept: at("kept"),
            },
        ];
        for change in changes.iter().rev() {
            undo(change);
        }
        assert_eq!(fs::read_to_string(at("status")).unwrap(), "old");
        assert_eq!(fs::read_to_string(at("gone")).unwrap(), "removed");
        assert!(!at("draft").exists() && !at("folder").exists());
    }
}
