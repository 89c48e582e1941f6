//! The JSON Schemas of every file that crosses the border, embedded; checked on write and on read.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

use super::OutboxError;

macro_rules! schemas {
    ($($variant:ident $name:literal $file:literal;)*) => {
        /// A kind of file that crosses the border.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Schema { $($variant),* }

        impl Schema {
            pub const ALL: &[Schema] = &[$(Schema::$variant),*];

            /// Its name for `prism schema NAME`.
            pub fn name(self) -> &'static str {
                match self { $(Schema::$variant => $name),* }
            }

            /// The schema's text.
            pub fn text(self) -> &'static str {
                match self { $(Schema::$variant => include_str!(concat!("../../schemas/", $file))),* }
            }
        }
    };
}

schemas! {
    RunManifest "prism_run_manifest.v2" "prism_run_manifest.v2.schema.json";
    Status "status" "status.schema.json";
    Review "review" "review.schema.json";
    Leaderboard "leaderboard" "leaderboard.schema.json";
    Weights "weights" "weights.schema.json";
    Rescore "rescore" "rescore.schema.json";
    LockedData "locked_data" "locked_data.schema.json";
    AuditReport "audit_report" "audit_report.schema.json";
    Digests "digests" "digests.schema.json";
    RunConfig "run_config" "run_config.schema.json";
    Signature "signature" "signature.schema.json";
    CorpusProof "corpus_proof" "corpus_proof.schema.json";
    ArchitectureMetadata "architecture_metadata" "architecture_metadata.schema.json";
    OwnershipEvent "ownership_event" "ownership_event.schema.json";
    ProbeReport "probe_report" "probe_report.schema.json";
    Families "families" "families.schema.json";
    ArchitectureGraph "architecture_graph" "architecture_graph.schema.json";
    Request "request" "request.schema.json";
    Queue "queue" "queue.schema.json";
    DoctorReport "doctor_report" "doctor_report.schema.json";
    RunManifestV1 "prism_run_manifest.v1" "prism_run_manifest.v1.schema.json";
    V1Metrics "prism_v1_metrics.v1" "prism_v1_metrics.v1.schema.json";
    SubmissionMeta "submission_meta" "submission_meta.schema.json";
    SubmissionEnvelope "submission_envelope" "submission_envelope.schema.json";
    Gate "gate" "gate.schema.json";
    CheckpointMetadata "checkpoint_metadata.v1" "checkpoint_metadata.v1.schema.json";
}

/// Compiled once: an outbox has thousands of files of a kind.
fn validator(schema: Schema) -> Result<&'static jsonschema::Validator, String> {
    static COMPILED: [OnceLock<Result<jsonschema::Validator, String>>; Schema::ALL.len()] =
        [const { OnceLock::new() }; Schema::ALL.len()];
    let compile = || {
        let text: Value = serde_json::from_str(schema.text())
            .map_err(|error| format!("the schema itself: {error}"))?;
        jsonschema::validator_for(&text).map_err(|error| format!("the schema itself: {error}"))
    };
    COMPILED[schema as usize]
        .get_or_init(compile)
        .as_ref()
        .map_err(Clone::clone)
}

/// Checks a value; the error names at most eight places.
pub fn check(path: &Path, schema: Schema, value: &Value) -> Result<(), OutboxError> {
    let broken = |problems| OutboxError::Schema {
        path: path.to_owned(),
        schema: schema.name(),
        problems,
    };
    let validator = validator(schema).map_err(|error| broken(vec![error]))?;
    let problems: Vec<String> = validator
        .iter_errors(value)
        .take(8)
        .map(|error| {
            let place = error.instance_path().to_string();
            format!("{}: {error}", if place.is_empty() { "/" } else { &place })
        })
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(broken(problems))
    }
}

/// Reads a JSON file and checks it.
pub fn read(path: &Path, schema: Schema, max_bytes: u64) -> Result<Value, OutboxError> {
    let unreadable = |reason: String| OutboxError::Unreadable {
        path: path.to_owned(),
        reason,
    };
    let length = std::fs::metadata(path).map_err(super::at(path))?.len();
    if length > max_bytes {
        return Err(unreadable(format!(
            "got {length} bytes, expected at most {max_bytes}"
        )));
    }
    let bytes = std::fs::read(path).map_err(super::at(path))?;
    let value = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    check(path, schema, &value)?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_one() {
        for schema in Schema::ALL {
            let text: Value = serde_json::from_str(schema.text()).unwrap();
            jsonschema::validator_for(&text).unwrap();
            assert_eq!(
                text["$id"],
                format!("urn:prism:schema:{}", schema.name()),
                "{schema:?}"
            );
        }
    }
}
