//! The whole review of one bundle: every stage in its order, and what stands for a stage that failed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::bundle::Bundle;
use super::distributed::{self, DistributedReport};
use super::finding::{Finding, Severity, sha256_hex};
use super::fingerprints::{self, Fingerprints};
use super::graph::{self, ArchitectureGraph};
use super::hooks::{self, Hook};
use super::readable::read;
use super::report::{FileReport, Review, Verdict};
use super::workers::on_deep_stack;
use super::{NO_ROLES, Policy, Roles, ast_digest, limits, rules};
use crate::bundle::ContractVersion;

/// Reviews files; without a contract, as files that stand alone.
pub fn examine(
    files: &BTreeMap<String, Vec<u8>>,
    contract: Option<(&Roles<'_>, Policy)>,
) -> Review {
    let outcome = on_deep_stack(|| {
        catch_unwind(AssertUnwindSafe(|| inspect(files, contract)))
            .unwrap_or_else(|_| Inspection::undecided(files))
    });
    let mut inspection = outcome.unwrap_or_else(|| Inspection::undecided(files));
    inspection.findings.sort_by(|a, b| {
        (&a.path, a.line, a.column, a.rule_id).cmp(&(&b.path, b.line, b.column, b.rule_id))
    });
    let is_rejected = inspection
        .findings
        .iter()
        .any(|finding| finding.severity == Severity::Reject);
    let reports = files
        .iter()
        .map(|(path, bytes)| FileReport {
            path: path.clone(),
            sha256: sha256_hex(bytes),
            bytes: bytes.len(),
            ast_nodes: inspection.nodes.get(path).copied().unwrap_or(0),
            ast_sha256: inspection.digests.get(path).cloned(),
        })
        .collect();
    Review {
        verdict: if is_rejected {
            Verdict::Rejected
        } else {
            Verdict::Accepted
        },
        findings: inspection.findings,
        files: reports,
        architecture_graph: inspection.graph,
        distributed: inspection.distributed,
        contract: None,
        hooks: inspection.hooks,
        fingerprints: inspection.fingerprints,
    }
}

/// What the stages found.
#[derive(Default)]
struct Inspection {
    findings: Vec<Finding>,
    nodes: BTreeMap<String, usize>,
    digests: BTreeMap<String, String>,
    graph: ArchitectureGraph,
    distributed: Option<DistributedReport>,
    hooks: Vec<Hook>,
    fingerprints: Fingerprints,
}

impl Inspection {
    fn undecided(files: &BTreeMap<String, Vec<u8>>) -> Inspection {
        Inspection {
            findings: vec![Finding::on_file(
                "prism:cannot-decide",
                files.keys().next().map_or("", String::as_str),
                b"",
                "the reviewer stopped on an internal fault",
            )],
            ..Inspection::default()
        }
    }
}

fn inspect(
    files: &BTreeMap<String, Vec<u8>>,
    contract: Option<(&Roles<'_>, Policy)>,
) -> Inspection {
    let mut inspection = Inspection::default();
    let mut unreadable = Vec::new();
    let mut decoded = Vec::new();
    for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".py")) {
        if contract.is_some() {
            inspection
                .findings
                .extend(rules::check_shadowing(path, bytes));
        }
        match catch_unwind(|| read(path, bytes)) {
            Ok(Ok(file)) => decoded.push(file),
            Ok(Err(finding)) => {
                inspection.findings.push(*finding);
                unreadable.push(path.as_str());
            }
            Err(_) => {
                inspection.findings.push(Finding::on_file(
                    "prism:cannot-decide",
                    path,
                    bytes,
                    "the parser stopped on an internal fault",
                ));
                unreadable.push(path.as_str());
            }
        }
    }
    let bundle = Bundle::new(&decoded, contract.map_or(NO_ROLES, |(roles, _)| *roles));
    if let Some((roles, _)) = contract {
        let findings = match roles.contract {
            ContractVersion::V1 => hooks::check_required(&bundle, &unreadable),
            ContractVersion::V2 => rules::check_roles(&bundle.files, roles, &unreadable),
        };
        inspection.findings.extend(findings);
        let (hooks, findings) = hooks::find(&bundle);
        inspection.findings.extend(findings);
        inspection.hooks = hooks;
    }
    for (index, file) in bundle.files.iter().enumerate() {
        let outcome = catch_unwind(AssertUnwindSafe(|| rules::check_file(&bundle, index)));
        match outcome {
            Ok((findings, nodes)) => {
                inspection.findings.extend(findings);
                inspection.nodes.insert(file.path.to_owned(), nodes);
                if file.scopes.too_deep.is_none() {
                    let digest = ast_digest::ast_digest(file.body);
                    inspection.digests.insert(file.path.to_owned(), digest);
                }
            }
            Err(_) => inspection.findings.push(Finding::on_file(
                "prism:cannot-decide",
                file.path,
                file.text.as_bytes(),
                "the rules stopped on an internal fault",
            )),
        }
    }
    if let Some((_, policy)) = contract {
        bundle.ledger.begin_file(0);
        let findings = rules::check_purity(&bundle, &inspection.hooks);
        inspection.findings.extend(findings);
        let (report, findings) = distributed::check(&bundle, policy.distributed);
        inspection.distributed = report;
        inspection.findings.extend(findings);
    }
    if let Some(file) = bundle
        .ledger
        .exhausted()
        .and_then(|index| bundle.files.get(index))
    {
        inspection.findings.push(Finding::on_file(
            "prism:cannot-decide",
            file.path,
            file.text.as_bytes(),
            &format!(
                "following the names of this file takes more than {} steps",
                limits::MAX_STEPS_PER_FILE
            ),
        ));
    }
    inspection.graph = graph::build(&bundle);
    let is_rejected = |finding: &Finding| finding.severity == Severity::Reject;
    if contract.is_some() && !inspection.findings.iter().any(is_rejected) {
        let tokens: Vec<_> = decoded.iter().map(|file| &file.module.tokens).collect();
        inspection.fingerprints = fingerprints::take(
            &bundle,
            &inspection.hooks,
            &tokens,
            &inspection.graph,
            files,
        );
    }
    inspection
}
