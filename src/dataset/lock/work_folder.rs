//! The hidden folder beside the corpus-to-be: sorted runs, a journal of what is finished, and a lock.
//!
//! A source is finished when its line is in the journal, which is written after its runs. So a lock that was killed goes on where it
//! was, and what it makes in the end is the same to the byte. Nothing is synced on the way: after a power failure the
//! CRCs tell whether what the journal names is there.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::runs::{self, FAN_IN, Merge, Run};
use super::sources::Identity;
use crate::dataset::manifest::Split;
use crate::dataset::{DatasetError, at};

const JOURNAL: &str = "journal.jsonl";
const LOCK: &str = "lock";
/// Where the corpus grows until it gets its name.
const CORPUS: &str = "corpus";
/// Runs of another version of prism could mean something else.
const FORMAT: &str = concat!("prism-lock-work.v1 ", env!("CARGO_PKG_VERSION"));

/// A source that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    pub identity: Identity,
    /// What `--limit` still allowed when the source was begun.
    pub limit_left: Option<u64>,
    pub usable: u64,
    /// Records without a non-empty id and text.
    pub unusable: u64,
    pub runs: Vec<Run>,
    /// File with the short hashes of its texts, eight bytes each.
    pub hashes: String,
    pub hashes_crc32: u32,
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum Entry {
    Begun {
        format: String,
    },
    Finished(Finished),
    /// Runs that were merged into one.
    Merged {
        from: Vec<String>,
        run: Run,
    },
}

/// The folder, held by this process.
#[derive(Debug)]
pub struct WorkFolder {
    pub path: PathBuf,
    entries: Vec<Entry>,
    next_number: u64,
    _lock: File,
}

impl WorkFolder {
    /// Makes or takes up the folder for a corpus. [`DatasetError::Busy`] while another process holds it.
    pub fn open(output: &Path) -> Result<Self, DatasetError> {
        let name = output.file_name().unwrap_or_default().display();
        let path = output.with_file_name(format!(".{name}.prism-lock"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(at(&path)(error));
            }
            _ => {}
        }
        let metadata = fs::symlink_metadata(&path).map_err(at(&path))?;
        // In a shared folder somebody else could have put runs there for us to take up.
        if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(DatasetError::Output {
                path,
                reason: "is in the way: it is no folder of ours".to_owned(),
            });
        }
        let lock_path = path.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(at(&lock_path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(DatasetError::Busy {
                    output: output.to_owned(),
                });
            }
            Err(error) => return Err(at(&lock_path)(error.into())),
        }
        let mut folder = Self {
            entries: read_journal(&path.join(JOURNAL))?,
            path,
            next_number: 0,
            _lock: lock,
        };
        folder.next_number = 1 + folder.entries.iter().map(highest_number).max().unwrap_or(0);
        Ok(folder)
    }

    /// Forgets what does not belong to these sources, and removes every file that nothing refers to.
    ///
    /// A source is known again only if it and all before it are the same: `--limit` counts through them.
    pub fn keep_only(
        &mut self,
        sources: &[Identity],
        limit: Option<u64>,
    ) -> Result<(), DatasetError> {
        let mut kept = Vec::new();
        let mut left = limit;
        for identity in sources {
            let known = self.entries.iter().find_map(|entry| match entry {
                Entry::Finished(finished)
                    if finished.identity == *identity && finished.limit_left == left =>
                {
                    Some(finished)
                }
                _ => None,
            });
            let Some(known) = known else {
                if limit.is_some() {
                    break;
                }
                continue;
            };
            left = left.map(|left| left.saturating_sub(known.usable));
            kept.push(Entry::Finished(known.clone()));
        }
        let finished = |entry: &&Entry| matches!(entry, Entry::Finished(_));
        let merged = self
            .entries
            .iter()
            .any(|entry| matches!(entry, Entry::Merged { .. }));
        if merged && kept.len() == self.entries.iter().filter(finished).count() {
            kept.clone_from(&self.entries);
        } else if merged {
            // Runs of the sources that are no longer wanted are in the merged ones.
            kept.clear();
        }
        kept.retain(|entry| !matches!(entry, Entry::Begun { .. }));
        kept.insert(
            0,
            Entry::Begun {
                format: FORMAT.to_owned(),
            },
        );
        self.entries = kept;
        self.rewrite_journal()?;
        self.remove_strays()
    }

    /// What the journal knows of a source.
    pub fn finished(&self, identity: &Identity) -> Option<&Finished> {
        self.all_finished()
            .find(|finished| finished.identity == *identity)
    }

    pub fn all_finished(&self) -> impl Iterator<Item = &Finished> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Finished(finished) => Some(finished),
            _ => None,
        })
    }

    /// Writes down that a source is finished.
    pub fn finish(&mut self, finished: Finished) -> Result<(), DatasetError> {
        self.append(Entry::Finished(finished))
    }

    /// A file name that was not used before.
    pub fn new_name(&mut self, kind: &str) -> String {
        let number = self.next_number;
        self.next_number += 1;
        format!("{number:08}.{kind}")
    }

    /// The runs of a split, merged until they are few enough to be merged at once.
    pub fn runs(&mut self, split: Split) -> Result<Vec<Run>, DatasetError> {
        loop {
            let live = self.live_runs(split);
            if live.len() <= FAN_IN {
                return Ok(live);
            }
            let from = &live[..FAN_IN];
            let name = self.new_name("run");
            let run = runs::write(&self.path, name, split, Merge::open(&self.path, from)?)?;
            self.append(Entry::Merged {
                from: from.iter().map(|run| run.file.clone()).collect(),
                run,
            })?;
            for run in from {
                runs::delete(&self.path, run)?;
            }
        }
    }

    fn live_runs(&self, split: Split) -> Vec<Run> {
        let mut live: Vec<&Run> = Vec::new();
        for entry in &self.entries {
            match entry {
                Entry::Begun { .. } => {}
                Entry::Finished(finished) => live.extend(&finished.runs),
                Entry::Merged { from, run } => {
                    let from: HashSet<&str> = from.iter().map(String::as_str).collect();
                    live.retain(|run| !from.contains(run.file.as_str()));
                    live.push(run);
                }
            }
        }
        live.into_iter()
            .filter(|run| run.split == split)
            .cloned()
            .collect()
    }

    /// An empty folder for the corpus, whatever an earlier attempt left there.
    pub fn fresh_corpus(&self) -> Result<PathBuf, DatasetError> {
        let path = self.path.join(CORPUS);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(at(&path)(error));
            }
            _ => {}
        }
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(at(&path))?;
        Ok(path)
    }

    /// Whether anything is worth keeping for another attempt.
    pub fn holds_work(&self) -> bool {
        self.all_finished().next().is_some()
    }

    /// Removes the folder with everything in it.
    pub fn remove(self) -> Result<(), DatasetError> {
        fs::remove_dir_all(&self.path).map_err(at(&self.path))
    }

    fn append(&mut self, entry: Entry) -> Result<(), DatasetError> {
        let path = self.path.join(JOURNAL);
        let line = line_of(&path, &entry)?;
        File::options()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(&line))
            .map_err(at(&path))?;
        self.entries.push(entry);
        Ok(())
    }

    fn rewrite_journal(&self) -> Result<(), DatasetError> {
        let path = self.path.join(JOURNAL);
        let mut text = Vec::new();
        for entry in &self.entries {
            text.extend(line_of(&path, entry)?);
        }
        let new = self.path.join("journal.new");
        fs::write(&new, text).map_err(at(&new))?;
        fs::rename(&new, &path).map_err(at(&path))
    }

    fn remove_strays(&self) -> Result<(), DatasetError> {
        let mut known: HashSet<String> = [JOURNAL, LOCK, CORPUS]
            .into_iter()
            .map(str::to_owned)
            .collect();
        for split in Split::ALL {
            known.extend(self.live_runs(split).into_iter().map(|run| run.file));
        }
        known.extend(self.all_finished().map(|finished| finished.hashes.clone()));
        for entry in fs::read_dir(&self.path).map_err(at(&self.path))? {
            let entry = entry.map_err(at(&self.path))?;
            if !known.contains(&entry.file_name().display().to_string()) {
                fs::remove_file(entry.path()).map_err(at(entry.path()))?;
            }
        }
        Ok(())
    }
}

fn line_of(path: &Path, entry: &Entry) -> Result<Vec<u8>, DatasetError> {
    let mut line = serde_json::to_vec(entry).map_err(|error| at(path)(error.into()))?;
    line.push(b'\n');
    Ok(line)
}

/// The entries up to the first that is not whole: a kill can leave half a line. Nothing if another version wrote them.
fn read_journal(path: &Path) -> Result<Vec<Entry>, DatasetError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(path)(error)),
    };
    let entries: Vec<Entry> = bytes
        .split_inclusive(|&byte| byte == b'\n')
        .take_while(|line| line.ends_with(b"\n"))
        .map_while(|line| serde_json::from_slice(line).ok())
        .collect();
    match entries.first() {
        Some(Entry::Begun { format }) if format == FORMAT => Ok(entries),
        _ => Ok(Vec::new()),
    }
}

fn highest_number(entry: &Entry) -> u64 {
    let number = |name: &str| {
        let digits = name.split('.').next().unwrap_or_default();
        digits.parse().unwrap_or(0)
    };
    match entry {
        Entry::Begun { .. } => 0,
        Entry::Finished(finished) => {
            let runs = finished.runs.iter().map(|run| number(&run.file));
            runs.max().unwrap_or(0).max(number(&finished.hashes))
        }
        Entry::Merged { run, .. } => number(&run.file),
    }
}
