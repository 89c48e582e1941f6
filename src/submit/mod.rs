//! Handing a submission in: packed, signed if need be, and put into an inbox so that nobody sees a part of it.
//!
//! The sidecar comes first and the file last, each by one rename; what an inbox asks for beside it comes after it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::bundle::{self, Limits};
use crate::digest::{hex, sha256};
use crate::identity::keyfile::Hotkey;
use crate::identity::{SCHEMA_VERSION, SIDECAR_SUFFIX, Signed};
use crate::intake::Sentinel;

/// Why nothing was handed in.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: got {got}, expected a folder, or a file whose name ends with .zip or .py")]
    NotSubmission { path: PathBuf, got: String },
    #[error("{name:?} is no name for a submission of this form")]
    Name { name: String },
    #[error("{path} is there already")]
    Taken { path: PathBuf },
}

impl SubmitError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => "check that the inbox is there and can be written",
            Self::NotSubmission { .. } => "name a folder, a zip, or a .py file",
            Self::Name { .. } => {
                "a name without '/' that begins with no dot and ends as the submission does"
            }
            Self::Taken { .. } => "choose another name with --name",
        }
    }
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> SubmitError {
    let path = path.to_owned();
    move |source| SubmitError::Io { path, source }
}

/// A submission as it will lie in an inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    pub name: String,
    pub bytes: Vec<u8>,
    /// The archive that it is kept as: of a bare `.py`, the zip around it.
    pub archive: Vec<u8>,
}

/// Reads a file, or packs a folder. `name` is how it is to be called; none: as it is, a folder with `.zip`.
///
/// # Errors
/// [`SubmitError`].
pub fn pack(path: &Path, name: Option<&str>, limits: &Limits) -> Result<Packed, SubmitError> {
    let facts = std::fs::metadata(path).map_err(at(path))?;
    let own = std::path::absolute(path).map_err(at(path))?;
    let own = own.file_name().unwrap_or_default().to_string_lossy();
    let (bytes, own, suffix) = if facts.is_dir() {
        let bytes = bundle::pack(path, limits).map_err(at(path))?;
        (bytes, format!("{own}.zip"), ".zip")
    } else {
        let lower = own.to_ascii_lowercase();
        let Some(suffix) = [".zip", ".py"].into_iter().find(|end| lower.ends_with(end)) else {
            return Err(SubmitError::NotSubmission {
                path: path.to_owned(),
                got: own.into_owned(),
            });
        };
        if !facts.is_file() {
            return Err(SubmitError::NotSubmission {
                path: path.to_owned(),
                got: "no regular file".to_owned(),
            });
        }
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| {
                let limit_bytes = limits.max_archive_bytes.saturating_add(1);
                file.take(limit_bytes).read_to_end(&mut bytes)
            })
            .map_err(at(path))?;
        (bytes, own.into_owned(), suffix)
    };
    let name = name.map_or(own, str::to_owned);
    let fits = name.to_ascii_lowercase().ends_with(suffix)
        && !name.starts_with('.')
        && !name.contains(['/', '\0'])
        && name.len() <= 200;
    if !fits {
        return Err(SubmitError::Name { name });
    }
    let archive = match suffix {
        ".py" => bundle::pack_source(&bytes).map_err(at(path))?,
        _ => bytes.clone(),
    };
    Ok(Packed {
        name,
        bytes,
        archive,
    })
}

/// What a hotkey says of a submission, with a nonce that was never used.
///
/// # Errors
/// No random bytes.
pub fn sign(packed: &Packed, hotkey: &Hotkey, network: u16) -> Result<Signed, SubmitError> {
    let source = Path::new("/dev/urandom");
    let mut nonce = [0; 16];
    let mut file = File::open(source).map_err(at(source))?;
    file.read_exact(&mut nonce).map_err(at(source))?;
    let digest = sha256(&packed.bytes);
    Ok(hotkey.sign(&digest, &hex(&nonce), SystemTime::now(), network))
}

/// The sidecar of a signed submission.
pub fn sidecar(signed: &Signed) -> Value {
    json!({
        "schema_version": SCHEMA_VERSION,
        "hotkey": signed.hotkey,
        "nonce": signed.nonce,
        "signature": hex(&signed.signature),
        "submitted_at": signed.submitted_at,
    })
}

/// Puts a submission into an inbox, and returns where it and its sidecar lie. Nothing is overwritten.
///
/// # Errors
/// [`SubmitError::Taken`] and [`SubmitError::Io`]; then nothing of it is there.
pub fn drop_into(
    inbox: &Path,
    packed: &Packed,
    signed: Option<&Signed>,
    sentinel: Sentinel,
) -> Result<Vec<PathBuf>, SubmitError> {
    let beside = |suffix: &str| inbox.join(format!("{}{suffix}", packed.name));
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    if let Some(signed) = signed {
        let text = format!("{:#}\n", sidecar(signed));
        files.push((beside(SIDECAR_SUFFIX), text.into_bytes()));
    }
    files.push((beside(""), packed.bytes.clone()));
    match sentinel {
        Sentinel::None => {}
        Sentinel::Ready => files.push((beside(".ready"), Vec::new())),
        Sentinel::Sha256 => {
            let line = format!("{}  {}\n", sha256(&packed.bytes), packed.name);
            files.push((beside(".sha256"), line.into_bytes()));
        }
    }
    if let Some((path, _)) = files
        .iter()
        .find(|(path, _)| path.symlink_metadata().is_ok())
    {
        return Err(SubmitError::Taken { path: path.clone() });
    }
    let mut there = Vec::new();
    for (path, bytes) in &files {
        if let Err(error) = appear(inbox, path, bytes) {
            for path in &there {
                // it is ours, and of no use to anybody without the rest; the error is what counts
                let _ = std::fs::remove_file(path);
            }
            return Err(error);
        }
        there.push(path.clone());
    }
    File::open(inbox)
        .and_then(|folder| folder.sync_all())
        .map_err(at(inbox))?;
    Ok(there)
}

/// Writes a file under a name that no inbox looks at, and renames it.
fn appear(inbox: &Path, path: &Path, bytes: &[u8]) -> Result<(), SubmitError> {
    let mut draft = tempfile::Builder::new()
        .prefix(".prism-")
        .suffix(".tmp")
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(inbox)
        .map_err(at(inbox))?;
    let written = draft.write_all(bytes);
    written
        .and_then(|()| draft.as_file().sync_all())
        .map_err(at(path))?;
    draft.persist_noclobber(path).map_err(|error| {
        let path = path.to_owned();
        match error.error.kind() {
            std::io::ErrorKind::AlreadyExists => SubmitError::Taken { path },
            _ => SubmitError::Io {
                path,
                source: error.error,
            },
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Mode, Settings, judge};

    #[test]
    fn what_is_handed_in_is_signed_as_the_intake_asks() {
        let folder = tempfile::tempdir().unwrap();
        let submission = folder.path().join("run");
        std::fs::create_dir(&submission).unwrap();
        std::fs::write(submission.join("training.py"), "t").unwrap();
        let packed = pack(&submission, None, &Limits::default()).unwrap();
        assert_eq!(
            (packed.name.as_str(), &packed.bytes),
            ("run.zip", &packed.archive)
        );
        let hotkey = Hotkey::from_seed(&[1; 32]).unwrap();
        let signed = sign(&packed, &hotkey, 42).unwrap();
        assert_ne!(signed.nonce, sign(&packed, &hotkey, 42).unwrap().nonce);
        let inbox = folder.path().join("inbox");
        std::fs::create_dir(&inbox).unwrap();
        let there = drop_into(&inbox, &packed, Some(&signed), Sentinel::Sha256).unwrap();
        let names = ["run.zip.meta.json", "run.zip", "run.zip.sha256"];
        assert_eq!(there, names.map(|name| inbox.join(name)));
        assert_eq!(std::fs::read_dir(&inbox).unwrap().count(), 3);
        let claims = crate::identity::sidecar(&std::fs::read(&there[0]).unwrap()).unwrap();
        let settings = Settings {
            mode: Mode::Required,
            ..Settings::default()
        };
        let digest = sha256(&std::fs::read(&there[1]).unwrap());
        let judged = judge(&claims, &digest, SystemTime::now(), &settings).unwrap();
        assert_eq!(judged.map(|signed| signed.hotkey), Some(hotkey.address(42)));
        let again = drop_into(&inbox, &packed, None, Sentinel::None).unwrap_err();
        assert!(matches!(again, SubmitError::Taken { .. }), "{again}");
    }

    #[test]
    fn names_and_forms() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.py");
        std::fs::write(&path, "x = 1").unwrap();
        let limits = Limits::default();
        let packed = pack(&path, Some("b.PY"), &limits).unwrap();
        assert_eq!(
            (packed.name.as_str(), packed.bytes.as_slice()),
            ("b.PY", &b"x = 1"[..])
        );
        assert_eq!(packed.archive, bundle::pack_source(b"x = 1").unwrap());
        for name in ["b.zip", ".b.py", "../b.py", "b"] {
            let error = pack(&path, Some(name), &limits).unwrap_err();
            assert!(matches!(error, SubmitError::Name { .. }), "{name}: {error}");
            assert!(!error.hint().is_empty());
        }
        let text = folder.path().join("a.txt");
        std::fs::write(&text, "").unwrap();
        let error = pack(&text, None, &limits).unwrap_err();
        assert!(
            matches!(error, SubmitError::NotSubmission { .. }),
            "{error}"
        );
        let none = pack(&folder.path().join("none.zip"), None, &limits).unwrap_err();
        assert!(matches!(none, SubmitError::Io { .. }), "{none}");
    }
}
