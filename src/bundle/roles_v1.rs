//! Which file plays which role in the first contract. Paths are taken exactly; nothing is searched for by its ending.

use std::collections::BTreeMap;

use super::EntryPoint;
use super::contract::default_architecture;
use super::error::{BundleError, ManifestPlace, Role};
use super::manifest::{Manifest, Section, refused};
use super::roles::{check_script, check_tokenizer, require};

/// What the architecture's file defines.
pub const BUILD: &str = "build_model";
/// What it defines besides; the symbol of the training role, whose file may be another.
pub const RECIPE: &str = "get_recipe";

/// The files of architecture and training: the declared ones, else `architecture.py`, `model.py`, `agent.py` or the only
/// Python file for the architecture, and the architecture's file for the training.
///
/// # Errors
/// A declaration that names another function than the contract's, a file that is missing, empty or not Python.
pub(super) fn resolve(
    files: &BTreeMap<String, Vec<u8>>,
    manifest: &Manifest,
    manifest_path: &str,
) -> Result<(EntryPoint, EntryPoint), BundleError> {
    let default = default_architecture(files).unwrap_or("model.py");
    let architecture = manifest.architecture.as_ref();
    let training = manifest.training.as_ref();
    let path = declared(
        Role::Architecture,
        architecture,
        default,
        BUILD,
        manifest_path,
    )?;
    let training_path = declared(Role::Training, training, &path, RECIPE, manifest_path)?;
    for (role, path, section) in [
        (Role::Architecture, &path, architecture),
        (Role::Training, &training_path, training),
    ] {
        check_script(files, role, path)?;
        for file in section.iter().flat_map(|section| &section.files) {
            require(files, role, file)?;
        }
    }
    check_tokenizer(files, manifest, manifest_path)?;
    let entry = |path, symbol: &str| EntryPoint {
        path,
        symbol: symbol.to_owned(),
    };
    Ok((entry(path, BUILD), entry(training_path, RECIPE)))
}

/// The path of a role.
fn declared(
    role: Role,
    section: Option<&Section>,
    default: &str,
    symbol: &str,
    manifest_path: &str,
) -> Result<String, BundleError> {
    let refuse = |reason: String| {
        let place = ManifestPlace::WholeFile;
        Err(refused(manifest_path, place, format!("{role}: {reason}")))
    };
    let Some(section) = section else {
        return Ok(default.to_owned());
    };
    let (path, inline) = match section.entrypoint.as_deref() {
        None => (default, None),
        Some(entrypoint) => match entrypoint.split_once("::") {
            None => (entrypoint, None),
            Some((path, symbol)) => (path, Some(symbol)),
        },
    };
    let keys = [&section.factory, &section.function, &section.entry];
    let mut named = inline
        .into_iter()
        .chain(keys.into_iter().flatten().map(String::as_str));
    if let Some(other) = named.find(|name| *name != symbol) {
        return refuse(format!(
            "got the function {other:?}, the first contract calls {symbol}"
        ));
    }
    if path.is_empty() {
        return refuse("got an empty path".to_owned());
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(files: &[&str], yaml: &str) -> Result<(String, String), String> {
        let files = files
            .iter()
            .map(|path| ((*path).to_owned(), b"x = 1\n".to_vec()))
            .collect();
        let manifest: Manifest = serde_yaml::from_str(yaml).unwrap();
        resolve(&files, &manifest, "prism.yaml")
            .map(|(architecture, training)| {
                assert_eq!(
                    (architecture.symbol.as_str(), training.symbol.as_str()),
                    (BUILD, RECIPE)
                );
                (architecture.path, training.path)
            })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn paths_are_declared_or_usual() {
        let found = |files: &[&str], yaml: &str| resolved(files, yaml).unwrap();
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(found(&["model.py"], "{}"), pair("model.py", "model.py"));
        assert_eq!(
            found(&["agent.py", "b.py"], "{}"),
            pair("agent.py", "agent.py")
        );
        assert_eq!(found(&["net.py"], "{}"), pair("net.py", "net.py"));
        assert_eq!(
            found(
                &["src/model.py", "src/fit.py", "src/layers.py"],
                "{architecture: {entrypoint: src/model.py, files: src/layers.py}, training: {entrypoint: src/fit.py}}"
            ),
            pair("src/model.py", "src/fit.py")
        );
        assert_eq!(
            found(
                &["model.py"],
                "{architecture: {entrypoint: 'model.py::build_model'}}"
            ),
            pair("model.py", "model.py")
        );
    }

    #[test]
    fn refusals_say_what_was_expected() {
        for (files, yaml, part) in [
            (
                &["a.py", "b.py"][..],
                "{}",
                "architecture: model.py is not in the archive",
            ),
            (
                &["src/xmodel.py", "b.py"],
                "{architecture: {entrypoint: model.py}}",
                "model.py is not in the archive",
            ),
            (
                &["model.py"],
                "{architecture: {entrypoint: model.py, files: [no.py]}}",
                "no.py is not in the archive",
            ),
            (
                &["model.py"],
                "{training: {entrypoint: fit.py}}",
                "training: fit.py is not in the archive",
            ),
            (
                &["model.py", "a.txt"],
                "{training: {entrypoint: a.txt}}",
                "a.txt is not a .py file",
            ),
            (
                &["model.py"],
                "{architecture: {function: make}}",
                "got the function \"make\", the first contract calls build_model",
            ),
            (
                &["model.py"],
                "{training: {entrypoint: ''}}",
                "training: got an empty path",
            ),
            (
                &["model.py"],
                "{tokenizer: tokenizer.json}",
                "tokenizer.json is not at the top",
            ),
        ] {
            let error = resolved(files, yaml).unwrap_err();
            assert!(error.contains(part), "{yaml}: {error}");
        }
    }
}
