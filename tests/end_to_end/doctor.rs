//! `prism doctor`: this machine as the tests use it, and one that lacks something.

use serde_json::{Value, json};

use crate::contest::{Contest, finish, has_bwrap};
use crate::outbox::validator;

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no check {name}: {report:#}"))
}

#[test]
fn what_runs_need_is_found_or_told_with_its_fix() {
    let mut contest = Contest::new(json!({}));
    let ran = finish(&mut contest.prism(&["doctor", "--format", "json"]));
    let report = ran.json();
    assert!(validator("doctor_report").is_valid(&report), "{report:#}");
    for name in ["python", "torch", "referee", "corpus", "inbox", "outbox"] {
        assert_eq!(check(&report, name)["outcome"], "ok", "{report:#}");
    }
    let wall = if has_bwrap() { "ok" } else { "warning" };
    assert_eq!(check(&report, "sandbox")["outcome"], wall, "{report:#}");
    assert_eq!(check(&report, "gpu")["outcome"], "skipped", "{report:#}");
    let code = if report["outcome"] == "failed" { 1 } else { 0 };
    assert_eq!(ran.code, Some(code), "{report:#}");

    contest.change(json!({
        "inbox": contest.root().join("nowhere"),
        "run": {"python": "/no/such/python"},
        "corpus": {"root": contest.root().join("no corpus")},
    }));
    let text = finish(&mut contest.prism(&["doctor"]));
    assert_eq!(text.code, Some(1), "{text:?}");
    for line in [
        "failed   python ",
        "failed   torch ",
        "failed   corpus ",
        "failed   inbox ",
        "fix: mkdir -p ",
    ] {
        assert!(text.stdout.contains(line), "{line}: {text:?}");
    }
    assert!(!contest.root().join("nowhere").exists());
}
