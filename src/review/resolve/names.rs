//! What one name refers to: its record, the bindings in it, and where else Python looks.

use std::borrow::Cow;

use super::Resolver;
use crate::review::builtins;
use crate::review::known::SCOPES_PER_STEP;
use crate::review::ledger::Followed;
use crate::review::origin::{Origin, push};
use crate::review::scope::{Bound, NameRecord, ScopeId};
use crate::review::walk::{Binding, ScopeKind};

/// Names that lead from one to the next.
const MAX_ALIAS_DEPTH: usize = 24;

impl<'b, 'a: 'b> Resolver<'b, 'a> {
    pub(super) fn name(
        &mut self,
        file: usize,
        scope: ScopeId,
        name: &'a str,
        use_start: usize,
        found: &mut Vec<Origin<'a>>,
    ) {
        let Some(source) = self.bundle.files.get(file) else {
            return;
        };
        let Some((home, record)) = source.scopes.lookup(scope, name) else {
            let passed = source.scopes.depth(scope);
            self.bundle.ledger.spend(passed / SCOPES_PER_STEP);
            push(found, Origin::Builtin(name));
            return;
        };
        let passed = source
            .scopes
            .depth(scope)
            .saturating_sub(source.scopes.depth(home));
        self.bundle.ledger.spend(passed / SCOPES_PER_STEP);
        self.record(file, home, name, record, found);
        if record.is_bound_at(use_start) {
            return;
        }
        // a name that is not bound yet is looked up further out: class body, then module, then builtins
        match source.scopes.scopes.get(home) {
            Some(scope) if scope.kind == ScopeKind::Module && builtins::is_refused(name) => {
                push(found, Origin::Builtin(name));
            }
            Some(scope) if scope.kind == ScopeKind::Class => {
                if let Some(parent) = scope.parent
                    && (source.scopes.lookup(parent, name).is_some() || builtins::is_refused(name))
                    && self.step(found)
                {
                    self.name(file, parent, name, use_start, found);
                }
            }
            _ => {}
        }
    }

    pub(super) fn record(
        &mut self,
        file: usize,
        home: ScopeId,
        name: &'a str,
        record: &'b NameRecord<'a>,
        found: &mut Vec<Origin<'a>>,
    ) {
        if self.open.contains(&(file, home, name)) {
            self.cuts += 1;
            self.is_cyclic |= self.attributes > 0;
            return;
        }
        if let Some(known) = record.followed.get() {
            if known.is_cyclic {
                // what is above it does not hold for the cycle's other names
                self.cuts += 1;
                self.is_cyclic = true;
            }
            push_all(found, &known.origins);
            return;
        }
        if self.open.len() >= MAX_ALIAS_DEPTH {
            self.cuts += 1;
            push(found, Origin::Undecided);
            return;
        }
        let (cuts, was_cyclic) = (self.cuts, std::mem::take(&mut self.is_cyclic));
        let mut here = Vec::new();
        self.open.push((file, home, name));
        for bound in &record.bounds {
            self.bound(file, name, bound, &mut here);
        }
        self.open.pop();
        push_all(found, &here);
        // nothing was cut, or only at this name itself: the answer is the same wherever it is asked
        let is_whole = self.cuts == cuts || (self.open.is_empty() && self.attributes == 0);
        if is_whole && self.bundle.ledger.exhausted().is_none() {
            let origins = self.bundle.ledger.share(here);
            record.followed.get_or_init(|| Followed {
                origins,
                is_cyclic: self.is_cyclic,
            });
        }
        self.is_cyclic |= was_cyclic;
    }

    fn bound(
        &mut self,
        file: usize,
        name: &'a str,
        bound: &Bound<'a>,
        found: &mut Vec<Origin<'a>>,
    ) {
        if !self.step(found) {
            return;
        }
        match bound.binding {
            Binding::Import { module } => push(
                found,
                if self.bundle.is_own(module) {
                    Origin::Own(Cow::Borrowed(module))
                } else {
                    Origin::Module(Cow::Borrowed(module))
                },
            ),
            Binding::ImportFrom {
                module,
                level,
                name,
            } => {
                let path = self.bundle.files.get(file).map_or("", |file| file.path);
                let dotted = self.bundle.absolute(path, module, level);
                if level > 0 || self.bundle.is_own(&dotted) {
                    self.own_member(&dotted, name, found);
                } else {
                    self.member(&Origin::Module(Cow::Owned(dotted)), name, found);
                }
            }
            Binding::Alias(value) => {
                let origins = self.origins(file, bound.scope, value);
                push_all(found, &origins);
            }
            Binding::Parameter { position, .. } => push(
                found,
                if self.is_context(file, bound.scope, name, position) {
                    Origin::Context
                } else {
                    Origin::Value
                },
            ),
            Binding::Function => push(found, Origin::Function),
            Binding::Class | Binding::Walrus | Binding::Other | Binding::Delete => {
                push(found, Origin::Value)
            }
        }
    }

    /// Whether a parameter is the context: the first one of an entry point, or one called `ctx` outside the static
    /// methods of autograd functions, where `ctx` comes first and means something else.
    fn is_context(&self, file: usize, scope: ScopeId, name: &str, position: usize) -> bool {
        let Some(source) = self.bundle.files.get(file) else {
            return false;
        };
        let Some(function) = source.scopes.scopes.get(scope) else {
            return false;
        };
        let parent = function
            .parent
            .and_then(|id| source.scopes.scopes.get(id))
            .map(|scope| scope.kind);
        let roles = &self.bundle.roles;
        let is_entry = parent == Some(ScopeKind::Module)
            && position == 0
            && ((source.path == roles.architecture.0 && function.name == roles.architecture.1)
                || (source.path == roles.training.0 && function.name == roles.training.1));
        is_entry || (name == "ctx" && (parent != Some(ScopeKind::Class) || position > 0))
    }
}

fn push_all<'a>(found: &mut Vec<Origin<'a>>, origins: &[Origin<'a>]) {
    for origin in origins {
        push(found, origin.clone());
    }
}
