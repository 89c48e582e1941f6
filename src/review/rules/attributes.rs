//! Attributes of anything: interpreter internals, private names, special methods.

use super::RuleWalk;
use super::attribute_names::{
    DEFINABLE_SPECIAL, ESCAPES, ESCAPES_UNLESS_OWN, INTERPRETER, PRIVATE_ALLOWED, PRIVATE_ESCAPES,
    READABLE_SPECIAL,
};
use crate::review::origin::Origin;
use crate::review::parse::ast::{Constant, Expr, ExprAttribute, ExprCall, ExprContext, Pattern};
use crate::review::parse::span;
use crate::review::surface;
use crate::review::walk::{Binding, ScopeKind, Span};

pub fn is_special(name: &str) -> bool {
    name.len() > 4 && name.starts_with("__") && name.ends_with("__")
}

/// The rule that refuses an attribute name on an object nothing is known about.
pub fn judge_name(walk: &RuleWalk<'_, '_>, name: &str, on_self: bool) -> Option<&'static str> {
    if INTERPRETER.contains(&name) {
        return Some("prism:no-attribute-escape");
    }
    if let Some((_, rule)) = ESCAPES.iter().find(|(escape, _)| *escape == name) {
        return Some(rule);
    }
    if let Some((_, rule)) = ESCAPES_UNLESS_OWN
        .iter()
        .find(|(escape, _)| *escape == name)
    {
        let is_own = on_self && walk.bundle.authored.attributes.contains(name);
        return (!is_own).then_some(rule);
    }
    if is_special(name) {
        return match name {
            // an object that is initialised again can become another: a file, for one
            "__init__" | "__new__" => Some("prism:no-attribute-escape"),
            _ if READABLE_SPECIAL.contains(&name) => None,
            "__builtins__" | "__class__" | "__dict__" | "__globals__" | "__mro__"
            | "__subclasses__" => Some("prism:no-dynamic-code"),
            "__import__" | "__loader__" | "__spec__" => Some("prism:no-dynamic-import"),
            _ => Some("prism:no-attribute-escape"),
        };
    }
    if name.starts_with('_') {
        if PRIVATE_ESCAPES.contains(&name) {
            return Some("prism:private-attribute");
        }
        if PRIVATE_ALLOWED.contains(&name) {
            return None;
        }
        let hides_module = !on_self && surface::is_reserved(name.trim_start_matches('_'));
        let is_own = walk.bundle.authored.attributes.contains(name);
        return (hides_module || !is_own).then_some("prism:private-attribute");
    }
    None
}

/// Judges `base.attr` where the base is not a module.
pub fn check_access<'a>(walk: &mut RuleWalk<'_, 'a>, node: &'a ExprAttribute) {
    let name = node.attr.as_str();
    let at = span(node);
    settle_class_name(walk, node);
    if !matches!(node.ctx, ExprContext::Load) && is_special(name) {
        walk.reject(
            "prism:no-patching",
            at,
            "Attribute",
            &format!("{name} of an object is assigned or deleted"),
        );
        return;
    }
    // settled: the `x.__class__` of `x.__class__.__name__`, and calls of the parent's `__setattr__`
    if name == "__name__" || (is_special(name) && walk.settled.contains(&address(node))) {
        return;
    }
    let on_self = is_self(&node.value);
    if matches!(name, "__init__" | "__new__") && is_of_a_class(walk, &node.value) {
        return;
    }
    if let Some(rule) = judge_name(walk, name, on_self) {
        walk.reject(rule, at, "Attribute", &format!("attribute {name}"));
    }
}

/// Whether an expression is a class by its looks: `super()`, a part of a library, or a name that only a `class` or an
/// import binds.
fn is_of_a_class<'a>(walk: &RuleWalk<'_, 'a>, base: &'a Expr) -> bool {
    let origins = walk.origins(base);
    match base {
        Expr::Call(call) => matches!(&*call.func, Expr::Name(name) if name.id.as_str() == "super"),
        Expr::Attribute(node) => {
            let is_object = |origin: &Origin| matches!(origin, Origin::Object(_));
            let is_own = |origin: &Origin| matches!(origin, Origin::Own(_));
            origins.iter().all(is_object) || walk.origins(&node.value).iter().all(is_own)
        }
        Expr::Name(name) => {
            let is_known =
                |origin: &Origin| matches!(origin, Origin::Object(_) | Origin::Builtin(_));
            let is_class = |binding: Binding<'_>| {
                matches!(
                    binding,
                    Binding::Class | Binding::Import { .. } | Binding::ImportFrom { .. }
                )
            };
            let by_name = walk.file.scopes.lookup(walk.scope(), &name.id);
            by_name.map_or_else(
                || origins.iter().all(is_known),
                |(_, record)| {
                    record.count == record.bounds.len()
                        && record.bounds.iter().all(|bound| is_class(bound.binding))
                },
            )
        }
        _ => false,
    }
}

/// Marks the `x.__class__` inside `x.__class__.__name__`.
fn settle_class_name<'a>(walk: &mut RuleWalk<'_, 'a>, node: &'a ExprAttribute) {
    if matches!(node.attr.as_str(), "__name__" | "__qualname__")
        && let Expr::Attribute(inner) = &*node.value
        && inner.attr.as_str() == "__class__"
    {
        walk.settled.insert(address(inner));
    }
}

/// Marks the function of `super().__setattr__(name, value)` and `object.__setattr__(self, name, value)` where the name
/// is a harmless constant or the one that `__setattr__` itself was called with.
pub fn settle_parent_setattr<'a>(walk: &mut RuleWalk<'_, 'a>, call: &'a ExprCall) {
    let Expr::Attribute(function) = &*call.func else {
        return;
    };
    if !matches!(
        function.attr.as_str(),
        "__setattr__" | "__delattr__" | "__getattr__"
    ) {
        return;
    }
    let name = match (&*function.value, call.args.as_slice()) {
        (Expr::Call(parent), [name, ..]) if is_bare_super(parent) => name,
        (Expr::Name(_), [Expr::Name(first), name, ..])
            if first.id.as_str() == "self"
                && is_parameter(walk, "self", 0)
                && walk.origins(&function.value) == [Origin::Builtin("object".to_owned())] =>
        {
            name
        }
        _ => return,
    };
    let is_harmless = match name {
        Expr::Constant(constant) => match &constant.value {
            Constant::Str(name) => !is_special(name) && judge_name(walk, name, true).is_none(),
            _ => false,
        },
        // the name that the method itself was called with
        Expr::Name(name) => {
            let scope = walk.file.scopes.scopes.get(walk.scope());
            scope.is_some_and(|scope| {
                scope.kind == ScopeKind::Function && scope.name == function.attr.as_str()
            }) && is_parameter(walk, &name.id, 1)
        }
        _ => false,
    };
    if is_harmless {
        walk.settled.insert(address(function));
    }
}

/// Whether a name is the parameter at `position` of the function around here, and nothing else ever.
fn is_parameter(walk: &RuleWalk<'_, '_>, name: &str, position: usize) -> bool {
    let scope = walk.file.scopes.scopes.get(walk.scope());
    let record = scope.and_then(|scope| scope.names.get(name));
    record.is_some_and(|record| {
        record.count == 1
            && matches!(record.bounds.as_slice(), [bound]
                if matches!(bound.binding, Binding::Parameter { position: at, .. } if at == position))
    })
}

fn is_bare_super(call: &ExprCall) -> bool {
    call.args.is_empty() && matches!(&*call.func, Expr::Name(name) if name.id.as_str() == "super")
}

fn address(node: &ExprAttribute) -> usize {
    std::ptr::from_ref(node) as usize
}

pub fn is_self(expression: &Expr) -> bool {
    matches!(expression, Expr::Name(name) if matches!(name.id.as_str(), "self" | "cls"))
}

/// Special names may be bound only where Python gives them a harmless meaning.
pub fn check_binding<'a>(
    walk: &mut RuleWalk<'_, 'a>,
    name: &'a str,
    at: Span,
    binding: Binding<'a>,
) {
    if !is_special(name) {
        return;
    }
    let is_module_name = matches!(
        name,
        "__all__" | "__version__" | "__author__" | "__license__"
    );
    let is_accepted = match walk.scope_kind() {
        ScopeKind::Class => READABLE_SPECIAL.contains(&name) || DEFINABLE_SPECIAL.contains(&name),
        ScopeKind::Module => is_module_name,
        _ => false,
    };
    // the imported names are judged as imports
    if !is_accepted && !matches!(binding, Binding::Import { .. } | Binding::ImportFrom { .. }) {
        walk.reject(
            "prism:special-method",
            at,
            "Name",
            &format!("{name} is defined here"),
        );
    }
}

/// Class patterns read attributes by name.
pub fn check_pattern<'a>(walk: &mut RuleWalk<'_, 'a>, pattern: &'a Pattern) {
    let Pattern::MatchClass(node) = pattern else {
        return;
    };
    if let Expr::Name(name) = &*node.cls
        && name.id.as_str() == "type"
    {
        walk.settle(&node.cls);
    }
    let is_positional = !node.patterns.is_empty();
    if is_positional && !is_matched_as_a_whole(&walk.origins(&node.cls)) {
        let detail = "a class pattern with positions reads whatever attributes the class lists; name them, as in Point(x=x)";
        walk.reject(
            "prism:no-attribute-escape",
            span(pattern),
            "MatchClass",
            detail,
        );
    }
    for name in &node.kwd_attrs {
        if matches!(name.as_str(), "format" | "format_map") {
            let detail = format!("pattern reads str.{}", name.as_str());
            walk.reject(
                "prism:no-dynamic-attr",
                span(pattern),
                "MatchClass",
                &detail,
            );
        }
        if let Some(rule) = judge_name(walk, name, false) {
            walk.reject(
                rule,
                span(pattern),
                "MatchClass",
                &format!("pattern reads the attribute {}", name.as_str()),
            );
        }
    }
}

/// The builtins whose one position is the object itself.
fn is_matched_as_a_whole(origins: &[Origin]) -> bool {
    matches!(origins, [Origin::Builtin(name)] if matches!(
        name.as_str(),
        "bool" | "bytearray" | "bytes" | "dict" | "float" | "frozenset" | "int" | "list" | "set" | "str" | "tuple"
    ))
}

/// Whether a name that begins with `prefix` could be one that is refused on any object.
pub fn could_become_refused(prefix: &str) -> bool {
    prefix.is_empty()
        || INTERPRETER.iter().any(|name| name.starts_with(prefix))
        || ESCAPES
            .iter()
            .chain(ESCAPES_UNLESS_OWN)
            .any(|(name, _)| name.starts_with(prefix))
        || "format_map".starts_with(prefix)
}
