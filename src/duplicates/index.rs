//! Sketches of all accepted submissions, and the scan for those that could be like a new one.
//!
//! A sketch holds the smallest hashes of each of a submission's sets (bottom-k, Broder 1997): the share of them that two
//! submissions have in common estimates the Jaccard similarity of the sets. A scan looks every kept hash up in a table
//! that fits the first-level cache; it takes the same time for whatever corpus of a size.

use super::Newcomer;
use crate::review::Fingerprints;

const STRUCTURE: usize = 32;
const FEATURES: usize = 24;
const SHINGLES: usize = 16;
const GRAPH: usize = 16;
/// Hashes of one sketch.
pub const SKETCH: usize = STRUCTURE + FEATURES + SHINGLES + GRAPH;
/// Stands where a set has fewer hashes than its part of the sketch.
const NONE: u32 = u32::MAX;
const TABLE_BITS: u32 = 16;

/// The smallest hashes of structure, features, shingles and graph, in this order.
pub type Sketch = [u32; SKETCH];

/// An accepted submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    pub id: String,
    pub owner: Option<String>,
    /// RFC 3339.
    pub accepted_at: String,
}

/// All accepted submissions, the earliest first.
#[derive(Debug, Default)]
pub struct Index {
    pub(super) earlier: Vec<Earlier>,
    pub(super) exact: Vec<u64>,
    pub(super) sketches: Vec<Sketch>,
    /// Differs from what lies on disk.
    pub(super) is_changed: bool,
}

impl Index {
    pub fn len(&self) -> usize {
        self.earlier.len()
    }

    pub fn is_empty(&self) -> bool {
        self.earlier.is_empty()
    }

    /// Adds the latest accepted submission.
    pub fn add(&mut self, earlier: Earlier, fingerprints: &Fingerprints) {
        self.push(earlier, fingerprints.exact, sketch(fingerprints));
    }

    /// Adds a submission by its sketch.
    pub fn push(&mut self, earlier: Earlier, exact: u64, sketch: Sketch) {
        self.earlier.push(earlier);
        self.exact.push(exact);
        self.sketches.push(sketch);
        self.is_changed = true;
    }

    /// The submissions of others that could be like the newcomer: the earliest with the same exact hash, and by each
    /// measure the `count` with the highest estimate; the earliest first among equals.
    pub fn candidates(&self, newcomer: &Newcomer<'_>, count: usize) -> Vec<&Earlier> {
        let wanted = Table::of(&sketch(newcomer.fingerprints));
        let mut tops = [const { Vec::new() }; 3];
        let mut same = None;
        let rows = self.earlier.iter().zip(&self.exact).zip(&self.sketches);
        for (row, ((earlier, exact), sketch)) in rows.enumerate() {
            let estimates = wanted.estimates(sketch);
            let is_same = *exact == newcomer.fingerprints.exact && same.is_none();
            let is_hopeful = tops
                .iter()
                .zip(estimates)
                .any(|(top, estimate)| is_among(top, count, estimate));
            if !(is_same || is_hopeful) || is_own(earlier, newcomer) {
                continue;
            }
            if is_same {
                same = Some(row);
            }
            for (top, estimate) in tops.iter_mut().zip(estimates) {
                if is_among(top, count, estimate) {
                    let place = top.partition_point(|(kept, _)| *kept >= estimate);
                    top.insert(place, (estimate, row));
                    top.truncate(count);
                }
            }
        }
        let mut chosen: Vec<usize> = same
            .into_iter()
            .chain(tops.iter().flatten().map(|(_, row)| *row))
            .collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
            .into_iter()
            .filter_map(|row| self.earlier.get(row))
            .collect()
    }
}

/// Estimates below this lead nowhere near a threshold.
const HOPELESS: u32 = 300;

fn is_among(top: &[(u32, usize)], count: usize, estimate: u32) -> bool {
    estimate >= HOPELESS
        && (top.len() < count || top.last().is_some_and(|(least, _)| estimate > *least))
}

/// Whether an earlier submission is the newcomer itself or its owner's.
fn is_own(earlier: &Earlier, newcomer: &Newcomer<'_>) -> bool {
    earlier.id == newcomer.id
        || newcomer.owner.is_some() && earlier.owner.as_deref() == newcomer.owner
}

/// The sketch of a submission.
pub fn sketch(fingerprints: &Fingerprints) -> Sketch {
    let mut sketch = [NONE; SKETCH];
    // the sets are sorted, so the smallest come first
    let structure = fingerprints.grams.iter().map(|gram| gram.hash);
    fill(&mut sketch, 0, STRUCTURE, structure);
    let features = fingerprints.features.iter().copied();
    fill(&mut sketch, STRUCTURE, FEATURES, features);
    let shingles = fingerprints.shingles.iter().copied();
    fill(&mut sketch, STRUCTURE + FEATURES, SHINGLES, shingles);
    let graph = fingerprints.graph.iter().copied();
    fill(&mut sketch, STRUCTURE + FEATURES + SHINGLES, GRAPH, graph);
    sketch
}

fn fill(sketch: &mut Sketch, from: usize, count: usize, hashes: impl Iterator<Item = u32>) {
    for (to, hash) in sketch.iter_mut().skip(from).take(count).zip(hashes) {
        *to = hash;
    }
}

/// The newcomer's hashes as a bitmap over some of their bits; one in some hundred others is in it by chance.
struct Table {
    bits: Vec<u64>,
    /// Hashes of structure, features, shingles and graph.
    counts: [u32; 4],
}

impl Table {
    fn of(sketch: &Sketch) -> Table {
        let mut bits = vec![0u64; 1 << (TABLE_BITS - 6)];
        for hash in sketch.iter().filter(|hash| **hash != NONE) {
            let place = hash & ((1 << TABLE_BITS) - 1);
            if let Some(word) = bits.get_mut((place >> 6) as usize) {
                *word |= 1 << (place & 63);
            }
        }
        let counts = parts(sketch)
            .map(|part| part.iter().filter(|hash| **hash != NONE).count().max(1) as u32);
        Table { bits, counts }
    }

    fn holds(&self, hash: u32) -> u32 {
        let place = hash & ((1 << TABLE_BITS) - 1);
        let word = self.bits.get((place >> 6) as usize).copied().unwrap_or(0);
        ((word >> (place & 63)) & 1) as u32 & u32::from(hash != NONE)
    }

    /// Estimates in thousandths: structure, source, graph.
    fn estimates(&self, sketch: &Sketch) -> [u32; 3] {
        let [structure, features, shingles, graph] = parts(sketch);
        let [of_structure, of_features, of_shingles, of_graph] = self.counts;
        let share = |part: &[u32], of: u32| {
            1000 * part.iter().map(|hash| self.holds(*hash)).sum::<u32>() / of
        };
        [
            share(structure, of_structure),
            (7 * share(features, of_features) + 3 * share(shingles, of_shingles)) / 10,
            share(graph, of_graph),
        ]
    }
}

fn parts(sketch: &Sketch) -> [&[u32]; 4] {
    let (structure, rest) = sketch.split_at(STRUCTURE);
    let (features, rest) = rest.split_at(FEATURES);
    let (shingles, graph) = rest.split_at(SHINGLES);
    [structure, features, shingles, graph]
}
