//! Malicious archives, and unusual ones that are sound: what `scripts/make_archives.py` makes, through `prism review`.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::contest::{finish, repository};
use crate::zips;

#[test]
fn archives_of_every_shape_get_the_verdict_of_their_table() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("python3")
        .arg(repository().join("scripts/make_archives.py"))
        .arg(folder.path())
        .output()
        .expect("python3 starts");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let table: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("expected.json")).unwrap())
            .unwrap();
    let rows = table.as_array().unwrap();
    assert!(rows.len() >= 60, "{} archives", rows.len());
    let names: Vec<&str> = rows
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    let mut command = crate::contest::prism(["review", "--format", "json"]);
    command.current_dir(folder.path()).args(&names);
    let ran = finish(&mut command);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let reviewed = ran.json();
    let mut failures = Vec::new();
    for (row, reviewed) in rows.iter().zip(reviewed.as_array().unwrap()) {
        let expected = row["rule_id"].as_str();
        let got = reviewed["rejection"]["rule_id"].as_str();
        let message = reviewed["rejection"]["message"].as_str().unwrap_or("");
        let contains = row["message"].as_str().unwrap_or("");
        let offset = row["offset"]
            .as_u64()
            .map(|offset| format!("byte {offset}"));
        if got != expected
            || !message.contains(contains)
            || reviewed["accepted"] != json!(expected.is_none())
            || offset
                .as_ref()
                .is_some_and(|offset| !message.contains(offset.as_str()))
        {
            failures.push(format!(
                "{}: expected {expected:?} {contains:?} {offset:?}, got {got:?}: {message}",
                row["name"]
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // the writer that the other tests use is among the accepted
    let bytes = zips::zip(&[
        ("architecture.py", "def build_model(ctx):\n    pass\n"),
        ("training.py", "def train(ctx):\n    pass\n"),
    ]);
    fs::write(folder.path().join("ours.zip"), bytes).unwrap();
    let mut command = crate::contest::prism(["review", "ours.zip"]);
    assert_eq!(finish(command.current_dir(folder.path())).code, Some(0));
}
