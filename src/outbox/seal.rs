//! The seal of a run folder: `digests.json` over every file, and `signature.json` when the operator has a key.
//!
//! It is written with the verdict and before it: the list names the `status.json` that comes last. A process that dies
//! in between leaves a folder that is not concluded, whose submission is examined or measured again; so nothing is ever
//! sealed that was not just made. A folder in motion has no seal.

use std::path::Path;

use super::schema::Schema;
use super::{Outbox, OutboxError, at, atomic};
use crate::signing::digest_list::{self, DigestList, Entry};
use crate::signing::signature;

/// Folders within a run folder; none that prism writes is deeper: a checkpoint lies four folders deep, and may have some
/// of its own.
const MAX_DEPTH: usize = 10;

/// Drafts that a killed process may have left in a run folder.
const DRAFT_PREFIXES: [&str; 2] = [atomic::DRAFT_PREFIX, ".stream-"];

/// Seals a folder whose last file, `name` with `content`, is yet to be written, and of which the files `without` are about
/// to go.
pub fn seal(
    outbox: &Outbox,
    folder: &Path,
    submission_id: &str,
    (name, content): (&str, &[u8]),
    without: &[String],
) -> Result<(), OutboxError> {
    let mut files = entries(folder, name)?;
    files.retain(|file| !without.contains(&file.path));
    files.push(digest_list::entry_of(name, content));
    let signer = outbox.signer.as_deref();
    let signed_by = signer.map(|signer| signer.public().to_string());
    let list = DigestList::new(submission_id, signed_by, files);
    let path = folder.join(digest_list::FILE);
    let bytes = atomic::json_bytes(&path, Schema::Digests, &list)?;
    let signature_path = folder.join(signature::FILE);
    match signer {
        Some(signer) => {
            let signature = signature::sign(signer, &bytes);
            atomic::write_json(&signature_path, Schema::Signature, &signature)?;
        }
        None => atomic::remove_file(&signature_path)?,
    }
    atomic::write_bytes_if_new(&path, &bytes)
}

/// Takes the seal off a folder that is going to change.
pub fn lift(folder: &Path) -> Result<(), OutboxError> {
    atomic::remove_file(&folder.join(digest_list::FILE))?;
    atomic::remove_file(&folder.join(signature::FILE))
}

/// Every regular file but the seal and `last`; drafts of a process that died are removed.
fn entries(folder: &Path, last: &str) -> Result<Vec<Entry>, OutboxError> {
    let mut files = Vec::new();
    for found in walkdir::WalkDir::new(folder)
        .min_depth(1)
        .max_depth(MAX_DEPTH)
        .follow_links(false)
    {
        let found = found.map_err(|error| at(folder)(error.into()))?;
        let relative = found.path().strip_prefix(folder).unwrap_or(found.path());
        let Some(name) = relative.to_str() else {
            continue;
        };
        let is_draft = DRAFT_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if is_draft && found.file_type().is_file() {
            atomic::remove_file(found.path())?;
            continue;
        }
        let is_seal = [digest_list::FILE, signature::FILE, last].contains(&name);
        if !is_seal && found.file_type().is_file() {
            let entry = digest_list::entry_of_file(name, found.path(), u64::MAX);
            files.push(entry.map_err(|error| OutboxError::Unreadable {
                path: found.path().to_owned(),
                reason: error.to_string(),
            })?);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::SystemTime;

    use super::super::status::{Reason, State, Status, Verdict};
    use super::*;
    use crate::signing::keys::Signer;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_verdict_is_sealed_and_a_folder_in_motion_is_not() {
        let root = tempfile::tempdir().unwrap();
        let signer = std::sync::Arc::new(Signer::from_seed([3; 32]));
        let outbox = Outbox::new(root.path()).signed_by(signer.clone());
        let mut status = Status::new("s1", "a.zip", None, SystemTime::now());
        status.write(&outbox).unwrap();
        let folder = outbox.submission("s1");
        assert_eq!(names(&folder), ["status.json"]);
        fs::write(folder.join("run.log"), "log").unwrap();
        fs::write(folder.join(".prism-dead.tmp"), "draft").unwrap();
        let reason = Reason {
            rule_id: "prism:x".into(),
            message: "m".into(),
            hint: "h".into(),
        };
        status.conclude(Verdict::Held, Some(reason), SystemTime::now());
        status.write(&outbox).unwrap();
        let sealed = ["digests.json", "run.log", "signature.json", "status.json"];
        assert_eq!(names(&folder), sealed);
        let bytes = fs::read(folder.join("digests.json")).unwrap();
        let list: DigestList = serde_json::from_slice(&bytes).unwrap();
        let found: Vec<&str> = list.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(found, ["run.log", "status.json"]);
        let on_disk = fs::read(folder.join("status.json")).unwrap();
        assert_eq!(
            list.files[1],
            digest_list::entry_of("status.json", &on_disk)
        );
        assert_eq!(list.signed_by, Some(signer.public().to_string()));

        // held is examined again: what was sealed is about to change
        status.advance(State::Bundled, SystemTime::now());
        status.write(&outbox).unwrap();
        assert_eq!(names(&folder), ["run.log", "status.json"]);
        assert_eq!(status.verdict, None);

        // without a key the list is there all the same
        let unsigned = Outbox::new(root.path());
        status.conclude(Verdict::Scored, None, SystemTime::now());
        status.write(&unsigned).unwrap();
        assert_eq!(names(&folder), ["digests.json", "run.log", "status.json"]);
    }
}
