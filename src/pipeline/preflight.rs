//! What every run needs, looked at once before the first: a fault here is the operator's and costs no submission an attempt.

use super::measure::{MeasureFailure, referee_executable};
use super::quarantine;
use crate::config::Config;
use crate::dataset::DatasetError;
use crate::dataset::manifest::{Corpus, Split};
use crate::dataset::read;
use crate::dataset::tokenizer::{self, Tokenizer};
use crate::sandbox::{self, SandboxError, python};

/// Checks the corpus (every shard that a run will read), the tokenizers, python, the sandbox, the runs that
/// others are compared with, and the measuring executable.
pub fn preflight(config: &Config) -> Result<(), MeasureFailure> {
    referee_executable(config)?;
    python::discover(&config.run.python).map_err(sandbox_failure)?;
    sandbox::available(config.sandbox.isolation).map_err(sandbox_failure)?;
    quarantine::references(&config.quarantine).map_err(|error| MeasureFailure::Infrastructure {
        message: format!("quarantine.references: {error}"),
        hint: error.hint().to_owned(),
    })?;
    corpus(config).map_err(|error| MeasureFailure::Infrastructure {
        message: error.to_string(),
        hint: error.hint().to_owned(),
    })
}

fn corpus(config: &Config) -> Result<(), DatasetError> {
    for name in tokenizer::names(&config.corpus.tokenizers)? {
        Tokenizer::load(&name, &config.corpus.tokenizers)?;
    }
    let corpus = Corpus::open(&config.corpus.root)?;
    let budgets = [
        (Split::Train, config.budget.bytes),
        (Split::Val, config.held_out.val_bytes),
    ];
    for (split, budget_bytes) in budgets {
        if read::prefix(&corpus, split, budget_bytes)?.is_empty() {
            return Err(DatasetError::Source {
                path: corpus.root,
                reason: format!("no documents in split {}", split.name()),
            });
        }
    }
    for shard in corpus.manifest.open.iter().flat_map(|open| &open.shards) {
        read::shard_documents(&corpus.root, shard)?;
    }
    Ok(())
}

fn sandbox_failure(error: SandboxError) -> MeasureFailure {
    MeasureFailure::Infrastructure {
        message: error.to_string(),
        hint: error.hint().to_owned(),
    }
}
