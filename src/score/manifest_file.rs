//! Loading a manifest for rescoring: by a skim where that is enough, with care where it is not.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::error::ScoreError;
use super::json::{self, MAX_JSON_BYTES};
use super::skim::skim;

/// The kind of manifest that the v2 rules, and this project, write.
pub const MANIFEST_V2: &str = "prism_run_manifest.v2";

/// The kind of manifest that the v1 rules read.
pub const MANIFEST_V1: &str = "prism_run_manifest.v1";

/// Room that a reader starts with: a manifest of 1,500 steps and some more.
const FIRST_ROOM_BYTES: usize = 128 << 10;

/// Reads and parses a manifest of at most [`MAX_JSON_BYTES`]. `room` is kept from file to file.
///
/// # Errors
/// [`ScoreError::Io`], [`ScoreError::TooLarge`], and those of [`json::parse`].
pub fn load(path: &Path, room: &mut Vec<u8>) -> Result<Value, ScoreError> {
    let length = fill(path, room)?;
    parse(room.get(..length).unwrap_or_default())
}

/// A manifest with at least the fields that its rules read.
///
/// # Errors
/// Those of [`json::parse`].
pub fn parse(bytes: &[u8]) -> Result<Value, ScoreError> {
    match skim(bytes) {
        // a skim holds what the v2 rules read; those of v1 read almost all there is
        Some(manifest) if schema_version(&manifest) != Some(MANIFEST_V1) => Ok(manifest),
        _ => json::parse(bytes),
    }
}

/// What kind of document this says it is.
pub fn schema_version(document: &Value) -> Option<&str> {
    document.get("schema_version").and_then(Value::as_str)
}

/// Reads a file to its end, whatever its length on record: it may grow, or be a pipe. Returns the bytes read.
fn fill(path: &Path, room: &mut Vec<u8>) -> Result<usize, ScoreError> {
    let io = |source| ScoreError::Io {
        action: "read",
        path: path.to_path_buf(),
        source,
    };
    let mut file = File::open(path).map_err(io)?;
    let mut length = 0;
    loop {
        if room.len() == length {
            room.resize((length * 2).max(FIRST_ROOM_BYTES), 0);
        }
        match file.read(&mut room[length..]) {
            Ok(0) => return Ok(length),
            Ok(count) => length += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io(error)),
        }
        if length as u64 > MAX_JSON_BYTES {
            let on_record = file.metadata().map_or(0, |metadata| metadata.len());
            return Err(ScoreError::TooLarge {
                path: path.to_path_buf(),
                bytes: on_record.max(length as u64),
                limit_bytes: MAX_JSON_BYTES,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_to_their_end_with_one_room_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let mut room = Vec::new();
        let path = folder.path().join("a.json");
        for losses in [200_000, 1] {
            let text = format!(
                "{{\"metrics\": {{\"online_loss\": [{}]}}, \"other\": 1}}",
                vec!["1.5"; losses].join(", ")
            );
            std::fs::write(&path, text).unwrap();
            let manifest = load(&path, &mut room).unwrap();
            assert_eq!(
                manifest.to_string(),
                r#"{"metrics":{"online_loss":[null]}}"#
            );
        }
        assert!(matches!(
            load(&folder.path().join("absent"), &mut room),
            Err(ScoreError::Io { .. })
        ));
    }

    #[test]
    fn huge_and_endless_files_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge.json");
        // a sparse file: its length is on record only
        File::create(&path).unwrap().set_len(1 << 30).unwrap();
        match load(&path, &mut Vec::new()).unwrap_err() {
            ScoreError::TooLarge { bytes, .. } => assert_eq!(bytes, 1 << 30),
            other => panic!("{other}"),
        }
        let endless = load(Path::new("/dev/zero"), &mut Vec::new());
        assert!(matches!(endless, Err(ScoreError::TooLarge { .. })));
    }

    #[test]
    fn a_v1_manifest_is_read_whole() {
        let text = br#"{"schema_version": "prism_run_manifest.v1", "mode": "x", "data": {"y": 1}}"#;
        assert_eq!(parse(text).unwrap(), json::parse(text).unwrap());
    }
}
