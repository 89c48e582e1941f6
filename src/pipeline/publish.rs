//! From a finished run to files in the outbox: streams, log, manifest, verdict. Each appears whole; the status comes last.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::architecture;
use super::measure::MeasureFailure;
use super::quarantine;
use super::seeds::{self, SeedRun};
use super::{publish_v1, v1_manifest};
use crate::bundle::Bundle;
use crate::config::{Config, Device, recorded};
use crate::dataset::manifest as corpus;
use crate::dataset::tokenizer::{BYTES, OWN};
use crate::digest::{file_digest, own_executable, sha256};
use crate::outbox::schema::Schema;
use crate::outbox::status::{Reason, State, Status, Verdict};
use crate::outbox::{Outbox, OutboxError, atomic};
use crate::referee::author_lines::{self, Forms};
use crate::referee::journal;
use crate::referee::launch::{INSIDE_PROJECT, Phase};
use crate::referee::measured::Measured;
use crate::referee::phases::train::WALL_CLOCK;
use crate::referee::plan::RunPlan;
use crate::referee::session::{HELDOUT_JOURNAL, ONLINE_JOURNAL};
use crate::referee::wire;
use crate::review;
use crate::score::measurement::{Check, MeasurementBlock};
use crate::score::stream_rows::{HeldoutRow, OnlineRow};
use crate::score::streams::{HELDOUT_FILE, ONLINE_FILE};
use crate::score::{self, ScoreError, ScoredRun, code_length, streams};

pub const MANIFEST: &str = "prism_run_manifest.v2.json";
pub const LOG: &str = "run.log";
pub const CORPUS_MANIFEST: &str = "corpus_manifest.json";

/// Publishes what a run came to and concludes its status.
pub fn publish(
    outbox: &Outbox,
    status: &mut Status,
    bundle: &Bundle,
    plan: &RunPlan,
    measured: &Measured,
    config: &Config,
    seeds: &[SeedRun],
) -> Result<(), MeasureFailure> {
    let folder = outbox.submission(&status.submission_id);
    let has_stream = publish_streams(plan, &folder)?;
    publish_logs(outbox, plan, bundle, &folder)?;
    let digests = publish_circumstances(plan, measured, &folder)?;
    status.advance(State::Measured, SystemTime::now());
    status.write(outbox)?;
    let (verdict, reason) = match &measured.fault {
        Some(fault) => {
            let verdict = if fault.before_training {
                Verdict::Rejected
            } else {
                Verdict::Failed
            };
            (
                verdict,
                Some(reason(&fault.rule_id, &fault.message, &fault.hint)),
            )
        }
        None if !has_stream => {
            let message = "the run came to its end without a stream of losses";
            (
                Verdict::Failed,
                Some(reason("prism:no-learning", message, "train on the batches")),
            )
        }
        None => {
            let facts = measurement(bundle, measured).map_err(ours)?;
            match score::score_run(
                &status.submission_id,
                &folder,
                &facts,
                measured.model_params,
            ) {
                Ok(scored) => {
                    let executed = digests.executed.clone();
                    let mut manifest = manifest(status, plan, measured, config, &scored, digests);
                    manifest["architecture"] =
                        architecture::publish(config, &folder, status, bundle, measured)?;
                    if !seeds.is_empty() {
                        manifest["seeds"] = seeds::block(config.contest.seed, &scored, seeds);
                    }
                    atomic::write_json(&folder.join(MANIFEST), Schema::RunManifest, &manifest)?;
                    if let Some(outcome) = &measured.v1 {
                        let facts = v1_manifest::Facts {
                            status,
                            plan,
                            measured,
                            config,
                            scored: &scored,
                            executed,
                            own_tokenizer: bundle.files.get(OWN).map(|file| sha256(file)),
                            online: Vec::new(),
                            corpus: Value::Null,
                            architecture: Value::Null,
                        };
                        publish_v1::publish(&folder, bundle, outcome, facts)?;
                    }
                    let held = quarantine::reason(config, &status.submission_id, &folder)
                        .map_err(|error| ours(error.to_string()))?;
                    match held {
                        Some(reason) if scored.score.final_score > 0.0 => {
                            (Verdict::Held, Some(reason))
                        }
                        _ => (Verdict::Scored, None),
                    }
                }
                Err(ScoreError::Unscorable { reasons, .. }) => {
                    let message = format!("the run has no score: {}", reasons.join("; "));
                    (
                        Verdict::Failed,
                        Some(reason("prism:unscorable", &message, "see run.log")),
                    )
                }
                Err(error) => return Err(ours(error.to_string())),
            }
        }
    };
    status.conclude(verdict, reason, SystemTime::now());
    status.write(outbox)?;
    Ok(())
}

fn reason(rule_id: &str, message: &str, hint: &str) -> Reason {
    Reason {
        rule_id: rule_id.to_owned(),
        message: message.to_owned(),
        hint: hint.to_owned(),
    }
}

pub(super) fn ours(message: String) -> MeasureFailure {
    MeasureFailure::Infrastructure {
        message,
        hint: "the submission is tried again on the next run".to_owned(),
    }
}

/// Journals become parquet files. Whether there is an online stream at all.
pub(super) fn publish_streams(plan: &RunPlan, folder: &Path) -> Result<bool, MeasureFailure> {
    let path = plan.folder.join(ONLINE_JOURNAL);
    let online: Vec<OnlineRow> = rows(&path)?;
    let mut heldout: Vec<HeldoutRow> = rows(&plan.folder.join(HELDOUT_JOURNAL))?;
    // The journal is in order of time; the stream is in order of role.
    heldout.sort_by_key(|row| (row.role, row.step));
    if !online.is_empty() {
        let draft = plan.folder.join(ONLINE_FILE);
        streams::write_online(&draft, &online).map_err(|error| ours(error.to_string()))?;
        place(&draft, &folder.join(ONLINE_FILE))?;
    }
    if !heldout.is_empty() {
        let draft = plan.folder.join(HELDOUT_FILE);
        streams::write_heldout(&draft, &heldout).map_err(|error| ours(error.to_string()))?;
        place(&draft, &folder.join(HELDOUT_FILE))?;
    }
    Ok(!online.is_empty())
}

pub(super) fn rows<Row: serde::de::DeserializeOwned>(
    path: &Path,
) -> Result<Vec<Row>, MeasureFailure> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    journal::read(path).map_err(|error| ours(error.to_string()))
}

/// Syncs a finished file and gives it its public name.
fn place(draft: &Path, to: &Path) -> Result<(), OutboxError> {
    atomic::sync_file(draft)?;
    atomic::publish(draft, to)
}

/// The training's log is public. The twin and the held-out process see secret text: theirs are the operator's.
fn publish_logs(
    outbox: &Outbox,
    plan: &RunPlan,
    bundle: &Bundle,
    folder: &Path,
) -> Result<(), OutboxError> {
    let private = outbox.private(&plan.submission_id);
    atomic::create_folder(&private)?;
    for phase in [Phase::Train, Phase::Twin, Phase::Shadow, Phase::HeldOut] {
        let path = plan.folder.join(format!("{}.log", phase.name()));
        if !path.exists() {
            continue;
        }
        in_author_lines(&path, plan, bundle)?;
        match phase {
            Phase::Train => place(&path, &folder.join(LOG))?,
            phase => place(&path, &private.join(format!("{}.log", phase.name())))?,
        }
    }
    Ok(())
}

/// Writes a log again as if the author's files had run, and not the same without comments, docstrings and layout.
fn in_author_lines(path: &Path, plan: &RunPlan, bundle: &Bundle) -> Result<(), OutboxError> {
    let bare = review::bare_sources(&bundle.files);
    let files = plan
        .sources
        .iter()
        .filter_map(|(name, source)| {
            let forms = Forms {
                source,
                bare: &bare.get(name)?.text,
                author: std::str::from_utf8(bundle.files.get(name)?).ok()?,
            };
            Some((name.clone(), forms))
        })
        .collect();
    let host = plan.project.display().to_string();
    let log = fs::read(path).map_err(crate::outbox::at(path))?;
    let log = author_lines::log(&log, &[INSIDE_PROJECT, &host], &files);
    fs::write(path, log).map_err(crate::outbox::at(path))
}

/// Digests of what a run was made with.
struct Circumstances {
    config_sha256: String,
    /// Runner, executables and tokenizer.
    executed: BTreeMap<String, String>,
}

/// Settings and corpus manifest go with the run: who audits a copy of its folder has nothing else.
fn publish_circumstances(
    plan: &RunPlan,
    measured: &Measured,
    folder: &Path,
) -> Result<Circumstances, MeasureFailure> {
    let path = folder.join(recorded::FILE);
    let settings = plan
        .config
        .recorded()
        .map_err(|error| ours(error.to_string()))?;
    let settings = atomic::json_bytes(&path, Schema::RunConfig, &settings)?;
    atomic::write_bytes_if_new(&path, &settings)?;

    let source = plan.config.corpus.root.join(corpus::FILE_NAME);
    let manifest = fs::read(&source).map_err(crate::outbox::at(&source))?;
    if sha256(&manifest) != measured.corpus_manifest_sha256 {
        return Err(ours(format!(
            "{} changed while the run was measured",
            source.display()
        )));
    }
    atomic::write_bytes_if_new(&folder.join(CORPUS_MANIFEST), &manifest)?;

    let mut executed = measured.digests.clone();
    executed.insert("prism".to_owned(), own_executable().map_err(ours)?);
    // Bytes have no file; a submission's own is in its archive.
    let file = measured.tokenizer.as_deref();
    if let Some(name) = file.filter(|name| ![BYTES, OWN].contains(name)) {
        let path = plan.config.corpus.tokenizers.join(format!("{name}.json"));
        let digest = file_digest(&path).map_err(crate::outbox::at(&path))?;
        executed.insert("tokenizer".to_owned(), digest);
    }
    Ok(Circumstances {
        config_sha256: sha256(&settings),
        executed,
    })
}

/// Removes what an attempt that died had published: the next one may end without some of it.
pub fn withdraw(folder: &Path) -> Result<(), OutboxError> {
    publish_v1::withdraw(folder)?;
    for name in [
        MANIFEST,
        LOG,
        ONLINE_FILE,
        HELDOUT_FILE,
        architecture::STRUCTURE,
    ] {
        atomic::remove_file(&folder.join(name))?;
    }
    Ok(())
}

/// The facts that, with the streams, determine the score.
pub(super) fn measurement(
    bundle: &Bundle,
    measured: &Measured,
) -> Result<MeasurementBlock, String> {
    let source = review::normalised_source(&bundle.files).map_err(|error| error.to_string())?;
    Ok(MeasurementBlock {
        vocab_size: measured.vocab_size,
        bytes_per_token: measured.step0_bytes_per_token,
        step0_nats: measured.step0_nats,
        out_of_time: measured.stopped_reason.as_deref() == Some(WALL_CLOCK),
        code: code_length::code_bits(&source).map_err(|error| error.to_string())?,
        checks: measured
            .checks
            .iter()
            .map(|check| Check {
                name: check.name.clone(),
                passed: check.passed,
                evidence: check.evidence.clone(),
            })
            .collect(),
    })
}

/// How the documents of the stream are ordered.
fn order(measured: &Measured) -> Value {
    match &measured.order_key {
        None => json!({"kind": "file"}),
        Some(key) => json!({"kind": "keyed", "rule": "sha256(key + document id)", "key": key}),
    }
}

/// The manifest: the contract's blocks by their historical names, then the referee's own.
fn manifest(
    status: &Status,
    plan: &RunPlan,
    measured: &Measured,
    config: &Config,
    scored: &ScoredRun,
    digests: Circumstances,
) -> Value {
    let cuda = config.run.device == Device::Cuda;
    let device = config.run.device.torch_name(0);
    let batches = scored.coverage.consumed_batches;
    json!({
        "schema_version": "prism_run_manifest.v2",
        "submission_id": status.submission_id,
        "run_id": format!("prism-reexec-{}", status.submission_id),
        "mode": if cuda { "gpu_proxy_eval" } else { "local_cpu_eval" },
        "miner_reported_ignored": true,
        "run": {
            "seed": config.contest.seed,
            "forced_init": true,
            "deterministic_algorithms": true,
            "device": device,
            "rank": 0,
            "local_rank": 0,
            "world_size": measured.world_size,
            "nproc_per_node": measured.world_size,
            "master_addr": "127.0.0.1",
            "stopped_reason": measured.stopped_reason,
        },
        "compute": {
            "schema": "prism_compute.v1",
            "device": device,
            "gpu_count": if cuda { measured.world_size } else { 0 },
            "max_gpu_count": 8,
            "world_size": measured.world_size,
            "nproc_per_node": measured.world_size,
            "model_params": measured.model_params,
            "live_params": measured.live_params,
        },
        "data": {
            "source": format!("locked-{}-train", measured.corpus_name),
            "data_dir": "/prism/data",
            "shard_count": measured.shard_count,
            "available_bytes": measured.stream_bytes,
            "covered_bytes": scored.coverage.covered_bytes,
            "covered_bytes_cumulative": scored.coverage.covered_bytes_cumulative,
            "consumed_documents": measured.stream_documents,
            "consumed_batches": batches,
            "consumed_offsets": batches,
            "distinct_offsets": batches,
            "random_token_fallback": false,
            "single_pass": true,
            "stopped_reason": measured.stopped_reason,
        },
        "metrics": scored.blocks.metrics,
        "anti_cheat": scored.blocks.anti_cheat,
        "artifacts": {"trained_state": null},
        "score": scored.blocks.score,
        "measurement": scored.blocks.measurement,
        "referee": {
            "protocol": wire::PROTOCOL,
            "tokenizer": measured.tokenizer,
            "batch_size": measured.batch_size,
            "seq_len": measured.seq_len,
            "stream_bytes": measured.stream_bytes,
            "stream_tokens": measured.stream_tokens,
            "stream_documents": measured.stream_documents,
            "corpus_manifest_sha256": measured.corpus_manifest_sha256,
            "order": order(measured),
            "config_sha256": digests.config_sha256,
            "budget": config.budget,
            "held_out": config.held_out,
            "threads": config.run.threads,
            "transport": measured.transport,
            "seconds": measured.seconds,
            "started_at": measured.started_at,
            "ended_at": measured.ended_at,
        },
        "causality": {
            "audit": config.audit,
            "audit_key": measured.audit_key,
            "probes": measured.probes,
            "blind": measured.blind,
            "snapshots": measured.snapshots,
        },
        "isolation": measured.isolation,
        "versions": {
            "prism": env!("CARGO_PKG_VERSION"),
            "python": measured.environment.python,
            "torch": measured.environment.torch,
            "device_name": measured.environment.device_name,
            "archive_sha256": status.archive_sha256,
            "bundle_architecture": plan.architecture,
            "bundle_training": plan.training,
            "digests": digests.executed,
        },
    })
}
