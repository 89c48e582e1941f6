//! Findings and how they are made from byte ranges.

use serde::Serialize;

use super::catalogue;
pub use super::catalogue::Severity;
use super::walk::Span;

/// One observation of the review. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub rule_id: &'static str,
    pub severity: Severity,
    pub path: String,
    pub line: usize,
    pub column: usize,
    /// Column after the last character, on the same line; the line's end for spans over several lines.
    pub end_column: usize,
    /// Kind of the syntax node, or what was looked at where there is none.
    pub ast_node: &'static str,
    /// SHA-256 (hex) of the source segment. The segment itself is never stored.
    pub snippet_sha256: String,
    pub explanation: String,
    pub next_step: String,
}

/// A place in a decoded source file.
pub struct Place<'a> {
    pub path: &'a str,
    pub text: &'a str,
    pub span: Span,
    pub ast_node: &'static str,
}

impl Finding {
    /// A finding of `rule_id` at `place`: `detail` says what is there, the catalogue why it matters.
    pub fn at(
        rule_id: &'static str,
        severity: Severity,
        place: &Place<'_>,
        detail: &str,
    ) -> Finding {
        let (start, end) = clamp(place.text, place.span);
        let before = place.text.get(..start).unwrap_or("");
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let segment = place.text.get(start..end).unwrap_or("");
        let first_line = segment.split('\n').next().unwrap_or("");
        let column = before.get(line_start..).unwrap_or("").chars().count() + 1;
        let rule = catalogue::find(rule_id);
        Finding {
            rule_id,
            severity,
            path: place.path.to_owned(),
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column,
            end_column: column + first_line.chars().count(),
            ast_node: place.ast_node,
            snippet_sha256: sha256_hex(segment.as_bytes()),
            explanation: match rule {
                Some(rule) => format!("{detail}. {}", rule.why),
                None => detail.to_owned(),
            },
            next_step: rule.map_or_else(String::new, |rule| rule.next_step.to_owned()),
        }
    }

    /// A finding about a file that has no readable text.
    pub fn on_file(rule_id: &'static str, path: &str, bytes: &[u8], detail: &str) -> Finding {
        let place = Place {
            path,
            text: "",
            span: (0, 0),
            ast_node: "File",
        };
        Finding {
            snippet_sha256: sha256_hex(bytes),
            ..Finding::at(rule_id, Severity::Reject, &place, detail)
        }
    }
}

/// SHA-256 as 64 hex digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    crate::digest::sha256(bytes)
}

fn clamp(text: &str, (start, end): Span) -> Span {
    let mut start = start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = end.clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    (start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_the_segment_and_counts_from_one() {
        let text = "é = 1\n  import socket\n";
        let start = text.find("import").unwrap();
        let finding = Finding::at(
            "prism:no-network",
            Severity::Reject,
            &Place {
                path: "a.py",
                text,
                span: (start, start + "import socket".len()),
                ast_node: "Import",
            },
            "import of socket",
        );
        assert_eq!(
            (finding.line, finding.column, finding.end_column),
            (2, 3, 16)
        );
        assert_eq!(
            finding.snippet_sha256,
            "7773c884b8cd524d37b6b377f43cb5f05899db17d58442afb8508841ccc88991"
        );
    }

    #[test]
    fn spans_outside_the_text_do_not_panic() {
        let place = Place {
            path: "a.py",
            text: "é",
            span: (1, 900),
            ast_node: "Name",
        };
        assert_eq!(
            Finding::at("prism:syntax-error", Severity::Reject, &place, "x").line,
            1
        );
    }
}
