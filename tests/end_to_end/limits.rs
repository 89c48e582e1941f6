//! The clock: who is slow is scored on what there was time for, who hangs fails, and nobody waits for them.

use serde_json::json;

use crate::contest::Contest;
use crate::corpus;
use crate::submissions::{SLOW_STEP, SMALL, training, training_with};

#[test]
fn the_slow_are_scored_and_the_hanging_fail() {
    let limits = json!({
        "budget": {"wall_clock_s": 4, "grace_s": 2},
        "run": {"build_s": 6},
    });
    let contest = Contest::new(limits);
    let slow = training_with(4, 64, "bytes", "", SLOW_STEP);
    contest.submit("slow.zip", SMALL, &slow);
    let forever = "while True:\n    loss = torch.ones(10).sum()";
    let in_loop = format!("if step == 2:\n    {}", forever.replace('\n', "\n    "));
    let hangs = training_with(4, 64, "bytes", "", &in_loop);
    contest.submit("hangs-in-the-loop.zip", SMALL, &hangs);
    let before = training_with(4, 64, "bytes", forever, "");
    contest.submit("hangs-before.zip", SMALL, &before);
    let build = SMALL.replace(
        "    return Small",
        "    while True:\n        pass\n    return Small",
    );
    contest.submit("build-hangs.zip", &build, &training());
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let slow = contest.submission("slow.zip");
    assert_eq!(slow.manifest()["run"]["stopped_reason"], "wall_clock");
    let rows = slow.online();
    // What there was no time for is charged like text that was left: nobody gains by stalling, and nobody is zeroed.
    let (left, predicted): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.unpredicted);
    assert!(predicted.len() > 1);
    assert_eq!(left.len(), 1);
    let rate = left[0].nats_q32 as f64 / 2f64.powi(32) / f64::from(left[0].tokens);
    assert!(rate >= 4_096f64.ln() - 1e-9, "{rate} nats a token");
    let texts = corpus::prefix(&contest.corpus(), "train", corpus::BUDGET_BYTES);
    let charged: u64 = rows.iter().map(|row| row.bytes).sum();
    assert_eq!(charged, corpus::bytes(&texts));
    assert_eq!(slow.flags(), ["wall_clock"]);
    assert!(slow.final_score() > 0.0);
    assert!(slow.passed("state"));

    for (name, word) in [
        ("hangs-in-the-loop.zip", "training on a batch"),
        ("hangs-before.zip", "waiting for ctx.iter_train_batches"),
    ] {
        let submission = contest.submission(name);
        assert_eq!(
            (submission.state(), submission.rule_id()),
            ("failed", "prism:budget-exceeded"),
            "{:#}",
            submission.status
        );
        assert!(
            submission.message().contains(word),
            "{:#}",
            submission.status
        );
    }
    let build = contest.submission("build-hangs.zip");
    assert_eq!(
        (build.state(), build.rule_id()),
        ("rejected", "prism:build-model-resource"),
        "{:#}",
        build.status
    );
}
