//! The seal: every file against the digest list, the list against its signature.

use std::collections::BTreeSet;

use super::documents::Documents;
use super::folder::Folder;
use super::report::Check;
use crate::signing::digest_list;
use crate::signing::keys::PublicKey;
use crate::signing::signature;

/// As long as any document may be.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// What the seal says.
pub struct Sealed {
    pub digests: Check,
    pub signature: Check,
    /// Files that the list names.
    pub listed: BTreeSet<String>,
    /// Files that are not what the list says.
    pub damaged: BTreeSet<String>,
    /// Key whose signature holds.
    pub signed_by: Option<String>,
}

/// Checks both. A list that is missing is a problem once the run is concluded.
pub fn check(
    folder: &Folder,
    documents: &Documents,
    is_concluded: bool,
    known_keys: &[PublicKey],
) -> Sealed {
    let (digests, listed, damaged) = digests(folder, documents, is_concluded);
    let (signature, signed_by) = signature(folder, documents, is_concluded, known_keys);
    Sealed {
        digests,
        signature,
        listed,
        damaged,
        signed_by,
    }
}

fn digests(
    folder: &Folder,
    documents: &Documents,
    is_concluded: bool,
) -> (Check, BTreeSet<String>, BTreeSet<String>) {
    let (mut listed, mut damaged) = (BTreeSet::new(), BTreeSet::new());
    let name = "digests";
    let Some(list) = &documents.digests else {
        let check = if folder.has(digest_list::FILE) {
            let problem = format!("{} cannot be read as one", digest_list::FILE);
            Check::of(name, "", vec![problem])
        } else if is_concluded {
            let problem = format!(
                "{} is missing: the run was never sealed, or its seal was removed",
                digest_list::FILE
            );
            Check::of(name, "", vec![problem])
        } else {
            Check::not_checked(name, "the run is not concluded, so it has no seal yet")
        };
        return (check, listed, damaged);
    };
    let mut problems = Vec::new();
    let status = documents.status.as_ref();
    if let Some(status) = status.filter(|status| status.submission_id != list.submission_id) {
        problems.push(format!(
            "the list is of submission {}, status.json of {}",
            list.submission_id, status.submission_id
        ));
    }
    let mut bytes = 0_u64;
    for expected in &list.files {
        let path = &expected.path;
        if !listed.insert(path.clone()) {
            problems.push(format!("{path}: listed twice"));
        }
        let found = match folder.files.get(path) {
            None => Err(format!("{path}: listed, and not there")),
            // not hashed: a file may be longer than anybody has time for
            Some(length) if *length != expected.bytes => Err(format!(
                "{path}: got {length} bytes, listed {}",
                expected.bytes
            )),
            Some(_) => folder.entry(path),
        };
        let problem = match found {
            Ok(found) if found == *expected => {
                bytes += found.bytes;
                continue;
            }
            Ok(found) => format!(
                "{path}: got sha256 {}, listed {}",
                found.sha256, expected.sha256
            ),
            Err(reason) => reason,
        };
        problems.push(problem);
        damaged.insert(path.clone());
    }
    let seal = [digest_list::FILE, signature::FILE];
    for path in folder.files.keys() {
        if !seal.contains(&path.as_str()) && !listed.contains(path) {
            problems.push(format!("{path}: there, and not listed"));
            damaged.insert(path.clone());
        }
    }
    let agreed = format!(
        "{} files, {bytes} bytes, have the listed sha256, and no others are there",
        list.files.len()
    );
    (Check::of(name, agreed, problems), listed, damaged)
}

fn signature(
    folder: &Folder,
    documents: &Documents,
    is_concluded: bool,
    known_keys: &[PublicKey],
) -> (Check, Option<String>) {
    let name = "signature";
    let failed = |problem: String| (Check::of(name, "", vec![problem]), None);
    let Some(list) = &documents.digests else {
        if !is_concluded {
            let why = "the run is not concluded, so it has no seal yet";
            return (Check::not_checked(name, why), None);
        }
        return failed("there is no digest list that could be signed".to_owned());
    };
    let wanted = match known_keys {
        [] => String::new(),
        keys => {
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            format!(", expected a signature of {}", keys.join(" or "))
        }
    };
    let Some(found) = &documents.signature else {
        if folder.has(signature::FILE) {
            return failed(format!("{} cannot be read as one", signature::FILE));
        }
        if let Some(key) = &list.signed_by {
            return failed(format!(
                "digests.json says that {key} signed it, and {} is missing",
                signature::FILE
            ));
        }
        if !known_keys.is_empty() {
            return failed(format!("the run is not signed{wanted}"));
        }
        let why = "the run is not signed: whoever changed it could have made the digest list anew";
        return (Check::not_checked(name, why), None);
    };
    let bytes = match folder.read(digest_list::FILE, MAX_LIST_BYTES) {
        Ok(bytes) => bytes,
        Err(reason) => return failed(reason),
    };
    let key = match signature::verify(found, &bytes) {
        Ok(key) => key,
        Err(reason) => return failed(reason),
    };
    if list.signed_by.as_deref() != Some(key.to_string().as_str()) {
        return failed(format!(
            "signed by {key}, and digests.json does not name that key"
        ));
    }
    let signed_by = Some(key.to_string());
    if known_keys.is_empty() {
        let statement = format!("signed by {key}, not among known keys: none were given");
        return (Check::of(name, statement, Vec::new()), signed_by);
    }
    if known_keys.contains(&key) {
        let statement = format!("signed by {key}, a known key");
        return (Check::of(name, statement, Vec::new()), signed_by);
    }
    let problem = format!("signed by {key}, not among known keys{wanted}");
    (Check::of(name, "", vec![problem]), signed_by)
}
