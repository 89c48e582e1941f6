//! The Python side, embedded: what every run gets a copy of.

use sha2::{Digest, Sha256};

use crate::digest::hex;

macro_rules! runner_file {
    ($name:literal) => {
        ($name, include_str!(concat!("../runner/", $name)))
    };
}

/// The runner, file by file, as it is written into every run's own folder.
pub const RUNNER_FILES: &[(&str, &str)] = &[
    runner_file!("runner.py"),
    runner_file!("prism_runner/__init__.py"),
    runner_file!("prism_runner/blackboard.py"),
    runner_file!("prism_runner/census.py"),
    runner_file!("prism_runner/commit.py"),
    runner_file!("prism_runner/failure.py"),
    runner_file!("prism_runner/past.py"),
    runner_file!("prism_runner/predict.py"),
    runner_file!("prism_runner/project.py"),
    runner_file!("prism_runner/reference_tokenizer.py"),
    runner_file!("prism_runner/seeds.py"),
    runner_file!("prism_runner/session.py"),
    runner_file!("prism_runner/sources.py"),
    runner_file!("prism_runner/structure.py"),
    runner_file!("prism_runner/transfer.py"),
    runner_file!("prism_runner/v1_checkpoint.py"),
    runner_file!("prism_runner/v1_loop.py"),
    runner_file!("prism_runner/v1_submission.py"),
    runner_file!("prism_runner/weights.py"),
    runner_file!("prism_runner/wire.py"),
    runner_file!("prism_challenge/__init__.py"),
    runner_file!("prism_challenge/evaluator/__init__.py"),
    runner_file!("prism_challenge/evaluator/interface.py"),
];

/// sha256 over the runner's files, which is part of what a manifest names.
pub fn runner_digest() -> String {
    let mut hash = Sha256::new();
    for (name, text) in RUNNER_FILES {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::RUNNER_FILES;

    #[test]
    fn every_file_of_the_runner_is_embedded() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/runner");
        let on_disk: std::collections::BTreeSet<String> = walkdir::WalkDir::new(&folder)
            .into_iter()
            .flatten()
            .filter(|entry| {
                entry
                    .path()
                    .extension()
                    .is_some_and(|extension| extension == "py")
            })
            .filter_map(|entry| {
                Some(
                    entry
                        .path()
                        .strip_prefix(&folder)
                        .ok()?
                        .display()
                        .to_string(),
                )
            })
            .collect();
        let embedded = RUNNER_FILES
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        assert_eq!(on_disk, embedded);
    }
}
