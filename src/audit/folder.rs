//! A run folder as somebody handed it over: what lies in it, and how its files are read without trusting them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::report::{Check, shown};
use crate::config::recorded;
use crate::gate::record::FILE as GATE;
use crate::outbox::status;
use crate::pipeline::{ARCHIVE, CORPUS_MANIFEST, LOG, MANIFEST, MANIFEST_V1, METRICS, STRUCTURE};
use crate::score::streams::{HELDOUT_FILE, ONLINE_FILE};
use crate::signing::digest_list::{self, Entry, entry_of_file, open_regular};
use crate::signing::signature;

pub const REVIEW: &str = "review.json";
pub const GRAPH: &str = "architecture_graph.json";
pub const METADATA: &str = "architecture_metadata.json";

/// Names that prism gives to files of a run folder.
const KNOWN: [&str; 17] = [
    status::FILE,
    ARCHIVE,
    REVIEW,
    GRAPH,
    METADATA,
    GATE,
    STRUCTURE,
    LOG,
    ONLINE_FILE,
    HELDOUT_FILE,
    MANIFEST,
    MANIFEST_V1,
    METRICS,
    recorded::FILE,
    CORPUS_MANIFEST,
    digest_list::FILE,
    signature::FILE,
];

/// A run folder has a dozen entries.
const MAX_ENTRIES: usize = 4_096;
/// A checkpoint lies four folders deep, and may have some of its own.
const MAX_DEPTH: usize = 10;
/// No file of a run is that long; longer ones are not hashed.
pub const MAX_FILE_BYTES: u64 = 4 << 30;

/// The regular files of a folder, and what else is there.
#[derive(Debug)]
pub struct Folder {
    pub path: PathBuf,
    /// Sizes by path below the folder.
    pub files: BTreeMap<String, u64>,
    problems: Vec<String>,
}

impl Folder {
    /// Lists a folder. Nothing in it is opened.
    ///
    /// # Errors
    /// Why it cannot be listed at all; the path is not part of it.
    pub fn look(path: &Path) -> Result<Self, String> {
        let kind = std::fs::metadata(path).map_err(|error| error.kind().to_string())?;
        if !kind.is_dir() {
            return Err("it is no folder".to_owned());
        }
        let mut folder = Self {
            path: path.to_owned(),
            files: BTreeMap::new(),
            problems: Vec::new(),
        };
        let walk = walkdir::WalkDir::new(path)
            .min_depth(1)
            .max_depth(MAX_DEPTH)
            .follow_links(false)
            .sort_by_file_name();
        for (count, found) in walk.into_iter().enumerate() {
            if count == MAX_ENTRIES {
                let more = format!("more than {MAX_ENTRIES} entries: the rest was not looked at");
                folder.problems.push(more);
                break;
            }
            match found {
                Ok(found) => folder.add(&found),
                Err(error) => {
                    let kind = error.io_error().map(std::io::Error::kind);
                    let name = error.path().map(|path| folder.relative(path));
                    folder.problems.push(format!(
                        "{}: {}",
                        name.unwrap_or_default(),
                        kind.unwrap_or(std::io::ErrorKind::Other)
                    ));
                }
            }
        }
        Ok(folder)
    }

    fn add(&mut self, found: &walkdir::DirEntry) {
        use std::os::unix::fs::FileTypeExt;
        let name = self.relative(found.path());
        let kind = found.file_type();
        let what = if kind.is_symlink() {
            "a symbolic link"
        } else if kind.is_fifo() {
            "a pipe"
        } else if kind.is_socket() {
            "a socket"
        } else if kind.is_char_device() || kind.is_block_device() {
            "a device"
        } else if kind.is_dir() {
            if found.depth() == MAX_DEPTH {
                let problem =
                    format!("{name}: a folder below {MAX_DEPTH} others was not looked at");
                self.problems.push(problem);
            }
            return;
        } else if found.path().to_str().is_none() {
            "a file whose name is not UTF-8"
        } else {
            match found.metadata() {
                Ok(facts) => {
                    self.files.insert(name, facts.len());
                }
                Err(error) => self.problems.push(format!(
                    "{name}: {}",
                    error
                        .io_error()
                        .map_or(std::io::ErrorKind::Other, std::io::Error::kind)
                )),
            }
            return;
        };
        self.problems.push(format!("{name}: {what}, not opened"));
    }

    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.path)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned()
    }

    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// A whole file of at most so many bytes.
    ///
    /// # Errors
    /// Why not, beginning with its name.
    pub fn read(&self, name: &str, limit_bytes: u64) -> Result<Vec<u8>, String> {
        let mut content = Vec::new();
        open_regular(&self.path.join(name))
            .and_then(|file| {
                file.take(limit_bytes.saturating_add(1))
                    .read_to_end(&mut content)
            })
            .map_err(|error| format!("{name}: {}", error.kind()))?;
        if content.len() as u64 > limit_bytes {
            return Err(format!("{name}: longer than {limit_bytes} bytes, not read"));
        }
        Ok(content)
    }

    /// Size and sha256 of a file.
    pub fn entry(&self, name: &str) -> Result<Entry, String> {
        entry_of_file(name, &self.path.join(name), MAX_FILE_BYTES).map_err(|error| match error {
            crate::signing::SigningError::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::Other => format!("{name}: {source}"),
                kind => format!("{name}: {kind}"),
            },
            _ => format!("{name}: cannot be read"),
        })
    }

    /// Entries that are no regular files, and files that prism does not know and no digest list vouches for.
    pub fn check(&self, listed: &BTreeSet<String>) -> Check {
        let mut problems = self.problems.clone();
        let unknown = |name: &&String| !KNOWN.contains(&name.as_str());
        let (vouched, strangers): (Vec<_>, Vec<_>) = self
            .files
            .keys()
            .filter(unknown)
            .partition(|name| listed.contains(*name));
        problems.extend(
            strangers
                .iter()
                .map(|name| format!("{name}: not a file of a run, and no digest list names it")),
        );
        let mut statement = format!("{} regular files", self.files.len());
        if !vouched.is_empty() {
            let names: Vec<String> = vouched.iter().take(8).map(|name| shown(name)).collect();
            statement.push_str(&format!(
                "; not known to this version, covered by the digest list only: {}",
                names.join(", ")
            ));
        }
        Check::of("files", statement, problems)
    }
}
