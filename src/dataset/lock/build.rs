//! The second half of a lock: sorted runs become the shards of a corpus, without what must not be in it.
//!
//! test is written first, then val, then train: of equal texts the most secret one stays, and train is compared with
//! all that will be held out.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use rayon::prelude::*;
use rayon::slice::ParallelSliceMut;
use sha2::{Digest, Sha256};

use super::near_duplicates::SecretBands;
use super::record::Record;
use super::runs::{self, Merge};
use super::shards::{Audience, ShardWriter};
use super::work_folder::WorkFolder;
use crate::dataset::manifest::{self, LeftOut, OPEN_FOLDER, Shard, Split};
use crate::dataset::proof::ProvenFile;
use crate::dataset::{DatasetError, at};
use crate::digest::hex;
use crate::progress::ByteProgress;

/// Documents are turned into lines this many bytes at a time, on all cores.
const BATCH_BYTES: usize = 8 << 20;

/// What was written, for the manifest and the proof.
#[derive(Default)]
pub struct Built {
    /// By folder: the three splits and `open`.
    pub shards: BTreeMap<&'static str, Vec<Shard>>,
    pub files: Vec<ProvenFile>,
    pub left_out: LeftOut,
    /// sha256 over ids and hashes of texts: names the text when no revision was given.
    pub text_sha256: String,
}

/// Writes the shards of all splits and of the open sample into `root`.
pub fn build(
    work: &mut WorkFolder,
    root: &Path,
    docs_per_shard: u64,
    progress: &ByteProgress<'_>,
) -> Result<Built, DatasetError> {
    let mut built = Built::default();
    built.left_out.no_id_or_text = work.all_finished().map(|finished| finished.unusable).sum();
    let mut repeated = Repeated::find(work)?;
    let mut secret = SecretBands::default();
    // Present while train is written.
    let mut index = None;
    let mut open = Folder::new(root, OPEN_FOLDER, Audience::Everybody, docs_per_shard)?;
    let mut digests = BTreeMap::new();
    for split in [Split::Test, Split::Val, Split::Train] {
        let audience = match split {
            Split::Train => Audience::Everybody,
            Split::Val | Split::Test => Audience::Operator,
        };
        if split == Split::Train {
            index = Some(std::mem::take(&mut secret).close());
        }
        let mut folder = Folder::new(root, split.name(), audience, docs_per_shard)?;
        let mut digest = Sha256::new();
        let mut last_id = String::new();
        let runs = work.runs(split)?;
        for record in Merge::open(&work.path, &runs)? {
            let record = record?;
            progress.advance(record.encoded_bytes() as u64);
            if record.id == last_id {
                built.left_out.duplicate_id += 1;
                continue;
            }
            last_id.clone_from(&record.id);
            if !repeated.is_first(&record) {
                built.left_out.duplicate_text += 1;
                continue;
            }
            match &index {
                Some(index) if index.resembles(&record.bands) => {
                    built.left_out.near_duplicate += 1;
                    continue;
                }
                Some(_) => {}
                None => secret.add(&record.bands),
            }
            digest.update((record.id.len() as u64).to_le_bytes());
            digest.update(record.id.as_bytes());
            digest.update(record.text_sha256);
            if split == Split::Train && manifest::is_open(&record.id) {
                open.push(record.clone())?;
            }
            folder.push(record)?;
        }
        folder.finish(&mut built)?;
        digests.insert(split, digest.finalize());
    }
    open.finish(&mut built)?;
    let all = digests
        .values()
        .fold(Sha256::new(), |hash, digest| hash.chain_update(digest));
    built.text_sha256 = hex(&all.finalize());
    built.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(built)
}

/// A document as a line of a shard: keys in order, compact, non-ASCII raw, the contest's format.
#[derive(serde::Serialize)]
struct Line<'a> {
    id: &'a str,
    text: &'a str,
}

/// A folder of shards and the documents on their way into it.
struct Folder {
    name: &'static str,
    writer: ShardWriter,
    waiting: Vec<Record>,
    waiting_bytes: usize,
}

impl Folder {
    fn new(
        root: &Path,
        name: &'static str,
        audience: Audience,
        docs_per_shard: u64,
    ) -> Result<Self, DatasetError> {
        Ok(Self {
            name,
            writer: ShardWriter::new(root, name, audience, docs_per_shard)?,
            waiting: Vec::new(),
            waiting_bytes: 0,
        })
    }

    fn push(&mut self, record: Record) -> Result<(), DatasetError> {
        self.waiting_bytes += record.text.len();
        self.waiting.push(record);
        if self.waiting_bytes >= BATCH_BYTES {
            self.write_waiting()?;
        }
        Ok(())
    }

    fn write_waiting(&mut self) -> Result<(), DatasetError> {
        self.waiting_bytes = 0;
        let records = std::mem::take(&mut self.waiting);
        let lines: Vec<(serde_json::Result<Vec<u8>>, u64)> = records
            .par_iter()
            .map(|record| {
                let line = Line {
                    id: &record.id,
                    text: &record.text,
                };
                let mut bytes =
                    Vec::with_capacity(record.text.len() + record.text.len() / 16 + 128);
                let written = serde_json::to_writer(&mut bytes, &line);
                bytes.push(b'\n');
                (written.map(|()| bytes), record.text.len() as u64)
            })
            .collect();
        for (line, text_bytes) in lines {
            let line = line.map_err(|error| DatasetError::Output {
                path: self.name.into(),
                reason: format!(
                    "a document cannot be written as JSON ({:?})",
                    error.classify()
                ),
            })?;
            self.writer.push(&line, text_bytes)?;
        }
        Ok(())
    }

    fn finish(mut self, built: &mut Built) -> Result<(), DatasetError> {
        self.write_waiting()?;
        let (shards, files) = self.writer.finish()?;
        built.shards.insert(self.name, shards);
        built.files.extend(files);
        Ok(())
    }
}

/// Texts that occur more than once. Memory: eight bytes per document while they are looked for, then the repeated ones only.
struct Repeated {
    short_hashes: HashSet<u64>,
    seen: HashSet<[u8; 32]>,
}

impl Repeated {
    fn find(work: &WorkFolder) -> Result<Self, DatasetError> {
        let count: u64 = work.all_finished().map(|finished| finished.usable).sum();
        let mut hashes = Vec::with_capacity(count as usize);
        for finished in work.all_finished() {
            let path = work.path.join(&finished.hashes);
            let bytes = fs::read(&path).map_err(at(&path))?;
            if crc32fast::hash(&bytes) != finished.hashes_crc32 {
                return Err(runs::broken(&path));
            }
            let number = |bytes: &[u8]| {
                bytes
                    .iter()
                    .rev()
                    .fold(0, |number, &byte| number << 8 | u64::from(byte))
            };
            hashes.extend(bytes.chunks_exact(8).map(number));
        }
        hashes.par_sort_unstable();
        let repeated = hashes.windows(2).filter(|pair| pair[0] == pair[1]);
        Ok(Self {
            short_hashes: repeated.map(|pair| pair[0]).collect(),
            seen: HashSet::new(),
        })
    }

    /// Whether no document with the same text was asked about before.
    fn is_first(&mut self, record: &Record) -> bool {
        !self.short_hashes.contains(&record.short_hash()) || self.seen.insert(record.text_sha256)
    }
}
