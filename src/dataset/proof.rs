//! `PROOF.json`: that every byte of a corpus was found to be as its manifest says, and what tells cheaply that this has changed.
//!
//! `prism data lock` and `prism data verify` write it; no run starts without it. It names, for each file, size, times and
//! inode: an edit moves at least the time of the inode's change, which nobody can set. For fault-finding it holds a CRC
//! of every 64 KiB as well: a shard's sha256 says that a byte is wrong, these say where.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, Metadata};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::manifest::{Corpus, OPEN_FOLDER, Shard, Split};
use super::{DatasetError, at};
use crate::outbox::schema::{self, Schema};

pub const FILE_NAME: &str = "PROOF.json";
pub const SCHEMA_VERSION: &str = "prism_corpus_proof.v1";
/// Bytes per CRC.
pub const BLOCK_BYTES: usize = 64 << 10;
const MAX_PROOF_BYTES: u64 = 4 << 30;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Verified,
    /// Faults were found; the CRCs are those of the time before.
    Failed,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    pub schema_version: String,
    pub state: State,
    pub manifest_sha256: String,
    /// RFC 3339, UTC.
    pub verified_at: String,
    pub prism_version: String,
    /// `lock` or `verify`.
    pub made_by: String,
    pub splits: Vec<String>,
    /// Documents by split; `open`: those of train that the open sample's rule keeps out of scoring.
    pub documents: BTreeMap<String, u64>,
    pub block_bytes: u64,
    pub files: Vec<ProvenFile>,
}

/// One shard as it was when every byte of it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenFile {
    pub path: String,
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Eight hexadecimal digits for every 64 KiB.
    pub block_crc32: String,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    pub bytes: u64,
    pub mtime_ns: i64,
    /// Change of the inode: cannot be set back.
    pub ctime_ns: i64,
    pub inode: u64,
}

impl Stamp {
    pub fn of(metadata: &Metadata) -> Self {
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            bytes: metadata.len(),
            mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }
}

/// The CRCs of a file's blocks, as its bytes go by.
#[derive(Debug, Default)]
pub struct BlockSums {
    hasher: crc32fast::Hasher,
    filled: usize,
    digits: String,
}

impl BlockSums {
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.filled));
            self.hasher.update(now);
            self.filled += now.len();
            if self.filled == BLOCK_BYTES {
                self.close_block();
            }
            bytes = later;
        }
    }

    fn close_block(&mut self) {
        use std::fmt::Write;
        // Writing to a String cannot fail.
        let _ = write!(
            self.digits,
            "{:08x}",
            std::mem::take(&mut self.hasher).finalize()
        );
        self.filled = 0;
    }

    /// Eight digits per block, the last one shorter than the others or not.
    pub fn finish(mut self) -> String {
        if self.filled > 0 {
            self.close_block();
        }
        self.digits
    }
}

impl Proof {
    pub fn new(
        corpus: &Corpus,
        made_by: &str,
        splits: &[Split],
        documents: BTreeMap<String, u64>,
        files: Vec<ProvenFile>,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION.to_owned(),
            state: State::Verified,
            manifest_sha256: corpus.manifest_sha256.clone(),
            verified_at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            prism_version: env!("CARGO_PKG_VERSION").to_owned(),
            made_by: made_by.to_owned(),
            splits: splits.iter().map(|split| split.name().to_owned()).collect(),
            documents,
            block_bytes: BLOCK_BYTES as u64,
            files,
        }
    }

    /// The proof in a corpus's folder. An error if there is none or it does not fit its schema.
    pub fn read(root: &Path) -> Result<Self, DatasetError> {
        let refused = |reason: String| DatasetError::Proof {
            root: root.to_owned(),
            reason,
        };
        let path = root.join(FILE_NAME);
        let found = fs::symlink_metadata(&path);
        if found.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Err(refused(format!("{FILE_NAME} is missing")));
        }
        let value = schema::read(&path, Schema::CorpusProof, MAX_PROOF_BYTES)
            .map_err(|error| refused(error.to_string()))?;
        serde_json::from_value(value).map_err(|error| refused(format!("{FILE_NAME}: {error}")))
    }

    /// Writes the proof in one step; only the owner may read it: CRCs say a little of val and test.
    pub fn write(&self, root: &Path) -> Result<(), DatasetError> {
        let path = root.join(FILE_NAME);
        let invalid = |reason: String| DatasetError::Output {
            path: path.clone(),
            reason,
        };
        let value = serde_json::to_value(self).map_err(|error| invalid(error.to_string()))?;
        schema::check(&path, Schema::CorpusProof, &value)
            .map_err(|error| invalid(error.to_string()))?;
        let text = serde_json::to_string_pretty(&value).map_err(|e| invalid(e.to_string()))?;
        // Made with mode 0600 by tempfile.
        let mut file = tempfile::Builder::new()
            .prefix(".prism-")
            .suffix(".tmp")
            .tempfile_in(root)
            .map_err(at(&path))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.write_all(b"\n"))
            .and_then(|()| file.as_file().sync_all())
            .map_err(at(&path))?;
        file.persist(&path)
            .map_err(|error| at(&path)(error.error))?;
        fs::File::open(root)
            .and_then(|folder| folder.sync_all())
            .map_err(at(root))
    }
}

/// Checks, without reading a shard, that these splits (and the open sample) are as they were when they were verified.
///
/// [`DatasetError::Proof`] names the first reason why the proof does not hold.
pub fn check(corpus: &Corpus, splits: &[Split]) -> Result<Proof, DatasetError> {
    let proof = Proof::read(&corpus.root)?;
    let refused = |reason: String| DatasetError::Proof {
        root: corpus.root.clone(),
        reason,
    };
    if proof.state == State::Failed {
        return Err(refused(format!(
            "faults were found at {}",
            proof.verified_at
        )));
    }
    if proof.manifest_sha256 != corpus.manifest_sha256 {
        return Err(refused(
            "the manifest was changed or replaced since it was verified".to_owned(),
        ));
    }
    let proven: HashMap<&str, Stamp> = proof
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.stamp))
        .collect();
    for (folder, shards) in folders(corpus, splits) {
        if folder != OPEN_FOLDER && !proof.splits.iter().any(|split| split == folder) {
            return Err(refused(format!("split {folder} was not verified")));
        }
        for shard in shards {
            let metadata = match fs::symlink_metadata(corpus.root.join(&shard.path)) {
                Ok(metadata) if metadata.is_file() => metadata,
                _ => return Err(refused(format!("{} is gone", shard.path))),
            };
            if proven.get(shard.path.as_str()) != Some(&Stamp::of(&metadata)) {
                return Err(refused(format!(
                    "{} was changed since it was verified",
                    shard.path
                )));
            }
        }
        if let Some(name) = strays(&corpus.root, folder, shards)?.first() {
            return Err(refused(format!("{name} is not in the manifest")));
        }
    }
    Ok(proof)
}

/// The folders of these splits that the manifest knows, and of the open sample, with their shards.
pub fn folders<'a>(corpus: &'a Corpus, splits: &[Split]) -> Vec<(&'static str, &'a [Shard])> {
    let mut folders: Vec<(&str, &[Shard])> = splits
        .iter()
        .map(|split| (split.name(), corpus.shards(*split)))
        .collect();
    if let Some(open) = &corpus.manifest.open {
        folders.push((OPEN_FOLDER, &open.shards));
    }
    folders
}

/// Names in a folder of the corpus that the manifest does not know, in order.
pub fn strays(root: &Path, folder: &str, shards: &[Shard]) -> Result<Vec<String>, DatasetError> {
    let path = root.join(folder);
    if shards.is_empty() && !path.exists() {
        return Ok(Vec::new());
    }
    let known: std::collections::HashSet<&str> =
        shards.iter().map(|shard| shard.path.as_str()).collect();
    let mut strays = Vec::new();
    for entry in fs::read_dir(&path).map_err(at(&path))? {
        let name = entry.map_err(at(&path))?.file_name();
        let name = format!("{folder}/{}", name.display());
        if !known.contains(name.as_str()) {
            strays.push(name);
        }
    }
    strays.sort();
    Ok(strays)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_sums_do_not_depend_on_how_the_bytes_come() {
        let bytes: Vec<u8> = (0..200_000u32).map(|n| (n * 7 % 251) as u8).collect();
        let sums = |piece: usize| {
            let mut sums = BlockSums::default();
            bytes.chunks(piece).for_each(|chunk| sums.update(chunk));
            sums.finish()
        };
        let whole = sums(bytes.len());
        assert_eq!(whole.len(), 8 * 4);
        assert_eq!(whole, sums(1_000));
        assert_eq!(whole, sums(BLOCK_BYTES));
        assert_eq!(
            &whole[..8],
            format!("{:08x}", crc32fast::hash(&bytes[..BLOCK_BYTES]))
        );
        assert_eq!(BlockSums::default().finish(), "");
    }
}
