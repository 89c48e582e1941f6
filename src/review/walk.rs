//! A complete walk over statements, expressions and patterns, with Python's scopes.
//!
//! The parser's own visitor skips keyword values, defaults, annotations, comprehension iterables and more, so every
//! field is listed here; a field added to the tree without a line here fails to compile where structs are destructured.

use super::limits::{MAX_SCOPE_DEPTH, MAX_WALK_DEPTH};
use super::parse::ast::{self, Arguments, Expr, Pattern, Stmt, TypeParam};
use super::parse::span;

/// Byte range `start..end` in the source.
pub type Span = (usize, usize);

/// The kinds of name scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeKind {
    Module,
    Class,
    Function,
    Lambda,
    Comprehension,
}

/// How a name comes to be bound.
#[derive(Clone, Copy)]
pub enum Binding<'a> {
    /// `import a.b` binds `a`; `import a.b as c` binds `a.b` to `c`.
    Import {
        module: &'a str,
    },
    /// `from module import name`, `level` dots before the module.
    ImportFrom {
        module: &'a str,
        level: u32,
        name: &'a str,
    },
    /// `name = value`.
    Alias(&'a Expr),
    /// `def name` or `async def name`.
    Function,
    Class,
    /// A parameter; `position` counts positional ones from 0.
    Parameter {
        position: usize,
        has_default: bool,
    },
    /// `name := value`, bound outside comprehensions.
    Walrus,
    /// `del name`, or the implicit deletion after `except ... as name`.
    Delete,
    /// Loop and `with` targets, unpacking, captures and everything else.
    Other,
}

/// What a walk tells. Calls come in source order, parents before children.
pub trait Visitor<'a> {
    fn statement(&mut self, _statement: &'a Stmt) {}
    fn expression(&mut self, _expression: &'a Expr) {}
    fn pattern(&mut self, _pattern: &'a Pattern) {}
    /// Every identifier that the grammar has, wherever it stands.
    fn identifier(&mut self, _name: &'a str, _span: Span) {}
    fn enter_scope(&mut self, _kind: ScopeKind, _name: &'a str) {}
    fn leave_scope(&mut self) {}
    /// `settled`: the byte offset from which on the name is certainly bound, which is the end of the binding statement
    /// when that stands directly in the body of its scope, and unknown otherwise.
    fn bind(
        &mut self,
        _name: &'a str,
        _span: Span,
        _binding: Binding<'a>,
        _settled: Option<usize>,
    ) {
    }
    fn declare_global(&mut self, _name: &'a str) {}
    fn declare_nonlocal(&mut self, _name: &'a str) {}
    /// The tree is deeper than [`MAX_WALK_DEPTH`], or its scopes than [`MAX_SCOPE_DEPTH`]; what lies below was not
    /// visited.
    fn too_deep(&mut self, span: Span);
}

/// Walks a whole module.
pub fn walk_module<'a>(body: &'a [Stmt], visitor: &mut dyn Visitor<'a>) {
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
pub fn walk_expression<'a>(expression: &'a Expr, visitor: &mut dyn Visitor<'a>) {
    Walk {
        visitor,
        depth: 0,
        scope_depth: 0,
        conditional: 0,
        statement_end: 0,
    }
    .expression(expression);
}

pub(super) struct Walk<'v, 'a> {
    pub(super) visitor: &'v mut dyn Visitor<'a>,
    pub(super) depth: usize,
    scope_depth: usize,
    /// Compound statements between here and the body of the scope.
    conditional: usize,
    /// End of the innermost statement.
    statement_end: usize,
}

impl<'a> Walk<'_, 'a> {
    fn body(&mut self, statements: &'a [Stmt]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn branch(&mut self, statements: &'a [Stmt]) {
        self.conditional += 1;
        self.body(statements);
        self.conditional -= 1;
    }

    pub(super) fn bind(&mut self, name: &'a str, span: Span, binding: Binding<'a>) {
        self.visitor.identifier(name, span);
        let settled = (self.conditional == 0).then_some(self.statement_end);
        self.visitor.bind(name, span, binding, settled);
    }

    pub(super) fn descend(&mut self, at: Span) -> bool {
        if self.depth >= MAX_WALK_DEPTH {
            self.visitor.too_deep(at);
            return false;
        }
        self.depth += 1;
        true
    }

    fn statement(&mut self, statement: &'a Stmt) {
        if !self.descend(span(statement)) {
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

    #[expect(
        clippy::too_many_arguments,
        reason = "def and async def are two structs with the same fields"
    )]
    fn function(
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

    fn class(&mut self, class: &'a ast::StmtClassDef) {
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

/// Positional parameters in order.
pub fn positional(arguments: &Arguments) -> impl Iterator<Item = &ast::ArgWithDefault> {
    arguments.posonlyargs.iter().chain(&arguments.args)
}
