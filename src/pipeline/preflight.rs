//! What every run needs, looked at once before the first: a fault here is the operator's and costs no submission an attempt.

use super::measure::{MeasureFailure, referee_executable};
use super::quarantine;
use crate::config::Config;
use crate::dataset::DatasetError;
use crate::dataset::manifest::{Corpus, OPEN_FOLDER, Split};
use crate::dataset::proof;
use crate::dataset::tokenizer::{self, Tokenizer};
use crate::sandbox::{self, SandboxError, python};

/// Checks the corpus's proof, the tokenizers, python, the sandbox, the runs that others are compared with, and the measuring
/// executable.
pub fn preflight(config: &Config) -> Result<(), MeasureFailure> {
    referee_executable(config)?;
    let wall = &config.sandbox;
    python::environment(wall.isolation, &config.run.python).map_err(sandbox_failure)?;
    sandbox::available(wall.isolation, wall.image.as_deref()).map_err(sandbox_failure)?;
    quarantine::references(&config.quarantine).map_err(|error| MeasureFailure::Infrastructure {
        message: format!("quarantine.references: {error}"),
        hint: error.hint().to_owned(),
    })?;
    tokenizers(config).map_err(dataset_failure)?;
    corpus(config)
}

/// Checks the corpus by its proof, which costs milliseconds: before every run, too. A run hashes again what it reads.
pub fn corpus(config: &Config) -> Result<(), MeasureFailure> {
    proven(config).map_err(dataset_failure)
}

fn tokenizers(config: &Config) -> Result<(), DatasetError> {
    for name in tokenizer::names(&config.corpus.tokenizers)? {
        Tokenizer::load(&name, &config.corpus.tokenizers)?;
    }
    Ok(())
}

fn proven(config: &Config) -> Result<(), DatasetError> {
    let corpus = Corpus::open(&config.corpus.root)?;
    let proof = proof::check(&corpus, &[Split::Train, Split::Val])?;
    let documents = |of: &str| proof.documents.get(of).copied().unwrap_or(0);
    let scored = documents(Split::Train.name()).saturating_sub(documents(OPEN_FOLDER));
    for (split, documents) in [
        (Split::Train, scored),
        (Split::Val, documents(Split::Val.name())),
    ] {
        if documents == 0 {
            return Err(DatasetError::Source {
                path: corpus.root,
                reason: format!("no documents to score in split {}", split.name()),
            });
        }
    }
    Ok(())
}

fn dataset_failure(error: DatasetError) -> MeasureFailure {
    MeasureFailure::Infrastructure {
        message: error.to_string(),
        hint: error.hint().to_owned(),
    }
}

fn sandbox_failure(error: SandboxError) -> MeasureFailure {
    MeasureFailure::Infrastructure {
        message: error.to_string(),
        hint: error.hint().to_owned(),
    }
}
