//! The historical measures of likeness: hashes of files, syntax features, and the tokens of the architecture graph.

use std::collections::BTreeMap;

use super::hash::{bytes, finish, mix};
use super::set::set;
use crate::review::bundle::Bundle;
use crate::review::graph::ArchitectureGraph;
use crate::review::parse::ast::{Expr, Pattern, Stmt};
use crate::review::walk::{Binding, Span, Visitor, walk_module};

/// What a feature is of; the number is part of the hash.
#[derive(Clone, Copy)]
#[repr(u64)]
enum Kind {
    Path = 11,
    Suffix,
    Node,
    Function,
    Class,
    Import,
    Call,
    Module,
    File,
}

fn tagged(kind: Kind, text: &str) -> u32 {
    finish(bytes(kind as u64, text.as_bytes()))
}

/// Hashes of the files' contents.
pub fn file_hashes(files: &BTreeMap<String, Vec<u8>>) -> Vec<u32> {
    let hash = |content: &Vec<u8>| finish(bytes(Kind::File as u64, content));
    set(files.values().map(hash).collect())
}

/// Classes, functions, imports, calls and modules, each with its kind.
pub fn graph_tokens(graph: &ArchitectureGraph) -> Vec<u32> {
    let groups = [
        (Kind::Class, &graph.classes),
        (Kind::Function, &graph.functions),
        (Kind::Import, &graph.imports),
        (Kind::Call, &graph.calls),
        (Kind::Module, &graph.modules),
    ];
    set(groups
        .into_iter()
        .flat_map(|(kind, names)| names.iter().map(move |name| tagged(kind, name)))
        .collect())
}

/// The features of all files.
pub fn features(bundle: &Bundle<'_>, files: &BTreeMap<String, Vec<u8>>) -> Vec<u32> {
    let mut features = Vec::new();
    for path in files.keys() {
        features.push(tagged(Kind::Path, path));
        let name = path.rsplit('/').next().unwrap_or(path);
        let suffix = name.rfind('.').and_then(|dot| name.get(dot..));
        features.push(tagged(Kind::Suffix, suffix.unwrap_or("")));
    }
    let mut collector = Collector {
        features,
        kinds: [false; KINDS],
    };
    for file in &bundle.files {
        walk_module(file.body, &mut collector);
    }
    let Collector {
        mut features,
        kinds,
    } = collector;
    let seen = (0..).zip(kinds).filter(|(_, is_seen)| *is_seen);
    features.extend(seen.map(|(kind, _): (u64, bool)| finish(mix(Kind::Node as u64, kind))));
    set(features)
}

/// Slots for the kinds of syntax nodes: statements from 0, expressions from 32, patterns from 64.
const KINDS: usize = 80;

struct Collector {
    features: Vec<u32>,
    kinds: [bool; KINDS],
}

impl Collector {
    fn node(&mut self, slot: usize) {
        if let Some(seen) = self.kinds.get_mut(slot) {
            *seen = true;
        }
    }
}

impl<'a> Visitor<'a> for Collector {
    fn statement(&mut self, statement: &'a Stmt) {
        self.node(statement_kind(statement));
        match statement {
            Stmt::FunctionDef(def) => self.features.push(tagged(Kind::Function, &def.name)),
            Stmt::AsyncFunctionDef(def) => self.features.push(tagged(Kind::Function, &def.name)),
            Stmt::ClassDef(class) => {
                let named = bytes(Kind::Class as u64, class.name.as_bytes());
                self.features
                    .push(finish(class.bases.iter().fold(named, dotted)));
            }
            _ => {}
        }
    }

    fn expression(&mut self, expression: &'a Expr) {
        self.node(32 + expression_kind(expression));
        if let Expr::Call(call) = expression
            && matches!(&*call.func, Expr::Name(_) | Expr::Attribute(_))
        {
            self.features
                .push(finish(dotted(Kind::Call as u64, &call.func)));
        }
    }

    fn pattern(&mut self, pattern: &'a Pattern) {
        self.node(64 + pattern_kind(pattern));
    }

    fn bind(&mut self, _name: &'a str, _span: Span, binding: Binding<'a>, _settled: Option<usize>) {
        if let Binding::Import { module } | Binding::ImportFrom { module, .. } = binding {
            let root = module.split('.').next().unwrap_or(module);
            self.features.push(tagged(Kind::Import, root));
        }
    }

    fn too_deep(&mut self, _span: Span) {}
}

/// Takes the parts of a dotted name, last first, into a hash.
fn dotted(mut hash: u64, expression: &Expr) -> u64 {
    let mut current = expression;
    loop {
        match current {
            Expr::Attribute(node) => {
                hash = bytes(hash, node.attr.as_bytes());
                current = &node.value;
            }
            Expr::Call(call) => current = &call.func,
            Expr::Name(node) => return bytes(hash, node.id.as_bytes()),
            _ => return mix(hash, 0),
        }
    }
}

/// The number of a kind of statement: part of hashes on disk, so new kinds come last.
pub fn statement_kind(statement: &Stmt) -> usize {
    match statement {
        Stmt::FunctionDef(_) => 0,
        Stmt::AsyncFunctionDef(_) => 1,
        Stmt::ClassDef(_) => 2,
        Stmt::Return(_) => 3,
        Stmt::Delete(_) => 4,
        Stmt::Assign(_) => 5,
        Stmt::TypeAlias(_) => 6,
        Stmt::AugAssign(_) => 7,
        // a type changes nothing at run time
        Stmt::AnnAssign(_) => 5,
        Stmt::For(_) => 9,
        Stmt::AsyncFor(_) => 10,
        Stmt::While(_) => 11,
        Stmt::If(_) => 12,
        Stmt::With(_) => 13,
        Stmt::AsyncWith(_) => 14,
        Stmt::Match(_) => 15,
        Stmt::Raise(_) => 16,
        Stmt::Try(_) => 17,
        Stmt::TryStar(_) => 18,
        Stmt::Assert(_) => 19,
        Stmt::Import(_) => 20,
        Stmt::ImportFrom(_) => 21,
        Stmt::Global(_) => 22,
        Stmt::Nonlocal(_) => 23,
        Stmt::Expr(_) => 24,
        Stmt::Pass(_) => 25,
        Stmt::Break(_) => 26,
        Stmt::Continue(_) => 27,
    }
}

/// The number of a kind of expression: part of hashes on disk, so new kinds come last.
pub fn expression_kind(expression: &Expr) -> usize {
    match expression {
        Expr::BoolOp(_) => 0,
        Expr::NamedExpr(_) => 1,
        Expr::BinOp(_) => 2,
        Expr::UnaryOp(_) => 3,
        Expr::Lambda(_) => 4,
        Expr::IfExp(_) => 5,
        Expr::Dict(_) => 6,
        Expr::Set(_) => 7,
        Expr::ListComp(_) => 8,
        Expr::SetComp(_) => 9,
        Expr::DictComp(_) => 10,
        Expr::GeneratorExp(_) => 11,
        Expr::Await(_) => 12,
        Expr::Yield(_) => 13,
        Expr::YieldFrom(_) => 14,
        Expr::Compare(_) => 15,
        Expr::Call(_) => 16,
        Expr::FormattedValue(_) => 17,
        Expr::JoinedStr(_) => 18,
        Expr::Constant(_) => 19,
        Expr::Attribute(_) => 20,
        Expr::Subscript(_) => 21,
        Expr::Starred(_) => 22,
        Expr::Name(_) => 23,
        Expr::List(_) => 24,
        Expr::Tuple(_) => 25,
        Expr::Slice(_) => 26,
    }
}

fn pattern_kind(pattern: &Pattern) -> usize {
    match pattern {
        Pattern::MatchValue(_) => 0,
        Pattern::MatchSingleton(_) => 1,
        Pattern::MatchSequence(_) => 2,
        Pattern::MatchMapping(_) => 3,
        Pattern::MatchClass(_) => 4,
        Pattern::MatchStar(_) => 5,
        Pattern::MatchAs(_) => 6,
        Pattern::MatchOr(_) => 7,
    }
}
