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
