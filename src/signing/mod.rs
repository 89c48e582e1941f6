//! Who vouches for a run folder: a list of the sha256 of every file in it, and an ed25519 signature over that list.
//!
//! Plain data in and out: [`digest_list`] makes and reads the list, [`keys`] reads and makes key files, [`signature`]
//! signs and verifies. When a folder is sealed is decided in [`crate::outbox::seal`], what a seal proves in
//! [`crate::audit`].

pub mod digest_list;
pub mod keys;
pub mod signature;

use std::path::PathBuf;

/// What can be wrong with keys, lists and signatures.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} can be used by others: got mode {mode:04o}, expected 0600", path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{} is not a {expected}: {reason}", path.display())]
    NotAKey {
        path: PathBuf,
        expected: &'static str,
        reason: String,
    },
    #[error("{} is there already", path.display())]
    Exists { path: PathBuf },
    #[error("{text:?} is neither a public key nor a file with one")]
    NotAPublicKey { text: String },
}

impl SigningError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => "check that the path exists and is yours",
            Self::Exposed { .. } => "chmod 600 it; if others may have read it, make another key",
            Self::NotAKey { .. } => "`prism keys generate FILE` makes one",
            Self::Exists { .. } => "a key is never overwritten: choose another name",
            Self::NotAPublicKey { .. } => {
                "name the .pub file that `prism keys generate` wrote, or give the key itself"
            }
        }
    }
}
