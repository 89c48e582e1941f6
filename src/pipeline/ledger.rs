//! The statuses of an outbox, each parsed once for each state of its file: ten thousand submissions are looked over after
//! every run, and one of them has changed.

use std::collections::HashMap;
use std::fs;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::outbox::file_stamp::FileStamp;
use crate::outbox::status::{self, Status};
use crate::outbox::{Outbox, OutboxError};

/// All submissions of an outbox, by id; one whose status cannot be read costs nobody else anything.
#[derive(Debug, Default)]
pub struct Statuses {
    pub readable: Vec<Status>,
    pub unreadable: Vec<String>,
}

/// What was read so far.
#[derive(Debug, Default)]
pub struct Ledger {
    known: Mutex<HashMap<String, (FileStamp, Status)>>,
}

/// A status as it was found.
enum Found {
    Known(Status),
    Read(Option<FileStamp>, Status),
    Unreadable(String),
}

impl Ledger {
    /// Every submission that has a `status.json`.
    ///
    /// # Errors
    /// An outbox that cannot be listed.
    pub fn statuses(&self, outbox: &Outbox) -> Result<Statuses, OutboxError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = ids(outbox)?;
        let found: Vec<(String, Found)> = ids
            .into_par_iter()
            .filter_map(|id| {
                let found = look(outbox, &id, known.get(&id))?;
                Some((id, found))
            })
            .collect();
        let mut statuses = Statuses::default();
        for (id, found) in found {
            match found {
                Found::Known(status) => statuses.readable.push(status),
                Found::Read(stamp, status) => {
                    match stamp {
                        Some(stamp) => known.insert(id, (stamp, status.clone())),
                        None => known.remove(&id),
                    };
                    statuses.readable.push(status);
                }
                Found::Unreadable(problem) => {
                    known.remove(&id);
                    statuses.unreadable.push(problem);
                }
            }
        }
        Ok(statuses)
    }
}

/// Folders that are no one's own secret, in the order of their names.
fn ids(outbox: &Outbox) -> Result<Vec<String>, OutboxError> {
    let at = || crate::outbox::at(&outbox.root);
    let mut ids = Vec::new();
    for entry in fs::read_dir(&outbox.root).map_err(at())? {
        let entry = entry.map_err(at())?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        // Ours are plain; a name that is no text is nobody's.
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if is_folder && !name.starts_with('.') {
            ids.push(name);
        }
    }
    ids.sort();
    Ok(ids)
}

fn look(outbox: &Outbox, id: &str, known: Option<&(FileStamp, Status)>) -> Option<Found> {
    let path = outbox.submission(id).join(status::FILE);
    let stamp = match FileStamp::of(&path) {
        Ok(stamp) => stamp,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Found::Unreadable(format!("{}: {error}", path.display()))),
    };
    if let Some((before, status)) = known
        && *before == stamp
    {
        return Some(Found::Known(status.clone()));
    }
    let read = Status::read_file(&path).and_then(|status| {
        if status.submission_id == id {
            return Ok(status);
        }
        Err(OutboxError::Unreadable {
            path: path.clone(),
            reason: format!("it is of submission {}", status.submission_id),
        })
    });
    Some(match read {
        // One that changed while it was read is read again the next time.
        Ok(status) => Found::Read(
            Some(stamp.clone())
                .filter(|before| FileStamp::of(&path).is_ok_and(|now| now == *before)),
            status,
        ),
        Err(error) => Found::Unreadable(format!("{error} ({})", error.hint())),
    })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::outbox::status::State;

    #[test]
    fn what_changed_is_read_again_and_a_broken_one_costs_only_itself() {
        let root = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(root.path());
        let ledger = Ledger::default();
        let states = |ledger: &Ledger| -> Vec<State> {
            let found = ledger.statuses(&outbox).unwrap();
            found.readable.iter().map(|status| status.state).collect()
        };
        let mut status = Status::new("b", "b.zip", None, SystemTime::now());
        status.write(&outbox).unwrap();
        Status::new("a", "a.zip", None, SystemTime::now())
            .write(&outbox)
            .unwrap();
        assert_eq!(states(&ledger), [State::Received, State::Received]);
        status.advance(State::Bundled, SystemTime::now());
        status.write(&outbox).unwrap();
        assert_eq!(states(&ledger), [State::Received, State::Bundled]);
        fs::write(root.path().join("a/status.json"), "{").unwrap();
        fs::create_dir_all(root.path().join("c/status.json")).unwrap();
        fs::rename(root.path().join("b"), root.path().join("d")).unwrap();
        let found = ledger.statuses(&outbox).unwrap();
        assert!(found.readable.is_empty());
        assert_eq!(found.unreadable.len(), 3, "{:?}", found.unreadable);
    }
}
