//! Documents of a split in their locked order: shards by number, lines by position.
//!
//! Every shard is checked against the manifest as it is read: a changed file is an error before its first document is used.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::manifest::{Corpus, Shard, Split, is_open};
use super::{DatasetError, Document, at};
use crate::digest::hex;

/// Documents of `split` until `budget_bytes` of text are reached; the document at the border is included.
///
/// Train leaves out the open sample, which is never scored.
pub fn prefix(
    corpus: &Corpus,
    split: Split,
    budget_bytes: u64,
) -> Result<Vec<Document>, DatasetError> {
    let mut documents = Vec::new();
    let mut bytes = 0;
    for shard in corpus.shards(split) {
        if bytes >= budget_bytes {
            break;
        }
        for document in shard_documents(&corpus.root, shard)? {
            if split == Split::Train && is_open(&document.id) {
                continue;
            }
            if bytes >= budget_bytes {
                break;
            }
            bytes += document.text.len() as u64;
            documents.push(document);
        }
    }
    Ok(documents)
}

/// The documents of one shard, after its length and hash were found right.
pub fn shard_documents(root: &Path, shard: &Shard) -> Result<Vec<Document>, DatasetError> {
    let path = root.join(&shard.path);
    // One byte more than the manifest says is enough to know that the file is longer.
    let mut bytes = Vec::new();
    File::open(&path)
        .map_err(at(&path))?
        .take(shard.bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(at(&path))?;
    let got = hex(&Sha256::digest(&bytes));
    if bytes.len() as u64 != shard.bytes || got != shard.sha256 {
        return Err(DatasetError::Shard {
            path,
            got,
            got_bytes: bytes.len() as u64,
            expected: shard.sha256.clone(),
            expected_bytes: shard.bytes,
        });
    }
    parse_lines(&path, bytes.as_slice())
}

/// One JSON object a line, `id` and `text` and nothing else.
fn parse_lines(path: &Path, bytes: &[u8]) -> Result<Vec<Document>, DatasetError> {
    let mut documents = Vec::new();
    for (index, line) in BufReader::new(bytes).split(b'\n').enumerate() {
        let line = line.map_err(at(path))?;
        // The parser's own message could quote the text: only the place is told.
        let document: Document =
            serde_json::from_slice(&line).map_err(|error| DatasetError::Line {
                path: path.to_owned(),
                line: index + 1,
                reason: format!(
                    "not a document (column {}): expected {{\"id\", \"text\"}}",
                    error.column()
                ),
            })?;
        documents.push(document);
    }
    Ok(documents)
}
