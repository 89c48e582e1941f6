//! A few animals of the zoo, honest and not; `scripts/zoo.py` runs all of them.

use std::fs;

use serde_json::json;

use crate::contest::{Contest, repository};
use crate::zips;

/// The scripts of `zoo/KIND/NAME`, zipped.
fn animal(kind: &str, name: &str) -> Vec<u8> {
    let folder = repository().join("zoo").join(kind).join(name);
    let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
    zips::zip(&[
        ("architecture.py", &text("architecture.py")),
        ("training.py", &text("training.py")),
    ])
}

/// What must become of it, and by which rule.
const EXPECTED: [(&str, &str, &str, &str); 7] = [
    ("honest", "conv_dilated", "scored", ""),
    ("honest", "mixture_of_experts", "scored", ""),
    ("honest", "byte_patches", "scored", ""),
    (
        "cheats",
        "leak_mask_off_by_one",
        "rejected",
        "prism:non-causal",
    ),
    (
        "cheats",
        "leak_armed_after_start",
        "failed",
        "prism:non-causal",
    ),
    ("cheats", "train_in_forward", "failed", "prism:non-causal"),
    ("cheats", "stop_at_luckiest_prefix", "scored", ""),
];

#[test]
fn honest_learners_are_not_flagged_and_cheats_do_not_profit() {
    let contest = Contest::new(json!({"audit": {"snapshots": 1}}));
    for (kind, name, _, _) in EXPECTED {
        contest.submit_bytes(&format!("{name}.zip"), &animal(kind, name));
    }
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for (kind, name, state, rule_id) in EXPECTED {
        let submission = contest.submission(&format!("{name}.zip"));
        let status = &submission.status;
        assert_eq!(
            (submission.state(), submission.rule_id()),
            (state, rule_id),
            "{name}: {status:#}"
        );
        if kind == "honest" {
            assert!(
                submission.flags().is_empty(),
                "{name}: {:?}",
                submission.flags()
            );
            assert!(submission.final_score() > 0.0, "{name}: {status:#}");
        }
    }
    // The rest of the text costs at least the uniform rate, however cheap the step before it was.
    let stopped = contest.submission("stop_at_luckiest_prefix.zip");
    let twin = contest.submission("conv_dilated.zip");
    assert!(stopped.final_score() <= twin.final_score(), "stopping paid");
}
