//! The statement half of the walk in [`super::walk`].

use super::parse::ast::{self, Expr, Stmt};
use super::parse::span;
use super::walk::{Binding, Visitor, Walk};

impl<'a, V: Visitor<'a>> Walk<'_, V> {
    pub(super) fn statement(&mut self, statement: &'a Stmt) {
        if !self.descend(statement) {
            return;
        }
        let outer_end = std::mem::replace(&mut self.statement_end, span(statement).1);
        self.visitor.statement(statement);
        match statement {
            Stmt::FunctionDef(def) => self.function(
                span(def),
                &def.name,
                &def.args,
                &def.body,
                &def.decorator_list,
                def.returns.as_deref(),
                &def.type_params,
            ),
            Stmt::AsyncFunctionDef(def) => self.function(
                span(def),
                &def.name,
                &def.args,
                &def.body,
                &def.decorator_list,
                def.returns.as_deref(),
                &def.type_params,
            ),
            Stmt::ClassDef(class) => self.class(class),
            Stmt::Return(node) => self.optional(node.value.as_deref()),
            Stmt::Delete(node) => self.expressions(&node.targets),
            Stmt::Assign(node) => {
                self.expression(&node.value);
                for target in &node.targets {
                    self.assigned(target, &node.value);
                }
            }
            Stmt::TypeAlias(node) => {
                self.expression(&node.name);
                self.type_params(&node.type_params);
                self.expression(&node.value);
            }
            Stmt::AugAssign(node) => {
                self.expression(&node.value);
                self.expression(&node.target);
            }
            Stmt::AnnAssign(node) => {
                self.expression(&node.annotation);
                match node.value.as_deref() {
                    Some(value) => {
                        self.expression(value);
                        self.assigned(&node.target, value);
                    }
                    // an annotation without a value binds nothing at run time
                    None => match &*node.target {
                        Expr::Name(name) => self.visitor.identifier(&name.id, span(name)),
                        other => self.expression(other),
                    },
                }
            }
            Stmt::For(node) => self.for_loop(&node.iter, &node.target, &node.body, &node.orelse),
            Stmt::AsyncFor(node) => {
                self.for_loop(&node.iter, &node.target, &node.body, &node.orelse)
            }
            Stmt::While(node) => {
                self.expression(&node.test);
                self.branch(&node.body);
                self.branch(&node.orelse);
            }
            Stmt::If(node) => {
                self.expression(&node.test);
                self.branch(&node.body);
                self.branch(&node.orelse);
            }
            Stmt::With(node) => self.with(&node.items, &node.body),
            Stmt::AsyncWith(node) => self.with(&node.items, &node.body),
            Stmt::Match(node) => {
                self.expression(&node.subject);
                for case in &node.cases {
                    self.conditional += 1;
                    self.pattern(&case.pattern);
                    self.optional(case.guard.as_deref());
                    self.conditional -= 1;
                    self.branch(&case.body);
                }
            }
            Stmt::Raise(node) => {
                self.optional(node.exc.as_deref());
                self.optional(node.cause.as_deref());
            }
            Stmt::Try(node) => {
                self.try_statement(&node.body, &node.handlers, &node.orelse, &node.finalbody)
            }
            Stmt::TryStar(node) => {
                self.try_statement(&node.body, &node.handlers, &node.orelse, &node.finalbody)
            }
            Stmt::Assert(node) => {
                self.expression(&node.test);
                self.optional(node.msg.as_deref());
            }
            Stmt::Import(node) => {
                for alias in &node.names {
                    let module = alias.name.as_str();
                    match &alias.asname {
                        Some(name) => self.bind(name, span(alias), Binding::Import { module }),
                        None => {
                            let root = module.split('.').next().unwrap_or(module);
                            self.bind(root, span(alias), Binding::Import { module: root });
                        }
                    }
                }
            }
            Stmt::ImportFrom(node) => {
                for alias in &node.names {
                    let binding = Binding::ImportFrom {
                        module: node.module.as_ref().map_or("", |module| module.as_str()),
                        level: node.level.map_or(0, |level| level.to_u32()),
                        name: &alias.name,
                    };
                    self.bind(
                        alias.asname.as_ref().unwrap_or(&alias.name),
                        span(alias),
                        binding,
                    );
                }
            }
            Stmt::Global(node) => {
                for name in &node.names {
                    self.visitor.identifier(name, span(node));
                    self.visitor.declare_global(name);
                }
            }
            Stmt::Nonlocal(node) => {
                for name in &node.names {
                    self.visitor.identifier(name, span(node));
                    self.visitor.declare_nonlocal(name);
                }
            }
            Stmt::Expr(node) => self.expression(&node.value),
            Stmt::Pass(_) | Stmt::Break(_) | Stmt::Continue(_) => {}
        }
        self.statement_end = outer_end;
        self.depth -= 1;
    }

    fn for_loop(&mut self, iter: &'a Expr, target: &'a Expr, body: &'a [Stmt], orelse: &'a [Stmt]) {
        self.expression(iter);
        self.conditional += 1;
        self.expression(target);
        self.conditional -= 1;
        self.branch(body);
        self.branch(orelse);
    }

    fn with(&mut self, items: &'a [ast::WithItem], body: &'a [Stmt]) {
        for item in items {
            self.expression(&item.context_expr);
            self.optional(item.optional_vars.as_deref());
        }
        self.branch(body);
    }

    fn try_statement(
        &mut self,
        body: &'a [Stmt],
        handlers: &'a [ast::ExceptHandler],
        orelse: &'a [Stmt],
        finalbody: &'a [Stmt],
    ) {
        self.branch(body);
        for ast::ExceptHandler::ExceptHandler(handler) in handlers {
            self.optional(handler.type_.as_deref());
            self.conditional += 1;
            if let Some(name) = &handler.name {
                self.bind(name, span(handler), Binding::Other);
                self.visitor
                    .bind(name, span(handler), Binding::Delete, None);
            }
            self.conditional -= 1;
            self.branch(&handler.body);
        }
        self.branch(orelse);
        self.branch(finalbody);
    }

    /// An assignment target whose value is known.
    fn assigned(&mut self, target: &'a Expr, value: &'a Expr) {
        match target {
            Expr::Name(name) => {
                self.visitor.expression(target);
                self.bind(&name.id, span(name), Binding::Alias(value));
            }
            other => self.expression(other),
        }
    }
}
