//! The statements of one unit: what runs when it does, and what it only defines.

use std::collections::BTreeMap;

use super::expressions::Scan;
use super::names::Reader;
use super::{Extent, Node, Part, Reacher, Unit};
use crate::review::flow::{Flow, Test, walk_live};
use crate::review::parse::ast::{Arguments, Expr, Keyword, Pattern, Stmt};
use crate::review::scope::ScopeId;
use crate::review::walk::{ScopeKind, positional, walk_expression};

/// Walks what a unit runs; `number` is its place among the reached ones.
pub(super) fn walk<'a>(reacher: &mut Reacher<'_, 'a>, number: usize, unit: Unit<'a>) {
    let mut walk = UnitWalk {
        number,
        file: unit.file,
        scope: unit.scope,
        on_main: false,
        kind: ScopeKind::Function,
        is_content: reacher.extent == Extent::Needed,
        reacher,
    };
    match unit.definition {
        None => {
            walk.kind = ScopeKind::Module;
            if let Some(source) = walk.reacher.bundle.files.get(unit.file) {
                walk_live(source.body, false, &mut walk);
            }
        }
        Some(Stmt::FunctionDef(def)) => {
            walk.heading(&def.decorator_list, Some(&def.args), &[]);
            walk_live(&def.body, false, &mut walk);
        }
        Some(Stmt::AsyncFunctionDef(def)) => {
            walk.heading(&def.decorator_list, Some(&def.args), &[]);
            walk_live(&def.body, false, &mut walk);
        }
        Some(Stmt::ClassDef(class)) => {
            walk.kind = ScopeKind::Class;
            walk.heading(&class.decorator_list, None, &class.keywords);
            walk.expressions(&class.bases);
            walk_live(&class.body, false, &mut walk);
        }
        Some(_) => {}
    }
}

/// One unit while its statements are walked.
pub(super) struct UnitWalk<'r, 'b, 'a> {
    pub(super) number: usize,
    pub(super) file: usize,
    pub(super) scope: ScopeId,
    pub(super) on_main: bool,
    pub(super) kind: ScopeKind,
    /// What is walked belongs to the unit's content.
    pub(super) is_content: bool,
    pub(super) reacher: &'r mut Reacher<'b, 'a>,
}

impl<'a> UnitWalk<'_, '_, 'a> {
    /// What a definition evaluates when it is made.
    fn heading(
        &mut self,
        decorators: &'a [Expr],
        arguments: Option<&'a Arguments>,
        keywords: &'a [Keyword],
    ) {
        self.expressions(decorators);
        for keyword in keywords {
            self.expression(&keyword.value);
        }
        if let Some(arguments) = arguments {
            for argument in positional(arguments).chain(&arguments.kwonlyargs) {
                if let Some(default) = argument.default.as_deref() {
                    self.expression(default);
                }
            }
        }
    }

    pub(super) fn reader(&self) -> Reader {
        Reader {
            from: Node::Unit(self.number),
            unit: self.number,
            on_main: self.on_main,
        }
    }

    fn expressions(&mut self, expressions: &'a [Expr]) {
        for expression in expressions {
            self.expression(expression);
        }
    }

    fn optional(&mut self, expression: Option<&'a Expr>) {
        if let Some(expression) = expression {
            self.expression(expression);
        }
    }

    pub(super) fn expression(&mut self, expression: &'a Expr) {
        if self.is_content {
            let part = (self.number, Part::Expression(expression));
            self.reacher.reached.parts.push(part);
        }
        let mut scan = Scan {
            walk: self,
            lambdas: 0,
            dead: BTreeMap::new(),
        };
        walk_expression(expression, &mut scan);
    }

    fn function(&mut self, name: &'a str, decorators: &'a [Expr], arguments: &'a Arguments) {
        if self.kind != ScopeKind::Class {
            if self.reacher.extent == Extent::Imported {
                self.heading(decorators, Some(arguments), &[]);
            }
            return;
        }
        self.reacher
            .method(self.number, self.file, self.scope, name, self.on_main);
    }

    fn import(&mut self, dotted: &str) {
        // a.b.c runs a, a.b and a.b.c
        let ends = dotted.match_indices('.').map(|(dot, _)| dot);
        for end in ends.chain([dotted.len()]) {
            if let Some(&file) = dotted
                .get(..end)
                .and_then(|module| self.reacher.bundle.modules.get(module))
            {
                self.reacher.enter_module(self.number, file, self.on_main);
            }
        }
    }

    fn pattern(&mut self, pattern: &'a Pattern) {
        match pattern {
            Pattern::MatchValue(node) => self.expression(&node.value),
            Pattern::MatchClass(node) => self.expression(&node.cls),
            _ => {}
        }
    }
}

impl<'a> Flow<'a> for UnitWalk<'_, '_, 'a> {
    fn statement(&mut self, statement: &'a Stmt, on_main: bool) {
        self.on_main = on_main;
        let skips_unread = self.kind == ScopeKind::Module && self.reacher.extent == Extent::Needed;
        if self.is_content
            && !(skips_unread && matches!(statement, Stmt::Assign(_) | Stmt::AnnAssign(_)))
        {
            let part = (self.number, Part::Statement(statement));
            self.reacher.reached.parts.push(part);
        }
        match statement {
            Stmt::FunctionDef(def) => self.function(&def.name, &def.decorator_list, &def.args),
            Stmt::AsyncFunctionDef(def) => self.function(&def.name, &def.decorator_list, &def.args),
            Stmt::ClassDef(class) => {
                if self.reacher.extent == Extent::Imported {
                    self.reacher.definitions(
                        Node::Unit(self.number),
                        self.file,
                        self.scope,
                        &class.name,
                        on_main,
                    );
                }
            }
            Stmt::Assign(node) => {
                if !(skips_unread
                    && node
                        .targets
                        .iter()
                        .all(|target| matches!(target, Expr::Name(_))))
                {
                    self.expression(&node.value);
                    self.expressions(&node.targets);
                }
            }
            Stmt::AnnAssign(node) => {
                if !(skips_unread && matches!(&*node.target, Expr::Name(_))) {
                    self.optional(node.value.as_deref());
                    self.expression(&node.target);
                }
            }
            Stmt::AugAssign(node) => {
                self.expression(&node.value);
                self.expression(&node.target);
            }
            Stmt::Return(node) => self.optional(node.value.as_deref()),
            Stmt::Delete(node) => self.expressions(&node.targets),
            Stmt::For(node) => {
                self.expression(&node.iter);
                self.expression(&node.target);
            }
            Stmt::AsyncFor(node) => {
                self.expression(&node.iter);
                self.expression(&node.target);
            }
            Stmt::While(node) => self.expression(&node.test),
            Stmt::If(node) => self.expression(&node.test),
            Stmt::With(node) => {
                for item in &node.items {
                    self.expression(&item.context_expr);
                    self.optional(item.optional_vars.as_deref());
                }
            }
            Stmt::AsyncWith(node) => {
                for item in &node.items {
                    self.expression(&item.context_expr);
                    self.optional(item.optional_vars.as_deref());
                }
            }
            Stmt::Match(node) => {
                self.expression(&node.subject);
                for case in &node.cases {
                    self.pattern(&case.pattern);
                    self.optional(case.guard.as_deref());
                }
            }
            Stmt::Raise(node) => {
                self.optional(node.exc.as_deref());
                self.optional(node.cause.as_deref());
            }
            Stmt::Assert(node) => {
                self.expression(&node.test);
                self.optional(node.msg.as_deref());
            }
            Stmt::Import(node) => {
                for alias in &node.names {
                    self.import(&alias.name);
                }
            }
            Stmt::ImportFrom(node) => {
                let path = self
                    .reacher
                    .bundle
                    .files
                    .get(self.file)
                    .map_or("", |file| file.path);
                let module = node.module.as_ref().map_or("", |module| module.as_str());
                let level = node.level.map_or(0, |level| level.to_u32());
                let dotted = self.reacher.bundle.absolute(path, module, level);
                self.import(&dotted);
                for alias in &node.names {
                    let inner = format!("{dotted}.{}", alias.name);
                    if self.reacher.bundle.modules.contains_key(&inner) {
                        self.import(&inner);
                    }
                }
            }
            Stmt::Expr(node) => {
                if !matches!(&*node.value, Expr::Constant(_)) {
                    self.expression(&node.value);
                }
            }
            Stmt::Try(_)
            | Stmt::TryStar(_)
            | Stmt::TypeAlias(_)
            | Stmt::Global(_)
            | Stmt::Nonlocal(_)
            | Stmt::Pass(_)
            | Stmt::Break(_)
            | Stmt::Continue(_) => {}
        }
    }

    fn judge(&mut self, test: &'a Expr) -> Test {
        self.reacher.conditions.judge(self.file, self.scope, test)
    }
}
