//! `prism families`: the two competitions of an outbox, rebuilt from its runs.

use std::fmt::Write as _;

use prism::config::Config;
use prism::exit;
use prism::families::ledger::{Event, Family};
use prism::pipeline::{self, FamiliesFile};

use super::audit::outbox_complaint;
use super::{Complaint, Format, Global, output};

pub fn families(config: &Config, global: &Global, events: bool) -> Result<u8, Complaint> {
    let (standing, unreadable) = pipeline::families(config).map_err(outbox_complaint)?;
    for line in &unreadable {
        eprintln!("prism: left out: {line}");
    }
    match (global.format, events) {
        (Format::Json, true) => output::json(&standing.events)?,
        (Format::Json, false) => output::json(&standing.file)?,
        (_, true) => output::print(&standing.events.iter().map(event_line).collect::<String>())?,
        (_, false) => output::print(&table(&standing.file))?,
    }
    Ok(exit::OK)
}

fn table(file: &FamiliesFile) -> String {
    if file.families.is_empty() {
        return "no families: no ranked run has one\n".to_owned();
    }
    let mut text = String::new();
    for family in &file.families {
        text.push_str(&family_lines(family));
    }
    let pools = file.pools;
    let _ = writeln!(
        text,
        "\nweights of both pools ({} architecture, {} training)",
        pools.architecture, pools.training
    );
    for (owner, weight) in &file.weights {
        let _ = writeln!(text, "  {weight:.6}  {owner}");
    }
    text
}

fn family_lines(family: &Family) -> String {
    let score = |value: f64| format!("{value:.6}");
    let mut text = format!(
        "{}  owner {}  q_arch {}  added {}  versions {}\n  discovered by {} at {}\n",
        family.family,
        family.owner,
        family.q_arch.map_or("-".to_owned(), score),
        score(family.gain),
        family.versions,
        family.discovered_by,
        family.discovered_at,
    );
    for variant in &family.variants {
        let mark = if variant.is_best { "best" } else { "    " };
        let hash: String = variant.training_hash.chars().take(12).collect();
        let _ = writeln!(
            text,
            "  {mark} training {hash}  owner {}  q_recipe {:.6}  added {:.6}",
            variant.owner, variant.q_recipe, variant.gain
        );
    }
    text
}

fn event_line(event: &Event) -> String {
    let change = serde_json::to_value(&event.change).unwrap_or_default();
    let name = change["event"].as_str().unwrap_or_default();
    let owner = change["owner"].as_str().unwrap_or("-");
    format!(
        "{:>5}  {}  {:<18} {}  {}  owner {owner}\n",
        event.sequence, event.at, name, event.family, event.submission_id
    )
}
