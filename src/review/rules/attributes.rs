//! Attributes of anything: interpreter internals, private names, special methods.

use super::RuleWalk;
use crate::review::origin::Origin;
use crate::review::parse::ast::{Constant, Expr, ExprAttribute, ExprCall, ExprContext, Pattern};
use crate::review::parse::span;
use crate::review::surface;
use crate::review::walk::{Binding, ScopeKind, Span};

/// Attributes of frames, code, tracebacks, generators, errors and classes, and modules that others re-export.
#[rustfmt::skip]
const INTERPRETER: &[&str] = &[
    "ag_await", "ag_code", "ag_frame", "ag_running", "builtins", "co_code", "co_consts", "co_freevars", "co_names",
    "cr_await", "cr_code", "cr_frame", "cr_origin", "f_back", "f_builtins", "f_code", "f_globals", "f_lasti",
    "f_lineno", "f_locals", "f_trace", "f_trace_lines", "f_trace_opcodes", "func_code", "func_globals", "gi_code",
    "gi_frame", "gi_running", "gi_yieldfrom", "im_class", "im_func", "im_self", "inspect", "linecache", "mro", "obj",
    "tb_frame", "tb_lasti", "tb_lineno", "tb_next", "with_traceback",
];

/// Other names that lead out on any object, with the rule they fall under.
const ESCAPES: &[(&str, &str)] = &[
    ("os", "prism:no-process"),
    ("sys", "prism:no-process"),
    ("subprocess", "prism:no-process"),
    ("multiprocessing", "prism:no-process"),
    ("popen", "prism:no-process"),
    ("Popen", "prism:no-process"),
    ("fork", "prism:no-process"),
    ("forkserver", "prism:no-process"),
    ("Process", "prism:no-process"),
    ("execv", "prism:no-process"),
    ("execve", "prism:no-process"),
    ("socket", "prism:no-network"),
    ("shutil", "prism:no-filesystem"),
    ("pathlib", "prism:no-filesystem"),
    ("tempfile", "prism:no-filesystem"),
    ("unlink", "prism:no-filesystem"),
    ("rmdir", "prism:no-filesystem"),
    ("rmtree", "prism:no-filesystem"),
    ("tofile", "prism:no-filesystem"),
    ("fromfile", "prism:no-filesystem"),
    ("from_file", "prism:no-filesystem"),
    ("memmap", "prism:no-filesystem"),
    ("read_text", "prism:no-filesystem"),
    ("read_bytes", "prism:no-filesystem"),
    ("write_text", "prism:no-filesystem"),
    ("write_bytes", "prism:no-filesystem"),
    ("FileHandler", "prism:no-filesystem"),
    ("ctypes", "prism:no-ffi"),
    ("load_library", "prism:no-ffi"),
    ("importlib", "prism:no-dynamic-import"),
    ("import_module", "prism:no-dynamic-import"),
    ("exec_module", "prism:no-dynamic-import"),
    ("load_module", "prism:no-dynamic-import"),
    ("pickle", "prism:no-deserialization"),
    ("Unpickler", "prism:no-deserialization"),
    ("add_safe_globals", "prism:no-deserialization"),
    ("attrgetter", "prism:no-dynamic-attr"),
    ("methodcaller", "prism:no-dynamic-attr"),
    ("cpp_extension", "prism:no-torch-escape"),
    ("load_inline", "prism:no-torch-escape"),
    ("python_code", "prism:no-dynamic-code"),
    ("recompile", "prism:no-dynamic-code"),
    ("set_codegen", "prism:no-dynamic-code"),
    ("on_generate_code", "prism:no-dynamic-code"),
    ("exec_with_source", "prism:no-dynamic-code"),
];

/// Names that are dangerous on some library objects and ordinary in one's own classes: `self.dump()` is fine where the
/// submission defines `dump`.
const ESCAPES_UNLESS_OWN: &[(&str, &str)] = &[
    ("dump", "prism:no-filesystem"),
    ("io", "prism:no-filesystem"),
    ("spawn", "prism:no-process"),
    ("system", "prism:no-process"),
];

/// Special names that may be read on any object.
#[rustfmt::skip]
pub const READABLE_SPECIAL: &[&str] = &[
    "__abs__", "__add__", "__and__", "__bool__", "__call__", "__contains__", "__delitem__", "__enter__", "__eq__",
    "__exit__", "__float__", "__floordiv__", "__format__", "__ge__", "__getitem__", "__gt__", "__hash__", "__init__",
    "__init_subclass__", "__int__", "__invert__", "__iter__", "__le__", "__len__", "__lt__", "__matmul__", "__mod__",
    "__mul__", "__name__", "__ne__", "__neg__", "__new__", "__next__", "__or__", "__pos__", "__post_init__", "__pow__",
    "__qualname__", "__radd__", "__repr__", "__reversed__", "__rmul__", "__rsub__", "__rtruediv__", "__setitem__",
    "__str__", "__sub__", "__truediv__", "__xor__",
];

/// Special methods and class attributes that a class may define beside those of [`READABLE_SPECIAL`].
#[rustfmt::skip]
const DEFINABLE_SPECIAL: &[&str] = &[
    "__all__", "__author__", "__class_getitem__", "__constants__", "__copy__", "__deepcopy__",
    "__delattr__", "__delete__", "__divmod__", "__dir__", "__get__", "__getattr__", "__iadd__", "__iand__",
    "__ifloordiv__", "__imatmul__", "__imod__", "__imul__", "__index__", "__ior__", "__ipow__", "__isub__",
    "__itruediv__", "__ixor__", "__length_hint__", "__license__", "__lshift__", "__missing__", "__rand__",
    "__rfloordiv__", "__rlshift__", "__rmatmul__", "__rmod__", "__ror__", "__round__", "__rpow__", "__rrshift__",
    "__rshift__", "__rxor__", "__set__", "__set_name__", "__setattr__", "__slots__", "__version__", "__ceil__",
    "__floor__", "__trunc__", "__complex__", "__bytes__",
];

/// Private names that stay refused although a submission defines the same name.
#[rustfmt::skip]
const PRIVATE_ESCAPES: &[&str] = &[
    "_evaluate", "_eval_type", "_exec_with_source", "_getframe", "_get_iterator", "_new_shared", "_new_using_fd_cpu",
    "_new_using_filename_cpu", "_set_from_file", "_share_fd_cpu_", "_share_filename_cpu_", "_write_file",
    "_new_with_file", "_code", "_graph",
];

/// Private names of torch that are part of everyday use.
const PRIVATE_ALLOWED: &[&str] = &[
    "_orig_mod",
    "_fields",
    "_replace",
    "_asdict",
    "_modules",
    "_parameters",
    "_buffers",
    // of the base classes of schedulers and modules, and of sparse gradients
    "_last_lr",
    "_step_count",
    "_get_name",
    "_indices",
    "_values",
];

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
    if let Some(rule) = judge_name(walk, name, on_self) {
        walk.reject(rule, at, "Attribute", &format!("attribute {name}"));
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
        Expr::Name(_) => walk
            .file
            .scopes
            .scopes
            .get(walk.scope())
            .is_some_and(|scope| {
                scope.kind == ScopeKind::Function && scope.name == function.attr.as_str()
            }),
        _ => false,
    };
    if is_harmless {
        walk.settled.insert(address(function));
    }
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
    for name in &node.kwd_attrs {
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
