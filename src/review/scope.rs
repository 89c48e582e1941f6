//! Python's name scopes of one file: which binding a name can refer to at a given place.

mod builder;

use std::cell::OnceCell;

use builder::Builder;

use super::ledger::Followed;
use super::parse::ast::{Constant, Expr, Stmt};
use super::seeded::{Set, Table};
use super::walk::{Binding, ScopeKind, Span, Visitor, walk_module};

/// Index of a scope in [`ScopeTable`]; scopes are numbered in walk order, the module is 0.
pub type ScopeId = usize;

/// One binding of one name that can make it refer to something outside the submission.
#[derive(Clone, Copy)]
pub struct Bound<'a> {
    pub binding: Binding<'a>,
    /// Where the value is evaluated.
    pub scope: ScopeId,
}

/// All that is known of one name in one scope.
#[derive(Default)]
pub struct NameRecord<'a> {
    /// Imports, aliases of names and attributes, parameters; each other kind at most once.
    pub bounds: Vec<Bound<'a>>,
    /// How often the name is bound.
    pub count: usize,
    /// String constants assigned to the name, the first few.
    pub texts: Vec<&'a str>,
    /// Something else than string constants is bound to the name, or more of them than are kept.
    pub has_other_values: bool,
    /// A function or class of this name is defined.
    pub is_definition: bool,
    /// `bounds` has a function, or another value that leads nowhere.
    has_function: bool,
    has_plain_value: bool,
    /// The name is deleted somewhere.
    pub is_deleted: bool,
    /// The smallest offset from which on the name is certainly bound, if there is one.
    pub settled: Option<usize>,
    /// What the name refers to, once it has been followed.
    pub followed: OnceCell<Followed<'a>>,
}

const MAX_TEXTS: usize = 32;

impl<'a> NameRecord<'a> {
    /// Whether the name is certainly bound at this byte offset.
    pub fn is_bound_at(&self, offset: usize) -> bool {
        !self.is_deleted && self.settled.is_some_and(|settled| settled <= offset)
    }

    fn add(&mut self, bound: Bound<'a>, settled: Option<usize>) {
        self.count += 1;
        self.settled = match (self.settled, settled) {
            (Some(old), Some(new)) => Some(old.min(new)),
            (old, new) => old.or(new),
        };
        let text = match bound.binding {
            Binding::Alias(Expr::Constant(constant)) => match &constant.value {
                Constant::Str(text) => Some(text.as_str()),
                _ => None,
            },
            Binding::Delete => {
                self.is_deleted = true;
                return;
            }
            _ => None,
        };
        self.is_definition |= matches!(bound.binding, Binding::Function | Binding::Class);
        match text {
            Some(text) if self.texts.len() < MAX_TEXTS => self.texts.push(text),
            _ => self.has_other_values = true,
        }
        let is_followed = match bound.binding {
            Binding::Import { .. } | Binding::ImportFrom { .. } | Binding::Parameter { .. } => true,
            Binding::Alias(value) => is_reference(value),
            _ => false,
        };
        let is_noted = match bound.binding {
            Binding::Function => std::mem::replace(&mut self.has_function, true),
            _ => !is_followed && std::mem::replace(&mut self.has_plain_value, true),
        };
        if is_followed || !is_noted {
            self.bounds.push(bound);
        }
    }
}

/// Whether an assigned value can be a module or a part of one: a dotted name, or `getattr` of one.
fn is_reference(value: &Expr) -> bool {
    match value {
        Expr::Name(_) | Expr::Attribute(_) => true,
        Expr::Call(call) => {
            matches!(&*call.func, Expr::Name(name) if name.id.as_str() == "getattr")
        }
        _ => false,
    }
}

pub struct Scope<'a> {
    pub kind: ScopeKind,
    pub name: &'a str,
    pub parent: Option<ScopeId>,
    /// Scopes around it.
    pub depth: usize,
    /// The `def` or `class` statement whose body this is.
    pub definition: Option<&'a Stmt>,
    pub names: Table<&'a str, NameRecord<'a>>,
    globals: Set<&'a str>,
    nonlocals: Set<&'a str>,
}

/// All scopes of a file.
#[derive(Default)]
pub struct ScopeTable<'a> {
    pub scopes: Vec<Scope<'a>>,
    pub too_deep: Option<Span>,
}

impl<'a> ScopeTable<'a> {
    /// Collects the scopes of a module; `companion` sees the same walk.
    pub fn build(body: &'a [Stmt], companion: &mut impl Visitor<'a>) -> ScopeTable<'a> {
        let mut builder = Builder::default();
        walk_module(body, &mut (&mut builder, companion));
        builder.settle_nonlocals();
        builder.table
    }

    /// Scopes around this one.
    pub fn depth(&self, id: ScopeId) -> usize {
        self.scopes.get(id).map_or(0, |scope| scope.depth)
    }

    /// What `name` may refer to when it is read in `from`, and the scope that holds it.
    pub fn lookup(&self, from: ScopeId, name: &str) -> Option<(ScopeId, &NameRecord<'a>)> {
        let mut current = Some(from);
        let mut innermost = true;
        while let Some(id) = current {
            let scope = self.scopes.get(id)?;
            if scope.globals.contains(name) {
                return self.record_of(0, name);
            }
            if (innermost || scope.kind != ScopeKind::Class)
                && let Some(found) = self.record_of(id, name)
            {
                return Some(found);
            }
            innermost = false;
            current = scope.parent;
        }
        None
    }

    fn record_of(&self, id: ScopeId, name: &str) -> Option<(ScopeId, &NameRecord<'a>)> {
        Some((id, self.scopes.get(id)?.names.get(name)?))
    }
}

/// The scope ids during a later walk of the same module, in the same order.
#[derive(Default)]
pub struct ScopeCursor {
    stack: Vec<ScopeId>,
    next: ScopeId,
}

impl ScopeCursor {
    pub fn enter(&mut self) {
        self.stack.push(self.next);
        self.next += 1;
    }

    pub fn leave(&mut self) {
        self.stack.pop();
    }

    pub fn current(&self) -> ScopeId {
        self.stack.last().copied().unwrap_or(0)
    }
}
