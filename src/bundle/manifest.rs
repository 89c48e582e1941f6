//! prism.yaml: what an author may say about a submission, read strictly.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::contract::Kind;
use super::error::{BundleError, ManifestPlace, shown};
use super::manifest_guard;

const FILE_NAMES: [&str; 2] = ["prism.yaml", "prism.yml"];
const MAX_NAME_BYTES: usize = 64;
const MAX_REASON_CHARACTERS: usize = 300;

/// The content of prism.yaml. Every key is optional; unknown keys are errors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Manifest {
    /// `full`, or absent; in the first contract also `architecture_only` and `training_for_arch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Family that the architecture belongs to; with kind `training_for_arch`, the one that the training is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture_id: Option<String>,
    /// Title of the submission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Version in the author's counting; a number is taken as text.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "text_or_number"
    )]
    pub version: Option<String>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who made it. Not an identity: nothing is credited by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Name of a reference tokenizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
    /// The script that defines the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Section>,
    /// The script that trains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<Section>,
}

/// One role in prism.yaml.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Section {
    /// `path` or `path::symbol`, relative to the top of the bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    /// Name of the function, in place of `::symbol`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factory: Option<String>,
    /// As `factory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// As `factory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// Further files of the role: a path or a list of paths. Each must exist.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "one_or_many"
    )]
    pub files: Vec<String>,
}

/// A manifest and the file it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source<'a> {
    pub path: &'a str,
    pub bytes: &'a [u8],
}

/// The manifest at the top of the bundle, if there is one.
///
/// # Errors
/// [`BundleError::Manifest`] when both spellings of the file name are there.
pub(super) fn find(files: &BTreeMap<String, Vec<u8>>) -> Result<Option<Source<'_>>, BundleError> {
    let mut found = FILE_NAMES
        .iter()
        .filter_map(|&path| files.get(path).map(|bytes| Source { path, bytes }));
    let first = found.next();
    match found.next() {
        Some(second) => Err(refused(
            second.path,
            ManifestPlace::WholeFile,
            "prism.yaml and prism.yml are both there, expected one".to_owned(),
        )),
        None => Ok(first),
    }
}

/// Reads the manifest.
///
/// # Errors
/// [`BundleError::Manifest`] with line and column.
pub(super) fn read(source: &Source<'_>) -> Result<Manifest, BundleError> {
    let text = manifest_guard::check(source.bytes)
        .map_err(|refusal| refused(source.path, refusal.place, refusal.reason))?;
    let manifest: Option<Manifest> = serde_yaml::from_str(text).map_err(|error| {
        let (place, reason) = located(text, &error);
        refused(source.path, place, reason)
    })?;
    let manifest = manifest.unwrap_or_default();
    if let Some(kind) = manifest.kind.as_deref()
        && Kind::from_name(kind).is_none()
    {
        let reason = format!(
            "kind: got {}, expected \"full\", \"architecture_only\" or \"training_for_arch\"",
            shown(kind.as_bytes())
        );
        return Err(refused(source.path, last_place_of(text, "kind"), reason));
    }
    if manifest.kind.as_deref() == Some(Kind::TrainingForArch.name()) {
        let id = manifest.architecture_id.as_deref().unwrap_or_default();
        if !is_name(id) {
            let reason = format!(
                "architecture_id: got {}, kind training_for_arch needs the id of an architecture: at most {MAX_NAME_BYTES} letters, digits, dots, dashes and underscores",
                shown(id.as_bytes())
            );
            let place = last_place_of(text, "architecture_id");
            return Err(refused(source.path, place, reason));
        }
    }
    if let Some(tokenizer) = &manifest.tokenizer
        && !is_name(tokenizer)
    {
        let reason = format!(
            "tokenizer: got {}, expected a name of at most {MAX_NAME_BYTES} letters, digits, dots, dashes and underscores",
            shown(tokenizer.as_bytes())
        );
        return Err(refused(
            source.path,
            last_place_of(text, "tokenizer"),
            reason,
        ));
    }
    Ok(manifest)
}

/// The last line that begins with the key, as column the key's own; the whole file if there is none (`{kind: x}`).
fn last_place_of(text: &str, key: &str) -> ManifestPlace {
    let found = text.lines().enumerate().filter_map(|(index, line)| {
        let content = line.trim_start_matches(' ');
        let is_key = content
            .strip_prefix(key)
            .is_some_and(|rest| rest.trim_start_matches(' ').starts_with(':'));
        is_key.then_some(ManifestPlace::At {
            line: index + 1,
            column: line.len() - content.len() + 1,
        })
    });
    found.last().unwrap_or(ManifestPlace::WholeFile)
}

/// Place and message of a parser error, which writes the place into the message.
fn located(text: &str, error: &serde_yaml::Error) -> (ManifestPlace, String) {
    let message = error.to_string();
    let Some(location) = error.location() else {
        return (ManifestPlace::WholeFile, message);
    };
    let (line, column) = (location.line(), location.column());
    let suffix = format!(" at line {line} column {column}");
    let reason = message.strip_suffix(&suffix).unwrap_or(&message).to_owned();
    // of a key that stands twice the parser knows only where the mapping begins
    if let Some(key) = reason
        .split_once("duplicate field `")
        .and_then(|(_, rest)| rest.strip_suffix('`'))
    {
        return (last_place_of(text, key), reason);
    }
    (ManifestPlace::At { line, column }, reason)
}

/// Shorthand for a [`BundleError::Manifest`]. The reason may quote the manifest at any length, so it
/// is cut.
pub(super) fn refused(path: &str, place: ManifestPlace, mut reason: String) -> BundleError {
    if let Some((cut, _)) = reason.char_indices().nth(MAX_REASON_CHARACTERS) {
        reason.truncate(cut);
        reason.push_str("...");
    }
    BundleError::Manifest {
        path: path.to_owned(),
        place,
        reason,
    }
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && text.bytes().all(plain)
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a path or a list of paths")]
    enum OneOrMany {
        None,
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::None => Vec::new(),
        OneOrMany::One(path) => vec![path],
        OneOrMany::Many(paths) => paths,
    })
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected text or a number")]
    enum TextOrNumber {
        None,
        Text(String),
        Whole(i64),
        Decimal(f64),
    }
    Ok(match TextOrNumber::deserialize(deserializer)? {
        TextOrNumber::None => None,
        TextOrNumber::Text(text) => Some(text),
        TextOrNumber::Whole(number) => Some(number.to_string()),
        // `{:?}` keeps the decimal point of 1.0.
        TextOrNumber::Decimal(number) => Some(format!("{number:?}")),
    })
}
