//! From the bytes of a zip to a [`Bundle`]: everything in memory, nothing written, nothing run.
//!
//! The order: size, structure of the archive (our own walk), names, declared totals, unpacking with
//! real counters, prism.yaml, contract, roles. The first violation ends it.

mod contract;
mod end_record;
mod error;
mod faults;
mod fields;
mod inflate;
mod kind;
mod local_headers;
mod manifest;
mod manifest_guard;
mod names;
mod pack;
mod roles;
mod roles_v1;
mod structure;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use contract::{Contract, ContractVersion};
pub use error::{BundleError, ManifestPlace, PathFault, Role, StructureFault};
pub use kind::Kind;
pub use manifest::{Manifest, Section};
pub use pack::{pack, pack_files, pack_source};

use names::Entry;

/// How many entries of any sort are walked, as a multiple of the files allowed: directories and
/// the shadow files of macOS come on top of them.
const ENTRIES_PER_FILE: usize = 5;

/// Content by path.
type Files = BTreeMap<String, Vec<u8>>;

/// A function in a file of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPoint {
    /// Key of [`Bundle::files`].
    pub path: String,
    /// Name of a top-level function in it.
    pub symbol: String,
}

/// A submission, unpacked and with its roles settled. The code in it has not been looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Content by path: `/`-separated, relative, ASCII, without the common top folder.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The folder that held all files, if there was one.
    pub top_folder: Option<String>,
    /// Entries that were left out (`__MACOSX/`, `.DS_Store`, `Thumbs.db`, `__pycache__/`, `*.pyc`),
    /// quoted and escaped.
    pub ignored: Vec<String>,
    /// prism.yaml as it was written; empty when there is none.
    pub manifest: Manifest,
    /// What it claims.
    pub kind: Kind,
    /// The contract that it follows.
    pub contract: Contract,
    /// Defines the model.
    pub architecture: EntryPoint,
    /// Trains it: `train`, or in the first contract the file of the training hooks with `get_recipe` as symbol, which
    /// the architecture's file defines.
    pub training: EntryPoint,
    /// Name of the tokenizer that prism.yaml asks for.
    pub tokenizer: Option<String>,
    /// Size of the zip.
    pub archive_bytes: u64,
    /// SHA-256 of the zip, in hex.
    pub archive_sha256: String,
    /// SHA-256 in hex over the files in path order, each as length of path, path, length of
    /// content, content (lengths as 64-bit little-endian). Packing the same files anew keeps it.
    pub digest: String,
}

/// What an archive may hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Size of the zip.
    pub max_archive_bytes: u64,
    /// Number of files, ignored ones not counted.
    pub max_files: usize,
    /// Size of all files together.
    pub max_unpacked_bytes: u64,
    /// Size of all `.py` files together.
    pub max_code_bytes: u64,
    /// Length of a path.
    pub max_path_bytes: usize,
    /// Number of segments of a path, the file name included.
    pub max_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_archive_bytes: 10_000_000,
            max_files: 200,
            max_unpacked_bytes: 2_000_000,
            max_code_bytes: 200_000,
            max_path_bytes: 200,
            max_depth: 8,
        }
    }
}

/// Opens an archive.
///
/// # Errors
/// The first rule that it breaks. No input makes this panic, write, or hold more than the archive,
/// `max_unpacked_bytes`, and a few hundred bytes per entry.
pub fn open(archive: &[u8], limits: &Limits) -> Result<Bundle, BundleError> {
    let archive_bytes = archive.len() as u64;
    if archive_bytes > limits.max_archive_bytes {
        return Err(BundleError::ArchiveTooLarge {
            got_bytes: archive_bytes,
            limit_bytes: limits.max_archive_bytes,
        });
    }
    let max_entries = limits.max_files.saturating_mul(ENTRIES_PER_FILE);
    let members = structure::walk(archive, max_entries)?;
    let entries = members
        .iter()
        .map(|member| names::classify(member, limits))
        .collect::<Result<Vec<Entry>, BundleError>>()?;
    names::check_collisions(&entries)?;
    let (unpacked, ignored) = unpack(archive, &members, entries, limits)?;
    let (files, top_folder) = without_top_folder(unpacked);

    let source = manifest::find(&files)?;
    let (manifest, kind) = source
        .as_ref()
        .map_or(Ok((Manifest::default(), Kind::Full)), manifest::read)?;
    let manifest_path = source.map_or("prism.yaml", |source| source.path);
    let contract = contract::of(&files, &manifest, &kind);
    let (architecture, training) = match contract.version {
        ContractVersion::V1 => roles_v1::resolve(&files, &manifest, manifest_path)?,
        ContractVersion::V2 => roles::resolve(&files, &manifest, manifest_path)?,
    };
    Ok(Bundle {
        contract,
        tokenizer: manifest.tokenizer.clone(),
        digest: digest(&files),
        archive_sha256: format!("{:x}", Sha256::digest(archive)),
        archive_bytes,
        files,
        top_folder,
        ignored,
        manifest,
        kind,
        architecture,
        training,
    })
}

/// Unpacks the files among the members, after their number and declared sizes have been accepted.
fn unpack(
    archive: &[u8],
    members: &[structure::Member<'_>],
    entries: Vec<Entry>,
    limits: &Limits,
) -> Result<(Files, Vec<String>), BundleError> {
    let mut wanted = Vec::new();
    let mut ignored = Vec::new();
    let (mut declared_bytes, mut code_bytes) = (0, 0);
    for (index, (entry, member)) in entries.into_iter().zip(members).enumerate() {
        match entry {
            Entry::Directory(_) => {}
            Entry::Junk(name) => ignored.push(name),
            Entry::File(path) => {
                declared_bytes += member.unpacked_bytes as u64;
                if path.ends_with(".py") {
                    code_bytes += member.unpacked_bytes as u64;
                }
                wanted.push((index, path));
            }
        }
    }
    let archive_bytes = archive.len() as u64;
    if wanted.is_empty() {
        return Err(BundleError::Empty {
            archive_bytes,
            entries: members.len(),
        });
    }
    if wanted.len() > limits.max_files {
        return Err(BundleError::TooManyFiles {
            what: "files",
            got: wanted.len(),
            limit: limits.max_files,
        });
    }
    let allowance = inflate::Allowance {
        archive_bytes,
        limit_bytes: limits.max_unpacked_bytes,
    };
    allowance.check(declared_bytes)?;
    if code_bytes > limits.max_code_bytes {
        return Err(BundleError::ContentTooLarge {
            what: "Python code",
            got_bytes: code_bytes,
            limit_bytes: limits.max_code_bytes,
        });
    }
    let mut unpacker = inflate::Unpacker::new(archive, members, allowance)?;
    let mut files = BTreeMap::new();
    for (index, path) in wanted {
        let content = unpacker.unpack(index, &members[index])?;
        files.insert(path, content);
    }
    Ok((files, ignored))
}

/// Removes the first segment when it is the same in all paths and a folder in all of them.
fn without_top_folder(files: Files) -> (Files, Option<String>) {
    let mut folders = files
        .keys()
        .map(|path| path.split_once('/').map(|(top, _)| top));
    let Some(Some(top)) = folders.next() else {
        return (files, None);
    };
    if !folders.all(|folder| folder == Some(top)) {
        return (files, None);
    }
    let top = top.to_owned();
    let prefix_bytes = top.len() + 1;
    let stripped = files
        .into_iter()
        .map(|(mut path, content)| (path.split_off(prefix_bytes), content))
        .collect();
    (stripped, Some(top))
}

fn digest(files: &Files) -> String {
    let mut hasher = Sha256::new();
    for (path, content) in files {
        for part in [path.as_bytes(), content] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    format!("{:x}", hasher.finalize())
}
