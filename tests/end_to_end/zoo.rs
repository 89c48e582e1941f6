//! A few animals of the zoo, honest and not; `scripts/zoo.py` runs all of them. What must become of a cheat is read from its
//! row in zoo/cheats/README.md.

use std::collections::HashMap;
use std::fs;

use serde_json::json;

use crate::contest::{Contest, repository};
use crate::outbox::Submission;
use crate::zips;

/// Learners that must be scored without a flag.
const HONEST: [&str; 3] = ["conv_dilated", "mixture_of_experts", "byte_patches"];

/// Cheats, each stopped by something else.
const CHEATS: [&str; 5] = [
    "leak_mask_off_by_one",
    "leak_armed_after_start",
    "train_in_forward",
    "geometry_one_step",
    "stop_at_luckiest_prefix",
];

/// The scripts of `zoo/KIND/NAME`, zipped.
fn animal(kind: &str, name: &str) -> Vec<u8> {
    let folder = repository().join("zoo").join(kind).join(name);
    let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
    zips::zip(&[
        ("architecture.py", &text("architecture.py")),
        ("training.py", &text("training.py")),
    ])
}

/// The cells of the rows of zoo/cheats/README.md by name: name, class, what, layer, expected, twin, settings.
fn rows() -> HashMap<String, Vec<String>> {
    let text = fs::read_to_string(repository().join("zoo/cheats/README.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| {
        let row = row.trim_matches(['|', ' ']);
        let cells: Vec<String> = row
            .split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect();
        assert_eq!(cells.len(), 7, "{row}");
        cells
    });
    cells
        .map(|cells| (cells[0].trim_matches('`').to_owned(), cells))
        .collect()
}

/// Whether a cheat came to what its row expects, in the words of scripts/zoo_index.py.
fn is_as_expected(cheat: &Submission, expected: &str, twin: &Submission) -> bool {
    let mut ends = expected.split(',').map(|end| end.trim_matches(['`', ' ']));
    if cheat.state() != "scored" {
        return ends.any(|end| cheat.rule_id().strip_prefix("prism:") == Some(end));
    }
    let flags = cheat.flags();
    if cheat.final_score() <= 0.0 {
        return ends.any(|end| flags.iter().any(|flag| flag == end));
    }
    cheat.final_score() <= twin.final_score() && ends.any(|end| end == "no-gain")
}

#[test]
fn honest_learners_are_not_flagged_and_cheats_do_not_profit() {
    let contest = Contest::new(json!({"audit": {"snapshots": 1}}));
    let rows = rows();
    for name in HONEST {
        contest.submit_bytes(&format!("{name}.zip"), &animal("honest", name));
    }
    for name in CHEATS {
        contest.submit_bytes(&format!("{name}.zip"), &animal("cheats", name));
    }
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for name in HONEST {
        let submission = contest.submission(&format!("{name}.zip"));
        let status = &submission.status;
        assert_eq!(submission.state(), "scored", "{name}: {status:#}");
        let flags = submission.flags();
        assert!(flags.is_empty(), "{name}: {flags:?}");
        assert!(submission.final_score() > 0.0, "{name}: {status:#}");
    }
    let twin = contest.submission("conv_dilated.zip");
    for name in CHEATS {
        let submission = contest.submission(&format!("{name}.zip"));
        let expected = &rows[name][4];
        assert!(
            is_as_expected(&submission, expected, &twin),
            "{name}, expected {expected}: {:#}",
            submission.status
        );
    }
}
