//! Statement and expression kinds outside the reviewed language, and identifiers that Python would rename.

use unicode_normalization::UnicodeNormalization;

use super::RuleWalk;
use crate::review::origin::Origin;
use crate::review::parse::ast::{Constant, Expr, ExprFormattedValue, Stmt, StmtClassDef};
use crate::review::parse::span;
use crate::review::walk::Span;

pub fn check_statement<'a>(walk: &mut RuleWalk<'_, 'a>, statement: &'a Stmt) {
    let refused = match statement {
        Stmt::AsyncFunctionDef(_) => ("AsyncFunctionDef", "async def"),
        Stmt::AsyncFor(_) => ("AsyncFor", "async for"),
        Stmt::AsyncWith(_) => ("AsyncWith", "async with"),
        Stmt::Match(node) => {
            check_match_subject(walk, &node.subject);
            return;
        }
        Stmt::ClassDef(class) => {
            check_class_keywords(walk, class);
            return;
        }
        _ => return,
    };
    walk.reject(
        "prism:unsupported-syntax",
        span(statement),
        refused.0,
        refused.1,
    );
}

pub fn check_expression<'a>(walk: &mut RuleWalk<'_, 'a>, expression: &'a Expr) {
    let generators = match expression {
        Expr::Await(_) => {
            walk.reject(
                "prism:unsupported-syntax",
                span(expression),
                "Await",
                "await",
            );
            return;
        }
        Expr::Constant(node) => {
            check_surrogates(walk, expression, &node.value);
            return;
        }
        Expr::FormattedValue(node) => {
            check_format_spec(walk, node);
            return;
        }
        Expr::ListComp(node) => &node.generators,
        Expr::SetComp(node) => &node.generators,
        Expr::DictComp(node) => &node.generators,
        Expr::GeneratorExp(node) => &node.generators,
        _ => return,
    };
    if generators.iter().any(|generator| generator.is_async) {
        walk.reject(
            "prism:unsupported-syntax",
            span(expression),
            "comprehension",
            "asynchronous comprehension",
        );
    }
}

/// `match x,:` matches a tuple of one to CPython, and `x` to the parser.
fn check_match_subject<'a>(walk: &mut RuleWalk<'_, 'a>, subject: &'a Expr) {
    let at = span(subject);
    let rest = walk.file.text.get(at.1..).unwrap_or("");
    let is_followed_by_comma = rest
        .trim_start_matches([' ', '\t', '\n', ')', '\\'])
        .starts_with(',');
    if is_followed_by_comma && !matches!(subject, Expr::Tuple(_)) {
        let detail = "a comma behind the subject of match; write the tuple in brackets";
        walk.reject("prism:unsupported-syntax", at, "Match", detail);
    }
}

/// Half of a UTF-16 pair is a character to CPython and a replacement character to the parser.
fn check_surrogates<'a>(walk: &mut RuleWalk<'_, 'a>, expression: &'a Expr, value: &Constant) {
    let Constant::Str(text) = value else {
        return;
    };
    if !text.contains('\u{fffd}') {
        return;
    }
    let at = span(expression);
    let source = walk.file.text.get(at.0..at.1).unwrap_or("");
    let is_escaped = source.match_indices('\\').any(|(offset, _)| {
        let escape = source.get(offset + 1..).unwrap_or("");
        let digits = escape
            .strip_prefix('u')
            .or_else(|| escape.strip_prefix("U0000"))
            .and_then(|digits| digits.get(..2))
            .map(str::to_ascii_lowercase);
        matches!(
            digits.as_deref(),
            Some("d8" | "d9" | "da" | "db" | "dc" | "dd" | "de" | "df")
        )
    });
    if is_escaped {
        let detail = "the escape of half a UTF-16 pair in a text";
        walk.reject("prism:unsupported-syntax", at, "Constant", detail);
    }
}

/// CPython reads escapes in the format of an f-string's field, the parser does not.
fn check_format_spec<'a>(walk: &mut RuleWalk<'_, 'a>, node: &'a ExprFormattedValue) {
    let Some(Expr::JoinedStr(spec)) = node.format_spec.as_deref() else {
        return;
    };
    let has_escape = spec.values.iter().any(|piece| {
        matches!(piece, Expr::Constant(constant)
            if matches!(&constant.value, Constant::Str(text) if text.contains('\\')))
    });
    if has_escape {
        let detail = "a backslash in the format of an f-string's field";
        walk.reject(
            "prism:unsupported-syntax",
            span(node),
            "FormattedValue",
            detail,
        );
    }
}

/// `metaclass=` takes part in attribute access of the class itself; only `abc.ABCMeta` is known.
fn check_class_keywords<'a>(walk: &mut RuleWalk<'_, 'a>, class: &'a StmtClassDef) {
    for keyword in &class.keywords {
        let is_metaclass = keyword
            .arg
            .as_ref()
            .is_none_or(|name| name.as_str() == "metaclass");
        let known = [Origin::Object("abc.ABCMeta".into())];
        if is_metaclass && *walk.origins(&keyword.value) == known {
            walk.settle(&keyword.value);
        } else if is_metaclass {
            walk.reject(
                "prism:unsupported-syntax",
                span(keyword),
                "keyword",
                "a metaclass other than abc.ABCMeta",
            );
        }
    }
}

/// Python compares identifiers after NFKC; the parser does not normalise, so only stable names are accepted.
pub fn check_identifier(walk: &mut RuleWalk<'_, '_>, name: &str, at: Span) {
    if !name.is_ascii() && !name.nfkc().eq(name.chars()) {
        let normalised: String = name.nfkc().collect();
        walk.reject(
            "prism:identifier-encoding",
            at,
            "identifier",
            &format!("{name:?} becomes {normalised:?}"),
        );
    }
}
