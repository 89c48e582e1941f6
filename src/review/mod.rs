//! Static review: the gate that reads untrusted model code before anything runs it.
//!
//! Default deny: imports, module members and builtins are allow-lists, names are followed through aliases, and what the
//! reviewer cannot follow is refused. The review is advisory in the sense that the sandbox is the boundary; it is the
//! gate in the sense that nothing rejected is ever run. [`review`] never panics and is bounded in time and memory.

mod ast_digest;
mod authored;
mod bare;
mod builtins;
mod bundle;
mod canonical_graph;
pub mod catalogue;
mod catalogue_details;
mod catalogue_duplicates;
pub mod catalogue_page;
mod conditions;
mod decode;
mod distributed;
mod entropy;
mod finding;
mod fingerprints;
mod flow;
mod graph;
mod hooks;
mod inspect;
mod known;
mod ledger;
mod limits;
mod metadata;
mod normalise;
mod origin;
mod parse;
mod reach;
mod readable;
mod recall;
mod render;
mod report;
mod resolve;
mod rules;
mod sarif;
mod scope;
mod seeded;
mod stages;
mod surface;
mod visit;
mod walk;
mod walk_expressions;
mod walk_statements;
mod workers;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::bundle::ContractVersion;

pub use bare::{BareSource, bare_sources};
pub use catalogue::{RULES, Rule, Severity};
pub use distributed::{DistributedPolicy, DistributedReport};
pub use finding::Finding;
pub use fingerprints::{FINGERPRINT_VERSION, Fingerprints, Gram};
pub use graph::ArchitectureGraph;
pub use hooks::{ContractReport, Hook, HookRole, inference_hook};
pub use metadata::{ArchitectureMetadata, RoleFiles, metadata};
pub use normalise::{NormaliseError, normalised_source};
pub use parse::difference as token_difference;
pub use recall::{fingerprints, hooks_of};
pub use render::render;
pub use report::{FileReport, Review, Verdict};
pub use sarif::{SarifLog, Subject};
pub use stages::stages;
pub use workers::{WORKER_STACK_BYTES, on_workers};

use inspect::examine;

/// The two declared roles, each `(path, symbol)`.
#[derive(Clone, Copy, Debug)]
pub struct Roles<'a> {
    pub architecture: (&'a str, &'a str),
    pub training: (&'a str, &'a str),
    pub contract: ContractVersion,
}

/// Of a file that stands alone.
const NO_ROLES: Roles<'static> = Roles {
    architecture: ("", ""),
    training: ("", ""),
    contract: ContractVersion::V2,
};

/// What an operator decides about a review.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy {
    pub distributed: DistributedPolicy,
}

/// Reviews all files of a bundle. Everything doubtful becomes a finding; nothing is an error.
///
/// `files` maps paths inside the bundle, with `/`, to their bytes. Files that do not end in `.py` are only hashed.
pub fn review(files: &BTreeMap<String, Vec<u8>>, roles: &Roles<'_>) -> Review {
    review_under(files, roles, Policy::default())
}

/// [`review`] as an operator wants it.
pub fn review_under(
    files: &BTreeMap<String, Vec<u8>>,
    roles: &Roles<'_>,
    policy: Policy,
) -> Review {
    examine(files, Some((roles, policy)))
}

/// Reviews one Python file on its own: every rule but those of the contract between the two scripts.
pub fn review_source(path: &str, bytes: &[u8]) -> Review {
    examine(&BTreeMap::from([(path.to_owned(), bytes.to_vec())]), None)
}
