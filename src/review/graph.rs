//! `architecture_graph.v1`: the shape of the architecture side of a bundle, without names of no consequence.

use std::collections::BTreeSet;

use serde::Serialize;

use super::bundle::{Bundle, SourceFile};
use super::canonical_graph::CanonicalGraph;
use super::finding::sha256_hex;
use super::parse::ast::{Expr, ExprCall, Stmt};
use super::walk::{Binding, ScopeKind, Span, Visitor, walk_module};
use crate::bundle::ContractVersion;

/// The graph as it is written to `architecture_graph.json`. All lists are sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ArchitectureGraph {
    pub schema_version: &'static str,
    /// Stems of the files.
    pub modules: BTreeSet<String>,
    /// Class names in lower case without the words that say nothing (model, net, block ...).
    pub classes: BTreeSet<String>,
    pub functions: BTreeSet<String>,
    /// Roots of imported modules.
    pub imports: BTreeSet<String>,
    /// Dotted callees; those that begin with self, torch or nn keep their last two parts.
    pub calls: BTreeSet<String>,
    pub parameterized_blocks: BTreeSet<ParameterizedBlock>,
    pub tokenizer_constraints: TokenizerConstraints,
    pub dynamic_routing: DynamicRouting,
    pub interface: Interface,
    /// SHA-256 of the graph without this field, as compact JSON with sorted keys.
    pub hash: String,
}

/// A layer with parameters that a class assigns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ParameterizedBlock {
    pub name: String,
    pub kind: String,
    /// Number of positional arguments.
    pub args: usize,
    /// Sorted names of the keyword arguments.
    pub keywords: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokenizerConstraints {
    /// Always `submission_contract`: who tokenises is a matter of the contract, not of the graph.
    pub source: &'static str,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DynamicRouting {
    pub enabled: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// The entry points of the contract that exist.
    pub required: BTreeSet<String>,
    pub optional_hooks: BTreeSet<String>,
}

const HOOKS: [&str; 5] = [
    "compute_loss",
    "configure_optimizer",
    "infer",
    "inference_logits",
    "train_step",
];
const ROUTING: [&str; 6] = ["topk", "where", "gather", "scatter", "router", "moe"];
/// Deleted from class names in this order.
const EMPTY_WORDS: [&str; 7] = [
    "tiny", "small", "model", "module", "block", "net", "network",
];
const LAYERS: [&str; 5] = ["Embedding", "Linear", "Conv", "Attention", "LayerNorm"];
const MAX_NAME_CHARS: usize = 40;
const MAX_CALL_CHARS: usize = 200;
/// Links of a chain of attributes and calls; a longer one is not written down.
const MAX_CHAIN: usize = 256;

/// Builds the graph over every file except the training entry.
pub fn build(bundle: &Bundle<'_>) -> ArchitectureGraph {
    let mut graph = ArchitectureGraph {
        schema_version: "architecture_graph.v1",
        ..ArchitectureGraph::default()
    };
    graph.tokenizer_constraints.source = "submission_contract";
    for file in bundle.files.iter().filter(|file| {
        let (architecture, training) = (bundle.roles.architecture.0, bundle.roles.training.0);
        file.path != training || training == architecture
    }) {
        add_file(&mut graph, file);
    }
    let second = match bundle.roles.contract {
        // the architecture's file defines both functions
        ContractVersion::V1 => (bundle.roles.architecture.0, bundle.roles.training.1),
        ContractVersion::V2 => bundle.roles.training,
    };
    for (path, symbol) in [bundle.roles.architecture, second] {
        let defines = |statement: &Stmt| matches!(statement, Stmt::FunctionDef(def) if def.name.as_str() == symbol);
        if bundle
            .files
            .iter()
            .any(|file| file.path == path && file.body.iter().any(defines))
        {
            graph.interface.required.insert(symbol.to_owned());
        }
    }
    graph.dynamic_routing.enabled = graph.calls.iter().any(|call| routes(call));
    let canonical = serde_json::to_vec(&CanonicalGraph::of(&graph));
    graph.hash = sha256_hex(&canonical.unwrap_or_default());
    graph
}

/// Whether one of [`ROUTING`] stands in a callee, in either case.
fn routes(call: &str) -> bool {
    let begins = |rest: &[u8], word: &str| {
        rest.get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
    };
    (0..call.len()).any(|start| {
        let rest = call.as_bytes().get(start..).unwrap_or_default();
        let first = rest.first().map_or(0, u8::to_ascii_lowercase);
        ROUTING
            .iter()
            .any(|word| word.as_bytes().first() == Some(&first) && begins(rest, word))
    })
}

fn add_file(graph: &mut ArchitectureGraph, file: &SourceFile<'_>) {
    let name = file.path.rsplit('/').next().unwrap_or(file.path);
    graph
        .modules
        .insert(name.strip_suffix(".py").unwrap_or(name).to_owned());
    let mut collector = Collector {
        graph,
        text: file.text,
        classes: 0,
        scopes: Vec::new(),
        parts: Vec::new(),
        call: String::new(),
    };
    walk_module(file.body, &mut collector);
}

struct Collector<'g, 'a> {
    graph: &'g mut ArchitectureGraph,
    text: &'g str,
    classes: usize,
    scopes: Vec<ScopeKind>,
    /// Of the callee at hand.
    parts: Vec<&'a str>,
    call: String,
}

impl<'a> Visitor<'a> for Collector<'_, 'a> {
    fn statement(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::ClassDef(class) => {
                self.graph.classes.insert(plain_class_name(&class.name));
            }
            Stmt::FunctionDef(def) => {
                let name = def.name.as_str();
                self.graph.functions.insert(name.to_owned());
                if HOOKS.contains(&name) {
                    self.graph.interface.optional_hooks.insert(name.to_owned());
                }
            }
            Stmt::Assign(node) if self.classes > 0 => {
                if let Expr::Call(call) = &*node.value
                    && let Some(target) = node.targets.first()
                {
                    self.add_block(target, call);
                }
            }
            _ => {}
        }
    }

    fn expression(&mut self, expression: &'a Expr) {
        if let Expr::Call(call) = expression
            && self.read_call(&call.func)
            && !self.graph.calls.contains(&self.call)
        {
            self.graph.calls.insert(self.call.clone());
        }
    }

    fn enter_scope(&mut self, kind: ScopeKind, _name: &'a str) {
        self.scopes.push(kind);
        self.classes += usize::from(kind == ScopeKind::Class);
    }

    fn leave_scope(&mut self) {
        if self.scopes.pop() == Some(ScopeKind::Class) {
            self.classes -= 1;
        }
    }

    fn bind(&mut self, _name: &'a str, _span: Span, binding: Binding<'a>, _settled: Option<usize>) {
        if let Binding::Import { module } | Binding::ImportFrom { module, .. } = binding {
            let root = module.split('.').next().unwrap_or(module);
            if !root.is_empty() {
                self.graph.imports.insert(root.to_owned());
            }
        }
    }

    fn too_deep(&mut self, _span: Span) {}
}

impl<'a> Collector<'_, 'a> {
    fn add_block(&mut self, target: &'a Expr, call: &'a ExprCall) {
        if !self.read_call(&call.func) || !LAYERS.iter().any(|layer| self.call.contains(layer)) {
            return;
        }
        let kind = self.call.clone();
        let (start, end) = super::parse::span(target);
        let name = self.text.get(start..end).unwrap_or("");
        let mut keywords: Vec<String> = call
            .keywords
            .iter()
            .filter_map(|keyword| keyword.arg.as_ref().map(|name| name.as_str().to_owned()))
            .collect();
        keywords.sort_unstable();
        self.graph.parameterized_blocks.insert(ParameterizedBlock {
            name: name
                .replace(['\'', '"'], "_")
                .chars()
                .take(MAX_NAME_CHARS)
                .collect(),
            kind,
            args: call.args.len(),
            keywords,
        });
    }

    /// Writes `a.b.c` to `call`; false for callees that are written otherwise.
    fn read_call(&mut self, callee: &'a Expr) -> bool {
        self.parts.clear();
        self.call.clear();
        let mut current = callee;
        for _ in 0..MAX_CHAIN {
            match current {
                Expr::Attribute(node) => {
                    self.parts.push(node.attr.as_str());
                    current = &node.value;
                }
                // super().__init__ reads super.__init__
                Expr::Call(call) => current = &call.func,
                Expr::Name(node) => {
                    self.parts.push(node.id.as_str());
                    self.join_parts();
                    return true;
                }
                _ => return false,
            }
        }
        false
    }

    /// The parts stand last first.
    fn join_parts(&mut self) {
        let is_prefixed = matches!(self.parts.last(), Some(&("self" | "torch" | "nn")));
        if is_prefixed {
            self.parts.truncate(2);
        }
        for (index, part) in self.parts.iter().rev().enumerate() {
            if index > 0 {
                self.call.push('.');
            }
            self.call.push_str(part);
        }
        // a chain of calls is as long as its author likes
        if let Some((end, _)) = self.call.char_indices().nth(MAX_CALL_CHARS) {
            self.call.truncate(end);
        }
    }
}

fn plain_class_name(name: &str) -> String {
    let mut plain: String = name
        .to_ascii_lowercase()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    for word in EMPTY_WORDS {
        plain = plain.replace(word, "");
    }
    if plain.is_empty() {
        name.to_ascii_lowercase()
    } else {
        plain
    }
}
