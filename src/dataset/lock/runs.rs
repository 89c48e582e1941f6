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
    /// Of the whole file. Runs are not synced one by one: what a power failure took is found when the run is read.
    pub crc32: u32,
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

/// Writes documents that are in order already.
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
    let mut out = Summed {
        inner: BufWriter::with_capacity(1 << 20, created),
        hasher: crc32fast::Hasher::new(),
    };
    let mut run = Run {
        file,
        split,
        documents: 0,
        bytes: 0,
        crc32: 0,
    };
    for record in records {
        let record = record?;
        encode(&record, &mut out).map_err(at(&path))?;
        run.documents += 1;
        run.bytes += record.encoded_bytes() as u64;
    }
    out.inner.flush().map_err(at(&path))?;
    run.crc32 = out.hasher.finalize();
    Ok(run)
}

/// A writer and the CRC of what went through it.
struct Summed<W> {
    inner: W,
    hasher: crc32fast::Hasher,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
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
    crc32: u32,
    hasher: crc32fast::Hasher,
    file: BufReader<File>,
}

impl RunReader {
    fn open(folder: &Path, run: &Run) -> Result<Self, DatasetError> {
        let path = folder.join(&run.file);
        let file = File::open(&path).map_err(at(&path))?;
        let length = file.metadata().map_err(at(&path))?.len();
        if length != run.bytes {
            return Err(broken(&path));
        }
        Ok(Self {
            path,
            split: run.split,
            left: run.documents,
            crc32: run.crc32,
            hasher: crc32fast::Hasher::new(),
            file: BufReader::with_capacity(BUFFER_BYTES, file),
        })
    }

    fn next(&mut self) -> Result<Option<Record>, DatasetError> {
        if self.left == 0 {
            return match self.hasher.clone().finalize() == self.crc32 {
                true => Ok(None),
                false => Err(self.broken()),
            };
        }
        self.left -= 1;
        let mut header = [0; HEADER_BYTES];
        self.read(&mut header)?;
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
        if bytes as usize > MAX_DOCUMENT_BYTES {
            return Err(self.broken());
        }
        let mut string = vec![0; bytes as usize];
        self.read(&mut string)?;
        String::from_utf8(string).map_err(|_| self.broken())
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), DatasetError> {
        self.file.read_exact(bytes).map_err(at(&self.path))?;
        self.hasher.update(bytes);
        Ok(())
    }

    fn broken(&self) -> DatasetError {
        broken(&self.path)
    }
}

/// A work file that is not as it was written.
pub fn broken(path: &Path) -> DatasetError {
    let folder = path.parent().unwrap_or(path);
    DatasetError::Work {
        path: path.to_owned(),
        folder: folder.to_owned(),
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
