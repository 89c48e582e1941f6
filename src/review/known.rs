//! What most expressions refer to, told without following anything.

use super::builtins;
use super::bundle::Bundle;
use super::ledger::Origins;
use super::origin::Origin;
use super::parse::ast::{Expr, ExprCall};
use super::parse::span;
use super::scope::ScopeId;
use super::walk::ScopeKind;

/// Enclosing scopes that a look-up passes for the price of one step.
pub const SCOPES_PER_STEP: usize = 8;

/// Names that were followed before, their attributes where they are no part of a library, and what is no reference at
/// all. Nothing where that does not decide.
pub fn quickly<'a>(
    bundle: &Bundle<'a>,
    file: usize,
    scope: ScopeId,
    expression: &'a Expr,
) -> Option<Origins<'a>> {
    let found = match expression {
        Expr::Name(_) => followed_name(bundle, file, scope, expression)?,
        Expr::Attribute(node) => {
            let base = followed_name(bundle, file, scope, &node.value)?;
            if !base.iter().all(has_no_members) {
                return None;
            }
            bundle.ledger.value()
        }
        Expr::Call(call) if is_getattr(call) => return None,
        _ => bundle.ledger.value(),
    };
    bundle.ledger.spend(1);
    match bundle.ledger.exhausted() {
        Some(_) => Some(bundle.ledger.value()),
        None => Some(found),
    }
}

fn followed_name<'a>(
    bundle: &Bundle<'a>,
    file: usize,
    scope: ScopeId,
    expression: &'a Expr,
) -> Option<Origins<'a>> {
    let Expr::Name(node) = expression else {
        return None;
    };
    let name = node.id.as_str();
    let scopes = &bundle.files.get(file)?.scopes;
    let Some((home, record)) = scopes.lookup(scope, name) else {
        return (scopes.depth(scope) < SCOPES_PER_STEP).then(|| bundle.ledger.builtin(name));
    };
    let followed = record.followed.get()?;
    let passed = scopes.depth(scope).saturating_sub(scopes.depth(home));
    if followed.is_cyclic || followed.origins.is_empty() || passed >= SCOPES_PER_STEP {
        return None;
    }
    let could_be_unbound = !record.is_bound_at(span(expression).0);
    let is_whole = match scopes.scopes.get(home)?.kind {
        ScopeKind::Class => !could_be_unbound,
        ScopeKind::Module => !could_be_unbound || !builtins::is_refused(name),
        ScopeKind::Function | ScopeKind::Lambda | ScopeKind::Comprehension => true,
    };
    is_whole.then(|| followed.origins.clone())
}

/// Whether an attribute of it is a value of the submission.
fn has_no_members(origin: &Origin<'_>) -> bool {
    matches!(
        origin,
        Origin::Builtin(_) | Origin::Context | Origin::Function | Origin::Value
    )
}

pub fn is_getattr(call: &ExprCall) -> bool {
    matches!(&*call.func, Expr::Name(name) if name.id.as_str() == "getattr")
}
