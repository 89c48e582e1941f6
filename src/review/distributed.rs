//! What a training script for several GPUs must do, as far as its source tells.
//!
//! The six parts are those of the second contract version: process group, device, wrapped model, a share of the data
//! for each rank, writes by rank 0 only, and an orderly end. Only code that `train` can reach counts. The referee gives
//! every rank lanes of its own, so `ctx.iter_train_batches` is a share of the data; a script that writes nothing needs
//! no guard.

mod parts;

use serde::{Deserialize, Serialize};

use super::bundle::Bundle;
use super::finding::{Finding, Place, Severity};
use super::limits::MAX_FINDINGS_PER_FILE;
use super::parse::span;
use super::reach::{Extent, Use, reach};
use crate::bundle::ContractVersion;
use parts::{is_unguarded_write, parts_of};

/// What follows when a script does not keep the contract for several ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DistributedPolicy {
    /// The submission is not run.
    Reject,
    /// It is written down; a script that uses torch.distributed halfway gets a warning.
    #[default]
    Flag,
    /// Nothing is looked at.
    Off,
}

/// The parts of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    ProcessGroup,
    DeviceBinding,
    ModelWrap,
    DataSharding,
    #[serde(rename = "rank0_guard")]
    RankGuard,
    Destroy,
}

impl Part {
    const ALL: [Part; 6] = [
        Part::ProcessGroup,
        Part::DeviceBinding,
        Part::ModelWrap,
        Part::DataSharding,
        Part::RankGuard,
        Part::Destroy,
    ];

    fn wanted(self) -> &'static str {
        match self {
            Part::ProcessGroup => "torch.distributed.init_process_group(...)",
            Part::DeviceBinding => "torch.cuda.set_device(ctx.local_rank) or model.to(ctx.device)",
            Part::ModelWrap => "DistributedDataParallel(model) or FullyShardedDataParallel(model)",
            Part::DataSharding => "ctx.iter_train_batches(...), or an index of rank and world size",
            Part::RankGuard => "`if ctx.rank == 0:` around torch.save(...)",
            Part::Destroy => "torch.distributed.destroy_process_group()",
        }
    }
}

/// What was found, for `review.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DistributedReport {
    pub compliant: bool,
    pub present: Vec<Part>,
    pub missing: Vec<Part>,
    /// `path:line` of each torch.save that other ranks than 0 can reach, the first hundred.
    pub unguarded_writes: Vec<String>,
}

/// Looks at everything that `train` can reach. No report when the policy is off.
pub fn check(
    bundle: &Bundle<'_>,
    policy: DistributedPolicy,
) -> (Option<DistributedReport>, Vec<Finding>) {
    // the loop of the first contract is ours
    if policy == DistributedPolicy::Off || bundle.roles.contract == ContractVersion::V1 {
        return (None, Vec::new());
    }
    let reached = reach(bundle, &[bundle.roles.training], Extent::Imported, true);
    let mut present: Vec<Part> = Vec::new();
    let mut unguarded: Vec<&Use<'_>> = Vec::new();
    for used in reached.uses.iter().filter(|used| !used.in_lambda) {
        for part in parts_of(bundle, used) {
            if !present.contains(&part) {
                present.push(part);
            }
        }
        if unguarded.len() < MAX_FINDINGS_PER_FILE && is_unguarded_write(bundle, &reached, used) {
            unguarded.push(used);
        }
    }
    if unguarded.is_empty() {
        present.push(Part::RankGuard);
    }
    present.sort_unstable();
    let missing: Vec<Part> = Part::ALL
        .into_iter()
        .filter(|part| !present.contains(part))
        .collect();
    let uses_ranks = [Part::ProcessGroup, Part::ModelWrap, Part::Destroy]
        .iter()
        .any(|part| present.contains(part));
    let severity = match policy {
        DistributedPolicy::Reject => Some(Severity::Reject),
        // a script for one rank is complete as it is
        DistributedPolicy::Flag if uses_ranks => Some(Severity::Warn),
        DistributedPolicy::Flag | DistributedPolicy::Off => None,
    };
    let findings = match severity {
        Some(severity) => findings(bundle, severity, &missing, &unguarded),
        None => Vec::new(),
    };
    let report = DistributedReport {
        compliant: missing.is_empty(),
        present,
        missing,
        unguarded_writes: unguarded
            .iter()
            .filter_map(|used| place(bundle, used))
            .map(|(path, line)| format!("{path}:{line}"))
            .collect(),
    };
    (Some(report), findings)
}

fn findings(
    bundle: &Bundle<'_>,
    severity: Severity,
    missing: &[Part],
    unguarded: &[&Use<'_>],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let entry = bundle
        .files
        .iter()
        .find(|file| file.path == bundle.roles.training.0);
    let absent: Vec<&str> = missing
        .iter()
        .filter(|part| **part != Part::RankGuard)
        .map(|part| part.wanted())
        .collect();
    if let Some(entry) = entry
        && !absent.is_empty()
    {
        let symbol = bundle.roles.training.1;
        let at = entry
            .scopes
            .scopes
            .iter()
            .filter(|scope| scope.parent == Some(0) && scope.name == symbol)
            .find_map(|scope| scope.definition)
            .map_or((0, 0), |definition| {
                let (start, end) = span(definition);
                (start, end.min(start + symbol.len() + 4))
            });
        let detail = format!(
            "train does not reach, for several distributed ranks: {}",
            absent.join("; ")
        );
        findings.push(Finding::at(
            "prism:distributed-contract",
            severity,
            &Place {
                path: entry.path,
                text: entry.text,
                span: at,
                ast_node: "FunctionDef",
            },
            &detail,
        ));
    }
    for used in unguarded {
        if let Some(file) = bundle.files.get(used.file) {
            findings.push(Finding::at(
                "prism:distributed-rank0-guard",
                severity,
                &Place {
                    path: file.path,
                    text: file.text,
                    span: span(used.expression),
                    ast_node: "Call",
                },
                "every rank reaches this torch.save",
            ));
        }
    }
    findings
}

fn place<'b>(bundle: &'b Bundle<'_>, used: &Use<'_>) -> Option<(&'b str, usize)> {
    let file = bundle.files.get(used.file)?;
    let before = file.text.get(..span(used.expression).0)?;
    Some((
        file.path,
        before.bytes().filter(|byte| *byte == b'\n').count() + 1,
    ))
}
