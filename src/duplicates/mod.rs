//! Submissions that say again what an earlier one of another owner said.
//!
//! A new submission is compared with every one that the review accepted before it, in two steps: sketches of all of
//! them are scanned for the few that could be alike ([`index`]), and these few are compared in full ([`likeness`]). The
//! earliest wins. Exempt are an owner's own earlier work and what the shipped examples say themselves ([`examples`]).

mod examples;
mod index;
mod likeness;
mod regions;
mod store;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::review::Fingerprints;

pub use index::{Earlier, Index};
pub use likeness::Likeness;
pub use regions::{Lines, Region};
pub use store::{INDEX_FILE, StoreError};

/// The rule under which duplicates are turned away.
pub const RULE: &str = "prism:duplicate";
/// Earlier submissions that are compared in full, per measure.
const FINALISTS: usize = 2;

/// What happens to a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DuplicatePolicy {
    /// The submission is not run.
    Reject,
    /// It waits for the operator.
    Hold,
    /// Nothing is compared.
    Off,
}

/// From which likeness on two submissions are one. All from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Thresholds {
    /// Historical source similarity.
    pub source: f64,
    /// Historical similarity of the architecture graphs.
    pub graph: f64,
    /// Share of the earlier structure.
    pub structure: f64,
}

/// How much alike a duplicate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The same but for names, formatting and unused code.
    Exact,
    Near,
}

/// The evidence against a duplicate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Duplicate {
    pub kind: Kind,
    /// Id of the earlier submission.
    pub earlier: String,
    pub earlier_accepted_at: String,
    pub likeness: Likeness,
    pub thresholds: Thresholds,
    /// What is alike, the longest first.
    pub regions: Vec<Region>,
}

impl Duplicate {
    /// What it is, for people: the measures and the longest regions.
    pub fn message(&self) -> String {
        let mut message = self.measures();
        for region in self.regions.iter().take(3) {
            message.push_str(&format!("; {region}"));
        }
        message
    }

    /// Like what it is, and how much.
    pub fn measures(&self) -> String {
        let kind = match self.kind {
            Kind::Exact => "the same, names and formatting aside, as",
            Kind::Near => "too much like",
        };
        let Likeness {
            source,
            graph,
            structure,
        } = self.likeness;
        format!(
            "{kind} submission {} of {}: source {source:.3}, graph {graph:.3}, structure {structure:.3}, expected less than {}, {}, {}",
            self.earlier,
            self.earlier_accepted_at,
            self.thresholds.source,
            self.thresholds.graph,
            self.thresholds.structure,
        )
    }

    /// What its author can do.
    pub fn hint(&self) -> &'static str {
        "send work of your own; further versions of your own work are accepted under the same owner, and the shipped examples are free to build on"
    }
}

/// A submission that is to be compared.
#[derive(Debug, Clone, Copy)]
pub struct Newcomer<'a> {
    pub id: &'a str,
    /// None: nobody knows, so it is nobody's own work.
    pub owner: Option<&'a str>,
    pub fingerprints: &'a Fingerprints,
}

/// Compares a newcomer with everything in the index; `fetch` gives the full fingerprints of an earlier submission.
///
/// At most a handful of submissions are fetched, however many there are.
pub fn check(
    index: &Index,
    newcomer: &Newcomer<'_>,
    thresholds: Thresholds,
    fetch: &mut dyn FnMut(&str) -> Option<Fingerprints>,
) -> Option<Duplicate> {
    let new = newcomer.fingerprints;
    if new.grams.is_empty() && new.features.is_empty() || examples::is_one(new) {
        return None;
    }
    let candidates = index.candidates(newcomer, FINALISTS);
    let mut best: Option<(Duplicate, f64)> = None;
    for earlier in candidates {
        let Some(old) = fetch(&earlier.id) else {
            continue;
        };
        let is_exact = likeness::is_exact(new, &old);
        let likeness = likeness::of(new, &old);
        let counted = likeness::counted(likeness, new, thresholds);
        let excess = [
            counted.source - thresholds.source,
            counted.graph - thresholds.graph,
            counted.structure - thresholds.structure,
        ]
        .into_iter()
        .fold(f64::MIN, f64::max);
        if !is_exact && excess < 0.0 {
            continue;
        }
        let rank = if is_exact { f64::MAX } else { excess };
        if best.as_ref().is_none_or(|(_, least)| rank > *least) {
            let kind = if is_exact { Kind::Exact } else { Kind::Near };
            let duplicate = Duplicate {
                kind,
                earlier: earlier.id.clone(),
                earlier_accepted_at: earlier.accepted_at.clone(),
                likeness,
                thresholds,
                regions: regions::shared(new, &old),
            };
            best = Some((duplicate, rank));
        }
    }
    best.map(|(duplicate, _)| duplicate)
}
