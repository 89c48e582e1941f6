//! The structure that the entry points reach, written so that names, layout, types, comments and unused code are not in
//! it, and cut into overlapping windows.
//!
//! Each function, class body and effective module statement that is reached becomes a sequence of codes: kinds of
//! syntax nodes, operators, and what a copy cannot rename (builtins, names of libraries, special methods). Own names,
//! numbers and texts are one code each. Windows of [`WINDOW`] codes are hashed and winnowed (Schleimer, Wilkerson and
//! Aiken 2003): of each run of [`WINNOW`] windows the smallest hash is kept, so any shared run of
//! `WINDOW + WINNOW - 1` codes is seen.

use super::hash::{bytes, finish, mix};
use super::historical::{expression_kind, statement_kind};
use crate::review::builtins::{self, Verdict};
use crate::review::bundle::{Bundle, SourceFile};
use crate::review::hooks::{self, Hook};
use crate::review::parse::ast::{BoolOp, CmpOp, Constant, Expr, Operator, Stmt, UnaryOp};
use crate::review::parse::span;
use crate::review::reach::{Extent, Part, reach};
use crate::review::scope::ScopeId;
use crate::review::walk::{Binding, Span, Visitor, walk_expression};

const WINDOW: usize = 12;
const WINNOW: usize = 4;

const OWN_NAME: u64 = 1;
const NUMBER: u64 = 2;
const TEXT: u64 = 3;
const STATEMENT: u64 = 64;
const EXPRESSION: u64 = 128;
const OPERATOR: u64 = 192;

/// A window of the structure and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gram {
    pub hash: u32,
    /// Index of the file.
    pub file: u32,
    /// Lines from 1.
    pub first_line: u32,
    pub last_line: u32,
    /// Stands in the file of the training.
    pub is_training: bool,
}

/// The windows of everything that the entry points reach, sorted by hash, one of each; and the hash of all of it with
/// its numbers.
pub fn grams(bundle: &Bundle<'_>, hooks: &[Hook]) -> (Vec<Gram>, u64) {
    let entries = hooks::entries(bundle, hooks);
    let reached = reach(bundle, &entries, Extent::Needed, false);
    let lines: Vec<Lines> = bundle
        .files
        .iter()
        .map(|file| Lines {
            starts: line_starts(file),
            is_training: file.path == bundle.roles.training.0,
        })
        .collect();
    let mut grams = Vec::new();
    let mut units = Vec::new();
    let mut codes = Codes {
        bundle,
        file: 0,
        scope: 0,
        codes: Vec::new(),
        constants: 0,
    };
    let mut parts = reached.parts.as_slice();
    while let Some((first, _)) = parts.first() {
        let length = parts.iter().take_while(|(unit, _)| unit == first).count();
        let (here, after) = parts.split_at(length);
        parts = after;
        let Some(unit) = reached.units.get(*first) else {
            continue;
        };
        codes.begin(unit.file, unit.scope);
        for (_, part) in here {
            match part {
                Part::Statement(statement) => codes.statement(statement),
                Part::Expression(expression) => walk_expression(expression, &mut codes),
            }
        }
        let hash = codes
            .codes
            .iter()
            .fold(codes.constants, |hash, (code, _)| mix(hash, *code));
        if !codes.codes.is_empty() {
            units.push(hash);
        }
        if let Some(lines) = lines.get(unit.file) {
            winnow(&codes.codes, unit.file, lines, &mut grams);
        }
    }
    for (file, value) in &reached.globals {
        codes.begin(*file, 0);
        walk_expression(value, &mut codes);
        units.push(
            codes
                .codes
                .iter()
                .fold(codes.constants, |hash, (code, _)| mix(hash, *code)),
        );
    }
    units.sort_unstable();
    let exact = units.into_iter().fold(7, mix);
    grams.sort_unstable();
    grams.dedup_by_key(|gram| gram.hash);
    (grams, exact)
}

/// Where the lines of a file begin, in bytes.
struct Lines {
    starts: Vec<usize>,
    is_training: bool,
}

/// Keeps the smallest of each run of [`WINNOW`] windows; a unit shorter than a window is one window.
fn winnow(codes: &[(u64, usize)], file: usize, lines: &Lines, grams: &mut Vec<Gram>) {
    let line = |offset: usize| lines.starts.partition_point(|start| *start <= offset) as u32;
    let gram = |window: &[(u64, usize)], hash: u32| Gram {
        hash,
        file: file as u32,
        first_line: window.first().map_or(1, |(_, offset)| line(*offset)),
        last_line: window
            .iter()
            .map(|(_, offset)| *offset)
            .max()
            .map_or(1, line),
        is_training: lines.is_training,
    };
    let of =
        |window: &[(u64, usize)]| finish(window.iter().fold(9, |hash, (code, _)| mix(hash, *code)));
    if codes.len() <= WINDOW {
        // a line or two that everybody writes is no evidence
        if codes.len() == WINDOW {
            grams.push(gram(codes, of(codes)));
        }
        return;
    }
    let hashes: Vec<u32> = codes.windows(WINDOW).map(of).collect();
    let mut kept = usize::MAX;
    for (start, run) in hashes.windows(WINNOW.min(hashes.len())).enumerate() {
        let mut smallest = 0;
        for (place, hash) in run.iter().enumerate() {
            if run.get(smallest).is_some_and(|least| hash <= least) {
                smallest = place;
            }
        }
        let place = start + smallest;
        if place == kept {
            continue;
        }
        kept = place;
        if let (Some(window), Some(hash)) = (codes.get(place..place + WINDOW), hashes.get(place)) {
            grams.push(gram(window, *hash));
        }
    }
}

fn line_starts(file: &SourceFile<'_>) -> Vec<usize> {
    let newlines = memchr::memchr_iter(b'\n', file.text.as_bytes());
    std::iter::once(0)
        .chain(newlines.map(|offset| offset + 1))
        .collect()
}

/// The codes of one unit.
struct Codes<'b, 'a> {
    bundle: &'b Bundle<'a>,
    file: usize,
    scope: ScopeId,
    /// Code and byte offset.
    codes: Vec<(u64, usize)>,
    /// Running hash of the numbers.
    constants: u64,
}

impl Codes<'_, '_> {
    fn begin(&mut self, file: usize, scope: ScopeId) {
        self.file = file;
        self.scope = scope;
        self.codes.clear();
        self.constants = 0;
    }

    fn statement(&mut self, statement: &Stmt) {
        let code = match statement {
            // definitions are units of their own; the rest does nothing or moves nothing
            Stmt::FunctionDef(_)
            | Stmt::AsyncFunctionDef(_)
            | Stmt::ClassDef(_)
            | Stmt::Import(_)
            | Stmt::ImportFrom(_)
            | Stmt::TypeAlias(_)
            | Stmt::Global(_)
            | Stmt::Nonlocal(_)
            | Stmt::Pass(_) => return,
            Stmt::Expr(node) if matches!(&*node.value, Expr::Constant(_)) => return,
            Stmt::AnnAssign(node) if node.value.is_none() => return,
            Stmt::AugAssign(node) => {
                let operator = operator_code(node.op);
                self.codes.push((OPERATOR + operator, span(statement).0));
                STATEMENT + statement_kind(statement) as u64
            }
            _ => STATEMENT + statement_kind(statement) as u64,
        };
        self.codes.push((code, span(statement).0));
    }

    /// What a name stands for, if a copy could not have renamed it.
    fn name_code(&self, name: &str) -> u64 {
        let found = self
            .bundle
            .files
            .get(self.file)
            .and_then(|file| file.scopes.lookup(self.scope, name));
        match found {
            None if builtins::judge(name) != Verdict::Unknown => bytes(13, name.as_bytes()),
            None => OWN_NAME,
            Some((_, record)) => match record.bounds.first().map(|bound| bound.binding) {
                Some(Binding::Import { module }) if !self.bundle.is_own(module) => {
                    bytes(13, last(module).as_bytes())
                }
                Some(Binding::ImportFrom {
                    module,
                    level: 0,
                    name,
                }) if !self.bundle.is_own(module) => bytes(13, name.as_bytes()),
                _ => OWN_NAME,
            },
        }
    }

    fn attribute_code(&self, name: &str) -> u64 {
        let is_renameable = self.bundle.authored.attributes.contains(name)
            && name != "forward"
            && !name.starts_with("__");
        if is_renameable {
            OWN_NAME
        } else {
            bytes(13, name.as_bytes())
        }
    }
}

fn last(module: &str) -> &str {
    module.rsplit('.').next().unwrap_or(module)
}

impl<'a> Visitor<'a> for Codes<'_, 'a> {
    fn expression(&mut self, expression: &'a Expr) {
        let kind = EXPRESSION + expression_kind(expression) as u64;
        let at = span(expression).0;
        let code = match expression {
            Expr::Name(node) => self.name_code(&node.id),
            Expr::Attribute(node) => mix(kind, self.attribute_code(&node.attr)),
            Expr::Constant(node) => match &node.value {
                Constant::Int(number) => {
                    self.constants = match u64::try_from(number) {
                        Ok(number) => small_number(self.constants, number),
                        Err(_) => bytes(self.constants, number.to_string().as_bytes()),
                    };
                    NUMBER
                }
                Constant::Float(number) => {
                    self.constants = mix(self.constants, number.to_bits());
                    NUMBER
                }
                Constant::Complex { real, imag } => {
                    self.constants = mix(mix(self.constants, real.to_bits()), imag.to_bits());
                    NUMBER
                }
                Constant::Str(_) | Constant::Bytes(_) => TEXT,
                Constant::Bool(true) => 4,
                Constant::Bool(false) => 5,
                Constant::None => 6,
                _ => 7,
            },
            Expr::BinOp(node) => mix(kind, operator_code(node.op)),
            Expr::UnaryOp(node) => mix(
                kind,
                match node.op {
                    UnaryOp::Invert => 0,
                    UnaryOp::Not => 1,
                    UnaryOp::UAdd => 2,
                    UnaryOp::USub => 3,
                },
            ),
            Expr::BoolOp(node) => mix(kind, u64::from(matches!(node.op, BoolOp::Or))),
            Expr::Compare(node) => node
                .ops
                .iter()
                .fold(kind, |hash, op| mix(hash, comparison_code(*op))),
            _ => kind,
        };
        self.codes.push((code, at));
    }

    fn too_deep(&mut self, _span: Span) {}
}

/// Takes the decimal digits of a number into a hash.
fn small_number(hash: u64, mut number: u64) -> u64 {
    let mut digits = [b'0'; 20];
    let mut start = digits.len() - 1;
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        start = place;
        if number == 0 {
            break;
        }
    }
    bytes(hash, digits.get(start..).unwrap_or(&[]))
}

fn operator_code(op: Operator) -> u64 {
    match op {
        Operator::Add => 0,
        Operator::Sub => 1,
        Operator::Mult => 2,
        Operator::MatMult => 3,
        Operator::Div => 4,
        Operator::Mod => 5,
        Operator::Pow => 6,
        Operator::LShift => 7,
        Operator::RShift => 8,
        Operator::BitOr => 9,
        Operator::BitXor => 10,
        Operator::BitAnd => 11,
        Operator::FloorDiv => 12,
    }
}

fn comparison_code(op: CmpOp) -> u64 {
    match op {
        CmpOp::Eq => 0,
        CmpOp::NotEq => 1,
        CmpOp::Lt => 2,
        CmpOp::LtE => 3,
        CmpOp::Gt => 4,
        CmpOp::GtE => 5,
        CmpOp::Is => 6,
        CmpOp::IsNot => 7,
        CmpOp::In => 8,
        CmpOp::NotIn => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_hashed_by_their_digits() {
        for number in [0, 7, 10, 4_096, u64::MAX] {
            let digits = number.to_string();
            assert_eq!(small_number(3, number), bytes(3, digits.as_bytes()));
        }
    }
}
