//! The figures of the transport: the one that the settings ask for, and probabilities that belong to the counts.

use serde_json::Value;

use super::report::Check;
use crate::pipeline::MANIFEST;
use crate::referee::transport::{Transport, TransportFigures, survivals};

/// The check `transport`. `audit` and the vocabulary are the manifest's own, compared with the settings elsewhere.
pub fn check(manifest: &Value) -> Check {
    let name = "transport";
    let recorded = &manifest["referee"]["transport"];
    if recorded.is_null() {
        return Check::not_checked(
            name,
            "none is recorded: there was no stream, or only one transport",
        );
    }
    let place = format!("{MANIFEST} /referee/transport");
    let figures: TransportFigures = match serde_json::from_value(recorded.clone()) {
        Ok(figures) => figures,
        Err(error) => return Check::of(name, "", vec![format!("{place}: {error}")]),
    };
    let mut problems = Vec::new();
    let audit = serde_json::from_value(manifest["causality"]["audit"].clone());
    let vocab_size = manifest["measurement"]["vocab_size"].as_u64().unwrap_or(0) as u32;
    match audit {
        Ok(audit) if Transport::chosen(&audit, vocab_size) == figures.mode => {}
        Ok(_) => problems.push(format!("{place}/mode: not what the settings ask for")),
        Err(error) => problems.push(format!("{MANIFEST} /causality/audit: {error}")),
    }
    let all = figures.audited == figures.batches;
    if figures.audited > figures.batches || (figures.mode == Transport::Full && !all) {
        problems.push(format!(
            "{place}: {} of {} batches audited",
            figures.audited, figures.batches
        ));
    }
    if figures.survival != survivals(figures.batches, figures.audited) {
        problems.push(format!(
            "{place}/survival: other probabilities than of these counts"
        ));
    }
    let within = figures.largest_difference_nats <= figures.tolerance_nats;
    if !within && figures.mode == Transport::Committed {
        problems.push(format!(
            "{place}/largest_difference_nats: {}, tolerance {}",
            figures.largest_difference_nats, figures.tolerance_nats
        ));
    }
    let agreed = format!(
        "{} of {} batches came in full",
        figures.audited, figures.batches
    );
    Check::of(name, agreed, problems)
}
