//! Values that no log, message or file may show: told by their type, not by what they look like.

use std::fmt;

use serde::{Serialize, Serializer};

/// What stands in their place.
pub const REDACTED: &str = "[redacted]";

/// A key, token or other secret. However it is printed or serialised, [`REDACTED`] is what appears; the value itself is had
/// only by asking for it by name ([`Secret::reveal`]).
#[derive(Clone)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Takes a value that is secret from here on.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for whoever computes or signs with it; never for a message.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_prints_it_shows_that_it_is_redacted() {
        #[derive(Debug, Serialize)]
        struct Holder {
            key: Secret<String>,
        }
        let holder = Holder {
            key: Secret::new("hunter2".to_owned()),
        };
        let printed = [
            format!("{holder:?} {holder:#?} {}", holder.key),
            serde_json::to_string(&holder).unwrap(),
            serde_yaml::to_string(&holder).unwrap(),
        ];
        for text in printed {
            assert!(
                text.contains(REDACTED) && !text.contains("hunter2"),
                "{text}"
            );
        }
        assert_eq!(holder.key.reveal(), "hunter2");
    }
}
