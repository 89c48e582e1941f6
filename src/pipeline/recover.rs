//! What a prism that died left behind: processes that run on, runs that were under way, drafts. Looked for once, with the
//! outbox's lock held, so that nothing found here can belong to anybody else.

use std::fs;
use std::path::{Path, PathBuf};

use crate::gate::cache;
use crate::outbox::{Outbox, OutboxError, atomic};
use crate::referee::launch::Phase;
use crate::sandbox::process::ProcessIdentity;

/// Ends the processes of a crashed run and removes its folder and all drafts.
///
/// # Errors
/// Files that cannot be removed, and [`OutboxError::Orphan`] for a process that cannot be ended: the device may still
/// be its own, so nothing may be measured.
pub fn recover(outbox: &Outbox) -> Result<(), OutboxError> {
    let works = entries(&outbox.root.join(".work"))?;
    for work in &works {
        for folder in places(work) {
            let Some(process) = ProcessIdentity::recorded(&folder) else {
                continue;
            };
            if !process.end() {
                return Err(OutboxError::Orphan {
                    pid: process.pid,
                    path: folder,
                });
            }
        }
    }
    for work in &works {
        if work.is_dir() {
            atomic::remove_folder(work)?;
        } else {
            atomic::remove_file(work)?;
        }
    }
    let with_drafts = [
        outbox.root.clone(),
        outbox.root.join(".index"),
        outbox.root.join(cache::FOLDER),
    ];
    for folder in with_drafts {
        for path in entries(&folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(atomic::DRAFT_PREFIX) && name.ends_with(atomic::DRAFT_SUFFIX) {
                atomic::remove_file(&path)?;
            }
        }
    }
    Ok(())
}

/// Where the processes of a run are written down. No other file of the name is looked at: a submission may write some.
fn places(work: &Path) -> Vec<PathBuf> {
    let phases = [Phase::Twin, Phase::Train, Phase::HeldOut];
    let scratch = phases.map(|phase| work.join(phase.name()).join("scratch"));
    // The referee first: while it lives it could start others.
    std::iter::once(work.to_owned()).chain(scratch).collect()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, OutboxError> {
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(crate::outbox::at(folder)(error)),
    };
    let mut paths = Vec::new();
    for entry in listed {
        paths.push(entry.map_err(crate::outbox::at(folder))?.path());
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn orphans_end_and_drafts_go_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(root.path());
        outbox.create().unwrap();
        let sleeper = || Command::new("sleep").arg("1000").spawn().unwrap();
        let (mut orphan, mut stranger, mut planted) = (sleeper(), sleeper(), sleeper());
        let identity =
            |child: &std::process::Child| ProcessIdentity::of(child.id() as i32).unwrap();
        let work = outbox.work("a");
        identity(&orphan)
            .record(&work.join("train/scratch"))
            .unwrap();
        // the number of a stranger, from another time
        let mut other = identity(&stranger);
        other.started_ticks += 1;
        other.record(&work).unwrap();
        // what a submission could write
        identity(&planted)
            .record(&work.join("train/artifacts"))
            .unwrap();
        for name in [".prism-abc.tmp", "leaderboard.json", ".secret"] {
            fs::write(root.path().join(name), "").unwrap();
        }

        recover(&outbox).unwrap();

        assert!(!orphan.wait().unwrap().success());
        for child in [&mut stranger, &mut planted] {
            assert!(identity(child).is_alive());
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(!work.exists());
        let names = entries(root.path()).unwrap();
        let names: Vec<_> = names.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(names, [".private", ".secret", ".work", "leaderboard.json"]);
    }
}
