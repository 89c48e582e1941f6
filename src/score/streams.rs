//! The two streams of a run on disk: `online_loss.parquet` and `heldout.parquet`.
//!
//! The bytes of a file are a function of its rows alone: fixed compression, level, row groups and page size, one
//! thread, no timestamps. Reading is through polars, and so is adding up ([`super::totals`]).

use std::fs::File;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use polars::prelude::*;

use super::error::ScoreError;
use super::stream_rows::{HeldoutRole, HeldoutRow, OnlineRow, check_heldout, check_online};

/// File name of the online stream in a run folder.
pub const ONLINE_FILE: &str = "online_loss.parquet";

/// File name of the held-out stream in a run folder.
pub const HELDOUT_FILE: &str = "heldout.parquet";

const ROW_GROUP_ROWS: usize = 65_536;
const PAGE_BYTES: usize = 1 << 20;
const ZSTD_LEVEL: i32 = 3;

/// Columns of the online stream. `step`, `rank`, `lane0`, `tokens`, `blind_tokens` and `nonfinite` are counts.
pub(super) fn online_schema() -> Schema {
    Schema::from_iter(
        [
            ("step", DataType::UInt32),
            ("rank", DataType::UInt32),
            ("lane0", DataType::UInt32),
            ("tokens", DataType::UInt32),
            ("bytes", DataType::UInt64),
            ("nats_q32", DataType::Int64),
            ("blind_tokens", DataType::UInt32),
            ("blind_nats_q32", DataType::Int64),
            ("ref_nats_q32", DataType::Int64),
            ("ref_blind_nats_q32", DataType::Int64),
            ("nonfinite", DataType::UInt32),
            ("unpredicted", DataType::Boolean),
        ]
        .map(|(name, dtype)| Field::new(name.into(), dtype)),
    )
}

/// Columns of the held-out stream.
pub(super) fn heldout_schema() -> Schema {
    Schema::from_iter(
        [
            ("role", DataType::String),
            ("step", DataType::UInt32),
            ("tokens", DataType::UInt32),
            ("bytes", DataType::UInt64),
            ("nats_q32", DataType::Int64),
        ]
        .map(|(name, dtype)| Field::new(name.into(), dtype)),
    )
}

/// Writes an online stream, whole or not at all. Rows must ascend by (unpredicted, step, rank).
///
/// # Errors
/// [`ScoreError::InvalidRow`] for rows that no stream may hold, [`ScoreError::Io`] and [`ScoreError::BadStream`] when
/// the file cannot be written.
pub fn write_online(path: &Path, rows: &[OnlineRow]) -> Result<(), ScoreError> {
    check_online(rows)?;
    let count = |pick: fn(&OnlineRow) -> u32| rows.iter().map(pick).collect::<Vec<u32>>();
    let nats = |pick: fn(&OnlineRow) -> i64| rows.iter().map(pick).collect::<Vec<i64>>();
    let columns = vec![
        Column::new("step".into(), count(|row| row.step)),
        Column::new("rank".into(), count(|row| row.rank)),
        Column::new("lane0".into(), count(|row| row.lane0)),
        Column::new("tokens".into(), count(|row| row.tokens)),
        Column::new(
            "bytes".into(),
            rows.iter().map(|row| row.bytes).collect::<Vec<u64>>(),
        ),
        Column::new("nats_q32".into(), nats(|row| row.nats_q32)),
        Column::new("blind_tokens".into(), count(|row| row.blind_tokens)),
        Column::new("blind_nats_q32".into(), nats(|row| row.blind_nats_q32)),
        Column::new("ref_nats_q32".into(), nats(|row| row.ref_nats_q32)),
        Column::new(
            "ref_blind_nats_q32".into(),
            nats(|row| row.ref_blind_nats_q32),
        ),
        Column::new("nonfinite".into(), count(|row| row.nonfinite)),
        Column::new(
            "unpredicted".into(),
            rows.iter()
                .map(|row| row.unpredicted)
                .collect::<Vec<bool>>(),
        ),
    ];
    write_frame(path, rows.len(), columns)
}

/// Writes a held-out stream, whole or not at all. Rows must ascend by (role, step).
///
/// # Errors
/// As [`write_online`].
pub fn write_heldout(path: &Path, rows: &[HeldoutRow]) -> Result<(), ScoreError> {
    check_heldout(rows)?;
    let columns = vec![
        Column::new(
            "role".into(),
            rows.iter()
                .map(|row| row.role.name())
                .collect::<Vec<&str>>(),
        ),
        Column::new(
            "step".into(),
            rows.iter().map(|row| row.step).collect::<Vec<u32>>(),
        ),
        Column::new(
            "tokens".into(),
            rows.iter().map(|row| row.tokens).collect::<Vec<u32>>(),
        ),
        Column::new(
            "bytes".into(),
            rows.iter().map(|row| row.bytes).collect::<Vec<u64>>(),
        ),
        Column::new(
            "nats_q32".into(),
            rows.iter().map(|row| row.nats_q32).collect::<Vec<i64>>(),
        ),
    ];
    write_frame(path, rows.len(), columns)
}

/// Reads an online stream and checks it. The decoder trusts the file: compare its digest first where there is one
/// ([`super::stream_digests::StreamDigests::check`]).
///
/// # Errors
/// [`ScoreError::Io`], [`ScoreError::BadStream`] for files that are no such stream, [`ScoreError::InvalidRow`].
pub fn read_online(path: &Path) -> Result<Vec<OnlineRow>, ScoreError> {
    let frame = read_frame(path, &online_schema())?;
    let rows = guarded(path, || {
        let count = |name: &str| -> PolarsResult<Vec<u32>> {
            Ok(frame.column(name)?.u32()?.into_no_null_iter().collect())
        };
        let nats = |name: &str| -> PolarsResult<Vec<i64>> {
            Ok(frame.column(name)?.i64()?.into_no_null_iter().collect())
        };
        let (step, rank, lane0, tokens) = (
            count("step")?,
            count("rank")?,
            count("lane0")?,
            count("tokens")?,
        );
        let bytes: Vec<u64> = frame.column("bytes")?.u64()?.into_no_null_iter().collect();
        let (nats_q32, blind_tokens, blind_nats_q32) = (
            nats("nats_q32")?,
            count("blind_tokens")?,
            nats("blind_nats_q32")?,
        );
        let (ref_nats_q32, ref_blind_nats_q32) =
            (nats("ref_nats_q32")?, nats("ref_blind_nats_q32")?);
        let nonfinite = count("nonfinite")?;
        // read_frame admits no nulls
        let unpredicted: Vec<bool> = frame
            .column("unpredicted")?
            .bool()?
            .iter()
            .map(|cell| cell == Some(true))
            .collect();
        Ok((0..frame.height())
            .map(|row| OnlineRow {
                step: step[row],
                rank: rank[row],
                lane0: lane0[row],
                tokens: tokens[row],
                bytes: bytes[row],
                nats_q32: nats_q32[row],
                blind_tokens: blind_tokens[row],
                blind_nats_q32: blind_nats_q32[row],
                ref_nats_q32: ref_nats_q32[row],
                ref_blind_nats_q32: ref_blind_nats_q32[row],
                nonfinite: nonfinite[row],
                unpredicted: unpredicted[row],
            })
            .collect::<Vec<_>>())
    })?;
    check_online(&rows)?;
    Ok(rows)
}

/// Reads a held-out stream and checks it.
///
/// # Errors
/// As [`read_online`].
pub fn read_heldout(path: &Path) -> Result<Vec<HeldoutRow>, ScoreError> {
    let frame = read_frame(path, &heldout_schema())?;
    let rows = guarded(path, || {
        let count = |name: &str| -> PolarsResult<Vec<u32>> {
            Ok(frame.column(name)?.u32()?.into_no_null_iter().collect())
        };
        let (step, tokens) = (count("step")?, count("tokens")?);
        let bytes: Vec<u64> = frame.column("bytes")?.u64()?.into_no_null_iter().collect();
        let nats_q32: Vec<i64> = frame
            .column("nats_q32")?
            .i64()?
            .into_no_null_iter()
            .collect();
        let role = frame.column("role")?.str()?;
        (0..frame.height())
            .map(|row| {
                let name = role.get(row).unwrap_or_default();
                let role = HeldoutRole::from_name(name)
                    .ok_or_else(|| polars_err!(ComputeError: "row {row}: role is {name:?}, expected trained, twin or train_tail"))?;
                Ok(HeldoutRow { role, step: step[row], tokens: tokens[row], bytes: bytes[row], nats_q32: nats_q32[row] })
            })
            .collect::<PolarsResult<Vec<_>>>()
    })?;
    check_heldout(&rows)?;
    Ok(rows)
}

/// Writes a table, whole or not at all; its bytes are a function of its cells alone.
pub(super) fn write_frame(
    path: &Path,
    height: usize,
    columns: Vec<Column>,
) -> Result<(), ScoreError> {
    let io = |action| {
        move |source| ScoreError::Io {
            action,
            path: path.to_path_buf(),
            source,
        }
    };
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".stream-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(io("create a file beside"))?;
    guarded(path, || {
        let mut frame = DataFrame::new(height, columns)?;
        ParquetWriter::new(file.as_file_mut())
            .with_compression(ParquetCompression::Zstd(Some(
                polars::polars_utils::compression::ZstdLevel::try_new(ZSTD_LEVEL)?,
            )))
            .with_statistics(StatisticsOptions::full())
            .with_row_group_size(Some(ROW_GROUP_ROWS))
            .with_data_page_size(Some(PAGE_BYTES))
            .set_parallel(false)
            .finish(&mut frame)
    })?;
    file.as_file_mut().flush().map_err(io("write"))?;
    file.as_file().sync_all().map_err(io("write"))?;
    file.persist(path)
        .map_err(|error| io("replace")(error.error))?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io("make durable"))
}

/// Rows that a stream states in its footer.
///
/// # Errors
/// [`ScoreError::Io`], [`ScoreError::BadStream`].
pub(super) fn count_rows(path: &Path) -> Result<usize, ScoreError> {
    let file = open(path)?;
    guarded(path, || ParquetReader::new(file).num_rows())
}

fn open(path: &Path) -> Result<File, ScoreError> {
    File::open(path).map_err(|source| ScoreError::Io {
        action: "open",
        path: path.to_path_buf(),
        source,
    })
}

/// Reads a whole file of exactly these columns, without nulls.
fn read_frame(path: &Path, schema: &Schema) -> Result<DataFrame, ScoreError> {
    let file = open(path)?;
    // a caller with many files has threads of its own
    let read = || {
        ParquetReader::new(file)
            .read_parallel(ParallelStrategy::None)
            .set_rechunk(true)
            .finish()
    };
    let frame = guarded(path, read)?;
    let what = if **frame.schema() != *schema {
        format!("its columns are {:?}, expected {schema:?}", frame.schema())
    } else if frame.columns().iter().any(|column| column.null_count() > 0) {
        "it has empty cells, expected none".to_owned()
    } else {
        return Ok(frame);
    };
    Err(ScoreError::BadStream {
        path: path.to_path_buf(),
        what,
    })
}

/// Runs a parquet operation on one file. Its decoder asserts on some kinds of damage: that too is a damaged file, and
/// costs its own run only.
pub(super) fn guarded<T>(
    path: &Path,
    work: impl FnOnce() -> PolarsResult<T>,
) -> Result<T, ScoreError> {
    let bad = |what: String| ScoreError::BadStream {
        path: path.to_path_buf(),
        what,
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(bad(error.to_string())),
        Err(_) => Err(bad("the parquet decoder gave up on it".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::run_fixture::{heldout_rows, online_rows};
    use super::*;

    #[test]
    fn rows_survive_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (online, heldout) = (
            folder.path().join(ONLINE_FILE),
            folder.path().join(HELDOUT_FILE),
        );
        write_online(&online, &online_rows()).unwrap();
        write_heldout(&heldout, &heldout_rows()).unwrap();
        assert_eq!(read_online(&online).unwrap(), online_rows());
        assert_eq!(read_heldout(&heldout).unwrap(), heldout_rows());
    }

    #[test]
    fn the_same_rows_are_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        // more rows than a row group holds
        let many: Vec<OnlineRow> = (0..150_000)
            .map(|step| OnlineRow {
                step,
                tokens: step % 7,
                nats_q32: i64::from(step) << 20,
                ..OnlineRow::default()
            })
            .collect();
        let bytes = |name: &str, rows: &[OnlineRow]| {
            write_online(&folder.path().join(name), rows).unwrap();
            std::fs::read(folder.path().join(name)).unwrap()
        };
        assert_eq!(bytes("a", &many), bytes("b", &many));
        assert_eq!(read_online(&folder.path().join("a")).unwrap(), many);
        let mut other = many.clone();
        other[149_999].nats_q32 += 1;
        assert_ne!(bytes("a", &many), bytes("b", &other));
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            2,
            "no temporary files stay"
        );
    }

    #[test]
    fn rows_that_no_stream_may_hold_are_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(ONLINE_FILE);
        assert!(matches!(
            write_online(&path, &[OnlineRow::default(), OnlineRow::default()]),
            Err(ScoreError::InvalidRow { .. })
        ));
        assert!(!path.exists());
        assert!(matches!(
            write_online(&folder.path().join("absent/x"), &[]),
            Err(ScoreError::Io { .. })
        ));
    }

    #[test]
    fn another_table_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        write_heldout(&path, &heldout_rows()).unwrap();
        let error = read_online(&path).unwrap_err();
        assert!(error.to_string().contains("its columns are"), "{error}");
        assert!(matches!(
            read_online(&folder.path().join("absent")),
            Err(ScoreError::Io { .. })
        ));
        let role = Column::new("role".into(), ["val"]);
        let count = |name: &str| Column::new(name.into(), [1_u32]);
        let columns = vec![
            role,
            count("step"),
            count("tokens"),
            Column::new("bytes".into(), [1_u64]),
            Column::new("nats_q32".into(), [1_i64]),
        ];
        write_frame(&path, 1, columns.clone()).unwrap();
        assert!(
            read_heldout(&path)
                .unwrap_err()
                .to_string()
                .contains("role is \"val\"")
        );
        let mut empty = columns;
        empty[2] = Column::new("tokens".into(), [None::<u32>]);
        write_frame(&path, 1, empty).unwrap();
        assert!(
            read_heldout(&path)
                .unwrap_err()
                .to_string()
                .contains("empty cells")
        );
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(ONLINE_FILE);
        write_online(&path, &online_rows()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in (0..whole.len()).step_by(101) {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(
                matches!(read_online(&path), Err(ScoreError::BadStream { .. })),
                "{length} bytes"
            );
        }
    }
}
