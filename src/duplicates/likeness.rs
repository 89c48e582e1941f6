//! How much alike two submissions are, by the historical measures and by structure.

use std::collections::HashSet;

use serde::Serialize;

use super::Thresholds;
use super::examples;
use crate::review::{Fingerprints, Gram};

/// Windows of structure, the examples' aside, below which there is too little of one's own to speak of a copy.
const MIN_OWN_GRAMS: usize = 24;

/// Windows of the architecture below which it is too small to tell.
const MIN_ARCHITECTURE_GRAMS: usize = 6;
/// Share of the structure without which the historical measures, which go by names, count for nothing: small scripts
/// share most of their names.
const CORROBORATION: f64 = 0.5;

/// The measures, each from 0 (nothing alike) to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Likeness {
    /// Historical: max(Jaccard of files, 0.7 x Jaccard of syntax features + 0.3 x Jaccard of token windows).
    pub source: f64,
    /// Historical: Jaccard of classes, functions, imports, calls and modules of the architecture graphs.
    pub graph: f64,
    /// Share of the earlier submission's structure that the new one holds, of the whole or of its architecture,
    /// whichever is less; less still when that makes up less than half of the new one. The examples' structure does not
    /// count.
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

/// What counts of the measures. The historical ones go by names: they count only where the structure agrees, and not for
/// work that follows a shipped example, which they cannot tell from what was added to it.
pub fn counted(mut likeness: Likeness, new: &Fingerprints, thresholds: Thresholds) -> Likeness {
    if likeness.structure < CORROBORATION {
        likeness.source = 0.0;
        likeness.graph = 0.0;
    }
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

/// Whether one says all that the other says: the same files, or the same structure where there is enough of it.
pub fn is_exact(new: &Fingerprints, old: &Fingerprints) -> bool {
    new.files == old.files || new.exact == old.exact && has_substance(new)
}

fn has_substance(fingerprints: &Fingerprints) -> bool {
    own(&fingerprints.grams).len() >= MIN_OWN_GRAMS
}

fn source(new: &Fingerprints, old: &Fingerprints) -> f64 {
    let syntax =
        0.7 * jaccard(&new.features, &old.features) + 0.3 * jaccard(&new.shingles, &old.shingles);
    syntax.max(jaccard(&new.files, &old.files))
}

fn structure(new: &Fingerprints, old: &Fingerprints) -> f64 {
    let (mine, theirs) = (own(&new.grams), own(&old.grams));
    if theirs.len() < MIN_OWN_GRAMS || mine.is_empty() {
        return 0.0;
    }
    let common = shared(&mine, &theirs) as f64;
    let contained = common / theirs.len() as f64;
    let covered = common / mine.len() as f64;
    let whole = contained * (2.0 * covered).min(1.0);
    // scripts that train alike are no copies when they train something else
    let models = |gram: &&Gram| !gram.is_training;
    let mut of_model: Vec<u32> = hashes(old.grams.iter().filter(models)).collect();
    let own_model: Vec<u32> = own_of(of_model.iter().copied()).collect();
    if own_model.len() >= MIN_ARCHITECTURE_GRAMS {
        of_model = own_model;
    }
    if of_model.len() < MIN_ARCHITECTURE_GRAMS {
        return 0.0;
    }
    let everything: Vec<u32> = hashes(new.grams.iter()).collect();
    let model = shared(&everything, &of_model) as f64 / of_model.len() as f64;
    whole.min(model)
}

fn hashes<'g>(grams: impl Iterator<Item = &'g Gram>) -> impl Iterator<Item = u32> {
    grams.map(|gram| gram.hash)
}

fn own_of(hashes: impl Iterator<Item = u32>) -> impl Iterator<Item = u32> {
    let common: &HashSet<u32> = examples::structure();
    hashes.filter(|hash| !common.contains(hash))
}

/// The windows that are not the examples', in order.
fn own(grams: &[Gram]) -> Vec<u32> {
    own_of(hashes(grams.iter())).collect()
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
