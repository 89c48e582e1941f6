//! What one run cannot say: other seeds, neighbours that are not told apart, scores that are too good to be believed.

use serde_json::{Value, json};

use crate::contest::{Contest, finish, has_bwrap};
use crate::outbox::{number, read_json, validator};
use crate::submissions::{SMALL, training};

/// Held with a score, never ranked, not measured again; ranked once a person has accepted it.
#[test]
fn a_run_that_is_too_good_waits_for_a_person() {
    let mut contest = Contest::new(json!({"quarantine": {"floor_bpb": 100.0}}));
    contest.submit("good.zip", SMALL, &training());
    let first = contest.run();
    assert_eq!(first.code, Some(0), "{first:?}");
    let held = contest.submission("good.zip");
    assert_eq!((held.state(), held.rule_id()), ("held", "prism:too-good"));
    assert!(
        held.message().contains("below the floor of 100"),
        "{}",
        held.message()
    );
    assert!(number(&held.manifest()["score"]["final_score"]) > 0.0);
    let board = || -> Value { read_json(&contest.outbox().join("leaderboard.json")) };
    assert_eq!(board()["rows"], json!([]));
    let again = contest.run().json();
    assert_eq!(
        (&again["known"], &again["processed"]),
        (&json!(1), &json!([])),
        "{again:#}"
    );

    let id = held.id().to_owned();
    contest.change(json!({"quarantine": {"accepted": [id]}}));
    let released = contest.run().json();
    assert_eq!(released["processed"][0]["state"], "scored", "{released:#}");
    assert_eq!(contest.submission("good.zip").status["attempts"], 1);
    let rows = read_json(&contest.outbox().join("leaderboard.json"))["rows"].clone();
    assert_eq!(
        rows.as_array().unwrap().len(),
        usize::from(has_bwrap()),
        "{rows:#}"
    );
}

/// Every seed has streams of its own; the first seed's files are where those of a single one are.
#[test]
fn several_seeds_give_mean_and_spread() {
    let contest = Contest::new(json!({"contest": {"seeds": [1337, 7]}}));
    contest.submit("seeds.zip", SMALL, &training());
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let one = contest.submission("seeds.zip");
    let manifest = one.manifest();
    assert_eq!(manifest["run"]["seed"], 1337);
    let seeds = &manifest["seeds"];
    assert_eq!(
        (&seeds["scored"], &seeds["runs"][1]["folder"]),
        (&json!(2), &json!("seeds/7")),
        "{seeds:#}"
    );
    let scores = [0, 1].map(|run| number(&seeds["runs"][run]["final_score"]));
    assert_eq!(scores[0].to_bits(), one.final_score().to_bits());
    assert_ne!(scores[0], scores[1], "another seed is another run");
    let (mean, spread) = (
        number(&seeds["final_score"]["mean"]),
        number(&seeds["final_score"]["spread"]),
    );
    assert!((mean - (scores[0] + scores[1]) / 2.0).abs() < 1e-15);
    assert!((spread - (scores[0] - scores[1]).abs() / 2.0_f64.sqrt()).abs() < 1e-15);
    for name in ["online_loss.parquet", "heldout.parquet"] {
        assert!(one.path("seeds/7").join(name).is_file(), "{name}");
    }
    // an audit makes the figures of every seed again
    let audited = finish(
        contest
            .prism(&["audit", "--format", "json"])
            .arg(one.path("")),
    );
    assert_eq!(audited.code, Some(0), "{audited:?}");
    // a folder with seeds is one run to the rescorer
    let report = finish(
        contest
            .prism(&["rescore", "--format", "json"])
            .arg(contest.outbox()),
    )
    .json();
    assert!(validator("rescore").is_valid(&report), "{report:#}");
    assert_eq!(
        (&report["scored"], &report["failed"]),
        (&json!(1), &json!(0)),
        "{report:#}"
    );
}
