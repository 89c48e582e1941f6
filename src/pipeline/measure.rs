//! One run on the device: the measuring executable is started, listened to and waited for.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::examine::ARCHIVE;
use super::guard::{Guard, Interruption};
use super::stop::Stop;
use super::{competitions, preflight, publish, queue, seeds};
use crate::bundle::{self, Bundle, ContractVersion, Kind};
use crate::config::{Config, Order, Target};
use crate::digest;
use crate::outbox::fault::{self, Step};
use crate::outbox::status::{INFRASTRUCTURE, Reason, State, Status, Verdict};
use crate::outbox::{Outbox, OutboxError, atomic, secret};
use crate::progress::RunProgress;
use crate::referee::events::Event;
use crate::referee::launch::SPINS;
use crate::referee::measured::Measured;
use crate::referee::plan::{RunPlan, Source, V1Plan};
use crate::referee::session::MEASURED;
use crate::review;
use crate::sandbox::process::ProcessIdentity;

/// A run that did not come to a verdict; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum MeasureFailure {
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error("{message} ({hint})")]
    Infrastructure { message: String, hint: String },
    /// It costs the submission no attempt.
    #[error("{0}")]
    Ended(&'static str),
}

/// Measures, scores and publishes one submission. Infrastructure failures leave it to be tried again, up to
/// `run.max_attempts` times; so does a prism that died in the middle, and a fault of its own.
pub fn measure(
    config: &Config,
    outbox: &Outbox,
    status: &mut Status,
    mut news: RunProgress<'_>,
    stop: &Stop,
) -> Result<(), MeasureFailure> {
    let work = outbox.work(&status.submission_id);
    if status.counted_attempts() >= config.run.max_attempts {
        let last = interrupted(status);
        return Ok(give_up(outbox, status, &last)?);
    }
    let result = catch_unwind(AssertUnwindSafe(|| {
        attempt(config, outbox, status, &work, &mut news, stop)
    }))
    .unwrap_or_else(|_| {
        Err(MeasureFailure::Infrastructure {
            message: "prism stopped on a fault of its own while it measured this submission"
                .to_owned(),
            hint: "please report it with the archive; other submissions are not concerned"
                .to_owned(),
        })
    });
    if let Err(failure) = &result {
        after(config, outbox, status, failure)?;
    }
    atomic::remove_folder(&work)?;
    result
}

/// What an attempt without a verdict leaves.
fn after(
    config: &Config,
    outbox: &Outbox,
    status: &mut Status,
    failure: &MeasureFailure,
) -> Result<(), OutboxError> {
    // A verdict that was published stays, though what came after it failed (the fsync of its folder).
    // What was to be written and was not, is not.
    if let Some(there) = Status::read(outbox, &status.submission_id)? {
        *status = there;
    }
    if status.verdict.is_some() {
        return Ok(());
    }
    let was_begun = status.state != State::Reviewed;
    if matches!(failure, MeasureFailure::Ended(_)) {
        status.queue.forgiven += u32::from(was_begun);
    } else if status.counted_attempts() >= config.run.max_attempts {
        return give_up(outbox, status, failure);
    } else {
        status.queue.not_before = queue::not_before(config, status, SystemTime::now());
    }
    let reason = reason(failure);
    if was_begun {
        status.advance(State::Reviewed, SystemTime::now());
        status.note(&reason.message);
    }
    status.reason = Some(reason);
    status.write(outbox)
}

/// Ends a submission whose attempts are used up.
fn give_up(outbox: &Outbox, status: &mut Status, last: &MeasureFailure) -> Result<(), OutboxError> {
    let mut reason = reason(last);
    reason.message = format!(
        "{} runs failed for want of infrastructure; the last: {}",
        status.counted_attempts(),
        reason.message
    );
    // A run that ended between the two wrote one.
    let folder = outbox.submission(&status.submission_id);
    atomic::remove_file(&folder.join(publish::MANIFEST))?;
    status.conclude(Verdict::Failed, Some(reason), SystemTime::now());
    status.write(outbox)
}

/// What became of a run that nobody was there to see the end of.
fn interrupted(status: &Status) -> MeasureFailure {
    let message = match (&status.reason, status.state) {
        (Some(reason), State::Reviewed) => reason.message.clone(),
        _ => "prism, or the machine, ended while it was measured".to_owned(),
    };
    MeasureFailure::Infrastructure {
        message,
        hint: "`prism retry` tries it again".to_owned(),
    }
}

/// Writes down why a submission still waits.
pub fn note(
    outbox: &Outbox,
    status: &mut Status,
    failure: &MeasureFailure,
) -> Result<(), OutboxError> {
    let reason = Some(reason(failure));
    if status.reason == reason {
        return Ok(());
    }
    status.reason = reason;
    status.write(outbox)
}

fn reason(failure: &MeasureFailure) -> Reason {
    let (message, hint) = match failure {
        MeasureFailure::Infrastructure { message, hint } => (message.clone(), hint.clone()),
        MeasureFailure::Outbox(error) => (error.to_string(), error.hint().to_owned()),
        MeasureFailure::Ended(why) => (
            (*why).to_owned(),
            "it is measured again, from the beginning, when prism runs again".to_owned(),
        ),
    };
    Reason {
        rule_id: INFRASTRUCTURE.to_owned(),
        message,
        hint,
    }
}

fn attempt(
    config: &Config,
    outbox: &Outbox,
    status: &mut Status,
    work: &Path,
    news: &mut RunProgress<'_>,
    stop: &Stop,
) -> Result<(), MeasureFailure> {
    preflight::corpus(config)?;
    // From here on it costs an attempt, whatever happens: what always ends a run must not be tried for ever.
    status.attempts += 1;
    status.reason = None;
    status.queue.not_before = None;
    status.advance(State::Measuring, SystemTime::now());
    status.write(outbox)?;
    atomic::remove_folder(work)?;
    let bundle = stored_bundle(config, outbox, status)?;
    if let Some(reason) = missing_target(config, outbox, &bundle)? {
        status.conclude(Verdict::Rejected, Some(reason), SystemTime::now());
        status.write(outbox)?;
        return Ok(());
    }
    let plan = prepare(config, outbox, status, &bundle, work)?;
    let published = outbox.submission(&status.submission_id);
    publish::withdraw(&published)?;
    atomic::remove_folder(&published.join(seeds::FOLDER))?;
    let id = status.submission_id.clone();
    let guard = Guard::new(config, outbox, &id, stop);
    let seeds = seeds::measure(config, outbox, status, &bundle, work, news, &guard)?;
    let plan = if seeds.is_empty() {
        plan
    } else {
        atomic::remove_folder(work)?;
        prepare(config, outbox, status, &bundle, work)?
    };
    let measured = run_referee(config, &plan, news, &guard)?;
    publish::publish(outbox, status, &bundle, &plan, &measured, config, &seeds)?;
    Ok(())
}

/// Why a training cannot be measured for the family that it names: before anything of it runs.
fn missing_target(
    config: &Config,
    outbox: &Outbox,
    bundle: &Bundle,
) -> Result<Option<Reason>, OutboxError> {
    let Kind::TrainingForArch { architecture_id } = &bundle.kind else {
        return Ok(None);
    };
    let is_unchecked = config.told.target == Target::Unchecked;
    if is_unchecked || target_of(config, outbox, bundle)?.is_some() {
        return Ok(None);
    }
    Ok(Some(Reason {
        rule_id: "prism:unknown-architecture".to_owned(),
        message: format!(
            "training_for_arch: there is no family {architecture_id:?} among the ranked runs"
        ),
        hint: "`prism families` lists the ids; a family is there once a run of it is ranked"
            .to_owned(),
    }))
}

/// Digest of the structure that a training is for.
fn target_of(
    config: &Config,
    outbox: &Outbox,
    bundle: &Bundle,
) -> Result<Option<String>, OutboxError> {
    match &bundle.kind {
        Kind::TrainingForArch { architecture_id } => match &config.told.target {
            Target::Is(digest) => Ok(Some(digest.clone())),
            Target::FromOutbox => competitions::target(outbox, architecture_id),
            Target::Unchecked => Ok(None),
        },
        Kind::Full | Kind::ArchitectureOnly => Ok(None),
    }
}

/// The bundle, from the archive that the examination stored: the inbox may have changed.
fn stored_bundle(
    config: &Config,
    outbox: &Outbox,
    status: &Status,
) -> Result<Bundle, MeasureFailure> {
    let path = outbox.submission(&status.submission_id).join(ARCHIVE);
    let bytes = fs::read(&path).map_err(crate::outbox::at(&path))?;
    bundle::open(&bytes, &config.archive).map_err(|error| MeasureFailure::Infrastructure {
        message: format!("{}: {error}", path.display()),
        hint: "the stored archive was changed or archive limits were tightened".to_owned(),
    })
}

/// Unpacks the bundle into the run's own folder and writes the plan.
pub(super) fn prepare(
    config: &Config,
    outbox: &Outbox,
    status: &Status,
    bundle: &Bundle,
    work: &Path,
) -> Result<RunPlan, MeasureFailure> {
    let absolute = |path: &Path| std::path::absolute(path).map_err(crate::outbox::at(path));
    let work = absolute(work)?;
    let project = work.join("project");
    let bare = review::bare_sources(&bundle.files);
    for (name, bytes) in &bundle.files {
        // What is not charged is not there when it runs.
        let bytes = bare
            .get(name)
            .map_or(&bytes[..], |bare| bare.text.as_bytes());
        // Names were checked when the archive was opened: plain segments, no links, nothing above the folder.
        let path = project.join(name);
        let folder = path.parent().unwrap_or(&project);
        atomic::create_folder(folder)?;
        atomic::write_unseen(&path, bytes)?;
    }
    let mut config = config.clone();
    config.corpus.root = absolute(&config.corpus.root)?;
    config.corpus.tokenizers = absolute(&config.corpus.tokenizers)?;
    let prism = std::env::current_exe().map_err(|error| MeasureFailure::Infrastructure {
        message: format!("the path of this executable is not known: {error}"),
        hint: "mount /proc".to_owned(),
    })?;
    // Counted from 0.
    let attempt = status.attempts.saturating_sub(1);
    let key = secret::run_key(outbox, &status.submission_id, attempt)?;
    let order_key = match config.corpus.order {
        Order::File => None,
        Order::Keyed => match &config.corpus.order_key {
            Some(key) => Some(key.clone()),
            None => Some(digest::hex(&secret::order_key(
                outbox,
                &status.submission_id,
            )?)),
        },
    };
    let plan = RunPlan {
        submission_id: status.submission_id.clone(),
        target: target_of(&config, outbox, bundle)?,
        probe: config.told.probe.clone(),
        project,
        architecture: bundle.architecture.clone(),
        training: bundle.training.clone(),
        v1: v1_plan(bundle, status.attempts),
        sources: bare.into_iter().map(planned).collect(),
        tokenizer: bundle.tokenizer.clone(),
        prism,
        folder: work,
        audit_key: digest::hex(&key),
        order_key,
        config,
    };
    Ok(plan)
}

fn planned((path, bare): (String, review::BareSource)) -> (String, Source) {
    let source = Source {
        ast_sha256: bare.ast_sha256,
        lines: bare.lines,
    };
    (path, source)
}

/// What the loop of the first contract is told, for a bundle that follows it.
fn v1_plan(bundle: &Bundle, attempt: u32) -> Option<V1Plan> {
    if bundle.contract.version != ContractVersion::V1 {
        return None;
    }
    let hooks = review::hooks_of(&bundle.files, &super::examine::roles(bundle));
    Some(V1Plan {
        kind: bundle.contract.kind.clone(),
        architecture_id: bundle.manifest.architecture_id.clone(),
        attempt,
        hooks: hooks
            .into_iter()
            .map(|hook| (hook.name.to_owned(), hook.role))
            .collect(),
    })
}

pub(super) fn run_referee(
    config: &Config,
    plan: &RunPlan,
    news: &mut RunProgress<'_>,
    guard: &Guard<'_>,
) -> Result<Measured, MeasureFailure> {
    let path = plan.folder.join("plan.json");
    let text = serde_json::to_vec_pretty(plan).map_err(|error| broken(error.to_string()))?;
    atomic::write_unseen(&path, &text)?;
    let executable = referee_executable(config)?;
    fault::step(Step::Spawn, &executable).map_err(crate::outbox::at(&executable))?;
    let command = duct::cmd(&executable, [&path])
        // Read when libtorch is loaded, hence not by the referee itself.
        .env(SPINS.0, SPINS.1)
        .unchecked()
        .before_spawn(|process| {
            // A group of its own: a key that stops prism at a terminal leaves to prism what becomes of the run.
            process.process_group(0);
            // SAFETY: one system call between fork and exec; nothing allocates or locks.
            unsafe {
                process.pre_exec(|| {
                    use rustix::process::{Signal, set_parent_process_death_signal};
                    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
                });
            }
            Ok(())
        });
    let reader = command
        .reader()
        .map_err(|error| broken(format!("{}: {error}", executable.display())))?;
    let pids = reader.pids();
    let referee = pids
        .first()
        .and_then(|pid| ProcessIdentity::of(i32::try_from(*pid).ok()?));
    if let Some(referee) = &referee {
        let recorded = referee.record(&plan.folder);
        recorded.map_err(crate::outbox::at(&plan.folder))?;
    }
    let (listened, interruption) = guard.over(referee.as_ref(), |heard| {
        listen(&reader, news, &mut || heard.now())
    });
    match interruption {
        None => {}
        Some(Interruption::Stopped) => {
            return Err(MeasureFailure::Ended(
                "prism was asked to stop while it measured this submission",
            ));
        }
        Some(Interruption::Requested) => {
            return Err(MeasureFailure::Ended(
                "the operator ended the run by a request",
            ));
        }
        Some(Interruption::Silent(limit)) => {
            return Err(broken(format!(
                "the referee was silent for more than {} s",
                limit.as_secs()
            )));
        }
    }
    listened?;
    let ended = reader
        .try_wait()
        .map_err(|error| broken(error.to_string()))?;
    if !ended.is_some_and(|output| output.status.success()) {
        return Err(broken("the referee ended without a result".to_owned()));
    }
    let path = plan.folder.join(MEASURED);
    let bytes = fs::read(&path).map_err(crate::outbox::at(&path))?;
    serde_json::from_slice(&bytes).map_err(|error| broken(format!("{}: {error}", path.display())))
}

fn broken(message: String) -> MeasureFailure {
    MeasureFailure::Infrastructure {
        message,
        hint: "the submission is tried again".to_owned(),
    }
}

/// Takes the referee's events until it ends; its own word on the infrastructure is an error.
fn listen(
    reader: &duct::ReaderHandle,
    news: &mut RunProgress<'_>,
    heard: &mut dyn FnMut(),
) -> Result<(), MeasureFailure> {
    let mut failure = None;
    for line in BufReader::new(reader).lines() {
        let line = line.map_err(|error| broken(format!("listening to the referee: {error}")))?;
        heard();
        let event: Event = serde_json::from_str(&line)
            .map_err(|_| broken("the referee said something that is not an event".to_owned()))?;
        news.event(&event);
        if let Event::Infrastructure { message, hint } = event {
            failure = Some(MeasureFailure::Infrastructure { message, hint });
        }
    }
    failure.map_or(Ok(()), Err)
}

/// The measuring executable: configured, or beside this one.
pub fn referee_executable(config: &Config) -> Result<PathBuf, MeasureFailure> {
    let path = match &config.run.referee {
        Some(path) => path.clone(),
        None => std::env::current_exe()
            .ok()
            .and_then(|path| Some(path.parent()?.join("prism-referee")))
            .unwrap_or_else(|| "prism-referee".into()),
    };
    if path.is_file() {
        return Ok(path);
    }
    Err(MeasureFailure::Infrastructure {
        message: format!("{} is not there", path.display()),
        hint: "build with the `referee` feature (./prism-dev build), or set run.referee".to_owned(),
    })
}
