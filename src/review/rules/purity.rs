//! `build_model` makes a model from the context's numbers: no data, no files, no network, wherever the code stands that
//! it leads to: helpers, classes, and whatever importing the architecture runs.

use crate::review::authored::TRUSTED_DIRECTORIES;
use crate::review::bundle::{Bundle, SourceFile};
use crate::review::finding::{Finding, Place, Severity};
use crate::review::hooks::{self, Hook};
use crate::review::origin::Origin;
use crate::review::parse::ast::{Constant, Expr, ExprAttribute};
use crate::review::parse::span;
use crate::review::reach::{Extent, Use, reach};
use crate::review::walk::Binding;

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

/// Without one of these names, or `utils` in its text, a file does nothing that [`impurity`] finds: they are [`DATA`],
/// [`TRUSTED_DIRECTORIES`], what [`CALLS`] end in, and the function that reads the names in texts.
const DATA_WORDS: [&str; 14] = [
    "data_dir",
    "iter_train_batches",
    "past_documents",
    "reference_tokenizer",
    "reference_tokenizer_dir",
    "artifacts_dir",
    "checkpoint_dir",
    "resume_checkpoint_dir",
    "load",
    "save",
    "from_file",
    "init_process_group",
    "init_device_mesh",
    "getattr",
];

/// A bit for each length that a word has.
const LENGTHS: u64 = {
    let (mut lengths, mut index) = (0, 0);
    while index < DATA_WORDS.len() {
        lengths |= 1 << DATA_WORDS[index].len();
        index += 1;
    }
    lengths
};

/// Whether a name is one that [`check`] looks for.
pub fn is_data_word(name: &str) -> bool {
    name.len() < 64 && (LENGTHS >> name.len()) & 1 == 1 && DATA_WORDS.contains(&name)
}

/// A cheap look that most submissions pass: whether the entries' files, or any file where one of those imports another,
/// have the words.
fn could_be_impure(bundle: &Bundle<'_>, entries: &[(&str, &str)]) -> bool {
    let is_entry = |file: &&SourceFile<'_>| entries.iter().any(|(path, _)| *path == file.path);
    let has_words = |file: &SourceFile<'_>| file.has_data_words || file.text.contains("utils");
    let mut files = bundle.files.iter().filter(is_entry);
    if files.clone().any(|file| imports_own(bundle, file)) {
        return bundle.files.iter().any(has_words);
    }
    files.any(has_words)
}

fn imports_own(bundle: &Bundle<'_>, file: &SourceFile<'_>) -> bool {
    let names = file.scopes.scopes.iter().flat_map(|scope| &scope.names);
    names
        .flat_map(|(_, record)| &record.bounds)
        .any(|bound| match bound.binding {
            Binding::ImportFrom { level: 1.., .. } => true,
            Binding::Import { module } | Binding::ImportFrom { module, .. } => {
                bundle.is_own(module.split('.').next().unwrap_or(module)) || bundle.is_own(module)
            }
            _ => false,
        })
}

/// Checks everything that `build_model`, an inference hook and the import of their files can run.
pub fn check(bundle: &Bundle<'_>, hooks: &[Hook]) -> Vec<Finding> {
    let entries = hooks::prediction_entries(bundle, hooks);
    if !could_be_impure(bundle, &entries) {
        return Vec::new();
    }
    let reached = reach(bundle, &entries, Extent::Imported, false);
    let loads_data: Vec<bool> = bundle
        .files
        .iter()
        .map(|file| file.text.contains("utils"))
        .collect();
    let mut findings: Vec<Finding> = Vec::new();
    for used in &reached.uses {
        if findings.len() >= MAX_FINDINGS {
            break;
        }
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
        if !is_known {
            findings.push(finding);
        }
    }
    findings
}

fn impurity<'a>(bundle: &Bundle<'a>, used: &Use<'a>, has_data: bool) -> Option<String> {
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
                Origin::Object(path) if CALLS.iter().any(|(_, full)| path == full) => {
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

fn is_data_origin(origins: &[Origin<'_>]) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_is_looked_for_is_a_data_word() {
        let calls = CALLS
            .iter()
            .flat_map(|(last, full)| [Some(*last), full.rsplit('.').next()]);
        let words = DATA.iter().chain(&TRUSTED_DIRECTORIES).copied().map(Some);
        for word in calls.chain(words).chain([Some("getattr")]).flatten() {
            assert!(is_data_word(word), "{word}");
        }
    }
}
