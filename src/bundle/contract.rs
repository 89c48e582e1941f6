//! Which of the two contracts a submission follows, and its kind: told by its files and prism.yaml, by a fixed rule.
//!
//! The first of these that applies decides:
//! 1. prism.yaml has kind `architecture_only` or `training_for_arch`, and not: the training's file (declared, else
//!    `training.py`) has a line that begins with `def train(`, and 2. does not apply: v1.
//! 2. The architecture's file has a line that begins with `def get_recipe(`: v1. The file is the declared entrypoint,
//!    else the first that is there of `architecture.py`, `model.py`, `agent.py`, else the only Python file.
//! 3. Nothing is declared, `architecture.py` and `training.py` are not there, and `model.py` or `agent.py` is: v1.
//! 4. v2.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::kind::Kind;
use super::manifest::{Manifest, Section};

/// Beginning of the line that only the first contract asks for.
const RECIPE_LINE: &[u8] = b"def get_recipe(";
/// Beginning of the line that only the second contract asks for.
const TRAIN_LINE: &[u8] = b"def train(";
/// Where an architecture is looked for when prism.yaml does not say.
const USUAL: [&str; 3] = ["architecture.py", "model.py", "agent.py"];

/// The two contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContractVersion {
    /// Hooks: `build_model`, `get_recipe` and up to seven more.
    V1,
    /// Two scripts: `build_model` and `train`.
    #[default]
    V2,
}

/// The contract of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    pub version: ContractVersion,
    /// As prism.yaml writes it.
    pub kind: String,
    /// The rule that decided, for people.
    pub because: String,
}

/// Applies the rule.
pub(super) fn of(files: &BTreeMap<String, Vec<u8>>, manifest: &Manifest, kind: &Kind) -> Contract {
    let told = |version, because: String| Contract {
        version,
        kind: kind.name().to_owned(),
        because,
    };
    let declared = declared_path(manifest.architecture.as_ref());
    let path = declared.or_else(|| default_architecture(files));
    let training = declared_path(manifest.training.as_ref()).unwrap_or("training.py");
    let begins = |path: &str, line| files.get(path).is_some_and(|source| has_line(source, line));
    if *kind != Kind::Full
        && (!begins(training, TRAIN_LINE) || path.is_some_and(|path| begins(path, RECIPE_LINE)))
    {
        let because = format!("prism.yaml has kind {}", kind.name());
        return told(ContractVersion::V1, because);
    }
    if let Some(path) = path
        && begins(path, RECIPE_LINE)
    {
        let because = format!("{} defines get_recipe", path.escape_debug());
        return told(ContractVersion::V1, because);
    }
    let is_declared = declared.is_some() || declared_path(manifest.training.as_ref()).is_some();
    let has_scripts = ["architecture.py", "training.py"]
        .iter()
        .any(|path| files.contains_key(*path));
    let usual = ["model.py", "agent.py"]
        .into_iter()
        .find(|path| files.contains_key(*path));
    if let Some(path) = usual
        && !is_declared
        && !has_scripts
    {
        let because = format!("{path} is there, architecture.py and training.py are not");
        return told(ContractVersion::V1, because);
    }
    let because = format!(
        "kind {}, and the architecture's file does not define get_recipe",
        kind.name()
    );
    told(ContractVersion::V2, because)
}

/// The path that a section declares.
fn declared_path(section: Option<&Section>) -> Option<&str> {
    let entrypoint = section?.entrypoint.as_deref()?;
    Some(
        entrypoint
            .split_once("::")
            .map_or(entrypoint, |(path, _)| path),
    )
}

/// The architecture's file where none is declared; none when nothing looks like one.
pub(super) fn default_architecture(files: &BTreeMap<String, Vec<u8>>) -> Option<&str> {
    let usual = USUAL.into_iter().find(|path| files.contains_key(*path));
    if usual.is_some() {
        return usual;
    }
    let mut python = files.keys().filter(|path| path.ends_with(".py"));
    match (python.next(), python.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

fn has_line(source: &[u8], beginning: &[u8]) -> bool {
    source
        .split(|&byte| byte == b'\n')
        .any(|line| line.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = "def build_model(ctx):\n    ...\ndef get_recipe(ctx):\n    ...\n";
    const PLAIN: &str = "def build_model(ctx):\n    ...\n";
    const TRAIN: &str = "def train(ctx):\n    ...\n";
    const INDENTED: &str = "class A:\n    def get_recipe(self):\n        ...\n";

    fn contract(files: &[(&str, &str)], kind: Option<&str>, entry: Option<&str>) -> Contract {
        let files = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
            .collect();
        let manifest = Manifest {
            kind: kind.map(str::to_owned),
            architecture: entry.map(|entry| Section {
                entrypoint: Some(entry.to_owned()),
                ..Section::default()
            }),
            ..Manifest::default()
        };
        let kind = Kind::of(kind, Some("arch-1")).unwrap();
        of(&files, &manifest, &kind)
    }

    #[test]
    fn the_rule_tells_the_contracts_apart() {
        type Case<'a> = (
            &'a [(&'a str, &'a str)],
            Option<&'a str>,
            Option<&'a str>,
            bool,
            &'a str,
        );
        let table: &[Case<'_>] = &[
            (
                &[("architecture.py", PLAIN), ("training.py", "")],
                None,
                None,
                false,
                "kind full, and",
            ),
            (
                &[("architecture.py", PLAIN), ("model.py", RECIPE)],
                None,
                None,
                false,
                "kind full, and",
            ),
            (
                &[("architecture.py", RECIPE), ("training.py", "")],
                None,
                None,
                true,
                "architecture.py defines get_recipe",
            ),
            (
                &[("architecture.py", INDENTED)],
                Some("full"),
                None,
                false,
                "kind full, and",
            ),
            (
                &[("model.py", RECIPE)],
                None,
                None,
                true,
                "model.py defines get_recipe",
            ),
            (
                &[("model.py", PLAIN)],
                None,
                None,
                true,
                "model.py is there",
            ),
            (
                &[("agent.py", PLAIN), ("b.py", "")],
                None,
                None,
                true,
                "agent.py is there",
            ),
            (
                &[("net.py", RECIPE)],
                None,
                None,
                true,
                "net.py defines get_recipe",
            ),
            (&[("net.py", PLAIN)], None, None, false, "kind full, and"),
            (
                &[("a/net.py", RECIPE), ("b.py", "")],
                None,
                Some("a/net.py"),
                true,
                "a/net.py defines get_recipe",
            ),
            (
                &[("model.py", PLAIN), ("fit.py", "")],
                None,
                Some("model.py::make"),
                false,
                "kind full, and",
            ),
            (
                &[("architecture.py", PLAIN)],
                Some("architecture_only"),
                None,
                true,
                "prism.yaml has kind architecture_only",
            ),
            (
                &[("architecture.py", PLAIN), ("training.py", TRAIN)],
                Some("architecture_only"),
                None,
                false,
                "kind architecture_only, and",
            ),
            (
                &[("architecture.py", RECIPE), ("training.py", TRAIN)],
                Some("architecture_only"),
                None,
                true,
                "prism.yaml has kind architecture_only",
            ),
            (
                &[],
                Some("training_for_arch"),
                None,
                true,
                "prism.yaml has kind training_for_arch",
            ),
        ];
        for (files, kind, entry, is_v1, because) in table {
            let found = contract(files, *kind, *entry);
            assert_eq!(found.version == ContractVersion::V1, *is_v1, "{files:?}");
            assert!(
                found.because.starts_with(because),
                "{files:?}: {}",
                found.because
            );
        }
    }
}
