//! What readers of sources hand over, some megabytes at a time.

use std::fs::File;
use std::io::Read;

use super::sources::{Kind, Source, TextFile};
use super::{json_lines, parquet};
use crate::dataset::{DatasetError, at};

/// Bytes that a reader aims at per batch.
pub const BLOCK_BYTES: usize = 4 << 20;
/// The longest line, text file or text: what one document may take of memory.
pub const MAX_DOCUMENT_BYTES: usize = 256 << 20;

/// Part of a source.
pub struct Batch {
    /// Bytes of the source, as they lie on disk, that this batch brought further.
    pub source_bytes: u64,
    pub fields: Fields,
}

/// `id` and `text` of a record as it came; None where it has no such string.
pub type RawRecord = (Option<String>, Option<String>);

/// Records, to be parsed or ready.
pub enum Fields {
    /// Whole lines of JSON; `first_line` counts from 1.
    Lines {
        first_line: usize,
        bytes: Vec<u8>,
    },
    Records(Vec<RawRecord>),
}

/// Why a reader ends before its source does.
pub enum Halt {
    Error(DatasetError),
    /// Whoever took the batches wants no more.
    NobodyListens,
}

impl From<DatasetError> for Halt {
    fn from(error: DatasetError) -> Self {
        Self::Error(error)
    }
}

/// Takes batches, in the order of the source.
pub type Emit<'a> = dyn FnMut(Batch) -> Result<(), Halt> + 'a;

/// Reads a source from beginning to end.
pub fn read(source: &Source, emit: &mut Emit<'_>) -> Result<(), Halt> {
    match &source.kind {
        Kind::JsonLines(packing) => json_lines::read(&source.path, *packing, emit),
        Kind::Parquet => parquet::read(&source.path, emit),
        Kind::Texts(files) => read_texts(files, emit),
    }
}

fn read_texts(files: &[TextFile], emit: &mut Emit<'_>) -> Result<(), Halt> {
    let mut records = Vec::new();
    let mut bytes = 0;
    for file in files {
        let path = &file.path;
        let wrong = |reason| DatasetError::Source {
            path: path.clone(),
            reason,
        };
        let mut text = Vec::new();
        File::open(path)
            .map_err(at(path))?
            .take(MAX_DOCUMENT_BYTES as u64 + 1)
            .read_to_end(&mut text)
            .map_err(at(path))?;
        if text.len() > MAX_DOCUMENT_BYTES {
            return Err(wrong(format!("longer than {MAX_DOCUMENT_BYTES} bytes")).into());
        }
        bytes += text.len();
        let text = String::from_utf8(text).map_err(|error| {
            wrong(format!(
                "not UTF-8 at byte {}",
                error.utf8_error().valid_up_to()
            ))
        })?;
        records.push((Some(file.id.clone()), Some(text)));
        if bytes >= BLOCK_BYTES {
            emit(Batch {
                source_bytes: std::mem::take(&mut bytes) as u64,
                fields: Fields::Records(std::mem::take(&mut records)),
            })?;
        }
    }
    emit(Batch {
        source_bytes: bytes as u64,
        fields: Fields::Records(records),
    })
}
