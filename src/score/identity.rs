//! Who submitted what, and when it was accepted: from an index file, or from the manifest itself.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::error::ScoreError;
use super::index_file;
use super::instant;

/// Whose a submission is. Without a hotkey it ranks as its own owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub hotkey: Option<String>,
    /// Milliseconds since 1970, UTC.
    pub accepted_at_unix_ms: Option<u64>,
}

/// Identities by submission.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index(HashMap<String, Identity>);

impl Index {
    /// Reads an index: CSV, JSON or Parquet by the end of its name, with `submission_id`, `hotkey` and `accepted_at`.
    ///
    /// # Errors
    /// [`ScoreError::Io`], [`ScoreError::TooLarge`], [`ScoreError::BadIndex`] for a file of another form, a row without
    /// submission, a time that is none, and two rows that contradict each other.
    pub fn read(path: &Path) -> Result<Self, ScoreError> {
        let mut identities: HashMap<String, Identity> = HashMap::new();
        for (place, row) in index_file::rows(path)? {
            let fault = |what: String| ScoreError::BadIndex {
                path: path.to_path_buf(),
                what: format!("{place}: {what}"),
            };
            let id = text(&row, "submission_id")
                .map_err(fault)?
                .ok_or_else(|| fault("submission_id: missing, expected a text".to_owned()))?;
            let identity = Identity::of(&row).map_err(fault)?;
            match identities.get(&id) {
                Some(known) if *known != identity => {
                    return Err(fault(format!(
                        "{id} is listed before with another identity"
                    )));
                }
                _ => identities.insert(id, identity),
            };
        }
        Ok(Self(identities))
    }

    /// The identity of a submission, if the index has it.
    pub fn get(&self, submission_id: &str) -> Option<&Identity> {
        self.0.get(submission_id)
    }
}

impl Identity {
    /// `hotkey` and `accepted_at` of an object; absent, null and empty are none.
    ///
    /// # Errors
    /// What is wrong with either.
    pub fn of(fields: &Map<String, Value>) -> Result<Self, String> {
        let accepted_at_unix_ms = match fields.get("accepted_at") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if text.trim().is_empty() => None,
            Some(value) => {
                let ms = match value {
                    Value::String(text) => instant::unix_ms(text),
                    other => other.as_f64().and_then(instant::unix_ms_of_number),
                };
                Some(ms.ok_or_else(|| {
                    format!(
                        "accepted_at: {}, expected an RFC 3339 time or seconds since 1970",
                        shortened(value)
                    )
                })?)
            }
        };
        Ok(Self {
            hotkey: text(fields, "hotkey")?,
            accepted_at_unix_ms,
        })
    }

    /// This identity, with what it lacks from another.
    pub fn or(self, other: Self) -> Self {
        Self {
            hotkey: self.hotkey.or(other.hotkey),
            accepted_at_unix_ms: self.accepted_at_unix_ms.or(other.accepted_at_unix_ms),
        }
    }
}

fn text(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("{name}: {}, expected a text", shortened(other))),
    }
}

fn shortened(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(name: &str, text: &str) -> Result<Index, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Index::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn csv_and_json_say_the_same() {
        let csv = "accepted_at,submission_id,hotkey,note\n2026-11-21T12:00:00Z,a,\"k,1\",x\n,b,,y\n1795262400,c,l,\n";
        let list = json!([
            {"submission_id": "a", "hotkey": "k,1", "accepted_at": "2026-11-21T12:00:00+00:00"},
            {"submission_id": "b", "hotkey": null},
            {"submission_id": "c", "hotkey": "l", "accepted_at": 1_795_262_400},
        ]);
        let object = json!({
            "a": {"hotkey": "k,1", "accepted_at": "2026-11-21 12:00:00"}, "b": {},
            "c": {"hotkey": "l", "accepted_at": 1_795_262_400_000_u64},
        });
        let index = read("index.csv", csv).unwrap();
        assert_eq!(
            index.get("a").unwrap(),
            &Identity {
                hotkey: Some("k,1".to_owned()),
                accepted_at_unix_ms: Some(1_795_262_400_000)
            }
        );
        assert_eq!(index.get("b"), Some(&Identity::default()));
        assert_eq!(index.get("d"), None);
        assert_eq!(read("index.json", &list.to_string()).unwrap(), index);
        assert_eq!(read("index.json", &object.to_string()).unwrap(), index);
        let lines = list.as_array().unwrap().iter().map(Value::to_string);
        assert_eq!(
            read("index.jsonl", &lines.collect::<Vec<_>>().join("\n")).unwrap(),
            index
        );
    }

    #[test]
    fn faults_name_their_place() {
        for (name, text, fault) in [
            ("a.csv", "id,hotkey\na,k\n", "no column submission_id"),
            (
                "a.csv",
                "submission_id,hotkey\na,k\n,l\n",
                "line 3: submission_id: missing",
            ),
            (
                "a.csv",
                "submission_id,accepted_at\na,soon\n",
                "line 2: accepted_at: \"soon\"",
            ),
            (
                "a.csv",
                "submission_id,hotkey\na,k\na,l\n",
                "line 3: a is listed before",
            ),
            ("a.csv", "submission_id,hotkey\na,k,3\n", "fields"),
            (
                "a.json",
                "[{\"submission_id\": 3}]",
                "entry 1: submission_id: 3, expected a text",
            ),
            ("a.json", "[3]", "entry 1: expected an object"),
            ("a.json", "3", "expected a list or an object"),
            ("a.json", "[{\"submission_id\": NaN}]", "not finite"),
            ("a.parquet", "PAR1", "parquet"),
            (
                "a.txt",
                "",
                "expected a name that ends in .csv, .json, .jsonl or .parquet",
            ),
        ] {
            let error = read(name, text).unwrap_err();
            assert!(error.contains(fault), "{text}: {error}");
        }
        assert!(Index::read(Path::new("/nonexistent.csv")).is_err());
    }
}
