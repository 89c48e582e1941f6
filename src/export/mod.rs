//! Run folders as one file: the same runs are the same bytes, whoever packs them, wherever and whenever.
//!
//! [`pack`] writes, [`unpack`] reads what anybody may have written. An archive is a tar of regular files,
//! `<submission id>/<file>`, in the order of their names, without times and owners; with a name in `.zst` or `.tzst`
//! it is compressed.

mod pack;
mod unpack;

use std::path::PathBuf;

pub use pack::pack;
pub use unpack::{Limits, unpack};

/// What can go wrong with archives of runs.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is not as its digest list says: {}", folder.display(), problems.join("; "))]
    Unsealed {
        folder: PathBuf,
        problems: Vec<String>,
    },
    #[error("two runs are called {label}")]
    Twice { label: String },
    #[error("{} is not an archive of runs: {reason}", path.display())]
    NotAnArchive { path: PathBuf, reason: String },
}

impl ExportError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => "check that the path exists and that the disk has room",
            Self::Unsealed { .. } => {
                "only concluded runs are exported, and only whole: `prism audit` says what is wrong"
            }
            Self::Twice { .. } => "name every run once",
            Self::NotAnArchive { .. } => "it should be a file that `prism export` wrote",
        }
    }
}

/// Whether a file name asks for compression.
fn is_compressed(path: &std::path::Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "zst" || extension == "tzst")
}

#[cfg(test)]
mod tests;
