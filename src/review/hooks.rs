//! The functions of the first contract: which of them a submission has, where, and whether they can be called as the
//! training loop calls them.
//!
//! `build_model` and `get_recipe` are top-level functions of the architecture's file. A hook is a top-level function of
//! the architecture's or the training's file, or is imported there by name from another file of the bundle.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bundle::{Bundle, SourceFile};
use super::finding::{Finding, Place, Severity};
use super::parse::ast::{Arguments, Stmt, StmtFunctionDef};
use super::parse::span;
use super::rules::check_entry;
use super::walk::{Binding, positional};
use crate::bundle::{Contract, ContractVersion};

/// Imports that are followed from a hook's name to its definition.
const MAX_IMPORTS: usize = 8;
const REQUIRED: [&str; 2] = ["build_model", "get_recipe"];
/// Those through which a prediction can go, the first that is there.
const INFERENCE: [&str; 2] = ["inference_logits", "infer"];

/// One function of the contract.
struct Signature {
    name: &'static str,
    parameters: &'static [&'static str],
    /// The names of the parameters are part of the contract, too.
    by_name: bool,
}

const fn signature(name: &'static str, parameters: &'static [&'static str]) -> Signature {
    Signature {
        name,
        parameters,
        by_name: false,
    }
}

const HOOKS: [Signature; 7] = [
    signature("configure_optimizer", &["model", "recipe", "ctx"]),
    signature("inference_logits", &["model", "batch", "ctx"]),
    signature("infer", &["model", "batch", "ctx"]),
    signature("compute_loss", &["model", "batch", "ctx"]),
    signature("train_step", &["model", "batch", "optimizer", "ctx"]),
    Signature {
        by_name: true,
        ..signature("save_checkpoint", &["model", "checkpoint_dir", "ctx"])
    },
    Signature {
        by_name: true,
        ..signature("load_checkpoint", &["model", "checkpoint_dir", "ctx"])
    },
];

/// Whose file a hook is taken from when the submission runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookRole {
    Architecture,
    Training,
}

/// A hook of a submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hook {
    #[serde(skip)]
    pub name: &'static str,
    /// The file that defines it.
    pub path: String,
    /// Line of its `def`, from 1.
    pub line: usize,
    /// The entry point that has the name.
    pub role: HookRole,
}

/// The contract of a submission, for `review.json`.
#[derive(Clone, Debug, Serialize)]
pub struct ContractReport {
    #[serde(flatten)]
    pub contract: Contract,
    /// The hooks of the first contract; absent in the second.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub v1: Option<V1Report>,
}

/// What the hooks replace.
#[derive(Clone, Debug, Serialize)]
pub struct V1Report {
    pub hooks: BTreeMap<&'static str, Hook>,
    /// Where predictions come from; none: the model's forward.
    pub inference_hook: Option<&'static str>,
    pub custom_optimizer: bool,
    pub custom_loss: bool,
    pub custom_train_step: bool,
}

impl ContractReport {
    /// Puts together what the files and the review say.
    pub fn new(contract: &Contract, hooks: &[Hook]) -> Self {
        let has = |name: &str| hooks.iter().any(|hook| hook.name == name);
        let v1 = V1Report {
            hooks: hooks.iter().map(|hook| (hook.name, hook.clone())).collect(),
            inference_hook: inference_hook(hooks),
            custom_optimizer: has("configure_optimizer"),
            custom_loss: has("compute_loss"),
            custom_train_step: has("train_step"),
        };
        Self {
            contract: contract.clone(),
            v1: (contract.version == ContractVersion::V1).then_some(v1),
        }
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let Contract { kind, because, .. } = &self.contract;
        match &self.v1 {
            None => format!("contract v2: {because}"),
            Some(v1) => {
                let hooks: Vec<String> = v1
                    .hooks
                    .iter()
                    .map(|(name, hook)| format!("{name} ({}:{})", hook.path, hook.line))
                    .collect();
                let hooks = if hooks.is_empty() {
                    "none".to_owned()
                } else {
                    hooks.join(", ")
                };
                format!("contract v1: {because}; kind {kind}; hooks: {hooks}")
            }
        }
    }
}

/// The hook that predictions go through.
pub fn inference_hook(hooks: &[Hook]) -> Option<&'static str> {
    INFERENCE
        .into_iter()
        .find(|name| hooks.iter().any(|hook| hook.name == *name))
}

/// Everything that the harness calls, each `(path, function)`.
pub fn entries<'e>(bundle: &'e Bundle<'_>, hooks: &'e [Hook]) -> Vec<(&'e str, &'e str)> {
    let architecture = bundle.roles.architecture;
    if bundle.roles.contract == ContractVersion::V2 {
        return vec![architecture, bundle.roles.training];
    }
    let mut entries: Vec<(&str, &str)> = REQUIRED
        .iter()
        .map(|name| (architecture.0, *name))
        .collect();
    entries.extend(hooks.iter().map(|hook| (hook.path.as_str(), hook.name)));
    entries
}

/// What predictions are made with: the model, and the inference hook where there is one.
pub fn prediction_entries<'e>(
    bundle: &'e Bundle<'_>,
    hooks: &'e [Hook],
) -> Vec<(&'e str, &'e str)> {
    let mut entries = vec![bundle.roles.architecture];
    if let Some(name) = inference_hook(hooks)
        && let Some(hook) = hooks.iter().find(|hook| hook.name == name)
    {
        entries.push((hook.path.as_str(), name));
    }
    entries
}

/// The hooks that a submission has, and what is wrong with them. None in the second contract.
pub fn find(bundle: &Bundle<'_>) -> (Vec<Hook>, Vec<Finding>) {
    let roles = &bundle.roles;
    if roles.contract == ContractVersion::V2 {
        return (Vec::new(), Vec::new());
    }
    let mut files = vec![(roles.architecture.0, HookRole::Architecture)];
    if roles.training.0 != roles.architecture.0 {
        files.push((roles.training.0, HookRole::Training));
    }
    let mut hooks: Vec<Hook> = Vec::new();
    let mut findings = Vec::new();
    for signature in &HOOKS {
        for (path, role) in &files {
            let Some(index) = bundle.files.iter().position(|file| file.path == *path) else {
                continue;
            };
            match definition(bundle, index, signature.name) {
                Defined::Not => {}
                Defined::Unclear(at) => findings.push(refusal(
                    &bundle.files[at],
                    None,
                    &format!(
                        "{} is a hook and is not exactly one top-level `def` here, or one import by name from a file of the bundle",
                        signature.name
                    ),
                )),
                Defined::At(at, def) => {
                    let file = &bundle.files[at];
                    let found = Hook {
                        name: signature.name,
                        path: file.path.to_owned(),
                        line: line_of(file, span(def).0),
                        role: *role,
                    };
                    let known = hooks.iter().find(|hook| hook.name == signature.name);
                    match known {
                        None => {
                            if let Some(problem) = problem(&def.args, signature) {
                                let detail = format!("{} {problem}", signature.name);
                                findings.push(refusal(file, Some(def), &detail));
                            }
                            hooks.push(found);
                        }
                        Some(known) if (&known.path, known.line) == (&found.path, found.line) => {}
                        Some(known) => {
                            let detail = format!(
                                "{} is defined here and in {}: one of them must go",
                                signature.name, known.path
                            );
                            findings.push(refusal(file, Some(def), &detail));
                        }
                    }
                }
            }
        }
    }
    (hooks, findings)
}

/// Checks the two functions that every submission of the first contract has.
pub fn check_required(bundle: &Bundle<'_>, unreadable: &[&str]) -> Vec<Finding> {
    let path = bundle.roles.architecture.0;
    if unreadable.contains(&path) {
        return Vec::new();
    }
    let Some(file) = bundle.files.iter().find(|file| file.path == path) else {
        let detail =
            format!("the architecture role names {path}, which is not a Python file of the bundle");
        return vec![Finding::on_file("prism:missing-file", path, b"", &detail)];
    };
    let mut findings = Vec::new();
    for name in REQUIRED {
        if let Some(finding) = check_entry(file, "architecture", name) {
            findings.push(finding);
        } else if let Some(def) = last_def(file, name)
            && (def.args.vararg.is_some() || def.args.kwarg.is_some())
        {
            let detail = format!("{name} takes *args or **kwargs, which the contract has not");
            findings.push(refusal(file, Some(def), &detail));
        }
    }
    findings
}

/// What a name of a file is.
enum Defined<'a> {
    Not,
    /// Something else than one function; in this file.
    Unclear(usize),
    At(usize, &'a StmtFunctionDef),
}

fn definition<'a>(bundle: &Bundle<'a>, file: usize, name: &str) -> Defined<'a> {
    let (mut at, mut name) = (file, name.to_owned());
    for _ in 0..MAX_IMPORTS {
        let Some(source) = bundle.files.get(at) else {
            return Defined::Not;
        };
        let module = source.scopes.scopes.first();
        let Some(record) = module.and_then(|scope| scope.names.get(name.as_str())) else {
            return if at == file {
                Defined::Not
            } else {
                Defined::Unclear(at)
            };
        };
        let (1, [bound], false) = (record.count, record.bounds.as_slice(), record.is_deleted)
        else {
            return Defined::Unclear(at);
        };
        match bound.binding {
            Binding::Function => {
                return last_def(source, &name)
                    .map_or(Defined::Unclear(at), |def| Defined::At(at, def));
            }
            Binding::ImportFrom {
                module,
                level,
                name: imported,
            } => {
                let dotted = bundle.absolute(source.path, module, level);
                let Some(&other) = bundle.modules.get(&dotted) else {
                    return Defined::Unclear(at);
                };
                (at, name) = (other, imported.to_owned());
            }
            _ => return Defined::Unclear(at),
        }
    }
    Defined::Unclear(at)
}

/// The last `def` of a name that stands directly in a file.
fn last_def<'a>(file: &SourceFile<'a>, name: &str) -> Option<&'a StmtFunctionDef> {
    let mut defs = file
        .body
        .iter()
        .rev()
        .filter_map(|statement| match statement {
            Stmt::FunctionDef(def) => Some(def),
            _ => None,
        });
    defs.find(|def| def.name.as_str() == name)
}

/// Why a hook cannot be called with its positional arguments.
fn problem(arguments: &Arguments, signature: &Signature) -> Option<String> {
    let wanted = signature.parameters;
    let listed = wanted.join(", ");
    if arguments.vararg.is_some() || arguments.kwarg.is_some() {
        return Some(format!("takes *args or **kwargs, expected ({listed})"));
    }
    let required_keywords = arguments
        .kwonlyargs
        .iter()
        .any(|argument| argument.default.is_none());
    let required = positional(arguments)
        .filter(|argument| argument.default.is_none())
        .count();
    let names: Vec<&str> = positional(arguments)
        .map(|argument| argument.def.arg.as_str())
        .collect();
    let is_callable = required <= wanted.len() && wanted.len() <= names.len() && !required_keywords;
    let is_exact = required == names.len() && names == wanted && arguments.kwonlyargs.is_empty();
    if !is_callable || (signature.by_name && !is_exact) {
        return Some(format!("takes ({}), expected ({listed})", names.join(", ")));
    }
    None
}

fn refusal(file: &SourceFile<'_>, def: Option<&StmtFunctionDef>, detail: &str) -> Finding {
    let start = def.map_or(0, |def| span(def).0);
    let rest = file.text.get(start..).unwrap_or("");
    let end = start + def.map_or(0, |_| rest.find('\n').unwrap_or(rest.len()));
    let place = Place {
        path: file.path,
        text: file.text,
        span: (start, end),
        ast_node: "FunctionDef",
    };
    Finding::at(
        "prism:entrypoint-signature",
        Severity::Reject,
        &place,
        detail,
    )
}

fn line_of(file: &SourceFile<'_>, offset: usize) -> usize {
    let before = file.text.as_bytes().get(..offset).unwrap_or_default();
    before.iter().filter(|&&byte| byte == b'\n').count() + 1
}
