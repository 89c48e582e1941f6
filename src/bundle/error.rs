//! Why an archive was turned away: what, where, got and expected, under which rule, and what to do.

use std::fmt;

pub use super::faults::{PathFault, StructureFault};

/// Where in the manifest something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestPlace {
    /// Line and column, from 1.
    At { line: usize, column: usize },
    /// The file as a whole, or a key that the message names.
    WholeFile,
}

impl fmt::Display for ManifestPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { line, column } => write!(f, ":{line}:{column}"),
            Self::WholeFile => Ok(()),
        }
    }
}

/// One of the two roles of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Defines the model.
    Architecture,
    /// Trains it.
    Training,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Architecture => "architecture",
            Self::Training => "training",
        })
    }
}

/// Why no [`Bundle`](super::Bundle) could be made of an archive. Every variant is the verdict on
/// one submission; none is a failure of the pipeline. Names of entries are escaped and shortened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The bytes are no zip archive at all.
    #[error("not a zip archive: the file begins with {got}, expected \"PK\\x03\\x04\"")]
    NotZip { got: String },
    /// No file is left: zero bytes, no entries, or directories and junk only.
    #[error("empty archive: {archive_bytes} bytes, {entries} entries, 0 files")]
    Empty { archive_bytes: u64, entries: usize },
    /// The archive itself is too large.
    #[error("archive too large: got {got_bytes} bytes, at most {limit_bytes} are accepted")]
    ArchiveTooLarge { got_bytes: u64, limit_bytes: u64 },
    /// The records of the archive are inconsistent.
    #[error("broken archive at byte {offset}: {fault}: got {got}, expected {expected}")]
    Structure {
        fault: StructureFault,
        offset: u64,
        got: String,
        expected: String,
    },
    /// An encrypted entry.
    #[error("{name} at byte {offset} is encrypted: got flags {flags:#06x}, expected bit 0 clear")]
    Encrypted {
        name: String,
        offset: u64,
        flags: u16,
    },
    /// A compression method other than stored and deflate.
    #[error(
        "{name} at byte {offset} has compression method {got}, expected 0 (stored) or 8 (deflate)"
    )]
    Method { name: String, offset: u64, got: u16 },
    /// Zip64 records, which no archive within the limits needs.
    #[error("zip64 record at byte {offset}: {what}")]
    Zip64 { offset: u64, what: &'static str },
    /// A link, device, pipe or socket, or a directory that is none.
    #[error("{name} at byte {offset} is a {got}, expected a regular file or a directory")]
    SpecialFile {
        name: String,
        offset: u64,
        got: &'static str,
    },
    /// A name that is not accepted.
    #[error("the path {name} {fault}")]
    Path { name: String, fault: PathFault },
    /// A file of a kind that is not accepted.
    #[error("{name} has suffix {got:?}, expected one of {expected}")]
    Suffix {
        name: String,
        got: String,
        expected: &'static str,
    },
    /// Two entries of one name, or of names that are one on some file systems.
    #[error("{name} collides with {other}")]
    Duplicate { name: String, other: String },
    /// Too many entries.
    #[error("too many {what}: got {got}, at most {limit} are accepted")]
    TooManyFiles {
        what: &'static str,
        got: usize,
        limit: usize,
    },
    /// The content is over the limit and compressed so well that no honest text does it.
    #[error(
        "zip bomb: {archive_bytes} bytes unpack to {unpacked_bytes}, at most {limit_bytes} are accepted"
    )]
    Bomb {
        archive_bytes: u64,
        unpacked_bytes: u64,
        limit_bytes: u64,
    },
    /// The content is over the limit.
    #[error("{what} too large: got {got_bytes} bytes, at most {limit_bytes} are accepted")]
    ContentTooLarge {
        what: &'static str,
        got_bytes: u64,
        limit_bytes: u64,
    },
    /// The manifest cannot be used.
    #[error("{path}{place}: {reason}")]
    Manifest {
        path: String,
        place: ManifestPlace,
        reason: String,
    },
    /// A script that is not in the archive.
    #[error("{role}: {path} is not in the archive, which holds {present}")]
    MissingEntrypoint {
        role: Role,
        path: String,
        present: String,
    },
    /// A script that is not Python.
    #[error("{role}: {path} is not a .py file")]
    EntrypointNotPython { role: Role, path: String },
    /// A script with nothing in it.
    #[error("{role}: {path} is empty")]
    EmptyEntrypoint { role: Role, path: String },
    /// prism.yaml asks for a tokenizer of the bundle's own that is not in it.
    #[error(
        "{path}: tokenizer: tokenizer.json is not at the top of the archive, which holds {present}"
    )]
    MissingTokenizer { path: String, present: String },
    /// One file for both roles.
    #[error("architecture and training are both {path}, expected two distinct files")]
    SameFile { path: String },
}

impl BundleError {
    /// The rule that the archive breaks, as it stands in reports.
    pub fn rule_id(&self) -> &'static str {
        match self {
            Self::NotZip { .. } => "prism:archive-not-zip",
            Self::Empty { .. } => "prism:archive-empty",
            Self::ArchiveTooLarge { .. } => "prism:archive-too-large",
            Self::Structure { .. } | Self::Method { .. } | Self::Zip64 { .. } => {
                "prism:archive-structure"
            }
            Self::Encrypted { .. } => "prism:archive-encrypted",
            Self::SpecialFile { .. } => "prism:archive-link",
            Self::Path { .. } => "prism:archive-path",
            Self::Suffix { .. } => "prism:archive-suffix",
            Self::Duplicate { .. } => "prism:archive-duplicate",
            Self::TooManyFiles { .. } => "prism:archive-too-many-files",
            Self::Bomb { .. } => "prism:archive-bomb",
            Self::ContentTooLarge { .. } => "prism:artifact-size",
            Self::Manifest { .. } => "prism:manifest-invalid",
            Self::MissingEntrypoint { .. } => "prism:contract-missing-entrypoint",
            Self::EntrypointNotPython { .. } => "prism:contract-entrypoint-suffix",
            Self::EmptyEntrypoint { .. } => "prism:contract-empty-entrypoint",
            Self::SameFile { .. } => "prism:contract-same-file",
            Self::MissingTokenizer { .. } => "prism:tokenizer",
        }
    }

    /// What the author can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotZip { .. } => {
                "Submit a .zip made by zip, Python's zipfile or the file manager; tar, 7z and rar are not read."
            }
            Self::Empty { .. } => "Put architecture.py and training.py into the archive.",
            Self::ArchiveTooLarge { .. } => {
                "Submit source only; weights and data sets do not belong in a submission."
            }
            Self::Structure {
                fault: StructureFault::Truncated,
                ..
            } => "The upload was probably cut short: copy the file again.",
            Self::Structure { .. } => {
                "Build the archive anew from its files (zip -r, or Python's zipfile) and do not patch it afterwards."
            }
            Self::Encrypted { .. } => "Build the archive without a password.",
            Self::Method { .. } => "Build the archive with deflate, the default of zip.",
            Self::Zip64 { .. } => {
                "Build the archive from files instead of a stream, or switch zip64 off: nothing here needs it."
            }
            Self::SpecialFile { .. } => {
                "Replace links by the files they point to (zip does this unless -y is given)."
            }
            Self::Path { .. } => {
                "Use relative paths of letters, digits, dot, dash and underscore, separated by /, without hidden files."
            }
            Self::Suffix { .. } => {
                "Remove files of other kinds; suffixes are written in lower case."
            }
            Self::Duplicate { .. } => {
                "Give every file a name of its own; names that differ only in letter case count as one."
            }
            Self::TooManyFiles { .. } => "Remove the files that the two scripts do not need.",
            Self::Bomb { .. } => {
                "Remove the file that unpacks to so much; it is never unpacked here."
            }
            Self::ContentTooLarge { .. } => {
                "Remove the files that the two scripts do not need, and generate tables in code."
            }
            Self::Manifest { .. } => {
                "prism.yaml takes plain keys and values: kind, architecture_id, name, version, description, author, tokenizer, architecture, training."
            }
            Self::MissingEntrypoint { .. } => {
                "Add the file, or name the right one in prism.yaml; paths are relative to the top of the archive and taken exactly."
            }
            Self::EntrypointNotPython { .. } => "Name a .py file as entrypoint.",
            Self::EmptyEntrypoint { .. } => {
                "Write the script, or name the right one in prism.yaml."
            }
            Self::SameFile { .. } => {
                "Split the script in two: architecture.py with build_model(ctx), training.py with train(ctx)."
            }
            Self::MissingTokenizer { .. } => {
                "Add the file beside prism.yaml, or name a tokenizer of the contest."
            }
        }
    }
}

/// A name from the archive as it may be shown: quoted, escaped, at most 120 characters.
pub(super) fn shown(name: &[u8]) -> String {
    const LIMIT: usize = 120;
    let head = &name[..name.len().min(LIMIT)];
    let text = String::from_utf8_lossy(head);
    let ellipsis = if name.len() > LIMIT { "..." } else { "" };
    format!("{text:?}{ellipsis}")
}

/// Shorthand for a [`BundleError::Structure`].
pub(super) fn broken(
    fault: StructureFault,
    offset: usize,
    got: impl fmt::Display,
    expected: impl fmt::Display,
) -> BundleError {
    BundleError::Structure {
        fault,
        offset: offset as u64,
        got: got.to_string(),
        expected: expected.to_string(),
    }
}
