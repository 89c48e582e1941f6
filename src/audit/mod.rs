//! `prism audit`: a run folder on its own, wherever it was copied to, against everything that it says about itself.
//!
//! [`audit`] needs no network, no corpus and no outbox, and never believes the folder: links and pipes are not opened,
//! nothing is read without a limit, digests come before decoders. A report holds no time and no path outside the
//! folder, so that two audits of the same folder are the same bytes.

mod circumstances;
mod compare;
mod documents;
mod folder;
mod gate;
mod identity;
pub mod reexecute;
mod replay;
pub mod report;
mod seal;
pub mod streams;
mod transport;

use std::path::Path;

use serde_json::Value;

use crate::pipeline::MANIFEST;
use crate::signing::keys::PublicKey;
use documents::Documents;
use folder::Folder;
use report::{Check, Outcome, RunAudit, RunVerdict};

/// Makes the score blocks of the run in a folder from its streams ([`streams::recompute`]), or says why it cannot.
///
/// A parquet decoder trusts what it reads and can end its process; the command line passes one that works in a child.
pub type Recompute<'a> = dyn Fn(&Path) -> Result<Value, String> + 'a;

/// What an audit compares with.
pub struct Standards<'a> {
    /// Keys that runs must be signed with; empty: any key, or none, is reported and accepted.
    pub known_keys: &'a [PublicKey],
    /// sha256 of this executable and of the measuring one of this installation, where they are known.
    pub prism_sha256: Option<String>,
    pub referee_sha256: Option<String>,
    /// Tokenizers of this installation.
    pub tokenizers: &'a Path,
    pub recompute: &'a Recompute<'a>,
}

/// Audits one run folder. `run` is what the report calls it.
pub fn audit(run: &str, path: &Path, standards: &Standards<'_>) -> RunAudit {
    let folder = match Folder::look(path) {
        Ok(folder) => folder,
        Err(reason) => return RunAudit::unreadable(run, reason),
    };
    let (documents, schemas) = Documents::read(&folder);
    let is_concluded = documents.status.as_ref().is_none_or(|status| {
        use crate::outbox::status::State;
        status.is_final() || status.state == State::Held
    });
    let sealed = seal::check(&folder, &documents, is_concluded, standards.known_keys);
    let mut checks = vec![
        folder.check(&sealed.listed),
        sealed.digests,
        sealed.signature,
        schemas,
        identity::status(&folder, &documents),
        identity::archive(&folder, &documents),
    ];
    checks.extend(replay::review(&folder, &documents));
    checks.extend(gate::check(&folder, &documents));
    checks.push(streams::check(
        &folder,
        &documents,
        &sealed.damaged,
        standards.recompute,
    ));
    checks.extend(circumstances::check(&folder, &documents, standards));
    let failed = checks.iter().any(|check| check.outcome == Outcome::Failed);
    let submission_id = documents.status.map(|status| status.submission_id);
    RunAudit {
        run: report::shown(run),
        submission_id,
        verdict: match (failed, is_concluded) {
            (true, _) => RunVerdict::Inconsistent,
            (false, false) => RunVerdict::Unfinished,
            (false, true) => RunVerdict::Consistent,
        },
        signed_by: sealed.signed_by,
        checks,
        reexecution: None,
    }
}

/// Paths and lengths of all files of a sealed folder, the seal included, by path.
///
/// # Errors
/// What is not as the seal says.
pub fn sealed_files(path: &Path) -> Result<Vec<(String, u64)>, Vec<String>> {
    let folder = Folder::look(path).map_err(|reason| vec![reason])?;
    let (documents, mut problems) = Documents::read_seal(&folder);
    let sealed = seal::check(&folder, &documents, true, &[]);
    for check in [
        folder.check(&sealed.listed),
        sealed.digests,
        sealed.signature,
    ] {
        problems.extend(check.problems);
    }
    if problems.is_empty() {
        Ok(folder.files.into_iter().collect())
    } else {
        Err(problems)
    }
}

/// What every check of a run with a manifest needs, or why it cannot be made.
fn manifest_of<'a>(
    name: &'static str,
    folder: &Folder,
    documents: &'a Documents,
) -> Result<&'a Value, Check> {
    match &documents.manifest {
        Some(manifest) => Ok(manifest),
        None if folder.has(MANIFEST) => Err(Check::not_checked(
            name,
            format!("{MANIFEST} cannot be read as one"),
        )),
        None => Err(Check::not_checked(
            name,
            "the run has no manifest: it was not scored",
        )),
    }
}

#[cfg(test)]
mod tests;
