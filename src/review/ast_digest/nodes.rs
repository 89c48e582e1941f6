//! The nodes of the text, field by field.

use super::values::level;
use super::{Canonical, Text};
use crate::review::parse::ast::{
    Alias, Arg, ArgWithDefault, Arguments, Comprehension, Constant, ExceptHandler, Expr,
    ExprContext, Keyword, MatchCase, Pattern, Stmt, TypeParam, WithItem,
};

/// `node!(text, "Kind", field, ...)`: a node with its fields in order.
macro_rules! node {
    ($text:ident, $kind:literal $(, $field:expr)* $(,)?) => {{
        $text.put(concat!("(", $kind).as_bytes());
        $($field.put($text);)*
        $text.put(b")");
    }};
}

/// Type parameters, where there are some.
struct IfAny<'a>(&'a [TypeParam]);

impl Canonical for IfAny<'_> {
    fn put(&self, text: &mut Text) {
        if !self.0.is_empty() {
            self.0.put(text);
        }
    }
}

/// The parts of an f-string, with one constant between two fields at most.
struct Pieces<'a>(&'a [Expr]);

impl Canonical for Pieces<'_> {
    fn put(&self, text: &mut Text) {
        text.put(b"[");
        let mut constant = String::new();
        for piece in self.0 {
            if let Expr::Constant(node) = piece
                && let Constant::Str(part) = &node.value
            {
                constant.push_str(part);
                continue;
            }
            put_piece(&mut constant, text);
            piece.put(text);
        }
        put_piece(&mut constant, text);
        text.put(b"]");
    }
}

fn put_piece(constant: &mut String, text: &mut Text) {
    if !constant.is_empty() {
        text.put(b"(Constant");
        text.sized(b's', constant.as_bytes());
        text.put(b")");
        constant.clear();
    }
}

/// What stands between the brackets: `a[*b]` is a tuple to CPython and a bare star to the parser.
struct Index<'a>(&'a Expr);

impl Canonical for Index<'_> {
    fn put(&self, text: &mut Text) {
        if matches!(self.0, Expr::Starred(_)) {
            node!(
                text,
                "Tuple",
                std::slice::from_ref(self.0),
                ExprContext::Load
            );
        } else {
            self.0.put(text);
        }
    }
}

#[rustfmt::skip]
impl Canonical for Stmt {
    fn put(&self, text: &mut Text) {
        match self {
            Stmt::FunctionDef(n) => node!(text, "FunctionDef", n.name, n.args, n.body, n.decorator_list, n.returns, IfAny(&n.type_params)),
            Stmt::AsyncFunctionDef(n) => node!(text, "AsyncFunctionDef", n.name, n.args, n.body, n.decorator_list, n.returns, IfAny(&n.type_params)),
            Stmt::ClassDef(n) => node!(text, "ClassDef", n.name, n.bases, n.keywords, n.body, n.decorator_list, IfAny(&n.type_params)),
            Stmt::Return(n) => node!(text, "Return", n.value),
            Stmt::Delete(n) => node!(text, "Delete", n.targets),
            Stmt::Assign(n) => node!(text, "Assign", n.targets, n.value),
            Stmt::TypeAlias(n) => node!(text, "TypeAlias", n.name, IfAny(&n.type_params), n.value),
            Stmt::AugAssign(n) => node!(text, "AugAssign", n.target, n.op, n.value),
            Stmt::AnnAssign(n) => node!(text, "AnnAssign", n.target, n.annotation, n.value),
            Stmt::For(n) => node!(text, "For", n.target, n.iter, n.body, n.orelse),
            Stmt::AsyncFor(n) => node!(text, "AsyncFor", n.target, n.iter, n.body, n.orelse),
            Stmt::While(n) => node!(text, "While", n.test, n.body, n.orelse),
            Stmt::If(n) => node!(text, "If", n.test, n.body, n.orelse),
            Stmt::With(n) => node!(text, "With", n.items, n.body),
            Stmt::AsyncWith(n) => node!(text, "AsyncWith", n.items, n.body),
            Stmt::Match(n) => node!(text, "Match", n.subject, n.cases),
            Stmt::Raise(n) => node!(text, "Raise", n.exc, n.cause),
            Stmt::Try(n) => node!(text, "Try", n.body, n.handlers, n.orelse, n.finalbody),
            Stmt::TryStar(n) => node!(text, "TryStar", n.body, n.handlers, n.orelse, n.finalbody),
            Stmt::Assert(n) => node!(text, "Assert", n.test, n.msg),
            Stmt::Import(n) => node!(text, "Import", n.names),
            Stmt::ImportFrom(n) => node!(text, "ImportFrom", n.module, n.names, level(n.level)),
            Stmt::Global(n) => node!(text, "Global", n.names),
            Stmt::Nonlocal(n) => node!(text, "Nonlocal", n.names),
            Stmt::Expr(n) => node!(text, "Expr", n.value),
            Stmt::Pass(_) => node!(text, "Pass"),
            Stmt::Break(_) => node!(text, "Break"),
            Stmt::Continue(_) => node!(text, "Continue"),
        }
    }
}

#[rustfmt::skip]
impl Canonical for Expr {
    fn put(&self, text: &mut Text) {
        match self {
            Expr::BoolOp(n) => node!(text, "BoolOp", n.op, n.values),
            Expr::NamedExpr(n) => node!(text, "NamedExpr", n.target, n.value),
            Expr::BinOp(n) => node!(text, "BinOp", n.left, n.op, n.right),
            Expr::UnaryOp(n) => node!(text, "UnaryOp", n.op, n.operand),
            Expr::Lambda(n) => node!(text, "Lambda", n.args, n.body),
            Expr::IfExp(n) => node!(text, "IfExp", n.test, n.body, n.orelse),
            Expr::Dict(n) => node!(text, "Dict", n.keys, n.values),
            Expr::Set(n) => node!(text, "Set", n.elts),
            Expr::ListComp(n) => node!(text, "ListComp", n.elt, n.generators),
            Expr::SetComp(n) => node!(text, "SetComp", n.elt, n.generators),
            Expr::DictComp(n) => node!(text, "DictComp", n.key, n.value, n.generators),
            Expr::GeneratorExp(n) => node!(text, "GeneratorExp", n.elt, n.generators),
            Expr::Await(n) => node!(text, "Await", n.value),
            Expr::Yield(n) => node!(text, "Yield", n.value),
            Expr::YieldFrom(n) => node!(text, "YieldFrom", n.value),
            Expr::Compare(n) => node!(text, "Compare", n.left, n.ops, n.comparators),
            Expr::Call(n) => node!(text, "Call", n.func, n.args, n.keywords),
            Expr::FormattedValue(n) => node!(text, "FormattedValue", n.value, n.conversion, n.format_spec),
            Expr::JoinedStr(n) => node!(text, "JoinedStr", Pieces(&n.values)),
            Expr::Constant(n) => node!(text, "Constant", n.value),
            Expr::Attribute(n) => node!(text, "Attribute", n.value, n.attr, n.ctx),
            Expr::Subscript(n) => node!(text, "Subscript", n.value, Index(&n.slice), n.ctx),
            Expr::Starred(n) => node!(text, "Starred", n.value, n.ctx),
            Expr::Name(n) => node!(text, "Name", n.id, n.ctx),
            Expr::List(n) => node!(text, "List", n.elts, n.ctx),
            Expr::Tuple(n) => node!(text, "Tuple", n.elts, n.ctx),
            Expr::Slice(n) => node!(text, "Slice", n.lower, n.upper, n.step),
        }
    }
}

#[rustfmt::skip]
impl Canonical for Pattern {
    fn put(&self, text: &mut Text) {
        match self {
            Pattern::MatchValue(n) => node!(text, "MatchValue", n.value),
            Pattern::MatchSingleton(n) => node!(text, "MatchSingleton", n.value),
            Pattern::MatchSequence(n) => node!(text, "MatchSequence", n.patterns),
            Pattern::MatchMapping(n) => node!(text, "MatchMapping", n.keys, n.patterns, n.rest),
            Pattern::MatchClass(n) => node!(text, "MatchClass", n.cls, n.patterns, n.kwd_attrs, n.kwd_patterns),
            Pattern::MatchStar(n) => node!(text, "MatchStar", n.name),
            Pattern::MatchAs(n) => node!(text, "MatchAs", n.pattern, n.name),
            Pattern::MatchOr(n) => node!(text, "MatchOr", n.patterns),
        }
    }
}

impl Canonical for TypeParam {
    fn put(&self, text: &mut Text) {
        match self {
            TypeParam::TypeVar(n) => node!(text, "TypeVar", n.name, n.bound),
            TypeParam::ParamSpec(n) => node!(text, "ParamSpec", n.name),
            TypeParam::TypeVarTuple(n) => node!(text, "TypeVarTuple", n.name),
        }
    }
}

impl Canonical for ExceptHandler {
    fn put(&self, text: &mut Text) {
        let ExceptHandler::ExceptHandler(n) = self;
        node!(text, "ExceptHandler", n.type_, n.name, n.body);
    }
}

/// Structs that are one kind of node each.
macro_rules! single_kinds {
    ($($kind:ident $name:literal ($($field:ident)*);)*) => {$(
        impl Canonical for $kind {
            fn put(&self, text: &mut Text) {
                node!(text, $name $(, self.$field)*);
            }
        }
    )*};
}

single_kinds! {
    Alias "alias" (name asname);
    Arg "arg" (arg annotation);
    ArgWithDefault "p" (def default);
    Arguments "arguments" (posonlyargs args vararg kwonlyargs kwarg);
    Comprehension "comprehension" (target iter ifs is_async);
    Keyword "keyword" (arg value);
    MatchCase "match_case" (pattern guard body);
    WithItem "withitem" (context_expr optional_vars);
}
