//! One expression of a unit: the names it mentions and the members of the bundle's files that it reads.

use super::statements::UnitWalk;
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
    /// Parts that a constant condition keeps from running.
    pub(super) dead: Vec<Span>,
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
                self.walk.reacher.name(from, file, scope, &name.id, on_main);
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
                Test::Never => self.dead.push(span(&*node.body)),
                Test::Always => self.dead.push(span(&*node.orelse)),
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
                        self.dead.push(span(value));
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
        let is_around = |dead: &Span| dead.0 <= start && end <= dead.1;
        self.dead.iter().any(is_around)
    }

    /// `layers.block` where `layers` is a file of the bundle.
    fn own_module_member(&mut self, base: &'a Expr, name: &'a str) {
        let (from, file, scope) = (self.walk.number, self.walk.file, self.walk.scope);
        let on_main = self.walk.on_main;
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
                reacher.name(from, other, 0, name, on_main);
            }
        }
    }
}
