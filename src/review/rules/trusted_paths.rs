//! Which path expressions visibly stay below the directories that the harness provides.

use super::RuleWalk;
use crate::review::authored::TRUSTED_DIRECTORIES;
use crate::review::builtins;
use crate::review::origin::Origin;
use crate::review::parse::ast::{Constant, ConversionFlag, Expr, ExprFormattedValue, Operator};
use crate::review::walk::Binding;

const MAX_PARTS: usize = 32;

/// Whether `path` begins with a harness directory and can only go down from there.
pub fn is_trusted<'a>(walk: &RuleWalk<'_, 'a>, path: &'a Expr) -> bool {
    !walk.bundle.authored.directory_rebound && starts_trusted(walk, path, MAX_PARTS)
}

fn starts_trusted<'a>(walk: &RuleWalk<'_, 'a>, path: &'a Expr, fuel: usize) -> bool {
    let Some(fuel) = fuel.checked_sub(1) else {
        return false;
    };
    match path {
        Expr::Attribute(node) => {
            TRUSTED_DIRECTORIES.contains(&node.attr.as_str())
                && *walk.origins(&node.value) == [Origin::Context]
        }
        Expr::Name(name) => {
            let Some((_, record)) = walk.file.scopes.lookup(walk.scope(), &name.id) else {
                return false;
            };
            // records keep references and parameters; whatever else is bound counts against the name
            record.texts.is_empty()
                && !record.bounds.is_empty()
                && record.bounds.iter().all(|bound| match bound.binding {
                    Binding::Parameter {
                        has_default: false, ..
                    } => TRUSTED_DIRECTORIES.contains(&name.id.as_str()),
                    Binding::Alias(value) => {
                        record.count == 1
                            && bound.scope == walk.scope()
                            && starts_trusted(walk, value, fuel)
                    }
                    _ => false,
                })
        }
        Expr::BinOp(node) if matches!(node.op, Operator::Div | Operator::Add) => {
            starts_trusted(walk, &node.left, fuel)
                && goes_down(&node.right, matches!(node.op, Operator::Div))
        }
        Expr::Call(call) => {
            // str(ctx.artifacts_dir)
            matches!(&*call.func, Expr::Name(_))
                && *walk.origins(&call.func) == [Origin::Builtin("str")]
                && builtins::judge("str") == builtins::Verdict::Allowed
                && call.keywords.is_empty()
                && matches!(call.args.as_slice(), [only] if starts_trusted(walk, only, fuel))
        }
        Expr::JoinedStr(joined) => {
            let Some((first, rest)) = joined.values.split_first() else {
                return false;
            };
            matches!(first, Expr::FormattedValue(value)
                if value.conversion == ConversionFlag::None
                    && value.format_spec.is_none()
                    && starts_trusted(walk, &value.value, fuel))
                && rest.iter().all(|part| goes_down(part, false))
        }
        _ => false,
    }
}

/// A part of a path that cannot climb: constant text without `..`, or a number.
fn goes_down(part: &Expr, as_component: bool) -> bool {
    match part {
        Expr::Constant(constant) => match &constant.value {
            Constant::Str(text) => {
                let leaves = text.contains("..") || text.contains('\0');
                let restarts = as_component && text.starts_with('/');
                !leaves && !restarts
            }
            _ => false,
        },
        Expr::JoinedStr(joined) => joined
            .values
            .iter()
            .enumerate()
            .all(|(index, part)| goes_down(part, as_component && index == 0)),
        Expr::FormattedValue(value) => is_number(value),
        _ => false,
    }
}

/// `{step:06d}` formats an integer or raises.
fn is_number(value: &ExprFormattedValue) -> bool {
    let Some(Expr::JoinedStr(spec)) = value.format_spec.as_deref() else {
        return false;
    };
    matches!(spec.values.as_slice(), [Expr::Constant(constant)]
        if matches!(&constant.value, Constant::Str(text) if text.ends_with('d')
            && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'd')))
}
