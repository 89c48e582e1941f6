//! Reading JSON as Python writes it.
//!
//! Python's `json` writes `NaN`, `Infinity` and `-Infinity`, which are not JSON. They are recognised here, and are an
//! error that names their places: never a crash and never a silent null. A key that occurs twice is an error too, where
//! serde_json alone would keep the last one. Depth is limited by serde_json (128).

use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::error::ScoreError;

/// Largest JSON document that is read. A manifest of 100,000 steps has about 2 MB.
pub const MAX_JSON_BYTES: u64 = 32 << 20;

/// Places of non-finite numbers that an error names; the rest is counted.
const MAX_PLACES: usize = 20;

/// What stands in for a token while the rest is parsed. The control character is legal inside a JSON text only as an
/// escape; a document that holds this very text would be refused as not finite.
const STAND_IN: &str = "\\u0000prism ";

/// Reads and parses a file of at most [`MAX_JSON_BYTES`].
///
/// # Errors
/// [`ScoreError::Io`], [`ScoreError::TooLarge`], and those of [`parse`].
pub fn read(path: &Path) -> Result<Value, ScoreError> {
    let io = |source| ScoreError::Io {
        action: "read",
        path: path.to_path_buf(),
        source,
    };
    let file = std::fs::File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    // the size on record may be a lie (it grows, it is a pipe): what is read is what counts
    file.take(MAX_JSON_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > MAX_JSON_BYTES {
        let on_record = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        return Err(ScoreError::TooLarge {
            path: path.to_path_buf(),
            bytes: on_record.max(bytes.len() as u64),
            limit_bytes: MAX_JSON_BYTES,
        });
    }
    parse(&bytes)
}

/// Parses one document.
///
/// # Errors
/// [`ScoreError::NonFiniteJson`] for a document that is JSON but for Python's non-finite numbers,
/// [`ScoreError::MalformedJson`] for any other fault, with line and column.
pub fn parse(bytes: &[u8]) -> Result<Value, ScoreError> {
    let first_fault = match strict(bytes) {
        Ok(value) => return Ok(value),
        Err(fault) => fault,
    };
    let Some(replaced) = replace_non_finite(bytes) else {
        return Err(first_fault);
    };
    let mut places = Vec::new();
    collect_places(&strict(&replaced)?, &mut String::new(), &mut places);
    if places.len() > MAX_PLACES {
        let more = places.len() - MAX_PLACES;
        places.truncate(MAX_PLACES);
        places.push(format!("{more} more"));
    }
    Err(ScoreError::NonFiniteJson { places })
}

fn strict(bytes: &[u8]) -> Result<Value, ScoreError> {
    serde_json::from_slice::<Unique>(bytes)
        .map(|unique| unique.0)
        .map_err(|error| ScoreError::MalformedJson {
            what: error.to_string(),
        })
}

/// The document with `NaN`, `Infinity` and `-Infinity` outside texts replaced by [`STAND_IN`] texts; none without any.
fn replace_non_finite(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut replaced = Vec::with_capacity(bytes.len() + 64);
    let mut found = false;
    let mut inside_text = false;
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        if inside_text {
            // an escape takes the next byte with it, so that \" does not end the text
            let taken = if rest[0] == b'\\' {
                rest.len().min(2)
            } else {
                1
            };
            inside_text = rest[0] != b'"';
            replaced.extend_from_slice(&rest[..taken]);
            at += taken;
            continue;
        }
        let token = ["NaN", "Infinity", "-Infinity"]
            .into_iter()
            .find(|token| rest.starts_with(token.as_bytes()));
        match token {
            Some(token) => {
                found = true;
                replaced.extend_from_slice(format!("\"{STAND_IN}{token}\"").as_bytes());
                at += token.len();
            }
            None => {
                inside_text = rest[0] == b'"';
                replaced.push(rest[0]);
                at += 1;
            }
        }
    }
    found.then_some(replaced)
}

/// Appends `path: token` for every stand-in. The depth of `value` is bounded by the parser.
fn collect_places(value: &Value, path: &mut String, places: &mut Vec<String>) {
    let length = path.len();
    match value {
        Value::String(text) => {
            if let Some(token) = text.strip_prefix("\0prism ") {
                places.push(format!(
                    "{}: {token}",
                    if path.is_empty() {
                        "the document"
                    } else {
                        path
                    }
                ));
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                collect_places(value, path, places);
                path.truncate(length);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                if length > 0 {
                    path.push('.');
                }
                path.extend(key.chars().take(80));
                collect_places(value, path, places);
                path.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A JSON value whose objects have every key once.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(value)) = sequence.next_element()? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if fields.contains_key(&key) {
                let shown: String = key.chars().take(80).collect();
                return Err(A::Error::custom(format!("duplicate key {shown:?}")));
            }
            let Unique(value) = entries.next_value()?;
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_json_is_read_to_the_last_bit() {
        let text = br#"{"a": [0.08854080006159118, 1e-300, -3, 18446744073709551615, "NaN", "x\"NaN", null, true]}"#;
        let value = parse(text).unwrap();
        assert_eq!(value, serde_json::from_slice::<Value>(text).unwrap());
        assert_eq!(
            value["a"][0].as_f64().unwrap().to_bits(),
            0.08854080006159118_f64.to_bits()
        );
    }

    #[test]
    fn python_non_finite_numbers_are_named_by_place() {
        let text = br#"{"metrics": {"online_loss": [1.0, NaN, -Infinity], "note": "NaN \" Infinity"}, "b": Infinity}"#;
        match parse(text).unwrap_err() {
            ScoreError::NonFiniteJson { places } => assert_eq!(
                places,
                [
                    "b: Infinity",
                    "metrics.online_loss[1]: NaN",
                    "metrics.online_loss[2]: -Infinity"
                ]
            ),
            other => panic!("{other}"),
        }
        assert_eq!(
            parse(b"NaN").unwrap_err().reasons(),
            ["not a finite number: the document: NaN"]
        );
    }

    #[test]
    fn many_non_finite_numbers_are_counted() {
        let text = format!("[{}NaN]", "NaN,".repeat(99));
        let reasons = parse(text.as_bytes()).unwrap_err().reasons();
        assert_eq!(reasons.len(), MAX_PLACES + 1);
        assert!(
            reasons[MAX_PLACES].ends_with("80 more"),
            "{}",
            reasons[MAX_PLACES]
        );
    }

    #[test]
    fn malformed_documents_are_errors() {
        let deep = "[".repeat(100_000);
        for (text, what) in [
            ("", "EOF"),
            ("{\"a\": 1", "EOF"),
            ("{\"a\": 1, \"a\": 2}", "duplicate key \"a\""),
            (
                "{\"b\": {\"a\": 1, \"\\u0061\": NaN}}",
                "duplicate key \"a\"",
            ),
            ("{} {}", "trailing characters"),
            ("[1e999]", "out of range"),
            ("[NaN", "EOF"),
            ("[nan]", "expected"),
            ("[\"\\ud800\"]", "escape"),
            ("\u{feff}{}", "expected value"),
            (deep.as_str(), "recursion limit"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(
                matches!(error, ScoreError::MalformedJson { .. }),
                "{text}: {error}"
            );
            assert!(error.to_string().contains(what), "{text}: {error}");
        }
        assert!(matches!(
            parse(b"\"\xff\""),
            Err(ScoreError::MalformedJson { .. })
        ));
    }

    #[test]
    fn files_over_the_limit_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge.json");
        // a sparse file: its length is on record only
        std::fs::File::create(&path)
            .unwrap()
            .set_len(1 << 30)
            .unwrap();
        match read(&path).unwrap_err() {
            ScoreError::TooLarge { bytes, .. } => assert_eq!(bytes, 1 << 30),
            other => panic!("{other}"),
        }
        assert!(matches!(
            read(&folder.path().join("absent.json")),
            Err(ScoreError::Io { .. })
        ));
    }
}
