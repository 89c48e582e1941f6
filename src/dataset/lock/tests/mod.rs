//! Locking as a whole, through its one entry.

mod bad_sources;
mod forms;
mod interrupted;
mod left_out;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::work_folder::WorkFolder;
use super::*;
use crate::dataset::manifest::is_open;
use crate::dataset::{read, verify};
use crate::progress::Show;

fn quiet() -> Progress {
    Progress::new(Show::Quiet)
}

fn options(root: PathBuf, sources: &[PathBuf]) -> LockOptions {
    LockOptions {
        sources: sources.to_vec(),
        root,
        name: "test".to_owned(),
        license: "none".to_owned(),
        revision: None,
        docs_per_shard: 64,
        limit: None,
    }
}

/// Locks and gives the corpus's folder back.
fn locked(folder: &Path, name: &str, sources: &[PathBuf]) -> PathBuf {
    let root = folder.join(name);
    lock(&options(root.clone(), sources), &quiet()).unwrap();
    root
}

fn failure(folder: &Path, sources: &[PathBuf]) -> DatasetError {
    let root = folder.join("corpus");
    let error = lock(&options(root.clone(), sources), &quiet()).unwrap_err();
    assert!(!root.exists(), "{error}");
    error
}

/// Distinct documents: ids and texts.
fn documents(numbers: std::ops::Range<u32>) -> Vec<(String, String)> {
    numbers
        .map(|n| {
            (
                format!("doc-{n}"),
                format!("text number {n}, é \"and\" \n {}", n * n),
            )
        })
        .collect()
}

fn json_lines(documents: &[(String, String)]) -> String {
    let line = |(id, text): &(String, String)| {
        format!(
            "{}\n",
            serde_json::json!({"id": id, "text": text, "url": 7})
        )
    };
    documents.iter().map(line).collect()
}

fn write(path: PathBuf, bytes: impl AsRef<[u8]>) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn write_parquet(
    path: &Path,
    documents: &[(String, String)],
    rows: usize,
    codec: ParquetCompression,
) {
    let column = |name: &str, pick: fn(&(String, String)) -> &str| {
        Column::new(
            name.into(),
            documents.iter().map(pick).collect::<Vec<&str>>(),
        )
    };
    let score = Column::new("score".into(), vec![2.5f64; documents.len()]);
    let columns = vec![column("text", |d| &d.1), column("id", |d| &d.0), score];
    let mut frame = DataFrame::new(documents.len(), columns).unwrap();
    ParquetWriter::new(fs::File::create(path).unwrap())
        .with_compression(codec)
        .with_row_group_size(Some(rows))
        .finish(&mut frame)
        .unwrap();
}

/// Every file of a corpus but the proof, which tells times.
fn contents(root: &Path) -> BTreeMap<PathBuf, String> {
    walkdir::WalkDir::new(root)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file() && entry.file_name() != "PROOF.json")
        .map(|entry| {
            let name = entry.path().strip_prefix(root).unwrap().to_owned();
            let text = fs::read_to_string(entry.path()).unwrap();
            let shown = if name.ends_with("MANIFEST.json") {
                text
            } else {
                hex(&Sha256::digest(text))
            };
            (name, shown)
        })
        .collect()
}
