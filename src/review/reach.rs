//! What an entry point can run: its own statements, the functions, classes and files of the bundle that it leads to.
//!
//! Calls are followed by name, through aliases and the bundle's own imports; a method counts as reached when its class
//! is and its name is mentioned. Dead code and definitions that nothing names are not reached.

use std::collections::{HashMap, HashSet};

use super::bundle::Bundle;
use super::conditions::Conditions;
use super::flow::{Flow, Test, walk_live};
use super::origin::Origin;
use super::parse::ast::{Arguments, Constant, Expr, ExprContext, Keyword, Pattern, Stmt};
use super::parse::span;
use super::scope::ScopeId;
use super::walk::{Binding, ScopeKind, Span, Visitor, positional, walk_expression};

/// How much of a module an import counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything that importing it runs.
    Imported,
    /// Only what the entry points need of it: its effects, and the names that are read.
    Needed,
}

/// A function, a class body, or (scope 0) the statements of a file.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    pub file: usize,
    pub scope: ScopeId,
    /// None for the statements of a file.
    pub definition: Option<&'a Stmt>,
    /// Rank 0 alone gets here.
    pub on_main: bool,
}

/// An expression that can run.
#[derive(Clone, Copy)]
pub struct Use<'a> {
    pub unit: usize,
    pub file: usize,
    pub scope: ScopeId,
    pub expression: &'a Expr,
    /// Rank 0 alone gets here within its unit.
    pub on_main: bool,
    /// Inside a lambda, which may never be called.
    pub in_lambda: bool,
}

/// A piece of a unit, in the order of the source.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    Statement(&'a Stmt),
    /// A whole expression that stands directly in a statement.
    Expression(&'a Expr),
}

/// What is reached from the entry points.
#[derive(Default)]
pub struct Reached<'a> {
    pub units: Vec<Unit<'a>>,
    /// Calls, attributes and names that are read, in the order of the walk.
    pub uses: Vec<Use<'a>>,
    /// The units' content, with the unit's number ([`Extent::Needed`] only).
    pub parts: Vec<(usize, Part<'a>)>,
    /// Values of module-level names that are read, with their files ([`Extent::Needed`] only).
    pub globals: Vec<(usize, &'a Expr)>,
}

/// Follows the entry points, each `(path, function)`.
pub fn reach<'a>(
    bundle: &Bundle<'a>,
    entries: &[(&str, &str)],
    extent: Extent,
    several_ranks: bool,
) -> Reached<'a> {
    let mut reacher = Reacher {
        bundle,
        conditions: Conditions {
            bundle,
            several_ranks,
        },
        extent,
        definitions: bundle.files.iter().map(|_| None).collect(),
        reached: Reached::default(),
        numbers: HashMap::new(),
        edges: Vec::new(),
        next: 0,
        mentioned: HashSet::new(),
        waiting: HashMap::new(),
        followed: HashSet::new(),
    };
    let mut roots = Vec::new();
    for (path, symbol) in entries {
        if let Some(file) = bundle.files.iter().position(|file| file.path == *path) {
            roots.push(reacher.unit(file, 0, None));
            for scope in reacher.defined(file, 0, symbol) {
                let definition = reacher.definition(file, scope);
                roots.push(reacher.unit(file, scope, definition));
            }
        }
    }
    reacher.run();
    reacher.settle_ranks(&roots);
    reacher.reached
}

/// Scopes of definitions by the scope that holds them and their name.
type Definitions<'a> = HashMap<(ScopeId, &'a str), Vec<ScopeId>>;

struct Reacher<'b, 'a> {
    bundle: &'b Bundle<'a>,
    conditions: Conditions<'b, 'a>,
    extent: Extent,
    definitions: Vec<Option<Definitions<'a>>>,
    reached: Reached<'a>,
    numbers: HashMap<(usize, ScopeId), usize>,
    /// From unit, to unit, on rank 0 only.
    edges: Vec<(usize, usize, bool)>,
    /// The next unit to be walked.
    next: usize,
    mentioned: HashSet<&'a str>,
    /// Methods of reached classes that nothing has mentioned yet: file, scope, class.
    waiting: HashMap<&'a str, Vec<(usize, ScopeId, usize)>>,
    /// Names that were followed: file, scope, name.
    followed: HashSet<(usize, ScopeId, &'a str)>,
}

impl<'a> Reacher<'_, 'a> {
    fn run(&mut self) {
        while let Some(&unit) = self.reached.units.get(self.next) {
            let number = self.next;
            self.next += 1;
            self.walk_unit(number, unit);
        }
    }

    /// A unit is on rank 0 only when every way to it is.
    fn settle_ranks(&mut self, roots: &[usize]) {
        for (number, unit) in self.reached.units.iter_mut().enumerate() {
            unit.on_main = !roots.contains(&number);
        }
        let mut changed = true;
        while changed {
            changed = false;
            for &(from, to, on_main) in &self.edges {
                let from_main = self
                    .reached
                    .units
                    .get(from)
                    .is_some_and(|unit| unit.on_main);
                if let Some(unit) = self.reached.units.get_mut(to)
                    && unit.on_main
                    && !on_main
                    && !from_main
                {
                    unit.on_main = false;
                    changed = true;
                }
            }
        }
    }

    fn unit(&mut self, file: usize, scope: ScopeId, definition: Option<&'a Stmt>) -> usize {
        *self.numbers.entry((file, scope)).or_insert_with(|| {
            self.reached.units.push(Unit {
                file,
                scope,
                definition,
                on_main: false,
            });
            self.reached.units.len() - 1
        })
    }

    fn definition(&self, file: usize, scope: ScopeId) -> Option<&'a Stmt> {
        self.bundle
            .files
            .get(file)?
            .scopes
            .scopes
            .get(scope)?
            .definition
    }

    /// Scopes of the functions and classes of this name that stand directly in `home`.
    fn defined(&mut self, file: usize, home: ScopeId, name: &str) -> Vec<ScopeId> {
        let Some(source) = self.bundle.files.get(file) else {
            return Vec::new();
        };
        let Some(slot) = self.definitions.get_mut(file) else {
            return Vec::new();
        };
        let definitions = slot.get_or_insert_with(|| {
            let mut definitions = Definitions::new();
            for (id, scope) in source.scopes.scopes.iter().enumerate() {
                if let (Some(parent), Some(_)) = (scope.parent, scope.definition) {
                    definitions
                        .entry((parent, scope.name))
                        .or_default()
                        .push(id);
                }
            }
            definitions
        });
        definitions.get(&(home, name)).cloned().unwrap_or_default()
    }

    fn walk_unit(&mut self, number: usize, unit: Unit<'a>) {
        let mut walk = UnitWalk {
            number,
            file: unit.file,
            scope: unit.scope,
            on_main: false,
            kind: ScopeKind::Function,
            is_content: self.extent == Extent::Needed,
            reacher: self,
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

    fn enter(&mut self, from: usize, file: usize, scope: ScopeId, on_main: bool) {
        let definition = self.definition(file, scope);
        let to = self.unit(file, scope, definition);
        self.edges.push((from, to, on_main));
    }

    fn enter_module(&mut self, from: usize, file: usize, on_main: bool) {
        let to = self.unit(file, 0, None);
        self.edges.push((from, to, on_main));
    }

    fn mention(&mut self, name: &'a str, from: usize, on_main: bool) {
        self.mentioned.insert(name);
        // every mention is a way to the method, also a later one
        if let Some(methods) = self.waiting.get(name) {
            for (file, scope, _) in methods.clone() {
                self.enter(from, file, scope, on_main);
            }
        }
    }

    /// A name that is read in `scope`.
    fn name(&mut self, from: usize, file: usize, scope: ScopeId, name: &str, on_main: bool) {
        let Some(source) = self.bundle.files.get(file) else {
            return;
        };
        let Some((home, record)) = source.scopes.lookup(scope, name) else {
            return;
        };
        for definition in self.defined(file, home, name) {
            self.enter(from, file, definition, on_main);
        }
        let Some((&name, _)) = source
            .scopes
            .scopes
            .get(home)
            .and_then(|scope| scope.names.get_key_value(name))
        else {
            return;
        };
        if !self.followed.insert((file, home, name)) {
            return;
        }
        for bound in &record.bounds {
            match bound.binding {
                Binding::ImportFrom {
                    module,
                    level,
                    name,
                } => {
                    let dotted = self.bundle.absolute(source.path, module, level);
                    if let Some(&other) = self.bundle.modules.get(&dotted) {
                        self.followed.remove(&(file, home, name));
                        self.name(from, other, 0, name, on_main);
                    }
                }
                Binding::Alias(value) if home == 0 && self.extent == Extent::Needed => {
                    self.reached.globals.push((file, value));
                    let mut walk = UnitWalk {
                        number: from,
                        file,
                        scope: 0,
                        on_main,
                        kind: ScopeKind::Function,
                        is_content: false,
                        reacher: self,
                    };
                    walk.expression(value);
                }
                _ => {}
            }
        }
    }
}

/// One unit while its statements are walked.
struct UnitWalk<'r, 'b, 'a> {
    number: usize,
    file: usize,
    scope: ScopeId,
    on_main: bool,
    kind: ScopeKind,
    /// What is walked belongs to the unit's content.
    is_content: bool,
    reacher: &'r mut Reacher<'b, 'a>,
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

    fn expression(&mut self, expression: &'a Expr) {
        if self.is_content {
            let part = (self.number, Part::Expression(expression));
            self.reacher.reached.parts.push(part);
        }
        let mut scan = Scan {
            walk: self,
            lambdas: 0,
            dead: Vec::new(),
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
        let from = self.number;
        for scope in self.reacher.defined(self.file, self.scope, name) {
            let method = (self.file, scope, from);
            let methods = self.reacher.waiting.entry(name).or_default();
            if !methods.contains(&method) {
                methods.push(method);
            }
            let is_called_by_others = name == "forward" || name.starts_with("__");
            if is_called_by_others || self.reacher.mentioned.contains(name) {
                self.reacher.enter(from, self.file, scope, self.on_main);
            }
        }
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
                    for scope in self.reacher.defined(self.file, self.scope, &class.name) {
                        self.reacher.enter(self.number, self.file, scope, on_main);
                    }
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

/// One expression while it is walked.
struct Scan<'s, 'r, 'b, 'a> {
    walk: &'s mut UnitWalk<'r, 'b, 'a>,
    lambdas: usize,
    /// Parts that a constant condition keeps from running.
    dead: Vec<Span>,
}

impl<'a> Visitor<'a> for Scan<'_, '_, '_, 'a> {
    fn enter_scope(&mut self, kind: ScopeKind, _name: &'a str) {
        self.lambdas += usize::from(kind == ScopeKind::Lambda || self.lambdas > 0);
    }

    fn leave_scope(&mut self) {
        self.lambdas = self.lambdas.saturating_sub(1);
    }

    fn expression(&mut self, expression: &'a Expr) {
        let (start, end) = span(expression);
        if self
            .dead
            .iter()
            .any(|dead| dead.0 <= start && end <= dead.1)
        {
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
                    super::parse::ast::BoolOp::And => Test::Never,
                    super::parse::ast::BoolOp::Or => Test::Always,
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
    /// `layers.block` where `layers` is a file of the bundle.
    fn own_module_member(&mut self, base: &'a Expr, name: &'a str) {
        let (from, file, scope) = (self.walk.number, self.walk.file, self.walk.scope);
        let on_main = self.walk.on_main;
        let reacher = &mut *self.walk.reacher;
        let bundle = reacher.bundle;
        let is_defined_somewhere = bundle.files.iter().any(|file| {
            file.scopes
                .scopes
                .first()
                .is_some_and(|module| module.names.contains_key(name))
        });
        if !is_defined_somewhere || !matches!(base, Expr::Name(_) | Expr::Attribute(_)) {
            return;
        }
        for origin in bundle.origins(file, scope, base) {
            if let Origin::Own(module) = origin
                && let Some(&other) = bundle.modules.get(&module)
            {
                reacher.name(from, other, 0, name, on_main);
            }
        }
    }
}
