//! The rules, one file per family, and the walk that calls them.

mod attribute_names;
mod attributes;
mod builtin_calls;
mod contract;
mod enums;
mod format_strings;
mod imports;
mod library_calls;
mod literals;
mod modules;
mod purity;
mod syntax;
mod trusted_paths;
mod type_calls;

use std::cell::RefCell;
use std::collections::VecDeque;

use super::bundle::{Bundle, SourceFile};
use super::finding::{Finding, Place, Severity};
use super::ledger::{ExpressionKey, Origins};
use super::limits::{MAX_FINDINGS_PER_FILE, MAX_SCOPE_DEPTH, MAX_WALK_DEPTH};
use super::parse::ast::{Expr, Pattern, Stmt};
use super::scope::{ScopeCursor, ScopeId};
use super::seeded::{Set, roomy_set};
use super::walk::{Binding, ScopeKind, Span, Visitor, walk_module};
use literals::Literals;

pub use contract::{check_entry, check_roles, check_shadowing};
pub use purity::{check as check_purity, is_data_word};

/// Answers that are kept at hand.
const RECENT: usize = 4;

/// Applies every rule to one file of the bundle.
///
/// Returns the findings and the number of syntax nodes seen.
pub fn check_file(bundle: &Bundle<'_>, index: usize) -> (Vec<Finding>, usize) {
    let Some(file) = bundle.files.get(index) else {
        return (Vec::new(), 0);
    };
    let mut walk = RuleWalk {
        bundle,
        file,
        index,
        cursor: ScopeCursor::default(),
        settled: roomy_set(),
        findings: Vec::new(),
        places: Set::default(),
        literals: Literals::default(),
        recent: RefCell::new(VecDeque::with_capacity(RECENT)),
        nodes: 0,
    };
    bundle.ledger.begin_file(index);
    if let Some(span) = file.scopes.too_deep {
        walk.too_deep(span);
        return (walk.findings, 0);
    }
    walk_module(file.body, &mut walk);
    let literals = std::mem::take(&mut walk.literals);
    literals.report(&mut walk);
    (walk.findings, walk.nodes)
}

/// The state of one walk over one file.
pub struct RuleWalk<'b, 'a> {
    bundle: &'b Bundle<'a>,
    file: &'b SourceFile<'a>,
    index: usize,
    cursor: ScopeCursor,
    /// Expressions that a parent has already judged, by address.
    settled: Set<usize>,
    findings: Vec<Finding>,
    /// Rules and offsets of `findings`: one finding of a rule for each place.
    places: Set<(&'static str, usize)>,
    literals: Literals,
    /// The last answers: the rules ask for one expression several times in a row.
    recent: RefCell<VecDeque<(ExpressionKey, Origins<'a>)>>,
    nodes: usize,
}

impl<'a> RuleWalk<'_, 'a> {
    fn scope(&self) -> ScopeId {
        self.cursor.current()
    }

    fn scope_kind(&self) -> ScopeKind {
        self.file
            .scopes
            .scopes
            .get(self.scope())
            .map_or(ScopeKind::Module, |scope| scope.kind)
    }

    fn origins(&self, expression: &'a Expr) -> Origins<'a> {
        let key = (self.scope(), std::ptr::from_ref(expression) as usize);
        let mut recent = self.recent.borrow_mut();
        if let Some((_, known)) = recent.iter().find(|(other, _)| *other == key) {
            return known.clone();
        }
        let found = self.bundle.origins(self.index, key.0, expression);
        if recent.len() == RECENT {
            recent.pop_back();
        }
        recent.push_front((key, found.clone()));
        found
    }

    /// The parent has judged this expression; the rules for bare values do not apply to it.
    fn settle(&mut self, expression: &'a Expr) {
        self.settled.insert(std::ptr::from_ref(expression) as usize);
    }

    fn is_settled(&self, expression: &'a Expr) -> bool {
        self.settled
            .contains(&(std::ptr::from_ref(expression) as usize))
    }

    fn reject(&mut self, rule_id: &'static str, span: Span, ast_node: &'static str, detail: &str) {
        self.report(rule_id, Severity::Reject, span, ast_node, detail);
    }

    fn warn(&mut self, rule_id: &'static str, span: Span, ast_node: &'static str, detail: &str) {
        self.report(rule_id, Severity::Warn, span, ast_node, detail);
    }

    fn report(
        &mut self,
        rule_id: &'static str,
        severity: Severity,
        span: Span,
        ast_node: &'static str,
        detail: &str,
    ) {
        if self.findings.len() >= MAX_FINDINGS_PER_FILE && severity == Severity::Warn {
            return;
        }
        if self.findings.len() >= 2 * MAX_FINDINGS_PER_FILE {
            return;
        }
        let place = Place {
            path: self.file.path,
            text: self.file.text,
            span,
            ast_node,
        };
        if self.places.insert((rule_id, span.0)) {
            self.findings
                .push(Finding::at(rule_id, severity, &place, detail));
        }
    }
}

impl<'a> Visitor<'a> for RuleWalk<'_, 'a> {
    fn statement(&mut self, statement: &'a Stmt) {
        self.nodes += 1;
        self.literals.statement(statement);
        syntax::check_statement(self, statement);
        match statement {
            Stmt::Import(node) => imports::check_import(self, node),
            Stmt::ImportFrom(node) => imports::check_import_from(self, node),
            Stmt::FunctionDef(node) => library_calls::settle_decorators(self, &node.decorator_list),
            Stmt::ClassDef(node) => {
                library_calls::settle_decorators(self, &node.decorator_list);
                enums::check_class(self, node);
            }
            Stmt::Assign(node) => {
                modules::settle_aliases(self, node.targets.iter(), &node.value);
            }
            Stmt::AnnAssign(node) => {
                if let Some(value) = node.value.as_deref() {
                    modules::settle_aliases(self, std::iter::once(&*node.target), value);
                }
            }
            _ => {}
        }
    }

    fn expression(&mut self, expression: &'a Expr) {
        self.nodes += 1;
        self.literals.expression(expression);
        syntax::check_expression(self, expression);
        match expression {
            Expr::Attribute(node) => {
                type_calls::settle_class_name(self, node);
                modules::check_attribute(self, expression, node);
                format_strings::check(self, node);
            }
            Expr::Name(node) => builtin_calls::check_name(self, expression, node),
            Expr::Call(call) => {
                type_calls::settle_call(self, call);
                builtin_calls::check_call(self, expression, call);
                attributes::settle_parent_setattr(self, call);
                library_calls::check(self, call);
                enums::check_call(self, call);
            }
            Expr::Compare(node) => {
                modules::settle_identity_tests(self, node);
                type_calls::settle_comparison(self, node);
            }
            Expr::Subscript(node) => type_calls::settle_subscript(self, node),
            Expr::FormattedValue(node) => type_calls::settle(self, &node.value),
            _ => {}
        }
    }

    fn pattern(&mut self, pattern: &'a Pattern) {
        self.nodes += 1;
        attributes::check_pattern(self, pattern);
    }

    fn identifier(&mut self, name: &'a str, span: Span) {
        syntax::check_identifier(self, name, span);
    }

    fn enter_scope(&mut self, _kind: ScopeKind, _name: &'a str) {
        self.cursor.enter();
    }

    fn leave_scope(&mut self) {
        self.cursor.leave();
    }

    fn bind(&mut self, name: &'a str, span: Span, binding: Binding<'a>, _settled: Option<usize>) {
        attributes::check_binding(self, name, span, binding);
    }

    fn too_deep(&mut self, span: Span) {
        self.reject(
            "prism:source-limit",
            span,
            "Module",
            &format!(
                "nesting deeper than {MAX_WALK_DEPTH} levels, or than {MAX_SCOPE_DEPTH} functions, classes and comprehensions"
            ),
        );
    }
}
