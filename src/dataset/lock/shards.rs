//! The shards of one folder: lines of JSON, so many a file, hashed as they are written.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::dataset::manifest::Shard;
use crate::dataset::proof::{BlockSums, ProvenFile, Stamp};
use crate::dataset::{DatasetError, at};
use crate::digest::hex;

/// Who may look into a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    Everybody,
    /// val and test are secret: nobody but the operator's user.
    Operator,
}

/// Writes `<folder>/<folder>-NNNNN.jsonl`, one shard after the other.
pub struct ShardWriter {
    root: PathBuf,
    folder: &'static str,
    audience: Audience,
    docs_per_shard: u64,
    current: Option<Current>,
    shards: Vec<Shard>,
    files: Vec<ProvenFile>,
}

struct Current {
    path: PathBuf,
    name: String,
    file: BufWriter<File>,
    hash: Sha256,
    sums: BlockSums,
    bytes: u64,
    documents: u64,
    text_bytes: u64,
}

impl ShardWriter {
    pub fn new(
        root: &Path,
        folder: &'static str,
        audience: Audience,
        docs_per_shard: u64,
    ) -> Result<Self, DatasetError> {
        let path = root.join(folder);
        fs::DirBuilder::new()
            .mode(match audience {
                Audience::Everybody => 0o755,
                Audience::Operator => 0o700,
            })
            .create(&path)
            .map_err(at(&path))?;
        Ok(Self {
            root: root.to_owned(),
            folder,
            audience,
            docs_per_shard: docs_per_shard.max(1),
            current: None,
            shards: Vec::new(),
            files: Vec::new(),
        })
    }

    /// Adds a document: its line, and the bytes of its text.
    pub fn push(&mut self, line: &[u8], text_bytes: u64) -> Result<(), DatasetError> {
        let current = match &mut self.current {
            Some(current) => current,
            empty => {
                let name = format!("{0}/{0}-{1:05}.jsonl", self.folder, self.shards.len());
                empty.insert(Current::create(self.root.join(&name), name, self.audience)?)
            }
        };
        current.file.write_all(line).map_err(at(&current.path))?;
        current.hash.update(line);
        current.sums.update(line);
        current.bytes += line.len() as u64;
        current.text_bytes += text_bytes;
        current.documents += 1;
        if current.documents == self.docs_per_shard {
            self.close()?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), DatasetError> {
        let Some(current) = self.current.take() else {
            return Ok(());
        };
        let path = current.path;
        let file = current
            .file
            .into_inner()
            .map_err(|error| at(&path)(error.into_error()))?;
        self.files.push(ProvenFile {
            path: current.name.clone(),
            stamp: Stamp::of(&file.metadata().map_err(at(&path))?),
            block_crc32: current.sums.finish(),
        });
        self.shards.push(Shard {
            path: current.name,
            sha256: hex(&current.hash.finalize()),
            bytes: current.bytes,
            doc_count: current.documents,
            // The provenance tokenizer is `bytes`.
            token_count: current.text_bytes,
        });
        Ok(())
    }

    /// What the manifest says of the shards, and what the proof says.
    pub fn finish(mut self) -> Result<(Vec<Shard>, Vec<ProvenFile>), DatasetError> {
        self.close()?;
        Ok((self.shards, self.files))
    }
}

impl Current {
    fn create(path: PathBuf, name: String, audience: Audience) -> Result<Self, DatasetError> {
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(match audience {
                Audience::Everybody => 0o644,
                Audience::Operator => 0o600,
            })
            .open(&path)
            .map_err(at(&path))?;
        Ok(Self {
            file: BufWriter::with_capacity(1 << 20, file),
            path,
            name,
            hash: Sha256::new(),
            sums: BlockSums::default(),
            bytes: 0,
            documents: 0,
            text_bytes: 0,
        })
    }
}
