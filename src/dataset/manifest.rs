//! `MANIFEST.json` of a locked corpus, schema `prism_locked_data.v1`.
//!
//! The fields and their meaning are those of the contest's earlier implementation, so that its corpora are read as they are and
//! ours are readable there: it reads these fields and passes over others. Ours are `open`, the sample that submissions may
//! read, carved out of train by rule, and `left_out` with `near_duplicates`, what is not in the corpus and why.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{DatasetError, at};
use crate::digest::hex;

pub const FILE_NAME: &str = "MANIFEST.json";
/// Provenance tokenizer of our own corpora: `token_count` is then the number of UTF-8 bytes of the texts.
pub const BYTES_TOKENIZER: &str = "bytes";
/// The folder of the open sample, beside those of the splits.
pub const OPEN_FOLDER: &str = "open";
pub const SCHEMA_VERSION: &str = "prism_locked_data.v1";
/// A manifest of a corpus of a trillion tokens is a few megabytes; more is not one.
const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// The three parts of a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    Train,
    Val,
    Test,
}

impl Split {
    pub const ALL: [Split; 3] = [Split::Train, Split::Val, Split::Test];

    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
        }
    }

    /// `int(sha256(id)) mod 1000`: 0–949 train, 950–974 val, 975–999 test.
    pub fn of(id: &str) -> Self {
        match bucket(id) {
            0..=949 => Split::Train,
            950..=974 => Split::Val,
            _ => Split::Test,
        }
    }
}

/// Train documents whose bucket is below this are the open sample: shown from the start, never scored.
pub const OPEN_BUCKETS: u32 = 10;

/// `int(sha256(utf8(id)).hexdigest(), 16) mod 1000`.
pub fn bucket(id: &str) -> u32 {
    Sha256::digest(id.as_bytes())
        .iter()
        .fold(0, |rest, &byte| (rest * 256 + u32::from(byte)) % 1_000)
}

/// Whether a document belongs to the open sample.
pub fn is_open(id: &str) -> bool {
    bucket(id) < OPEN_BUCKETS
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub schema_version: String,
    pub dataset: Dataset,
    pub partition: serde_json::Value,
    pub tokenizer: ProvenanceTokenizer,
    pub splits: BTreeMap<String, SplitEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<OpenEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
    /// The method by which near-duplicates were found, with its constants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near_duplicates: Option<serde_json::Value>,
}

/// Records of the sources that are not in the corpus, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Without a non-empty string as id and as text.
    pub no_id_or_text: u64,
    /// Of several records with one id, those whose text has not the smallest sha256.
    pub duplicate_id: u64,
    /// Of several documents with one text, all but one: the first id of test, else of val, else of train.
    pub duplicate_text: u64,
    /// Documents of train that are much like one of val or test.
    pub near_duplicate: u64,
}

impl LeftOut {
    pub fn total(&self) -> u64 {
        self.no_id_or_text + self.duplicate_id + self.duplicate_text + self.near_duplicate
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    pub name: String,
    /// Revision of the source; for a folder of files, the sha256 over them.
    pub pin_sha: String,
    #[serde(default)]
    pub license: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_doc_limit: Option<u64>,
}

/// The tokenizer that `token_count` was counted with; scores never use it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProvenanceTokenizer {
    pub id: String,
    pub fingerprint: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitEntry {
    pub doc_count: u64,
    pub token_count: u64,
    /// Bytes of the shard files (not of the text in them).
    pub byte_count: u64,
    pub fingerprint: String,
    pub shards: Vec<Shard>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shard {
    /// Relative to the corpus root.
    pub path: String,
    pub sha256: String,
    pub bytes: u64,
    pub doc_count: u64,
    pub token_count: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenEntry {
    pub rule: String,
    pub doc_count: u64,
    pub shards: Vec<Shard>,
}

/// The partition block, which must be exactly this.
pub fn partition() -> serde_json::Value {
    serde_json::json!({
        "hash": "sha256", "key": "doc.id", "modulus": 1000,
        "buckets": {"train": [0, 949], "val": [950, 974], "test": [975, 999]},
    })
}

/// sha256 of the canonical JSON `{"shard_sha256":[…],"split":name}`.
pub fn split_fingerprint(split: Split, shards: &[Shard]) -> String {
    let hashes: Vec<&str> = shards.iter().map(|shard| shard.sha256.as_str()).collect();
    let canonical = serde_json::json!({"shard_sha256": hashes, "split": split.name()});
    hex(&Sha256::digest(canonical.to_string().as_bytes()))
}

/// A manifest that was read, the folder it speaks of and the digest that names it.
#[derive(Debug, Clone)]
pub struct Corpus {
    pub root: PathBuf,
    pub manifest: Manifest,
    /// sha256 of the file `MANIFEST.json`: what a run records.
    pub manifest_sha256: String,
}

impl Corpus {
    /// Reads `MANIFEST.json` and checks its shape: version, partition, paths that stay inside the folder.
    pub fn open(root: &Path) -> Result<Self, DatasetError> {
        let path = root.join(FILE_NAME);
        let length = std::fs::metadata(&path).map_err(at(&path))?.len();
        let wrong = |reason: String| DatasetError::Manifest {
            path: path.clone(),
            reason,
        };
        if length > MAX_MANIFEST_BYTES {
            return Err(wrong(format!(
                "got {length} bytes, expected at most {MAX_MANIFEST_BYTES}"
            )));
        }
        let bytes = std::fs::read(&path).map_err(at(&path))?;
        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|source| wrong(source.to_string()))?;
        if manifest.schema_version != SCHEMA_VERSION {
            return Err(wrong(format!(
                "schema_version: got {:?}, expected {SCHEMA_VERSION:?}",
                manifest.schema_version
            )));
        }
        if manifest.partition != partition() {
            return Err(wrong(
                "partition: expected sha256 of doc.id mod 1000, 950/25/25".to_owned(),
            ));
        }
        for (name, entry) in &manifest.splits {
            let split = Split::ALL.into_iter().find(|split| split.name() == name);
            let split = split.ok_or_else(|| wrong(format!("unknown split {name:?}")))?;
            check_paths(split.name(), &entry.shards).map_err(&wrong)?;
            if split_fingerprint(split, &entry.shards) != entry.fingerprint {
                return Err(wrong(format!(
                    "fingerprint of split {name} is not that of its shards"
                )));
            }
        }
        if let Some(open) = &manifest.open {
            check_paths(OPEN_FOLDER, &open.shards).map_err(&wrong)?;
        }
        Ok(Self {
            root: root.to_owned(),
            manifest,
            manifest_sha256: hex(&Sha256::digest(&bytes)),
        })
    }

    pub fn shards(&self, split: Split) -> &[Shard] {
        self.manifest
            .splits
            .get(split.name())
            .map_or(&[], |entry| &entry.shards)
    }
}

/// A shard path is `<folder>/<folder>-NNNNN.jsonl` and nothing else, in order.
fn check_paths(folder: &str, shards: &[Shard]) -> Result<(), String> {
    for (index, shard) in shards.iter().enumerate() {
        let expected = format!("{folder}/{folder}-{index:05}.jsonl");
        if shard.path != expected {
            return Err(format!(
                "shard path: got {:?}, expected {expected:?}",
                shard.path
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_of_python() {
        // int(hashlib.sha256(b"doc-1").hexdigest(), 16) % 1000, and so on
        for (id, expected) in [("doc-1", 411), ("a", 499), ("austen/emma/0001", 913)] {
            assert_eq!(bucket(id), expected, "{id}");
        }
    }

    #[test]
    fn splits_have_the_contest_s_borders() {
        let mut seen = std::collections::BTreeMap::new();
        for n in 0..20_000 {
            let id = n.to_string();
            let expected = match bucket(&id) {
                b if b < 950 => Split::Train,
                b if b < 975 => Split::Val,
                _ => Split::Test,
            };
            assert_eq!(Split::of(&id), expected);
            *seen.entry(expected).or_insert(0u32) += 1;
        }
        assert!(
            seen[&Split::Train] > 18_700 && seen[&Split::Val] > 400 && seen[&Split::Test] > 400
        );
    }
}
