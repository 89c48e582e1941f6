//! Findings as SARIF 2.1.0, for editors and code hosts.

use serde_json::{Value, json};

use super::catalogue::{RULES, Rule, Severity};
use super::finding::Finding;
use crate::duplicates::{self, Duplicate, Lines};

/// What findings are about: an archive, a folder, or a file that stands alone.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// Findings name files inside it.
    Bundle(&'a str),
    /// Findings are about this file.
    File(&'a str),
}

/// A log with one run, filled subject by subject.
#[derive(Debug, Default)]
pub struct SarifLog {
    results: Vec<Value>,
}

impl SarifLog {
    /// Adds a finding of the review.
    pub fn add_finding(&mut self, subject: Subject<'_>, finding: &Finding) {
        let uri = match subject {
            Subject::Bundle(path) => uri(&format!("{path}/{}", finding.path)),
            Subject::File(path) => uri(path),
        };
        let rule_index = RULES.iter().position(|rule| rule.id == finding.rule_id);
        self.results.push(json!({
            "ruleId": finding.rule_id,
            "ruleIndex": rule_index.map_or(-1, |index| index as i64),
            "level": level(finding.severity),
            "message": { "text": format!("{} {}", finding.explanation, finding.next_step) },
            "locations": [{
                "physicalLocation": {
                    "artifactLocation": { "uri": uri },
                    "region": {
                        "startLine": finding.line,
                        "startColumn": finding.column,
                        "endColumn": finding.end_column.max(finding.column),
                    },
                },
            }],
            "partialFingerprints": { "snippetSha256/v1": finding.snippet_sha256 },
        }));
    }

    /// Adds what a bundle shares with an earlier submission: its own regions as places, the earlier one's as related ones.
    pub fn add_duplicate(&mut self, path: &str, severity: Severity, duplicate: &Duplicate) {
        let place = |root: &str, lines: &Lines| {
            json!({
                "artifactLocation": { "uri": uri(&format!("{root}/{}", lines.path)) },
                "region": { "startLine": lines.first_line, "endLine": lines.last_line },
            })
        };
        let mut places: Vec<Value> = duplicate
            .regions
            .iter()
            .map(|region| json!({ "physicalLocation": place(path, &region.new) }))
            .collect();
        if places.is_empty() {
            places
                .push(json!({ "physicalLocation": { "artifactLocation": { "uri": uri(path) } } }));
        }
        let related: Vec<Value> = duplicate
            .regions
            .iter()
            .enumerate()
            .map(|(id, region)| {
                json!({
                    "id": id,
                    "message": { "text": format!("the same in submission {}", duplicate.earlier) },
                    "physicalLocation": place(&duplicate.earlier, &region.earlier),
                })
            })
            .collect();
        self.results.push(json!({
            "ruleId": duplicates::RULE,
            "ruleIndex": RULES.iter().position(|rule| rule.id == duplicates::RULE).map_or(-1, |index| index as i64),
            "level": level(severity),
            "message": { "text": format!("{}. {}", duplicate.measures(), duplicate.hint()) },
            "locations": places,
            "relatedLocations": related,
        }));
    }

    /// Adds the reason why there was nothing to review: an archive that cannot be opened.
    pub fn add_rejection(&mut self, path: &str, rule_id: &str, message: &str, hint: &str) {
        self.results.push(json!({
            "ruleId": rule_id,
            "level": "error",
            "message": { "text": format!("{message}. {hint}") },
            "locations": [{ "physicalLocation": { "artifactLocation": { "uri": uri(path) } } }],
        }));
    }

    /// The log as one JSON value. `errors` are paths that could not be read at all.
    pub fn finish(self, errors: &[String]) -> Value {
        let notifications: Vec<Value> = errors
            .iter()
            .map(|error| json!({ "level": "error", "message": { "text": error } }))
            .collect();
        json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": {
                    "driver": {
                        "name": "prism",
                        "semanticVersion": env!("CARGO_PKG_VERSION"),
                        "rules": RULES.iter().map(descriptor).collect::<Vec<_>>(),
                    },
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [{
                    "executionSuccessful": errors.is_empty(),
                    "toolExecutionNotifications": notifications,
                }],
                "results": self.results,
            }],
        })
    }
}

fn descriptor(rule: &Rule) -> Value {
    let details = rule.details();
    let tags: Vec<String> = details
        .iter()
        .flat_map(|details| details.cwe)
        .map(|number| format!("external/cwe/cwe-{number:03}"))
        .collect();
    json!({
        "id": rule.id,
        "shortDescription": { "text": rule.title },
        "fullDescription": { "text": rule.why },
        "help": { "text": rule.next_step },
        "defaultConfiguration": { "level": level(rule.severity()) },
        "properties": { "tags": tags },
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Reject => "error",
        Severity::Warn => "warning",
    }
}

/// A path as a relative URI reference: everything but unreserved characters and `/` is percent-encoded.
fn uri(path: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(char::from(byte));
            }
            _ => {
                // writing to a String cannot fail
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::review_beside_plain;
    use super::*;
    use crate::duplicates::{Kind, Likeness, Region, Thresholds};

    /// The schema of the standard, as published by OASIS.
    const SCHEMA: &str = include_str!("../../tests/schemas/sarif-2.1.0.json");

    fn log() -> Value {
        let mut log = SarifLog::default();
        let source =
            "import os\nx = y\nclass É:\n    a = '".to_owned() + &"z".repeat(3_000) + "'\n";
        for finding in review_beside_plain(source.as_bytes()).findings {
            log.add_finding(Subject::Bundle("my folder/a%.zip"), &finding);
            log.add_finding(Subject::File("case.py"), &finding);
        }
        log.add_rejection(
            "b.zip",
            "prism:archive-empty",
            "no file is in it",
            "add some",
        );
        for regions in [vec![region()], Vec::new()] {
            log.add_duplicate("d.zip", Severity::Reject, &duplicate(regions));
        }
        log.finish(&["c.zip: not found".to_owned()])
    }

    fn region() -> Region {
        let lines = |first_line| Lines {
            path: "architecture.py".to_owned(),
            first_line,
            last_line: 40,
        };
        Region {
            new: lines(7),
            earlier: lines(3),
        }
    }

    fn duplicate(regions: Vec<Region>) -> Duplicate {
        Duplicate {
            kind: Kind::Near,
            earlier: "0123456789abcdef01234567".to_owned(),
            earlier_accepted_at: "2026-01-01T00:00:00Z".to_owned(),
            likeness: Likeness {
                source: 0.5,
                graph: 0.75,
                structure: 1.0,
            },
            thresholds: Thresholds {
                source: 0.85,
                graph: 0.82,
                structure: 0.85,
            },
            regions,
        }
    }

    #[test]
    fn logs_are_valid_sarif() {
        // the pattern of `language` is published with an unbalanced bracket, which our expressions refuse
        let schema = SCHEMA.replace("-[a-zA-Z]{2}]?$", "-[a-zA-Z]{2}$");
        let schema: Value = serde_json::from_str(&schema).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        for log in [log(), SarifLog::default().finish(&[])] {
            let problems: Vec<String> = validator
                .iter_errors(&log)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(problems.is_empty(), "{problems:#?}");
        }
    }

    #[test]
    fn results_say_what_the_findings_say() {
        let log = log();
        let run = &log["runs"][0];
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), 9);
        let first = &results[0];
        assert_eq!(first["ruleId"], "prism:no-process");
        assert_eq!(first["level"], "error");
        let place = &first["locations"][0]["physicalLocation"];
        assert_eq!(
            place["artifactLocation"]["uri"],
            "my%20folder/a%25.zip/case.py"
        );
        assert_eq!(place["region"]["startLine"], 1);
        assert_eq!(place["region"]["endColumn"], 10);
        let index = first["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(
            run["tool"]["driver"]["rules"][index]["id"],
            "prism:no-process"
        );
        assert_eq!(results[2]["level"], "warning");
        let duplicate = &results[7];
        assert_eq!(duplicate["ruleId"], "prism:duplicate");
        let place = &duplicate["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "d.zip/architecture.py");
        assert_eq!(place["region"], json!({"startLine": 7, "endLine": 40}));
        let there = &duplicate["relatedLocations"][0]["physicalLocation"];
        assert_eq!(
            there["artifactLocation"]["uri"],
            "0123456789abcdef01234567/architecture.py"
        );
        assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    }
}
