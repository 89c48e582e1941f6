//! Follows names through imports, aliases and the files of a submission to what they can refer to.
//!
//! What was found is kept ([`Ledger`]): each expression and each name is followed once, so that aliases of aliases of
//! aliases cost no more than they are long. What still costs much counts against the steps of its file.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::builtins;
use super::bundle::Bundle;
use super::limits::MAX_STEPS_PER_FILE;
use super::origin::{Origin, push};
use super::parse::ast::{Constant, Expr, ExprCall};
use super::parse::span;
use super::scope::{Bound, NameRecord, ScopeId};
use super::surface::{self, Member};
use super::walk::{Binding, ScopeKind};

/// Steps that following one expression may take.
const MAX_INDIRECTIONS: usize = 1_000;
/// Names that lead from one to the next.
const MAX_ALIAS_DEPTH: usize = 24;
/// Enclosing scopes that a look-up passes for the price of one step.
const SCOPES_PER_STEP: usize = 8;

/// What has been followed already, and how many steps are left for the file at hand.
#[derive(Default)]
pub struct Ledger {
    /// By scope and address of the expression.
    expressions: RefCell<HashMap<(ScopeId, usize), Rc<[Origin]>>>,
    /// By address of the record; whether a name leads back to itself.
    records: RefCell<HashMap<usize, (Rc<[Origin]>, bool)>>,
    steps_left: Cell<usize>,
    file: Cell<usize>,
    exhausted: Cell<Option<usize>>,
}

impl Ledger {
    /// Grants the steps of one file, given by its index.
    pub fn begin_file(&self, file: usize) {
        self.file.set(file);
        self.steps_left.set(MAX_STEPS_PER_FILE);
    }

    /// The first file whose steps did not suffice. Nothing that was found in it can be relied on.
    pub fn exhausted(&self) -> Option<usize> {
        self.exhausted.get()
    }

    /// Steps that are left for the file at hand.
    #[cfg(test)]
    pub fn steps_left(&self) -> usize {
        self.steps_left.get()
    }

    fn spend(&self, steps: usize) {
        match self.steps_left.get().checked_sub(steps) {
            Some(left) => self.steps_left.set(left),
            None if self.exhausted.get().is_none() => self.exhausted.set(Some(self.file.get())),
            None => {}
        }
    }
}

/// Follows names and attributes to what they can refer to.
pub struct Resolver<'b, 'a> {
    bundle: &'b Bundle<'a>,
    steps: usize,
    /// Names whose bindings are being followed: file, scope, name.
    open: Vec<(usize, ScopeId, &'b str)>,
    /// Attributes that are being followed.
    attributes: usize,
    /// A name is bound to an attribute of itself, as in `x = x.next`.
    is_cyclic: bool,
    /// How often a path was given up: at a name that is being followed already, or at a limit.
    cuts: usize,
}

impl<'b, 'a: 'b> Resolver<'b, 'a> {
    pub fn new(bundle: &'b Bundle<'a>) -> Resolver<'b, 'a> {
        Resolver {
            bundle,
            steps: 0,
            open: Vec::new(),
            attributes: 0,
            is_cyclic: false,
            cuts: 0,
        }
    }

    /// Counts a step; false when there are none left.
    fn step(&mut self, found: &mut Vec<Origin>) -> bool {
        self.steps += 1;
        self.bundle.ledger.spend(1);
        if self.bundle.ledger.exhausted().is_some() {
            return false;
        }
        if self.steps > MAX_INDIRECTIONS {
            self.cuts += 1;
            push(found, Origin::Undecided);
            return false;
        }
        true
    }

    /// A walk along one's own objects (`x = x.next`) stays a value; one that starts at a library does not end here.
    pub fn settle(&self, found: &mut Vec<Origin>) {
        let from_library = |origin: &Origin| {
            matches!(
                origin,
                Origin::Module(_) | Origin::Object(_) | Origin::Own(_)
            )
        };
        if self.is_cyclic && found.iter().any(from_library) {
            push(found, Origin::Undecided);
        }
    }

    pub fn expression(
        &mut self,
        file: usize,
        scope: ScopeId,
        expression: &'b Expr,
        found: &mut Vec<Origin>,
    ) {
        if !self.step(found) {
            return;
        }
        let key = (scope, std::ptr::from_ref(expression) as usize);
        let known = self.bundle.ledger.expressions.borrow().get(&key).cloned();
        if let Some(known) = known {
            push_all(found, &known);
            return;
        }
        let cuts = self.cuts;
        let mut here = Vec::new();
        self.follow(file, scope, expression, &mut here);
        push_all(found, &here);
        if self.cuts == cuts {
            let mut expressions = self.bundle.ledger.expressions.borrow_mut();
            expressions.insert(key, here.into());
        }
    }

    fn follow(
        &mut self,
        file: usize,
        scope: ScopeId,
        expression: &'b Expr,
        found: &mut Vec<Origin>,
    ) {
        match expression {
            Expr::Name(name) => self.name(file, scope, &name.id, span(name).0, found),
            Expr::Attribute(node) => {
                let mut bases = Vec::new();
                self.attributes += 1;
                self.expression(file, scope, &node.value, &mut bases);
                self.attributes -= 1;
                for base in bases {
                    self.member(base, &node.attr, found);
                }
            }
            Expr::Call(call) => self.call(file, scope, call, found),
            _ => push(found, Origin::Value),
        }
    }

    /// `getattr(module, "name")` is an attribute; every other call gives a value.
    fn call(&mut self, file: usize, scope: ScopeId, call: &'b ExprCall, found: &mut Vec<Origin>) {
        if let Expr::Name(name) = &*call.func
            && name.id.as_str() == "getattr"
            && let [base, Expr::Constant(constant), ..] = call.args.as_slice()
            && let Constant::Str(attribute) = &constant.value
        {
            let mut bases = Vec::new();
            self.attributes += 1;
            self.expression(file, scope, base, &mut bases);
            self.attributes -= 1;
            for base in bases {
                self.member(base, attribute, found);
            }
            return;
        }
        push(found, Origin::Value);
    }

    fn member(&mut self, base: Origin, attribute: &str, found: &mut Vec<Origin>) {
        match base {
            Origin::Module(module) => {
                let dotted = format!("{module}.{attribute}");
                push(
                    found,
                    match surface::member(&module, attribute) {
                        Member::Module => Origin::Module(dotted),
                        Member::Object | Member::NotPublic => Origin::Object(dotted),
                    },
                );
            }
            Origin::Object(path) => push(found, Origin::object(&path, attribute)),
            Origin::Own(dotted) => {
                let before = found.len();
                self.own_member(&dotted, attribute, found);
                if found.len() == before {
                    push(found, Origin::Value);
                }
            }
            Origin::Undecided => push(found, Origin::Undecided),
            Origin::Builtin(_) | Origin::Context | Origin::Function | Origin::Value => {
                push(found, Origin::Value)
            }
        }
    }

    pub fn own_member(&mut self, dotted: &str, name: &str, found: &mut Vec<Origin>) {
        if !self.step(found) {
            return;
        }
        let inner = if dotted.is_empty() {
            name.to_owned()
        } else {
            format!("{dotted}.{name}")
        };
        if self.bundle.is_own(&inner) {
            push(found, Origin::Own(inner));
        }
        if let Some(&index) = self.bundle.modules.get(dotted)
            && let Some(file) = self.bundle.files.get(index)
            && let Some((&name, record)) = file
                .scopes
                .scopes
                .first()
                .and_then(|scope| scope.names.get_key_value(name))
        {
            self.record(index, 0, name, record, found);
        }
    }

    fn name(
        &mut self,
        file: usize,
        scope: ScopeId,
        name: &'b str,
        use_start: usize,
        found: &mut Vec<Origin>,
    ) {
        let Some(source) = self.bundle.files.get(file) else {
            return;
        };
        let Some((home, record)) = source.scopes.lookup(scope, name) else {
            push(found, Origin::Builtin(name.to_owned()));
            return;
        };
        let passed = source
            .scopes
            .depth(scope)
            .saturating_sub(source.scopes.depth(home));
        self.bundle.ledger.spend(passed / SCOPES_PER_STEP);
        self.record(file, home, name, record, found);
        if !record.is_deleted && record.settled.is_some_and(|settled| settled <= use_start) {
            return;
        }
        // a name that is not bound yet is looked up further out: class body, then module, then builtins
        match source.scopes.scopes.get(home) {
            Some(scope) if scope.kind == ScopeKind::Module && builtins::is_refused(name) => {
                push(found, Origin::Builtin(name.to_owned()));
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

    fn record(
        &mut self,
        file: usize,
        home: ScopeId,
        name: &'b str,
        record: &NameRecord<'a>,
        found: &mut Vec<Origin>,
    ) {
        if self.open.contains(&(file, home, name)) {
            self.cuts += 1;
            self.is_cyclic |= self.attributes > 0;
            return;
        }
        let key = std::ptr::from_ref(record) as usize;
        let known = self.bundle.ledger.records.borrow().get(&key).cloned();
        if let Some((known, is_cyclic)) = known {
            if is_cyclic {
                // what is above it does not hold for the cycle's other names
                self.cuts += 1;
                self.is_cyclic = true;
            }
            push_all(found, &known);
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
            let mut records = self.bundle.ledger.records.borrow_mut();
            records.insert(key, (here.into(), self.is_cyclic));
        }
        self.is_cyclic |= was_cyclic;
    }

    fn bound(&mut self, file: usize, name: &str, bound: &Bound<'a>, found: &mut Vec<Origin>) {
        if !self.step(found) {
            return;
        }
        match bound.binding {
            Binding::Import { module } => push(
                found,
                if self.bundle.is_own(module) {
                    Origin::Own(module.to_owned())
                } else {
                    Origin::Module(module.to_owned())
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
                    self.member(Origin::Module(dotted), name, found);
                }
            }
            Binding::Alias(value) => self.expression(file, bound.scope, value, found),
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

fn push_all(found: &mut Vec<Origin>, origins: &[Origin]) {
    for origin in origins {
        push(found, origin.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::check_file;
    use super::super::{NO_ROLES, on_deep_stack, read, scope::ScopeTable};
    use super::*;
    use crate::review::bundle::SourceFile;

    /// Steps that the rules take for one file, and whether they were enough.
    fn steps_of(source: &str) -> (usize, bool) {
        on_deep_stack(|| {
            let file = read("case.py", source.as_bytes()).unwrap();
            let source = SourceFile {
                path: file.path,
                text: &file.text,
                body: &file.module.body,
                scopes: ScopeTable::build(&file.module.body),
            };
            let bundle = Bundle::new(vec![source], NO_ROLES);
            check_file(&bundle, 0);
            let ledger = &bundle.ledger;
            (
                MAX_STEPS_PER_FILE - ledger.steps_left(),
                ledger.exhausted().is_none(),
            )
        })
        .unwrap()
    }

    #[test]
    fn what_was_followed_once_is_not_followed_again() {
        let diamonds: String = (0..3_000)
            .map(|n| format!("a{0} = a{n}\na{0} = a{n}.b\n", n + 1))
            .collect();
        let chains = format!("x = a{}\n", ".a".repeat(900)).repeat(50);
        let ladder: String = "import torch\na0 = torch.relu\n".to_owned()
            + &(0..5_000)
                .map(|n| format!("a{} = a{n}\n", n + 1))
                .collect::<String>();
        for (name, source) in [
            ("diamonds", diamonds),
            ("chains", chains),
            ("ladder", ladder),
        ] {
            let (steps, is_enough) = steps_of(&source);
            assert!(is_enough && steps < 4 * source.len(), "{name}: {steps}");
        }
    }

    #[test]
    fn steps_run_out_instead_of_time() {
        let tangle: String = (0..6_000)
            .map(|n| {
                format!(
                    "a{n} = a{}\na{n} = a{}\n",
                    (n * 7 + 1) % 6_000,
                    (n * 13 + 5) % 6_000
                )
            })
            .collect();
        let (steps, is_enough) = steps_of(&tangle);
        assert!(!is_enough, "{steps}");
        let review = super::super::review_source("case.py", tangle.as_bytes());
        assert!(
            review
                .findings
                .iter()
                .any(|finding| finding.rule_id == "prism:cannot-decide"
                    && finding.explanation.contains("steps")),
        );
    }

    #[test]
    fn ordinary_files_take_few_steps() {
        let source = include_str!("cases/accepted/models.py");
        let (steps, is_enough) = steps_of(source);
        assert!(is_enough && steps < 2 * source.len(), "{steps}");
    }
}
