//! The shipped examples: anybody may build on them, so what they say is nobody's own.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use crate::review::{self, Fingerprints, Roles};

macro_rules! examples {
    ($($name:literal),*) => {
        [$((
            include_str!(concat!("../../examples/", $name, "/architecture.py")),
            include_str!(concat!("../../examples/", $name, "/training.py")),
        )),*]
    };
}

const SOURCES: [(&str, &str); 5] =
    examples!("tiny-1m", "ngram-linear", "gru", "causal-conv", "over-cap");

static ALL: LazyLock<Vec<Fingerprints>> = LazyLock::new(|| {
    let roles = Roles {
        architecture: ("architecture.py", "build_model"),
        training: ("training.py", "train"),
        contract: crate::bundle::ContractVersion::V2,
    };
    SOURCES
        .iter()
        .filter_map(|(architecture, training)| {
            let files = BTreeMap::from([
                (
                    "architecture.py".to_owned(),
                    architecture.as_bytes().to_vec(),
                ),
                ("training.py".to_owned(), training.as_bytes().to_vec()),
            ]);
            review::fingerprints(&files, &roles)
        })
        .collect()
});

static STRUCTURE: LazyLock<HashSet<u32>> = LazyLock::new(|| {
    all()
        .iter()
        .flat_map(|example| example.grams.iter().map(|gram| gram.hash))
        .collect()
});

/// Their fingerprints.
pub fn all() -> &'static [Fingerprints] {
    &ALL
}

/// All windows of their structure.
pub fn structure() -> &'static HashSet<u32> {
    &STRUCTURE
}

/// Whether a submission is an example, under whatever names.
pub fn is_one(fingerprints: &Fingerprints) -> bool {
    all()
        .iter()
        .any(|example| example.exact == fingerprints.exact)
}
