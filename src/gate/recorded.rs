//! Stored verdicts, as this gate writes them: what an audit has instead of a reviewer.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::GateError;
use super::record::{FILE, Record};
use crate::bundle::Bundle;

/// More files are a mistake.
const MAX_FILES: usize = 1_000_000;

/// Verdicts by the bundle that they are on.
#[derive(Debug)]
pub struct Records {
    root: PathBuf,
    by_bundle: HashMap<String, Vec<Record>>,
}

impl Records {
    /// Reads one file, all `*.json` of a folder, or `gate.json` of every run of an outbox. What is no verdict is passed
    /// over in a folder; a file that is named must be one.
    ///
    /// # Errors
    /// [`GateError::Records`].
    pub fn read(root: &Path) -> Result<Self, GateError> {
        let broken = |reason: String| GateError::Records {
            path: root.to_owned(),
            reason,
        };
        let facts = fs::metadata(root).map_err(|error| broken(error.to_string()))?;
        let mut by_bundle: HashMap<String, Vec<Record>> = HashMap::new();
        let mut keep = |record: Record| {
            by_bundle
                .entry(record.bundle_sha256.clone())
                .or_default()
                .push(record);
        };
        if facts.is_file() {
            keep(Record::read(root).map_err(|error| broken(error.to_string()))?);
        } else {
            for entry in fs::read_dir(root)
                .map_err(|error| broken(error.to_string()))?
                .take(MAX_FILES)
            {
                let path = entry.map_err(|error| broken(error.to_string()))?.path();
                let path = if path.is_dir() { path.join(FILE) } else { path };
                let is_json = path
                    .extension()
                    .is_some_and(|extension| extension == "json");
                // a pipe of that name would be waited for
                let is_file = path.symlink_metadata().is_ok_and(|facts| facts.is_file());
                if is_json
                    && is_file
                    && let Ok(record) = Record::read(&path)
                {
                    keep(record);
                }
            }
        }
        Ok(Self {
            root: root.to_owned(),
            by_bundle,
        })
    }

    /// The verdict on a bundle, of this model if one is named.
    ///
    /// # Errors
    /// [`GateError::NoRecord`]; [`GateError::Records`] when several contradict each other, or one is not of this bundle.
    pub fn find(&self, bundle: &Bundle, model: Option<&str>) -> Result<&Record, GateError> {
        let all = self
            .by_bundle
            .get(&bundle.digest)
            .map_or(&[][..], Vec::as_slice);
        let mut of_model = all
            .iter()
            .filter(|record| model.is_none() || record.model.as_deref() == model);
        let Some(first) = of_model.next() else {
            return Err(GateError::NoRecord {
                path: self.root.clone(),
            });
        };
        let broken = |reason: String| GateError::Records {
            path: self.root.clone(),
            reason,
        };
        if of_model.any(|other| other.answer.verdict != first.answer.verdict) {
            return Err(broken(
                "they contradict each other on this bundle".to_owned(),
            ));
        }
        match first.problems(bundle).into_iter().next() {
            None => Ok(first),
            Some(problem) => Err(broken(problem)),
        }
    }
}
