//! The JSON files of a run folder, read with limits and held against their schemas.

use std::path::Path;

use serde_json::Value;

use super::folder::{Folder, GRAPH, METADATA, REVIEW};
use super::report::Check;
use crate::config::recorded;
use crate::gate::record::{FILE as GATE, Record};
use crate::outbox::schema::{self, Schema};
use crate::outbox::status::{self, Status};
use crate::outbox::{OutboxError, atomic};
use crate::pipeline::{CORPUS_MANIFEST, MANIFEST, MANIFEST_V1, METRICS};
use crate::score::json;
use crate::signing::digest_list::{self, DigestList};
use crate::signing::signature::{self, Signature};

/// A manifest of 100,000 steps has 2 MB; that of a large corpus as much.
const MAX_DOCUMENT_BYTES: u64 = 64 << 20;

/// The seal of a folder, and whose it is.
const SEAL: [(&str, Schema); 3] = [
    (status::FILE, Schema::Status),
    (digest_list::FILE, Schema::Digests),
    (signature::FILE, Schema::Signature),
];

const ALL: [(&str, Schema); 12] = [
    SEAL[0],
    (REVIEW, Schema::Review),
    (GRAPH, Schema::ArchitectureGraph),
    (METADATA, Schema::ArchitectureMetadata),
    (GATE, Schema::Gate),
    (MANIFEST, Schema::RunManifest),
    (MANIFEST_V1, Schema::RunManifestV1),
    (METRICS, Schema::V1Metrics),
    (recorded::FILE, Schema::RunConfig),
    (CORPUS_MANIFEST, Schema::LockedData),
    SEAL[1],
    SEAL[2],
];

/// The documents that are there and fit their schemas.
#[derive(Debug, Default)]
pub struct Documents {
    pub status: Option<Status>,
    pub review: Option<Value>,
    pub gate: Option<Record>,
    pub graph: Option<Value>,
    pub manifest: Option<Value>,
    pub run_config: Option<Value>,
    pub corpus_manifest: Option<Value>,
    pub digests: Option<DigestList>,
    pub signature: Option<Signature>,
}

impl Documents {
    /// Reads them all.
    pub fn read(folder: &Folder) -> (Self, Check) {
        let (documents, count, mut problems) = Self::read_these(folder, &ALL);
        if !folder.has(status::FILE) {
            problems.push(format!("{}: missing", status::FILE));
        }
        let agreed = format!("{count} JSON files fit their schemas");
        (documents, Check::of("schemas", agreed, problems))
    }

    /// Reads the seal alone: enough to know whether every other file is what it was.
    pub fn read_seal(folder: &Folder) -> (Self, Vec<String>) {
        let (documents, _, problems) = Self::read_these(folder, &SEAL);
        (documents, problems)
    }

    /// Reads those of the named kinds: what was read, how many, and what is wrong with the others.
    fn read_these(folder: &Folder, kinds: &[(&str, Schema)]) -> (Self, usize, Vec<String>) {
        let mut documents = Self::default();
        let mut problems = Vec::new();
        let mut count = 0;
        for &(name, schema) in kinds {
            if !folder.has(name) {
                continue;
            }
            match read(folder, name, schema) {
                Ok(value) => {
                    count += 1;
                    if let Err(reason) = documents.keep(name, value) {
                        problems.push(format!("{name}: {reason}"));
                    }
                }
                Err(reasons) => problems.extend(reasons),
            }
        }
        (documents, count, problems)
    }

    fn keep(&mut self, name: &str, value: Value) -> Result<(), String> {
        let broken = |error: serde_json::Error| error.to_string();
        match name {
            status::FILE => self.status = Some(serde_json::from_value(value).map_err(broken)?),
            REVIEW => self.review = Some(value),
            GRAPH => self.graph = Some(value),
            GATE => self.gate = Some(serde_json::from_value(value).map_err(broken)?),
            // follow from the archive, the streams and the names that the operator gives: their form is all that is looked at
            METADATA | MANIFEST_V1 | METRICS => {}
            MANIFEST => self.manifest = Some(value),
            recorded::FILE => self.run_config = Some(value),
            CORPUS_MANIFEST => self.corpus_manifest = Some(value),
            digest_list::FILE => {
                self.digests = Some(serde_json::from_value(value).map_err(broken)?);
            }
            _ => self.signature = Some(serde_json::from_value(value).map_err(broken)?),
        }
        Ok(())
    }
}

fn read(folder: &Folder, name: &str, schema: Schema) -> Result<Value, Vec<String>> {
    let one = |reason: String| vec![reason];
    let bytes = folder.read(name, MAX_DOCUMENT_BYTES).map_err(one)?;
    let value = json::parse(&bytes).map_err(|error| {
        let reasons = error.reasons().join("; ");
        one(format!("{name}: {reasons}"))
    })?;
    schema::check(Path::new(name), schema, &value).map_err(|error| match error {
        OutboxError::Schema { problems, .. } => problems
            .into_iter()
            .map(|problem| format!("{name}: {problem}"))
            .collect(),
        other => one(other.to_string()),
    })?;
    // The seal is in one form only, so that no bit of it is without meaning.
    if matches!(schema, Schema::Digests | Schema::Signature) {
        let canonical = atomic::json_bytes(Path::new(name), schema, &value);
        if canonical.map_err(|error| one(error.to_string()))? != bytes {
            return Err(one(format!("{name}: not in the form that prism writes")));
        }
    }
    Ok(value)
}
