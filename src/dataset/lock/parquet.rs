//! Records of a parquet file: the columns `id` and `text`, some rows at a time.
//!
//! polars decodes; a damaged file can make it panic. So the frame (magic, footer, places of all column chunks) is checked
//! before, and a panic while decoding is an error like any other.

use std::cell::Cell;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;

use polars::prelude::*;

use super::batch::{Batch, Emit, Fields, Halt, RawRecord};
use crate::dataset::{DatasetError, at};

const MAGIC: &[u8; 4] = b"PAR1";
/// Footers of files with thousands of row groups are a few megabytes.
const MAX_FOOTER_BYTES: u64 = 64 << 20;
/// Rows are decoded in pieces of about this much text, also where one row group holds far more.
const SLICE_BYTES: u64 = 64 << 20;
/// And never more rows than this: a damaged footer can promise any number.
const SLICE_ROWS: usize = 1 << 18;
const COLUMNS: [&str; 2] = ["id", "text"];

/// Hands the file's records to `emit`, in order.
pub fn read(path: &Path, emit: &mut Emit<'_>) -> Result<(), Halt> {
    let file_bytes = check_frame(path)?;
    let metadata = guarded(path, "footer", || {
        let mut reader = ParquetReader::new(File::open(path)?);
        let schema = reader.schema()?;
        Ok((reader.get_metadata()?.clone(), schema))
    })?;
    let (metadata, schema) = metadata;
    for column in COLUMNS {
        let field = schema
            .get(column)
            .ok_or_else(|| wrong(path, format!("no column {column:?}")))?;
        let got = guarded(path, "schema", || Ok(DataType::from_arrow_field(field)))?;
        if got != DataType::String {
            return Err(wrong(
                path,
                format!("column {column:?}: got {got}, expected strings"),
            )
            .into());
        }
    }
    let mut first_row = 0;
    for (index, group) in metadata.row_groups.iter().enumerate() {
        let (mut packed, mut unpacked) = (0, 0u64);
        for chunk in group.parquet_columns() {
            let place = format!("row group {index}");
            let size = u64::try_from(chunk.compressed_size());
            let start = chunk.dictionary_page_offset().filter(|&offset| offset > 0);
            let start = u64::try_from(start.unwrap_or(chunk.data_page_offset()));
            let end = start
                .ok()
                .zip(size.ok())
                .and_then(|(start, size)| start.checked_add(size));
            if end.is_none_or(|end| end > file_bytes) {
                return Err(wrong(
                    path,
                    format!("{place}: got a column outside of the file's {file_bytes} bytes"),
                )
                .into());
            }
            packed += chunk.compressed_size().unsigned_abs();
            let name = &chunk.descriptor().path_in_schema;
            if COLUMNS
                .iter()
                .any(|column| name.iter().any(|part| part.as_str() == *column))
            {
                unpacked += chunk.uncompressed_size().unsigned_abs();
            }
        }
        let rows = group.num_rows();
        let pieces = (unpacked / SLICE_BYTES + 1) as usize;
        let step = rows.div_ceil(pieces).clamp(1, SLICE_ROWS);
        for start in (0..rows).step_by(step) {
            let slice = (first_row + start, step.min(rows - start));
            let records = rows_of(path, slice, &metadata)?;
            emit(Batch {
                source_bytes: packed * slice.1 as u64 / rows as u64,
                fields: Fields::Records(records),
            })?;
        }
        first_row += rows;
    }
    Ok(())
}

fn rows_of(
    path: &Path,
    (first, count): (usize, usize),
    metadata: &std::sync::Arc<polars::io::parquet::read::FileMetadata>,
) -> Result<Vec<RawRecord>, DatasetError> {
    let place = format!("rows {first} to {}", first + count - 1);
    guarded(path, &place, || {
        // A reader for every slice: what it mapped of the file is unmapped with it.
        let mut reader = ParquetReader::new(File::open(path)?)
            .with_columns(Some(COLUMNS.map(str::to_owned).to_vec()))
            .with_slice(Some((first, count)));
        reader.set_metadata(metadata.clone());
        let frame = reader.finish()?;
        let (id, text) = (frame.column("id")?.str()?, frame.column("text")?.str()?);
        polars_ensure!(frame.height() == count, ComputeError: "rows are missing");
        let owned = |value: Option<&str>| value.map(str::to_owned);
        Ok(id
            .iter()
            .zip(text.iter())
            .map(|(id, text)| (owned(id), owned(text)))
            .collect())
    })
}

/// The file's length, if it begins and ends as parquet files do.
fn check_frame(path: &Path) -> Result<u64, DatasetError> {
    let mut file = File::open(path).map_err(at(path))?;
    let length = file.metadata().map_err(at(path))?.len();
    let mut head = [0; 4];
    let mut tail = [0; 8];
    if length >= 12 {
        file.read_exact(&mut head).map_err(at(path))?;
        file.seek(SeekFrom::End(-8)).map_err(at(path))?;
        file.read_exact(&mut tail).map_err(at(path))?;
    }
    let [a, b, c, d, magic @ ..] = tail;
    if head != *MAGIC || magic != *MAGIC {
        return Err(wrong(
            path,
            format!(
                "not a whole parquet file: got {length} bytes without \"PAR1\" at both ends (truncated?)"
            ),
        ));
    }
    let footer = u64::from(u32::from_le_bytes([a, b, c, d]));
    if footer > MAX_FOOTER_BYTES.min(length - 12) {
        return Err(wrong(
            path,
            format!(
                "not a whole parquet file: got a footer of {footer} bytes in a file of {length}"
            ),
        ));
    }
    Ok(length)
}

/// Runs polars on bytes that may be damaged. Its own messages could quote text, so they are not passed on.
fn guarded<T>(
    path: &Path,
    place: &str,
    work: impl FnOnce() -> PolarsResult<T>,
) -> Result<T, DatasetError> {
    let silent = SilentPanics::begin();
    let result = catch_unwind(AssertUnwindSafe(work));
    drop(silent);
    let reason = match result {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(PolarsError::IO { error, .. })) => error.kind().to_string(),
        Ok(Err(error))
            if error
                .to_string()
                .to_lowercase()
                .replace('-', "")
                .contains("utf8") =>
        {
            "not UTF-8".to_owned()
        }
        Ok(Err(_)) | Err(_) => "cannot be decoded (damaged?)".to_owned(),
    };
    Err(wrong(path, format!("{place}: {reason}")))
}

thread_local! {
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// Keeps the message of a panic, which could quote text, off stderr while polars is at work: on this thread, and on
/// those of its pool. Panics of other threads are told as before.
struct SilentPanics;

impl SilentPanics {
    fn begin() -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                let thread = std::thread::current();
                let of_polars = thread.name().is_some_and(|name| name.starts_with("polars"));
                if !of_polars && !AT_WORK.get() {
                    before(panic);
                }
            }));
        });
        AT_WORK.set(true);
        Self
    }
}

impl Drop for SilentPanics {
    fn drop(&mut self) {
        AT_WORK.set(false);
    }
}

fn wrong(path: &Path, reason: String) -> DatasetError {
    DatasetError::Source {
        path: path.to_owned(),
        reason,
    }
}
