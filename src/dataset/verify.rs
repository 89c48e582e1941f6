//! `prism data verify`: every hash, count, id and place of a corpus against its manifest.

use std::collections::HashSet;
use std::fs;

use rayon::prelude::*;

use super::manifest::{Corpus, Split, is_open};
use super::{DatasetError, read};

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct VerifyReport {
    pub manifest_sha256: String,
    pub splits: Vec<String>,
    pub shards: u64,
    pub documents: u64,
    pub bytes: u64,
}

/// Checks the named splits in parallel. Every problem found is in the error, not only the first.
pub fn verify(corpus: &Corpus, splits: &[Split]) -> Result<VerifyReport, DatasetError> {
    let mut problems = Vec::new();
    let mut report = VerifyReport {
        manifest_sha256: corpus.manifest_sha256.clone(),
        splits: splits.iter().map(|split| split.name().to_owned()).collect(),
        shards: 0,
        documents: 0,
        bytes: 0,
    };
    for &split in splits {
        if !corpus.manifest.splits.contains_key(split.name()) {
            problems.push(format!("split {} is not in the manifest", split.name()));
            continue;
        }
        let shards = corpus.shards(split);
        let checked: Vec<Result<Vec<String>, String>> = shards
            .par_iter()
            .map(|shard| check_shard(corpus, split, shard))
            .collect();
        let mut ids = HashSet::new();
        let mut last: Option<String> = None;
        for (shard, result) in shards.iter().zip(checked) {
            report.shards += 1;
            report.bytes += shard.bytes;
            match result {
                Err(problem) => problems.push(problem),
                Ok(shard_ids) => {
                    report.documents += shard_ids.len() as u64;
                    for id in shard_ids {
                        if last.as_ref().is_some_and(|last| *last >= id) || !ids.insert(id.clone())
                        {
                            problems.push(format!(
                                "{}: ids are not in strictly rising order",
                                shard.path
                            ));
                            break;
                        }
                        last = Some(id);
                    }
                }
            }
        }
        problems.extend(unlisted(corpus, split));
    }
    for shard in corpus.manifest.open.iter().flat_map(|open| &open.shards) {
        report.shards += 1;
        report.bytes += shard.bytes;
        match check_shard(corpus, Split::Train, shard) {
            Err(problem) => problems.push(problem),
            Ok(ids) if !ids.iter().all(|id| is_open(id)) => {
                problems.push(format!(
                    "{}: a document that is not of the open sample",
                    shard.path
                ));
            }
            Ok(_) => {}
        }
    }
    if problems.is_empty() {
        Ok(report)
    } else {
        Err(DatasetError::Verify { problems })
    }
}

/// The ids of a shard that is as the manifest says and whose documents belong to the split.
fn check_shard(
    corpus: &Corpus,
    split: Split,
    shard: &super::manifest::Shard,
) -> Result<Vec<String>, String> {
    let documents =
        read::shard_documents(&corpus.root, shard).map_err(|error| error.to_string())?;
    if documents.len() as u64 != shard.doc_count {
        return Err(format!(
            "{}: got {} documents, expected {}",
            shard.path,
            documents.len(),
            shard.doc_count
        ));
    }
    if let Some(line) = documents
        .iter()
        .position(|document| Split::of(&document.id) != split)
    {
        return Err(format!(
            "{}:{}: the document's id belongs to another split",
            shard.path,
            line + 1
        ));
    }
    Ok(documents.into_iter().map(|document| document.id).collect())
}

/// Shard files that lie in the folder and that the manifest does not know.
fn unlisted(corpus: &Corpus, split: Split) -> Vec<String> {
    let folder = corpus.root.join(split.name());
    let Ok(entries) = fs::read_dir(&folder) else {
        return vec![format!("{}: cannot be listed", folder.display())];
    };
    let known: HashSet<&str> = corpus
        .shards(split)
        .iter()
        .map(|shard| shard.path.as_str())
        .collect();
    entries
        .flatten()
        .map(|entry| format!("{}/{}", split.name(), entry.file_name().display()))
        .filter(|name| name.ends_with(".jsonl") && !known.contains(name.as_str()))
        .map(|name| format!("{name}: not in the manifest"))
        .collect()
}
