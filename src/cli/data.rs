//! `prism data lock|verify`.

use std::path::PathBuf;

use clap::Subcommand;
use prism::dataset::lock::{LockOptions, lock};
use prism::dataset::manifest::{Corpus, Split};
use prism::dataset::{DatasetError, verify};
use prism::exit;

use super::{Complaint, Format, Global, output};

#[derive(Subcommand)]
pub enum Data {
    /// Make a corpus from JSON lines (id, text) or text files: split by hash of the id, sharded, hashed.
    Lock {
        /// `.jsonl` and `.txt` files, or folders of them.
        #[arg(required = true)]
        sources: Vec<PathBuf>,
        /// Folder to make; it must not exist.
        #[arg(long, value_name = "DIR")]
        output: PathBuf,
        /// Name of the text, for manifests.
        #[arg(long, default_value = "unnamed")]
        name: String,
        /// Licence of the text.
        #[arg(long, default_value = "unknown")]
        license: String,
        #[arg(long, default_value_t = 1_024)]
        docs_per_shard: usize,
    },
    /// List the tokenizers of the contest; encode a text with them, or with one of your own.
    Tokenizers(super::tokenizers::Tokenizers),
    /// Check every hash, count, id and order of a corpus.
    Verify {
        /// Folder that `prism data lock` made.
        root: PathBuf,
    },
}

pub fn data(global: &Global, command: Data) -> Result<u8, Complaint> {
    match command {
        Data::Lock {
            sources,
            output,
            name,
            license,
            docs_per_shard,
        } => {
            let options = LockOptions {
                sources,
                root: output,
                name,
                license,
                docs_per_shard,
            };
            let report = lock(&options).map_err(complaint)?;
            match global.format {
                Format::Json => output::json(&report)?,
                Format::Text => {
                    let mut text = format!("locked {}\n", report.root.display());
                    for (split, count) in &report.doc_counts {
                        let bytes = report.text_bytes.get(split).copied().unwrap_or(0);
                        text.push_str(&format!(
                            "  {split:<6} {count:>8} documents {bytes:>12} bytes of text\n"
                        ));
                    }
                    text.push_str(&format!(
                        "  left out: {} without id or text, {} seen before\n",
                        report.skipped_unusable, report.skipped_duplicates
                    ));
                    output::print(&text)?;
                }
            }
        }
        Data::Tokenizers(asked) => {
            let config = super::load(global, None)?;
            return super::tokenizers::tokenizers(global, &config, &asked);
        }
        Data::Verify { root } => {
            let corpus = Corpus::open(&root).map_err(complaint)?;
            let report = verify::verify(&corpus, &Split::ALL).map_err(complaint)?;
            match global.format {
                Format::Json => output::json(&report)?,
                Format::Text => output::print(&format!(
                    "{} is as its manifest says: {} documents in {} shards, {} bytes\n",
                    root.display(),
                    report.documents,
                    report.shards,
                    report.bytes
                ))?,
            }
        }
    }
    Ok(exit::OK)
}

fn complaint(error: DatasetError) -> Complaint {
    Complaint::new(exit::INFRASTRUCTURE, &error, error.hint())
}
