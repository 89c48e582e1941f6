//! What a review comes to.

use serde::Serialize;

use super::distributed::DistributedReport;
use super::finding::Finding;
use super::fingerprints::Fingerprints;
use super::graph::ArchitectureGraph;
use super::hooks::{ContractReport, Hook};

/// The outcome for the whole bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Accepted,
    Rejected,
    /// Accepted by the rules, and too much like an earlier submission under a policy that leaves it to the operator.
    Held,
}

/// What was read of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileReport {
    pub path: String,
    /// SHA-256 (hex) of the bytes as submitted.
    pub sha256: String,
    pub bytes: usize,
    /// Statements, expressions and patterns; 0 for files that are not parsed.
    pub ast_nodes: usize,
    /// Canonical digest of the syntax tree (hex); absent for files that are not parsed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ast_sha256: Option<String>,
}

/// The result of a review.
#[derive(Clone, Debug, Serialize)]
pub struct Review {
    pub verdict: Verdict,
    /// Sorted by path, line, column and rule.
    pub findings: Vec<Finding>,
    pub files: Vec<FileReport>,
    pub architecture_graph: ArchitectureGraph,
    /// The contract for several ranks; absent when nobody asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distributed: Option<DistributedReport>,
    /// The contract that the submission follows and the rule that told; absent for a file that stands alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<ContractReport>,
    /// The hooks of a submission of the first contract.
    #[serde(skip)]
    pub hooks: Vec<Hook>,
    /// What an accepted submission is recognised by.
    #[serde(skip)]
    pub fingerprints: Fingerprints,
}
