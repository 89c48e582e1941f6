//! The catalogue for readers: one rule as text, as JSON, or all of them as the page `docs/review_rules.md`.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::catalogue::{RULES, Rule, Severity};
use super::catalogue_details::{Example, History};

/// Characters of one line of an example; the rest is cut.
const MAX_LINE_CHARS: usize = 100;
/// Stands before what another submission said.
const EARLIER: &str = "Earlier, by another owner";

/// One rule as people read it in a terminal.
pub fn rule_text(rule: &Rule) -> String {
    let mut text = format!(
        "{} [{}]: {}\n\nwhy: {}\ninstead: {}\n",
        rule.id,
        severity_word(rule),
        rule.title,
        rule.why,
        rule.next_step
    );
    let Some(details) = rule.details() else {
        return text;
    };
    if !details.cwe.is_empty() {
        let _ = writeln!(text, "weaknesses: {}", cwe_list(details.cwe));
    }
    let _ = writeln!(text, "history: {}", history_words(details.history));
    let earlier = details.earlier().map(|example| (EARLIER, example));
    for (label, example) in earlier.into_iter().chain([
        ("rejected", details.rejected),
        ("accepted", details.accepted),
    ]) {
        let _ = writeln!(text, "\n{label} ({}):\n", example.path);
        for line in shown_lines(example) {
            let _ = writeln!(text, "    {line}");
        }
    }
    // no spaces at the ends of empty lines
    text.replace("    \n", "\n")
}

/// One rule as JSON.
pub fn rule_json(rule: &Rule) -> Value {
    let details = rule.details();
    json!({
        "id": rule.id,
        "title": rule.title,
        "severity": rule.severity(),
        "why": rule.why,
        "next_step": rule.next_step,
        "cwe": details.map_or(&[][..], |details| details.cwe),
        "history": details.map(|details| details.history),
        "rejected": details.map(|details| details.rejected),
        "accepted": details.map(|details| details.accepted),
        "earlier": details.and_then(|details| details.earlier()),
    })
}

/// All rules as one page of Markdown.
pub fn page() -> String {
    let mut text = String::from(
        "# Rules of the review\n\n\
         Written by `prism explain --all --format markdown`; do not edit. `prism explain RULE` shows one of them. The\n\
         rules of the archive and of the measurement are in [rules.md](rules.md).\n\n\
         Each example is a whole file and is tested: the first is found under the rule and no other, the second under\n\
         none. Comments in a source that ask for a finding to be ignored are not obeyed.\n\n\
         History says where an id comes from. *Kept*: id and meaning are those of the second version of the contract;\n\
         *wider*: the id is kept and covers more than it did; *new*: an id of this implementation.\n\n\
         | rule id | title | severity | weaknesses | history |\n|---|---|---|---|---|\n",
    );
    for rule in RULES {
        let details = rule.details();
        let _ = writeln!(
            text,
            "| [`{}`](#{}) | {} | {} | {} | {} |",
            rule.id,
            anchor(rule.id),
            rule.title,
            severity_word(rule),
            details.map_or_else(String::new, |details| cwe_list(details.cwe)),
            details.map_or("", |details| history_word(details.history)),
        );
    }
    for rule in RULES {
        let _ = write!(
            text,
            "\n## {}\n\n{} ({}). {}\n\nInstead: {}\n",
            rule.id,
            rule.title,
            severity_word(rule),
            rule.why,
            rule.next_step
        );
        let Some(details) = rule.details() else {
            continue;
        };
        if let Some(earlier) = details.earlier() {
            text.push_str(&block(EARLIER, earlier));
        }
        for (label, example) in [
            ("Rejected", details.rejected),
            ("Accepted", details.accepted),
        ] {
            let label = if rule.severity() == Severity::Warn && label == "Rejected" {
                "Reported"
            } else {
                label
            };
            text.push_str(&block(label, example));
        }
    }
    text
}

fn block(label: &str, example: Example) -> String {
    format!(
        "\n{label}, `{}`:\n\n```python\n{}\n```\n",
        example.path,
        shown_lines(example).join("\n")
    )
}

/// Ids that look like `id`, best first, at most three.
pub fn similar_ids<'a>(id: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let bare = |id: &str| id.strip_prefix("prism:").unwrap_or(id).to_ascii_lowercase();
    let wanted = bare(id);
    let mut close: Vec<(f64, &str)> = known
        .map(|known| (strsim::jaro_winkler(&wanted, &bare(known)), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .collect();
    close.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    close.into_iter().take(3).map(|(_, id)| id).collect()
}

fn shown_lines(example: Example) -> Vec<String> {
    example
        .source
        .lines()
        .map(|line| match line.char_indices().nth(MAX_LINE_CHARS) {
            Some((cut, _)) => format!("{}... ({} bytes)", &line[..cut], line.len()),
            None => line.to_owned(),
        })
        .collect()
}

fn severity_word(rule: &Rule) -> &'static str {
    match rule.severity() {
        Severity::Reject => "reject",
        Severity::Warn => "warn",
    }
}

fn history_word(history: History) -> &'static str {
    match history {
        History::Kept => "kept",
        History::Wider => "wider",
        History::New => "new",
    }
}

fn history_words(history: History) -> &'static str {
    match history {
        History::Kept => "id and meaning of the second version of the contract",
        History::Wider => "id of the second version of the contract; covers more than it did",
        History::New => "an id of this implementation",
    }
}

fn cwe_list(numbers: &[u16]) -> String {
    let names: Vec<String> = numbers
        .iter()
        .map(|number| format!("CWE-{number}"))
        .collect();
    names.join(", ")
}

/// How Markdown renderers name the heading of a rule.
fn anchor(id: &str) -> String {
    id.chars().filter(|character| *character != ':').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_is_current() {
        let committed = include_str!("../../docs/review_rules.md");
        assert!(
            committed == page(),
            "run: prism explain --all --format markdown > docs/review_rules.md"
        );
    }

    #[test]
    fn near_matches_find_slips() {
        let near = |id| similar_ids(id, RULES.iter().map(|rule| rule.id));
        assert_eq!(near("prism:no-filesytem")[0], "prism:no-filesystem");
        assert_eq!(near("star-imports")[0], "prism:star-import");
        assert!(near("prism:qqqq").is_empty());
    }

    #[test]
    fn a_rule_as_text() {
        let rule = super::super::catalogue::find("prism:star-import").unwrap();
        let expected = "\
prism:star-import [reject]: Star import

why: The names it binds are not visible in the source.
instead: Import the names you use.
weaknesses: CWE-829
history: an id of this implementation

rejected (layers.py):

    from torch.nn import *

accepted (layers.py):

    from torch.nn import Embedding, Linear
";
        assert_eq!(rule_text(rule), expected);
    }
}
