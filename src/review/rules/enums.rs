//! Enumerations: a class of `enum` that is called with names becomes a class with whatever attributes these names are.
//!
//! So the classes of `enum` are bases, and are called only with names that are written out; and an enumeration of one's
//! own has members, which keeps it from being called like that.

use super::RuleWalk;
use super::attributes::is_special;
use crate::review::origin::Origin;
use crate::review::parse::ast::{Constant, Expr, ExprCall, Stmt, StmtClassDef};
use crate::review::parse::span;

const RULE: &str = "prism:special-method";

fn is_enumeration(origins: &[Origin]) -> bool {
    origins.iter().any(|origin| {
        matches!(origin, Origin::Object(path) if matches!(
            path.as_str(),
            "enum.Enum" | "enum.Flag" | "enum.IntEnum" | "enum.IntFlag" | "enum.StrEnum"
        ))
    })
}

/// Judges a class that may be an enumeration.
pub fn check_class<'a>(walk: &mut RuleWalk<'_, 'a>, class: &'a StmtClassDef) {
    let mut is_one = false;
    for base in &class.bases {
        if is_enumeration(&walk.origins(base)) {
            walk.settle(base);
            is_one = true;
        }
    }
    if is_one
        && !class
            .body
            .iter()
            .any(|statement| is_member(walk, statement))
    {
        let detail = format!(
            "the enumeration {} has no member with a written value",
            class.name.as_str()
        );
        walk.reject(RULE, span(class), "ClassDef", &detail);
    }
}

/// `RED = 1`, `RED = auto()`, `RED = (1, "r")`: names and functions may turn out to be no members.
fn is_member<'a>(walk: &RuleWalk<'_, 'a>, statement: &'a Stmt) -> bool {
    let Stmt::Assign(node) = statement else {
        return false;
    };
    let is_plain = node
        .targets
        .iter()
        .all(|target| matches!(target, Expr::Name(name) if !name.id.as_str().starts_with('_')));
    let is_value = match &*node.value {
        Expr::Constant(_) | Expr::Tuple(_) | Expr::UnaryOp(_) | Expr::BinOp(_) => true,
        Expr::Call(call) => walk.origins(&call.func) == [Origin::Object("enum.auto".to_owned())],
        _ => false,
    };
    is_plain && is_value
}

/// Judges a call of a class of `enum`, and settles those that `isinstance` looks at.
pub fn check_call<'a>(walk: &mut RuleWalk<'_, 'a>, call: &'a ExprCall) {
    let origins = walk.origins(&call.func);
    if let [Origin::Builtin(name)] = origins.as_slice()
        && matches!(name.as_str(), "isinstance" | "issubclass")
    {
        let classes = match call.args.get(1) {
            Some(Expr::Tuple(tuple)) => tuple.elts.as_slice(),
            Some(class) => std::slice::from_ref(class),
            None => &[],
        };
        for class in classes {
            if is_enumeration(&walk.origins(class)) {
                walk.settle(class);
            }
        }
        return;
    }
    if !is_enumeration(&origins) {
        return;
    }
    walk.settle(&call.func);
    let is_harmless = match (call.args.as_slice(), call.keywords.as_slice()) {
        // a look-up
        ([value], []) => !matches!(value, Expr::Starred(_)),
        ([_, names], keywords) => {
            are_written_out(names)
                && keywords.iter().all(|keyword| {
                    keyword
                        .arg
                        .as_ref()
                        .is_some_and(|name| name.as_str() == "start")
                })
        }
        _ => false,
    };
    if !is_harmless {
        let detail = "an enumeration with members that are not written out";
        walk.reject(RULE, span(call), "Call", detail);
    }
}

/// `"RED GREEN"`, `["RED", "GREEN"]`, `[("RED", 1)]`, `{"RED": 1}`.
fn are_written_out(names: &Expr) -> bool {
    let is_name = |expression: &Expr| {
        text(expression).is_some_and(|text| {
            text.split(|c: char| c == ',' || c.is_whitespace())
                .all(|name| !name.starts_with('_') && !is_special(name))
        })
    };
    let is_entry = |expression: &Expr| match expression {
        Expr::Tuple(pair) => pair.elts.first().is_some_and(is_name),
        Expr::List(pair) => pair.elts.first().is_some_and(is_name),
        other => is_name(other),
    };
    match names {
        Expr::List(list) => list.elts.iter().all(is_entry),
        Expr::Tuple(tuple) => tuple.elts.iter().all(is_entry),
        Expr::Dict(dict) => dict
            .keys
            .iter()
            .all(|key| key.as_ref().is_some_and(is_name)),
        other => is_name(other),
    }
}

fn text(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Constant(constant) => match &constant.value {
            Constant::Str(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}
