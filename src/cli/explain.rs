//! `prism explain RULE`: what a rule means, why it is there, and what to write instead.

use prism::exit;
use prism::review::{self, RULES, catalogue, catalogue_page};

use super::{Complaint, Format, Global, output};

/// The page that also names the rules of the archive and of the measurement.
const RULES_PAGE: &str = include_str!("../../docs/rules.md");

pub fn explain(global: &Global, rule: Option<&str>) -> Result<u8, Complaint> {
    match rule {
        Some(id) => one(global.format, id)?,
        None => all(global.format)?,
    }
    Ok(exit::OK)
}

fn one(format: Format, id: &str) -> Result<(), Complaint> {
    let full = if id.starts_with("prism:") {
        id.to_owned()
    } else {
        format!("prism:{id}")
    };
    if let Some(rule) = catalogue::find(&full) {
        return match format {
            Format::Json => output::json(&catalogue_page::rule_json(rule)),
            _ => output::print(&catalogue_page::rule_text(rule)),
        };
    }
    let Some(row) = rows().find(|row| row.id == full) else {
        return Err(unknown(id));
    };
    match format {
        Format::Json => {
            output::json(&serde_json::json!({ "id": row.id, "stage": row.stage, "when": row.when }))
        }
        _ => output::print(&format!(
            "{} [{}]\n\nwhen: {}\n",
            row.id, row.stage, row.when
        )),
    }
}

fn all(format: Format) -> Result<(), Complaint> {
    match format {
        Format::Json => output::json(
            &RULES
                .iter()
                .map(catalogue_page::rule_json)
                .collect::<Vec<_>>(),
        ),
        Format::Markdown => output::print(&catalogue_page::page()),
        _ => {
            let texts: Vec<String> = RULES.iter().map(catalogue_page::rule_text).collect();
            output::print(&texts.join("\n\n"))
        }
    }
}

/// A rule outside the review, as the table of its stage has it.
struct Row {
    id: &'static str,
    stage: &'static str,
    when: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    let mut stage = "";
    RULES_PAGE.lines().filter_map(move |line| {
        if let Some(heading) = line.strip_prefix("## ") {
            stage = heading;
        }
        let (id, when) = line.strip_prefix("| `")?.split_once("` | ")?;
        let when = when.strip_suffix(" |")?;
        id.starts_with("prism:").then_some(Row { id, stage, when })
    })
}

fn unknown(id: &str) -> Complaint {
    let ids = RULES
        .iter()
        .map(|rule| rule.id)
        .chain(rows().map(|row| row.id));
    let close = review::catalogue_page::similar_ids(id, ids);
    let hint = if close.is_empty() {
        "`prism explain --all` lists the rules of the review; docs/rules.md has the others"
            .to_owned()
    } else {
        format!("close ones: {}", close.join(", "))
    };
    Complaint::new(exit::USAGE, format!("no rule is called {id:?}"), hint)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use walkdir::WalkDir;

    use super::*;

    /// The ids that stand, whole and in quotes, in the sources, tests aside.
    fn ids_in_use() -> BTreeSet<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut ids = BTreeSet::new();
        for entry in WalkDir::new(&root).into_iter().flatten() {
            let path = entry.path();
            let is_test = path
                .iter()
                .any(|part| matches!(part.to_str(), Some("tests" | "tests.rs" | "cases")));
            let is_source = path
                .extension()
                .is_some_and(|extension| extension == "rs" || extension == "py");
            if is_test || !is_source {
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
            for (start, _) in text.match_indices("\"prism:") {
                let id: String = text[start + 1..]
                    .chars()
                    .take_while(|character| *character != '"')
                    .collect();
                let name = id.strip_prefix("prism:").unwrap();
                let is_name = name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
                // the beginning of an id is none
                if is_name && !name.is_empty() && !name.ends_with('-') {
                    ids.insert(id);
                }
            }
        }
        ids
    }

    #[test]
    fn every_id_that_a_status_can_name_is_explained() {
        let explained: BTreeSet<&str> = RULES
            .iter()
            .map(|rule| rule.id)
            .chain(rows().map(|row| row.id))
            .collect();
        let in_use = ids_in_use();
        assert!(in_use.len() > 60, "{in_use:?}");
        let unexplained: Vec<_> = in_use
            .iter()
            .filter(|id| !explained.contains(id.as_str()))
            .collect();
        assert!(
            unexplained.is_empty(),
            "in neither the catalogue nor docs/rules.md: {unexplained:?}"
        );
        let unused: Vec<_> = explained
            .iter()
            .filter(|id| !in_use.contains(**id))
            .collect();
        assert!(unused.is_empty(), "explained and never given: {unused:?}");
    }
}
