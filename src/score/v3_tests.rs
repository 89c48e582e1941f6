//! The rules of v3, branch by branch.

use proptest::prelude::*;

use super::super::constants::Q32_ONE;
use super::*;

fn sum(tokens: u64, bytes: u64, nats: f64) -> StreamSum {
    StreamSum {
        tokens,
        bytes,
        nats_q32: (nats * Q32_ONE as f64) as i128,
    }
}

/// 1,000,000 bytes at 2 bits per byte; val at 2 bits per byte, the twin at 8.
fn totals() -> RunTotals {
    let bits = std::f64::consts::LN_2;
    RunTotals {
        submission_id: "s".to_owned(),
        steps: 100,
        ranks: 1,
        charged: sum(500_000, 1_000_000, 2e6 * bits),
        blind_tokens: 5_000,
        blind_nats_q32: sum(0, 0, 5_000.0 * 3.0).nats_q32,
        ref_nats_q32: sum(0, 0, 500_000.0 * 3.0).nats_q32,
        ref_blind_nats_q32: sum(0, 0, 5_000.0 * 3.0).nats_q32,
        trained: Some(sum(500, 1_000, 2e3 * bits)),
        twin: Some(sum(500, 1_000, 8e3 * bits)),
        train_tail: Some(sum(500, 1_000, 1.9e3 * bits)),
        ..RunTotals::default()
    }
}

fn facts() -> RunFacts {
    RunFacts {
        vocab_size: 4096,
        code_bits: 16_000,
        checks: vec![Check {
            name: "prism:non-causal".to_owned(),
            passed: true,
            evidence: String::new(),
        }],
        step0_nats: Some(8.3),
        bytes_per_token: 2.0,
        out_of_time: false,
    }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-8
}

#[test]
fn an_honest_run() {
    let score = score(&totals(), &facts()).unwrap();
    assert!(
        near(score.prequential_bpb, 2.0) && near(score.two_part_bpb, 2.016),
        "{score:?}"
    );
    assert!(near(score.base, 1.0 / 3.016));
    // uniform over 4096 ids: 500 x 12 bits over 1,000 bytes are 6 bits per byte, better than the twin's 8
    assert!(near(score.val_bpb_uniform.unwrap(), 6.0));
    assert!(near(score.heldout_delta.unwrap(), 4.0) && near(score.heldout_delta_raw.unwrap(), 6.0));
    assert!(
        near(score.train_heldout_gap.unwrap(), 0.1)
            && score.gap_basis.as_deref() == Some("converged")
    );
    assert_eq!(
        (
            score.memorization_flag,
            score.memorization_penalty,
            score.anti_cheat_multiplier
        ),
        (false, 1.0, 1.0)
    );
    assert!(score.tie_break > 0.0 && score.final_score == score.base + score.tie_break);
    assert!(score.flags.is_empty());
    assert_eq!(score.constants, CONSTANTS_V3);
}

#[test]
fn an_exact_reference_uniform_over_bytes() {
    // 1,000 bytes as 1,000 tokens of 256 ids, each charged ln 256: 8 bits per byte
    let mut totals = totals();
    totals.charged = sum(1_000, 1_000, 1_000.0 * 256_f64.ln());
    let score = score(
        &totals,
        &RunFacts {
            vocab_size: 256,
            code_bits: 0,
            ..facts()
        },
    )
    .unwrap();
    assert!(
        (score.prequential_bpb - 8.0).abs() < 1e-9,
        "{}",
        score.prequential_bpb
    );
    assert_eq!(score.two_part_bpb, score.prequential_bpb);
}

#[test]
fn a_bad_twin_buys_nothing() {
    let mut worse = totals();
    worse.twin = Some(sum(500, 1_000, 1e6));
    let (honest, worse) = (
        score(&totals(), &facts()).unwrap(),
        score(&worse, &facts()).unwrap(),
    );
    assert_eq!(honest.final_score, worse.final_score);
    assert!(worse.heldout_delta_raw > honest.heldout_delta_raw);
    let mut good = totals();
    good.twin = Some(sum(500, 1_000, 3e3 * std::f64::consts::LN_2));
    assert!(near(
        score(&good, &facts()).unwrap().heldout_delta.unwrap(),
        1.0
    ));
}

#[test]
fn memorisation_halves() {
    let tail = |bpb: f64| RunTotals {
        train_tail: Some(sum(500, 1_000, bpb * 1e3 * std::f64::consts::LN_2)),
        ..totals()
    };
    let flagged = score(&tail(0.99), &facts()).unwrap();
    assert_eq!(
        (flagged.memorization_flag, flagged.memorization_penalty),
        (true, 0.5)
    );
    assert_eq!(flagged.flags, ["memorization_gap"]);
    assert!(near(
        flagged.final_score,
        score(&totals(), &facts()).unwrap().final_score / 2.0
    ));
    assert!(!score(&tail(1.01), &facts()).unwrap().memorization_flag);
}

#[test]
fn anything_that_zeroes() {
    let failed = Check {
        name: "prism:non-causal".to_owned(),
        passed: false,
        evidence: "0.3 nats".to_owned(),
    };
    for (facts, flag) in [
        (
            RunFacts {
                checks: vec![failed.clone(), failed],
                ..facts()
            },
            "failed:prism:non-causal",
        ),
        (
            RunFacts {
                step0_nats: Some(4.1),
                ..facts()
            },
            "step0_anomaly",
        ),
        (
            RunFacts {
                step0_nats: None,
                ..facts()
            },
            "step0_not_measured",
        ),
    ] {
        let score = score(&totals(), &facts).unwrap();
        assert_eq!(
            (score.final_score, score.anti_cheat_multiplier),
            (0.0, 0.0),
            "{flag}"
        );
        assert_eq!(score.flags, [flag]);
    }
}

#[test]
fn what_is_flagged_only() {
    let mut totals = totals();
    totals.nonfinite_tokens = 1;
    totals.unpredicted = sum(10, 20, 30.0);
    (totals.trained, totals.twin, totals.train_tail) = (None, None, None);
    let score = score(&totals, &facts()).unwrap();
    assert_eq!(
        score.flags,
        ["heldout_not_measured", "nan_inf_detected", "stopped_early"]
    );
    assert_eq!(score.final_score, score.base);
    assert_eq!(
        (
            score.heldout_delta,
            score.gap_basis,
            score.val_covered_bytes
        ),
        (None, None, None)
    );
}

#[test]
fn text_left_for_want_of_time_has_a_flag_of_its_own() {
    let mut totals = totals();
    let out_of_time = RunFacts {
        out_of_time: true,
        ..facts()
    };
    assert_eq!(score(&totals, &out_of_time).unwrap().flags, [""; 0]);
    totals.unpredicted = sum(10, 20, 30.0);
    let score = score(&totals, &out_of_time).unwrap();
    assert_eq!(score.flags, ["wall_clock"]);
    assert_eq!(score.anti_cheat_multiplier, 1.0);
}

#[test]
fn the_step_0_threshold_is_the_smaller_of_ids_and_bytes() {
    // ln 4096 = 8.318; 8 ln 2 x 2 = 11.09; 8 ln 2 x 1 = 5.545
    assert!(near(step0_threshold_nats(4096, 2.0), 4.1588830833596715));
    assert!(near(step0_threshold_nats(4096, 1.0), 2.772588722239781));
}

#[test]
fn the_blind_gap_is_a_difference_of_differences() {
    let gap = blind_gap(&totals()).unwrap();
    let model_others = (2e6 * std::f64::consts::LN_2 - 15_000.0) / 495_000.0;
    assert!((gap.model_nats - (3.0 - model_others)).abs() < 1e-6 && near(gap.reference_nats, 0.0));
    assert_eq!(gap.excess_nats, gap.model_nats - gap.reference_nats);
    assert_eq!(
        blind_gap(&RunTotals {
            blind_tokens: 0,
            ..totals()
        }),
        None
    );
    assert_eq!(
        blind_gap(&RunTotals {
            blind_tokens: 500_000,
            ..totals()
        }),
        None
    );
}

#[test]
fn degenerate_runs_are_errors_with_reasons() {
    let broken = |change: fn(&mut RunTotals)| {
        let mut totals = totals();
        change(&mut totals);
        score(&totals, &facts())
    };
    for (result, reason) in [
        (broken(|totals| totals.steps = 0), "no step"),
        (broken(|totals| totals.charged.bytes = 0), "no bytes"),
        (broken(|totals| totals.charged.nats_q32 = 0), "0 nats"),
        (
            broken(|totals| totals.twin = Some(sum(0, 0, 0.0))),
            "held-out pass twin",
        ),
        (
            broken(|totals| totals.twin = Some(sum(499, 1_000, 1.0))),
            "expected the same text",
        ),
        (
            score(
                &totals(),
                &RunFacts {
                    vocab_size: 1,
                    ..facts()
                },
            ),
            "vocab_size is 1",
        ),
        (
            score(
                &totals(),
                &RunFacts {
                    bytes_per_token: f64::NAN,
                    ..facts()
                },
            ),
            "bytes_per_token is NaN",
        ),
        (
            score(
                &totals(),
                &RunFacts {
                    bytes_per_token: 0.0,
                    ..facts()
                },
            ),
            "bytes_per_token is 0",
        ),
        (
            score(
                &totals(),
                &RunFacts {
                    step0_nats: Some(f64::INFINITY),
                    ..facts()
                },
            ),
            "step0_nats is inf",
        ),
    ] {
        let reasons = result.unwrap_err();
        assert!(
            reasons.iter().any(|found| found.contains(reason)),
            "{reason}: {reasons:?}"
        );
    }
}

fn final_score(nats: f64, val_nats: f64, tail_nats: f64, passed: bool) -> f64 {
    let mut totals = totals();
    totals.charged = sum(500_000, 1_000_000, nats);
    totals.trained = Some(sum(500, 1_000, val_nats));
    totals.train_tail = Some(sum(500, 1_000, tail_nats));
    let mut facts = facts();
    facts.checks[0].passed = passed;
    score(&totals, &facts).unwrap().final_score
}

proptest! {
    #[test]
    fn fewer_bits_never_rank_worse_beyond_the_band(nats in 1e3..6e6_f64, more in 3466.0..1e6_f64, a in 600.0..6e3_f64, b in 600.0..6e3_f64) {
        // the tail equals val: nobody is flagged
        prop_assert!(final_score(nats, a, a, true) > final_score(nats + more, b, b, true));
    }

    #[test]
    fn a_larger_delta_never_ranks_worse(nats in 1e3..6e6_f64, val in 600.0..6e3_f64, less in 0.0..500.0_f64) {
        prop_assert!(final_score(nats, val - less, val - less, true) >= final_score(nats, val, val, true));
    }

    #[test]
    fn a_failed_check_scores_zero(nats in 1e3..6e6_f64, val in 600.0..6e3_f64, tail in 1.0..6e3_f64) {
        prop_assert_eq!(final_score(nats, val, tail, false), 0.0);
    }
}
