//! Run folders as people name them: one by one, or a whole outbox.

use std::path::{Path, PathBuf};

use super::{OutboxError, at, status};
use crate::signing::digest_list;

/// Files by which a run folder is known.
const MARKS: [&str; 2] = [status::FILE, digest_list::FILE];

/// Every run folder that these paths name, an outbox's in the order of their ids. A folder that is neither is named as
/// it is: it is up to the caller to say what is wrong with it.
///
/// # Errors
/// A path that cannot be looked at.
pub fn run_folders(paths: &[PathBuf]) -> Result<Vec<PathBuf>, OutboxError> {
    let mut folders = Vec::new();
    for path in paths {
        std::fs::metadata(path).map_err(at(path))?;
        let runs = if is_run(path) {
            Vec::new()
        } else {
            runs_in(path)?
        };
        if runs.is_empty() {
            folders.push(path.clone());
        }
        folders.extend(runs);
    }
    Ok(folders)
}

/// What a run folder is called, wherever it lies: the last part of its path.
pub fn label(folder: &Path) -> String {
    let absolute = std::path::absolute(folder);
    absolute
        .as_deref()
        .unwrap_or(folder)
        .file_name()
        .map_or_else(
            || "run".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        )
}

fn is_run(path: &Path) -> bool {
    // what they are is the caller's business; a link counts, so that it is found
    let exists = |mark: &str| path.join(mark).symlink_metadata().is_ok();
    MARKS.iter().any(|mark| exists(mark))
}

fn runs_in(path: &Path) -> Result<Vec<PathBuf>, OutboxError> {
    if !path.is_dir() {
        return Ok(Vec::new());
    }
    let mut runs = Vec::new();
    for entry in std::fs::read_dir(path).map_err(at(path))? {
        let entry = entry.map_err(at(path))?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_hidden && is_folder && is_run(&entry.path()) {
            runs.push(entry.path());
        }
    }
    runs.sort();
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbox_is_its_runs() {
        let root = tempfile::tempdir().unwrap();
        for name in ["b", "a", ".private"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
            std::fs::write(root.path().join(name).join("status.json"), "").unwrap();
        }
        std::fs::create_dir(root.path().join("other")).unwrap();
        std::fs::write(root.path().join("leaderboard.json"), "").unwrap();
        let path = |name: &str| root.path().join(name);
        let found = run_folders(&[root.path().to_owned(), path("b"), path("other")]).unwrap();
        assert_eq!(found, [path("a"), path("b"), path("b"), path("other")]);
        assert!(run_folders(&[path("absent")]).is_err());
        assert_eq!(label(&path("a")), "a");
        assert_eq!(label(Path::new("x/.")), "x");
    }
}
