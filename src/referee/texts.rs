//! The texts of a run, and the tokenizers that the contest has for them.

use std::path::Path;

use super::shm::Geometry;
use crate::config::Config;
use crate::dataset::manifest::{Corpus, Split};
use crate::dataset::stream::{Batch, Lanes, TokenStream};
use crate::dataset::tokenizer::{self, Tokenizer};
use crate::dataset::{DatasetError, Document, order, read};

/// The texts of a run, in the tokenizer that its training asked for.
pub struct Texts {
    /// The documents of the stream, in its order.
    pub documents: Vec<Document>,
    /// What is predicted and then trained on.
    pub stream: TokenStream,
    /// Held-out text: secret.
    pub val: TokenStream,
}

impl Texts {
    /// Reads and encodes the prefixes that the budgets ask for.
    pub fn load(
        corpus: &Corpus,
        config: &Config,
        tokenizer: &Tokenizer,
        order_key: Option<[u8; 32]>,
    ) -> Result<Self, DatasetError> {
        let mut train = read::prefix(corpus, Split::Train, config.budget.bytes)?;
        if let Some(key) = order_key {
            order::permute(&mut train, &key);
        }
        let val = read::prefix(corpus, Split::Val, config.held_out.val_bytes)?;
        Ok(Self {
            stream: TokenStream::new(&train, tokenizer)?,
            documents: train,
            val: TokenStream::new(&val, tokenizer).map_err(DatasetError::of_secret_text)?,
        })
    }
}

/// The public sample: what submissions may read from the start.
pub fn open_sample(corpus: &Corpus) -> Result<Vec<Document>, DatasetError> {
    let mut documents = Vec::new();
    for shard in corpus.manifest.open.iter().flat_map(|open| &open.shards) {
        documents.extend(read::shard_documents(&corpus.root, shard)?);
    }
    Ok(documents)
}

/// Steps of a tail: with tiny batches the configured bytes would take longer than the training did.
const MAX_TAIL_STEPS: usize = 512;

/// The last revealed steps of rank 0, up to the configured bytes and [`MAX_TAIL_STEPS`].
pub fn tail(
    lanes: &Lanes<'_>,
    geometry: Geometry,
    revealed_steps: usize,
    stream: &TokenStream,
    config: &Config,
) -> Vec<Batch> {
    let mut tail = Vec::new();
    let mut bytes = 0;
    for index in (0..revealed_steps).rev() {
        if bytes >= config.held_out.train_tail_bytes || tail.len() >= MAX_TAIL_STEPS {
            break;
        }
        let batch = lanes.batch(index, 0..geometry.batch_size);
        bytes += batch
            .targets
            .iter()
            .map(|&id| stream.bytes_of(id))
            .sum::<u64>();
        tail.push(batch);
    }
    tail
}

/// Every tokenizer the contest has: name, file (none for bytes), ids.
pub fn list_tokenizers(folder: &Path) -> Result<serde_json::Value, DatasetError> {
    let mut list = serde_json::Map::new();
    for name in tokenizer::names(folder)? {
        let tokenizer = Tokenizer::load(&name, folder)?;
        let entry = serde_json::json!({"file": tokenizer.file(), "size": tokenizer.size()});
        list.insert(name, entry);
    }
    Ok(list.into())
}
