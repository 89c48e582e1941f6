//! Submissions that say again what an earlier one said, from the inbox to the status. Nothing is measured: without a
//! Python what was reviewed waits.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::contest::{Contest, Ran, finish, repository};
use crate::zips;

fn original(name: &str) -> String {
    fs::read_to_string(
        repository()
            .join("tests/fixtures/duplicates/original")
            .join(name),
    )
    .unwrap()
}

/// The same work under other names, with code that nothing uses.
fn disguised() -> (String, String) {
    let words = [
        ("Decay", "Fade"),
        ("Recurrence", "Scan"),
        ("RecurrentModel", "Learner"),
        ("inward", "into"),
        ("outward", "out_of"),
        ("narrow", "squeeze"),
        ("smoothed", "average"),
        ("rate_at", "speed"),
    ];
    let rename = |text: String| {
        words
            .iter()
            .fold(text, |text, (old, new)| text.replace(old, new))
    };
    let unused =
        "\n\ndef unused(x):\n    return torch.fft.rfft(x).abs().cumsum(0).flip(0).mean()\n";
    (
        rename(original("architecture.py")) + unused,
        rename(original("training.py")),
    )
}

fn contest(policy: &str) -> Contest {
    Contest::new(json!({
        "duplicates": {"policy": policy},
        "run": {"python": "/nonexistent/python"},
    }))
}

/// `prism run`, which reviews and then finds nothing to measure with.
fn look(contest: &Contest) -> Ran {
    let ran = finish(&mut contest.prism(&["run", "--format", "json"]));
    assert_eq!(ran.code, Some(4), "{ran:?}");
    ran
}

fn review(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("review.json")).unwrap()).unwrap()
}

#[test]
fn a_disguised_copy_is_rejected_and_the_index_survives() {
    let contest = contest("reject");
    contest.submit(
        "1-first.zip",
        &original("architecture.py"),
        &original("training.py"),
    );
    let (architecture, training) = disguised();
    contest.submit("2-copy.zip", &architecture, &training);
    contest.submit(
        "3-other.zip",
        &fs::read_to_string(repository().join("tests/fixtures/duplicates/other/architecture.py"))
            .unwrap(),
        &fs::read_to_string(repository().join("tests/fixtures/duplicates/other/training.py"))
            .unwrap(),
    );
    look(&contest);
    let first = contest.submission("1-first.zip");
    let copy = contest.submission("2-copy.zip");
    assert_eq!(first.state(), "reviewed", "{:#}", first.status);
    assert_eq!(contest.submission("3-other.zip").state(), "reviewed");
    assert_eq!(
        (copy.state(), copy.rule_id()),
        ("rejected", "prism:duplicate")
    );
    assert!(copy.message().contains(first.id()), "{}", copy.message());
    assert!(
        copy.message().contains("architecture.py:"),
        "{}",
        copy.message()
    );
    let evidence = review(&copy.folder);
    assert_eq!(evidence["verdict"], "rejected");
    assert_eq!(evidence["duplicates"]["duplicate"]["kind"], "exact");
    assert_eq!(evidence["duplicates"]["duplicate"]["earlier"], first.id());
    let region = &evidence["duplicates"]["duplicate"]["regions"][0];
    assert_eq!(region["new"]["path"], region["earlier"]["path"]);
    assert_eq!(review(&first.folder)["duplicates"]["compared_with"], 0);

    // later runs find the same, with the index, without it, and with a broken one
    let index = contest.outbox().join(".index/similarity.bin");
    let whole = fs::read(&index).unwrap();
    let damages: [fn(&Path); 3] = [
        |_| {},
        |index| fs::remove_file(index).unwrap(),
        |index| fs::write(index, b"prism-similarity\0 and then something else").unwrap(),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        damage(&index);
        let (architecture, training) = disguised();
        let name = format!("4-copy-{number}.zip");
        contest.submit(&name, &format!("# {number}\n{architecture}"), &training);
        look(&contest);
        let later = contest.submission(&name);
        assert_eq!(later.rule_id(), "prism:duplicate", "{:#}", later.status);
        assert_eq!(fs::read(&index).unwrap(), whole, "{name}");
    }
}

#[test]
fn the_first_to_arrive_counts_whatever_the_names() {
    let contest = contest("reject");
    let (architecture, training) = disguised();
    contest.submit(
        "z-first.zip",
        &original("architecture.py"),
        &original("training.py"),
    );
    // a change time is good to a tick of the kernel's clock
    std::thread::sleep(std::time::Duration::from_millis(30));
    contest.submit("a-second.zip", &architecture, &training);
    look(&contest);
    assert_eq!(contest.submission("z-first.zip").state(), "reviewed");
    assert_eq!(
        contest.submission("a-second.zip").rule_id(),
        "prism:duplicate"
    );
}

#[test]
fn a_policy_holds_or_looks_away() {
    let (architecture, training) = disguised();
    for (policy, state, verdict) in [("hold", "held", "held"), ("off", "reviewed", "accepted")] {
        let contest = contest(policy);
        contest.submit(
            "1-first.zip",
            &original("architecture.py"),
            &original("training.py"),
        );
        contest.submit("2-copy.zip", &architecture, &training);
        look(&contest);
        let copy = contest.submission("2-copy.zip");
        assert_eq!(copy.state(), state, "{:#}", copy.status);
        let review = review(&copy.folder);
        assert_eq!(review["verdict"], verdict);
        assert_eq!(review.get("duplicates").is_some(), policy != "off");
    }
}

/// The files of an outbox with their content, but for what a reader may leave alone.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn a_review_compares_with_an_outbox_and_leaves_it_alone() {
    let contest = contest("reject");
    contest.submit(
        "1-first.zip",
        &original("architecture.py"),
        &original("training.py"),
    );
    look(&contest);
    let first = contest.submission("1-first.zip");
    let (architecture, training) = disguised();
    let copy = contest.root().join("copy.zip");
    fs::write(
        &copy,
        zips::zip(&[
            ("architecture.py", &architecture),
            ("training.py", &training),
        ]),
    )
    .unwrap();
    let other = repository().join("tests/fixtures/duplicates/other");
    let itself = contest.inbox().join("1-first.zip");
    let review = |format: &str, policy: &str| {
        let mut command = contest.prism(&["--format", format, "review", "--against"]);
        command.arg(contest.outbox()).args([&copy, &other, &itself]);
        finish(command.env("PRISM_DUPLICATES_POLICY", policy))
    };
    let before = content(&contest.outbox());

    let ran = review("json", "reject");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let reviewed = ran.json();
    let evidence = &reviewed[0]["duplicates"];
    assert_eq!(reviewed[0]["accepted"], false);
    assert_eq!(reviewed[0]["review"]["verdict"], "rejected");
    assert_eq!(evidence["compared_with"], 1);
    assert_eq!(evidence["duplicate"]["kind"], "exact");
    assert_eq!(evidence["duplicate"]["earlier"], first.id());
    let region = &evidence["duplicate"]["regions"][0];
    assert_eq!(region["new"]["path"], region["earlier"]["path"]);
    assert_eq!(reviewed[1]["accepted"], true, "{reviewed:#}");
    assert!(reviewed[1]["duplicates"]["duplicate"].is_null());
    assert_eq!(
        reviewed[2]["accepted"], true,
        "it is compared with others only"
    );

    let ran = review("text", "hold");
    assert_eq!(ran.code, Some(1));
    for part in [
        "error[prism:duplicate]",
        first.id(),
        "= alike: architecture.py:",
        "held: ",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {ran:?}");
    }
    let ran = review("sarif", "off");
    assert_eq!(ran.code, Some(0), "told, and without effect");
    let result = &ran.json()["runs"][0]["results"][0];
    assert_eq!(
        (&result["ruleId"], &result["level"]),
        (&json!("prism:duplicate"), &json!("warning"))
    );
    assert!(result["relatedLocations"][0]["message"].is_object());

    // without its index the comparison is the same, and none is left behind
    fs::remove_dir_all(contest.outbox().join(".index")).unwrap();
    assert_eq!(review("json", "reject").json(), reviewed);
    let mut after = before;
    after.retain(|path, _| !path.to_string_lossy().contains(".index"));
    assert!(content(&contest.outbox()) == after, "the outbox changed");

    let nowhere = contest.root().join("nowhere");
    let ran = finish(
        contest
            .prism(&["review", "--against"])
            .args([&nowhere, &copy]),
    );
    assert_eq!((ran.code, &*ran.stdout), (Some(4), ""), "{ran:?}");
    let mut command = contest.prism(&["review", "--source", "--against"]);
    let ran = finish(command.arg(contest.outbox()).arg(&copy));
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[test]
fn versions_of_an_example_stand_in_nobodys_way() {
    let contest = contest("reject");
    let example =
        |name: &str| fs::read_to_string(repository().join("examples/gru").join(name)).unwrap();
    for (number, width) in ["192", "160", "224"].into_iter().enumerate() {
        let architecture = example("architecture.py").replace("192", width);
        contest.submit(
            &format!("{number}.zip"),
            &architecture,
            &example("training.py"),
        );
    }
    look(&contest);
    for number in 0..3 {
        let submission = contest.submission(&format!("{number}.zip"));
        assert_eq!(submission.state(), "reviewed", "{:#}", submission.status);
    }
}
