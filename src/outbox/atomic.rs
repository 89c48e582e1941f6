//! The one room that changes an outbox. Files appear whole or not at all: temporary name in the same folder, fsync,
//! rename, fsync of the folder. Every step can be made to fail ([`super::fault`]).

use std::fs::{self, File};
use std::io;
use std::path::Path;

use serde::Serialize;

use super::fault::{self, Step};
use super::schema::{self, Schema};
use super::{OutboxError, at, power};

/// How the drafts of [`write`] are named: a killed process may leave one.
pub const DRAFT_PREFIX: &str = ".prism-";
pub const DRAFT_SUFFIX: &str = ".tmp";

/// Writes bytes under a name in one step.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), OutboxError> {
    use std::os::unix::fs::PermissionsExt;
    let folder = path.parent().unwrap_or(Path::new("."));
    fault::step(Step::Create, path).map_err(at(path))?;
    let mut file = tempfile::Builder::new()
        .prefix(DRAFT_PREFIX)
        .suffix(DRAFT_SUFFIX)
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(at(path))?;
    let draft = file.path().to_owned();
    power::created(&draft);
    fault::write(file.as_file_mut(), bytes, path).map_err(at(path))?;
    fault::step(Step::Sync, path).map_err(at(path))?;
    file.as_file().sync_all().map_err(at(path))?;
    power::synced(&draft);
    fault::step(Step::Rename, path).map_err(at(path))?;
    let replaced = power::keep(path);
    file.persist(path).map_err(|error| OutboxError::Io {
        path: path.to_owned(),
        source: error.error,
    })?;
    power::renamed(&draft, path, replaced);
    sync_folder(folder)
}

/// Writes and syncs a file that nobody sees yet, in a draft folder or a run's own.
pub fn write_unseen(path: &Path, bytes: &[u8]) -> Result<(), OutboxError> {
    fault::step(Step::Create, path).map_err(at(path))?;
    let mut file = File::create(path).map_err(at(path))?;
    power::created(path);
    fault::write(&mut file, bytes, path).map_err(at(path))?;
    sync_file(path)
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
    fault::step(Step::Rename, to).map_err(at(to))?;
    let replaced = power::keep(to);
    std::fs::rename(from, to).map_err(at(to))?;
    power::renamed(from, to, replaced);
    sync_folder(to.parent().unwrap_or(Path::new(".")))
}

/// What was written to a file is on the disk, not only with the kernel.
pub fn sync_file(path: &Path) -> Result<(), OutboxError> {
    fault::step(Step::Sync, path).map_err(at(path))?;
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(at(path))?;
    power::synced(path);
    Ok(())
}

/// A rename survives a power failure only when its folder was synced.
pub fn sync_folder(folder: &Path) -> Result<(), OutboxError> {
    fault::step(Step::SyncFolder, folder).map_err(at(folder))?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(at(folder))?;
    power::folder_synced(folder);
    Ok(())
}

/// Makes a folder that is renamed before anybody looks for it: its name need not last.
pub fn create_draft_folder(folder: &Path) -> Result<(), OutboxError> {
    fault::step(Step::CreateFolder, folder).map_err(at(folder))?;
    fs::create_dir_all(folder).map_err(at(folder))?;
    power::folder_created(folder);
    Ok(())
}

/// Makes a folder and those above it, unless it is there.
pub fn create_folder(folder: &Path) -> Result<(), OutboxError> {
    if folder.is_dir() {
        return Ok(());
    }
    fault::step(Step::CreateFolder, folder).map_err(at(folder))?;
    let new: Vec<&Path> = folder
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && !path.is_dir())
        .collect();
    fs::create_dir_all(folder).map_err(at(folder))?;
    for path in new.iter().rev() {
        power::folder_created(path);
    }
    // A name in a folder that was not synced would take everything below it along.
    for path in new.iter().rev() {
        sync_folder(path.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

/// Removes a file; one that is not there is as good.
pub fn remove_file(path: &Path) -> Result<(), OutboxError> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    fault::step(Step::Remove, path).map_err(at(path))?;
    if power::removed(path) {
        return Ok(());
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Removes a folder with everything in it, however deep a submission made that.
pub fn remove_folder(folder: &Path) -> Result<(), OutboxError> {
    if folder.symlink_metadata().is_err() {
        return Ok(());
    }
    fault::step(Step::Remove, folder).map_err(at(folder))?;
    if power::removed(folder) {
        return Ok(());
    }
    match fs::remove_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A submission can nest folders deeper than the standard library can follow; rm can.
        Err(error) => match duct::cmd!("rm", "-rf", "--", folder).stderr_null().run() {
            Ok(_) => Ok(()),
            Err(_) => Err(at(folder)(error)),
        },
    }
}
