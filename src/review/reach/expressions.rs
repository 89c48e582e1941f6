//! One expression of a unit: the names it mentions and the members of the bundle's files that it reads.

use super::statements::UnitWalk;
use std::collections::BTreeMap;

use super::{Extent, Use};
use crate::review::flow::{Flow, Test};
use crate::review::origin::Origin;
use crate::review::parse::ast::{BoolOp, Constant, Expr, ExprContext};
use crate::review::parse::span;
use crate::review::walk::{ScopeKind, Span, Visitor};

/// One expression while it is walked.
pub(super) struct Scan<'s, 'r, 'b, 'a> {
    pub(super) walk: &'s mut UnitWalk<'r, 'b, 'a>,
    pub(super) lambdas: usize,
    /// Parts that a constant condition keeps from running: start and end.
    pub(super) dead: BTreeMap<usize, usize>,
}

impl<'a> Visitor<'a> for Scan<'_, '_, '_, 'a> {
    fn enter_scope(&mut self, kind: ScopeKind, _name: &'a str) {
        self.lambdas += usize::from(kind == ScopeKind::Lambda || self.lambdas > 0);
    }

    fn leave_scope(&mut self) {
        self.lambdas = self.lambdas.saturating_sub(1);
    }

    fn expression(&mut self, expression: &'a Expr) {
        if self.is_dead(expression) {
            return;
        }
        let (from, file, scope) = (self.walk.number, self.walk.file, self.walk.scope);
        let on_main = self.walk.on_main;
        match expression {
            Expr::Name(name) if matches!(name.ctx, ExprContext::Load) => {
                let reader = self.walk.reader();
                self.walk.reacher.name(reader, file, scope, &name.id);
            }
            Expr::Attribute(node) => {
                self.walk.reacher.mention(&node.attr, from, on_main);
                self.own_module_member(&node.value, &node.attr);
            }
            Expr::Call(call) => {
                if let (Expr::Name(function), [_, Expr::Constant(name), ..]) =
                    (&*call.func, call.args.as_slice())
                    && function.id.as_str() == "getattr"
                    && let Constant::Str(name) = &name.value
                {
                    self.walk.reacher.mention(name, from, on_main);
                }
            }
            Expr::IfExp(node) => match self.walk.judge(&node.test) {
                Test::Never => self.bury(&node.body),
                Test::Always => self.bury(&node.orelse),
                _ => {}
            },
            Expr::BoolOp(node) => {
                let ends = match node.op {
                    BoolOp::And => Test::Never,
                    BoolOp::Or => Test::Always,
                };
                let mut is_over = false;
                for value in &node.values {
                    if is_over {
                        self.bury(value);
                    } else if matches!(value, Expr::Constant(_) | Expr::Name(_)) {
                        is_over = self.walk.judge(value) == ends;
                    }
                }
                return;
            }
            Expr::Subscript(_) => {}
            _ => return,
        }
        if self.walk.reacher.extent == Extent::Needed {
            return;
        }
        self.walk.reacher.reached.uses.push(Use {
            unit: from,
            file,
            scope,
            expression,
            on_main,
            in_lambda: self.lambdas > 0,
        });
    }

    fn too_deep(&mut self, _span: Span) {}
}

impl<'a> Scan<'_, '_, '_, 'a> {
    fn is_dead(&self, expression: &Expr) -> bool {
        if self.dead.is_empty() {
            return false;
        }
        let (start, end) = span(expression);
        // none of them stands in another, so that only the last that begins before can be around
        let before = self.dead.range(..=start).next_back();
        before.is_some_and(|(_, dead_end)| end <= *dead_end)
    }

    fn bury(&mut self, expression: &Expr) {
        let (start, end) = span(expression);
        self.dead.insert(start, end);
    }

    /// `layers.block` where `layers` is a file of the bundle.
    fn own_module_member(&mut self, base: &'a Expr, name: &'a str) {
        let (file, scope) = (self.walk.file, self.walk.scope);
        let reader = self.walk.reader();
        let reacher = &mut *self.walk.reacher;
        let bundle = reacher.bundle;
        if !matches!(base, Expr::Name(_) | Expr::Attribute(_))
            || !bundle.top_level_names.contains(name)
        {
            return;
        }
        for origin in bundle.origins(file, scope, base).iter() {
            if let Origin::Own(module) = origin
                && let Some(&other) = bundle.modules.get(module.as_ref())
            {
                reacher.name(reader, other, 0, name);
            }
        }
    }
}
