//! The locked corpus: text that is fixed, verified, and shown to a submission only after it was predicted.
//!
//! [`lock`] makes one from text as people have it, [`verify`] checks every byte of it and writes the [`proof`] that no run
//! starts without, [`read`] yields documents in
//! their locked order, [`tokenizer`] turns them into ids and [`stream`] cuts the ids into the lanes of a run.

pub mod lock;
pub mod manifest;
pub mod order;
pub mod proof;
pub mod read;
pub mod stream;
pub mod tokenizer;
pub mod verify;

use std::path::PathBuf;

/// One document of a split.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Stable name; its hash decides the split.
    pub id: String,
    /// The text, whole.
    pub text: String,
}

/// What is wrong with a corpus, its tokenizers or the text it is made of.
///
/// No variant carries text of a document: val and test are secret, also in error messages.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} is not a corpus manifest: {reason}")]
    Manifest { path: PathBuf, reason: String },
    #[error(
        "{path}: got sha256 {got} over {got_bytes} bytes, expected {expected} over {expected_bytes} bytes"
    )]
    Shard {
        path: PathBuf,
        got: String,
        got_bytes: u64,
        expected: String,
        expected_bytes: u64,
    },
    #[error("{path}:{line}: {reason}")]
    Line {
        path: PathBuf,
        line: usize,
        reason: String,
    },
    #[error("{path}: {reason}")]
    Source { path: PathBuf, reason: String },
    #[error("the corpus is not as its manifest says: {}", .problems.join("; "))]
    Verify { problems: Vec<String> },
    #[error(
        "the corpus {} is not proven: {reason}; run: prism data verify {}", .root.display(), .root.display()
    )]
    Proof { root: PathBuf, reason: String },
    #[error("{path}: {reason}")]
    Output { path: PathBuf, reason: String },
    #[error("{path} is not as this lock wrote it (power failure?); to start over, remove {folder}")]
    Work { path: PathBuf, folder: PathBuf },
    #[error("another prism data lock is at work on {output}")]
    Busy { output: PathBuf },
    #[error("tokenizer {name}: {reason}")]
    Tokenizer { name: String, reason: String },
    /// `document` counts from 0 in the order of the text that was encoded.
    #[error(
        "tokenizer {name} does not give document {document} back: first difference at byte {byte}"
    )]
    Lossy {
        name: String,
        document: usize,
        byte: usize,
    },
    /// As `Lossy`, of secret text: without the place.
    #[error("tokenizer {name} does not give all of the held-out text back")]
    LossyHeldOut { name: String },
    /// The process of a tokenizer cannot be started.
    #[error(transparent)]
    Sandbox(#[from] crate::sandbox::SandboxError),
    #[error("{tokens} tokens cannot fill {lanes} lanes: got {tokens}, expected at least {}", 2 * .lanes)]
    TooFewTokens { tokens: usize, lanes: usize },
}

impl DatasetError {
    /// The same error of text that must not be told of, not even by its number.
    pub fn of_secret_text(self) -> Self {
        match self {
            Self::Lossy { name, .. } => Self::LossyHeldOut { name },
            error => error,
        }
    }

    /// Whether this is the affair of the submission that chose the tokenizer.
    pub fn is_choice_of_tokenizer(&self) -> bool {
        match self {
            Self::Lossy { .. } | Self::LossyHeldOut { .. } => true,
            Self::Tokenizer { name, .. } => name == tokenizer::OWN,
            _ => false,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => "check that the path exists, is readable and that the disk has room",
            Self::Manifest { .. } => {
                "name the folder that `prism data lock` wrote as corpus.root, or lock it again"
            }
            Self::Shard { .. } | Self::Verify { .. } => {
                "the corpus changed after it was locked: restore it from its source, then run `prism data verify`"
            }
            Self::Proof { .. } => {
                "no run starts on a corpus that changed, or was copied, after it was last verified"
            }
            Self::Output { .. } => {
                "name a folder that does not exist yet, or is empty, as --output"
            }
            Self::Work { .. } => {
                "remove the work folder, then lock again: all sources are read anew"
            }
            Self::Busy { .. } => "wait for it to end; a lock of a dead process frees itself",
            Self::Line { .. } | Self::Source { .. } => "mend or remove that file, then lock again",
            Self::Tokenizer { name, .. } if name == tokenizer::OWN => {
                "see docs/tokenizers.md for what a tokenizer.json in the archive may be; `prism data tokenizers --own` tries one"
            }
            Self::Tokenizer { .. } => {
                "put <name>.json into corpus.tokenizers, or use bytes, prism-4096 or gpt2"
            }
            Self::Lossy { .. } | Self::LossyHeldOut { .. } => {
                "use a byte-level BPE without a normalizer: every byte must come back"
            }
            Self::Sandbox(error) => error.hint(),
            Self::TooFewTokens { .. } => "use a smaller batch_size or a larger budget.bytes",
        }
    }
}

pub(crate) fn at(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> DatasetError {
    let path = path.into();
    move |source| DatasetError::Io { path, source }
}
