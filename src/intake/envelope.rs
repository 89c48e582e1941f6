//! A submission as the HTTP contract posted it: `{"filename", "code", "metadata"}`, dropped as a `.json` file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Content;
use crate::identity::brief;
use crate::outbox::schema::{self, Schema};
use crate::score::json;

/// `filename` where there is none, after the contract.
const DEFAULT_FILENAME: &str = "model.py";
/// What an envelope may have beside its code.
const METADATA_BYTES: u64 = 64 << 10;

/// What a `.json` file turned out to be.
#[derive(Debug, PartialEq)]
pub(super) enum Opened {
    Envelope {
        content: Content,
        /// Read by whoever judges identities.
        metadata: Value,
    },
    /// It has a `code`, and is no envelope all the same.
    Broken(String),
    /// Some other JSON, or none.
    NotOne(String),
}

/// Largest envelope of an archive of so many bytes.
pub(super) fn max_bytes(max_archive_bytes: u64) -> u64 {
    max_archive_bytes
        .div_ceil(3)
        .saturating_mul(4)
        .saturating_add(METADATA_BYTES)
}

/// Opens a `.json` file of at most [`max_bytes`].
pub(super) fn open(bytes: &[u8]) -> Opened {
    let has_code = || memchr::memmem::find(bytes, b"\"code\"").is_some();
    let value = match json::parse(bytes) {
        Ok(value) => value,
        Err(error) if has_code() => return Opened::Broken(brief(error)),
        Err(error) => return Opened::NotOne(brief(error)),
    };
    if !value
        .as_object()
        .is_some_and(|object| object.contains_key("code"))
    {
        return Opened::NotOne("it has no `code`".to_owned());
    }
    if let Err(error) = schema::check("envelope".as_ref(), Schema::SubmissionEnvelope, &value) {
        return Opened::Broken(brief(error));
    }
    let filename = value["filename"].as_str().unwrap_or(DEFAULT_FILENAME);
    let code = value["code"].as_str().unwrap_or_default();
    let content = if filename.to_ascii_lowercase().ends_with(".zip") {
        match STANDARD.decode(code) {
            Ok(bytes) => Content::Zip(bytes),
            Err(error) => return Opened::Broken(format!("code: no base64: {error}")),
        }
    } else {
        Content::Source(code.as_bytes().to_vec())
    };
    Opened::Envelope {
        content,
        metadata: value["metadata"].clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn zips_and_sources() {
        let cases = [
            (
                json!({"code": "x = 1\n"}),
                Content::Source(b"x = 1\n".to_vec()),
            ),
            (
                json!({"code": "x", "filename": "a.PY"}),
                Content::Source(b"x".to_vec()),
            ),
            (
                json!({"code": "UEsFBg==", "filename": "a.zip"}),
                Content::Zip(b"PK\x05\x06".to_vec()),
            ),
        ];
        for (value, expected) in cases {
            let Opened::Envelope { content, metadata } = open(value.to_string().as_bytes()) else {
                panic!("{value}");
            };
            assert_eq!((content, metadata), (expected, Value::Null), "{value}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_other_json_is_left_alone() {
        let broken = [
            (r#"{"code": "a", "code": "b"}"#, "code"),
            (r#"{"code": 5}"#, "/code"),
            (r#"{"code": "!", "filename": "a.zip"}"#, "no base64"),
            (r#"{"code": "UEsFBg", "filename": "a.zip"}"#, "no base64"),
            (r#"{"code": "", "filename": "../a.py"}"#, "/filename"),
            (r#"{"code": "", "filename": "a.exe"}"#, "/filename"),
            (r#"{"code": "", "metadata": []}"#, "/metadata"),
            (r#"{"code": "", "metadata": {"a": 1, "a": 2}}"#, "a"),
            (r#"{"code": "", "extra": 1}"#, "extra"),
            (r#"{"code": "cut"#, "EOF"),
        ];
        for (text, expected) in broken {
            let opened = open(text.as_bytes());
            assert!(
                matches!(&opened, Opened::Broken(why) if why.contains(expected)),
                "{text}: {opened:?}"
            );
        }
        for text in ["", "[]", "{}", "5", r#"{"filename": "a.zip"}"#, "no json"] {
            assert!(matches!(open(text.as_bytes()), Opened::NotOne(_)), "{text}");
        }
    }

    #[test]
    fn what_is_quoted_is_bounded() {
        let filename = "\u{1b}x".repeat(1_000_000);
        let opened = open(
            json!({"code": "", "filename": filename})
                .to_string()
                .as_bytes(),
        );
        let Opened::Broken(why) = opened else {
            panic!("{opened:?}");
        };
        assert!(why.len() < 1_500 && !why.contains('\u{1b}'), "{why}");
    }

    #[test]
    fn an_archive_at_its_limit_fits_an_envelope() {
        let bytes = vec![0; 1_000];
        let value = json!({"filename": "a.zip", "code": STANDARD.encode(bytes)});
        assert!((value.to_string().len() as u64) < max_bytes(1_000));
        assert_eq!(max_bytes(u64::MAX), u64::MAX);
    }
}
