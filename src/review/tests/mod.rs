//! Tests over whole bundles: the case files, hostile shapes, and random text.

mod bounded;
mod cases;
mod contract;
mod distributed;
mod hooks;
mod purity;

use std::collections::BTreeMap;

use super::{Review, Roles, review};

pub const ROLES: Roles<'static> = Roles {
    architecture: ("architecture.py", "build_model"),
    training: ("training.py", "train"),
    contract: crate::bundle::ContractVersion::V2,
};

/// A bundle that is accepted.
pub fn plain_bundle() -> BTreeMap<String, Vec<u8>> {
    BTreeMap::from([
        (
            "architecture.py".to_owned(),
            b"def build_model(ctx):\n    return None\n".to_vec(),
        ),
        (
            "training.py".to_owned(),
            b"def train(ctx):\n    pass\n".to_vec(),
        ),
    ])
}

/// Reviews `source` as one more file, `case.py`, of a plain bundle.
pub fn review_beside_plain(source: &[u8]) -> Review {
    let mut files = plain_bundle();
    files.insert("case.py".to_owned(), source.to_vec());
    review(&files, &ROLES)
}
