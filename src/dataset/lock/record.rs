//! One document on its way into a corpus, with what the later steps ask of it.

use sha2::{Digest, Sha256};

use super::near_duplicates::{BANDS, Bands};
use crate::dataset::manifest::Split;

/// A document, its split and its fingerprints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub split: Split,
    pub id: String,
    pub text: String,
    pub text_sha256: [u8; 32],
    pub bands: Bands,
}

impl Record {
    /// None without a non-empty id and a non-empty text.
    pub fn new(id: Option<String>, text: Option<String>) -> Option<Self> {
        let (id, text) = (id?, text?);
        if id.is_empty() || text.is_empty() {
            return None;
        }
        Some(Self {
            split: Split::of(&id),
            text_sha256: Sha256::digest(text.as_bytes()).into(),
            bands: Bands::of(&text),
            id,
            text,
        })
    }

    /// Documents stand in the order of their ids; of two with the same id the one with the smaller hash comes first, so that
    /// the order of the sources decides nothing.
    pub fn key(&self) -> (&str, &[u8; 32]) {
        (&self.id, &self.text_sha256)
    }

    /// The first eight bytes of the text's hash: equal texts are found by them.
    pub fn short_hash(&self) -> u64 {
        short_hash(&self.text_sha256)
    }

    /// Bytes that the record takes in a run file.
    pub fn encoded_bytes(&self) -> usize {
        HEADER_BYTES + self.id.len() + self.text.len()
    }
}

/// See [`Record::short_hash`].
pub fn short_hash(text_sha256: &[u8; 32]) -> u64 {
    text_sha256[..8]
        .iter()
        .fold(0, |hash, &byte| hash << 8 | u64::from(byte))
}

/// Lengths of id and text, sha256, bands.
pub const HEADER_BYTES: usize = 4 + 4 + 32 + BANDS * 8;
