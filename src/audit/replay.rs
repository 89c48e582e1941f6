//! The archive opened and reviewed again: the same sources, verdict, findings, graph and code length.

use serde_json::{Value, json};

use super::documents::Documents;
use super::folder::{Folder, GRAPH, REVIEW};
use super::identity::MAX_ARCHIVE_BYTES;
use super::report::Check;
use crate::bundle::{self, Bundle, Limits};
use crate::config::Config;
use crate::outbox::status::{State, Status};
use crate::pipeline::{ARCHIVE, MANIFEST, review_of};
use crate::review;
use crate::score::code_length::{code_bits, compressor_name};

/// The checks `review` and `sources`.
pub fn review(folder: &Folder, documents: &Documents) -> [Check; 2] {
    if !folder.has(ARCHIVE) {
        let why = format!("there is no {ARCHIVE}");
        return [
            Check::not_checked("review", why.clone()),
            Check::not_checked("sources", why),
        ];
    }
    let limits = limits(documents);
    let unopened = |review| {
        [
            review,
            Check::not_checked("sources", "the archive cannot be opened"),
        ]
    };
    let problem = |reason| {
        let problem = format!("{ARCHIVE} cannot be opened: {reason}");
        unopened(Check::of("review", "", vec![problem]))
    };
    let bytes = match folder.read(ARCHIVE, MAX_ARCHIVE_BYTES) {
        Ok(bytes) => bytes,
        Err(reason) => return problem(reason),
    };
    match bundle::open(&bytes, &limits) {
        Ok(_) if was_held_unreviewed(documents) => [
            Check::not_checked("review", "held before it was reviewed"),
            Check::not_checked("sources", "held before it was reviewed"),
        ],
        Ok(bundle) => [replay(&bundle, documents), sources(&bundle, documents)],
        Err(error) if is_rejected_by(documents, error.rule_id()) => {
            let agreed = format!("replayed: rejected by {}, as recorded", error.rule_id());
            unopened(Check::of("review", agreed, Vec::new()))
        }
        Err(error) => problem(error.to_string()),
    }
}

fn was_held_unreviewed(documents: &Documents) -> bool {
    let status = documents.status.as_ref();
    documents.review.is_none() && status.is_some_and(|status| status.state == State::Held)
}

/// Whether the archive itself was turned away by this rule.
fn is_rejected_by(documents: &Documents, rule_id: &str) -> bool {
    let by = |status: &Status| {
        let reason = status.reason.as_ref();
        status.state == State::Rejected && reason.is_some_and(|reason| reason.rule_id == rule_id)
    };
    documents.review.is_none() && documents.status.as_ref().is_some_and(by)
}

/// Those that the archive was examined under.
pub(super) fn limits(documents: &Documents) -> Limits {
    documents
        .run_config
        .as_ref()
        .and_then(|config| serde_json::from_value(config["archive"].clone()).ok())
        .unwrap_or_default()
}

/// Those that the review was made under, as far as they are on record.
fn settings(documents: &Documents) -> Config {
    let own = Config::default();
    let recorded = documents.run_config.as_ref();
    recorded
        .and_then(|recorded| own.with_recorded(recorded).ok())
        .unwrap_or(own)
}

fn replay(bundle: &Bundle, documents: &Documents) -> Check {
    let name = "review";
    let again = review_of(&settings(documents), bundle);
    let mut replayed = json!(again);
    let Some(recorded) = &documents.review else {
        let problem = format!("there is an archive and no readable {REVIEW}");
        return Check::of(name, "", vec![problem]);
    };
    if let Some(fields) = replayed.as_object_mut() {
        for field in ["schema_version", "submission_id"] {
            fields.insert(field.to_owned(), recorded[field].clone());
        }
        // What lay in the outbox at the time cannot be compared again from one folder.
        if let Some(duplicates) = recorded.get("duplicates") {
            fields.insert("duplicates".to_owned(), duplicates.clone());
        }
    }
    let mut problems = differences(REVIEW, recorded, &replayed);
    match &documents.graph {
        Some(graph) => {
            problems.extend(differences(GRAPH, graph, &json!(again.architecture_graph)));
        }
        None => problems.push(format!("there is no readable {GRAPH}")),
    }
    let rejects = again.verdict == review::Verdict::Rejected;
    if let Some(status) = &documents.status {
        let first = again
            .findings
            .iter()
            .find(|finding| finding.severity == review::Severity::Reject)
            .map(|finding| finding.rule_id);
        let rule = status.reason.as_ref().map(|reason| reason.rule_id.as_str());
        if rejects && (status.state != State::Rejected || rule != first) {
            problems.push(format!(
                "the review rejects by {}, status.json says {:?} by {}",
                first.unwrap_or("nothing"),
                status.state,
                rule.unwrap_or("nothing")
            ));
        }
    }
    if !problems.is_empty() {
        problems.push(format!(
            "replayed by prism {}; another version may have other rules{}",
            env!("CARGO_PKG_VERSION"),
            made_by(documents)
        ));
    }
    let verdict = if rejects { "rejected" } else { "accepted" };
    let agreed = format!(
        "replayed: {verdict} with {} findings in {} files, as recorded",
        again.findings.len(),
        again.files.len()
    );
    Check::of(name, agreed, problems)
}

fn made_by(documents: &Documents) -> String {
    documents
        .manifest
        .as_ref()
        .and_then(|manifest| manifest["versions"]["prism"].as_str())
        .map_or_else(String::new, |version| {
            format!(", the run was made by {version}")
        })
}

fn sources(bundle: &Bundle, documents: &Documents) -> Check {
    let name = "sources";
    let Some(manifest) = &documents.manifest else {
        return Check::not_checked(
            name,
            format!(
                "{} files, held against {REVIEW}; there is no readable manifest",
                bundle.files.len()
            ),
        );
    };
    let mut problems = Vec::new();
    for (field, entry) in [
        ("bundle_architecture", &bundle.architecture),
        ("bundle_training", &bundle.training),
    ] {
        let recorded = &manifest["versions"][field];
        problems.extend(differences(MANIFEST, recorded, &json!(entry)));
    }
    let recorded = &manifest["measurement"]["code"];
    let own = compressor_name();
    if recorded["compressor"] != own.as_str() {
        problems.push(format!(
            "the code length was made with {}, this prism has {own}: it cannot be made again",
            recorded["compressor"]
        ));
        return Check::of(name, "", problems);
    }
    let code = review::normalised_source(&bundle.files)
        .map_err(|error| error.to_string())
        .and_then(|source| code_bits(&source).map_err(|error| error.to_string()));
    match code {
        Ok(code) => {
            problems.extend(differences(MANIFEST, recorded, &json!(code)));
            let agreed = format!("entry points and {} bits of code, as recorded", code.bits);
            Check::of(name, agreed, problems)
        }
        Err(reason) => {
            problems.push(reason);
            Check::of(name, "", problems)
        }
    }
}

const MAX_DIFFERENCES: usize = 100;

/// Where two documents differ, by JSON pointer, the recorded value first.
pub fn differences(file: &str, recorded: &Value, again: &Value) -> Vec<String> {
    let mut places = Vec::new();
    compare(recorded, again, &mut String::new(), &mut places);
    places
        .into_iter()
        .map(|place| format!("{file}{place}"))
        .collect()
}

/// Depth is bounded: both come from a parser that allows 128 levels, or from prism itself.
fn compare(recorded: &Value, again: &Value, place: &mut String, places: &mut Vec<String>) {
    // a hostile manifest can have millions of them
    if places.len() >= MAX_DIFFERENCES {
        return;
    }
    let length = place.len();
    match (recorded, again) {
        (Value::Object(left), Value::Object(right)) => {
            for (key, value) in left {
                place.push_str(&format!("/{key}"));
                compare(value, right.get(key).unwrap_or(&Value::Null), place, places);
                place.truncate(length);
            }
            for (key, value) in right.iter().filter(|(key, _)| !left.contains_key(*key)) {
                places.push(format!("{place}/{key}: recorded nothing, got {value}"));
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                place.push_str(&format!("/{index}"));
                compare(left, right, place, places);
                place.truncate(length);
            }
        }
        _ if recorded == again => {}
        _ => places.push(format!("{place}: recorded {recorded}, got {again}")),
    }
}
