//! What an entry point can run: its own statements, the functions, classes and files of the bundle that it leads to.
//!
//! Calls are followed by name, through aliases and the bundle's own imports; a method counts as reached when its class
//! is and its name is mentioned. Dead code and definitions that nothing names are not reached.

mod expressions;
mod statements;

use super::bundle::Bundle;
use super::conditions::Conditions;
use super::parse::ast::{Expr, Stmt};
use super::scope::{Bound, ScopeId};
use super::seeded::{Set, Table};
use super::walk::{Binding, ScopeKind};

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
        numbers: Table::default(),
        edges: Vec::new(),
        next: 0,
        mentioned: Set::default(),
        waiting: Table::default(),
        followed: Set::default(),
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

/// Scopes of definitions by the scope that holds them and their name.
type Definitions<'a> = Table<(ScopeId, &'a str), Vec<ScopeId>>;

struct Reacher<'b, 'a> {
    bundle: &'b Bundle<'a>,
    conditions: Conditions<'b, 'a>,
    extent: Extent,
    definitions: Vec<Option<Definitions<'a>>>,
    reached: Reached<'a>,
    numbers: Table<(usize, ScopeId), usize>,
    /// From unit, to unit, on rank 0 only.
    edges: Vec<(usize, usize, bool)>,
    /// The next unit to be walked.
    next: usize,
    mentioned: Set<&'a str>,
    /// Methods of reached classes that nothing has mentioned yet: file, scope, class.
    waiting: Table<&'a str, Vec<(usize, ScopeId, usize)>>,
    /// Names that were followed: file, scope, name.
    followed: Set<(usize, ScopeId, &'a str)>,
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
            for &(from, to, on_main) in &self.edges {
                let from_main = self
                    .reached
                    .units
                    .get(from)
                    .is_some_and(|unit| unit.on_main);
                if let Some(unit) = self.reached.units.get_mut(to)
                    && unit.on_main
                    && !on_main
                    && !from_main
                {
                    unit.on_main = false;
                    changed = true;
                }
            }
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

    fn enter(&mut self, from: usize, file: usize, scope: ScopeId, on_main: bool) {
        let definition = self.definition(file, scope);
        let to = self.unit(file, scope, definition);
        self.edges.push((from, to, on_main));
    }

    fn enter_module(&mut self, from: usize, file: usize, on_main: bool) {
        let to = self.unit(file, 0, None);
        self.edges.push((from, to, on_main));
    }

    fn mention(&mut self, name: &'a str, from: usize, on_main: bool) {
        self.mentioned.insert(name);
        // every mention is a way to the method, also a later one
        if let Some(methods) = self.waiting.get(name) {
            for (file, scope, _) in methods.clone() {
                self.enter(from, file, scope, on_main);
            }
        }
    }

    /// A name that is read in `scope`.
    fn name(&mut self, from: usize, file: usize, scope: ScopeId, name: &str, on_main: bool) {
        let Some(source) = self.bundle.files.get(file) else {
            return;
        };
        let Some((home, record)) = source.scopes.lookup(scope, name) else {
            return;
        };
        let follows_globals = home == 0 && self.extent == Extent::Needed;
        let leads_on = |bound: &Bound<'a>| match bound.binding {
            Binding::ImportFrom { .. } => true,
            Binding::Alias(_) => follows_globals,
            _ => false,
        };
        if !record.is_definition && !record.bounds.iter().any(leads_on) {
            return;
        }
        for definition in self.defined(file, home, name) {
            self.enter(from, file, definition, on_main);
        }
        let Some((&name, _)) = source
            .scopes
            .scopes
            .get(home)
            .and_then(|scope| scope.names.get_key_value(name))
        else {
            return;
        };
        if !self.followed.insert((file, home, name)) {
            return;
        }
        for bound in &record.bounds {
            match bound.binding {
                Binding::ImportFrom {
                    module,
                    level,
                    name,
                } => {
                    let dotted = self.bundle.absolute(source.path, module, level);
                    if let Some(&other) = self.bundle.modules.get(&dotted) {
                        self.followed.remove(&(file, home, name));
                        self.name(from, other, 0, name, on_main);
                    }
                }
                Binding::Alias(value) if follows_globals => {
                    self.reached.globals.push((file, value));
                    let mut walk = statements::UnitWalk {
                        number: from,
                        file,
                        scope: 0,
                        on_main,
                        kind: ScopeKind::Function,
                        is_content: false,
                        reacher: self,
                    };
                    walk.expression(value);
                }
                _ => {}
            }
        }
    }
}
