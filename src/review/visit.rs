//! What a walk over a syntax tree tells: nodes, names, scopes and bindings.

use super::parse::ast::{Expr, Pattern, Stmt};

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
    /// The tree is deeper than [`super::limits::MAX_WALK_DEPTH`], or its scopes than [`super::limits::MAX_SCOPE_DEPTH`]; what lies below was not
    /// visited.
    fn too_deep(&mut self, span: Span);
}

/// Two visitors on one walk.
impl<'a, A: Visitor<'a>, B: Visitor<'a>> Visitor<'a> for (&mut A, &mut B) {
    fn statement(&mut self, statement: &'a Stmt) {
        self.0.statement(statement);
        self.1.statement(statement);
    }

    fn expression(&mut self, expression: &'a Expr) {
        self.0.expression(expression);
        self.1.expression(expression);
    }

    fn pattern(&mut self, pattern: &'a Pattern) {
        self.0.pattern(pattern);
        self.1.pattern(pattern);
    }

    fn identifier(&mut self, name: &'a str, span: Span) {
        self.0.identifier(name, span);
        self.1.identifier(name, span);
    }

    fn enter_scope(&mut self, kind: ScopeKind, name: &'a str) {
        self.0.enter_scope(kind, name);
        self.1.enter_scope(kind, name);
    }

    fn leave_scope(&mut self) {
        self.0.leave_scope();
        self.1.leave_scope();
    }

    fn bind(&mut self, name: &'a str, span: Span, binding: Binding<'a>, settled: Option<usize>) {
        self.0.bind(name, span, binding, settled);
        self.1.bind(name, span, binding, settled);
    }

    fn declare_global(&mut self, name: &'a str) {
        self.0.declare_global(name);
        self.1.declare_global(name);
    }

    fn declare_nonlocal(&mut self, name: &'a str) {
        self.0.declare_nonlocal(name);
        self.1.declare_nonlocal(name);
    }

    fn too_deep(&mut self, span: Span) {
        self.0.too_deep(span);
        self.1.too_deep(span);
    }
}
