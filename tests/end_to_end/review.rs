//! `prism review` and `prism explain` as people and programs see them, and what the review means for a run.

use std::fs;

use serde_json::{Value, json};

use crate::contest::{Contest, finish, prism, repository};
use crate::submissions::{SMALL, training};
use crate::zips;

const BAD: &str = "import math\n\n\ndef f():\n    return eval('1')  # noqa  # prism: ignore\n";

#[test]
fn a_finding_shows_place_reason_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("layers.py");
    fs::write(&file, BAD).unwrap();
    let path = file.display();
    let ran = finish(prism(["review", "--source"]).arg(&file));
    let expected = format!(
        "error[prism:no-dynamic-code]: Code from text\n \
         --> {path}:5:12\n  |\n\
         5 |     return eval('1')  # noqa  # prism: ignore\n  |            ^^^^\n  \
         = why: the builtin eval. Text that becomes code cannot be reviewed.\n  \
         = instead: Write the code out as functions.\nrejected: {path}\n"
    );
    assert_eq!((ran.code, &*ran.stdout), (Some(1), &*expected));
}

#[test]
fn sources_folders_and_zips_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    fs::create_dir(&good).unwrap();
    fs::write(good.join("a.py"), "import math\nx = math.pi\n").unwrap();
    fs::write(good.join("os.py"), "x = 1\n").unwrap();
    fs::write(good.join("notes.txt"), "import os").unwrap();
    let sources = finish(prism(["--format", "json", "review", "--source"]).arg(&good));
    assert_eq!(sources.code, Some(0), "{sources:?}");
    assert_eq!(sources.json().as_array().unwrap().len(), 2);

    let zip = folder.path().join("a.zip");
    let files = [("architecture.py", SMALL), ("training.py", &*training())];
    fs::write(&zip, zips::zip(&files)).unwrap();
    let absent = folder.path().join("absent.zip");
    let paths = [
        zip,
        repository().join("examples/gru"),
        absent,
        repository().join("examples/forbidden-import"),
    ];
    let ran = finish(prism(["--format", "json", "review"]).args(&paths));
    // what cannot be read is an error, and hides nothing of the others
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let complaint: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert!(
        complaint["error"].as_str().unwrap().contains("absent.zip"),
        "{complaint:#}"
    );
    let reviewed = ran.json();
    let accepted: Vec<_> = (0..4)
        .map(|index| reviewed[index]["accepted"] == true)
        .collect();
    assert_eq!(accepted, [true, true, false, false]);
    assert!(reviewed[2]["error"].is_string() && reviewed[2]["review"].is_null());
    let many = vec![repository().join("examples/gru"); 600];
    let ran = finish(prism(["--quiet", "review"]).args(&many));
    // one line for the contract, one for the verdict
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(0), 1_200));
}

#[test]
fn sarif_is_a_form_of_review_only() {
    let bad = repository().join("examples/forbidden-import");
    let ran = finish(prism(["--format", "sarif", "review"]).arg(&bad));
    assert_eq!(ran.code, Some(1));
    let log = ran.json();
    assert_eq!(log["version"], "2.1.0");
    let result = &log["runs"][0]["results"][0];
    assert_eq!(result["level"], "error");
    let uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str();
    assert!(uri.unwrap().ends_with(".py"), "{result:#}");
    for arguments in [
        &["--format", "sarif", "config"][..],
        &["--format", "markdown", "review", "x.zip"],
        &["--format", "markdown", "explain", "star-import"],
    ] {
        let ran = finish(&mut prism(arguments));
        assert_eq!((ran.code, &*ran.stdout), (Some(2), ""), "{arguments:?}");
    }
}

#[test]
fn rules_are_explained() {
    let ran = finish(&mut prism(["explain", "star-import"]));
    assert_eq!(ran.code, Some(0));
    for part in [
        "prism:star-import [reject]",
        "why: ",
        "instead: ",
        "CWE-829",
        "from torch.nn import *",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {ran:?}");
    }
    let rule = finish(&mut prism([
        "--format",
        "json",
        "explain",
        "prism:no-dynamic-code",
    ]))
    .json();
    assert_eq!(rule["id"], "prism:no-dynamic-code");
    assert_eq!(rule["cwe"], json!([94, 95]));
    // the rules of the archive and of the measurement, too
    let ran = finish(&mut prism(["explain", "prism:archive-bomb"]));
    assert!(
        ran.stdout.starts_with("prism:archive-bomb [Archive"),
        "{ran:?}"
    );
    let all = finish(&mut prism(["--format", "json", "explain", "--all"])).json();
    assert!(all.as_array().unwrap().len() >= 30);
    let ran = finish(&mut prism(["explain", "prism:no-filesystm"]));
    assert_eq!((ran.code, &*ran.stdout), (Some(2), ""));
    assert!(ran.stderr.contains("prism:no-filesystem"), "{ran:?}");
    assert_eq!(finish(&mut prism(["explain"])).code, Some(2));
}

/// The parser accepts an assignment to a call, CPython does not: whatever the review says of such a file, it is not
/// what runs.
#[test]
fn what_python_reads_otherwise_does_not_run() {
    let contest = Contest::new(json!({}));
    let differs = training() + "\n\nprint('IMPORTED')\n\n\ndef never():\n    never() = 1\n";
    contest.submit("differs.zip", SMALL, &differs);
    contest.run();
    let submission = contest.submission("differs.zip");
    assert_eq!(submission.state(), "rejected", "{}", submission.message());
    assert_eq!(submission.rule_id(), "prism:parser-differential");
    assert!(
        submission.message().contains("training.py"),
        "{}",
        submission.message()
    );
    let log = contest
        .outbox()
        .join(".private")
        .join(submission.id())
        .join("twin.log");
    let said = fs::read_to_string(log).unwrap_or_default();
    assert!(!said.contains("IMPORTED"), "{said}");
    assert!(!submission.path("run.log").exists());
}
