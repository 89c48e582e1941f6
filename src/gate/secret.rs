//! A key that nothing prints: whoever writes, shows or serialises it by mistake writes that it is not shown.

use std::fmt;
use std::fs::File;
use std::io::Read;

use serde::{Serialize, Serializer};

use super::GateError;
use crate::config::gate::Gate;

const MAX_KEY_BYTES: u64 = 4_096;
const SHOWN: &str = "(redacted)";

/// The key of a reviewer.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// From the file or the variable that the configuration names; none if it names none.
    ///
    /// # Errors
    /// [`GateError::Key`], which says where, and never what.
    pub fn load(gate: &Gate) -> Result<Option<Self>, GateError> {
        let broken = |place: String, reason: &str| GateError::Key {
            place,
            reason: reason.to_owned(),
        };
        let (place, text) = if let Some(path) = &gate.api_key_file {
            let place = path.display().to_string();
            let mut text = String::new();
            let read = File::open(path)
                .and_then(|file| file.take(MAX_KEY_BYTES + 1).read_to_string(&mut text));
            if let Err(error) = read {
                return Err(broken(place, &error.kind().to_string()));
            }
            (place, text)
        } else if let Some(name) = &gate.api_key_env {
            let place = format!("the environment variable {name}");
            let text = std::env::var(name).map_err(|_| broken(place.clone(), "it is not set"))?;
            (place, text)
        } else {
            return Ok(None);
        };
        let text = text.trim();
        let is_header_text = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() as u64 > MAX_KEY_BYTES || !is_header_text {
            return Err(broken(place, "expected one line of printable ASCII"));
        }
        Ok(Some(Self(text.to_owned())))
    }

    /// The key itself, for the one header that it belongs in.
    pub(super) fn exposed(&self) -> &str {
        &self.0
    }

    /// Whether a text holds the key: a server may send back what it was sent.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        memchr::memmem::find(text, self.0.as_bytes()).is_some()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHOWN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHOWN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(SHOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let mut gate = Gate {
            api_key_file: Some(path.clone()),
            ..Gate::default()
        };
        let missing = Secret::load(&gate).unwrap_err().to_string();
        assert!(missing.contains(path.to_str().unwrap()), "{missing}");
        std::fs::write(&path, "sk-very-secret\n").unwrap();
        let key = Secret::load(&gate).unwrap().unwrap();
        assert_eq!(key.exposed(), "sk-very-secret");
        for shown in [
            format!("{key} {key:?} {key:#?}"),
            serde_json::to_string(&key).unwrap(),
            format!("{:?}", Some(&key)),
        ] {
            assert!(!shown.contains("secret"), "{shown}");
        }
        for wrong in ["", " \n", "two words", "two\nlines", "schlüssel"] {
            std::fs::write(&path, wrong).unwrap();
            let error = Secret::load(&gate).unwrap_err();
            assert!(matches!(error, GateError::Key { .. }));
        }
        std::fs::write(&path, "k".repeat(5_000)).unwrap();
        assert!(Secret::load(&gate).is_err());
        gate.api_key_file = None;
        assert_eq!(Secret::load(&gate).unwrap(), None);
        gate.api_key_env = Some("NO_SUCH_VARIABLE_OF_THE_GATE".to_owned());
        assert!(Secret::load(&gate).is_err());
    }
}
