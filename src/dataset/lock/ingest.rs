//! The first half of a lock: every source is read once and leaves as sorted runs.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::mpsc::sync_channel;

use rayon::prelude::*;

use super::batch::{self, Batch, Fields, Halt, MAX_DOCUMENT_BYTES};
use super::json_lines;
use super::record::Record;
use super::runs::{self, Run};
use super::sources::Source;
use super::work_folder::{Finished, WorkFolder};
use crate::dataset::manifest::Split;
use crate::dataset::{DatasetError, at};
use crate::progress::ByteProgress;

/// Documents of one split leave memory when they take this much of it.
const RUN_BYTES: usize = 64 << 20;
/// Batches that wait between the reader and those who hash.
const QUEUED_BATCHES: usize = 2;

/// Reads a source and writes it down as finished. Reading, and hashing on all cores, overlap.
pub fn ingest(
    work: &mut WorkFolder,
    source: &Source,
    limit_left: Option<u64>,
    progress: &ByteProgress<'_>,
) -> Result<(), DatasetError> {
    let mut spool = Spool::new(work);
    std::thread::scope(|scope| {
        let (send, receive) = sync_channel::<Result<Batch, DatasetError>>(QUEUED_BATCHES);
        scope.spawn(move || {
            let mut emit = |batch| send.send(Ok(batch)).map_err(|_| Halt::NobodyListens);
            if let Err(Halt::Error(error)) = batch::read(source, &mut emit) {
                // If nobody listens any more, there is another error already.
                let _ = send.send(Err(error));
            }
        });
        for batch in receive {
            if limit_left.is_some_and(|limit| spool.usable >= limit) {
                break;
            }
            let batch = batch?;
            let fields = match batch.fields {
                Fields::Records(fields) => fields,
                Fields::Lines { first_line, bytes } => {
                    json_lines::parse(&source.path, first_line, &bytes)?
                }
            };
            let records: Vec<Option<Record>> = fields
                .into_par_iter()
                .map(|(id, text)| Record::new(id, text))
                .collect();
            for record in records {
                if limit_left.is_some_and(|limit| spool.usable >= limit) {
                    break;
                }
                spool.add(source, record)?;
            }
            progress.advance(batch.source_bytes);
        }
        Ok::<(), DatasetError>(())
    })?;
    spool.finish(source, limit_left)
}

/// Documents on their way to the disk.
struct Spool<'a> {
    work: &'a mut WorkFolder,
    buffers: [(Split, Vec<Record>, usize); 3],
    runs: Vec<Run>,
    hashes: Vec<u8>,
    usable: u64,
    unusable: u64,
}

impl<'a> Spool<'a> {
    fn new(work: &'a mut WorkFolder) -> Self {
        Self {
            work,
            buffers: Split::ALL.map(|split| (split, Vec::new(), 0)),
            runs: Vec::new(),
            hashes: Vec::new(),
            usable: 0,
            unusable: 0,
        }
    }

    fn add(&mut self, source: &Source, record: Option<Record>) -> Result<(), DatasetError> {
        let Some(record) = record else {
            self.unusable += 1;
            return Ok(());
        };
        if record.id.len().max(record.text.len()) > MAX_DOCUMENT_BYTES {
            return Err(DatasetError::Source {
                path: source.path.clone(),
                reason: format!("a document longer than {MAX_DOCUMENT_BYTES} bytes"),
            });
        }
        self.usable += 1;
        self.hashes
            .extend_from_slice(&record.short_hash().to_le_bytes());
        let Some((_, buffer, bytes)) = self
            .buffers
            .iter_mut()
            .find(|(split, ..)| *split == record.split)
        else {
            return Ok(());
        };
        *bytes += record.encoded_bytes();
        buffer.push(record);
        if *bytes >= RUN_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes the buffers that are full.
    fn flush(&mut self) -> Result<(), DatasetError> {
        self.write_buffers_from(RUN_BYTES)
    }

    fn write_buffers_from(&mut self, least_bytes: usize) -> Result<(), DatasetError> {
        for (split, buffer, bytes) in &mut self.buffers {
            if *bytes >= least_bytes && !buffer.is_empty() {
                let name = self.work.new_name("run");
                let records = std::mem::take(buffer);
                *bytes = 0;
                self.runs
                    .push(runs::write_sorted(&self.work.path, name, *split, records)?);
            }
        }
        Ok(())
    }

    fn finish(mut self, source: &Source, limit_left: Option<u64>) -> Result<(), DatasetError> {
        self.write_buffers_from(0)?;
        let hashes = self.work.new_name("hashes");
        let path = self.work.path.join(&hashes);
        File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(&self.hashes))
            .map_err(at(&path))?;
        self.work.finish(Finished {
            identity: source.identity.clone(),
            limit_left,
            usable: self.usable,
            unusable: self.unusable,
            runs: self.runs,
            hashes,
            hashes_crc32: crc32fast::hash(&self.hashes),
        })
    }
}
