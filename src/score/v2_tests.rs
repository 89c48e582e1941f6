//! Every branch of the historical rules. Expected scores were computed with CPython's `math` from the table of rules.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A manifest as the earlier implementation wrote it, with held-out figures: 21925.28 nats over 3072 bytes.
const EXAMPLE: &str = include_str!("fixtures/prism_run_manifest.v2.example.json");

fn example() -> Value {
    serde_json::from_str(EXAMPLE).unwrap()
}

/// The smallest manifest that has a score.
fn minimal() -> Value {
    json!({"metrics": {"covered_bytes": 3072, "sum_neg_log_likelihood_nats": 21925.28, "online_loss": [8.41]}})
}

/// Block, field and new value.
type Change = (&'static str, &'static str, Value);

/// Name, changes, then gap, flag and basis as expected.
type GapCase = (
    &'static str,
    Vec<Change>,
    Option<f64>,
    bool,
    Option<&'static str>,
);

/// `manifest` with `block.field = value` for each change.
fn with(mut manifest: Value, changes: &[Change]) -> Value {
    for (block, field, value) in changes {
        manifest[*block][*field] = value.clone();
    }
    manifest
}

#[test]
fn the_example_has_its_recorded_score_to_the_last_bit() {
    let score = score(&example()).unwrap();
    assert_eq!(
        score.final_score.to_bits(),
        0.08854080006159118_f64.to_bits()
    );
    assert_eq!(
        score.prequential_bpb.to_bits(),
        10.296709871777985_f64.to_bits()
    );
    assert_eq!(score.stream_bits.to_bits(), 31631.49272610197_f64.to_bits());
    assert_eq!(score.gap_basis.as_deref(), Some("converged"));
    assert_eq!(
        (score.heldout_delta, score.train_heldout_gap),
        (Some(2.85), Some(0.15))
    );
    assert!(score.flags.is_empty());
}

#[test]
fn flags_penalty_and_anomaly() {
    let cases: [(&[Change], f64, &[&str]); 9] = [
        (
            &[("metrics", "memorization_flag", json!(true))],
            0.04427040003079559,
            &["memorization_gap"],
        ),
        (
            &[("score", "memorization_flag", json!(true))],
            0.04427040003079559,
            &["memorization_gap"],
        ),
        (
            &[("anti_cheat", "memorization_flag", json!(1))],
            0.04427040003079559,
            &["memorization_gap"],
        ),
        (
            &[("metrics", "train_heldout_gap", json!(1.0))],
            0.08854080006159118,
            &[],
        ),
        (
            &[("metrics", "train_heldout_gap", json!(1.0000000000000002))],
            0.04427040003079559,
            &["memorization_gap"],
        ),
        (
            &[("anti_cheat", "step0_anomaly", json!(true))],
            0.0,
            &["step0_anomaly"],
        ),
        (
            &[("anti_cheat", "step0_anomaly", json!("no"))],
            0.0,
            &["step0_anomaly"],
        ),
        (
            &[("anti_cheat", "step0_anomaly", json!(0))],
            0.08854080006159118,
            &[],
        ),
        (
            &[("anti_cheat", "nan_inf_detected", json!(true))],
            0.08854080006159118,
            &["nan_inf_detected"],
        ),
    ];
    for (changes, expected, flags) in cases {
        let score = score(&with(example(), changes)).unwrap();
        assert_eq!(score.final_score, expected, "{changes:?}");
        assert_eq!(score.flags, flags, "{changes:?}");
    }
}

#[test]
fn blocks_that_are_missing_or_of_the_wrong_type_leave_the_base_score() {
    let base = 0.08852134925570239;
    for (name, manifest) in [
        ("minimal", minimal()),
        ("blocks that are no objects", {
            let mut manifest = minimal();
            manifest["score"] = json!([1]);
            manifest["anti_cheat"] = json!("clean");
            manifest["data"] = json!(null);
            manifest
        }),
        (
            "delta is a boolean",
            with(minimal(), &[("metrics", "heldout_delta", json!(true))]),
        ),
        (
            "delta is a text",
            with(minimal(), &[("metrics", "heldout_delta", json!("2.85"))]),
        ),
        // what was found first counts, also when it is of no use
        (
            "a boolean hides the alias",
            with(
                minimal(),
                &[
                    ("metrics", "heldout_delta", json!(true)),
                    ("metrics", "held_out_delta", json!(2.85)),
                ],
            ),
        ),
        (
            "a boolean hides the score block",
            with(
                minimal(),
                &[
                    ("metrics", "heldout_delta", json!(false)),
                    ("score", "heldout_delta", json!(2.85)),
                ],
            ),
        ),
    ] {
        let score = score(&manifest).unwrap();
        assert_eq!(score.final_score, base, "{name}");
        assert_eq!(
            (score.heldout_delta, score.memorization_penalty),
            (None, 1.0),
            "{name}"
        );
    }
}

#[test]
fn the_delta_is_looked_for_in_four_places() {
    for changes in [
        [
            ("metrics", "heldout_delta", json!(2.85)),
            ("metrics", "held_out_delta", json!(9.0)),
        ],
        [
            ("metrics", "held_out_delta", json!(2.85)),
            ("score", "heldout_delta", json!(9.0)),
        ],
        [
            ("score", "heldout_delta", json!(2.85)),
            ("score", "held_out_delta", json!(9.0)),
        ],
        [
            ("metrics", "heldout_delta", json!(null)),
            ("score", "held_out_delta", json!(2.85)),
        ],
    ] {
        let score = score(&with(minimal(), &changes)).unwrap();
        assert_eq!(score.heldout_delta, Some(2.85), "{changes:?}");
        assert_eq!(score.final_score, 0.08854080006159118, "{changes:?}");
    }
}

#[test]
fn a_gap_needs_comparable_bases() {
    let val = ("metrics", "val_bpb_trained", json!(11.5));
    let bytes = |field| ("metrics", field, json!("bytes"));
    let tokenizer = |field| ("metrics", field, json!("tokenizer"));
    let (train_basis, val_basis) = ("train_bpb_basis", "val_bpb_basis");
    // bpb is 10.2967...: against it the gap is 1.2033, above the threshold
    let prequential = 11.5 - 10.296709871777985;
    let cases: [GapCase; 9] = [
        ("no basis", vec![val.clone()], Some(prequential), true, None),
        (
            "one basis",
            vec![val.clone(), tokenizer(train_basis)],
            Some(prequential),
            true,
            None,
        ),
        (
            "same basis",
            vec![val.clone(), bytes(train_basis), bytes(val_basis)],
            Some(prequential),
            true,
            None,
        ),
        (
            "other basis",
            vec![val.clone(), tokenizer(train_basis), bytes(val_basis)],
            None,
            false,
            None,
        ),
        (
            "other basis, flag set",
            vec![
                val.clone(),
                tokenizer(train_basis),
                bytes(val_basis),
                ("metrics", "memorization_flag", json!(true)),
            ],
            None,
            false,
            None,
        ),
        (
            "other basis, gap recorded",
            vec![
                tokenizer(train_basis),
                bytes(val_basis),
                ("metrics", "train_heldout_gap", json!(5.0)),
            ],
            None,
            false,
            None,
        ),
        (
            "converged reference",
            vec![
                val.clone(),
                tokenizer(train_basis),
                bytes(val_basis),
                ("metrics", "train_bpb_converged", json!(11.0)),
            ],
            Some(0.5),
            false,
            Some("converged"),
        ),
        (
            "converged basis, no reference",
            vec![
                val.clone(),
                tokenizer(train_basis),
                bytes(val_basis),
                ("score", "gap_basis", json!("converged")),
            ],
            Some(prequential),
            true,
            Some("converged"),
        ),
        (
            "alias of the gap",
            vec![
                val.clone(),
                ("score", "train_val_gap", json!(0.25)),
                ("score", "gap_basis", json!("prequential")),
            ],
            Some(0.25),
            false,
            Some("prequential"),
        ),
    ];
    for (name, changes, gap, flag, basis) in cases {
        let score = score(&with(minimal(), &changes)).unwrap();
        assert_eq!(score.train_heldout_gap, gap, "{name}");
        assert_eq!(score.memorization_flag, flag, "{name}");
        assert_eq!(score.gap_basis.as_deref(), basis, "{name}");
    }
}

#[test]
fn covered_bytes_come_from_metrics_then_data_and_are_truncated() {
    let data = ("data", "covered_bytes", json!(3072));
    for changes in [
        vec![("metrics", "covered_bytes", json!(3072.9))],
        vec![("metrics", "covered_bytes", json!(null)), data.clone()],
        vec![("metrics", "covered_bytes", json!(true)), data.clone()],
        vec![("metrics", "covered_bytes", json!("3072")), data.clone()],
        vec![("data", "covered_bytes", json!(1))],
    ] {
        assert_eq!(
            score(&with(minimal(), &changes)).unwrap().covered_bytes,
            3072,
            "{changes:?}"
        );
    }
}

#[test]
fn a_high_code_length_is_flagged_and_kept() {
    let score = score(&with(
        minimal(),
        &[("metrics", "sum_neg_log_likelihood_nats", json!(175402.24))],
    ))
    .unwrap();
    assert_eq!(score.flags, ["bpb_out_of_band"]);
    assert_eq!(score.final_score, base_score(score.prequential_bpb));
}

#[test]
fn degenerate_runs_are_errors_with_reasons() {
    let nats = |value| {
        with(
            minimal(),
            &[("metrics", "sum_neg_log_likelihood_nats", value)],
        )
    };
    let bytes = |value| with(minimal(), &[("metrics", "covered_bytes", value)]);
    let losses = |value| with(minimal(), &[("metrics", "online_loss", value)]);
    for (manifest, reason) in [
        (json!(null), "metrics: missing"),
        (json!({}), "metrics: missing"),
        (json!({"metrics": []}), "metrics: missing"),
        (bytes(json!(null)), "covered_bytes: missing"),
        (bytes(json!(true)), "covered_bytes: missing"),
        (bytes(json!(0)), "covered_bytes: 0"),
        (bytes(json!(0.9)), "covered_bytes: 0"),
        (bytes(json!(-5)), "covered_bytes: -5"),
        (bytes(json!(1e300)), "covered_bytes: 1000"),
        (losses(json!([])), "metrics.online_loss"),
        (losses(json!(8.4)), "metrics.online_loss"),
        (losses(json!(null)), "metrics.online_loss"),
        (nats(json!(null)), "sum_neg_log_likelihood_nats: null"),
        (nats(json!(true)), "sum_neg_log_likelihood_nats: true"),
        (
            nats(json!("21925.28")),
            "sum_neg_log_likelihood_nats: \"21925.28\"",
        ),
        (nats(json!(0.0)), "bits per byte are 0"),
        (nats(json!(-1.0)), "bits per byte are -"),
        (nats(json!(1.7e308)), "bits per byte are inf"),
    ] {
        let reasons = score(&manifest).unwrap_err();
        assert!(
            reasons.len() == 1 && reasons[0].contains(reason),
            "{manifest}: {reasons:?}"
        );
    }
    assert_eq!(score(&json!({"metrics": {}})).unwrap_err().len(), 3);
}

/// Both bounds of the tie-break, both signs of the delta, with and without penalty: computed with CPython.
#[test]
fn the_tie_break_is_that_of_the_historical_scorer_to_the_last_bit() {
    for (nats, covered_bytes, delta, flag, expected) in [
        (21925.28, 3072, -2.85, false, 0.0885018984498136),
        (21925.28, 3072, 2.85, true, 0.04427040003079559),
        (21925.28, 3072, -0.4, true, 0.044256954660345314),
        (700.0, 3072, 0.9, false, 0.7533094869407603),
        (700.0, 3072, -0.9, true, 0.37593844560018114),
        (1200.5, 3072, 1e-09, false, 0.6394730480193876),
        (1200.5, 3072, 1e+300, false, 0.6404730480183877),
        (1200.5, 3072, -1e+300, true, 0.31923652400919383),
        (2129.0, 3072, 0.1, false, 0.5001030244994858),
        (4258.1, 3072, 0.0, false, 0.33336445047366636),
        (123456.789, 98304, 0.33, false, 0.3557403498241208),
        (98765.4321, 65536, 3.0, false, 0.31528647793470116),
    ] {
        let manifest = json!({"metrics": {
            "covered_bytes": covered_bytes, "sum_neg_log_likelihood_nats": nats, "online_loss": [1.0],
            "heldout_delta": delta, "memorization_flag": flag,
        }});
        let final_score = score(&manifest).unwrap().final_score;
        let expected: f64 = expected;
        assert_eq!(
            final_score.to_bits(),
            expected.to_bits(),
            "{nats} {delta} {flag}"
        );
    }
}

fn final_score(nats: f64, delta: Option<f64>, anomaly: bool, flag: bool) -> f64 {
    score(&json!({
        "metrics": {"covered_bytes": 1_000_000, "sum_neg_log_likelihood_nats": nats, "online_loss": [1.0],
            "heldout_delta": delta, "memorization_flag": flag},
        "anti_cheat": {"step0_anomaly": anomaly},
    }))
    .unwrap()
    .final_score
}

proptest! {
    #[test]
    fn fewer_bits_never_rank_worse_beyond_the_band(
        nats in 1e3..4e7_f64, more in 3466.0..1e7_f64, a in -5.0..5.0_f64, b in -5.0..5.0_f64, flag: bool,
    ) {
        // 5e-3 bits per byte of a million bytes are 3465.7 nats
        prop_assert!(final_score(nats, Some(a), false, flag) > final_score(nats + more, Some(b), false, flag));
    }

    #[test]
    fn a_larger_delta_never_ranks_worse(nats in 1e3..4e7_f64, a in -5.0..5.0_f64, more in 0.0..5.0_f64, flag: bool) {
        prop_assert!(final_score(nats, Some(a + more), false, flag) >= final_score(nats, Some(a), false, flag));
    }

    #[test]
    fn an_anomaly_scores_zero(nats in 1e3..4e7_f64, delta in prop::option::of(-5.0..5.0_f64), flag: bool) {
        prop_assert_eq!(final_score(nats, delta, true, flag), 0.0);
    }
}
