//! Where fuzzing begins: files of the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = walkdir::WalkDir::new(folder)
        .into_iter()
        .flatten()
        .map(walkdir::DirEntry::into_path)
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == suffix)
        })
        .collect();
    found.sort();
    found
}

/// The archives of the generator.
pub fn archives() -> Vec<Vec<u8>> {
    let folder = root().join("target/fuzz/archives");
    let made = Command::new("python3")
        .arg(root().join("scripts/make_archives.py"))
        .arg(&folder)
        .stdout(std::process::Stdio::null())
        .status();
    assert!(
        made.is_ok_and(|status| status.success()),
        "scripts/make_archives.py"
    );
    files(&folder, "zip")
        .iter()
        .filter_map(|path| std::fs::read(path).ok())
        .filter(|bytes| bytes.len() < 200_000)
        .collect()
}

/// Sources: the examples whole, the cases one by one.
pub fn sources() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for folder in ["examples", "tests/fixtures", "src/review/cases"] {
        for path in files(&root().join(folder), "py") {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let parts = text.split("#: ").map(|part| part.as_bytes().to_vec());
            seeds.extend(parts.filter(|part| !part.is_empty()));
        }
    }
    seeds
}

/// The Python files of a folder, whole.
pub fn python(folder: &Path) -> Vec<Vec<u8>> {
    let paths = files(folder, "py");
    paths.iter().flat_map(std::fs::read).collect()
}

/// Manifests that are accepted, and some that are not.
pub fn manifests() -> Vec<Vec<u8>> {
    [
        "kind: full\narchitecture:\n  entrypoint: architecture.py::build_model\n  files: [parts.py]\ntraining:\n  entrypoint: training.py\n  function: train\ntokenizer: bytes\n",
        "---\narchitecture: {entrypoint: \"architecture.py\", factory: 'build_model'}\n",
        "training:\n  files:\n    - parts.py\n    - ? a\n      : b\n",
        "a: &a [x]\nb: *a\n",
        "kind: !!str full\n",
        "kind: |\n  full\n",
        "? [a, b]\n: {c: d}\n",
        "",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}
