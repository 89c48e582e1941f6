//! Rows of an index file, whatever its form, as objects.

use std::fs::File;
use std::path::Path;

use polars::prelude::*;
use serde_json::{Map, Value};

use super::error::ScoreError;
use super::json;
use super::streams::guarded;

/// Where a row stands in its file, and its fields.
pub type Row = (String, Map<String, Value>);

/// Columns that are read; a file may have others.
const COLUMNS: [&str; 3] = ["submission_id", "hotkey", "accepted_at"];

/// All rows of a `.csv`, `.json` (a list of objects, or an object by submission), `.jsonl` or `.parquet` file.
///
/// # Errors
/// Those of reading, and [`ScoreError::BadIndex`].
pub fn rows(path: &Path) -> Result<Vec<Row>, ScoreError> {
    match path.extension().and_then(|suffix| suffix.to_str()) {
        Some("csv") => csv_rows(path),
        Some("json") => json_rows(path, json::read(path)?),
        Some("jsonl") => lines(path),
        Some("parquet") => parquet_rows(path),
        _ => Err(bad(
            path,
            "expected a name that ends in .csv, .json, .jsonl or .parquet".to_owned(),
        )),
    }
}

fn bad(path: &Path, what: String) -> ScoreError {
    ScoreError::BadIndex {
        path: path.to_path_buf(),
        what,
    }
}

fn csv_rows(path: &Path) -> Result<Vec<Row>, ScoreError> {
    let fault = |error: csv::Error| bad(path, error.to_string());
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(fault)?;
    let names = reader.headers().map_err(fault)?.clone();
    if !names.iter().any(|name| name == COLUMNS[0]) {
        return Err(bad(path, format!("it has no column {}", COLUMNS[0])));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(fault)?;
        let line = record.position().map_or(0, csv::Position::line);
        let fields = names
            .iter()
            .zip(&record)
            .filter(|(name, _)| COLUMNS.contains(name))
            .map(|(name, text)| (name.to_owned(), Value::from(text)))
            .collect();
        rows.push((format!("line {line}"), fields));
    }
    Ok(rows)
}

fn json_rows(path: &Path, document: Value) -> Result<Vec<Row>, ScoreError> {
    let object = |place: String, value: Value| match value {
        Value::Object(fields) => Ok((place, fields)),
        _ => Err(bad(path, format!("{place}: expected an object"))),
    };
    match document {
        Value::Array(list) => list
            .into_iter()
            .enumerate()
            .map(|(at, value)| object(format!("entry {}", at + 1), value))
            .collect(),
        Value::Object(submissions) => submissions
            .into_iter()
            .map(|(id, value)| {
                let (place, mut fields) = object(format!("entry {id:?}"), value)?;
                fields.insert(COLUMNS[0].to_owned(), Value::String(id));
                Ok((place, fields))
            })
            .collect(),
        _ => Err(bad(path, "expected a list or an object".to_owned())),
    }
}

fn lines(path: &Path) -> Result<Vec<Row>, ScoreError> {
    let (mut rows, mut fault) = (Vec::new(), None);
    super::manifest_lines::for_each_batch(path, |batch| {
        for line in batch {
            let place = format!("line {}", line.number);
            match line.text.and_then(|text| json::parse(&text)) {
                Ok(Value::Object(fields)) => rows.push((place, fields)),
                Ok(_) => {
                    fault.get_or_insert(bad(path, format!("{place}: expected an object")));
                }
                Err(error) => {
                    fault.get_or_insert(bad(path, format!("{place}: {error}")));
                }
            }
        }
    });
    fault.map_or(Ok(rows), Err)
}

fn parquet_rows(path: &Path) -> Result<Vec<Row>, ScoreError> {
    let file = File::open(path).map_err(|source| ScoreError::Io {
        action: "open",
        path: path.to_path_buf(),
        source,
    })?;
    let columns = guarded(path, || {
        let frame = ParquetReader::new(file).set_rechunk(true).finish()?;
        let mut columns = Vec::new();
        for name in COLUMNS {
            // a file may leave out all but the first
            match frame.column(name) {
                Ok(column) => columns.push((name, column.cast(&DataType::String)?.str()?.clone())),
                Err(error) if name == COLUMNS[0] => return Err(error),
                Err(_) => {}
            }
        }
        Ok(columns)
    })
    .map_err(|error| bad(path, error.to_string()))?;
    let height = columns.first().map_or(0, |(_, column)| column.len());
    let row = |at: usize| {
        let fields = columns.iter().map(|(name, column)| {
            let value = column.get(at).map_or(Value::Null, Value::from);
            ((*name).to_owned(), value)
        });
        (format!("row {}", at + 1), fields.collect())
    };
    Ok((0..height).map(row).collect())
}
