//! Large constants: size and entropy of text, bytes, and displays of numbers and text.

use super::RuleWalk;
use crate::review::entropy::entropy_bits;
use crate::review::parse::ast::{Constant, Expr, Stmt};
use crate::review::parse::span;
use crate::review::walk::Span;

/// Bytes of one constant, or of the texts of one display, from which they are reported.
const WARN_BYTES: usize = 2_048;
/// Bytes of one constant, or of the texts of one display, that are refused.
const MAX_BYTES: usize = 16_384;
/// Numbers in one display from which it is reported.
const WARN_NUMBERS: usize = 512;
/// Numbers in one display that are refused.
const MAX_NUMBERS: usize = 4_096;
/// Bytes of all text and bytes constants of a file, docstrings aside, that are refused.
const MAX_TOTAL_BYTES: usize = 65_536;
/// Numbers in one file that are refused.
const MAX_TOTAL_NUMBERS: usize = 16_384;
/// Words of ordinary text are shorter on average.
const ENCODED_WORD_BYTES: usize = 64;
/// Hexadecimal digits have 4 bits, base64 has 6.
const ENCODED_BITS: f64 = 3.5;
/// Displays inside one another that are counted together.
const MAX_DISPLAY_DEPTH: usize = 8;

/// The large constants of one file.
#[derive(Default)]
pub struct Literals {
    large: Vec<(Span, usize, f64, bool)>,
    tables: Vec<(Span, Content)>,
    docstrings: Vec<usize>,
    /// End of the outermost display that was counted last: those inside it are part of it.
    counted_until: usize,
    total_bytes: usize,
    total_numbers: usize,
}

/// What a display holds, displays inside it included.
#[derive(Clone, Copy, Default)]
struct Content {
    numbers: usize,
    text_bytes: usize,
}

impl Literals {
    /// Reports what the walk over the file has noted.
    pub fn report(self, walk: &mut RuleWalk<'_, '_>) {
        for (span, bytes, entropy, is_encoded) in self.large {
            let what = if is_encoded {
                "encoded text"
            } else {
                "a constant"
            };
            let detail = format!("{what} of {bytes} bytes, {entropy:.2} bits of entropy per byte");
            report(
                walk,
                span,
                "Constant",
                &detail,
                is_encoded || bytes > MAX_BYTES,
            );
        }
        for (span, content) in self.tables {
            let source = walk.file.text.get(span.0..span.1).unwrap_or("");
            let detail = format!(
                "a table of {} numbers and {} bytes of text, {} bytes of source with {:.2} bits of entropy per byte",
                content.numbers,
                content.text_bytes,
                source.len(),
                entropy_bits(source.as_bytes())
            );
            let is_refused = content.numbers > MAX_NUMBERS || content.text_bytes > MAX_BYTES;
            report(walk, span, "Expr", &detail, is_refused);
        }
        let whole = (0, walk.file.text.find('\n').unwrap_or(walk.file.text.len()));
        if self.total_bytes > MAX_TOTAL_BYTES {
            let detail = format!("{} bytes of constants in one file", self.total_bytes);
            walk.reject("prism:literal-blob", whole, "Module", &detail);
        }
        if self.total_numbers > MAX_TOTAL_NUMBERS {
            let detail = format!("{} numbers in one file", self.total_numbers);
            walk.reject("prism:literal-blob", whole, "Module", &detail);
        }
    }
}

fn report(
    walk: &mut RuleWalk<'_, '_>,
    span: Span,
    node: &'static str,
    detail: &str,
    is_refused: bool,
) {
    if is_refused {
        walk.reject("prism:literal-blob", span, node, detail);
    } else {
        walk.warn("prism:literal-blob", span, node, detail);
    }
}

impl Literals {
    /// Notes what a statement tells.
    pub fn statement(&mut self, statement: &Stmt) {
        if let Stmt::Expr(node) = statement
            && let Expr::Constant(constant) = &*node.value
            && matches!(constant.value, Constant::Str(_))
        {
            self.docstrings
                .push(std::ptr::from_ref(&*node.value) as usize);
        }
    }

    /// Notes a constant or a display.
    pub fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::Constant(node) => match &node.value {
                Constant::Str(text) => self.note(expression, text.as_bytes(), text.len()),
                Constant::Bytes(bytes) => self.note(expression, bytes, bytes.len()),
                Constant::Int(number) => {
                    self.total_numbers += 1;
                    // a long integer carries as much as a text of its bytes
                    let (start, end) = span(node);
                    if end.saturating_sub(start) > 64 {
                        let bytes = number.to_signed_bytes_le();
                        self.note(expression, &bytes, end - start);
                    }
                }
                Constant::Float(_) | Constant::Complex { .. } => self.total_numbers += 1,
                _ => {}
            },
            Expr::List(_) | Expr::Tuple(_) | Expr::Set(_) | Expr::Dict(_) => {
                let (start, end) = span(expression);
                if start < self.counted_until {
                    return;
                }
                let mut content = Content::default();
                count(expression, &mut content, MAX_DISPLAY_DEPTH);
                if content.numbers >= WARN_NUMBERS || content.text_bytes >= WARN_BYTES {
                    self.counted_until = end;
                    self.tables.push(((start, end), content));
                }
            }
            _ => {}
        }
    }

    /// Notes a constant; `bytes` are what it carries, `size_bytes` what is said of it.
    fn note(&mut self, expression: &Expr, bytes: &[u8], size_bytes: usize) {
        let is_docstring =
            self.docstrings.last() == Some(&(std::ptr::from_ref(expression) as usize));
        if !is_docstring {
            self.total_bytes += size_bytes;
        }
        if size_bytes < WARN_BYTES || (is_docstring && size_bytes <= MAX_BYTES) {
            return;
        }
        let entropy = entropy_bits(bytes);
        let is_encoded = !is_docstring && entropy >= ENCODED_BITS && is_one_word(bytes);
        self.large
            .push((span(expression), size_bytes, entropy, is_encoded));
    }
}

/// Whether blanks are as rare as in encoded data.
fn is_one_word(bytes: &[u8]) -> bool {
    let blanks = bytes
        .iter()
        .filter(|byte| byte.is_ascii_whitespace())
        .count();
    blanks * ENCODED_WORD_BYTES < bytes.len()
}

/// Counts numbers, signed ones included, and the bytes of texts in a display and in the displays inside it.
fn count(display: &Expr, content: &mut Content, depth_left: usize) {
    let Some(depth_left) = depth_left.checked_sub(1) else {
        return;
    };
    let (elements, keys): (&[Expr], &[Option<Expr>]) = match display {
        Expr::List(node) => (&node.elts, &[]),
        Expr::Tuple(node) => (&node.elts, &[]),
        Expr::Set(node) => (&node.elts, &[]),
        Expr::Dict(node) => (&node.values, &node.keys),
        _ => return,
    };
    for element in elements.iter().chain(keys.iter().flatten()) {
        let inner = match element {
            Expr::UnaryOp(node) => &node.operand,
            other => other,
        };
        match inner {
            Expr::Constant(constant) => match &constant.value {
                Constant::Int(_) | Constant::Float(_) | Constant::Complex { .. } => {
                    content.numbers += 1;
                }
                Constant::Str(text) => content.text_bytes += text.len(),
                Constant::Bytes(bytes) => content.text_bytes += bytes.len(),
                _ => {}
            },
            other => count(other, content, depth_left),
        }
    }
}
