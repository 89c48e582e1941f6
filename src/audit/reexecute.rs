//! `prism audit --reexecute`: the run again, in the sandbox, from what its folder says, in an outbox that is thrown away.

use std::path::Path;
use std::time::SystemTime;

use super::compare;
use super::documents::Documents;
use super::folder::Folder;
use super::identity::MAX_ARCHIVE_BYTES;
use super::report::{Reexecution, ReexecutionResult, shown};
use crate::config::gate::GateMode;
use crate::config::{Config, Order, Quarantine, Target};
use crate::dataset::manifest::Corpus;
use crate::intake::submission_id;
use crate::outbox::status::{State, Status};
use crate::outbox::{Outbox, atomic};
use crate::pipeline::{ARCHIVE, CORPUS_MANIFEST, MANIFEST, Pipeline};
use crate::progress::Progress;
use crate::score::streams::{HELDOUT_FILE, ONLINE_FILE, read_heldout, read_online};

/// Executes the run of a folder again that an audit found consistent, with the places and the sandbox of `config` and the
/// other settings of the run. Decodes the folder's streams in this process: only for folders whose streams were made
/// again before.
pub fn reexecute(path: &Path, config: &Config, progress: &Progress) -> Reexecution {
    match attempt(path, config, progress) {
        Ok(done) => done,
        Err(reason) => Reexecution {
            result: ReexecutionResult::NotPossible,
            statement: shown(&format!("not possible: {reason}")),
            compared_steps: 0,
            largest_difference_nats: 0.0,
            first_difference: None,
        },
    }
}

fn attempt(path: &Path, config: &Config, progress: &Progress) -> Result<Reexecution, String> {
    let folder = Folder::look(path)?;
    let (documents, _) = Documents::read(&folder);
    let recorded = documents.status.ok_or("there is no readable status.json")?;
    if !recorded.is_final() || recorded.attempts == 0 {
        return Err("the run was never executed to its end".to_owned());
    }
    let resumes = documents
        .manifest
        .as_ref()
        .and_then(|manifest| manifest["referee"]["resumes"].as_array());
    if resumes.is_some_and(|resumes| !resumes.is_empty()) {
        return Err(
            "the run was resumed from a checkpoint: an execution without that is another run"
                .to_owned(),
        );
    }
    let settings = documents
        .run_config
        .ok_or("the settings of the run are not recorded")?;
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut config_again = config
        .with_recorded(&settings)
        .map_err(|error| error.to_string())?;
    // The folder may ask for a run; it may not choose what keeps the run in.
    config_again.sandbox = config.sandbox.clone();
    config_again.outbox = scratch.path().join("outbox");
    config_again.keys.signing_key = None;
    config_again.run.max_attempts = 1;
    // whether a score is believed is no matter of executing it
    config_again.quarantine = Quarantine::default();
    // whoever was asked before the run has answered
    config_again.gate.mode = GateMode::Off;
    let manifest = documents.manifest.as_ref();
    let order_key = manifest.and_then(|manifest| manifest["referee"]["order"]["key"].as_str());
    config_again.corpus.order = order_key.map_or(Order::File, |_| Order::Keyed);
    config_again.corpus.order_key = order_key.map(str::to_owned);
    // the family that a training is for is in an outbox that is not here
    let structure = manifest.map(|manifest| &manifest["architecture"]["structure"]["digest"]);
    if let Some(digest) = structure.and_then(|digest| digest.as_str()) {
        config_again.told.target = Target::Is(digest.to_owned());
    }
    same_corpus(&folder, config)?;

    let archive = folder.read(ARCHIVE, MAX_ARCHIVE_BYTES)?;
    let id = submission_id(recorded.hotkey.as_deref().unwrap_or(""), &archive);
    let outbox = Outbox::new(&config_again.outbox);
    prepare(&outbox, &id, &recorded, &archive).map_err(|error| error.to_string())?;
    let report = Pipeline::open(&config_again, progress)
        .and_then(|pipeline| pipeline.run(Vec::new(), &mut Vec::new()))
        .map_err(|error| error.to_string())?;
    if let Some(reason) = report.infrastructure.first() {
        let root = scratch.path().display().to_string();
        return Err(reason.replace(&root, "(scratch)"));
    }
    let again = Status::read(&outbox, &id)
        .map_err(|error| error.to_string())?
        .ok_or("it left no status")?;
    let tolerance_nats = config_again.audit.tolerance_nats;
    compare_runs(
        &folder,
        &recorded,
        &outbox.submission(&id),
        &again,
        tolerance_nats,
    )
}

/// A run is only the same run on the same text.
fn same_corpus(folder: &Folder, config: &Config) -> Result<(), String> {
    let recorded = folder.entry(CORPUS_MANIFEST)?.sha256;
    let corpus = Corpus::open(&config.corpus.root).map_err(|error| error.to_string())?;
    if corpus.manifest_sha256 == recorded {
        return Ok(());
    }
    Err(format!(
        "the corpus here has a manifest of sha256 {}, the run's has {recorded}",
        corpus.manifest_sha256
    ))
}

/// An outbox with one submission that waits for the device.
fn prepare(
    outbox: &Outbox,
    id: &str,
    recorded: &Status,
    archive: &[u8],
) -> Result<(), crate::outbox::OutboxError> {
    outbox.create()?;
    let now = SystemTime::now();
    let mut status = Status::new(id, &recorded.name, recorded.archive_sha256.as_deref(), now);
    status.hotkey.clone_from(&recorded.hotkey);
    status.write(outbox)?;
    atomic::write(&outbox.submission(id).join(ARCHIVE), archive)?;
    status.advance(State::Bundled, now);
    status.advance(State::Reviewed, now);
    status.write(outbox)
}

fn compare_runs(
    folder: &Folder,
    recorded: &Status,
    again_folder: &Path,
    again: &Status,
    tolerance_nats: f64,
) -> Result<Reexecution, String> {
    let told = |error: crate::score::ScoreError| error.to_string();
    let online = |folder: &Path| {
        let path = folder.join(ONLINE_FILE);
        if path.exists() {
            read_online(&path).map_err(told)
        } else {
            Ok(Vec::new())
        }
    };
    let heldout = |folder: &Path| {
        let path = folder.join(HELDOUT_FILE);
        if path.exists() {
            read_heldout(&path).map_err(told)
        } else {
            Ok(Vec::new())
        }
    };
    let by_clock = ended_by_clock(&folder.path) || ended_by_clock(again_folder);
    let stream = compare::online(
        &online(&folder.path)?,
        &online(again_folder)?,
        tolerance_nats,
        by_clock,
    );
    let mut is_identical = stream.is_identical;
    let mut largest = stream.largest_nats;
    let mut first = stream.first;
    if first.is_none() && !by_clock {
        let held = compare::heldout(
            &heldout(&folder.path)?,
            &heldout(again_folder)?,
            tolerance_nats,
        );
        is_identical &= held.is_identical;
        largest = largest.max(held.largest_nats);
        first = held.first;
    }
    let ends = |status: &Status| {
        if status.is_quarantined() {
            return (State::Scored, None);
        }
        let rule = status.reason.as_ref().map(|reason| reason.rule_id.clone());
        (status.state, rule)
    };
    let steps = stream.steps;
    let clock = if by_clock {
        "; the clock ended it, so the common steps were compared and the held-out text was not"
    } else {
        ""
    };
    let (result, statement) = if let Some(first) = &first {
        let statement = format!(
            "different from step {} of {} on: {} of rank {} is {}, was {}",
            first.step, first.stream, first.field, first.rank, first.reexecuted, first.recorded
        );
        (ReexecutionResult::Different, statement)
    } else if ends(recorded) != ends(again) {
        let end = |status: &Status| {
            let rule = status.reason.as_ref().map_or("", |reason| &reason.rule_id);
            format!("{:?} {rule}", status.state)
                .to_lowercase()
                .trim_end()
                .to_owned()
        };
        let statement = format!("different verdict: {}, was {}", end(again), end(recorded));
        (ReexecutionResult::Different, statement)
    } else if is_identical {
        let statement = format!("identical in all {steps} steps{clock}");
        (ReexecutionResult::Identical, statement)
    } else {
        let statement = format!(
            "within tolerance in all {steps} steps: at most {largest:e} nats per token, allowed {tolerance_nats:e}{clock}"
        );
        (ReexecutionResult::WithinTolerance, statement)
    };
    Ok(Reexecution {
        result,
        statement: shown(&statement),
        compared_steps: steps,
        largest_difference_nats: largest,
        first_difference: first,
    })
}

fn ended_by_clock(folder: &Path) -> bool {
    crate::score::json::read(&folder.join(MANIFEST))
        .is_ok_and(|manifest| manifest["run"]["stopped_reason"] == "wall_clock")
}
