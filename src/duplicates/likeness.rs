//! How much alike two submissions are, by the historical measures and by structure.

use std::collections::HashSet;

use serde::Serialize;

use super::Thresholds;
use super::examples;
use crate::review::{Fingerprints, Gram};

/// Windows of structure, the examples' aside, below which there is too little of one's own to speak of a copy.
const MIN_OWN_GRAMS: usize = 24;

/// The measures, each from 0 (nothing alike) to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Likeness {
    /// Historical: max(Jaccard of files, 0.7 x Jaccard of syntax features + 0.3 x Jaccard of token windows).
    pub source: f64,
    /// Historical: Jaccard of classes, functions, imports, calls and modules of the architecture graphs.
    pub graph: f64,
    /// Share of the earlier submission's structure that the new one holds; less when that makes up less than half of
    /// the new one. The examples' structure counts for neither.
    pub structure: f64,
}

/// Compares two submissions, `old` the earlier.
pub fn of(new: &Fingerprints, old: &Fingerprints) -> Likeness {
    Likeness {
        source: source(new, old),
        graph: jaccard(&new.graph, &old.graph),
        structure: structure(new, old),
    }
}

/// What remains of the historical measures for work that follows a shipped example: they cannot tell the example from
/// what was added to it.
pub fn without_examples(
    mut likeness: Likeness,
    new: &Fingerprints,
    thresholds: Thresholds,
) -> Likeness {
    for example in examples::all() {
        if source(new, example) >= thresholds.source {
            likeness.source = 0.0;
        }
        if jaccard(&new.graph, &example.graph) >= thresholds.graph {
            likeness.graph = 0.0;
        }
    }
    likeness
}

/// Whether a submission has enough of its own to be copied.
pub fn has_substance(fingerprints: &Fingerprints) -> bool {
    own(&fingerprints.grams).len() >= MIN_OWN_GRAMS
}

fn source(new: &Fingerprints, old: &Fingerprints) -> f64 {
    let syntax =
        0.7 * jaccard(&new.features, &old.features) + 0.3 * jaccard(&new.shingles, &old.shingles);
    syntax.max(jaccard(&new.files, &old.files))
}

fn structure(new: &Fingerprints, old: &Fingerprints) -> f64 {
    let (new, old) = (own(&new.grams), own(&old.grams));
    if old.len() < MIN_OWN_GRAMS || new.is_empty() {
        return 0.0;
    }
    let shared = shared(&new, &old) as f64;
    let contained = shared / old.len() as f64;
    let covered = shared / new.len() as f64;
    contained * (2.0 * covered).min(1.0)
}

/// The windows that are not the examples', in order.
fn own(grams: &[Gram]) -> Vec<u32> {
    let common: &HashSet<u32> = examples::structure();
    grams
        .iter()
        .map(|gram| gram.hash)
        .filter(|hash| !common.contains(hash))
        .collect()
}

/// Of two sorted sets: size of the intersection by size of the union; two empty ones are alike.
pub fn jaccard(left: &[u32], right: &[u32]) -> f64 {
    if left.is_empty() && right.is_empty() {
        return 1.0;
    }
    let shared = shared(left, right);
    shared as f64 / (left.len() + right.len() - shared) as f64
}

fn shared(left: &[u32], right: &[u32]) -> usize {
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    let mut shared = 0;
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        match a.cmp(b) {
            std::cmp::Ordering::Less => {
                left.next();
            }
            std::cmp::Ordering::Greater => {
                right.next();
            }
            std::cmp::Ordering::Equal => {
                shared += 1;
                left.next();
                right.next();
            }
        }
    }
    shared
}
