//! What a run says of its architecture: the traced structure beside the hashes of the source.

use std::path::Path;

use serde_json::{Value, json};

use super::examine;
use crate::bundle::{self, Bundle, Kind};
use crate::config::Config;
use crate::families::structure::{Basis, Structure};
use crate::outbox::schema::Schema;
use crate::outbox::status::Status;
use crate::outbox::{OutboxError, atomic};
use crate::referee::measured::Measured;
use crate::review::{self, Review};

/// The canonical text of the structure: its sha256 is what the family is named by.
pub const STRUCTURE: &str = "architecture_structure.txt";
const METADATA: &str = "architecture_metadata.json";

/// `architecture_metadata.json` as the source alone tells it.
pub fn metadata(status: &Status, bundle: &Bundle, review: &Review) -> Result<Value, OutboxError> {
    let metadata = review::metadata(
        &status.submission_id,
        status.hotkey.as_deref(),
        review,
        review::RoleFiles {
            architecture: &role_files(&bundle.architecture.path, &bundle.manifest.architecture),
            training: &role_files(&bundle.training.path, &bundle.manifest.training),
        },
    );
    serde_json::to_value(metadata).map_err(|error| OutboxError::Unreadable {
        path: METADATA.into(),
        reason: error.to_string(),
    })
}

/// Writes it.
pub fn write_metadata(folder: &Path, metadata: &Value) -> Result<(), OutboxError> {
    let path = folder.join(METADATA);
    atomic::write_json(&path, Schema::ArchitectureMetadata, metadata)
}

/// The entry of a role and the files that prism.yaml adds to it.
fn role_files<'a>(entry: &'a str, section: &'a Option<bundle::Section>) -> Vec<&'a str> {
    let declared = section.iter().flat_map(|section| &section.files);
    std::iter::once(entry)
        .chain(declared.map(String::as_str))
        .collect()
}

/// Publishes the structure, adds it to `architecture_metadata.json`, and returns the manifest's block `architecture`.
pub fn publish(
    config: &Config,
    folder: &Path,
    status: &Status,
    bundle: &Bundle,
    measured: &Measured,
) -> Result<Value, OutboxError> {
    let structure = measured.structure.as_ref().filter(|one| is_identity(one));
    let mut metadata = metadata(status, bundle, &examine::review_of(config, bundle))?;
    let source = metadata["identity"].clone();
    let hash = |name: &str| source[name].clone();
    let family = structure.map(Structure::family);
    let traced = structure.map(|structure| {
        json!({
            "basis": structure.basis,
            "digest": structure.digest,
            "operations": structure.operations,
            "tensors": structure.tensors,
            "failure": structure.failure,
            "file": STRUCTURE,
        })
    });
    if let Some(structure) = structure {
        atomic::write_bytes_if_new(&folder.join(STRUCTURE), structure.text.as_bytes())?;
    }
    metadata["traced"] = json!({"family": family, "structure": traced});
    write_metadata(folder, &metadata)?;
    let architecture_id = match &bundle.kind {
        Kind::TrainingForArch { architecture_id } => Some(architecture_id),
        Kind::Full | Kind::ArchitectureOnly => None,
    };
    Ok(json!({
        "kind": bundle.kind.name(),
        "architecture_id": architecture_id,
        "family": family,
        "structure": traced,
        "source": {
            "architecture_graph_hash": hash("architecture_graph_hash"),
            "architecture_source_hash": hash("architecture_source_hash"),
            "structure_hash": hash("structure_hash"),
            "training_hash": hash("training_hash"),
        },
    }))
}

/// A model that could not even be listed is like every other such model: that names no family.
fn is_identity(structure: &Structure) -> bool {
    structure.basis == Basis::Traced || structure.tensors > 0
}
