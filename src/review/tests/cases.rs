//! The tables in `src/review/cases`: small sources with the rules and lines they must be found under.
//!
//! A case begins with `#: title -> rule@line, ...` or `#: title -> accepted`; lines count from the one after it.
//! Rules are written without their `prism:`. An accepted case may have warnings.

use std::path::Path;

use super::review_beside_plain;
use crate::review::{Severity, Verdict, catalogue};

struct Case {
    file: String,
    title: String,
    expected: Vec<(String, usize)>,
    source: String,
}

fn cases(folder: &str) -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/review/cases")
        .join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(&root)
        .unwrap_or_else(|error| panic!("{}: {error}", root.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut cases: Vec<Case> = Vec::new();
    for path in paths {
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            if let Some(header) = line.strip_prefix("#: ") {
                let (title, expected) = header.split_once(" -> ").expect(header);
                cases.push(Case {
                    file: path.file_name().unwrap().to_string_lossy().into_owned(),
                    title: title.to_owned(),
                    expected: expected
                        .split(", ")
                        .filter(|rule| *rule != "accepted")
                        .map(|rule| {
                            let (id, line) = rule.split_once('@').expect(rule);
                            (format!("prism:{id}"), line.parse().unwrap())
                        })
                        .collect(),
                    source: String::new(),
                });
            } else if let Some(case) = cases.last_mut() {
                case.source.push_str(line);
                case.source.push('\n');
            }
        }
    }
    cases
}

#[test]
fn rejected_cases_are_rejected_for_their_rule_at_their_line() {
    let cases = cases("rejected");
    let mut failures = Vec::new();
    for case in &cases {
        let review = review_beside_plain(case.source.as_bytes());
        for (rule, line) in &case.expected {
            assert!(
                catalogue::find(rule).is_some(),
                "{rule} is not in the catalogue"
            );
            let is_found = review.findings.iter().any(|finding| {
                finding.path == "case.py" && finding.rule_id == *rule && finding.line == *line
            });
            if !is_found || review.verdict != Verdict::Rejected {
                let got: Vec<_> = review
                    .findings
                    .iter()
                    .map(|f| format!("{}@{}", f.rule_id, f.line))
                    .collect();
                failures.push(format!(
                    "{} / {}: expected {rule}@{line}, got {got:?}",
                    case.file, case.title
                ));
            }
        }
        assert!(!case.expected.is_empty(), "{} expects nothing", case.title);
    }
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
    assert!(cases.len() >= 150, "{} cases", cases.len());
}

#[test]
fn accepted_cases_are_accepted() {
    let cases = cases("accepted");
    let mut failures = Vec::new();
    for case in &cases {
        let review = review_beside_plain(case.source.as_bytes());
        if review.verdict != Verdict::Accepted {
            let got: Vec<_> = review
                .findings
                .iter()
                .filter(|finding| finding.severity == Severity::Reject)
                .map(|finding| {
                    format!(
                        "{}@{} {}",
                        finding.rule_id, finding.line, finding.explanation
                    )
                })
                .collect();
            failures.push(format!("{} / {}: {got:#?}", case.file, case.title));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
    assert!(cases.len() >= 150, "{} cases", cases.len());
}
