//! Follows names through imports, aliases and the files of a submission to what they can refer to.
//!
//! What was found is kept ([`Ledger`]): each expression and each name is followed once, so that aliases of aliases of
//! aliases cost no more than they are long. What still costs much counts against the steps of its file.

mod names;

use std::borrow::Cow;

use super::bundle::Bundle;
use super::known::is_getattr;
use super::ledger::Origins;
use super::origin::{Origin, push};
use super::parse::ast::{Constant, Expr, ExprCall};
use super::parse::span;
use super::scope::ScopeId;
use super::surface::{self, Member};

/// Steps that following one expression may take.
const MAX_INDIRECTIONS: usize = 1_000;

/// Follows names and attributes to what they can refer to.
pub struct Resolver<'b, 'a> {
    bundle: &'b Bundle<'a>,
    steps: usize,
    /// Names whose bindings are being followed: file, scope, name.
    open: Vec<(usize, ScopeId, &'a str)>,
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
    fn step(&mut self, found: &mut Vec<Origin<'a>>) -> bool {
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
    pub fn settle(&self, found: &mut Vec<Origin<'a>>) {
        if self.leaves_library(found) {
            push(found, Origin::Undecided);
        }
    }

    /// The same for what [`Resolver::origins`] found; what refers to nothing is a value.
    pub fn settled(&self, found: Origins<'a>) -> Origins<'a> {
        if found.is_empty() {
            return self.bundle.ledger.value();
        }
        if self.leaves_library(&found) {
            let mut origins = found.to_vec();
            push(&mut origins, Origin::Undecided);
            return origins.into();
        }
        found
    }

    fn leaves_library(&self, found: &[Origin<'a>]) -> bool {
        let from_library = |origin: &Origin<'a>| {
            matches!(
                origin,
                Origin::Module(_) | Origin::Object(_) | Origin::Own(_)
            )
        };
        self.is_cyclic && found.iter().any(from_library)
    }

    /// What an expression can refer to; empty where the steps have run out.
    pub fn origins(&mut self, file: usize, scope: ScopeId, expression: &'a Expr) -> Origins<'a> {
        let mut here = Vec::new();
        if !self.step(&mut here) {
            return here.into();
        }
        let key = (scope, std::ptr::from_ref(expression) as usize);
        if let Some(known) = self.bundle.ledger.expression(key) {
            return known;
        }
        let cuts = self.cuts;
        self.follow(file, scope, expression, &mut here);
        let origins = self.bundle.ledger.share(here);
        if self.cuts == cuts {
            self.bundle.ledger.note_expression(key, origins.clone());
        }
        origins
    }

    fn follow(
        &mut self,
        file: usize,
        scope: ScopeId,
        expression: &'a Expr,
        found: &mut Vec<Origin<'a>>,
    ) {
        match expression {
            Expr::Name(name) => self.name(file, scope, &name.id, span(name).0, found),
            Expr::Attribute(node) => {
                self.attributes += 1;
                let bases = self.origins(file, scope, &node.value);
                self.attributes -= 1;
                for base in bases.iter() {
                    self.member(base, &node.attr, found);
                }
            }
            Expr::Call(call) => self.call(file, scope, call, found),
            _ => push(found, Origin::Value),
        }
    }

    /// `getattr(module, "name")` is an attribute; every other call gives a value.
    fn call(
        &mut self,
        file: usize,
        scope: ScopeId,
        call: &'a ExprCall,
        found: &mut Vec<Origin<'a>>,
    ) {
        if is_getattr(call)
            && let [base, Expr::Constant(constant), ..] = call.args.as_slice()
            && let Constant::Str(attribute) = &constant.value
        {
            self.attributes += 1;
            let bases = self.origins(file, scope, base);
            self.attributes -= 1;
            for base in bases.iter() {
                self.member(base, attribute, found);
            }
            return;
        }
        push(found, Origin::Value);
    }

    fn member(&mut self, base: &Origin<'a>, attribute: &str, found: &mut Vec<Origin<'a>>) {
        match base {
            Origin::Module(module) => push(
                found,
                match surface::member(module, attribute) {
                    Member::Module(path) => Origin::Module(Cow::Borrowed(path)),
                    Member::Object(path) => Origin::Object(Cow::Borrowed(path)),
                    Member::NotPublic => {
                        Origin::Object(Cow::Owned(format!("{module}.{attribute}")))
                    }
                },
            ),
            Origin::Object(path) => push(found, Origin::object(path, attribute)),
            Origin::Own(dotted) => {
                let before = found.len();
                self.own_member(dotted, attribute, found);
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

    pub fn own_member(&mut self, dotted: &str, name: &str, found: &mut Vec<Origin<'a>>) {
        if !self.step(found) {
            return;
        }
        if self.bundle.is_unseen(dotted) {
            push(found, Origin::Value);
            return;
        }
        let inner = if dotted.is_empty() {
            name.to_owned()
        } else {
            format!("{dotted}.{name}")
        };
        if self.bundle.is_own(&inner) {
            push(found, Origin::Own(Cow::Owned(inner)));
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
}
