//! Every component of the v1 rules, and what is refused.

use serde_json::{Value, json};

use super::*;

/// A manifest as the historical container wrote it.
fn manifest(parameters: u64, first_loss: f64, last_loss: f64) -> Value {
    let tokens = 768;
    let flops = 6.0 * tokens as f64 * parameters as f64;
    let improvement = (first_loss - last_loss).max(0.0) / first_loss.max(1e-12);
    let ok = json!({"status": "ok", "aggregate": 1.0, "per_layer": {}, "warnings": []});
    let mut diagnostics: serde_json::Map<String, Value> = DIAGNOSTICS
        .iter()
        .map(|name| ((*name).to_owned(), ok.clone()))
        .collect();
    diagnostics["attention_diversity"] = json!({"status": "not_applicable", "aggregate": null});
    let file = |name: &str| json!({"path": format!("artifacts/{name}")});
    json!({
        "schema_version": "prism_run_manifest.v1", "submission_id": "sub-1", "mode": "gpu_proxy_eval",
        "dataset": {"contamination_report_path": "artifacts/c.json"},
        "model": {"parameter_count": parameters},
        "compute": {"gpu_count": 1, "tokens_seen": tokens, "estimated_flops": flops},
        "metrics": {
            "loss_vs_tokens": [{"x": 768.0, "loss": last_loss}, {"x": 0.0, "loss": first_loss}],
            "learning_speed_slope": (last_loss - first_loss) / tokens as f64,
            "tokens_seen": tokens, "estimated_flops": flops, "parameter_count": parameters, "gpu_count": 1,
            "benchmark_scores": {}, "benchmark_noise_metadata": {}, "diagnostics": diagnostics,
            "loss": {
                "standardized_eval_loss": last_loss, "loss_normalization_scope": "byte_normalized",
                "relative_loss_reduction": improvement, "architecture_normalized_heldout_improvement": improvement,
                "loss_comparable": true, "loss_component_redistribution": {"enabled": false},
            },
        },
        "artifacts": {"architecture_graph": file("g"), "architecture_metadata": file("m"), "run_log": file("l"), "metrics": file("x")},
        "validation": {"passed": true, "score_eligible": true, "errors": []},
    })
}

fn with(path: &str, value: Value) -> Value {
    let mut manifest = manifest(1024, 8.3, 8.3);
    let (block, field) = path.rsplit_once('/').unwrap();
    manifest.pointer_mut(block).unwrap()[field] = value;
    manifest
}

/// Values observed on the historical scorer, to three digits.
#[test]
fn container_runs_have_their_observed_scores() {
    for (parameters, first, last, q_arch, q_recipe) in [
        (1_024, 8.3, 8.3, 0.420, 0.424),
        (10_000_000, 8.3, 8.3 * 0.976, 0.279, 0.336),
        (1_024, 8.3, 0.0, 0.824, 0.805),
    ] {
        let score = score(&manifest(parameters, first, last)).unwrap();
        assert!((score.q_arch - q_arch).abs() < 2e-3, "{score:?}");
        assert!((score.q_recipe - q_recipe).abs() < 2e-3, "{score:?}");
        assert_eq!(score.final_score, 0.7 * score.q_arch + 0.3 * score.q_recipe);
    }
}

#[test]
fn each_component_moves_its_score_by_its_weight() {
    let base = score(&manifest(1024, 8.3, 8.3)).unwrap();
    let stderr = |value: f64| json!({"stderr_by_benchmark": {"gsm8k": value, "mmlu": -value}});
    let learning = |arch: f64| (0.35 * arch, 0.25 * 0.5 * arch);
    for (path, value, (arch, recipe)) in [
        (
            "/metrics/loss/relative_loss_reduction",
            json!(0.5),
            learning(0.3),
        ),
        (
            "/metrics/loss/relative_loss_reduction",
            json!(-9.0),
            learning(0.0),
        ),
        ("/metrics/learning_speed_slope", json!(-0.05), learning(0.2)),
        ("/metrics/learning_speed_slope", json!(-5.0), learning(0.4)),
        (
            "/metrics/loss/standardized_eval_loss",
            json!(0.0),
            (0.2 * (1.0 - 1.0 / 9.3), 0.0),
        ),
        (
            "/metrics/loss/architecture_normalized_heldout_improvement",
            json!(2.0),
            (0.0, 0.3),
        ),
        (
            "/metrics/benchmark_scores",
            json!({"mmlu": 1.0, "other": 9.0}),
            (0.05 * 0.2, 0.15 * 0.2),
        ),
        (
            "/metrics/benchmark_noise_metadata",
            stderr(0.1),
            (0.0, -0.1 * 0.5),
        ),
        ("/metrics/benchmark_noise_metadata", json!(null), (0.0, 0.0)),
        ("/validation/errors", json!(["x"]), (0.0, -0.05)),
        ("/artifacts/metrics", json!(null), (0.0, -0.05 * 0.25)),
        ("/artifacts/run_log/path", json!(""), (0.0, -0.05 * 0.25)),
        // one point: the whole of robustness_stability is 0
        (
            "/metrics/loss_vs_tokens",
            json!([{"x": 0, "loss": 1}]),
            (-0.05, -0.125),
        ),
        // rising: 0.7 of it is
        (
            "/metrics/loss_vs_tokens",
            json!([{"x": 1, "loss": 2}, {"x": 0, "loss": 1}]),
            (-0.05 * 0.7, -0.125 * 0.7),
        ),
        // one of six diagnostics at half its value
        (
            "/metrics/diagnostics/useful_sparsity/status",
            json!("warning"),
            (
                -0.1 / 12.0 - 0.05 * 0.3 / 12.0,
                -0.125 * 0.3 / 12.0 - 0.05 * 0.1,
            ),
        ),
        (
            "/metrics/diagnostics/useful_sparsity/aggregate",
            json!(7.0),
            (0.0, 0.0),
        ),
    ] {
        let changed = score(&with(path, value.clone())).unwrap();
        let moved = (
            changed.q_arch - base.q_arch,
            changed.q_recipe - base.q_recipe,
        );
        assert!((moved.0 - arch).abs() < 1e-12, "{path} {value}: {moved:?}");
        assert!(
            (moved.1 - recipe).abs() < 1e-12,
            "{path} {value}: {moved:?}"
        );
    }
}

#[test]
fn runs_that_official_scoring_refuses_have_reasons() {
    for (path, value, reason) in [
        ("/mode", json!("local_cpu_smoke"), "mode: local_cpu_smoke"),
        (
            "/validation/passed",
            json!(false),
            "validation.passed: expected true",
        ),
        (
            "/validation/score_eligible",
            json!(false),
            "validation.score_eligible",
        ),
        (
            "/metrics/loss/loss_comparable",
            json!(1),
            "metrics.loss.loss_comparable: 1, expected true or false",
        ),
        (
            "/metrics/loss/loss_component_redistribution/enabled",
            json!(true),
            "enabled: expected false",
        ),
        (
            "/dataset/contamination_report_path",
            json!(null),
            "contamination_report_path: null",
        ),
        (
            "/metrics/loss/loss_normalization_scope",
            json!("architecture_baseline"),
            "loss_normalization_scope",
        ),
        (
            "/metrics/tokens_seen",
            json!(1),
            "metrics.tokens_seen: 1, expected compute.tokens_seen = 768",
        ),
        (
            "/metrics/loss/standardized_eval_loss",
            json!(-1),
            "standardized_eval_loss: -1",
        ),
        ("/metrics/loss_vs_tokens", json!([]), "loss_vs_tokens"),
        (
            "/metrics/loss_vs_tokens",
            json!([{"x": 1}]),
            "loss_vs_tokens",
        ),
        (
            "/metrics/learning_speed_slope",
            json!(true),
            "learning_speed_slope: true",
        ),
        (
            "/metrics/learning_speed_slope",
            json!(1e308),
            "-10 x metrics.learning_speed_slope: -inf",
        ),
        (
            "/metrics/benchmark_scores",
            json!({"mmlu": "high"}),
            "benchmark_scores",
        ),
        (
            "/metrics/diagnostics/useful_sparsity",
            json!({}),
            "useful_sparsity.status: missing",
        ),
        (
            "/metrics/diagnostics/useful_sparsity/status",
            json!("fine"),
            "status: fine",
        ),
        (
            "/metrics/diagnostics/useful_sparsity/aggregate",
            json!(null),
            "aggregate: null",
        ),
    ] {
        let reasons = score(&with(path, value)).unwrap_err().join("; ");
        assert!(reasons.contains(reason), "{path}: {reasons}");
    }
    assert!(score(&json!({})).unwrap_err().len() > 20);
}
