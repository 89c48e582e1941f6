//! The index on disk: one file, derived from the outbox, whole or not there.
//!
//! Layout, all numbers little-endian: `prism-similarity\0`, version of the layout and of the fingerprints (u32 each),
//! number of submissions (u32); for each its id, accepted_at and owner (u16 length and text; u16::MAX: no owner), exact
//! hash (u64) and sketch (u32 each); sha256 of all before. A file that is missing, cut, changed, or of another version is
//! made anew from the submissions.

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::index::{Earlier, Index, SKETCH, Sketch, sketch};
use crate::outbox::{OutboxError, atomic};
use crate::review::{FINGERPRINT_VERSION, Fingerprints};

/// Its name inside the outbox.
pub const INDEX_FILE: &str = ".index/similarity.bin";
const MAGIC: &[u8] = b"prism-similarity\0";
const LAYOUT_VERSION: u32 = 1;
const NO_OWNER: u16 = u16::MAX;
const CHECKSUM_BYTES: usize = 32;

/// Why a file on disk is of no use; it is then made anew.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("no index of this kind and version")]
    Version,
    #[error("its checksum does not fit")]
    Checksum,
    #[error("it ends at byte {offset}, in the middle of a record")]
    Short { offset: usize },
}

impl Index {
    /// The index over `accepted`: what the file at `path` holds of them, and the rest taken anew by `fetch`.
    ///
    /// A submission that `fetch` cannot give is left out. The order is that of acceptance.
    pub fn open(
        path: &Path,
        mut accepted: Vec<Earlier>,
        fetch: &(dyn Fn(&str) -> Option<Fingerprints> + Sync),
    ) -> Index {
        let stored = std::fs::read(path)
            .ok()
            .and_then(|bytes| decode(&bytes).ok());
        let is_new = stored.is_none();
        let stored = stored.unwrap_or_default();
        let rows: HashMap<&str, usize> = stored
            .earlier
            .iter()
            .enumerate()
            .map(|(row, earlier)| (earlier.id.as_str(), row))
            .collect();
        accepted.sort_by(|a, b| (&a.accepted_at, &a.id).cmp(&(&b.accepted_at, &b.id)));
        let taken: Vec<Option<(u64, Sketch)>> = accepted
            .par_iter()
            .map(|earlier| match rows.get(earlier.id.as_str()) {
                Some(&row) => Some((*stored.exact.get(row)?, *stored.sketches.get(row)?)),
                None => fetch(&earlier.id)
                    .map(|fingerprints| (fingerprints.exact, sketch(&fingerprints))),
            })
            .collect();
        let mut index = Index::default();
        for (earlier, taken) in accepted.into_iter().zip(taken) {
            if let Some((exact, sketch)) = taken {
                index.push(earlier, exact, sketch);
            }
        }
        index.is_changed = is_new || index.earlier != stored.earlier;
        index
    }

    /// Writes the file if it says something else than before.
    pub fn save(&mut self, path: &Path) -> Result<(), OutboxError> {
        if !self.is_changed {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            atomic::create_folder(folder)?;
        }
        atomic::write(path, &self.encode())?;
        self.is_changed = false;
        Ok(())
    }

    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.len() * (SKETCH * 4 + 80));
        bytes.extend(MAGIC);
        for number in [LAYOUT_VERSION, FINGERPRINT_VERSION, self.len() as u32] {
            bytes.extend(number.to_le_bytes());
        }
        let rows = self.earlier.iter().zip(&self.exact).zip(&self.sketches);
        for ((earlier, exact), sketch) in rows {
            for text in [&earlier.id, &earlier.accepted_at] {
                put_text(&mut bytes, text);
            }
            match &earlier.owner {
                Some(owner) => put_text(&mut bytes, owner),
                None => bytes.extend(NO_OWNER.to_le_bytes()),
            }
            bytes.extend(exact.to_le_bytes());
            for hash in sketch {
                bytes.extend(hash.to_le_bytes());
            }
        }
        let checksum = Sha256::digest(&bytes);
        bytes.extend(checksum);
        bytes
    }
}

/// Ids, times and keys are far shorter than the limit; what is not would be cut.
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let text = text.get(..text.len().min(1_000)).unwrap_or("");
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// Reads the bytes of a file.
pub fn decode(bytes: &[u8]) -> Result<Index, StoreError> {
    if !bytes.starts_with(MAGIC) {
        return Err(StoreError::Version);
    }
    let body_bytes = bytes.len().saturating_sub(CHECKSUM_BYTES);
    let (body, checksum) = bytes.split_at(body_bytes);
    if Sha256::digest(body).as_slice() != checksum {
        return Err(StoreError::Checksum);
    }
    let mut reader = Reader {
        bytes: body,
        at: MAGIC.len(),
    };
    if (reader.u32()?, reader.u32()?) != (LAYOUT_VERSION, FINGERPRINT_VERSION) {
        return Err(StoreError::Version);
    }
    let count = reader.u32()?;
    let mut index = Index::default();
    for _ in 0..count {
        let id = reader.text()?.unwrap_or_default();
        let accepted_at = reader.text()?.unwrap_or_default();
        let owner = reader.text()?;
        let exact = u64::from_le_bytes(reader.take()?);
        let mut sketch = [0; SKETCH];
        for hash in &mut sketch {
            *hash = reader.u32()?;
        }
        let earlier = Earlier {
            id,
            owner,
            accepted_at,
        };
        index.push(earlier, exact, sketch);
    }
    index.is_changed = false;
    Ok(index)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn slice(&mut self, length: usize) -> Result<&[u8], StoreError> {
        let start = self.at;
        self.at = start.saturating_add(length);
        self.bytes
            .get(start..self.at)
            .ok_or(StoreError::Short { offset: start })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let mut value = [0; N];
        value.copy_from_slice(self.slice(N)?);
        Ok(value)
    }

    fn u32(&mut self) -> Result<u32, StoreError> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn text(&mut self) -> Result<Option<String>, StoreError> {
        let length = u16::from_le_bytes(self.take()?);
        if length == NO_OWNER {
            return Ok(None);
        }
        let bytes = self.slice(length.into())?;
        Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
    }
}
