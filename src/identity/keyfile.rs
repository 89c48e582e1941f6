//! The hotkey of whoever submits: read from a file that only its owner can read, never printed.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::claims::Signed;
use super::sr25519::SecretKey;
use super::{message, ss58, unhex};
use crate::score::json;

/// A key file is a line, or a small JSON object.
const MAX_KEY_FILE_BYTES: u64 = 64 << 10;

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("hotkey {path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("hotkey {path}: its mode is {mode:o}, expected 600: others may read it")]
    Exposed { path: PathBuf, mode: u32 },
    #[error("hotkey {path}: {reason}")]
    NotAKey { path: PathBuf, reason: &'static str },
}

impl KeyFileError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => "name the hotkey's file",
            Self::Exposed { .. } => "chmod 600, and take another key if somebody may have read it",
            Self::NotAKey { .. } => {
                "one line of 64 hexadecimal digits (the secret seed, with or without 0x), or a JSON object with secretSeed; an encrypted key has to be decrypted first"
            }
        }
    }
}

/// A key that submissions are signed with.
#[derive(Debug)]
pub struct Hotkey {
    key: SecretKey,
}

impl Hotkey {
    /// Reads a key file: the secret seed as one line of hexadecimal digits, or a JSON object that has it as `secretSeed`, as
    /// wallets keep their hotkeys.
    ///
    /// # Errors
    /// [`KeyFileError`]; a file that others may read or write is refused.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let io = |source| KeyFileError::Io {
            path: path.to_owned(),
            source,
        };
        let not_a_key = |reason| KeyFileError::NotAKey {
            path: path.to_owned(),
            reason,
        };
        // NONBLOCK: a pipe of that name would otherwise be waited for
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = File::options()
            .read(true)
            .custom_flags(flags)
            .open(path)
            .map_err(io)?;
        let facts = file.metadata().map_err(io)?;
        if !facts.is_file() {
            return Err(not_a_key("it is no regular file"));
        }
        let mode = facts.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let mut bytes = Vec::new();
        file.take(MAX_KEY_FILE_BYTES)
            .read_to_end(&mut bytes)
            .map_err(io)?;
        let text = match json::parse(&bytes) {
            Ok(value) if value.is_object() => value["secretSeed"].as_str().map(str::to_owned),
            _ => String::from_utf8(bytes).ok(),
        };
        let seed = text.and_then(|text| {
            let digits = text.trim();
            unhex(digits.strip_prefix("0x").unwrap_or(digits))
        });
        seed.and_then(|seed| Self::from_seed(&seed))
            .ok_or_else(|| not_a_key("it holds no seed of 64 hexadecimal digits"))
    }

    /// The key of that seed: 32 secret random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        let key = SecretKey::from_seed(seed)?;
        Some(Self { key })
    }

    /// Its address in a network.
    pub fn address(&self, network: u16) -> String {
        ss58::encode(&self.key.public(), network)
    }

    /// Signs a file by its digest.
    pub fn sign(&self, sha256: &str, nonce: &str, now: SystemTime, network: u16) -> Signed {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (hotkey, submitted_at) = (self.address(network), seconds.to_string());
        let message = message(&hotkey, nonce, &submitted_at, sha256);
        Signed {
            signature: self.key.sign(message.as_bytes()),
            hotkey,
            nonce: nonce.to_owned(),
            submitted_at,
            at: UNIX_EPOCH + std::time::Duration::from_secs(seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a";

    #[test]
    fn key_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let load = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Hotkey::load(&path)
        };
        for text in [
            format!("{SEED}\n"),
            format!("0x{SEED}"),
            format!(r#"{{"ss58Address": "5", "secretSeed": "0x{SEED}"}}"#),
        ] {
            let hotkey = load(&text, 0o600).unwrap();
            let address = hotkey.address(42);
            assert_eq!(address, "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
            assert!(!format!("{hotkey:?}").contains("e5be"));
        }
        let exposed = load(SEED, 0o640).unwrap_err();
        assert!(matches!(exposed, KeyFileError::Exposed { .. }));
        for text in ["", "12", "{}", r#"{"secretSeed": null}"#] {
            let error = load(text, 0o600).unwrap_err();
            assert!(matches!(error, KeyFileError::NotAKey { .. }), "{error}");
            assert!(!error.hint().is_empty());
        }
        let none = Hotkey::load(&folder.path().join("none")).unwrap_err();
        assert!(matches!(none, KeyFileError::Io { .. }));
        assert!(Hotkey::load(folder.path()).is_err());
    }
}
