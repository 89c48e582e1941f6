//! Collects the scopes of a module and what each binds.

use super::{Bound, Scope, ScopeId, ScopeTable};
use crate::review::parse::ast::Stmt;
use crate::review::seeded::{Set, Table};
use crate::review::walk::{Binding, ScopeKind, Span, Visitor};

/// The state of one walk.
#[derive(Default)]
pub(super) struct Builder<'a> {
    pub(super) table: ScopeTable<'a>,
    stack: Vec<ScopeId>,
    /// The `def` or `class` whose scope opens next.
    defining: Option<&'a Stmt>,
    /// Bindings under a `nonlocal` declaration: their home is known only when every scope is.
    homeless: Vec<(ScopeId, &'a str, Bound<'a>)>,
}

impl<'a> Builder<'a> {
    pub(super) fn settle_nonlocals(&mut self) {
        for (from, name, bound) in std::mem::take(&mut self.homeless) {
            let mut current = self.table.scopes.get(from).and_then(|scope| scope.parent);
            while let Some(id) = current {
                let Some(scope) = self.table.scopes.get_mut(id) else {
                    break;
                };
                let is_function = matches!(scope.kind, ScopeKind::Function | ScopeKind::Lambda);
                if is_function && let Some(record) = scope.names.get_mut(name) {
                    record.add(bound, None);
                    break;
                }
                current = scope.parent;
            }
        }
    }
}

impl<'a> Visitor<'a> for Builder<'a> {
    fn statement(&mut self, statement: &'a Stmt) {
        if matches!(
            statement,
            Stmt::FunctionDef(_) | Stmt::AsyncFunctionDef(_) | Stmt::ClassDef(_)
        ) {
            self.defining = Some(statement);
        }
    }

    fn enter_scope(&mut self, kind: ScopeKind, name: &'a str) {
        let id = self.table.scopes.len();
        // lambdas in decorators and defaults open their scopes before the function does
        let definition = match kind {
            ScopeKind::Function | ScopeKind::Class => self.defining.take(),
            _ => None,
        };
        self.table.scopes.push(Scope {
            kind,
            name,
            parent: self.stack.last().copied(),
            depth: self.stack.len(),
            definition,
            names: Table::default(),
            globals: Set::default(),
            nonlocals: Set::default(),
        });
        self.stack.push(id);
    }

    fn leave_scope(&mut self) {
        self.stack.pop();
    }

    fn bind(&mut self, name: &'a str, _span: Span, binding: Binding<'a>, settled: Option<usize>) {
        let Some(&here) = self.stack.last() else {
            return;
        };
        let mut target = here;
        if matches!(binding, Binding::Walrus) {
            while let Some(scope) = self.table.scopes.get(target)
                && scope.kind == ScopeKind::Comprehension
                && let Some(parent) = scope.parent
            {
                target = parent;
            }
        }
        let bound = Bound {
            binding,
            scope: here,
        };
        let mut settled = settled.filter(|_| target == here);
        let Some(scope) = self.table.scopes.get(target) else {
            return;
        };
        if scope.nonlocals.contains(name) {
            self.homeless.push((target, name, bound));
            return;
        }
        if scope.globals.contains(name) && target != 0 {
            target = 0;
            settled = None;
        }
        if let Some(scope) = self.table.scopes.get_mut(target) {
            scope.names.entry(name).or_default().add(bound, settled);
        }
    }

    fn declare_global(&mut self, name: &'a str) {
        if let Some(scope) = self
            .stack
            .last()
            .and_then(|id| self.table.scopes.get_mut(*id))
        {
            scope.globals.insert(name);
        }
    }

    fn declare_nonlocal(&mut self, name: &'a str) {
        if let Some(scope) = self
            .stack
            .last()
            .and_then(|id| self.table.scopes.get_mut(*id))
        {
            scope.nonlocals.insert(name);
        }
    }

    fn too_deep(&mut self, span: Span) {
        self.table.too_deep = Some(span);
    }
}
