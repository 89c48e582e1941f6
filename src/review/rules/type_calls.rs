//! `type(x)`: fine for comparing and naming, refused as a value, because the type of a class makes classes.

use super::RuleWalk;
use crate::review::builtins::{self, Verdict};
use crate::review::origin::Origin;
use crate::review::parse::ast::{Expr, ExprAttribute, ExprCall, ExprCompare, ExprSubscript};
use crate::review::parse::span;

/// Judges a call of the builtin `type`; parents that only compare or name it have settled it before.
pub fn check<'a>(walk: &mut RuleWalk<'_, 'a>, expression: &'a Expr, call: &'a ExprCall) {
    walk.settle(&call.func);
    let is_plain =
        matches!(call.args.as_slice(), [argument] if !matches!(argument, Expr::Starred(_)));
    if !is_plain || !call.keywords.is_empty() {
        let detail = "type() with other than one argument makes a class at run time";
        walk.reject("prism:no-dynamic-code", span(call), "Call", detail);
    } else if !walk.is_settled(expression) {
        let detail = "type(x) other than compared, named, or called at once to make another of the same kind";
        walk.reject("prism:no-dynamic-code", span(call), "Call", detail);
    }
}

/// Marks `type(x)` where the parent makes it harmless.
pub fn settle<'a>(walk: &mut RuleWalk<'_, 'a>, expression: &'a Expr) {
    if let Expr::Call(call) = expression
        && matches!(&*call.func, Expr::Name(name) if name.id.as_str() == "type")
    {
        walk.settle(expression);
    }
}

/// `type(x) is int`, `type(x) in (int, float)`.
pub fn settle_comparison<'a>(walk: &mut RuleWalk<'_, 'a>, node: &'a ExprCompare) {
    settle(walk, &node.left);
    for comparator in &node.comparators {
        settle(walk, comparator);
    }
}

/// `TABLE[type(x)]`, and `type[Model]` in annotations.
pub fn settle_subscript<'a>(walk: &mut RuleWalk<'_, 'a>, node: &'a ExprSubscript) {
    settle(walk, &node.slice);
    if matches!(&*node.value, Expr::Name(name) if name.id.as_str() == "type") {
        walk.settle(&node.value);
    }
}

/// `type(x).__name__`.
pub fn settle_class_name<'a>(walk: &mut RuleWalk<'_, 'a>, node: &'a ExprAttribute) {
    if matches!(node.attr.as_str(), "__name__" | "__qualname__") {
        settle(walk, &node.value);
    }
}

/// `type(self)(width)`: too few arguments to make a class. Also arguments of builtins that only look at a type.
pub fn settle_call<'a>(walk: &mut RuleWalk<'_, 'a>, call: &'a ExprCall) {
    let has_unpacking = call
        .args
        .iter()
        .any(|argument| matches!(argument, Expr::Starred(_)))
        || call.keywords.iter().any(|keyword| keyword.arg.is_none());
    if call.args.len() < 3 && !has_unpacking {
        settle(walk, &call.func);
    }
    let Expr::Name(_) = &*call.func else {
        return;
    };
    if let [Origin::Builtin(name)] = *walk.origins(&call.func) {
        let is_looking = matches!(
            name,
            "isinstance" | "issubclass" | "print" | "str" | "repr" | "hash" | "id"
        ) || (name.ends_with("Error")
            && builtins::judge(name) == Verdict::Allowed);
        if is_looking {
            for argument in &call.args {
                settle(walk, argument);
            }
        }
    }
}
