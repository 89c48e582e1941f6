//! What the reviewer said: the one tool call of a chat completion, and whether its evidence stands where it says.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::GateError;
use super::material;
use super::prompt::TOOL;
use crate::bundle::Bundle;
use crate::digest::sha256;

const MAX_EVIDENCE: usize = 50;
const MAX_TEXT_CHARACTERS: usize = 2_000;
const MAX_MODEL_CHARACTERS: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    Allow,
    Reject,
    Unsure,
}

/// Why, at one place of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    pub path: String,
    /// From 1.
    pub line: u64,
    /// Id of a rule of the prompt.
    pub rule: String,
    /// Stands in that line; several lines: from it on.
    pub quote: String,
    pub explanation: String,
}

/// The arguments of the tool call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    pub verdict: Said,
    pub evidence: Vec<Evidence>,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub verdict: Verdict,
    /// sha256 of the arguments, as they came.
    pub sha256: String,
    /// What the server says who answered.
    pub served_model: Option<String>,
}

/// Reads a chat completion.
///
/// # Errors
/// [`GateError::Malformed`]: no JSON, no choice, no single call of the tool, or arguments that do not fit its schema.
pub fn parse(bytes: &[u8]) -> Result<Answer, GateError> {
    let malformed = |reason: &str| GateError::Malformed {
        reason: reason.to_owned(),
    };
    let answer: Value = serde_json::from_slice(bytes).map_err(|_| malformed("it is no JSON"))?;
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        // Some servers report their own failures with status 200.
        let code = error["code"]
            .as_u64()
            .map_or(String::new(), |code| format!(" {code}"));
        return Err(malformed(&format!("it reports an error{code}")));
    }
    let choice = answer["choices"]
        .get(0)
        .ok_or_else(|| malformed("it has no choice"))?;
    if choice["finish_reason"] == "length" {
        return Err(malformed("it ended at gate.max_answer_tokens"));
    }
    let calls = choice["message"]["tool_calls"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let [call] = calls else {
        let reason = format!("expected one call of {TOOL}, got {}", calls.len());
        return Err(malformed(&reason));
    };
    if call["function"]["name"] != TOOL {
        return Err(malformed(&format!("it calls another tool than {TOOL}")));
    }
    let arguments = match &call["function"]["arguments"] {
        Value::String(text) => text.clone(),
        // some servers send it parsed
        Value::Object(fields) => Value::Object(fields.clone()).to_string(),
        _ => return Err(malformed("the call has no arguments")),
    };
    let mut verdict: Verdict = serde_json::from_str(&arguments)
        .map_err(|_| malformed("the arguments of the call do not fit the tool's schema"))?;
    if verdict.evidence.len() > MAX_EVIDENCE {
        return Err(malformed(&format!(
            "more than {MAX_EVIDENCE} pieces of evidence"
        )));
    }
    for evidence in &mut verdict.evidence {
        let texts = [
            &evidence.path,
            &evidence.rule,
            &evidence.quote,
            &evidence.explanation,
        ];
        if texts
            .iter()
            .any(|text| text.chars().count() > MAX_TEXT_CHARACTERS)
        {
            let reason = format!("a text of more than {MAX_TEXT_CHARACTERS} characters");
            return Err(malformed(&reason));
        }
        evidence.explanation = one_line(&evidence.explanation);
    }
    let served_model = answer["model"]
        .as_str()
        .map(|name| one_line(name).chars().take(MAX_MODEL_CHARACTERS).collect());
    Ok(Answer {
        verdict,
        sha256: sha256(arguments.as_bytes()),
        served_model,
    })
}

/// Printable, on one line: it is shown in statuses and on terminals.
fn one_line(text: &str) -> String {
    let words: Vec<String> = text
        .split_whitespace()
        .map(|word| material::spelled(word.as_bytes()))
        .collect();
    words.join(" ")
}

/// Why a verdict decides nothing; none: it does. Evidence must name a rule of the prompt, and quote a line that is there.
pub fn doubt(verdict: &Verdict, bundle: &Bundle, rule_ids: &[&str]) -> Option<String> {
    for evidence in &verdict.evidence {
        if let Some(problem) = problem(evidence, bundle, rule_ids) {
            return Some(format!("its evidence does not stand: {problem}"));
        }
    }
    match verdict.verdict {
        Said::Unsure => Some("it is unsure".to_owned()),
        Said::Reject if verdict.evidence.is_empty() => {
            Some("it rejects without evidence".to_owned())
        }
        Said::Reject | Said::Allow => None,
    }
}

fn problem(evidence: &Evidence, bundle: &Bundle, rule_ids: &[&str]) -> Option<String> {
    let path = one_line(&evidence.path);
    if !rule_ids.contains(&evidence.rule.as_str()) {
        return Some(format!("there is no rule {}", one_line(&evidence.rule)));
    }
    let Some(content) = bundle.files.get(&evidence.path) else {
        return Some(format!("there is no file {path}"));
    };
    let line = evidence.line;
    let first = usize::try_from(line)
        .ok()
        .and_then(|line| line.checked_sub(1));
    let mut lines = first.map(|first| material::lines(content).skip(first));
    let quoted: Vec<String> = evidence.quote.trim().lines().map(squeezed).collect();
    if quoted.iter().all(String::is_empty) {
        return Some(format!("nothing is quoted of {path}:{line}"));
    }
    for quote in quoted {
        let Some(there) = lines.as_mut().and_then(Iterator::next) else {
            return Some(format!("{path} has no such line {line}"));
        };
        // As it is, or as it was shown.
        let shown = material::spelled(there);
        let plain = String::from_utf8_lossy(there);
        if ![&*plain, &*shown]
            .iter()
            .any(|text| squeezed(text).contains(&quote))
        {
            return Some(format!("{path}:{line} is not what is quoted"));
        }
    }
    None
}

/// With each run of blanks as one.
fn squeezed(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::{bundle, completion, evidence};
    use super::*;

    fn reason(value: &Value) -> String {
        parse(value.to_string().as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn one_call_of_the_tool_is_an_answer_and_nothing_else_is() {
        let good = completion("reject", &[evidence("a.py", 1, "x")]);
        let answer = parse(good.to_string().as_bytes()).unwrap();
        assert_eq!(answer.verdict.verdict, Said::Reject);
        assert_eq!(answer.served_model.as_deref(), Some("served-model"));
        let mut parsed = good.clone();
        let call = &mut parsed["choices"][0]["message"]["tool_calls"][0]["function"];
        call["arguments"] = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
        assert!(parse(parsed.to_string().as_bytes()).is_ok());

        assert!(parse(b"<html>").is_err());
        let arguments = |text: &str| {
            let mut value = good.clone();
            value["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = json!(text);
            value
        };
        let changed = |pointer: &str, to: Value| {
            let mut value = good.clone();
            *value.pointer_mut(pointer).unwrap() = to;
            value
        };
        let call = good["choices"][0]["message"]["tool_calls"][0].clone();
        let flood = vec![evidence("a.py", 1, "x"); 51];
        for (value, part) in [
            (
                json!({"error": {"code": 502, "message": "sk-secret"}}),
                "reports an error 502",
            ),
            (json!({"choices": []}), "no choice"),
            (json!([1]), "no choice"),
            (
                changed("/choices/0/finish_reason", json!("length")),
                "max_answer_tokens",
            ),
            (changed("/choices/0/message/tool_calls", json!([])), "got 0"),
            (
                changed("/choices/0/message/tool_calls", json!([call, call])),
                "got 2",
            ),
            (
                changed("/choices/0/message", json!({"content": "allow"})),
                "got 0",
            ),
            (
                changed(
                    "/choices/0/message/tool_calls/0/function/name",
                    json!("other"),
                ),
                "another tool",
            ),
            (
                changed(
                    "/choices/0/message/tool_calls/0/function/arguments",
                    json!(7),
                ),
                "no arguments",
            ),
            (arguments("{"), "schema"),
            (arguments(r#"{"verdict":"maybe","evidence":[]}"#), "schema"),
            (arguments(r#"{"verdict":"allow"}"#), "schema"),
            (
                arguments(r#"{"verdict":"allow","evidence":[],"confidence":1}"#),
                "schema",
            ),
            (
                arguments(r#"{"verdict":"reject","evidence":[{"path":"a.py"}]}"#),
                "schema",
            ),
            (completion("reject", &flood), "more than 50"),
            (
                completion("reject", &[evidence("a.py", 1, &"x".repeat(2_001))]),
                "2000 characters",
            ),
        ] {
            let reason = reason(&value);
            assert!(reason.contains(part), "{reason}");
            assert!(!reason.contains("sk-"), "{reason}");
        }
    }

    #[test]
    fn evidence_stands_where_it_says_or_decides_nothing() {
        let files = [(
            "a.py",
            "import torch\n\tweights  = \u{202e}load()\r\nlast = 1\n",
        )];
        let bundle = bundle(&files);
        let doubt_of = |verdict: Said, path: &str, line: u64, quote: &str, rule: &str| {
            let evidence = Evidence {
                path: path.to_owned(),
                line,
                rule: rule.to_owned(),
                quote: quote.to_owned(),
                explanation: "e".to_owned(),
            };
            let verdict = Verdict {
                verdict,
                evidence: vec![evidence],
            };
            doubt(&verdict, &bundle, &["obfuscation"]).unwrap_or_default()
        };
        use Said::{Allow, Reject};
        for (verdict, path, line, quote, rule, part) in [
            (Reject, "a.py", 1, "import torch", "obfuscation", ""),
            (Allow, "a.py", 1, " torch ", "obfuscation", ""),
            (
                Reject,
                "a.py",
                2,
                "weights = \u{202e}load()",
                "obfuscation",
                "",
            ),
            (
                Reject,
                "a.py",
                2,
                "weights = ⟦U+202E⟧load()",
                "obfuscation",
                "",
            ),
            (
                Reject,
                "a.py",
                1,
                "torch\nweights\nlast = 1",
                "obfuscation",
                "",
            ),
            (
                Reject,
                "a.py",
                3,
                "import torch",
                "obfuscation",
                "not what is quoted",
            ),
            (
                Reject,
                "a.py",
                3,
                "last = 1\nmore",
                "obfuscation",
                "no such line",
            ),
            (Reject, "a.py", 4, "x", "obfuscation", "no such line 4"),
            (Reject, "a.py", 0, "x", "obfuscation", "no such line 0"),
            (
                Reject,
                "a.py",
                1,
                " \n ",
                "obfuscation",
                "nothing is quoted",
            ),
            (Reject, "b.py", 1, "import", "obfuscation", "no file b.py"),
            (Reject, "a.py", 1, "import", "made-up", "no rule made-up"),
            (
                Allow,
                "a.py",
                1,
                "made up",
                "obfuscation",
                "not what is quoted",
            ),
            (Said::Unsure, "a.py", 1, "import", "obfuscation", "unsure"),
        ] {
            let doubt = doubt_of(verdict, path, line, quote, rule);
            assert!(
                doubt.contains(part) && doubt.is_empty() == part.is_empty(),
                "{doubt:?}, {part:?}"
            );
        }
        let bare = |verdict| Verdict {
            verdict,
            evidence: Vec::new(),
        };
        assert_eq!(doubt(&bare(Allow), &bundle, &[]), None);
        assert!(
            doubt(&bare(Reject), &bundle, &[])
                .unwrap()
                .contains("without evidence")
        );
    }
}
