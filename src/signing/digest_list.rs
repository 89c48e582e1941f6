//! `digests.json`: every file of a run folder with its size and sha256, but for itself and the signature over it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::SigningError;
use crate::digest::hex;

pub const FILE: &str = "digests.json";
pub const SCHEMA_VERSION: &str = "prism_digests.v1";

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Below the run folder, `/`-separated.
    pub path: String,
    pub bytes: u64,
    pub sha256: String,
}

/// The whole list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestList {
    pub schema_version: String,
    pub submission_id: String,
    /// Key of the signature beside the list; none for an unsigned run. A signature that was removed is missed.
    pub signed_by: Option<String>,
    /// By path.
    pub files: Vec<Entry>,
}

impl DigestList {
    /// A list over these entries.
    pub fn new(submission_id: &str, signed_by: Option<String>, mut files: Vec<Entry>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self {
            schema_version: SCHEMA_VERSION.to_owned(),
            submission_id: submission_id.to_owned(),
            signed_by,
            files,
        }
    }
}

/// Size and sha256 of a content.
pub fn entry_of(path: &str, content: &[u8]) -> Entry {
    Entry {
        path: path.to_owned(),
        bytes: content.len() as u64,
        sha256: crate::digest::sha256(content),
    }
}

/// Size and sha256 of a regular file, which is not followed when it is a link and not waited for when it is a pipe. At
/// most `limit_bytes` are read.
///
/// # Errors
/// [`SigningError::Io`], also for what is no regular file or longer than the limit.
pub fn entry_of_file(path: &str, file: &Path, limit_bytes: u64) -> Result<Entry, SigningError> {
    let read = || -> std::io::Result<Entry> {
        let too_long = || std::io::Error::other(format!("it is longer than {limit_bytes} bytes"));
        let content = open_regular(file)?;
        // a sparse file costs its maker nothing
        if content.metadata()?.len() > limit_bytes {
            return Err(too_long());
        }
        let mut digest = Sha256::new();
        let bytes = std::io::copy(
            &mut content.take(limit_bytes.saturating_add(1)),
            &mut digest,
        )?;
        if bytes > limit_bytes {
            return Err(too_long());
        }
        Ok(Entry {
            path: path.to_owned(),
            bytes,
            sha256: hex(&digest.finalize()),
        })
    };
    read().map_err(|source| SigningError::Io {
        action: "read",
        path: file.to_owned(),
        source,
    })
}

/// Opens a regular file of a folder that somebody else made: no link is followed, no pipe or device waited for.
pub fn open_regular(path: &Path) -> std::io::Result<File> {
    use rustix::fs::OFlags;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(std::io::Error::other("it is no regular file"))
    }
}
