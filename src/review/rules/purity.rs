//! `build_model` makes a model from the context's numbers: no data, no files, no network, wherever the code stands that
//! it leads to: helpers, classes, and whatever importing the architecture runs.

use crate::review::authored::TRUSTED_DIRECTORIES;
use crate::review::bundle::Bundle;
use crate::review::finding::{Finding, Place, Severity};
use crate::review::hooks::{self, Hook};
use crate::review::origin::Origin;
use crate::review::parse::ast::{Constant, Expr, ExprAttribute};
use crate::review::parse::span;
use crate::review::reach::{Extent, Use, reach};

const RULE: &str = "prism:build-model-purity";
/// Findings of one bundle: one would do, a few help.
const MAX_FINDINGS: usize = 16;
/// What the context offers for training only.
const DATA: [&str; 5] = [
    "data_dir",
    "iter_train_batches",
    "past_documents",
    "reference_tokenizer",
    "reference_tokenizer_dir",
];
/// Library functions by their last name, as a cheap first test, and in full.
const CALLS: [(&str, &str); 8] = [
    ("load", "torch.load"),
    ("save", "torch.save"),
    ("from_file", "torch.from_file"),
    ("init_process_group", "torch.distributed.init_process_group"),
    ("init_device_mesh", "torch.distributed.init_device_mesh"),
    (
        "init_device_mesh",
        "torch.distributed.device_mesh.init_device_mesh",
    ),
    (
        "init_device_mesh",
        "torch.distributed.tensor.init_device_mesh",
    ),
    (
        "init_process_group",
        "torch.distributed.device_mesh.init_process_group",
    ),
];

/// Checks everything that `build_model`, an inference hook and the import of their files can run.
pub fn check(bundle: &Bundle<'_>, hooks: &[Hook]) -> Vec<Finding> {
    let reached = reach(
        bundle,
        &hooks::prediction_entries(bundle, hooks),
        Extent::Imported,
        false,
    );
    let loads_data: Vec<bool> = bundle
        .files
        .iter()
        .map(|file| file.text.contains("utils"))
        .collect();
    let mut findings: Vec<Finding> = Vec::new();
    for used in &reached.uses {
        let has_data = loads_data.get(used.file).copied().unwrap_or(false);
        let Some(detail) = impurity(bundle, used, has_data) else {
            continue;
        };
        let Some(file) = bundle.files.get(used.file) else {
            continue;
        };
        let place = Place {
            path: file.path,
            text: file.text,
            span: span(used.expression),
            ast_node: match used.expression {
                Expr::Attribute(_) => "Attribute",
                Expr::Name(_) => "Name",
                _ => "Call",
            },
        };
        let finding = Finding::at(RULE, Severity::Reject, &place, &detail);
        let is_known = findings
            .iter()
            .any(|known| (&known.path, known.line) == (&finding.path, finding.line));
        if !is_known && findings.len() < MAX_FINDINGS {
            findings.push(finding);
        }
    }
    findings
}

fn impurity(bundle: &Bundle<'_>, used: &Use<'_>, has_data: bool) -> Option<String> {
    match used.expression {
        Expr::Attribute(node) => of_context(bundle, node).or_else(|| {
            let is_data =
                has_data && is_data_origin(&bundle.origins(used.file, used.scope, used.expression));
            is_data.then(data_tools)
        }),
        Expr::Name(_) if has_data => {
            is_data_origin(&bundle.origins(used.file, used.scope, used.expression)).then(data_tools)
        }
        Expr::Call(call) => {
            if let [_, Expr::Constant(name), ..] = call.args.as_slice()
                && let Constant::Str(name) = &name.value
                && matches!(&*call.func, Expr::Name(function) if function.id.as_str() == "getattr")
                && (DATA.contains(&name.as_str()) || TRUSTED_DIRECTORIES.contains(&name.as_str()))
            {
                return Some(format!("build_model leads here, which reads {name}"));
            }
            let could_be = match &*call.func {
                Expr::Name(_) => true,
                Expr::Attribute(node) => CALLS.iter().any(|(last, _)| *last == node.attr.as_str()),
                _ => false,
            };
            if !could_be {
                return None;
            }
            let origins = bundle.origins(used.file, used.scope, &call.func);
            origins.iter().find_map(|origin| match origin {
                Origin::Object(path) if CALLS.iter().any(|(_, full)| full == path) => {
                    Some(format!("build_model leads here, which calls {path}"))
                }
                _ => None,
            })
        }
        _ => None,
    }
}

/// `ctx.data_dir` and the like, on whatever object; an attribute of this name that a class gives itself is its own.
fn of_context(bundle: &Bundle<'_>, node: &ExprAttribute) -> Option<String> {
    let name = node.attr.as_str();
    if !DATA.contains(&name) && !TRUSTED_DIRECTORIES.contains(&name) {
        return None;
    }
    let is_own = matches!(&*node.value, Expr::Name(base) if base.id.as_str() == "self")
        && bundle.authored.attributes.contains(name);
    (!is_own).then(|| format!("build_model leads here, which reads {name}"))
}

fn is_data_origin(origins: &[Origin]) -> bool {
    origins.iter().any(|origin| match origin {
        Origin::Module(path) | Origin::Object(path) => {
            path == "torch.utils.data" || path.starts_with("torch.utils.data.")
        }
        _ => false,
    })
}

fn data_tools() -> String {
    "build_model leads here, which uses torch.utils.data".to_owned()
}
