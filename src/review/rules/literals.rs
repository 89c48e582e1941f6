//! Large constants: size and entropy of text, bytes and tables of numbers.

use super::RuleWalk;
use crate::review::parse::ast::{Constant, Expr, Stmt};
use crate::review::parse::span;
use crate::review::walk::{ScopeKind, Span, Visitor, walk_module};

/// Bytes of one constant from which it is reported.
const WARN_BYTES: usize = 2_048;
/// Bytes of one constant that are refused.
const MAX_BYTES: usize = 16_384;
/// Numbers in one display from which it is reported.
const WARN_NUMBERS: usize = 512;
/// Numbers in one display that are refused.
const MAX_NUMBERS: usize = 4_096;
/// Bytes of all text and bytes constants of a file, docstrings aside, that are refused.
const MAX_TOTAL_BYTES: usize = 65_536;
/// Numbers in one file that are refused.
const MAX_TOTAL_NUMBERS: usize = 16_384;

/// Entropy of a random decimal digit.
const DIGIT_BITS: f64 = 3.32;

#[derive(Default)]
struct Literals {
    large: Vec<(Span, usize, f64)>,
    tables: Vec<(Span, usize)>,
    docstrings: Vec<usize>,
    total_bytes: usize,
    total_numbers: usize,
}

/// Reports the literals of the file under review.
pub fn check(walk: &mut RuleWalk<'_, '_>) {
    let mut literals = Literals::default();
    walk_module(walk.file.body, &mut literals);
    for (span, bytes, entropy) in literals.large {
        let detail = format!("a constant of {bytes} bytes, {entropy:.2} bits of entropy per byte");
        if bytes > MAX_BYTES {
            walk.reject("prism:literal-blob", span, "Constant", &detail);
        } else {
            walk.warn("prism:literal-blob", span, "Constant", &detail);
        }
    }
    for (span, numbers) in literals.tables {
        let detail = format!("a table of {numbers} numbers");
        if numbers > MAX_NUMBERS {
            walk.reject("prism:literal-blob", span, "Expr", &detail);
        } else {
            walk.warn("prism:literal-blob", span, "Expr", &detail);
        }
    }
    let whole = (0, walk.file.text.find('\n').unwrap_or(walk.file.text.len()));
    if literals.total_bytes > MAX_TOTAL_BYTES {
        let detail = format!("{} bytes of constants in one file", literals.total_bytes);
        walk.reject("prism:literal-blob", whole, "Module", &detail);
    }
    if literals.total_numbers > MAX_TOTAL_NUMBERS {
        let detail = format!("{} numbers in one file", literals.total_numbers);
        walk.reject("prism:literal-blob", whole, "Module", &detail);
    }
}

impl<'a> Visitor<'a> for Literals {
    fn statement(&mut self, statement: &'a Stmt) {
        if let Stmt::Expr(node) = statement
            && let Expr::Constant(constant) = &*node.value
            && matches!(constant.value, Constant::Str(_))
        {
            self.docstrings
                .push(std::ptr::from_ref(&*node.value) as usize);
        }
    }

    fn expression(&mut self, expression: &'a Expr) {
        let numbers = match expression {
            Expr::Constant(constant) => {
                let bytes: &[u8] = match &constant.value {
                    Constant::Str(text) => text.as_bytes(),
                    Constant::Bytes(bytes) => bytes,
                    Constant::Int(_) | Constant::Float(_) | Constant::Complex { .. } => {
                        self.total_numbers += 1;
                        // a long integer carries as much as the digits it is written with
                        let (start, end) = span(expression);
                        if end.saturating_sub(start) > 64 {
                            self.note(expression, end - start, DIGIT_BITS);
                        }
                        return;
                    }
                    _ => return,
                };
                self.note(expression, bytes.len(), entropy_bits(bytes));
                return;
            }
            Expr::List(node) => count_numbers(&node.elts),
            Expr::Tuple(node) => count_numbers(&node.elts),
            Expr::Set(node) => count_numbers(&node.elts),
            Expr::Dict(node) => count_numbers(&node.values),
            _ => return,
        };
        if numbers >= WARN_NUMBERS {
            self.tables.push((span(expression), numbers));
        }
    }

    fn enter_scope(&mut self, _kind: ScopeKind, _name: &'a str) {}

    fn too_deep(&mut self, _span: Span) {}
}

impl Literals {
    fn note(&mut self, expression: &Expr, bytes: usize, entropy: f64) {
        let is_docstring =
            self.docstrings.last() == Some(&(std::ptr::from_ref(expression) as usize));
        if !is_docstring {
            self.total_bytes += bytes;
        }
        if bytes > MAX_BYTES || (bytes >= WARN_BYTES && !is_docstring) {
            self.large.push((span(expression), bytes, entropy));
        }
    }
}

/// Numbers directly in a display, signed ones included.
fn count_numbers(elements: &[Expr]) -> usize {
    elements
        .iter()
        .filter(|element| {
            let inner = match element {
                Expr::UnaryOp(node) => &node.operand,
                other => *other,
            };
            matches!(inner, Expr::Constant(constant)
                if matches!(constant.value, Constant::Int(_) | Constant::Float(_) | Constant::Complex { .. }))
        })
        .count()
}

/// Order-0 Shannon entropy in bits per byte.
fn entropy_bits(bytes: &[u8]) -> f64 {
    if bytes.len() < WARN_BYTES {
        return 0.0;
    }
    let mut counts = [0usize; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    let total = bytes.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = *count as f64 / total;
            -share * share.log2()
        })
        .sum()
}
