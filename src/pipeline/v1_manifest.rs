//! The content of `prism_run_manifest.v1.json`: the historical fields, each from what the referee measured.
//!
//! Losses that stand for text are bits per byte (`byte_normalized`); `raw_final_loss` is nats per token. Nothing in it is
//! the submission's word but `hooks.used` and the recipe, which nothing is scored by.

use std::collections::BTreeMap;
use std::f64::consts::LN_2;

use serde::Serialize;
use serde_json::{Value, json};

use super::publish_v1::Left;
use super::v1_validation::{hooks_block, validation};
use crate::config::{Config, Device, V1Mode};
use crate::dataset::tokenizer::{BYTES, OWN};
use crate::digest::sha256;
use crate::outbox::status::Status;
use crate::referee::diagnostics::{Diagnostic, DiagnosticStatus};
use crate::referee::measured::Measured;
use crate::referee::plan::RunPlan;
use crate::referee::v1_outcome::{Recipe, V1Outcome};
use crate::review::Hook;
use crate::score::ScoredRun;
use crate::score::stream_rows::OnlineRow;

/// The mode that is never eligible.
pub const SMOKE: &str = "local_cpu_smoke";
/// Points of a loss curve at most.
const MAX_POINTS: usize = 64;
/// Operations a second that a thread, or a GPU, is taken to be capable of: what turns measured time into compute.
const NOMINAL_THREAD_FLOPS: f64 = 2e10;
const NOMINAL_GPU_FLOPS: f64 = 1e14;
const Q32: f64 = 4_294_967_296.0;

/// What the manifest is made of.
pub struct Facts<'a> {
    pub status: &'a Status,
    pub plan: &'a RunPlan,
    pub measured: &'a Measured,
    pub config: &'a Config,
    pub scored: &'a ScoredRun,
    /// Digests of runner, executables and tokenizer.
    pub executed: BTreeMap<String, String>,
    /// Digest of the bundle's own tokenizer.
    pub own_tokenizer: Option<String>,
    pub online: Vec<OnlineRow>,
    /// `corpus_manifest.json` and `architecture_metadata.json`.
    pub corpus: Value,
    pub architecture: Value,
}

/// A file of the run's folder.
#[derive(Debug, Serialize)]
pub struct Artifact {
    pub path: String,
    pub sha256: String,
    pub content_type: &'static str,
    pub bytes: u64,
}

#[derive(Debug, Serialize)]
pub struct Artifacts {
    pub architecture_graph: Artifact,
    pub architecture_metadata: Artifact,
    pub run_log: Artifact,
    pub checkpoints: Vec<Value>,
    pub metrics: Artifact,
}

impl Facts<'_> {
    /// The operator's mode.
    pub fn mode(&self) -> V1Mode {
        self.config.v1_mode()
    }

    pub fn is_cuda(&self) -> bool {
        self.config.run.device == Device::Cuda
    }

    fn gpu_count(&self) -> u32 {
        if self.is_cuda() {
            self.measured.world_size
        } else {
            0
        }
    }

    /// Rows that were predicted.
    fn predicted(&self) -> impl Iterator<Item = &OnlineRow> {
        self.online.iter().filter(|row| !row.unpredicted)
    }

    /// Tokens that were predicted and charged, counted.
    fn tokens_seen(&self) -> u64 {
        self.predicted().map(|row| u64::from(row.tokens)).sum()
    }

    /// Seconds that the training had to itself, by the referee's clock.
    fn own_seconds(&self) -> f64 {
        let part = |name: &str| self.measured.seconds.get(name).copied().unwrap_or(0.0);
        (part("stream") - part("referee")).max(0.0)
    }

    /// The larger of what the parameters need at least once a token (6 operations each) and what the time that was taken
    /// allows: inner loops, weights used twice and idling are compute, too.
    fn estimated_flops(&self) -> f64 {
        let parameters = self.measured.model_params.unwrap_or(0) as f64;
        let needed = 6.0 * parameters * self.tokens_seen() as f64;
        needed.max(self.own_seconds() * self.flops_per_second())
    }

    fn flops_per_second(&self) -> f64 {
        let ranks = f64::from(self.measured.world_size);
        if self.is_cuda() {
            ranks * NOMINAL_GPU_FLOPS
        } else {
            ranks * f64::from(self.config.run.threads) * NOMINAL_THREAD_FLOPS
        }
    }

    /// The untrained twin's bits per byte on the first batch.
    fn initial_bpb(&self) -> Option<f64> {
        let nats = self.measured.step0_nats?;
        let bytes = self.measured.step0_bytes_per_token;
        (bytes > 0.0).then(|| nats / LN_2 / bytes)
    }

    /// The loss curve: tokens so far, bits per byte and nats per token, over at most [`MAX_POINTS`] equal pieces.
    fn curve(&self) -> Vec<(f64, f64, f64)> {
        let mut steps: BTreeMap<u32, (u64, u64, f64)> = BTreeMap::new();
        for row in self.predicted() {
            let step = steps.entry(row.step).or_default();
            step.0 += u64::from(row.tokens);
            step.1 += row.bytes;
            step.2 += row.nats_q32 as f64 / Q32;
        }
        let steps: Vec<(u64, u64, f64)> = steps.into_values().collect();
        let each = steps.len().div_ceil(MAX_POINTS).max(1);
        let mut tokens_so_far = 0;
        steps
            .chunks(each)
            .map(|piece| {
                let tokens: u64 = piece.iter().map(|step| step.0).sum();
                let bytes: u64 = piece.iter().map(|step| step.1).sum();
                let nats: f64 = piece.iter().map(|step| step.2).sum();
                tokens_so_far += tokens;
                (
                    tokens_so_far as f64,
                    nats / LN_2 / (bytes as f64).max(1.0),
                    nats / (tokens as f64).max(1.0),
                )
            })
            .collect()
    }
}

/// sha256 over the five fields as compact JSON with sorted keys.
pub fn recipe_fingerprint(recipe: &Recipe) -> String {
    sha256(json!(recipe).to_string().as_bytes())
}

/// `checkpoint_metadata.v1.json`: thirteen keys.
pub fn checkpoint_metadata(facts: &Facts<'_>, outcome: &V1Outcome, left: &Left<'_>) -> Value {
    let checkpoint = left.checkpoint;
    json!({
        "checkpoint_api_version": 1,
        "submission_id": facts.status.submission_id,
        "attempt": left.attempt,
        "code_hash": facts.status.archive_sha256.as_deref().unwrap_or_default(),
        "arch_hash": facts.architecture["identity"]["architecture_source_hash"],
        "recipe_fingerprint": recipe_fingerprint(&outcome.recipe),
        "created_at": left.created_at,
        "checkpoint_path": checkpoint.path,
        "hook_return": checkpoint.hook_return,
        "world_size": facts.measured.world_size,
        "rank_writer": 0,
        "checkpoint_dir": checkpoint.checkpoint_dir,
        "bytes_total": checkpoint.bytes_total,
    })
}

/// `metrics` of the manifest.
pub fn metrics(facts: &Facts<'_>, outcome: &V1Outcome) -> Value {
    let score = &facts.scored.score;
    let curve = facts.curve();
    let tokens = facts.tokens_seen();
    let flops = facts.estimated_flops();
    let parameters = facts.measured.model_params.unwrap_or(0);
    let (last_bpb, last_nats) = curve.last().map_or((0.0, 0.0), |last| (last.1, last.2));
    let initial = facts.initial_bpb();
    let first_bpb = initial
        .or(curve.first().map(|first| first.1))
        .unwrap_or(0.0);
    let mut points: Vec<(f64, f64)> = initial.iter().map(|bpb| (0.0, *bpb)).collect();
    points.extend(curve.iter().map(|(tokens, bpb, _)| (*tokens, *bpb)));
    let curve_over = |scale: f64| -> Vec<Value> {
        points
            .iter()
            .map(|(x, loss)| json!({"x": x * scale, "loss": loss}))
            .collect()
    };
    let share = |from: f64, to: f64| ((from - to).max(0.0) / from.max(1e-12)).min(1.0);
    let heldout = score.val_bpb_trained.unwrap_or(last_bpb);
    let improvement = score
        .val_bpb_random_init
        .map_or(0.0, |untrained| share(untrained, heldout));
    let diagnostics: BTreeMap<&String, Value> = outcome
        .diagnostics
        .iter()
        .map(|(name, diagnostic)| (name, diagnostic_record(diagnostic)))
        .collect();
    json!({
        "loss_vs_tokens": curve_over(1.0),
        "loss_vs_compute": curve_over(flops / (tokens as f64).max(1.0)),
        "loss_vs_params": [{"x": parameters as f64, "loss": heldout}],
        "learning_speed_slope": (last_bpb - first_bpb) / (tokens as f64).max(1.0),
        "tokens_seen": tokens,
        "estimated_flops": flops,
        "parameter_count": parameters,
        "benchmark_scores": {},
        "benchmark_capability_metadata": {"not_applicable": "no benchmark is run: text is all that is measured"},
        "benchmark_noise_metadata": {},
        "benchmark_contamination_metadata": {"left_out": facts.corpus["left_out"], "near_duplicates": facts.corpus["near_duplicates"]},
        "diagnostics": diagnostics,
        "gpu_count": facts.gpu_count(),
        "loss": {
            "raw_final_loss": last_nats,
            "standardized_eval_loss": heldout,
            "loss_normalization_scope": "byte_normalized",
            "baseline_run_id": format!("twin-{}", facts.status.submission_id),
            "relative_loss_reduction": share(first_bpb, last_bpb),
            "architecture_normalized_heldout_improvement": improvement,
            "loss_comparable": true,
            "loss_component_redistribution": {"enabled": false, "target_track": null, "reason": null},
        },
        "final_loss": last_nats,
    })
}

fn diagnostic_record(diagnostic: &Diagnostic) -> Value {
    let redistribution = match diagnostic.status {
        DiagnosticStatus::NotApplicable => json!({
            "enabled": true,
            "policy_key": "loss_comparability_policy.redistribution_policy",
            "target": "diagnostics_health",
            "reason": diagnostic.not_applicable_reason,
        }),
        _ => json!({"enabled": false, "policy_key": null, "target": null, "reason": null}),
    };
    let mut record = json!(diagnostic);
    record["redistribution"] = redistribution;
    record
}

/// `metrics.json`: the metrics, and what they rest on.
pub fn metrics_file(
    facts: &Facts<'_>,
    outcome: &V1Outcome,
    hooks: &[Hook],
    metrics: &Value,
) -> Value {
    let mut flags = BTreeMap::new();
    for hook in hooks {
        let used = outcome.calls.contains_key(hook.name);
        flags.insert(format!("hook.{}.present", hook.name), 1);
        flags.insert(format!("hook.{}.used", hook.name), i32::from(used));
    }
    json!({
        "schema_version": "prism_v1_metrics.v1",
        "submission_id": facts.status.submission_id,
        "metrics": metrics,
        "recipe": outcome.recipe,
        "recipe_fingerprint": recipe_fingerprint(&outcome.recipe),
        "default_optimizer_learning_rate": outcome.learning_rate,
        "hooks": flags,
        "compute_basis": {
            "own_seconds": facts.own_seconds(),
            "nominal_flops_per_second": facts.flops_per_second(),
            "flops_by_parameters": 6.0 * facts.measured.model_params.unwrap_or(0) as f64 * facts.tokens_seen() as f64,
        },
    })
}

/// The whole manifest.
pub fn manifest(
    facts: &Facts<'_>,
    outcome: &V1Outcome,
    hooks: &[Hook],
    evidence: Vec<Value>,
    metrics: Value,
    artifacts: &Artifacts,
) -> Value {
    let Facts {
        status, measured, ..
    } = facts;
    let id = &status.submission_id;
    let identity = &facts.architecture["identity"];
    let short = |name: &str| {
        let hash = identity[name].as_str().unwrap_or_default();
        hash.get(..12).unwrap_or(hash).to_owned()
    };
    let attempt = facts.plan.v1.as_ref().map_or(1, |v1| v1.attempt);
    let split = |name: &str| facts.corpus["splits"][name]["fingerprint"].clone();
    let gpu_count = facts.gpu_count();
    let batch_size = measured.batch_size.unwrap_or(1);
    let cuda = facts.is_cuda();
    let backend = if cuda { "nccl" } else { "gloo" };
    let report = facts.corpus["near_duplicates"].is_object();
    json!({
        "schema_version": "prism_run_manifest.v1",
        "submission_id": id,
        "architecture_id": facts.architecture_id(),
        "architecture_version_id": format!("archv-{}", short("architecture_source_hash")),
        "training_script_version_id": format!("trainv-{}", short("training_hash")),
        "run_id": format!("run-{id}-{attempt}"),
        "mode": facts.mode().name(),
        "dataset": {
            "name": measured.corpus_name,
            "revision": facts.corpus["dataset"]["pin_sha"],
            "train_split_fingerprint": split("train"),
            "validation_split_fingerprint": split("val"),
            "test_split_fingerprint": split("test"),
            "tokenizer_fingerprint": facts.tokenizer_fingerprint(),
            "evaluator_fingerprint": sha256(json!(facts.executed).to_string().as_bytes()),
            "benchmark_fingerprints": {},
            "contamination_report_path": report.then_some(super::publish::CORPUS_MANIFEST),
        },
        "model": {
            "parameter_count": measured.model_params,
            "architecture_graph_hash": artifacts.architecture_graph.sha256,
            "tokenizer_kind": measured.tokenizer,
            "vocab_size": measured.vocab_size,
            "max_sequence_length": measured.seq_len,
        },
        "compute": {
            "gpu_count": gpu_count,
            "gpu_type": cuda.then_some(&measured.environment.device_name),
            "gpu_server": null,
            "gpu_device_ids": (0..gpu_count).map(|index| index.to_string()).collect::<Vec<_>>(),
            "world_size": measured.world_size,
            "rank": 0,
            "local_rank": 0,
            "distributed_backend": (measured.world_size > 1).then_some(backend),
            "effective_batch_size": batch_size * measured.world_size,
            "gradient_accumulation_steps": 1,
            "tokens_seen": metrics["tokens_seen"],
            "estimated_flops": metrics["estimated_flops"],
            "wall_clock_seconds": measured.seconds.get("stream").copied().unwrap_or(0.0),
            "checkpoint_path": artifacts.checkpoints.last().map(|entry| entry["path"].clone()),
            "resume_checkpoint_path": measured.resumes.last().map(|resumed| &resumed.path),
        },
        "metrics": metrics,
        "artifacts": artifacts,
        "hooks": hooks_block(outcome, hooks, facts),
        "validation": validation(facts, outcome, hooks, evidence, report),
    })
}

impl Facts<'_> {
    /// prism.yaml's, else one from the architecture's sources.
    fn architecture_id(&self) -> String {
        let named = self
            .plan
            .v1
            .as_ref()
            .and_then(|v1| v1.architecture_id.clone());
        let hash = self.architecture["identity"]["architecture_source_hash"]
            .as_str()
            .unwrap_or_default();
        named.unwrap_or_else(|| format!("arch-{}", hash.get(..12).unwrap_or(hash)))
    }

    fn tokenizer_fingerprint(&self) -> String {
        let name = self.measured.tokenizer.as_deref().unwrap_or(BYTES);
        let file = match name {
            OWN => self.own_tokenizer.clone(),
            _ => self.executed.get("tokenizer").cloned(),
        };
        sha256(
            json!({"name": name, "file_sha256": file})
                .to_string()
                .as_bytes(),
        )
    }
}

#[cfg(test)]
#[path = "v1_manifest_tests.rs"]
mod tests;
