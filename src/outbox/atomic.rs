//! Files appear whole or not at all: temporary name in the same folder, fsync, rename, fsync of the folder.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::schema::{self, Schema};
use super::{OutboxError, at};

/// Writes bytes under a name in one step.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), OutboxError> {
    use std::os::unix::fs::PermissionsExt;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".prism-")
        .suffix(".tmp")
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(at(path))?;
    file.write_all(bytes).map_err(at(path))?;
    file.as_file().sync_all().map_err(at(path))?;
    file.persist(path).map_err(|error| OutboxError::Io {
        path: path.to_owned(),
        source: error.error,
    })?;
    sync_folder(folder)
}

/// Writes a value as JSON (sorted keys, indent 2, final newline) after it was found to fit its schema.
pub fn write_json(path: &Path, schema: Schema, value: &impl Serialize) -> Result<(), OutboxError> {
    let bytes = json_bytes(path, schema, value)?;
    write_bytes_if_new(path, &bytes)
}

/// A value as JSON (sorted keys, indent 2, final newline) after it was found to fit its schema.
pub fn json_bytes(
    path: &Path,
    schema: Schema,
    value: &impl Serialize,
) -> Result<Vec<u8>, OutboxError> {
    let unreadable = |error: serde_json::Error| OutboxError::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    // Through a Value: its maps are sorted, whatever the order of a struct's fields.
    let value = serde_json::to_value(value).map_err(unreadable)?;
    schema::check(path, schema, &value)?;
    let mut text = serde_json::to_string_pretty(&value).map_err(unreadable)?;
    text.push('\n');
    Ok(text.into_bytes())
}

/// Writes a file, unless it says the same already: running again changes nothing, not even a time of modification.
pub fn write_bytes_if_new(path: &Path, bytes: &[u8]) -> Result<(), OutboxError> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    write(path, bytes)
}

/// Moves a finished file or folder to its public name.
pub fn publish(from: &Path, to: &Path) -> Result<(), OutboxError> {
    std::fs::rename(from, to).map_err(at(to))?;
    sync_folder(to.parent().unwrap_or(Path::new(".")))
}

/// A rename survives a power failure only when its folder was synced.
pub fn sync_folder(folder: &Path) -> Result<(), OutboxError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(at(folder))
}
