//! Finding what a rescoring is asked to look at: manifests, files with one manifest per line, run folders.

use crate::families::ledger::OWNERSHIP_FILE;
use std::path::{Path, PathBuf};

use super::error::ScoreError;
use super::streams::ONLINE_FILE;

/// File name of a run's manifest.
pub const MANIFEST_FILE: &str = "prism_run_manifest.v2.json";

/// One thing to rescore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A manifest alone. `named` when it was given by its own path, and not found in a folder.
    Manifest { path: PathBuf, named: bool },
    /// A file with one manifest per line.
    Lines { path: PathBuf },
    /// A folder with [`MANIFEST_FILE`] beside the online stream: a run of this project.
    Run { folder: PathBuf },
}

/// Expands files, folders and patterns (`*`, `?`, `[...]`, `**`; a path that exists is never a pattern), in the order
/// given; inside folders and patterns by name. In a run folder only the run counts; hidden files and links are not
/// followed. Problems with a path stay with it.
pub fn find(paths: &[PathBuf]) -> Vec<Result<Input, (PathBuf, ScoreError)>> {
    let mut inputs = Vec::new();
    for path in paths {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => walk(path, &mut inputs),
            Ok(_) => inputs.push(Ok(named_file(path))),
            Err(source) => match path.to_str().filter(|text| text.contains(['*', '?', '['])) {
                Some(pattern) => expand(path, pattern, &mut inputs),
                None => inputs.push(Err(cannot_find(path, source))),
            },
        }
    }
    inputs
}

fn cannot_find(path: &Path, source: std::io::Error) -> (PathBuf, ScoreError) {
    let error = ScoreError::Io {
        action: "find",
        path: path.to_path_buf(),
        source,
    };
    (path.to_path_buf(), error)
}

fn expand(path: &Path, pattern: &str, inputs: &mut Vec<Result<Input, (PathBuf, ScoreError)>>) {
    // as a shell does it
    let options = glob::MatchOptions {
        require_literal_separator: true,
        require_literal_leading_dot: true,
        ..glob::MatchOptions::new()
    };
    let found = match glob::glob_with(pattern, options) {
        Ok(found) => found,
        Err(error) => {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, error.to_string());
            return inputs.push(Err(cannot_find(path, source)));
        }
    };
    let before = inputs.len();
    for found in found {
        match found {
            Ok(path) if path.is_dir() => walk(&path, inputs),
            Ok(path) => inputs.push(Ok(named_file(&path))),
            Err(error) => {
                let path = error.path().to_path_buf();
                inputs.push(Err(cannot_find(&path, error.into())));
            }
        }
    }
    if inputs.len() == before {
        let source = std::io::Error::new(std::io::ErrorKind::NotFound, "nothing matches");
        inputs.push(Err(cannot_find(path, source)));
    }
}

fn named_file(path: &Path) -> Input {
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    if path.file_name().is_some_and(|name| name == MANIFEST_FILE)
        && folder.join(ONLINE_FILE).is_file()
    {
        Input::Run { folder }
    } else if is_lines(path) {
        Input::Lines {
            path: path.to_path_buf(),
        }
    } else {
        Input::Manifest {
            path: path.to_path_buf(),
            named: true,
        }
    }
}

fn walk(root: &Path, inputs: &mut Vec<Result<Input, (PathBuf, ScoreError)>>) {
    let mut entries = walkdir::WalkDir::new(root).sort_by_file_name().into_iter();
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().unwrap_or(root).to_path_buf();
                let source = error
                    .into_io_error()
                    .unwrap_or_else(|| std::io::Error::other("links form a loop"));
                inputs.push(Err((
                    path.clone(),
                    ScoreError::Io {
                        action: "walk",
                        path,
                        source,
                    },
                )));
                continue;
            }
        };
        let hidden = entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".");
        if entry.file_type().is_dir() {
            let is_run = !hidden
                && entry.path().join(MANIFEST_FILE).is_file()
                && entry.path().join(ONLINE_FILE).is_file();
            if is_run {
                inputs.push(Ok(Input::Run {
                    folder: entry.path().to_path_buf(),
                }));
            }
            if is_run || hidden {
                entries.skip_current_dir();
            }
        } else if entry.file_type().is_file() && !hidden {
            let path = entry.into_path();
            if path.file_name().is_some_and(|name| name == OWNERSHIP_FILE) {
                // an outbox's own, and no manifests
                continue;
            }
            if is_lines(&path) {
                inputs.push(Ok(Input::Lines { path }));
            } else if has_suffix(&path, "json") {
                inputs.push(Ok(Input::Manifest { path, named: false }));
            }
        }
    }
}

fn is_lines(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.ends_with(b".jsonl") || name.ends_with(b".jsonl.zst")
}

fn has_suffix(path: &Path, suffix: &str) -> bool {
    path.extension()
        .is_some_and(|extension| extension == suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_lines_and_manifests_are_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for folder in ["a", "b/run", ".hidden"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        for file in [
            "a/one.json",
            "a/many.jsonl",
            "a/notes.txt",
            "a/.partial.json",
            ".hidden/two.json",
            "b/run/prism_run_manifest.v2.json",
            "b/run/online_loss.parquet",
            "b/run/status.json",
            "c.json",
        ] {
            std::fs::write(at(file), "{}").unwrap();
        }
        let found: Vec<Input> = find(&[root.path().to_path_buf()])
            .into_iter()
            .map(|input| input.unwrap())
            .collect();
        assert_eq!(
            found,
            [
                Input::Lines {
                    path: at("a/many.jsonl")
                },
                Input::Manifest {
                    path: at("a/one.json"),
                    named: false
                },
                Input::Run {
                    folder: at("b/run")
                },
                Input::Manifest {
                    path: at("c.json"),
                    named: false
                },
            ]
        );
        let matched = find(&[at("?/*.json*"), at("*/run"), at("nothing*"), at("[")]);
        let paths: Vec<_> = matched[..3]
            .iter()
            .map(|input| input.as_ref().unwrap())
            .collect();
        assert!(
            matches!(paths[0], Input::Lines { .. })
                && matches!(paths[1], Input::Manifest { named: true, .. })
        );
        assert_eq!(
            paths[2],
            &Input::Run {
                folder: at("b/run")
            }
        );
        let faults: Vec<String> = matched[3..]
            .iter()
            .map(|input| input.as_ref().unwrap_err().1.to_string())
            .collect();
        assert!(
            faults.len() == 2 && faults[0].contains("nothing matches"),
            "{faults:?}"
        );
        let named = find(&[
            at("b/run/prism_run_manifest.v2.json"),
            at("b/run/status.json"),
            at("absent"),
        ]);
        assert_eq!(
            named[0].as_ref().unwrap(),
            &Input::Run {
                folder: at("b/run")
            }
        );
        assert_eq!(
            named[1].as_ref().unwrap(),
            &Input::Manifest {
                path: at("b/run/status.json"),
                named: true
            }
        );
        assert!(matches!(&named[2], Err((path, ScoreError::Io { .. })) if path == &at("absent")));
    }
}
