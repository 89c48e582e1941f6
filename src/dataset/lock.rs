//! `prism data lock`: from text as people have it to a corpus that cannot change unseen.
//!
//! The whole corpus is written to a hidden folder beside the target and renamed at the end: a half-written
//! one is never taken for a corpus.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use super::manifest::{
    self, Corpus, Dataset, Manifest, OPEN_BUCKETS, OpenEntry, ProvenanceTokenizer, Shard, Split,
    SplitEntry,
};
use super::{DatasetError, Document, at};
use crate::digest::hex;

/// What to lock and how to name it.
#[derive(Debug, Clone)]
pub struct LockOptions {
    /// `.jsonl` files with `id` and `text`, `.txt` files (the relative path is the id), or folders of either.
    pub sources: Vec<PathBuf>,
    pub root: PathBuf,
    pub name: String,
    pub license: String,
    pub docs_per_shard: usize,
}

/// What became of the source.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LockReport {
    pub root: PathBuf,
    pub pin_sha: String,
    pub doc_counts: BTreeMap<String, u64>,
    pub text_bytes: BTreeMap<String, u64>,
    /// Records without a non-empty id and text.
    pub skipped_unusable: u64,
    /// Records whose id or text was seen before.
    pub skipped_duplicates: u64,
}

/// Locks a corpus. Fails if `root` exists.
pub fn lock(options: &LockOptions) -> Result<LockReport, DatasetError> {
    if fs::symlink_metadata(&options.root).is_ok() {
        return Err(DatasetError::Source {
            path: options.root.clone(),
            reason: "exists already; a locked corpus is never overwritten".to_owned(),
        });
    }
    let mut collected = Collected::default();
    for source in &options.sources {
        collected.add_path(source)?;
    }
    if collected
        .splits
        .get(&Split::Train)
        .is_none_or(BTreeMap::is_empty)
    {
        return Err(DatasetError::Source {
            path: options.sources.first().cloned().unwrap_or_default(),
            reason: "no usable document for train found (.jsonl with id and text, or .txt files)"
                .to_owned(),
        });
    }
    let parent = match options.root.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    fs::create_dir_all(&parent).map_err(at(&parent))?;
    let building = tempfile::Builder::new()
        .prefix(".prism-lock-")
        .tempdir_in(&parent)
        .map_err(at(&parent))?;
    let pin_sha = hex(&collected.source_hash.clone().finalize());
    let manifest = write_corpus(building.path(), options, &collected, &pin_sha)?;
    let path = building.path().join(manifest::FILE_NAME);
    let mut text =
        serde_json::to_string_pretty(&serde_json::to_value(&manifest).unwrap_or_default())
            .unwrap_or_default();
    text.push('\n');
    write_synced(&path, text.as_bytes(), 0o644)?;
    // What was written must be readable as a corpus before it gets the name of one.
    Corpus::open(building.path())?;
    fs::set_permissions(building.path(), fs::Permissions::from_mode(0o755)).map_err(at(&parent))?;
    fs::rename(building.path(), &options.root).map_err(at(&options.root))?;
    // The folder has its new name now; there is nothing left to remove.
    let _ = building.keep();
    File::open(&parent)
        .and_then(|folder| folder.sync_all())
        .map_err(at(&parent))?;
    Ok(LockReport {
        root: options.root.clone(),
        pin_sha,
        doc_counts: manifest
            .splits
            .iter()
            .map(|(name, entry)| (name.clone(), entry.doc_count))
            .collect(),
        text_bytes: collected.text_bytes(),
        skipped_unusable: collected.unusable,
        skipped_duplicates: collected.duplicates,
    })
}

/// Documents by split and id, in id order, with what was left out.
#[derive(Default)]
struct Collected {
    splits: BTreeMap<Split, BTreeMap<String, String>>,
    texts: HashSet<[u8; 32]>,
    source_hash: Sha256,
    unusable: u64,
    duplicates: u64,
}

impl Collected {
    fn add_path(&mut self, source: &Path) -> Result<(), DatasetError> {
        let walk = WalkDir::new(source).follow_links(false).sort_by_file_name();
        for entry in walk {
            let entry = entry.map_err(|error| DatasetError::Source {
                path: source.to_owned(),
                reason: error.to_string(),
            })?;
            if !entry.file_type().is_file() {
                continue;
            }
            match entry
                .path()
                .extension()
                .and_then(|extension| extension.to_str())
            {
                Some("jsonl") => self.add_jsonl(entry.path())?,
                Some("txt") => {
                    let bytes = fs::read(entry.path()).map_err(at(entry.path()))?;
                    let text = String::from_utf8(bytes).map_err(|error| DatasetError::Source {
                        path: entry.path().to_owned(),
                        reason: format!("not UTF-8 at byte {}", error.utf8_error().valid_up_to()),
                    })?;
                    // A file named by itself is called by its own name.
                    let below = entry.path().strip_prefix(source).ok();
                    let id = below.filter(|path| !path.as_os_str().is_empty());
                    let id = id.unwrap_or(Path::new(entry.file_name()));
                    self.add(Some(id.display().to_string()), Some(text));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn add_jsonl(&mut self, path: &Path) -> Result<(), DatasetError> {
        let file = BufReader::new(File::open(path).map_err(at(path))?);
        for (index, line) in file.split(b'\n').enumerate() {
            let line = line.map_err(at(path))?;
            if line.is_empty() {
                continue;
            }
            let record: serde_json::Value =
                serde_json::from_slice(&line).map_err(|error| DatasetError::Line {
                    path: path.to_owned(),
                    line: index + 1,
                    reason: format!("not a JSON object (column {})", error.column()),
                })?;
            let field = |name: &str| {
                record
                    .get(name)
                    .and_then(|value| value.as_str())
                    .map(str::to_owned)
            };
            self.add(field("id"), field("text"));
        }
        Ok(())
    }

    fn add(&mut self, id: Option<String>, text: Option<String>) {
        let (Some(id), Some(text)) = (id, text) else {
            self.unusable += 1;
            return;
        };
        if id.is_empty() || text.is_empty() {
            self.unusable += 1;
            return;
        }
        let documents = self.splits.entry(Split::of(&id)).or_default();
        if documents.contains_key(&id) || !self.texts.insert(Sha256::digest(text.as_bytes()).into())
        {
            self.duplicates += 1;
            return;
        }
        for part in [&id, &text] {
            self.source_hash.update((part.len() as u64).to_le_bytes());
            self.source_hash.update(part.as_bytes());
        }
        documents.insert(id, text);
    }

    fn text_bytes(&self) -> BTreeMap<String, u64> {
        let sum =
            |documents: &BTreeMap<String, String>| documents.values().map(|t| t.len() as u64).sum();
        self.splits
            .iter()
            .map(|(split, documents)| (split.name().to_owned(), sum(documents)))
            .collect()
    }
}

fn write_corpus(
    root: &Path,
    options: &LockOptions,
    collected: &Collected,
    pin_sha: &str,
) -> Result<Manifest, DatasetError> {
    let empty = BTreeMap::new();
    let mut splits = BTreeMap::new();
    for split in Split::ALL {
        let documents = collected.splits.get(&split).unwrap_or(&empty);
        let documents: Vec<_> = documents.iter().collect();
        // val and test are secret: nobody but the operator's user looks into their folders.
        let mode = if split == Split::Train { 0o755 } else { 0o700 };
        let shards = write_shards(root, split.name(), mode, &documents, options.docs_per_shard)?;
        let entry = SplitEntry {
            doc_count: documents.len() as u64,
            token_count: shards.iter().map(|shard| shard.token_count).sum(),
            byte_count: shards.iter().map(|shard| shard.bytes).sum(),
            fingerprint: manifest::split_fingerprint(split, &shards),
            shards,
        };
        splits.insert(split.name().to_owned(), entry);
    }
    let open: Vec<_> = collected
        .splits
        .get(&Split::Train)
        .unwrap_or(&empty)
        .iter()
        .filter(|(id, _)| manifest::is_open(id))
        .collect();
    let open_shards = write_shards(root, "open", 0o755, &open, options.docs_per_shard)?;
    Ok(Manifest {
        schema_version: manifest::SCHEMA_VERSION.to_owned(),
        dataset: Dataset {
            name: options.name.clone(),
            pin_sha: pin_sha.to_owned(),
            license: options.license.clone(),
            source_doc_limit: None,
        },
        partition: manifest::partition(),
        tokenizer: ProvenanceTokenizer {
            id: "bytes".to_owned(),
            fingerprint: hex(&Sha256::digest(b"prism:bytes:n_vocab=257")),
        },
        splits,
        open: Some(OpenEntry {
            rule: format!(
                "train documents with sha256(doc.id) mod 1000 below {OPEN_BUCKETS}; never scored"
            ),
            doc_count: open.len() as u64,
            shards: open_shards,
        }),
    })
}

fn write_shards(
    root: &Path,
    folder: &str,
    mode: u32,
    documents: &[(&String, &String)],
    docs_per_shard: usize,
) -> Result<Vec<Shard>, DatasetError> {
    let path = root.join(folder);
    fs::create_dir(&path).map_err(at(&path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(at(&path))?;
    let mut shards = Vec::new();
    for (index, chunk) in documents.chunks(docs_per_shard.max(1)).enumerate() {
        let name = format!("{folder}/{folder}-{index:05}.jsonl");
        let mut bytes = Vec::new();
        let mut text_bytes = 0;
        for (id, text) in chunk {
            let document = Document {
                id: (*id).clone(),
                text: (*text).clone(),
            };
            // Keys in order, compact, non-ASCII raw: the contest's line format.
            serde_json::to_writer(&mut bytes, &document).map_err(|source| {
                DatasetError::Source {
                    path: root.join(&name),
                    reason: source.to_string(),
                }
            })?;
            bytes.push(b'\n');
            text_bytes += text.len() as u64;
        }
        write_synced(
            &root.join(&name),
            &bytes,
            if mode == 0o700 { 0o600 } else { 0o644 },
        )?;
        shards.push(Shard {
            path: name,
            sha256: hex(&Sha256::digest(&bytes)),
            bytes: bytes.len() as u64,
            doc_count: chunk.len() as u64,
            token_count: text_bytes,
        });
    }
    Ok(shards)
}

fn write_synced(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DatasetError> {
    let mut file = File::create(path).map_err(at(path))?;
    file.set_permissions(fs::Permissions::from_mode(mode))
        .map_err(at(path))?;
    file.write_all(bytes).map_err(at(path))?;
    file.sync_all().map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{read, verify};

    fn source(folder: &Path, documents: u32) -> PathBuf {
        let path = folder.join("source.jsonl");
        let mut text = String::new();
        for n in 0..documents {
            text.push_str(&format!(
                "{{\"id\":\"doc-{n}\",\"text\":\"text number {n}, é\"}}\n"
            ));
        }
        text.push_str("{\"id\":\"doc-1\",\"text\":\"same id\"}\n{\"id\":\"\",\"text\":\"x\"}\n");
        text.push_str("{\"id\":\"other\",\"text\":\"text number 1, é\"}\n{\"text\":7}\n");
        fs::write(&path, text).unwrap();
        path
    }

    fn options(folder: &Path, source: PathBuf) -> LockOptions {
        LockOptions {
            sources: vec![source],
            root: folder.join("corpus"),
            name: "test".to_owned(),
            license: "none".to_owned(),
            docs_per_shard: 64,
        }
    }

    #[test]
    fn a_locked_corpus_verifies_and_reads_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path(), source(folder.path(), 500));
        let report = lock(&options).unwrap();
        assert_eq!((report.skipped_unusable, report.skipped_duplicates), (2, 2));
        assert_eq!(report.doc_counts.values().sum::<u64>(), 500);
        let corpus = Corpus::open(&options.root).unwrap();
        verify::verify(&corpus, &Split::ALL).unwrap();
        let train = read::prefix(&corpus, Split::Train, u64::MAX).unwrap();
        assert!(train.is_sorted_by(|a, b| a.id < b.id));
        assert!(
            train
                .iter()
                .all(|document| !manifest::is_open(&document.id))
        );
        let open = corpus.manifest.open.as_ref().unwrap().doc_count;
        assert_eq!(train.len() as u64 + open, report.doc_counts["train"]);
        let mode = fs::metadata(options.root.join("val"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(matches!(lock(&options), Err(DatasetError::Source { .. })));
    }

    #[test]
    fn a_changed_or_missing_shard_is_found_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path(), source(folder.path(), 500));
        lock(&options).unwrap();
        let corpus = Corpus::open(&options.root).unwrap();
        let shard = options.root.join("train/train-00000.jsonl");
        let text = fs::read_to_string(&shard).unwrap();
        fs::write(&shard, text.replacen("number", "NUMBER", 1)).unwrap();
        let error = read::prefix(&corpus, Split::Train, 10).unwrap_err();
        assert!(matches!(error, DatasetError::Shard { .. }), "{error}");
        assert!(error.to_string().contains("train-00000.jsonl"), "{error}");
        fs::remove_file(&shard).unwrap();
        assert!(matches!(
            read::prefix(&corpus, Split::Train, 10),
            Err(DatasetError::Io { .. })
        ));
        assert!(matches!(
            verify::verify(&corpus, &[Split::Train]),
            Err(DatasetError::Verify { .. })
        ));
    }
}
