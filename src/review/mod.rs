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
mod known;
mod ledger;
mod limits;
mod metadata;
mod normalise;
mod origin;
mod parse;
mod reach;
mod render;
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

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;

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
pub use render::render;
pub use sarif::{SarifLog, Subject};
pub use stages::stages;
pub use workers::{WORKER_STACK_BYTES, on_workers};

use bundle::{Bundle, SourceFile};
use finding::{Place, sha256_hex};
use parse::{ParseProblem, ParsedModule};
use scope::ScopeTable;

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

fn examine(files: &BTreeMap<String, Vec<u8>>, contract: Option<(&Roles<'_>, Policy)>) -> Review {
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

/// The hooks alone, of a submission that was reviewed before; none if it cannot be read.
pub fn hooks_of(files: &BTreeMap<String, Vec<u8>>, roles: &Roles<'_>) -> Vec<Hook> {
    let found = || {
        let mut decoded = Vec::new();
        for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".py")) {
            decoded.extend(read(path, bytes).ok());
        }
        hooks::find(&Bundle::new(sources_of(&decoded), *roles)).0
    };
    on_deep_stack(|| catch_unwind(AssertUnwindSafe(found)).unwrap_or_default()).unwrap_or_default()
}

/// The fingerprints alone, of a submission that was reviewed before; nothing if it cannot be read.
pub fn fingerprints(files: &BTreeMap<String, Vec<u8>>, roles: &Roles<'_>) -> Option<Fingerprints> {
    let taken = on_deep_stack(|| {
        catch_unwind(AssertUnwindSafe(|| {
            let mut decoded = Vec::new();
            for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".py")) {
                decoded.push(read(path, bytes).ok()?);
            }
            let bundle = Bundle::new(sources_of(&decoded), *roles);
            let tokens: Vec<_> = decoded.iter().map(|file| &file.module.tokens).collect();
            let graph = graph::build(&bundle);
            let (hooks, _) = hooks::find(&bundle);
            Some(fingerprints::take(&bundle, &hooks, &tokens, &graph, files))
        }))
    });
    taken?.ok()?
}

/// Runs `work` on a stack that holds the deepest tree that the limits let through: this thread's own, where there is
/// enough of it left, or a new one.
fn on_deep_stack<T>(work: impl FnOnce() -> T) -> Option<T> {
    // fails by a panic where there is no memory for the stack
    catch_unwind(AssertUnwindSafe(|| {
        stacker::maybe_grow(limits::STACK_BYTES, limits::STACK_BYTES, work)
    }))
    .ok()
}

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

struct Decoded<'a> {
    path: &'a str,
    text: Cow<'a, str>,
    module: ParsedModule,
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
    let bundle = Bundle::new(
        sources_of(&decoded),
        contract.map_or(NO_ROLES, |(roles, _)| *roles),
    );
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

fn sources_of<'a>(decoded: &'a [Decoded<'_>]) -> Vec<SourceFile<'a>> {
    decoded
        .iter()
        .map(|file| SourceFile {
            path: file.path,
            text: &file.text,
            body: &file.module.body,
            scopes: ScopeTable::build(&file.module.body),
            has_data_words: file.module.has_data_words,
        })
        .collect()
}

/// Decodes and parses one file.
fn read<'a>(path: &'a str, bytes: &'a [u8]) -> Result<Decoded<'a>, Box<Finding>> {
    let text = decode::decode(bytes).map_err(|problem| {
        let lossy = String::from_utf8_lossy(
            bytes
                .get(..bytes.len().min(limits::MAX_FILE_BYTES))
                .unwrap_or(bytes),
        );
        let place = Place {
            path,
            text: &lossy,
            span: (problem.offset, problem.offset),
            ast_node: "Module",
        };
        Box::new(Finding::at(
            problem.rule_id,
            Severity::Reject,
            &place,
            &problem.message,
        ))
    })?;
    match parse::parse_module(&text) {
        Ok(module) => Ok(Decoded { path, text, module }),
        Err(problem) => {
            let (rule_id, detail, offset) = match problem {
                ParseProblem::Syntax { message, offset } => ("prism:syntax-error", message, offset),
                ParseProblem::Limit(exceeded) => (
                    "prism:source-limit",
                    format!(
                        "{} {}, limit {}",
                        exceeded.got, exceeded.what, exceeded.limit
                    ),
                    exceeded.offset,
                ),
            };
            let place = Place {
                path,
                text: &text,
                span: (offset, offset),
                ast_node: "Module",
            };
            Err(Box::new(Finding::at(
                rule_id,
                Severity::Reject,
                &place,
                &detail,
            )))
        }
    }
}
