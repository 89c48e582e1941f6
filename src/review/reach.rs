//! What an entry point can run: its own statements, the functions, classes and files of the bundle that it leads to.
//!
//! Calls are followed by name, through aliases and the bundle's own imports; a method counts as reached when its class
//! is and its name is mentioned. Dead code and definitions that nothing names are not reached.

mod expressions;
mod names;
mod statements;

use super::bundle::Bundle;
use super::conditions::Conditions;
use super::parse::ast::{Expr, Stmt};
use super::scope::ScopeId;
use super::seeded::{Set, Table, roomy_set, roomy_table};
use names::Methods;

/// How much of a module an import counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything that importing it runs.
    Imported,
    /// Only what the entry points need of it: its effects, and the names that are read.
    Needed,
}

/// A function, a class body, or (scope 0) the statements of a file.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    pub file: usize,
    pub scope: ScopeId,
    /// None for the statements of a file.
    pub definition: Option<&'a Stmt>,
    /// Rank 0 alone gets here.
    pub on_main: bool,
}

/// An expression that can run.
#[derive(Clone, Copy)]
pub struct Use<'a> {
    pub unit: usize,
    pub file: usize,
    pub scope: ScopeId,
    pub expression: &'a Expr,
    /// Rank 0 alone gets here within its unit.
    pub on_main: bool,
    /// Inside a lambda, which may never be called.
    pub in_lambda: bool,
}

/// A piece of a unit, in the order of the source.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    Statement(&'a Stmt),
    /// A whole expression that stands directly in a statement.
    Expression(&'a Expr),
}

/// What is reached from the entry points.
#[derive(Default)]
pub struct Reached<'a> {
    pub units: Vec<Unit<'a>>,
    /// Calls, attributes and names that are read, in the order of the walk ([`Extent::Imported`] only).
    pub uses: Vec<Use<'a>>,
    /// The units' content, with the unit's number ([`Extent::Needed`] only).
    pub parts: Vec<(usize, Part<'a>)>,
    /// Values of module-level names that are read, with their files ([`Extent::Needed`] only).
    pub globals: Vec<(usize, &'a Expr)>,
}

/// Follows the entry points, each `(path, function)`.
pub fn reach<'a>(
    bundle: &Bundle<'a>,
    entries: &[(&str, &str)],
    extent: Extent,
    several_ranks: bool,
) -> Reached<'a> {
    let mut reacher = Reacher {
        bundle,
        conditions: Conditions {
            bundle,
            several_ranks,
        },
        extent,
        definitions: bundle.files.iter().map(|_| None).collect(),
        reached: Reached::default(),
        numbers: roomy_table(),
        edges: Vec::new(),
        next: 0,
        methods: roomy_table(),
        registered: roomy_set(),
        name_nodes: roomy_table(),
        definition_nodes: roomy_table(),
        on_main_names: Vec::new(),
        known_edges: roomy_set(),
    };
    let mut roots = Vec::new();
    for (path, symbol) in entries {
        if let Some(file) = bundle.files.iter().position(|file| file.path == *path) {
            roots.push(reacher.unit(file, 0, None));
            for scope in reacher.defined(file, 0, symbol) {
                let definition = reacher.definition(file, scope);
                roots.push(reacher.unit(file, scope, definition));
            }
        }
    }
    reacher.run();
    reacher.settle_ranks(&roots);
    reacher.reached
}

/// An end of an edge. Whoever reads a name leads to all that it means: by way of the name, because readers times
/// meanings would be too many edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Node {
    Unit(usize),
    Name(usize),
}

/// Scopes of definitions by the scope that holds them and their name.
type Definitions<'a> = Table<(ScopeId, &'a str), Vec<ScopeId>>;

struct Reacher<'b, 'a> {
    bundle: &'b Bundle<'a>,
    conditions: Conditions<'b, 'a>,
    extent: Extent,
    definitions: Vec<Option<Definitions<'a>>>,
    reached: Reached<'a>,
    numbers: Table<(usize, ScopeId), usize>,
    /// Ways from one to the next, and whether rank 0 alone takes them; each once.
    edges: Vec<(Node, Node, bool)>,
    known_edges: Set<(Node, Node, bool)>,
    /// The next unit to be walked.
    next: usize,
    /// Methods of reached classes, by their names, and the names that are mentioned.
    methods: Table<&'a str, Methods>,
    /// Class, method and whether rank 0 alone defines it.
    registered: Set<(usize, &'a str, bool)>,
    /// Names that were read and what they lead to: file, scope, name.
    name_nodes: Table<(usize, ScopeId, &'a str), Node>,
    definition_nodes: Table<(usize, ScopeId, &'a str), Node>,
    /// Of each [`Node::Name`]: rank 0 alone reads it.
    on_main_names: Vec<bool>,
}

impl<'a> Reacher<'_, 'a> {
    fn run(&mut self) {
        while let Some(&unit) = self.reached.units.get(self.next) {
            let number = self.next;
            self.next += 1;
            self.walk_unit(number, unit);
        }
    }

    /// A unit is on rank 0 only when every way to it is.
    fn settle_ranks(&mut self, roots: &[usize]) {
        for (number, unit) in self.reached.units.iter_mut().enumerate() {
            unit.on_main = !roots.contains(&number);
        }
        let mut changed = true;
        while changed {
            changed = false;
            for index in 0..self.edges.len() {
                let Some(&(from, to, on_main)) = self.edges.get(index) else {
                    break;
                };
                if on_main || self.on_main(from).is_some_and(|on_main| *on_main) {
                    continue;
                }
                if let Some(on_main) = self.on_main(to)
                    && *on_main
                {
                    *on_main = false;
                    changed = true;
                }
            }
        }
    }

    fn on_main(&mut self, node: Node) -> Option<&mut bool> {
        match node {
            Node::Unit(number) => {
                let unit = self.reached.units.get_mut(number)?;
                Some(&mut unit.on_main)
            }
            Node::Name(number) => self.on_main_names.get_mut(number),
        }
    }

    fn new_name(&mut self) -> Node {
        self.on_main_names.push(true);
        Node::Name(self.on_main_names.len() - 1)
    }

    fn lead(&mut self, from: Node, to: Node, on_main: bool) {
        if self.known_edges.insert((from, to, on_main)) {
            self.edges.push((from, to, on_main));
        }
    }

    fn unit(&mut self, file: usize, scope: ScopeId, definition: Option<&'a Stmt>) -> usize {
        *self.numbers.entry((file, scope)).or_insert_with(|| {
            self.reached.units.push(Unit {
                file,
                scope,
                definition,
                on_main: false,
            });
            self.reached.units.len() - 1
        })
    }

    fn definition(&self, file: usize, scope: ScopeId) -> Option<&'a Stmt> {
        self.bundle
            .files
            .get(file)?
            .scopes
            .scopes
            .get(scope)?
            .definition
    }

    /// Scopes of the functions and classes of this name that stand directly in `home`.
    fn defined(&mut self, file: usize, home: ScopeId, name: &str) -> Vec<ScopeId> {
        let Some(source) = self.bundle.files.get(file) else {
            return Vec::new();
        };
        let Some(slot) = self.definitions.get_mut(file) else {
            return Vec::new();
        };
        let definitions = slot.get_or_insert_with(|| {
            let mut definitions = Definitions::default();
            for (id, scope) in source.scopes.scopes.iter().enumerate() {
                if let (Some(parent), Some(_)) = (scope.parent, scope.definition) {
                    definitions
                        .entry((parent, scope.name))
                        .or_default()
                        .push(id);
                }
            }
            definitions
        });
        definitions.get(&(home, name)).cloned().unwrap_or_default()
    }

    fn walk_unit(&mut self, number: usize, unit: Unit<'a>) {
        statements::walk(self, number, unit);
    }

    fn enter(&mut self, from: Node, file: usize, scope: ScopeId, on_main: bool) {
        let definition = self.definition(file, scope);
        let to = self.unit(file, scope, definition);
        self.lead(from, Node::Unit(to), on_main);
    }

    fn enter_module(&mut self, from: usize, file: usize, on_main: bool) {
        let to = self.unit(file, 0, None);
        self.lead(Node::Unit(from), Node::Unit(to), on_main);
    }
}
