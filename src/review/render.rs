//! Findings as text for people: rule, place, excerpt with carets, reason and what to write instead.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use super::catalogue::{self, Severity};
use super::finding::Finding;

const MAX_EXCERPT_CHARS: usize = 160;

/// Renders one finding. `source` is the text of its file, if there is one to show.
pub fn render(finding: &Finding, source: Option<&str>) -> String {
    let mut text = String::new();
    let level = match finding.severity {
        Severity::Reject => "error",
        Severity::Warn => "warning",
    };
    let title = catalogue::find(finding.rule_id).map_or("", |rule| rule.title);
    let number = finding.line.to_string();
    let gutter = " ".repeat(number.len());
    let _ = writeln!(text, "{level}[{}]: {title}", finding.rule_id);
    let _ = writeln!(
        text,
        "{gutter}--> {}:{}:{}",
        printable(&finding.path),
        finding.line,
        finding.column
    );
    if let Some(line) =
        source.and_then(|source| source.split('\n').nth(finding.line.saturating_sub(1)))
    {
        let (excerpt, offset) = excerpt(line.trim_end_matches('\r'), finding.column);
        let start = finding.column.saturating_sub(1).saturating_sub(offset);
        let length = finding.end_column.saturating_sub(finding.column).max(1);
        // columns count characters, carets cells of the terminal
        let before: String = excerpt.chars().take(start).collect();
        let marked: String = excerpt.chars().skip(start).take(length).collect();
        let _ = writeln!(text, "{gutter} |");
        let _ = writeln!(text, "{number} | {excerpt}");
        let _ = writeln!(
            text,
            "{gutter} | {}{}",
            " ".repeat(before.width()),
            "^".repeat(marked.width().max(1))
        );
    }
    let _ = writeln!(text, "{gutter} = why: {}", finding.explanation);
    let _ = writeln!(text, "{gutter} = instead: {}", finding.next_step);
    text
}

/// The part of a long line around `column`, one character per column, and how many characters were cut before it.
fn excerpt(line: &str, column: usize) -> (String, usize) {
    let skipped = if column > MAX_EXCERPT_CHARS {
        column.saturating_sub(MAX_EXCERPT_CHARS / 2)
    } else {
        0
    };
    let part: String = line.chars().skip(skipped).take(MAX_EXCERPT_CHARS).collect();
    (printable(&part), skipped)
}

/// Control characters would act on the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character == '\t' {
                ' '
            } else if character.is_control() || ('\u{202a}'..='\u{2069}').contains(&character) {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::finding::Place;

    #[test]
    fn looks_like_this() {
        let source = "import torch\nx = torch.hub\n";
        let place = Place {
            path: "architecture.py",
            text: source,
            span: (17, 26),
            ast_node: "Attribute",
        };
        let finding = Finding::at(
            "prism:no-torch-escape",
            Severity::Reject,
            &place,
            "torch.hub",
        );
        let expected = "\
error[prism:no-torch-escape]: Part of torch that loads or runs foreign code
 --> architecture.py:2:5
  |
2 | x = torch.hub
  |     ^^^^^^^^^
  = why: torch.hub. torch.hub, C++ extensions, TorchScript, FX and packages bring in or generate code that was not reviewed.
  = instead: Define the module in Python; torch.compile is available.
";
        assert_eq!(render(&finding, Some(source)), expected);
    }

    #[test]
    fn carets_stand_under_wide_characters() {
        let source = "x = '漢字' + open\n";
        let start = source.find("open").unwrap_or(0);
        let place = Place {
            path: "a.py",
            text: source,
            span: (start, start + 4),
            ast_node: "Name",
        };
        let finding = Finding::at("prism:no-filesystem", Severity::Reject, &place, "open");
        let text = render(&finding, Some(source));
        assert!(text.contains("\n  |              ^^^^\n"), "{text}");
    }

    #[test]
    fn long_lines_and_control_characters_are_tamed() {
        let source = format!("x = '{}' + \u{1b}[31m open", "a".repeat(5_000));
        let start = source.find("open").unwrap_or(0);
        let place = Place {
            path: "a.py",
            text: &source,
            span: (start, start + 4),
            ast_node: "Name",
        };
        let finding = Finding::at("prism:no-filesystem", Severity::Reject, &place, "open");
        let text = render(&finding, Some(&source));
        assert!(
            text.contains("^^^^") && text.lines().all(|line| line.chars().count() < 250),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'));
    }
}
