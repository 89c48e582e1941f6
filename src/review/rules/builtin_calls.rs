//! Builtins: names that are refused wherever they are read, and the few that are allowed only as certain calls.

use super::attribute_names::READABLE_SPECIAL;
use super::{RuleWalk, attributes, modules, type_calls};
use crate::review::builtins::{self, Verdict};
use crate::review::origin::Origin;
use crate::review::parse::ast::{Constant, Expr, ExprCall, ExprContext, ExprName};
use crate::review::parse::span;
use crate::review::walk::ScopeKind;

/// Judges a name that is read.
pub fn check_name<'a>(walk: &mut RuleWalk<'_, 'a>, expression: &'a Expr, node: &'a ExprName) {
    if !matches!(node.ctx, ExprContext::Load) || walk.is_settled(expression) {
        return;
    }
    let origins = walk.origins(expression);
    let at = span(node);
    let is_readable = matches!(
        node.id.as_str(),
        "__name__" | "__all__" | "__version__" | "__author__" | "__debug__"
    );
    // `__radd__ = __add__` in a class body
    let is_own_method =
        walk.scope_kind() == ScopeKind::Class && READABLE_SPECIAL.contains(&node.id.as_str());
    if attributes::is_special(&node.id)
        && !is_readable
        && !is_own_method
        && !origins.contains(&Origin::Builtin(&node.id))
    {
        let detail = format!("{} is read by name", node.id.as_str());
        walk.reject("prism:no-attribute-escape", at, "Name", &detail);
    }
    for origin in origins.iter() {
        let Origin::Builtin(name) = origin else {
            continue;
        };
        match builtins::judge(name) {
            Verdict::Allowed => {}
            Verdict::Refused(rule) => walk.reject(rule, at, "Name", &format!("the builtin {name}")),
            Verdict::CallOnly => walk.reject(
                "prism:no-dynamic-attr",
                at,
                "Name",
                &format!("the builtin {name} other than in a direct, reviewable call"),
            ),
            Verdict::Unknown => walk.warn(
                "prism:undefined-name",
                at,
                "Name",
                &format!("nothing defines {name}"),
            ),
        }
    }
    modules::check_value(walk, &origins, at, "Name");
}

/// Judges the calls of builtins that are allowed only as calls.
pub fn check_call<'a>(walk: &mut RuleWalk<'_, 'a>, expression: &'a Expr, call: &'a ExprCall) {
    if !matches!(&*call.func, Expr::Name(_)) {
        return;
    }
    let origins = walk.origins(&call.func);
    let [Origin::Builtin(name)] = *origins else {
        return;
    };
    match name {
        "getattr" | "setattr" | "delattr" => check_named_attribute(walk, expression, call, name),
        "hasattr" => settle_module_argument(walk, call),
        "super" if call.args.len() <= 2 && call.keywords.is_empty() => walk.settle(&call.func),
        "type" => type_calls::check(walk, expression, call),
        "isinstance" | "issubclass" => {
            if let Some(argument @ Expr::Name(class)) = call.args.get(1)
                && class.id.as_str() == "type"
            {
                walk.settle(argument);
            }
        }
        _ => {}
    }
}

/// `hasattr(torch.optim, "AdamW")` tells only whether a name exists.
fn settle_module_argument<'a>(walk: &mut RuleWalk<'_, 'a>, call: &'a ExprCall) {
    if let Some(base) = call.args.first()
        && modules::is_module(&walk.origins(base))
    {
        walk.settle(base);
    }
}

fn check_named_attribute<'a>(
    walk: &mut RuleWalk<'_, 'a>,
    expression: &'a Expr,
    call: &'a ExprCall,
    function: &str,
) {
    walk.settle(&call.func);
    let at = span(call);
    let (Some(base), Some(name)) = (call.args.first(), call.args.get(1)) else {
        walk.reject(
            "prism:no-dynamic-attr",
            at,
            "Call",
            &format!("{function} without its object and name written out"),
        );
        return;
    };
    if matches!(base, Expr::Starred(_)) || matches!(name, Expr::Starred(_)) {
        walk.reject(
            "prism:no-dynamic-attr",
            at,
            "Call",
            &format!("{function} with unpacked arguments"),
        );
        return;
    }
    let bases = walk.origins(base);
    let touches_library = bases
        .iter()
        .any(|base| matches!(base, Origin::Module(_) | Origin::Own(_) | Origin::Object(_)));
    match name {
        Expr::Constant(constant) => {
            if let Constant::Str(name) = &constant.value {
                check_literal_name(walk, expression, call, function, name, &bases);
            } else {
                walk.reject(
                    "prism:no-dynamic-attr",
                    at,
                    "Call",
                    &format!("{function} with a name that is not text"),
                );
            }
        }
        Expr::JoinedStr(joined) if !touches_library => {
            // f"layer{i}": the constant beginning decides what the whole can become
            let prefix = match joined.values.first() {
                Some(Expr::Constant(constant)) => match &constant.value {
                    Constant::Str(prefix) => prefix.as_str(),
                    _ => "",
                },
                _ => "",
            };
            if prefix.starts_with('_') || attributes::could_become_refused(prefix) {
                walk.reject(
                    "prism:no-dynamic-attr",
                    at,
                    "Call",
                    &format!("{function} with a name that begins with {prefix:?} and could become a refused one"),
                );
            }
        }
        _ => walk.reject(
            "prism:no-dynamic-attr",
            at,
            "Call",
            &format!("{function} with a name that is computed"),
        ),
    }
    if function != "getattr"
        && matches!(name, Expr::JoinedStr(_))
        && bases.contains(&Origin::Context)
    {
        walk.reject(
            "prism:context-tamper",
            at,
            "Call",
            &format!("{function} on the context"),
        );
    }
}

fn check_literal_name<'a>(
    walk: &mut RuleWalk<'_, 'a>,
    expression: &'a Expr,
    call: &'a ExprCall,
    function: &str,
    name: &'a str,
    bases: &[Origin<'a>],
) {
    let at = span(call);
    let Some(base) = call.args.first() else {
        return;
    };
    if !name.is_ascii() {
        walk.reject(
            "prism:no-dynamic-attr",
            at,
            "Call",
            &format!("{function} with a name outside ASCII"),
        );
    }
    if function != "getattr" {
        let is_special = name.starts_with("__") && name.ends_with("__");
        if is_special {
            walk.reject(
                "prism:no-patching",
                at,
                "Call",
                &format!("{function} of {name}"),
            );
        }
        modules::check_store(walk, bases, name, at, "Call");
    }
    if modules::is_module(bases) {
        walk.settle(base);
        modules::check_member(walk, bases, name, at, "Call");
        if function == "getattr" && !walk.is_settled(expression) {
            let found = walk.origins(expression);
            modules::check_value(walk, &found, at, "Call");
        }
    } else if let Some(rule) = attributes::judge_name(walk, name, attributes::is_self(base)) {
        walk.reject(rule, at, "Call", &format!("{function} of {name}"));
    } else if matches!(name, "format" | "format_map") && function == "getattr" {
        walk.reject("prism:no-dynamic-attr", at, "Call", "getattr of str.format");
    }
}
