//! Verdicts that an outbox has, so that the same content is asked about once: by bundle, prompt and model. Files that appear
//! whole; one that is broken is as if it were not there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::SystemTime;

use super::prompt::Ask;
use super::record::Record;
use crate::bundle::Bundle;
use crate::digest::sha256;
use crate::outbox::schema::Schema;
use crate::outbox::{Outbox, OutboxError, at, atomic};

/// Its folder in an outbox, the operator's alone: it quotes submissions.
pub const FOLDER: &str = ".gate";

/// The verdicts of one outbox.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    most: usize,
}

impl Cache {
    /// With at most so many verdicts; 0: none is kept or found.
    pub fn of(outbox: &Outbox, most: u32) -> Self {
        Self {
            folder: outbox.root.join(FOLDER),
            most: most as usize,
        }
    }

    /// The verdict on this very question, where it still holds.
    pub fn get(&self, bundle: &Bundle, ask: &Ask<'_>) -> Option<Record> {
        if self.most == 0 {
            return None;
        }
        let record = Record::read(&self.path(bundle, ask)).ok()?;
        let is_it = record.model.as_deref() == ask.model
            && record.prompt_sha256 == ask.prompt_sha256()
            && record.problems(bundle).is_empty()
            && record.doubt(bundle).is_none();
        is_it.then_some(record)
    }

    /// Keeps a verdict, and forgets the oldest ones over the limit.
    ///
    /// # Errors
    /// Those of the files.
    pub fn put(&self, bundle: &Bundle, ask: &Ask<'_>, record: &Record) -> Result<(), OutboxError> {
        if self.most == 0 {
            return Ok(());
        }
        atomic::create_folder(&self.folder)?;
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o700))
            .map_err(at(&self.folder))?;
        let kept = Record {
            circumstances: None,
            ..record.clone()
        };
        atomic::write_json(&self.path(bundle, ask), Schema::Gate, &kept)?;
        self.forget()
    }

    fn path(&self, bundle: &Bundle, ask: &Ask<'_>) -> PathBuf {
        let model = ask.model.unwrap_or_default();
        let key = format!("{}\n{}\n{model}", bundle.digest, ask.prompt_sha256());
        self.folder.join(format!("{}.json", sha256(key.as_bytes())))
    }

    fn forget(&self) -> Result<(), OutboxError> {
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(at(&self.folder))? {
            let entry = entry.map_err(at(&self.folder))?;
            let modified = entry.metadata().and_then(|facts| facts.modified());
            files.push((modified.unwrap_or(SystemTime::UNIX_EPOCH), entry.path()));
        }
        let over = files.len().saturating_sub(self.most);
        if over > 0 {
            files.sort();
        }
        for (_, path) in files.into_iter().take(over) {
            atomic::remove_file(&path)?;
        }
        Ok(())
    }
}
