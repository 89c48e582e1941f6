//! `prism data tokenizers`: what a contest offers, and what a tokenizer makes of a text.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use prism::config::Config;
use prism::dataset::tokenizer::guarded::Process;
use prism::dataset::tokenizer::{self, Tokenizer};
use prism::dataset::{DatasetError, Document};
use prism::exit;
use serde::Serialize;

use super::{Complaint, Format, Global, output};

#[derive(Args)]
pub struct Tokenizers {
    /// JSON lines (id, text) to encode with each; every byte must come back.
    #[arg(long, value_name = "FILE")]
    text: Vec<PathBuf>,
    /// A tokenizer.json as it would come with a submission: loaded behind the same wall, tried on the text.
    #[arg(long, value_name = "FILE")]
    own: Option<PathBuf>,
    /// Only these of the contest's.
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// Threads that encode; by default all cores.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    threads: usize,
}

/// One tokenizer and what it made of the text.
#[derive(Serialize)]
struct Row {
    name: String,
    ids: u32,
    end_of_text: u32,
    load_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Encoded>,
}

#[derive(Serialize)]
struct Encoded {
    documents: usize,
    bytes: u64,
    /// Without end-of-text.
    tokens: u64,
    bytes_per_token: f64,
    /// Encoding and comparing, without reading the text.
    seconds: f64,
    tokens_per_second: f64,
}

/// Lists tokenizers; encodes a text with each if there is one.
pub fn tokenizers(global: &Global, config: &Config, asked: &Tokenizers) -> Result<u8, Complaint> {
    let documents = read(&asked.text).map_err(complaint)?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(asked.threads)
        .build()
        .map_err(|error| Complaint::new(exit::INFRASTRUCTURE, error, "ask for fewer threads"))?;
    let folder = &config.corpus.tokenizers;
    let mut rows = Vec::new();
    for name in tokenizer::names(folder).map_err(complaint)? {
        if asked.name.is_empty() && asked.own.is_none() || asked.name.contains(&name) {
            let row = row(|| Tokenizer::load(&name, folder), &documents, &pool);
            rows.push(row.map_err(complaint)?);
        }
    }
    if let Some(file) = &asked.own {
        let process = Process {
            prism: std::env::current_exe()
                .map_err(|error| Complaint::new(exit::INFRASTRUCTURE, error, "mount /proc"))?,
            isolation: config.sandbox.isolation,
            image: config.sandbox.image.clone(),
        };
        let row = row(|| Tokenizer::own(file, process), &documents, &pool);
        rows.push(row.map_err(complaint)?);
    }
    match global.format {
        Format::Json => output::json(&rows)?,
        _ => output::print(&table(&rows))?,
    }
    Ok(exit::OK)
}

fn row(
    load: impl FnOnce() -> Result<Tokenizer, DatasetError>,
    documents: &[Document],
    pool: &rayon::ThreadPool,
) -> Result<Row, DatasetError> {
    let begun = Instant::now();
    let tokenizer = load()?;
    let load_seconds = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let mut tokens = 0;
    pool.install(|| tokenizer.encode_all(documents, &mut |ids| tokens += ids.len() as u64))?;
    let seconds = begun.elapsed().as_secs_f64();
    let bytes: u64 = documents.iter().map(|d| d.text.len() as u64).sum();
    let text = (!documents.is_empty()).then(|| Encoded {
        documents: documents.len(),
        bytes,
        tokens,
        bytes_per_token: bytes as f64 / tokens.max(1) as f64,
        seconds,
        tokens_per_second: tokens as f64 / seconds,
    });
    Ok(Row {
        name: tokenizer.name().to_owned(),
        ids: tokenizer.size(),
        end_of_text: tokenizer.end_of_text(),
        load_seconds,
        text,
    })
}

fn table(rows: &[Row]) -> String {
    let mut text = format!("{:<18} {:>8}", "tokenizer", "ids");
    if rows.iter().any(|row| row.text.is_some()) {
        text.push_str("     tokens  bytes per token  tokens per second");
    }
    text.push('\n');
    for row in rows {
        text.push_str(&format!("{:<18} {:>8}", row.name, row.ids));
        if let Some(encoded) = &row.text {
            text.push_str(&format!(
                " {:>10} {:>16.3} {:>18.0}",
                encoded.tokens, encoded.bytes_per_token, encoded.tokens_per_second
            ));
        }
        text.push('\n');
    }
    text
}

fn read(files: &[PathBuf]) -> Result<Vec<Document>, DatasetError> {
    let mut documents = Vec::new();
    for file in files {
        documents.extend(read_lines(file)?);
    }
    Ok(documents)
}

fn read_lines(file: &Path) -> Result<Vec<Document>, DatasetError> {
    use std::io::BufRead;
    let io = |source| DatasetError::Io {
        path: file.to_owned(),
        source,
    };
    let lines = std::io::BufReader::new(std::fs::File::open(file).map_err(io)?).split(b'\n');
    lines
        .enumerate()
        .map(|(index, line)| {
            serde_json::from_slice(&line.map_err(io)?).map_err(|error| DatasetError::Line {
                path: file.to_owned(),
                line: index + 1,
                reason: format!("not a document: {error}"),
            })
        })
        .collect()
}

fn complaint(error: DatasetError) -> Complaint {
    let code = if error.is_choice_of_tokenizer() {
        exit::REVIEW_REJECTED
    } else {
        exit::INFRASTRUCTURE
    };
    Complaint::new(code, &error, error.hint())
}
