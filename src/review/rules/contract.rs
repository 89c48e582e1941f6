//! The two-script contract: the declared files and entry points, and file names that shadow libraries.

use crate::review::Roles;
use crate::review::bundle::SourceFile;
use crate::review::finding::{Finding, Place, Severity};
use crate::review::parse::ast::{Arguments, Stmt};
use crate::review::parse::span;
use crate::review::surface;
use crate::review::walk::positional;

/// Checks both roles. `unreadable` are declared files that exist and have their own findings already.
pub fn check_roles(
    files: &[SourceFile<'_>],
    roles: &Roles<'_>,
    unreadable: &[&str],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if roles.architecture.0 == roles.training.0 {
        findings.push(Finding::on_file(
            "prism:missing-file",
            roles.training.0,
            b"",
            "both roles name the same file; they must be two",
        ));
    }
    for (role, (path, symbol)) in [
        ("architecture", roles.architecture),
        ("training", roles.training),
    ] {
        if unreadable.contains(&path) {
            continue;
        }
        match files.iter().find(|file| file.path == path) {
            Some(file) => findings.extend(check_entry(file, role, symbol)),
            None => findings.push(Finding::on_file(
                "prism:missing-file",
                path,
                b"",
                &format!("the {role} role names {path}, which is not a Python file of the bundle"),
            )),
        }
    }
    findings
}

/// Checks that a file has a top-level function that can be called with the context alone.
pub fn check_entry(file: &SourceFile<'_>, role: &str, symbol: &str) -> Option<Finding> {
    let place = |span| Place {
        path: file.path,
        text: file.text,
        span,
        ast_node: "FunctionDef",
    };
    // the last definition is the one that stays
    let definition = file
        .body
        .iter()
        .rev()
        .find_map(|statement| match statement {
            Stmt::FunctionDef(def) if def.name.as_str() == symbol => Some(def),
            _ => None,
        });
    let Some(definition) = definition else {
        return Some(Finding::at(
            "prism:missing-entrypoint",
            Severity::Reject,
            &place((0, 0)),
            &format!(
                "{} has no top-level `def {symbol}`, the {role} entry point",
                file.path
            ),
        ));
    };
    let problem = signature_problem(&definition.args)?;
    let start = span(definition).0;
    let end = file
        .text
        .get(start..)
        .and_then(|rest| rest.find('\n'))
        .map_or(file.text.len(), |length| start + length);
    Some(Finding::at(
        "prism:entrypoint-signature",
        Severity::Reject,
        &place((start, end)),
        &format!("{symbol} {problem}"),
    ))
}

fn signature_problem(arguments: &Arguments) -> Option<String> {
    let required = positional(arguments)
        .filter(|argument| argument.default.is_none())
        .count();
    let total = positional(arguments).count();
    if total == 0 && arguments.vararg.is_none() {
        return Some("takes no positional argument; it is called with the context".to_owned());
    }
    if required > 1 {
        return Some(format!(
            "requires {required} positional arguments; it is called with one, the context"
        ));
    }
    let required_keywords = arguments
        .kwonlyargs
        .iter()
        .filter(|argument| argument.default.is_none())
        .count();
    if required_keywords > 0 {
        return Some(format!(
            "requires {required_keywords} keyword arguments; it is called with the context only"
        ));
    }
    None
}

/// Checks that no file or folder carries the name of a library or standard module.
pub fn check_shadowing(path: &str, bytes: &[u8]) -> Option<Finding> {
    let stem_path = path.strip_suffix(".py")?;
    let shadowed = stem_path
        .split('/')
        .find(|part| surface::is_reserved(part))?;
    Some(Finding::on_file(
        "prism:module-shadow",
        path,
        bytes,
        &format!("{shadowed} is the name of a library module"),
    ))
}
