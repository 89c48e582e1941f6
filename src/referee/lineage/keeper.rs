//! Writing the record, line by line, and taking checkpoints out of the sandbox's reach.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::kept::{self, KeptCheckpoint, checkpoint_folder};
use super::line::{Begun, Line, Resumed};
use super::read::{self, PastRecord};
use super::{LineagePlan, RECORD, RETURN};
use crate::outbox::atomic;
use crate::outbox::fault::{self, Step};
use crate::outbox::status::rfc3339;
use crate::referee::checkpoint;
use crate::referee::measured::Fault;
use crate::referee::stop::Stop;
use crate::referee::v1_outcome;

/// The lineage of a run that is under way.
#[derive(Debug)]
pub struct Keeper {
    record: File,
    folder: PathBuf,
    every_steps: u32,
    submission_id: String,
    attempt: u32,
    /// What the sandbox writes to.
    artifacts: PathBuf,
    resume: Option<KeptCheckpoint>,
    pub resumes: Vec<Resumed>,
}

impl Keeper {
    /// Opens the record of `lineage`: an empty one, or the one that the run goes on with, and what stands on it.
    pub fn open(
        lineage: &LineagePlan,
        submission_id: &str,
        attempt: u32,
        artifacts: PathBuf,
    ) -> Result<(Self, Option<PastRecord>), Stop> {
        let ours = |error| Stop::io("the record of the stream")(error);
        let past = match &lineage.resume {
            Some(_) => read::read(&lineage.folder).map_err(ours)?,
            None => None,
        };
        if past.is_none() && lineage.resume.is_some() {
            return Err(Stop::infrastructure("the record of the stream is gone"));
        }
        let record = OpenOptions::new()
            .create(true)
            .append(true)
            .open(lineage.folder.join(RECORD))
            .map_err(ours)?;
        // A line that a kill tore is none.
        record
            .set_len(past.as_ref().map_or(0, |past| past.bytes))
            .map_err(ours)?;
        let keeper = Self {
            record,
            folder: lineage.folder.clone(),
            every_steps: lineage.every_steps,
            submission_id: submission_id.to_owned(),
            attempt,
            artifacts,
            resume: lineage.resume.clone(),
            resumes: past
                .as_ref()
                .map_or_else(Vec::new, |past| past.resumes.clone()),
        };
        Ok((keeper, past))
    }

    /// The run asked for batches of this shape.
    ///
    /// # Errors
    /// `prism:geometry` where a run that goes on asks for another one than before.
    pub fn begin(&mut self, begun: &Begun, past: Option<&PastRecord>) -> Result<(), Stop> {
        let (Some(past), Some(from)) = (past, &self.resume) else {
            return self.append(&Line::Begun(begun.clone()));
        };
        let before = &past.begun;
        if (before.stream_tokens, before.stream_bytes) != (begun.stream_tokens, begun.stream_bytes)
            && before.tokenizer == begun.tokenizer
        {
            return Err(Stop::infrastructure(
                "the text of the stream is not that of the record",
            ));
        }
        if before != begun {
            return Err(Fault::new(
                "prism:geometry",
                format!(
                    "resumed from a checkpoint, the run asked for batches of {} x {} ({}), before for {} x {} ({})",
                    begun.batch_size, begun.seq_len, begun.tokenizer, before.batch_size, before.seq_len, before.tokenizer
                ),
                "get_recipe must return the same batch_size when ctx.is_resume is true",
            )
            .into());
        }
        let resumed = Resumed {
            attempt: self.attempt,
            from_attempt: from.attempt,
            checkpoint_step: from.step,
            record_steps: past.steps.len() as u32,
            path: from.accepted.path.clone(),
            sha256: from.sha256().to_owned(),
        };
        self.resumes.push(resumed.clone());
        self.append(&Line::Resumed(resumed))
    }

    /// Puts a line on record.
    pub fn append(&mut self, line: &Line) -> Result<(), Stop> {
        let ours = |error: std::io::Error| Stop::io("the record of the stream")(error);
        let mut bytes =
            serde_json::to_vec(line).map_err(|error| ours(std::io::Error::other(error)))?;
        bytes.push(b'\n');
        fault::write(&mut self.record, &bytes, &self.folder.join(RECORD)).map_err(ours)
    }

    /// Whether a checkpoint is taken after `steps` batches.
    pub fn is_due(&self, steps: usize) -> bool {
        self.every_steps > 0 && steps.is_multiple_of(self.every_steps as usize)
    }

    /// Takes the checkpoint that the runner just told of: the model after `steps` batches. Every process inside stands
    /// still meanwhile. Older ones are removed, but for the one that the run went on from.
    ///
    /// # Errors
    /// `prism:checkpoint` for one that is not accepted.
    pub fn keep(
        &mut self,
        steps: usize,
        spent: Duration,
        referee_time: Duration,
    ) -> Result<(), Stop> {
        let returned = v1_outcome::read_return(&self.artifacts.join(RETURN))?;
        let home = checkpoint::folder(&self.submission_id, self.attempt);
        let accepted = checkpoint::accept(&self.artifacts, &home, &returned, checkpoint::MAX_BYTES)
            .map_err(v1_outcome::refused)?;
        let step = steps as u32;
        let (to, draft) = (
            checkpoint_folder(&self.folder, step),
            self.folder.join("checkpoint.draft"),
        );
        let ours = |error: std::io::Error| Stop::io("a copy of the checkpoint")(error);
        let outbox = |error: crate::outbox::OutboxError| Stop::infrastructure(error.to_string());
        for left in [&draft, &to] {
            atomic::remove_folder(left).map_err(outbox)?;
        }
        let from = self.artifacts.join(&home);
        let files = kept::copy_out(&from, &draft, checkpoint::MAX_BYTES)?;
        atomic::publish(&draft, &to).map_err(outbox)?;
        self.append(&Line::Checkpoint(KeptCheckpoint {
            step,
            attempt: self.attempt,
            accepted,
            files,
            created_at: rfc3339(SystemTime::now()),
            spent_s: spent.as_secs_f64(),
            referee_s: referee_time.as_secs_f64(),
        }))?;
        fault::step(Step::Sync, &to)
            .and_then(|()| self.record.sync_data())
            .map_err(ours)?;
        self.forget_older(&to).map_err(ours)
    }

    fn forget_older(&self, newest: &Path) -> std::io::Result<()> {
        let resumed_from = self
            .resume
            .as_ref()
            .map(|from| checkpoint_folder(&self.folder, from.step));
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let is_checkpoint = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"checkpoint-"));
            if is_checkpoint && path != newest && Some(&path) != resumed_from.as_ref() {
                atomic::remove_folder(&path).map_err(std::io::Error::other)?;
            }
        }
        Ok(())
    }
}
