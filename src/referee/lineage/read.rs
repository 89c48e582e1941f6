//! Reading the record of a run that was ended: what stands on it, and whether a run can go on from it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::kept::KeptCheckpoint;
use super::line::{Begun, Ended, Line, Resumed, StepLine};
use super::{RECORD, SNAPSHOTS};
use crate::referee::saved_weights;

/// What stands on record.
#[derive(Debug, Clone, PartialEq)]
pub struct PastRecord {
    pub begun: Begun,
    /// Steps 0, 1, 2, ….
    pub steps: Vec<StepLine>,
    pub ended: Option<Ended>,
    /// The newest.
    pub checkpoint: Option<KeptCheckpoint>,
    pub resumes: Vec<Resumed>,
    /// Length of the record up to its last whole line.
    pub bytes: u64,
}

/// The checkpoint that a run can go on from: the newest, if it and the snapshots that are still to be replayed are there
/// as they were. None: the run begins at its beginning.
///
/// # Errors
/// Those of reading the record; a record that makes no sense is none.
pub fn look(folder: &Path) -> std::io::Result<Option<KeptCheckpoint>> {
    let Some(past) = read(folder)? else {
        return Ok(None);
    };
    let has_snapshots = past.steps.iter().all(|line| {
        let replayed = line
            .snapshot
            .as_ref()
            .is_some_and(|snapshot| snapshot.nats_bits.is_some());
        let place = folder.join(SNAPSHOTS).join(line.step.to_string());
        !replayed || place.join(saved_weights::FILE).is_file()
    });
    Ok(past
        .checkpoint
        .filter(|checkpoint| has_snapshots && checkpoint.is_whole(folder)))
}

/// Reads the record, but for a last line that a kill tore. None: there is no record, or none that makes sense.
pub fn read(folder: &Path) -> std::io::Result<Option<PastRecord>> {
    let content = match fs::read(folder.join(RECORD)) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let whole = content
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    Ok(fold(&content[..whole]))
}

fn fold(content: &[u8]) -> Option<PastRecord> {
    let mut lines = content.split_inclusive(|&byte| byte == b'\n');
    let Ok(Line::Begun(begun)) = serde_json::from_slice(lines.next()?) else {
        return None;
    };
    let mut past = PastRecord {
        begun,
        steps: Vec::new(),
        ended: None,
        checkpoint: None,
        resumes: Vec::new(),
        bytes: content.len() as u64,
    };
    for line in lines {
        match serde_json::from_slice(line).ok()? {
            Line::Begun(_) => return None,
            Line::Step(step) => {
                if step.step as usize != past.steps.len() || past.ended.is_some() {
                    return None;
                }
                past.steps.push(*step);
            }
            Line::Checkpoint(checkpoint) => {
                // A model knows no more than what it was charged for.
                if checkpoint.step as usize > past.steps.len() {
                    return None;
                }
                past.checkpoint = Some(checkpoint);
            }
            Line::Ended(ended) => past.ended = Some(ended),
            Line::Resumed(resumed) => past.resumes.push(resumed),
        }
    }
    Some(past)
}
