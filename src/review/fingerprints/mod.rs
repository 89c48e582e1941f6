//! What a submission is recognised by: the historical measures, and a structure that new names, another layout and
//! padding do not move.

mod hash;
mod historical;
mod set;
mod shingles;
mod structure;

use std::collections::BTreeMap;

use super::bundle::Bundle;
use super::graph::ArchitectureGraph;
use super::hooks::Hook;

pub use shingles::TokenHashes;
pub use structure::Gram;

/// Raised whenever the same sources would give other fingerprints: an index of another version is made anew.
pub const FINGERPRINT_VERSION: u32 = 1;

/// The fingerprints of one submission. Sets are sorted and without repetition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprints {
    /// Hash of the structure with its numbers: equal for copies that differ in names, texts and formatting only.
    pub exact: u64,
    /// Hashes of whole files, of every sort.
    pub files: Vec<u32>,
    /// The historical syntax features: paths, suffixes, node kinds, functions, classes, imports, calls.
    pub features: Vec<u32>,
    /// The historical windows of five tokens.
    pub shingles: Vec<u32>,
    /// Classes, functions, imports, calls and modules of the architecture graph.
    pub graph: Vec<u32>,
    /// Windows of the normalised structure that the entry points reach, sorted by hash.
    pub grams: Vec<Gram>,
    /// The files that grams point into.
    pub paths: Vec<String>,
}

/// Takes the fingerprints of a parsed bundle with its hooks. `tokens` are those of its files, in the same order.
pub fn take(
    bundle: &Bundle<'_>,
    hooks: &[Hook],
    tokens: &[&TokenHashes],
    graph: &ArchitectureGraph,
    files: &BTreeMap<String, Vec<u8>>,
) -> Fingerprints {
    bundle.ledger.begin_file(0);
    let (grams, exact) = structure::grams(bundle, hooks);
    Fingerprints {
        exact,
        files: historical::file_hashes(files),
        features: historical::features(bundle, files),
        shingles: shingles::shingles(tokens, files),
        graph: historical::graph_tokens(graph),
        grams,
        paths: bundle
            .files
            .iter()
            .map(|file| file.path.to_owned())
            .collect(),
    }
}
