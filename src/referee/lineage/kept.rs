//! Checkpoints that were accepted in the middle of a run: copied out while every process inside stands still. They are
//! data of the sandbox: sizes and digests are taken, nothing is opened.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::digest::{file_digest, hex};
use crate::outbox::fault::{self, Step};
use crate::referee::checkpoint::Checkpoint;
use crate::referee::stop::Stop;
use crate::referee::v1_outcome::refused;
use crate::signing::digest_list::Entry;

/// A checkpoint in the lineage's folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptCheckpoint {
    /// Batches that it was trained on.
    pub step: u32,
    pub attempt: u32,
    pub accepted: Checkpoint,
    /// Every file of its folder.
    pub files: Vec<Entry>,
    /// RFC 3339.
    pub created_at: String,
    /// The submission's own time until then, in seconds: the clock goes on from here.
    pub spent_s: f64,
    /// Part of it that the referee worked, in seconds.
    pub referee_s: f64,
}

impl KeptCheckpoint {
    /// sha256 of the checkpoint's own file.
    pub fn sha256(&self) -> &str {
        let path = &self.accepted.hook_return.path;
        let own = self.files.iter().find(|file| file.path == *path);
        own.map_or("", |file| &file.sha256)
    }

    /// Whether every file is there as it was accepted, and no other.
    pub fn is_whole(&self, lineage: &Path) -> bool {
        let folder = checkpoint_folder(lineage, self.step);
        let found = walkdir::WalkDir::new(&folder).min_depth(1).into_iter();
        let Ok(found) = found.collect::<Result<Vec<_>, _>>() else {
            return false;
        };
        let files = found.iter().filter(|entry| !entry.file_type().is_dir());
        files.count() == self.files.len()
            && self.files.iter().all(|entry| {
                let path = folder.join(&entry.path);
                let metadata = fs::symlink_metadata(&path);
                metadata.is_ok_and(|file| file.is_file() && file.len() == entry.bytes)
                    && file_digest(&path).is_ok_and(|digest| digest == entry.sha256)
            })
    }
}

/// Where the checkpoint after `step` batches lies.
pub fn checkpoint_folder(lineage: &Path, step: u32) -> PathBuf {
    lineage.join(format!("checkpoint-{step}"))
}

/// Copies the regular files below `from` into the new folder `to`, and syncs them. At most `max_bytes`.
///
/// # Errors
/// `prism:checkpoint` for what cannot be read, infrastructure for what cannot be written.
pub fn copy_out(from: &Path, to: &Path, max_bytes: u64) -> Result<Vec<Entry>, Stop> {
    let ours = |error: std::io::Error| Stop::io("a copy of the checkpoint")(error);
    fault::step(Step::CreateFolder, to)
        .and_then(|()| fs::create_dir(to))
        .map_err(ours)?;
    let mut files = Vec::new();
    let mut left = max_bytes;
    let walk = walkdir::WalkDir::new(from)
        .min_depth(1)
        .sort_by_file_name()
        .follow_links(false);
    for found in walk {
        let found = found.map_err(|_| refused("it cannot be read".to_owned()))?;
        let relative = found.path().strip_prefix(from).unwrap_or(found.path());
        let name = relative
            .to_str()
            .ok_or_else(|| refused("a file's name is no text".to_owned()))?;
        let copy = to.join(relative);
        if found.file_type().is_dir() {
            fs::create_dir(&copy).map_err(ours)?;
            continue;
        }
        let source = open(found.path()).map_err(|error| refused(format!("{name}: {error}")))?;
        let (bytes, sha256) = copy_file(source, &copy, left)?;
        left -= bytes;
        files.push(Entry {
            path: name.to_owned(),
            bytes,
            sha256,
        });
    }
    Ok(files)
}

/// Never through a link, never waiting for a pipe.
fn open(from: &Path) -> std::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = File::from(rustix::fs::open(from, flags, Mode::empty())?);
    if !source.metadata()?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    Ok(source)
}

fn copy_file(source: File, to: &Path, max_bytes: u64) -> Result<(u64, String), Stop> {
    let ours = |error: std::io::Error| Stop::io("a copy of the checkpoint")(error);
    let mut copy = fault::step(Step::Create, to)
        .and_then(|()| File::create_new(to))
        .map_err(ours)?;
    let mut source = source.take(max_bytes.saturating_add(1));
    let mut hash = Sha256::new();
    let mut bytes = 0;
    let mut piece = vec![0; 1 << 20];
    loop {
        let count = source
            .read(&mut piece)
            .map_err(|error| refused(error.to_string()))?;
        if count == 0 {
            break;
        }
        bytes += count as u64;
        if bytes > max_bytes {
            return Err(refused("it grew while it was copied".to_owned()).into());
        }
        hash.update(&piece[..count]);
        copy.write_all(&piece[..count]).map_err(ours)?;
    }
    fault::step(Step::Sync, to)
        .and_then(|()| copy.sync_all())
        .map_err(ours)?;
    Ok((bytes, hex(&hash.finalize())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule_of(result: Result<Vec<Entry>, Stop>) -> String {
        match result {
            Err(Stop::Fault(fault)) => fault.rule_id,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn regular_files_are_copied_with_their_digests() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("current"), root.path().join("copy"));
        fs::create_dir_all(from.join("deep")).unwrap();
        fs::write(from.join("deep/a.pt"), "1234").unwrap();
        fs::write(from.join("b.pt"), "").unwrap();
        let files = copy_out(&from, &to, 4).unwrap();
        let entry = |path, content: &[u8]| crate::signing::digest_list::entry_of(path, content);
        assert_eq!(files, [entry("b.pt", b""), entry("deep/a.pt", b"1234")]);
        assert_eq!(fs::read(to.join("deep/a.pt")).unwrap(), b"1234");
        fs::remove_dir_all(&to).unwrap();
        assert_eq!(rule_of(copy_out(&from, &to, 3)), "prism:checkpoint");
    }

    #[test]
    fn what_cannot_be_read_is_the_submission_s_affair_and_what_cannot_be_written_is_ours() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("current"), root.path().join("copy"));
        fs::create_dir(&from).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", from.join("a.pt")).unwrap();
        assert_eq!(rule_of(copy_out(&from, &to, 99)), "prism:checkpoint");
        assert!(matches!(
            copy_out(&from, &to, 99),
            Err(Stop::Infrastructure { .. })
        ));
    }
}
