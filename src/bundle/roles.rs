//! Which file plays which role. Declared entrypoints are taken exactly: no search by base name, no
//! suffix match, no fallback to the default.

use std::collections::BTreeMap;

use super::EntryPoint;
use super::error::{BundleError, ManifestPlace, Role};
use super::manifest::{Manifest, Section, refused};

/// What prism.yaml names to use a tokenizer that comes with the bundle.
const OWN_TOKENIZER: &str = crate::dataset::tokenizer::OWN;
const MAX_SYMBOL_BYTES: usize = 128;
/// How many paths an error lists.
const LISTED_PATHS: usize = 8;

/// The two entrypoints of a bundle.
///
/// `manifest_path` is the file that the manifest came from, for messages.
///
/// # Errors
/// A declaration that cannot be read, a file that is missing, empty or not Python, or one file for
/// both roles.
pub(super) fn resolve(
    files: &BTreeMap<String, Vec<u8>>,
    manifest: &Manifest,
    manifest_path: &str,
) -> Result<(EntryPoint, EntryPoint), BundleError> {
    let architecture = declared(
        Role::Architecture,
        manifest.architecture.as_ref(),
        ("architecture.py", "build_model"),
        manifest_path,
    )?;
    let training = declared(
        Role::Training,
        manifest.training.as_ref(),
        ("training.py", "train"),
        manifest_path,
    )?;
    if architecture.path == training.path {
        return Err(BundleError::SameFile {
            path: architecture.path,
        });
    }
    let roles = [
        (Role::Architecture, &architecture, &manifest.architecture),
        (Role::Training, &training, &manifest.training),
    ];
    for (role, entrypoint, section) in roles {
        check_script(files, role, &entrypoint.path)?;
        for path in section.iter().flat_map(|section| &section.files) {
            require(files, role, path)?;
        }
    }
    check_tokenizer(files, manifest, manifest_path)?;
    Ok((architecture, training))
}

/// A tokenizer of the bundle's own must be in it.
pub(super) fn check_tokenizer(
    files: &BTreeMap<String, Vec<u8>>,
    manifest: &Manifest,
    manifest_path: &str,
) -> Result<(), BundleError> {
    if manifest.tokenizer.as_deref() == Some(OWN_TOKENIZER) && !files.contains_key(OWN_TOKENIZER) {
        return Err(BundleError::MissingTokenizer {
            path: manifest_path.to_owned(),
            present: listed(files),
        });
    }
    Ok(())
}

/// What the manifest declares for a role, with defaults for what it leaves out.
fn declared(
    role: Role,
    section: Option<&Section>,
    (default_path, default_symbol): (&str, &str),
    manifest_path: &str,
) -> Result<EntryPoint, BundleError> {
    let refuse = |reason: String| {
        Err(refused(
            manifest_path,
            ManifestPlace::WholeFile,
            format!("{role}: {reason}"),
        ))
    };
    let absent = Section::default();
    let section = section.unwrap_or(&absent);
    let (path, inline_symbol) = match section.entrypoint.as_deref() {
        None => (default_path, None),
        Some(entrypoint) => match entrypoint.split_once("::") {
            None => (entrypoint, None),
            Some((path, symbol)) => (path, Some(symbol)),
        },
    };
    let keys = [&section.factory, &section.function, &section.entry];
    let mut symbols = inline_symbol
        .into_iter()
        .chain(keys.into_iter().flatten().map(String::as_str));
    let symbol = symbols.next().unwrap_or(default_symbol);
    if let Some(other) = symbols.find(|other| *other != symbol) {
        return refuse(format!(
            "got two functions, {symbol:?} and {other:?}, expected one"
        ));
    }
    if !is_identifier(symbol) {
        return refuse(format!(
            "got function {symbol:?}, expected an ASCII identifier"
        ));
    }
    if path.is_empty() {
        return refuse("got an empty path".to_owned());
    }
    Ok(EntryPoint {
        path: path.to_owned(),
        symbol: symbol.to_owned(),
    })
}

pub(super) fn check_script(
    files: &BTreeMap<String, Vec<u8>>,
    role: Role,
    path: &str,
) -> Result<(), BundleError> {
    let content = require(files, role, path)?;
    let path = path.to_owned();
    if !path.ends_with(".py") {
        return Err(BundleError::EntrypointNotPython { role, path });
    }
    if content.iter().all(u8::is_ascii_whitespace) {
        return Err(BundleError::EmptyEntrypoint { role, path });
    }
    Ok(())
}

pub(super) fn require<'a>(
    files: &'a BTreeMap<String, Vec<u8>>,
    role: Role,
    path: &str,
) -> Result<&'a [u8], BundleError> {
    if let Some(content) = files.get(path) {
        return Ok(content);
    }
    Err(BundleError::MissingEntrypoint {
        role,
        // The path may come from prism.yaml, so it is escaped like any other foreign text.
        path: path.escape_debug().take(200).collect(),
        present: listed(files),
    })
}

/// The first few paths of a bundle.
pub(super) fn listed(files: &BTreeMap<String, Vec<u8>>) -> String {
    let mut present: Vec<&str> = files
        .keys()
        .take(LISTED_PATHS)
        .map(String::as_str)
        .collect();
    if files.len() > LISTED_PATHS {
        present.push("...");
    }
    present.join(", ")
}

fn is_identifier(text: &str) -> bool {
    let head = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    let tail = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= MAX_SYMBOL_BYTES
        && text.as_bytes().first().is_some_and(head)
        && text.bytes().all(tail)
}
