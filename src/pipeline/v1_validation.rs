//! What a manifest of the first contract says about a run beyond its figures: hooks, checks, and what does not apply.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::v1_manifest::Facts;
use crate::config::V1Mode;
use crate::referee::v1_outcome::V1Outcome;
use crate::review::{Hook, inference_hook};

/// Which hooks are there, where they stand, and how often the training called them.
pub fn hooks_block(outcome: &V1Outcome, hooks: &[Hook], facts: &Facts<'_>) -> Value {
    let has = |name: &str| hooks.iter().any(|hook| hook.name == name);
    let present: BTreeSet<&str> = hooks.iter().map(|hook| hook.name).collect();
    let locations: BTreeMap<&str, [&String; 1]> =
        hooks.iter().map(|hook| (hook.name, [&hook.path])).collect();
    let mut files: BTreeSet<&String> = hooks
        .iter()
        .filter(|hook| outcome.calls.contains_key(hook.name))
        .map(|hook| &hook.path)
        .collect();
    files.insert(&facts.plan.architecture.path);
    json!({
        "present": present,
        "used": outcome.calls,
        "locations": locations,
        "contributing_files": files,
        "inference_hook": inference_hook(hooks),
        "custom_optimizer": has("configure_optimizer"),
        "custom_loss": has("compute_loss"),
        "custom_train_step": has("train_step"),
    })
}

/// Whether the run passed and is eligible, with evidence and warnings.
pub fn validation(
    facts: &Facts<'_>,
    outcome: &V1Outcome,
    hooks: &[Hook],
    evidence: Vec<Value>,
    has_report: bool,
) -> Value {
    let mode = facts.mode();
    let checks = &facts.measured.checks;
    let errors: Vec<String> = checks
        .iter()
        .filter(|check| !check.passed)
        .map(|check| format!("{}: {}", check.name, check.evidence))
        .collect();
    let isolated = facts.measured.isolation.as_ref();
    let is_walled = isolated.is_some_and(|achieved| achieved.score_eligible);
    let passed = errors.is_empty();
    let eligible =
        passed && is_walled && mode != V1Mode::LocalCpuSmoke && facts.measured.world_size == 1;
    let mut warnings = Vec::new();
    if mode == V1Mode::LocalCpuSmoke {
        warnings.push(
            "mode local_cpu_smoke: never eligible; contest.v1_mode chooses another".to_owned(),
        );
    } else if !facts.is_cuda() {
        warnings.push(format!("mode {} on the CPU: gpu_count is 0", mode.name()));
    }
    if !is_walled {
        warnings.push("the sandbox was not whole: not eligible".to_owned());
    }
    if !has_report {
        warnings.push("dataset.contamination_report_path: the corpus was locked without looking for near-duplicates".to_owned());
    }
    let recipe = &outcome.recipe;
    if outcome
        .learning_rate
        .is_some_and(|applied| applied < recipe.learning_rate)
    {
        warnings.push(format!(
            "recipe.learning_rate: got {}, the default optimizer applies at most 0.0003",
            recipe.learning_rate
        ));
    }
    warnings.push(format!(
        "recipe: the names {:?} and {:?} of optimizer and scheduler are recorded and not applied",
        recipe.optimizer, recipe.scheduler
    ));
    for hook in hooks
        .iter()
        .filter(|hook| !outcome.calls.contains_key(hook.name))
    {
        warnings.push(format!("hooks: {} is there and was not called", hook.name));
    }
    if !facts.is_cuda() {
        warnings.push("compute.gpu_type: not applicable, the run was on the CPU".to_owned());
    }
    warnings.push("compute.gpu_server: not applicable, runs are made where prism is".to_owned());
    for resumed in &facts.measured.resumes {
        warnings.push(format!(
            "attempt {} went on from the checkpoint that attempt {} left after {} batches; {} steps were on record, none of \
             them was charged again",
            resumed.attempt, resumed.from_attempt, resumed.checkpoint_step, resumed.record_steps
        ));
    }
    if facts.measured.resumes.is_empty() {
        warnings.push(
            "compute.resume_checkpoint_path: not applicable, the run was not resumed".to_owned(),
        );
    }
    warnings.push("metrics.benchmark_scores: not applicable, no benchmark is run".to_owned());
    if facts.measured.world_size == 1 {
        warnings.push("compute.distributed_backend: not applicable, there is one rank".to_owned());
    }
    json!({
        "passed": passed,
        "score_eligible": eligible,
        "deterministic_evidence": evidence,
        "warnings": warnings,
        "errors": errors,
    })
}
