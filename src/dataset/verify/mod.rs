//! `prism data verify`: every hash, count, id and place of a corpus against its manifest, in parallel, and the proof of it.

mod lines;
mod shard;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::PermissionsExt;

use rayon::prelude::*;

use self::lines::Place;
use self::shard::{Fault, Sound};
use super::DatasetError;
use super::manifest::{BYTES_TOKENIZER, Corpus, OPEN_FOLDER, Shard, Split};
use super::proof::{self, Proof, State};
use crate::progress::Progress;

/// Problems that are told one by one.
const TOLD_PROBLEMS: usize = 16;

/// What was looked at, and found to be as the manifest says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct VerifyReport {
    pub manifest_sha256: String,
    pub splits: Vec<String>,
    /// Those of the open sample included.
    pub shards: u64,
    /// Of the splits.
    pub documents: u64,
    /// Bytes of all shards read.
    pub bytes: u64,
    /// What is not wrong, and not well either.
    pub warnings: Vec<String>,
}

/// Checks these splits and the open sample, and writes the proof. Every problem found is in the error, not only the first;
/// an older proof is then marked as failed.
pub fn verify(
    corpus: &Corpus,
    splits: &[Split],
    progress: &Progress,
) -> Result<VerifyReport, DatasetError> {
    // Whatever state it is in, and if there is none: its CRCs only help to tell where a fault is.
    let earlier = Proof::read(&corpus.root).ok();
    let (report, result) = check_all(corpus, splits, earlier.as_ref(), progress);
    match result {
        Ok(proof) => {
            proof.write(&corpus.root)?;
            Ok(report)
        }
        Err(mut problems) => {
            if problems.len() > TOLD_PROBLEMS {
                let more = problems.len() - TOLD_PROBLEMS;
                problems.truncate(TOLD_PROBLEMS);
                problems.push(format!("and {more} more"));
            }
            if let Some(mut proof) = earlier {
                proof.state = State::Failed;
                if let Err(error) = proof.write(&corpus.root) {
                    problems.push(format!("the old proof could not be revoked: {error}"));
                }
            }
            Err(DatasetError::Verify { problems })
        }
    }
}

fn check_all(
    corpus: &Corpus,
    splits: &[Split],
    earlier: Option<&Proof>,
    progress: &Progress,
) -> (VerifyReport, Result<Proof, Vec<String>>) {
    let mut problems = Vec::new();
    let mut report = VerifyReport {
        manifest_sha256: corpus.manifest_sha256.clone(),
        splits: splits.iter().map(|split| split.name().to_owned()).collect(),
        shards: 0,
        documents: 0,
        bytes: 0,
        warnings: Vec::new(),
    };
    let folders = proof::folders(corpus, splits);
    for (folder, shards) in &folders {
        report.warnings.extend(audience_warning(corpus, folder));
        problems.extend(folder_problems(corpus, folder, shards));
    }
    let shards: Vec<(Place, &Shard)> = folders
        .iter()
        .flat_map(|(folder, shards)| shards.iter().map(|shard| (place_of(folder), shard)))
        .collect();
    report.shards = shards.len() as u64;
    report.bytes = shards.iter().map(|(_, shard)| shard.bytes).sum();
    let mut checked = check_shards(corpus, &shards, earlier, report.bytes, progress);
    if !checked.is_empty()
        && checked
            .values()
            .all(|result| matches!(result, Err(fault) if fault.other_bytes))
    {
        problems.push(
            "no shard is as this manifest says: it is probably that of another corpus".to_owned(),
        );
    }

    let mut files = Vec::new();
    let mut documents = BTreeMap::new();
    let mut open_of_train = Vec::new();
    for (folder, shards) in &folders {
        let mut sound = Sequence::default();
        for shard in *shards {
            match checked.remove(shard.path.as_str()) {
                Some(Ok(shard)) => sound.add(shard, &mut problems),
                Some(Err(fault)) => {
                    sound.faulty = true;
                    problems.push(fault.to_string());
                }
                None => {}
            }
        }
        if !sound.faulty {
            problems.extend(total_problems(corpus, folder, &sound));
        }
        if *folder != OPEN_FOLDER {
            report.documents += sound.documents;
            documents.insert((*folder).to_owned(), sound.documents);
        }
        if *folder == Split::Train.name() {
            let open = sound.open_lines.len() as u64;
            documents.insert(OPEN_FOLDER.to_owned(), open);
            open_of_train = sound.open_lines;
        } else if *folder == OPEN_FOLDER
            && !sound.faulty
            && splits.contains(&Split::Train)
            && sound.open_lines != open_of_train
        {
            problems.push(format!(
                "{OPEN_FOLDER}: not the documents of train that the rule of the open sample names"
            ));
        }
        files.extend(sound.files);
    }
    if problems.is_empty() {
        let proof = Proof::new(corpus, "verify", splits, documents, files);
        (report, Ok(proof))
    } else {
        (report, Err(problems))
    }
}

fn place_of(folder: &str) -> Place {
    Split::ALL
        .into_iter()
        .find(|split| split.name() == folder)
        .map_or(Place::Open, Place::Split)
}

/// Every shard on its own, the largest first, so that the last ones to end are small.
fn check_shards<'a>(
    corpus: &Corpus,
    shards: &[(Place, &'a Shard)],
    earlier: Option<&Proof>,
    bytes: u64,
    progress: &Progress,
) -> HashMap<&'a str, Result<Sound, Fault>> {
    let crc32: HashMap<&str, &str> = earlier
        .filter(|proof| proof.manifest_sha256 == corpus.manifest_sha256)
        .into_iter()
        .flat_map(|proof| &proof.files)
        .map(|file| (file.path.as_str(), file.block_crc32.as_str()))
        .collect();
    let mut by_size = shards.to_vec();
    by_size.sort_by_key(|(_, shard)| std::cmp::Reverse(shard.bytes));
    let bar = progress.bytes("verifying", bytes);
    by_size
        .into_par_iter()
        .with_max_len(1)
        .map(|(place, shard)| {
            let crc32 = crc32.get(shard.path.as_str()).copied();
            let result = shard::check(&corpus.root, shard, place, crc32, &bar);
            (shard.path.as_str(), result)
        })
        .collect()
}

/// The sound shards of one folder, in their order.
#[derive(Default)]
struct Sequence {
    files: Vec<proof::ProvenFile>,
    documents: u64,
    text_bytes: u64,
    file_bytes: u64,
    last_id: Option<String>,
    open_lines: Vec<[u8; 32]>,
    /// A shard of the folder is missing here, so that no sum can be right.
    faulty: bool,
}

impl Sequence {
    fn add(&mut self, shard: Sound, problems: &mut Vec<String>) {
        if shard.documents > 0 {
            if self
                .last_id
                .as_ref()
                .is_some_and(|last| *last >= shard.first_id)
            {
                problems.push(format!(
                    "{}: its first id does not come after the last one of the shard before",
                    shard.file.path
                ));
            }
            self.last_id = Some(shard.last_id);
        }
        self.documents += shard.documents;
        self.text_bytes += shard.text_bytes;
        self.file_bytes += shard.file.stamp.bytes;
        self.open_lines.extend(shard.open_lines);
        self.files.push(shard.file);
    }
}

/// The manifest's sums against what was counted.
fn total_problems(corpus: &Corpus, folder: &str, sound: &Sequence) -> Vec<String> {
    let mut expected = Vec::new();
    let manifest = &corpus.manifest;
    if let Some(entry) = manifest.splits.get(folder) {
        expected.push(("doc_count", entry.doc_count, sound.documents));
        expected.push(("byte_count", entry.byte_count, sound.file_bytes));
        if manifest.tokenizer.id == BYTES_TOKENIZER {
            expected.push(("token_count", entry.token_count, sound.text_bytes));
        }
    } else if let Some(open) = &manifest.open {
        expected.push(("doc_count", open.doc_count, sound.documents));
    }
    expected
        .into_iter()
        .filter(|(_, expected, got)| expected != got)
        .map(|(what, expected, got)| {
            format!("{folder}: {what}: the manifest says {expected}, its shards hold {got}")
        })
        .collect()
}

/// Whether a folder is one, known to the manifest, and holds nothing else.
fn folder_problems(corpus: &Corpus, folder: &str, shards: &[Shard]) -> Vec<String> {
    if folder != OPEN_FOLDER && !corpus.manifest.splits.contains_key(folder) {
        return vec![format!("split {folder} is not in the manifest")];
    }
    let path = corpus.root.join(folder);
    match fs::symlink_metadata(&path) {
        Ok(metadata) if !metadata.is_dir() => return vec![format!("{folder}: is no folder")],
        Err(_) if !shards.is_empty() => return vec![format!("{folder}: is missing")],
        _ => {}
    }
    match proof::strays(&corpus.root, folder, shards) {
        Ok(strays) => strays
            .into_iter()
            .map(|name| format!("{name}: not in the manifest"))
            .collect(),
        Err(error) => vec![error.to_string()],
    }
}

/// val and test are for the operator's eyes only.
fn audience_warning(corpus: &Corpus, folder: &str) -> Option<String> {
    if folder == OPEN_FOLDER || folder == Split::Train.name() {
        return None;
    }
    let mode = fs::metadata(corpus.root.join(folder))
        .ok()?
        .permissions()
        .mode()
        & 0o777;
    (mode & 0o077 != 0).then(|| {
        format!("{folder}/ is open to other users (mode {mode:04o}), expected 0700: chmod 700 it")
    })
}
