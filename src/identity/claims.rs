//! What a sidecar, or the metadata of an envelope, says about who submits: read strictly, believed by nobody yet.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::outbox::schema::{self, Schema};
use crate::score::json;

/// A sidecar is a few hundred bytes.
pub const MAX_SIDECAR_BYTES: u64 = 16 << 10;
pub const SCHEMA_VERSION: &str = "prism_submission_meta.v1";

/// Claims that are signed, whether the signature holds or not; or that are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claims {
    Signed(Signed),
    /// Somebody's name without a signature, or nothing at all.
    Unsigned {
        hotkey: Option<String>,
    },
}

/// All four claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub hotkey: String,
    pub nonce: String,
    /// As it was written: this text is signed.
    pub submitted_at: String,
    pub at: SystemTime,
    pub signature: [u8; 64],
}

/// A sidecar that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ClaimsError(pub String);

/// What a check says of a text of a stranger's, which it may quote: bounded, and without control characters.
pub(crate) fn brief(problem: impl ToString) -> String {
    const MAX_CHARACTERS: usize = 400;
    let plain = |character: char| {
        if character.is_control() {
            '\u{fffd}'
        } else {
            character
        }
    };
    problem
        .to_string()
        .chars()
        .take(MAX_CHARACTERS)
        .map(plain)
        .collect()
}

/// Reads a sidecar.
///
/// # Errors
/// [`ClaimsError`]: too large, no JSON, a key twice, or not of the schema `submission_meta`.
pub fn sidecar(bytes: &[u8]) -> Result<Claims, ClaimsError> {
    if bytes.len() as u64 > MAX_SIDECAR_BYTES {
        return Err(ClaimsError(format!(
            "sidecar: got more than {MAX_SIDECAR_BYTES} bytes"
        )));
    }
    let value =
        json::parse(bytes).map_err(|error| ClaimsError(brief(format!("sidecar: {error}"))))?;
    schema::check("sidecar".as_ref(), Schema::SubmissionMeta, &value)
        .map_err(|error| ClaimsError(brief(error)))?;
    of(&value)
}

/// The claims among the members of an object; others are left alone.
///
/// # Errors
/// [`ClaimsError`] for a signature without what it is over, and values of another form.
pub fn of(value: &Value) -> Result<Claims, ClaimsError> {
    let text = |name: &str| match &value[name] {
        Value::Null => Ok(None),
        Value::String(text) if !text.is_empty() && text.len() <= 128 => Ok(Some(text.clone())),
        Value::Number(number) if name == "submitted_at" => Ok(Some(number.to_string())),
        Value::String(text) if name == "signature" && text.len() <= 130 => Ok(Some(text.clone())),
        _ => Err(ClaimsError(format!(
            "{name}: expected a text of at most 128 characters"
        ))),
    };
    let hotkey = text("hotkey")?;
    let Some(signature) = text("signature")? else {
        return Ok(Claims::Unsigned { hotkey });
    };
    let needed = |value: Option<String>, name: &str| {
        value.ok_or_else(|| ClaimsError(format!("{name}: missing beside a signature")))
    };
    let hotkey = needed(hotkey, "hotkey")?;
    let nonce = needed(text("nonce")?, "nonce")?;
    let submitted_at = needed(text("submitted_at")?, "submitted_at")?;
    // no colon: the parts of the message that is signed cannot be shifted
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !nonce.bytes().all(is_plain) {
        return Err(ClaimsError(
            "nonce: expected ASCII letters, digits, '.', '_' and '-'".to_owned(),
        ));
    }
    let at = time(&submitted_at).ok_or_else(|| {
        ClaimsError(format!(
            "submitted_at: got {submitted_at:?}, expected seconds since 1970 or RFC 3339 in UTC"
        ))
    })?;
    let digits = signature.strip_prefix("0x").unwrap_or(&signature);
    let signature = super::unhex(digits).ok_or_else(|| {
        ClaimsError("signature: expected 128 hexadecimal digits, with or without 0x".to_owned())
    })?;
    Ok(Claims::Signed(Signed {
        hotkey,
        nonce,
        submitted_at,
        at,
        signature,
    }))
}

fn time(text: &str) -> Option<SystemTime> {
    if let Ok(seconds) = text.parse::<u64>() {
        return UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    }
    // as Python's time.time() prints it
    if let Some((whole, fraction)) = text.split_once('.')
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(seconds) = whole.parse::<u64>()
    {
        return UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    }
    humantime::parse_rfc3339(text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whole() -> Value {
        json!({"hotkey": "5G", "submitted_at": 1_795_266_309, "nonce": "n-1", "signature": "0".repeat(128)})
    }

    fn read(value: &Value) -> Result<Claims, ClaimsError> {
        sidecar(value.to_string().as_bytes())
    }

    #[test]
    fn times_are_signed_as_they_are_written() {
        let at = UNIX_EPOCH + Duration::from_secs(1_795_266_309);
        for (written, signed) in [
            (json!(1_795_266_309), "1795266309"),
            (json!("1795266309"), "1795266309"),
            (json!(1_795_266_309.25), "1795266309.25"),
            (json!("2026-11-21T13:05:09Z"), "2026-11-21T13:05:09Z"),
        ] {
            let mut value = whole();
            value["submitted_at"] = written;
            let Ok(Claims::Signed(claims)) = read(&value) else {
                panic!("{value}");
            };
            assert_eq!((claims.submitted_at.as_str(), claims.at), (signed, at));
        }
    }

    #[test]
    fn a_name_without_a_signature_is_a_name() {
        let named = Claims::Unsigned {
            hotkey: Some("5G".to_owned()),
        };
        assert_eq!(read(&json!({"hotkey": "5G"})), Ok(named));
        let nobody = Claims::Unsigned { hotkey: None };
        for metadata in [Value::Null, json!({}), json!({"team": "b"})] {
            assert_eq!(of(&metadata), Ok(nobody.clone()), "{metadata}");
        }
    }

    #[test]
    fn each_slip_is_named() {
        let with = |name: &str, value: Value| {
            let mut sidecar = whole();
            sidecar[name] = value;
            sidecar.to_string()
        };
        let cases = [
            ("{".to_owned(), "sidecar: "),
            ("[]".to_owned(), "is not of type"),
            ("{}".to_owned(), "hotkey"),
            (r#"{"hotkey": "a", "hotkey": "b"}"#.to_owned(), "hotkey"),
            (with("coldkey", json!("5H")), "coldkey"),
            (with("hotkey", json!(5)), "/hotkey"),
            (with("nonce", Value::Null), "nonce"),
            (with("nonce", json!("a:b")), "/nonce"),
            (with("submitted_at", json!("noon")), "submitted_at"),
            (with("submitted_at", json!(-1)), "submitted_at"),
            (with("signature", json!("00")), "/signature"),
            (with("schema_version", json!("v9")), "/schema_version"),
            (format!("{{}}{}", " ".repeat(20_000)), "16384 bytes"),
            (with(&"\u{1b}x".repeat(2_000), json!(1)), "sidecar"),
        ];
        for (text, expected) in cases {
            let error = sidecar(text.as_bytes()).expect_err(&text).to_string();
            assert!(error.contains(expected), "{text:.60}: {error}");
            assert!(error.len() < 1_500 && !error.contains('\u{1b}'), "{error}");
        }
    }
}
