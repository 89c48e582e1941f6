//! One run on the device: the measuring executable is started, listened to and waited for.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::examine::ARCHIVE;
use super::{preflight, publish, seeds};
use crate::bundle::{self, Bundle, ContractVersion};
use crate::config::{Config, Order};
use crate::digest;
use crate::outbox::status::{Reason, State, Status, Verdict};
use crate::outbox::{Outbox, OutboxError, secret};
use crate::progress::RunProgress;
use crate::referee::events::Event;
use crate::referee::measured::Measured;
use crate::referee::plan::{RunPlan, V1Plan};
use crate::referee::session::MEASURED;
use crate::review;

/// A run that did not come to a verdict; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum MeasureFailure {
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error("{message} ({hint})")]
    Infrastructure { message: String, hint: String },
}

/// Measures, scores and publishes one submission. Infrastructure failures leave it to be tried again, up to
/// `run.max_attempts` times.
pub fn measure(
    config: &Config,
    outbox: &Outbox,
    status: &mut Status,
    mut news: RunProgress<'_>,
) -> Result<(), MeasureFailure> {
    let work = outbox.work(&status.submission_id);
    let result = attempt(config, outbox, status, &work, &mut news);
    if let Err(failure) = &result {
        if status.attempts >= config.run.max_attempts {
            let mut reason = reason(failure);
            reason.message = format!(
                "{} runs failed for want of infrastructure; the last: {}",
                status.attempts, reason.message
            );
            status.conclude(Verdict::Failed, Some(reason), SystemTime::now());
            status.write(outbox)?;
        } else {
            status.advance(State::Reviewed, SystemTime::now());
            status.reason = Some(reason(failure));
            status.write(outbox)?;
        }
    }
    remove(&work)?;
    result
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
    };
    Reason {
        rule_id: "prism:infrastructure".to_owned(),
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
) -> Result<(), MeasureFailure> {
    remove(work)?;
    preflight::corpus(config)?;
    let bundle = stored_bundle(config, outbox, status)?;
    let mut plan = prepare(config, outbox, status, &bundle, work)?;
    let published = outbox.submission(&status.submission_id);
    publish::withdraw(&published)?;
    remove(&published.join(seeds::FOLDER))?;
    status.attempts += 1;
    if let Some(v1) = &mut plan.v1 {
        v1.attempt = status.attempts;
    }
    status.reason = None;
    status.advance(State::Measuring, SystemTime::now());
    status.write(outbox)?;
    let seeds = seeds::measure(config, outbox, status, &bundle, work, news)?;
    let plan = if seeds.is_empty() {
        plan
    } else {
        remove(work)?;
        prepare(config, outbox, status, &bundle, work)?
    };
    let measured = run_referee(config, &plan, news)?;
    publish::publish(outbox, status, &bundle, &plan, &measured, config, &seeds)?;
    Ok(())
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
    for (name, bytes) in &bundle.files {
        // Names were checked when the archive was opened: plain segments, no links, nothing above the folder.
        let path = project.join(name);
        let folder = path.parent().unwrap_or(&project);
        fs::create_dir_all(folder).map_err(crate::outbox::at(folder))?;
        fs::write(&path, bytes).map_err(crate::outbox::at(&path))?;
    }
    let mut config = config.clone();
    config.corpus.root = absolute(&config.corpus.root)?;
    config.corpus.tokenizers = absolute(&config.corpus.tokenizers)?;
    let prism = std::env::current_exe().map_err(|error| MeasureFailure::Infrastructure {
        message: format!("the path of this executable is not known: {error}"),
        hint: "mount /proc".to_owned(),
    })?;
    let key = secret::run_key(outbox, &status.submission_id, status.attempts)?;
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
        project,
        architecture: bundle.architecture.clone(),
        training: bundle.training.clone(),
        v1: v1_plan(bundle, status.attempts),
        sources: review::ast_digests(&bundle.files),
        tokenizer: bundle.tokenizer.clone(),
        prism,
        folder: work,
        audit_key: digest::hex(&key),
        order_key,
        config,
    };
    Ok(plan)
}

/// What the loop of the first contract is told, for a bundle that follows it.
fn v1_plan(bundle: &Bundle, attempt: u32) -> Option<V1Plan> {
    if bundle.contract.version != ContractVersion::V1 {
        return None;
    }
    let hooks = review::hooks_of(&bundle.files, &super::examine::roles(bundle));
    Some(V1Plan {
        kind: bundle.contract.kind,
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
) -> Result<Measured, MeasureFailure> {
    let broken = |message: String| MeasureFailure::Infrastructure {
        message,
        hint: "the submission is tried again on the next run".to_owned(),
    };
    let path = plan.folder.join("plan.json");
    let text = serde_json::to_vec_pretty(plan).map_err(|error| broken(error.to_string()))?;
    fs::write(&path, text).map_err(crate::outbox::at(&path))?;
    let executable = referee_executable(config)?;
    let command = duct::cmd(&executable, [&path])
        .unchecked()
        .before_spawn(|process| {
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
    let mut failure = None;
    for line in BufReader::new(&reader).lines() {
        let line = line.map_err(|error| broken(format!("listening to the referee: {error}")))?;
        let event: Event = serde_json::from_str(&line)
            .map_err(|_| broken("the referee said something that is not an event".to_owned()))?;
        news.event(&event);
        if let Event::Infrastructure { message, hint } = event {
            failure = Some(MeasureFailure::Infrastructure { message, hint });
        }
    }
    let ended = reader
        .try_wait()
        .map_err(|error| broken(error.to_string()))?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    if !ended.is_some_and(|output| output.status.success()) {
        return Err(broken("the referee ended without a result".to_owned()));
    }
    let path = plan.folder.join(MEASURED);
    let bytes = fs::read(&path).map_err(crate::outbox::at(&path))?;
    serde_json::from_slice(&bytes).map_err(|error| broken(format!("{}: {error}", path.display())))
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

/// Removes a run's folder with everything that a submission left in it.
pub(super) fn remove(work: &Path) -> Result<(), OutboxError> {
    match fs::remove_dir_all(work) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        // A submission can nest folders deeper than the standard library can follow; rm can.
        Err(error) => match duct::cmd!("rm", "-rf", "--", work).stderr_null().run() {
            Ok(_) => Ok(()),
            Err(_) => Err(crate::outbox::at(work)(error)),
        },
    }
}
