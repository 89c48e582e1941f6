//! Key files. A signing key is one line of text in a file that only its owner can read; it is never printed.

use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::{SigningKey, VerifyingKey};

use super::SigningError;
use crate::digest::hex;
use crate::redacted::Secret;

const SIGNING_PREFIX: &str = "prism-signing-key-ed25519:";
const PUBLIC_PREFIX: &str = "prism-public-key-ed25519:";
/// A key file is one short line.
const MAX_KEY_FILE_BYTES: u64 = 1_024;

/// The key that runs are signed with.
pub struct Signer {
    key: Secret<SigningKey>,
}

impl fmt::Debug for Signer {
    /// The public half only: what is printed for debugging ends in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public())
    }
}

impl Signer {
    /// Reads a key file.
    ///
    /// # Errors
    /// [`SigningError::Exposed`] for a file that anybody but its owner may read or write.
    pub fn load(path: &Path) -> Result<Self, SigningError> {
        let io = |source| SigningError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        };
        // NONBLOCK: a pipe of that name would otherwise be waited for
        let file = File::options()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
            .open(path)
            .map_err(io)?;
        let facts = file.metadata().map_err(io)?;
        let not_a_key = |reason: &str| SigningError::NotAKey {
            path: path.to_owned(),
            expected: "signing key",
            reason: reason.to_owned(),
        };
        if !facts.is_file() {
            return Err(not_a_key("it is no regular file"));
        }
        let mode = facts.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SigningError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let mut text = String::new();
        file.take(MAX_KEY_FILE_BYTES)
            .read_to_string(&mut text)
            .map_err(io)?;
        let seed = text
            .trim_end()
            .strip_prefix(SIGNING_PREFIX)
            .and_then(unhex::<32>)
            .ok_or_else(|| {
                not_a_key(
                    "expected one line, `prism-signing-key-ed25519:` and 64 hexadecimal digits",
                )
            })?;
        Ok(Self::from_seed(seed))
    }

    /// The key of that seed: 32 secret random bytes.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self {
            key: Secret::new(SigningKey::from_bytes(&seed)),
        }
    }

    /// The half that everybody may know.
    pub fn public(&self) -> PublicKey {
        PublicKey {
            key: self.key.reveal().verifying_key(),
        }
    }

    pub(super) fn key(&self) -> &SigningKey {
        self.key.reveal()
    }
}

/// A key that signatures are verified with.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
}

impl fmt::Display for PublicKey {
    /// 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(self.key.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl PublicKey {
    /// A key from 64 hexadecimal digits, with or without its prefix.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.strip_prefix(PUBLIC_PREFIX).unwrap_or(text);
        let key = VerifyingKey::from_bytes(&unhex::<32>(digits)?).ok()?;
        // a key of small order verifies anything
        (!key.is_weak()).then_some(Self { key })
    }

    /// A key as a person names it: the file that holds it, or the key itself.
    pub fn named(text: &str) -> Result<Self, SigningError> {
        if let Some(key) = Self::parse(text) {
            return Ok(key);
        }
        let path = Path::new(text);
        if !path.is_file() {
            return Err(SigningError::NotAPublicKey {
                text: text.to_owned(),
            });
        }
        let mut line = String::new();
        File::open(path)
            .and_then(|file| file.take(MAX_KEY_FILE_BYTES).read_to_string(&mut line))
            .map_err(|source| SigningError::Io {
                action: "read",
                path: path.to_owned(),
                source,
            })?;
        Self::parse(&line).ok_or_else(|| SigningError::NotAKey {
            path: path.to_owned(),
            expected: "public key",
            reason: "expected one line, `prism-public-key-ed25519:` and 64 hexadecimal digits"
                .to_owned(),
        })
    }

    /// The line of a `.pub` file.
    pub fn line(&self) -> String {
        format!("{PUBLIC_PREFIX}{self}\n")
    }

    pub(super) fn key(&self) -> &VerifyingKey {
        &self.key
    }
}

/// Makes a key from the kernel's random bytes: `path` (mode 0600) and beside it `path.pub`.
///
/// # Errors
/// [`SigningError::Exists`]: nothing is overwritten.
pub fn generate(path: &Path) -> Result<(Signer, PathBuf), SigningError> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut seed))
        .map_err(|source| SigningError::Io {
            action: "read",
            path: "/dev/urandom".into(),
            source,
        })?;
    let signer = Signer::from_seed(seed);
    let mut public_path = path.as_os_str().to_owned();
    public_path.push(".pub");
    let public_path = PathBuf::from(public_path);
    if public_path.exists() {
        return Err(SigningError::Exists { path: public_path });
    }
    write_new(path, 0o600, &format!("{SIGNING_PREFIX}{}\n", hex(&seed)))?;
    write_new(&public_path, 0o644, &signer.public().line())?;
    Ok((signer, public_path))
}

fn write_new(path: &Path, mode: u32, line: &str) -> Result<(), SigningError> {
    let written = File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| {
            file.write_all(line.as_bytes())?;
            file.sync_all()
        });
    written.map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => SigningError::Exists {
            path: path.to_owned(),
        },
        _ => SigningError::Io {
            action: "write",
            path: path.to_owned(),
            source,
        },
    })
}

/// Bytes of lower-case hexadecimal digits; none for anything else.
pub(super) fn unhex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digits = digits.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_made_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("contest.key");
        let (made, public_path) = generate(&path).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&public_path)), (0o600, 0o644));
        let read = Signer::load(&path).unwrap();
        assert_eq!(read.public(), made.public());
        let named = PublicKey::named(public_path.to_str().unwrap()).unwrap();
        assert_eq!(named, made.public());
        assert_eq!(PublicKey::named(&named.to_string()).unwrap(), named);
        assert!(matches!(generate(&path), Err(SigningError::Exists { .. })));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(generate(&path), Err(SigningError::Exists { .. })));
        assert!(!path.exists(), "no half of a pair");
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("contest.key");
        generate(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o644, 0o610] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = Signer::load(&path).unwrap_err();
            assert!(matches!(error, SigningError::Exposed { .. }), "{mode:o}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let secret = "5".repeat(63);
        for text in ["", "secret", &format!("{SIGNING_PREFIX}{secret}")] {
            let mut file = File::options()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let error = Signer::load(&path).unwrap_err();
            assert!(matches!(error, SigningError::NotAKey { .. }), "{error}");
            assert!(!error.to_string().contains("555"), "{error}");
        }
        assert!(matches!(
            Signer::load(folder.path()),
            Err(SigningError::NotAKey { .. })
        ));
        // small order: its signatures prove nothing
        let weak = format!("01{}", "0".repeat(62));
        for text in ["", "00", &"G".repeat(64), &"A".repeat(64), &weak] {
            assert!(PublicKey::parse(text).is_none(), "{text}");
        }
        assert!(matches!(
            PublicKey::named("nowhere.pub"),
            Err(SigningError::NotAPublicKey { .. })
        ));
    }

    #[test]
    fn debugging_shows_the_public_half_only() {
        let signer = Signer::from_seed([7; 32]);
        let shown = format!("{signer:?}");
        assert!(shown.contains(&signer.public().to_string()));
        assert!(!shown.contains("070707"));
    }
}
