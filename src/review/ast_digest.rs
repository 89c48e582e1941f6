//! A canonical digest of a syntax tree: what ties the reviewed source to what CPython makes of the same bytes.
//!
//! The tree is written as text (node kinds, names, constants and their order; no positions, comments or quoting) and
//! hashed. `prism_runner/sources.py` writes the same text from CPython's own `ast`; the referee compares the two before
//! anything of a submission is imported. The text, field by field in the order of CPython's `_fields`:
//!
//! - a node `(Kind field field)`, a list `[item item]`, nothing `_`, a name `'4:self`, a number `#2;`
//! - a constant: `s` text, `b` bytes, `i` integer (hexadecimal), `f` float and `c` complex (bits of IEEE 754), `N T F E`
//! - parameters `(arguments posonly args vararg kwonly kwarg)`, each `(p arg default)`
//!
//! Left out are type comments, the `u` of strings, whether an annotated name stands in brackets, and empty
//! `type_params` (Python 3.10 and 3.11 have none). Adjacent constants of an f-string are one, empty ones none: Python
//! 3.12 cuts them elsewhere than 3.11 does.

use std::io::Write as _;

use sha2::{Digest, Sha256};

use super::parse::ast::{
    Alias, Arg, ArgWithDefault, Arguments, BoolOp, CmpOp, Comprehension, Constant, ConversionFlag,
    ExceptHandler, Expr, ExprContext, Identifier, Int, Keyword, MatchCase, Operator, Pattern, Stmt,
    TypeParam, UnaryOp, WithItem,
};
use crate::digest::hex;

/// First line of the text; a change of the form changes it, here and in `sources.py`.
const VERSION: &[u8] = b"prism-ast-v1\n";
/// Text that is hashed at once.
const CHUNK_BYTES: usize = 1 << 16;

/// The digest of a module, as 64 hexadecimal digits.
///
/// Recurses once per level of the tree: for trees within [`super::limits`], on the deep stack.
pub fn ast_digest(body: &[Stmt]) -> String {
    let mut text = Text {
        hash: Sha256::new(),
        pending: VERSION.to_vec(),
    };
    text.put(b"(Module");
    body.put(&mut text);
    text.put(b")");
    text.hash.update(&text.pending);
    hex(&text.hash.finalize())
}

struct Text {
    hash: Sha256,
    pending: Vec<u8>,
}

impl Text {
    fn put(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= CHUNK_BYTES {
            self.hash.update(&self.pending);
            self.pending.clear();
        }
    }

    /// Formats without allocating; writing to a vector cannot fail.
    fn print(&mut self, arguments: std::fmt::Arguments<'_>) {
        let _ = self.pending.write_fmt(arguments);
    }

    fn sized(&mut self, tag: char, bytes: &[u8]) {
        self.print(format_args!("{tag}{}:", bytes.len()));
        self.put(bytes);
    }
}

/// Something that has a place in the text.
trait Canonical {
    fn put(&self, text: &mut Text);
}

/// `node!(text, "Kind", field, ...)`: a node with its fields in order.
macro_rules! node {
    ($text:ident, $kind:literal $(, $field:expr)* $(,)?) => {{
        $text.put(concat!("(", $kind).as_bytes());
        $($field.put($text);)*
        $text.put(b")");
    }};
}

/// Kinds without fields, written by their names, which are CPython's.
macro_rules! plain_kinds {
    ($($kind:ty),*) => {$(
        impl Canonical for $kind {
            fn put(&self, text: &mut Text) {
                text.print(format_args!("({self:?})"));
            }
        }
    )*};
}

plain_kinds!(BoolOp, CmpOp, ExprContext, Operator, UnaryOp);

impl<T: Canonical> Canonical for [T] {
    fn put(&self, text: &mut Text) {
        text.put(b"[");
        for item in self {
            item.put(text);
        }
        text.put(b"]");
    }
}

impl<T: Canonical> Canonical for Vec<T> {
    fn put(&self, text: &mut Text) {
        self.as_slice().put(text);
    }
}

impl<T: Canonical> Canonical for Box<T> {
    fn put(&self, text: &mut Text) {
        (**self).put(text);
    }
}

impl<T: Canonical> Canonical for Option<T> {
    fn put(&self, text: &mut Text) {
        match self {
            Some(value) => value.put(text),
            None => text.put(b"_"),
        }
    }
}

impl Canonical for Identifier {
    fn put(&self, text: &mut Text) {
        text.sized('\'', self.as_str().as_bytes());
    }
}

impl Canonical for bool {
    fn put(&self, text: &mut Text) {
        text.print(format_args!("#{};", u8::from(*self)));
    }
}

/// The level of a relative import; CPython writes 0 where there is none.
fn level(level: Option<Int>) -> LevelNumber {
    LevelNumber(level.map_or(0, |level| level.to_u32()))
}

struct LevelNumber(u32);

impl Canonical for LevelNumber {
    fn put(&self, text: &mut Text) {
        text.print(format_args!("#{};", self.0));
    }
}

impl Canonical for ConversionFlag {
    fn put(&self, text: &mut Text) {
        text.print(format_args!("#{};", *self as i8));
    }
}

impl Canonical for Constant {
    fn put(&self, text: &mut Text) {
        match self {
            Constant::None => text.put(b"N"),
            Constant::Bool(true) => text.put(b"T"),
            Constant::Bool(false) => text.put(b"F"),
            Constant::Ellipsis => text.put(b"E"),
            Constant::Str(value) => text.sized('s', value.as_bytes()),
            Constant::Bytes(value) => text.sized('b', value),
            Constant::Int(value) => text.print(format_args!("i{value:x};")),
            Constant::Float(value) => text.print(format_args!("f{:016x}", value.to_bits())),
            Constant::Complex { real, imag } => text.print(format_args!(
                "c{:016x}{:016x}",
                real.to_bits(),
                imag.to_bits()
            )),
            // only a folding pass makes these, which is not run
            Constant::Tuple(values) => values.put(text),
        }
    }
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
        text.sized('s', constant.as_bytes());
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::on_deep_stack;
    use super::super::parse::{TokenKind, parse_module, tokens_of};
    use super::*;

    const EVERY_NODE: &str = include_str!("cases/every_node.py");
    /// tests/runner/test_sources.py has the same value.
    const EVERY_NODE_DIGEST: &str =
        "f68f0fd994b23b0af65c10fa43a89ac58aefbfc4807af0cebe422267f1b0686b";

    fn digest(source: &str) -> String {
        on_deep_stack(|| ast_digest(&parse_module(source).unwrap().body)).unwrap()
    }

    /// The same tokens in another layout: blanks between tokens, comments and empty lines at the ends of lines, and
    /// deeper indentation, where `choices` say so.
    fn dressed(source: &str, choices: &[u8]) -> String {
        let mut choices = choices.iter().cycle().copied();
        let mut next = || choices.next().unwrap_or(0);
        let mut text = String::new();
        let mut end = 0;
        let (mut indents, mut is_line_start) = (0usize, true);
        for token in tokens_of(source).unwrap() {
            match token.kind {
                TokenKind::Indent => indents += 1,
                TokenKind::Dedent => indents = indents.saturating_sub(1),
                TokenKind::Newline => {
                    if next() % 3 == 0 {
                        text.push_str("   # a comment with words: import os");
                    }
                    text.push('\n');
                    if next() % 3 == 0 {
                        text.push_str("\n  # another\n");
                    }
                    is_line_start = true;
                }
                _ if token.start == token.end => continue,
                _ => {
                    if is_line_start {
                        text.push_str(&"   ".repeat(indents));
                    } else {
                        let between = source.get(end..token.start).unwrap_or("");
                        // what stands between tokens is blank, a continued line, or a comment inside brackets
                        text.push_str(between);
                        text.push_str(if next() % 2 == 0 { "  " } else { "" });
                    }
                    is_line_start = false;
                    text.push_str(source.get(token.start..token.end).unwrap_or(""));
                }
            }
            end = token.end;
        }
        text
    }

    #[test]
    fn every_kind_of_node_as_cpython_has_it() {
        assert_eq!(digest(EVERY_NODE), EVERY_NODE_DIGEST);
    }

    #[test]
    fn only_the_files_that_are_parsed_have_one() {
        let review = super::super::review_source("case.py", b"x = = 1\n");
        assert_eq!(review.files[0].ast_sha256, None);
        let review = super::super::review_source("case.py", b"x = 1\r\n");
        assert_eq!(
            review.files[0].ast_sha256.as_deref(),
            Some(&*digest("x  =  1"))
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn formatting_does_not_count(choices in proptest::collection::vec(any::<u8>(), 1..64)) {
            for source in [EVERY_NODE, include_str!("cases/accepted/gpt.py"), include_str!("cases/accepted/names.py")] {
                let dressed = dressed(source, &choices);
                prop_assert!(dressed != source);
                prop_assert_eq!(digest(&dressed), digest(source));
            }
        }
    }
}
