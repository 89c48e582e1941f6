//! `prism data lock|verify`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use prism::dataset::lock::{LockOptions, LockReport, lock};
use prism::dataset::manifest::{Corpus, Split};
use prism::dataset::{DatasetError, verify};
use prism::exit;
use prism::progress::{Progress, Show};

use super::{Complaint, Format, Global, output};

#[derive(Subcommand)]
pub enum Data {
    /// Make a corpus from documents with id and text: split by hash of the id, sharded, hashed.
    ///
    /// An interrupted lock goes on where it was when the same command is given again.
    Lock {
        /// `.parquet`, `.jsonl`, `.jsonl.gz`, `.jsonl.zst` and `.txt` files, or folders of them.
        #[arg(required = true)]
        sources: Vec<PathBuf>,
        /// Folder to make; it must not exist, or be empty.
        #[arg(long, value_name = "DIR")]
        output: PathBuf,
        /// Name of the text, for manifests.
        #[arg(long, default_value = "unnamed")]
        name: String,
        /// Licence of the text.
        #[arg(long, default_value = "unknown")]
        license: String,
        /// Revision of the source; without one, a digest of the text is recorded.
        #[arg(long, value_name = "COMMIT", value_parser = revision)]
        revision: Option<String>,
        /// Take only the first usable records, in the order of the sources.
        #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u64).range(1..))]
        limit: Option<u64>,
        #[arg(long, default_value_t = 1_024, value_parser = clap::value_parser!(u64).range(1..))]
        docs_per_shard: u64,
    },
    /// List the tokenizers of the contest; encode a text with them, or with one of your own.
    Tokenizers(super::tokenizers::Tokenizers),
    /// Check every hash, count, id and order of a corpus, and write the proof that a run asks for.
    Verify {
        /// Folder that `prism data lock` made, or a locked corpus of the contest.
        root: PathBuf,
        /// Only these splits, where others are not at hand; a run needs train and val.
        #[arg(long, value_enum, value_delimiter = ',', default_values_t = [SplitName::Train, SplitName::Val, SplitName::Test])]
        splits: Vec<SplitName>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SplitName {
    Train,
    Val,
    Test,
}

/// A revision is a word: an empty one names nothing.
fn revision(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().any(char::is_whitespace) {
        return Err("expected a commit or a date without spaces".to_owned());
    }
    Ok(text.to_owned())
}

pub fn data(global: &Global, command: Data) -> Result<u8, Complaint> {
    let progress = Progress::new(if global.quiet {
        Show::Quiet
    } else {
        Show::News
    });
    match command {
        Data::Lock {
            sources,
            output,
            name,
            license,
            revision,
            limit,
            docs_per_shard,
        } => {
            let options = LockOptions {
                sources,
                root: output,
                name,
                license,
                revision,
                docs_per_shard,
                limit,
            };
            let report = lock(&options, &progress).map_err(complaint)?;
            match global.format {
                Format::Json => output::json(&report)?,
                _ => output::print(&lock_text(&report))?,
            }
        }
        Data::Tokenizers(asked) => {
            let config = super::load(global, None)?;
            return super::tokenizers::tokenizers(global, &config, &asked);
        }
        Data::Verify { root, splits } => {
            let corpus = Corpus::open(&root).map_err(complaint)?;
            let splits: Vec<Split> = Split::ALL
                .into_iter()
                .zip([SplitName::Train, SplitName::Val, SplitName::Test])
                .filter(|(_, name)| splits.contains(name))
                .map(|(split, _)| split)
                .collect();
            let report = verify::verify(&corpus, &splits, &progress).map_err(complaint)?;
            for warning in &report.warnings {
                progress.line(&format!("warning: {warning}"));
            }
            match global.format {
                Format::Json => output::json(&report)?,
                _ => output::print(&format!(
                    "{} is as its manifest says: {} documents in {} shards, {} bytes ({})\n",
                    root.display(),
                    report.documents,
                    report.shards,
                    report.bytes,
                    report.splits.join(", ")
                ))?,
            }
        }
    }
    Ok(exit::OK)
}

fn lock_text(report: &LockReport) -> String {
    let mut text = format!("locked {}\n", report.root.display());
    for (split, count) in &report.doc_counts {
        let bytes = report.text_bytes.get(split).copied().unwrap_or(0);
        text.push_str(&format!(
            "  {split:<6} {count:>8} documents {bytes:>12} bytes of text\n"
        ));
    }
    let left_out = &report.left_out;
    text.push_str(&format!(
        "  left out: {} without id or text, {} with the id and {} with the text of another, {} of train much like val or test\n",
        left_out.no_id_or_text,
        left_out.duplicate_id,
        left_out.duplicate_text,
        left_out.near_duplicate,
    ));
    text
}

fn complaint(error: DatasetError) -> Complaint {
    let code = match &error {
        DatasetError::Busy { .. } => exit::BUSY,
        _ => exit::INFRASTRUCTURE,
    };
    Complaint::new(code, &error, error.hint())
}
