//! `prism data lock`: from text as people have it to a corpus that cannot change unseen.
//!
//! Every source is read once and leaves as sorted runs ([`ingest`]); the runs, merged, become shards ([`build`]). All of that happens
//! in a hidden folder beside the target ([`work_folder`]), which gets the target's name at the very end: a half-written
//! corpus is never taken for one. What is locked depends on the records alone, not on their order, on the number of
//! cores, or on whether the work was interrupted.

mod batch;
mod build;
mod ingest;
mod json_lines;
mod near_duplicates;
mod parquet;
mod record;
mod runs;
mod shards;
mod sources;
#[cfg(test)]
mod tests;
mod work_folder;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use self::build::Built;
use self::sources::{Identity, Source};
use self::work_folder::WorkFolder;
use super::manifest::{
    self, Corpus, Dataset, LeftOut, Manifest, OPEN_BUCKETS, OPEN_FOLDER, OpenEntry,
    ProvenanceTokenizer, Shard, Split, SplitEntry,
};
use super::proof::Proof;
use super::{DatasetError, at};
use crate::digest::hex;
use crate::progress::Progress;

/// What to lock and how to name it.
#[derive(Debug, Clone)]
pub struct LockOptions {
    /// `.parquet`, `.jsonl`, `.jsonl.gz`, `.jsonl.zst` with `id` and `text`; `.txt`; or folders of these.
    pub sources: Vec<PathBuf>,
    pub root: PathBuf,
    pub name: String,
    pub license: String,
    /// Revision of the source; without one, a digest of the text stands in its place.
    pub revision: Option<String>,
    pub docs_per_shard: u64,
    /// Only the first usable records, in the order of the sources.
    pub limit: Option<u64>,
}

/// What became of the source.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LockReport {
    pub root: PathBuf,
    pub pin_sha: String,
    pub manifest_sha256: String,
    pub doc_counts: BTreeMap<String, u64>,
    pub text_bytes: BTreeMap<String, u64>,
    pub left_out: LeftOut,
    /// Sources that an interrupted lock had read before.
    pub resumed_sources: u64,
}

/// Locks a corpus and proves it. Fails if `root` exists, unless as an empty folder.
pub fn lock(options: &LockOptions, progress: &Progress) -> Result<LockReport, DatasetError> {
    let root = std::path::absolute(&options.root).map_err(at(&options.root))?;
    check_output(&root)?;
    let sources = sources::find(&options.sources)?;
    let parent = root.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(at(parent))?;
    let mut work = WorkFolder::open(&root)?;
    match lock_in(&mut work, &root, options, &sources, progress) {
        Ok(report) => {
            // The corpus has its name: what is left here is of no use to anybody, and no reason to fail.
            if let Err(error) = work.remove() {
                progress.line(&format!("left behind: {error}"));
            }
            Ok(report)
        }
        Err(error) => {
            if work.holds_work() {
                progress.line(&format!(
                    "what was read so far is kept in {}; the same command goes on from there",
                    work.path.display()
                ));
            } else {
                // The first error is the one to tell.
                let _ = work.remove();
            }
            Err(error)
        }
    }
}

fn lock_in(
    work: &mut WorkFolder,
    root: &Path,
    options: &LockOptions,
    sources: &[Source],
    progress: &Progress,
) -> Result<LockReport, DatasetError> {
    // Another lock may have ended between the first look and ours.
    check_output(root)?;
    let identities: Vec<Identity> = sources.iter().map(|s| s.identity.clone()).collect();
    work.keep_only(&identities, options.limit)?;
    let resumed_sources = work.all_finished().count() as u64;
    if resumed_sources > 0 {
        progress.line(&format!(
            "taking up an interrupted lock: {resumed_sources} of {} sources are read",
            sources.len()
        ));
    }
    read_all(work, options, sources, progress)?;

    let corpus = work.fresh_corpus()?;
    let mut bytes = 0;
    for split in Split::ALL {
        bytes += work.runs(split)?.iter().map(|run| run.bytes).sum::<u64>();
    }
    let bar = progress.bytes("writing", bytes);
    let built = build::build(work, &corpus, options.docs_per_shard, &bar)?;
    drop(bar);
    if built
        .shards
        .get(Split::Train.name())
        .is_none_or(Vec::is_empty)
    {
        return Err(DatasetError::Source {
            path: options.sources.first().cloned().unwrap_or_default(),
            reason: "got no usable document for train, expected records with id and text"
                .to_owned(),
        });
    }
    let report = conclude(&corpus, root, options, built)?;
    Ok(LockReport {
        resumed_sources,
        ..report
    })
}

fn read_all(
    work: &mut WorkFolder,
    options: &LockOptions,
    sources: &[Source],
    progress: &Progress,
) -> Result<(), DatasetError> {
    let to_read = |work: &WorkFolder, source: &&Source| work.finished(&source.identity).is_none();
    let total = sources
        .iter()
        .filter(|source| to_read(work, source))
        .map(|source| source.identity.bytes)
        .sum();
    let bar = progress.bytes("reading", total);
    let mut left = options.limit;
    for source in sources {
        if left == Some(0) {
            break;
        }
        if to_read(work, &source) {
            ingest::ingest(work, source, left, &bar)?;
        }
        if let (Some(left), Some(finished)) = (&mut left, work.finished(&source.identity)) {
            *left = left.saturating_sub(finished.usable);
        }
    }
    Ok(())
}

/// Manifest and proof, everything on the disk, and then the name.
fn conclude(
    building: &Path,
    root: &Path,
    options: &LockOptions,
    built: Built,
) -> Result<LockReport, DatasetError> {
    let files = built.files.clone();
    let left_out = built.left_out;
    let manifest = manifest_of(options, built);
    write_manifest(&building.join(manifest::FILE_NAME), &manifest)?;
    // What was written must be readable as a corpus before it gets the name of one.
    let corpus = Corpus::open(building)?;
    let mut documents: BTreeMap<String, u64> = BTreeMap::new();
    let mut text_bytes = BTreeMap::new();
    for (name, entry) in &manifest.splits {
        documents.insert(name.clone(), entry.doc_count);
        text_bytes.insert(name.clone(), entry.token_count);
    }
    let doc_counts = documents.clone();
    let open = manifest.open.as_ref().map_or(0, |open| open.doc_count);
    documents.insert(OPEN_FOLDER.to_owned(), open);
    Proof::new(&corpus, "lock", &Split::ALL, documents, files).write(building)?;
    fs::set_permissions(building, fs::Permissions::from_mode(0o755)).map_err(at(building))?;
    // One call for all shards: a sync of each would take longer than everything else.
    let folder = File::open(building).map_err(at(building))?;
    rustix::fs::syncfs(&folder).map_err(|error| at(building)(error.into()))?;
    fs::rename(building, root).map_err(at(root))?;
    let parent = root.parent().unwrap_or(Path::new("/"));
    File::open(parent)
        .and_then(|folder| folder.sync_all())
        .map_err(at(parent))?;
    Ok(LockReport {
        root: options.root.clone(),
        pin_sha: manifest.dataset.pin_sha,
        manifest_sha256: corpus.manifest_sha256,
        doc_counts,
        text_bytes,
        left_out,
        resumed_sources: 0,
    })
}

/// A corpus is never overwritten; an empty folder is as good as none.
fn check_output(root: &Path) -> Result<(), DatasetError> {
    let refused = |reason: &str| DatasetError::Output {
        path: root.to_owned(),
        reason: reason.to_owned(),
    };
    if root.file_name().is_none() {
        return Err(refused("got no name for the corpus"));
    }
    let metadata = match fs::symlink_metadata(root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(at(root))?,
    };
    if metadata.is_symlink() {
        return Err(refused("is a link, expected a new folder"));
    }
    if !metadata.is_dir() {
        return Err(refused("exists and is no folder"));
    }
    if root.join(manifest::FILE_NAME).exists() {
        return Err(refused(
            "is a corpus already; a locked corpus is never overwritten",
        ));
    }
    match fs::read_dir(root).map_err(at(root))?.next() {
        None => Ok(()),
        Some(_) => Err(refused("exists and is not empty")),
    }
}

fn manifest_of(options: &LockOptions, mut built: Built) -> Manifest {
    let mut shards_of = |folder: &str| built.shards.remove(folder).unwrap_or_default();
    let documents = |shards: &[Shard]| shards.iter().map(|shard| shard.doc_count).sum();
    let mut splits = BTreeMap::new();
    for split in Split::ALL {
        let shards = shards_of(split.name());
        let entry = SplitEntry {
            doc_count: documents(&shards),
            token_count: shards.iter().map(|shard| shard.token_count).sum(),
            byte_count: shards.iter().map(|shard| shard.bytes).sum(),
            fingerprint: manifest::split_fingerprint(split, &shards),
            shards,
        };
        splits.insert(split.name().to_owned(), entry);
    }
    let open = shards_of(OPEN_FOLDER);
    Manifest {
        schema_version: manifest::SCHEMA_VERSION.to_owned(),
        dataset: Dataset {
            name: options.name.clone(),
            pin_sha: options.revision.clone().unwrap_or(built.text_sha256),
            license: options.license.clone(),
            source_doc_limit: options.limit,
        },
        partition: manifest::partition(),
        tokenizer: ProvenanceTokenizer {
            id: manifest::BYTES_TOKENIZER.to_owned(),
            fingerprint: hex(&Sha256::digest(b"prism:bytes:n_vocab=257")),
        },
        splits,
        open: Some(OpenEntry {
            rule: format!(
                "train documents with sha256(doc.id) mod 1000 below {OPEN_BUCKETS}; never scored"
            ),
            doc_count: documents(&open),
            shards: open,
        }),
        left_out: Some(built.left_out),
        near_duplicates: Some(near_duplicates::rule()),
    }
}

/// Sorted keys, indent 2, final newline.
fn write_manifest(path: &Path, manifest: &Manifest) -> Result<(), DatasetError> {
    let written = serde_json::to_value(manifest)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .map_err(|error| at(path)(error.into()))?;
    File::create_new(path)
        .and_then(|mut file| {
            file.set_permissions(fs::Permissions::from_mode(0o644))?;
            file.write_all(written.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        })
        .map_err(at(path))
}
