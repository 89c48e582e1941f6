//! A complete walk over statements, expressions and patterns, with Python's scopes.
//!
//! The parser's own visitor skips keyword values, defaults, annotations, comprehension iterables and more, so every
//! field is listed here; a field added to the tree without a line here fails to compile where structs are destructured.

use super::limits::{MAX_SCOPE_DEPTH, MAX_WALK_DEPTH};
use super::parse::ast::{self, Arguments, Expr, Stmt, TypeParam};
use super::parse::span;

pub use super::visit::{Binding, ScopeKind, Span, Visitor};

/// Walks a whole module.
pub fn walk_module<'a, V: Visitor<'a>>(body: &'a [Stmt], visitor: &mut V) {
    let mut walk = Walk {
        visitor,
        depth: 0,
        scope_depth: 0,
        conditional: 0,
        statement_end: 0,
    };
    walk.visitor.enter_scope(ScopeKind::Module, "");
    walk.body(body);
    walk.visitor.leave_scope();
}

/// Walks one expression, outside of any scope.
pub fn walk_expression<'a, V: Visitor<'a>>(expression: &'a Expr, visitor: &mut V) {
    Walk {
        visitor,
        depth: 0,
        scope_depth: 0,
        conditional: 0,
        statement_end: 0,
    }
    .expression(expression);
}

pub(super) struct Walk<'v, V> {
    pub(super) visitor: &'v mut V,
    pub(super) depth: usize,
    scope_depth: usize,
    /// Compound statements between here and the body of the scope.
    pub(super) conditional: usize,
    /// End of the innermost statement.
    pub(super) statement_end: usize,
}

impl<'a, V: Visitor<'a>> Walk<'_, V> {
    pub(super) fn body(&mut self, statements: &'a [Stmt]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    pub(super) fn branch(&mut self, statements: &'a [Stmt]) {
        self.conditional += 1;
        self.body(statements);
        self.conditional -= 1;
    }

    pub(super) fn bind(&mut self, name: &'a str, span: Span, binding: Binding<'a>) {
        self.visitor.identifier(name, span);
        let settled = (self.conditional == 0).then_some(self.statement_end);
        self.visitor.bind(name, span, binding, settled);
    }

    pub(super) fn descend(&mut self, node: &impl ast::Ranged) -> bool {
        if self.depth >= MAX_WALK_DEPTH {
            self.visitor.too_deep(span(node));
            return false;
        }
        self.depth += 1;
        true
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "def and async def are two structs with the same fields"
    )]
    pub(super) fn function(
        &mut self,
        at: Span,
        name: &'a str,
        arguments: &'a Arguments,
        body: &'a [Stmt],
        decorators: &'a [Expr],
        returns: Option<&'a Expr>,
        type_params: &'a [TypeParam],
    ) {
        self.expressions(decorators);
        self.defaults_and_annotations(arguments);
        self.optional(returns);
        self.bind(name, at, Binding::Function);
        self.scoped(ScopeKind::Function, name, |walk| {
            walk.type_params(type_params);
            walk.parameters(arguments);
            walk.body(body);
        });
    }

    pub(super) fn class(&mut self, class: &'a ast::StmtClassDef) {
        self.expressions(&class.decorator_list);
        self.expressions(&class.bases);
        self.keywords(&class.keywords);
        self.scoped(ScopeKind::Class, &class.name, |walk| {
            walk.type_params(&class.type_params);
            walk.body(&class.body);
        });
        self.bind(&class.name, span(class), Binding::Class);
    }

    pub(super) fn scoped(
        &mut self,
        kind: ScopeKind,
        name: &'a str,
        inside: impl FnOnce(&mut Self),
    ) {
        if self.scope_depth >= MAX_SCOPE_DEPTH {
            self.visitor
                .too_deep((self.statement_end, self.statement_end));
            return;
        }
        let conditional = std::mem::take(&mut self.conditional);
        self.scope_depth += 1;
        self.visitor.enter_scope(kind, name);
        inside(self);
        self.visitor.leave_scope();
        self.scope_depth -= 1;
        self.conditional = conditional;
    }
}

/// Positional parameters in order.
pub fn positional(arguments: &Arguments) -> impl Iterator<Item = &ast::ArgWithDefault> {
    arguments.posonlyargs.iter().chain(&arguments.args)
}
