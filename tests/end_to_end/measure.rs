//! Honest runs: the same zip twice, early stops, running again, rescoring.

use serde_json::{Value, json};

use crate::contest::{Contest, finish, has_bwrap, turn};
use crate::corpus;
use crate::outbox::{check, number, snapshot};
use crate::submissions::{SMALL, training, training_with};

#[test]
fn the_same_zip_gives_the_same_bytes_and_running_again_does_nothing() {
    let mut contest = Contest::new(json!({}));
    contest.submit("honest.zip", SMALL, &training());
    let stop = "if step == 3:\n    break";
    let stops = training_with(4, 64, "bytes", "", stop);
    contest.submit("stops.zip", SMALL, &stops);
    let first = contest.run();
    assert_eq!(first.code, Some(0), "{first:?}");
    stopping_early_does_not_pay(&contest);
    let one = contest.submission("honest.zip");
    assert_eq!(one.flags(), [""; 0]);
    let (streams, bpb, final_score) = (one.stream_bytes(), one.bpb(), one.final_score());
    let first_id = one.id().to_owned();

    // Learning shows: the trained model is better than its twin, on text it never saw, too.
    let score = one.score();
    assert!(number(&score["heldout_delta"]) > 1.0, "{score:#}");
    assert!(number(&score["val_bpb_trained"]) < number(&score["val_bpb_random_init"]));
    for name in ["causality", "head_start", "state"] {
        assert!(one.passed(name), "{name}");
    }
    leaderboard_names(&contest, &first.json(), &first_id);
    rescoring_agrees(&contest, &first_id, final_score);

    // Nothing new: a byte-identical outbox that nobody touched.
    let before = snapshot(&contest.outbox());
    let again = contest.run();
    assert_eq!(again.code, Some(0), "{again:?}");
    let report = again.json();
    assert_eq!(
        (&report["known"], &report["processed"]),
        (&json!(2), &json!([])),
        "{report:#}"
    );
    let after = snapshot(&contest.outbox());
    let changed: Vec<_> = after
        .iter()
        .filter(|(path, facts)| before.get(*path) != Some(facts))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(before.len(), after.len());
    assert!(changed.is_empty(), "written again: {changed:?}");

    // A fresh outbox, another name: the same id, the same bytes, the same score.
    let inbox = contest.inbox();
    std::fs::rename(inbox.join("honest.zip"), inbox.join("renamed.zip")).unwrap();
    std::fs::remove_file(inbox.join("stops.zip")).unwrap();
    contest.change(json!({"outbox": contest.root().join("second-outbox")}));
    let second = contest.run();
    assert_eq!(second.code, Some(0), "{second:?}");
    let two = contest.submission("renamed.zip");
    assert_eq!(two.id(), first_id);
    assert!(two.stream_bytes() == streams, "the streams differ");
    assert_eq!(two.bpb().to_bits(), bpb.to_bits());
    assert_eq!(two.final_score().to_bits(), final_score.to_bits());
}

fn leaderboard_names(contest: &Contest, report: &Value, id: &str) {
    let rows = crate::outbox::read_json(&contest.outbox().join("leaderboard.json"));
    let rows = rows["rows"].as_array().unwrap().clone();
    if !has_bwrap() {
        assert!(rows.is_empty());
        return;
    }
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[0]["submission_id"], &rows[0]["rank"]),
        (&json!(id), &json!(1))
    );
    assert_eq!(report["board"]["leaderboard"]["rows"][0], rows[0]);
    let isolation = &contest.submission("honest.zip").manifest()["isolation"];
    assert_eq!(isolation["achieved"], "bwrap", "{isolation:#}");
    assert_eq!(isolation["score_eligible"], true, "{isolation:#}");
}

/// `prism rescore` of the run's folder: the same score to the last bit.
fn rescoring_agrees(contest: &Contest, id: &str, final_score: f64) {
    let folder = contest.outbox().join(id);
    let mut command = contest.prism(&["rescore", "--format", "json"]);
    let ran = finish(command.arg(&folder));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.json();
    assert!(crate::outbox::validator("rescore").is_valid(&report));
    let row = &report["rows"][0];
    assert_eq!(row["scoring_version"], "prism_score.v3");
    assert_eq!(
        number(&row["final_score"]).to_bits(),
        final_score.to_bits(),
        "{row:#}"
    );
    assert_eq!(row["drift"], json!(0.0), "{row:#}");
    // A stream that is not the recorded one gives no score.
    let copy = contest.root().join("copy").join(id);
    std::fs::create_dir_all(&copy).unwrap();
    for file in std::fs::read_dir(&folder).unwrap().flatten() {
        std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    let stream = copy.join("online_loss.parquet");
    let mut bytes = std::fs::read(&stream).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&stream, bytes).unwrap();
    let ran = finish(
        contest
            .prism(&["rescore", "--format", "json"])
            .arg(copy.parent().unwrap()),
    );
    let report = ran.json();
    assert_eq!(
        (&report["scored"], &report["failed"]),
        (&json!(0), &json!(1)),
        "{report:#}"
    );
}

/// The same training with a `break` after its third batch.
fn stopping_early_does_not_pay(contest: &Contest) {
    let (goes_on, stops) = (
        contest.submission("honest.zip"),
        contest.submission("stops.zip"),
    );
    let manifest = stops.manifest();
    assert_eq!(manifest["run"]["stopped_reason"], "submission_ended");
    assert_eq!(
        goes_on.manifest()["run"]["stopped_reason"],
        "data_exhausted"
    );
    assert_eq!(stops.flags(), ["stopped_early"]);
    assert!(stops.final_score() < goes_on.final_score());
    assert!(stops.bpb() > goes_on.bpb() + 1.0);

    // Three batches and one row for all that was left, at the uniform rate at least: every byte is charged.
    let rows = stops.online();
    let (left, predicted): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.unpredicted);
    assert_eq!((predicted.len(), left.len()), (3, 1));
    assert_eq!(left[0].step, 3);
    let texts = corpus::prefix(&contest.corpus(), "train", corpus::BUDGET_BYTES);
    let bytes: u64 = rows.iter().map(|row| row.bytes).sum();
    assert_eq!(bytes, corpus::bytes(&texts));
    let tokens: u64 = rows.iter().map(|row| u64::from(row.tokens)).sum();
    assert_eq!(tokens, corpus::ids(&texts, "bytes").len() as u64);
    let rate = left[0].nats_q32 as f64 / 2f64.powi(32) / f64::from(left[0].tokens);
    assert!(rate >= 4_096f64.ln() - 1e-9, "{rate} nats a token");
    assert_eq!(goes_on.online()[..3], rows[..3], "until then they are one");
}

#[test]
fn the_budget_of_steps_ends_a_run_that_is_scored() {
    let contest = Contest::new(json!({"budget": {"steps": 5}}));
    contest.submit("five-steps.zip", SMALL, &training());
    let _turn = turn();
    // The text form says it to people; progress goes to stderr.
    let ran = contest.start(contest.prism(&["run"]), "run").finish();
    check(&contest.outbox(), &ran);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("scored"), "{ran:?}");
    assert!(ran.stdout.contains("five-steps.zip"), "{ran:?}");
    assert!(
        ran.stderr.contains("measuring [1/1] five-steps.zip"),
        "{ran:?}"
    );
    let submission = contest.submission("five-steps.zip");
    let manifest = submission.manifest();
    assert_eq!(manifest["run"]["stopped_reason"], "step_budget");
    let rows = submission.online();
    assert_eq!(rows.len(), 5);
    assert!(rows.iter().all(|row| !row.unpredicted));
    let charged: u64 = rows.iter().map(|row| row.bytes).sum();
    assert_eq!(manifest["data"]["covered_bytes"], json!(charged));
    assert_eq!(
        submission.flags(),
        [""; 0],
        "the contest ended it, not the submission"
    );
}
