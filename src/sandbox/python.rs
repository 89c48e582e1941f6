//! The Python environment that runs submissions: which folders it consists of.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::SandboxError;

/// An interpreter and the folders that it needs to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The interpreter to start: the virtual environment's own, not what it links to.
    pub python: PathBuf,
    /// `sys.prefix` and `sys.base_prefix`, and wherever the interpreter's links pass through.
    pub folders: Vec<PathBuf>,
}

const QUESTION: &str = "import json, os, sys; print(json.dumps([sys.prefix, sys.base_prefix, os.path.realpath(sys.executable)]))";

/// Asks an interpreter where it lives.
pub fn discover(python: &Path) -> Result<Environment, SandboxError> {
    let wrong = |reason: String| SandboxError::Python {
        python: python.to_owned(),
        reason,
    };
    // The link itself must be kept: python finds its virtual environment by the name it is called by.
    let python = std::path::absolute(python).map_err(|error| wrong(error.to_string()))?;
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
        hop = hop.parent().unwrap_or(Path::new("/")).join(target);
        let folder = hop.parent().unwrap_or(Path::new("/")).to_owned();
        if !folders.iter().any(|known| folder.starts_with(known)) {
            folders.push(folder);
        }
    }
    Ok(Environment { python, folders })
}
