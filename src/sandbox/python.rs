//! The Python environment that runs submissions: which folders it consists of.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Isolation, SandboxError};

/// An interpreter and the folders that it needs to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The interpreter to start: the virtual environment's own, not what it links to.
    pub python: PathBuf,
    /// `sys.prefix` and `sys.base_prefix`, and wherever the interpreter's links pass through.
    pub folders: Vec<PathBuf>,
}

/// The path with every link resolved but the last.
fn in_real_folder(path: &Path) -> std::io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => Ok(folder.canonicalize()?.join(name)),
        _ => Ok(path),
    }
}

const QUESTION: &str = "import json, os, sys; print(json.dumps([sys.prefix, sys.base_prefix, os.path.realpath(sys.executable)]))";

/// The interpreter that an isolation starts: one of the host, which is asked where it lives, or one of the image.
pub fn environment(isolation: Isolation, python: &Path) -> Result<Environment, SandboxError> {
    match isolation {
        Isolation::Bwrap | Isolation::None => discover(python),
        Isolation::Docker | Isolation::Podman if python.is_absolute() => Ok(Environment {
            python: python.to_owned(),
            folders: Vec::new(),
        }),
        Isolation::Docker | Isolation::Podman => Err(SandboxError::Python {
            python: python.to_owned(),
            reason: "got a relative path, expected the absolute one inside sandbox.image"
                .to_owned(),
        }),
    }
}

/// Asks an interpreter where it lives.
pub fn discover(python: &Path) -> Result<Environment, SandboxError> {
    let wrong = |reason: String| SandboxError::Python {
        python: python.to_owned(),
        reason,
    };
    // The link itself must be kept: python finds its virtual environment by the name it is called by. The folders on the
    // way to it must not: inside, only folders that really are there are made.
    let python = in_real_folder(python).map_err(|error| wrong(error.to_string()))?;
    let answer = duct::cmd!(&python, "-I", "-c", QUESTION)
        .stderr_to_stdout()
        .read()
        .map_err(|error| wrong(error.to_string()))?;
    let [prefix, base, real]: [PathBuf; 3] = serde_json::from_str(&answer).map_err(|_| {
        wrong(format!(
            "it answered {:?}",
            answer.chars().take(200).collect::<String>()
        ))
    })?;
    let mut folders = vec![prefix];
    for folder in [base, real.parent().unwrap_or(Path::new("/")).to_owned()] {
        if !folders.iter().any(|known| folder.starts_with(known)) {
            folders.push(folder);
        }
    }
    // Hops of a chain of links (python -> python3 -> /opt/…/python3.11) must exist inside, too.
    let mut hop = python.clone();
    for _ in 0..16 {
        let Ok(target) = std::fs::read_link(&hop) else {
            break;
        };
        let target = hop.parent().unwrap_or(Path::new("/")).join(target);
        hop = in_real_folder(&target).map_err(|error| wrong(error.to_string()))?;
        let folder = hop.parent().unwrap_or(Path::new("/")).to_owned();
        if !folders.iter().any(|known| folder.starts_with(known)) {
            folders.push(folder);
        }
    }
    Ok(Environment { python, folders })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn folders_that_are_links_are_resolved_and_the_interpreter_s_own_link_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("real/bin")).unwrap();
        symlink("/usr/bin/env", root.join("real/bin/python")).unwrap();
        symlink(root.join("real"), root.join("link")).unwrap();
        assert_eq!(
            in_real_folder(&root.join("link/bin/python")).unwrap(),
            root.join("real/bin/python")
        );
        assert!(in_real_folder(&root.join("nowhere/bin/python")).is_err());
    }

    #[test]
    fn a_container_s_interpreter_is_the_image_s() {
        for isolation in [Isolation::Docker, Isolation::Podman] {
            let found = environment(isolation, Path::new("/opt/venv/bin/python")).unwrap();
            assert_eq!(found.python, Path::new("/opt/venv/bin/python"));
            assert_eq!(found.folders, [PathBuf::new(); 0]);
            let error = environment(isolation, Path::new(".venv/bin/python")).unwrap_err();
            assert!(error.to_string().contains("sandbox.image"), "{error}");
        }
    }
}
