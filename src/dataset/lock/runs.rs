//! External sorting: documents leave memory in sorted runs, and come back merged, each run read once from start to end.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rayon::slice::ParallelSliceMut;
use serde::{Deserialize, Serialize};

use super::batch::MAX_DOCUMENT_BYTES;
use super::near_duplicates::{BANDS, Bands};
use super::record::{HEADER_BYTES, Record};
use crate::dataset::manifest::Split;
use crate::dataset::{DatasetError, at};

/// Runs merged at a time: as many open files, and a buffer for each.
pub const FAN_IN: usize = 256;
const BUFFER_BYTES: usize = 128 << 10;

/// A file of documents of one split, in the order of [`Record::key`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub file: String,
    pub split: Split,
    pub documents: u64,
    pub bytes: u64,
}

/// Sorts documents and writes them as a run.
pub fn write_sorted(
    folder: &Path,
    file: String,
    split: Split,
    mut records: Vec<Record>,
) -> Result<Run, DatasetError> {
    records.par_sort_unstable_by(|a, b| a.key().cmp(&b.key()));
    write(folder, file, split, records.into_iter().map(Ok))
}

/// Writes documents that are in order already. The file is on the disk when this returns.
pub fn write(
    folder: &Path,
    file: String,
    split: Split,
    records: impl Iterator<Item = Result<Record, DatasetError>>,
) -> Result<Run, DatasetError> {
    let path = folder.join(&file);
    let created = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .map_err(at(&path))?;
    let mut out = BufWriter::with_capacity(1 << 20, created);
    let mut run = Run {
        file,
        split,
        documents: 0,
        bytes: 0,
    };
    for record in records {
        let record = record?;
        encode(&record, &mut out).map_err(at(&path))?;
        run.documents += 1;
        run.bytes += record.encoded_bytes() as u64;
    }
    let written = out
        .into_inner()
        .map_err(|error| at(&path)(error.into_error()))?;
    written.sync_data().map_err(at(&path))?;
    Ok(run)
}

fn encode(record: &Record, out: &mut impl Write) -> std::io::Result<()> {
    // Both are at most MAX_DOCUMENT_BYTES, far below 4 GiB.
    out.write_all(&(record.id.len() as u32).to_le_bytes())?;
    out.write_all(&(record.text.len() as u32).to_le_bytes())?;
    out.write_all(&record.text_sha256)?;
    for band in record.bands.0 {
        out.write_all(&band.to_le_bytes())?;
    }
    out.write_all(record.id.as_bytes())?;
    out.write_all(record.text.as_bytes())
}

/// Reads one run.
struct RunReader {
    path: PathBuf,
    split: Split,
    left: u64,
    file: BufReader<File>,
}

impl RunReader {
    fn open(folder: &Path, run: &Run) -> Result<Self, DatasetError> {
        let path = folder.join(&run.file);
        let file = File::open(&path).map_err(at(&path))?;
        let length = file.metadata().map_err(at(&path))?.len();
        if length != run.bytes {
            return Err(DatasetError::Source {
                path,
                reason: format!("got {length} bytes, expected {}", run.bytes),
            });
        }
        Ok(Self {
            path,
            split: run.split,
            left: run.documents,
            file: BufReader::with_capacity(BUFFER_BYTES, file),
        })
    }

    fn next(&mut self) -> Result<Option<Record>, DatasetError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut header = [0; HEADER_BYTES];
        self.file.read_exact(&mut header).map_err(at(&self.path))?;
        let number = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let id = self.string(number(0))?;
        let text = self.string(number(4))?;
        let mut text_sha256 = [0; 32];
        text_sha256.copy_from_slice(&header[8..40]);
        let mut bands = Bands([0; BANDS]);
        for (band, bytes) in bands.0.iter_mut().zip(header[40..].chunks_exact(8)) {
            *band = bytes
                .iter()
                .rev()
                .fold(0, |number, &byte| number << 8 | u64::from(byte));
        }
        Ok(Some(Record {
            split: self.split,
            id,
            text,
            text_sha256,
            bands,
        }))
    }

    fn string(&mut self, bytes: u32) -> Result<String, DatasetError> {
        let broken = |path: &Path| DatasetError::Source {
            path: path.to_owned(),
            reason: "not a run that this lock wrote".to_owned(),
        };
        if bytes as usize > MAX_DOCUMENT_BYTES {
            return Err(broken(&self.path));
        }
        let mut string = vec![0; bytes as usize];
        self.file.read_exact(&mut string).map_err(at(&self.path))?;
        String::from_utf8(string).map_err(|_| broken(&self.path))
    }
}

/// The documents of several runs of one split in one order.
pub struct Merge {
    readers: Vec<RunReader>,
    heads: BinaryHeap<Head>,
    failed: bool,
}

impl Merge {
    pub fn open(folder: &Path, runs: &[Run]) -> Result<Self, DatasetError> {
        let mut readers = Vec::with_capacity(runs.len());
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for (reader, run) in runs.iter().enumerate() {
            let mut opened = RunReader::open(folder, run)?;
            if let Some(record) = opened.next()? {
                heads.push(Head {
                    record: Box::new(record),
                    reader,
                });
            }
            readers.push(opened);
        }
        Ok(Self {
            readers,
            heads,
            failed: false,
        })
    }
}

impl Iterator for Merge {
    type Item = Result<Record, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let Head { record, reader } = self.heads.pop()?;
        match self.readers[reader].next() {
            Ok(Some(next)) => self.heads.push(Head {
                record: Box::new(next),
                reader,
            }),
            Ok(None) => {}
            Err(error) => {
                self.failed = true;
                return Some(Err(error));
            }
        }
        Some(Ok(*record))
    }
}

/// The next document of one reader. The smallest key is the greatest head: a heap yields its greatest.
struct Head {
    record: Box<Record>,
    reader: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.record.key(), other.reader).cmp(&(self.record.key(), self.reader))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

/// Deletes a run's file; that it is gone already is no fault.
pub fn delete(folder: &Path, run: &Run) -> Result<(), DatasetError> {
    let path = folder.join(&run.file);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(&path)(error)),
        _ => Ok(()),
    }
}
