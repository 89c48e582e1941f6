//! Where the text comes from: the files behind the names on the command line, in a fixed order.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use crate::dataset::{DatasetError, at};
use crate::digest::hex;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
}

/// What a source is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// JSON objects with `id` and `text`, one a line.
    JsonLines(Packing),
    /// Columns `id` and `text`, and any others.
    Parquet,
    /// Text files of one folder; a file is a document.
    Texts(Vec<TextFile>),
}

/// A text file and the id that its document gets: the path below the folder that was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFile {
    pub path: PathBuf,
    pub id: String,
}

/// One source: what is read in one go, and what the journal of an interrupted lock knows as finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub path: PathBuf,
    pub kind: Kind,
    pub identity: Identity,
}

/// Tells whether a source is still the one that was read before an interruption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub path: String,
    /// As they lie on disk, packed or not.
    pub bytes: u64,
    /// sha256 over sizes, modification times, devices and inodes, and the ids of text files.
    pub stamp: String,
}

/// The sources behind `names`: files as named; of folders the files in the order of their paths, text files last.
///
/// A link to a file stands for the file; hidden names and other kinds of files in folders are left out.
pub fn find(names: &[PathBuf]) -> Result<Vec<Source>, DatasetError> {
    let mut sources = Vec::new();
    for name in names {
        let before = sources.len();
        if fs::metadata(name).map_err(at(name))?.is_dir() {
            find_in_folder(name, &mut sources)?;
        } else {
            let kind = match kind_of(name) {
                Some(FileKind::Text) => Kind::Texts(vec![TextFile {
                    path: name.clone(),
                    // A file named by itself is called by its own name.
                    id: utf8(Path::new(name.file_name().unwrap_or_default()))?,
                }]),
                Some(FileKind::Records(kind)) => kind,
                None => return Err(no_source(name)),
            };
            sources.push(source(name.clone(), kind)?);
        }
        if sources.len() == before {
            return Err(no_source(name));
        }
    }
    // A file that is named twice, or named beside its folder, is one source.
    let mut seen = std::collections::HashSet::new();
    sources.retain(|source| seen.insert(source.identity.stamp.clone()));
    Ok(sources)
}

fn no_source(path: &Path) -> DatasetError {
    DatasetError::Source {
        path: path.to_owned(),
        reason:
            "got nothing to lock, expected .parquet, .jsonl, .jsonl.gz, .jsonl.zst or .txt files"
                .to_owned(),
    }
}

fn find_in_folder(folder: &Path, sources: &mut Vec<Source>) -> Result<(), DatasetError> {
    let mut texts = Vec::new();
    let visible = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    let walk = WalkDir::new(folder)
        .follow_links(false)
        .follow_root_links(true)
        .sort_by_file_name();
    for entry in walk.into_iter().filter_entry(visible) {
        let entry = entry.map_err(|error| DatasetError::Source {
            path: folder.to_owned(),
            reason: error.to_string(),
        })?;
        let path = entry.path();
        if entry.depth() == 0 || entry.file_type().is_dir() {
            continue;
        }
        let Some(kind) = kind_of(path) else { continue };
        // Downloads are often links into a store of files: those are followed, links to folders are not.
        if !fs::metadata(path).map_err(at(path))?.is_file() {
            return Err(DatasetError::Source {
                path: path.to_owned(),
                reason: "not a regular file".to_owned(),
            });
        }
        match kind {
            FileKind::Text => texts.push(TextFile {
                path: path.to_owned(),
                id: utf8(path.strip_prefix(folder).unwrap_or(path))?,
            }),
            FileKind::Records(kind) => sources.push(source(path.to_owned(), kind)?),
        }
    }
    if !texts.is_empty() {
        sources.push(source(folder.to_owned(), Kind::Texts(texts))?);
    }
    Ok(())
}

enum FileKind {
    Records(Kind),
    Text,
}

fn kind_of(path: &Path) -> Option<FileKind> {
    let name = path.file_name()?.to_str()?;
    let ends = |suffix: &str| name.ends_with(suffix);
    Some(match () {
        () if ends(".parquet") => FileKind::Records(Kind::Parquet),
        () if ends(".jsonl") => FileKind::Records(Kind::JsonLines(Packing::Plain)),
        () if ends(".jsonl.gz") => FileKind::Records(Kind::JsonLines(Packing::Gzip)),
        () if ends(".jsonl.zst") => FileKind::Records(Kind::JsonLines(Packing::Zstd)),
        () if ends(".txt") => FileKind::Text,
        () => return None,
    })
}

/// Ids are Unicode: a name that is none cannot become one.
fn utf8(path: &Path) -> Result<String, DatasetError> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| DatasetError::Source {
            path: path.to_owned(),
            reason: "the name is not UTF-8, and a text file's name is its id".to_owned(),
        })
}

fn source(path: PathBuf, kind: Kind) -> Result<Source, DatasetError> {
    let mut bytes = 0;
    let mut stamp = Sha256::new();
    // A text file's name counts, for it is the id; another file is the same whatever link led to it.
    let mut add = |path: &Path, id: &str| -> Result<(), DatasetError> {
        let metadata = fs::metadata(path).map_err(at(path))?;
        if !metadata.is_file() {
            return Err(DatasetError::Source {
                path: path.to_owned(),
                reason: "not a regular file".to_owned(),
            });
        }
        bytes += metadata.len();
        stamp.update((id.len() as u64).to_le_bytes());
        stamp.update(id);
        for number in [
            metadata.len(),
            metadata.mtime().cast_unsigned(),
            metadata.mtime_nsec().cast_unsigned(),
            metadata.dev(),
            metadata.ino(),
        ] {
            stamp.update(number.to_le_bytes());
        }
        Ok(())
    };
    match &kind {
        Kind::Texts(files) => files
            .iter()
            .try_for_each(|file| add(&file.path, &file.id))?,
        Kind::JsonLines(_) | Kind::Parquet => add(&path, "")?,
    }
    let absolute = std::path::absolute(&path).map_err(at(&path))?;
    Ok(Source {
        identity: Identity {
            path: absolute.display().to_string(),
            bytes,
            stamp: hex(&stamp.finalize()),
        },
        path,
        kind,
    })
}
