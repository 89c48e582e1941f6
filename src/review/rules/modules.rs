//! Attribute access through modules, and modules that would leave the reviewer's sight.

use super::{RuleWalk, attributes, imports};
use crate::review::builtins::{self, Verdict};
use crate::review::origin::Origin;
use crate::review::parse::ast::{CmpOp, Expr, ExprAttribute, ExprCompare, ExprContext};
use crate::review::parse::span;
use crate::review::surface::{self, Member};
use crate::review::walk::{ScopeKind, Span};

/// Library settings that a submission may assign.
const SETTINGS: [&str; 8] = [
    "torch.backends.cuda.matmul.allow_tf32",
    "torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction",
    "torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction",
    "torch.backends.cudnn.allow_tf32",
    "torch.backends.cudnn.benchmark",
    "torch.backends.cudnn.deterministic",
    "torch.backends.cudnn.enabled",
    "torch.backends.mkldnn.enabled",
];

/// Objects that may only be called, with arguments that are checked at the call; `abc.ABCMeta` only as a metaclass, the
/// classes of `enum` also as bases, `torch.compile` also as a decorator.
const CALL_ONLY: [(&str, &str); 14] = [
    ("abc.ABCMeta", "prism:unsupported-syntax"),
    ("enum.Enum", "prism:special-method"),
    ("enum.Flag", "prism:special-method"),
    ("enum.IntEnum", "prism:special-method"),
    ("enum.IntFlag", "prism:special-method"),
    ("enum.StrEnum", "prism:special-method"),
    ("torch.compile", "prism:no-torch-escape"),
    ("types.SimpleNamespace", "prism:no-dynamic-attr"),
    ("torch.load", "prism:no-deserialization"),
    ("torch.save", "prism:no-filesystem"),
    ("logging.basicConfig", "prism:no-filesystem"),
    (
        "torch.distributed.init_process_group",
        "prism:no-filesystem",
    ),
    ("functools.wraps", "prism:no-patching"),
    ("dataclasses.replace", "prism:context-tamper"),
];

/// Why `module.name` is refused: rule and detail.
pub fn refusal(module: &str, name: &str) -> (&'static str, String) {
    let dotted = format!("{module}.{name}");
    let mut rule = match imports::rule_for_root(name) {
        "prism:no-forbidden-import" => "prism:module-surface",
        rule => rule,
    };
    if module == "torch" || dotted == "torch.utils.cpp_extension" {
        rule = match imports::rule_for_module(&dotted) {
            "prism:no-forbidden-import" => rule,
            torch_rule => torch_rule,
        };
    }
    if matches!(
        name,
        "from_file"
            | "fromfile"
            | "memmap"
            | "FileStore"
            | "loadtxt"
            | "genfromtxt"
            | "savez"
            | "savetxt"
    ) {
        rule = "prism:no-filesystem";
    }
    if matches!(name, "load" | "loads" | "Unpickler") {
        rule = "prism:no-deserialization";
    }
    if module == "operator" && matches!(name, "attrgetter" | "methodcaller") {
        rule = "prism:no-dynamic-attr";
    }
    let close = surface::similar(module, name);
    let mut detail = format!("{dotted} is not part of what {module} publishes");
    if !close.is_empty() {
        detail.push_str("; close names: ");
        detail.push_str(&close.join(", "));
    }
    (rule, detail)
}

pub fn report_value(walk: &mut RuleWalk<'_, '_>, at: Span, node: &'static str, module: &str) {
    walk.reject(
        "prism:module-value",
        at,
        node,
        &format!("the module {module} is used as a value"),
    );
}

/// `name = module` keeps the module in sight, unless the name is a class attribute.
pub fn settle_aliases<'a>(walk: &mut RuleWalk<'_, 'a>, targets: &[&'a Expr], value: &'a Expr) {
    let is_plain = targets.iter().all(|target| matches!(target, Expr::Name(_)));
    if !is_plain
        || walk.scope_kind() == ScopeKind::Class
        || !matches!(value, Expr::Name(_) | Expr::Attribute(_) | Expr::Call(_))
    {
        return;
    }
    let origins = walk.origins(value);
    let is_followed =
        |origin: &Origin| matches!(origin, Origin::Module(_) | Origin::Own(_) | Origin::Value);
    if is_module(&origins) && origins.iter().all(is_followed) {
        walk.settle(value);
    }
}

/// `np is None` asks nothing of the module.
pub fn settle_identity_tests<'a>(walk: &mut RuleWalk<'_, 'a>, node: &'a ExprCompare) {
    if node
        .ops
        .iter()
        .all(|op| matches!(op, CmpOp::Is | CmpOp::IsNot))
    {
        for side in std::iter::once(&*node.left).chain(&node.comparators) {
            if matches!(side, Expr::Name(_)) && is_module(&walk.origins(side)) {
                walk.settle(side);
            }
        }
    }
}

/// Whether any of the origins is a module.
pub fn is_module(origins: &[Origin]) -> bool {
    origins
        .iter()
        .any(|origin| matches!(origin, Origin::Module(_) | Origin::Own(_)))
}

/// Judges `base.attr` by what `base` can be.
pub fn check_attribute<'a>(
    walk: &mut RuleWalk<'_, 'a>,
    expression: &'a Expr,
    node: &'a ExprAttribute,
) {
    let bases = walk.origins(&node.value);
    let at = span(node);
    if is_module(&bases) && !bases.iter().any(|base| matches!(base, Origin::Builtin(_))) {
        walk.settle(&node.value);
    }
    check_member(walk, &bases, &node.attr, at, "Attribute");
    let is_plain = bases
        .iter()
        .any(|base| !matches!(base, Origin::Module(_) | Origin::Own(_)));
    if is_plain {
        attributes::check_access(walk, node);
    }
    if !matches!(node.ctx, ExprContext::Load) {
        check_store(walk, &bases, &node.attr, at, "Attribute");
        return;
    }
    if !walk.is_settled(expression) {
        let origins = walk.origins(expression);
        check_value(walk, &origins, at, "Attribute");
    }
}

/// Checks that modules among `bases` publish `attribute`.
pub fn check_member(
    walk: &mut RuleWalk<'_, '_>,
    bases: &[Origin],
    attribute: &str,
    at: Span,
    node: &'static str,
) {
    for base in bases {
        match base {
            Origin::Module(module) if !is_public(module, attribute) => {
                let (rule, detail) = refusal(module, attribute);
                walk.reject(rule, at, node, &detail);
            }
            Origin::Own(module) if walk.bundle.own_member(module, attribute).is_empty() => {
                let detail = format!("the submission defines no {attribute} in {module}");
                walk.reject("prism:module-surface", at, node, &detail);
            }
            Origin::Undecided => walk.reject(
                "prism:cannot-decide",
                at,
                node,
                &format!("what .{attribute} is taken from passes through too many names"),
            ),
            _ => {}
        }
    }
}

fn is_public(module: &str, attribute: &str) -> bool {
    // the import of a module that is not on the list is the finding; its members need none of their own
    attribute == "__name__"
        || !surface::is_package(module)
        || surface::member(module, attribute) != Member::NotPublic
        || SETTINGS.contains(&format!("{module}.{attribute}").as_str())
}

/// Checks an assignment to, or deletion of, `attribute` of something with these origins.
pub fn check_store(
    walk: &mut RuleWalk<'_, '_>,
    bases: &[Origin],
    attribute: &str,
    at: Span,
    node: &'static str,
) {
    for base in bases {
        match base {
            Origin::Module(owner) | Origin::Object(owner) => {
                let dotted = format!("{owner}.{attribute}");
                if !SETTINGS.contains(&dotted.as_str()) {
                    walk.reject(
                        "prism:no-patching",
                        at,
                        node,
                        &format!("{dotted} is assigned or deleted"),
                    );
                }
            }
            Origin::Own(module) => walk.reject(
                "prism:no-patching",
                at,
                node,
                &format!("{attribute} of the module {module} is changed from outside"),
            ),
            Origin::Builtin(name) if builtins::judge(name) != Verdict::Unknown => walk.reject(
                "prism:no-patching",
                at,
                node,
                &format!("{name}.{attribute} is assigned or deleted"),
            ),
            Origin::Context => walk.reject(
                "prism:context-tamper",
                at,
                node,
                &format!("{attribute} of the context is assigned or deleted"),
            ),
            Origin::Builtin(_) | Origin::Function | Origin::Value | Origin::Undecided => {}
        }
    }
}

/// Checks an expression that is used as a value.
pub fn check_value(walk: &mut RuleWalk<'_, '_>, origins: &[Origin], at: Span, node: &'static str) {
    for origin in origins {
        match origin {
            Origin::Module(module) | Origin::Own(module) => report_value(walk, at, node, module),
            Origin::Object(path) => {
                if let Some((_, rule)) = CALL_ONLY.iter().find(|(name, _)| name == path) {
                    walk.reject(
                        rule,
                        at,
                        node,
                        &format!("{path} is used without being called on the spot"),
                    );
                }
            }
            Origin::Undecided => walk.reject(
                "prism:cannot-decide",
                at,
                node,
                "what this is passes through too many names",
            ),
            _ => {}
        }
    }
}
