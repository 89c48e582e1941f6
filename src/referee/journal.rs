//! The record of a run while it runs: a row is on disk before anything that it allows happens.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Rows of one kind, a JSON object a line, in the order in which they came.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    pub fn create(path: PathBuf) -> std::io::Result<Self> {
        Ok(Self {
            file: File::create(path)?,
        })
    }

    pub fn append(&mut self, row: &impl Serialize) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(row).map_err(std::io::Error::other)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }

    /// All rows are on the disk, not only with the kernel.
    pub fn sync(&self) -> std::io::Result<()> {
        self.file.sync_all()
    }
}

/// Reads a journal back, strictly: a line that does not parse is an error with its number.
pub fn read<Row: DeserializeOwned>(path: &Path) -> std::io::Result<Vec<Row>> {
    let text = std::fs::read_to_string(path)?;
    text.lines()
        .enumerate()
        .map(|(index, line)| {
            serde_json::from_str(line).map_err(|error| {
                std::io::Error::other(format!("{}:{}: {error}", path.display(), index + 1))
            })
        })
        .collect()
}
