//! The expression and pattern half of the walk in [`super::walk`].

use super::parse::ast::{self, Arguments, Comprehension, Expr, Keyword, Pattern, TypeParam};
use super::parse::span;
use super::walk::{Binding, ScopeKind, Span, Visitor, Walk, positional};

impl<'a, V: Visitor<'a>> Walk<'_, V> {
    pub(super) fn optional(&mut self, expression: Option<&'a Expr>) {
        if let Some(expression) = expression {
            self.expression(expression);
        }
    }

    pub(super) fn expressions(&mut self, expressions: &'a [Expr]) {
        for expression in expressions {
            self.expression(expression);
        }
    }

    pub(super) fn expression(&mut self, expression: &'a Expr) {
        if !self.descend(expression) {
            return;
        }
        self.visitor.expression(expression);
        match expression {
            Expr::BoolOp(node) => self.expressions(&node.values),
            Expr::NamedExpr(node) => {
                self.expression(&node.value);
                match &*node.target {
                    Expr::Name(name) => {
                        self.visitor.expression(&node.target);
                        self.bind(&name.id, span(name), Binding::Walrus);
                    }
                    other => self.expression(other),
                }
            }
            Expr::BinOp(node) => {
                self.expression(&node.left);
                self.expression(&node.right);
            }
            Expr::UnaryOp(node) => self.expression(&node.operand),
            Expr::Lambda(node) => {
                self.defaults_and_annotations(&node.args);
                self.scoped(ScopeKind::Lambda, "", |walk| {
                    walk.parameters(&node.args);
                    walk.expression(&node.body);
                });
            }
            Expr::IfExp(node) => {
                self.expression(&node.test);
                self.expression(&node.body);
                self.expression(&node.orelse);
            }
            Expr::Dict(node) => {
                for key in &node.keys {
                    self.optional(key.as_ref());
                }
                self.expressions(&node.values);
            }
            Expr::Set(node) => self.expressions(&node.elts),
            Expr::ListComp(node) => self.comprehension(&node.generators, &[&node.elt]),
            Expr::SetComp(node) => self.comprehension(&node.generators, &[&node.elt]),
            Expr::DictComp(node) => self.comprehension(&node.generators, &[&node.key, &node.value]),
            Expr::GeneratorExp(node) => self.comprehension(&node.generators, &[&node.elt]),
            Expr::Await(node) => self.expression(&node.value),
            Expr::Yield(node) => self.optional(node.value.as_deref()),
            Expr::YieldFrom(node) => self.expression(&node.value),
            Expr::Compare(node) => {
                self.expression(&node.left);
                self.expressions(&node.comparators);
            }
            Expr::Call(node) => {
                self.expression(&node.func);
                self.expressions(&node.args);
                self.keywords(&node.keywords);
            }
            Expr::FormattedValue(node) => {
                self.expression(&node.value);
                self.optional(node.format_spec.as_deref());
            }
            Expr::JoinedStr(node) => self.expressions(&node.values),
            Expr::Constant(_) => {}
            Expr::Attribute(node) => {
                self.visitor.identifier(&node.attr, span(node));
                self.expression(&node.value);
            }
            Expr::Subscript(node) => {
                self.expression(&node.value);
                self.expression(&node.slice);
            }
            Expr::Starred(node) => self.expression(&node.value),
            Expr::Name(node) => match node.ctx {
                ast::ExprContext::Load => self.visitor.identifier(&node.id, span(node)),
                ast::ExprContext::Store => self.bind(&node.id, span(node), Binding::Other),
                ast::ExprContext::Del => self.bind(&node.id, span(node), Binding::Delete),
            },
            Expr::List(node) => self.expressions(&node.elts),
            Expr::Tuple(node) => self.expressions(&node.elts),
            Expr::Slice(node) => {
                self.optional(node.lower.as_deref());
                self.optional(node.upper.as_deref());
                self.optional(node.step.as_deref());
            }
        }
        self.depth -= 1;
    }

    fn comprehension(&mut self, generators: &'a [Comprehension], results: &[&'a Expr]) {
        let Some((first, rest)) = generators.split_first() else {
            for result in results {
                self.expression(result);
            }
            return;
        };
        self.expression(&first.iter);
        self.scoped(ScopeKind::Comprehension, "", |walk| {
            walk.expression(&first.target);
            walk.expressions(&first.ifs);
            for generator in rest {
                walk.expression(&generator.iter);
                walk.expression(&generator.target);
                walk.expressions(&generator.ifs);
            }
            for result in results {
                walk.expression(result);
            }
        });
    }

    pub(super) fn keywords(&mut self, keywords: &'a [Keyword]) {
        for keyword in keywords {
            if let Some(name) = &keyword.arg {
                self.visitor.identifier(name, span(keyword));
            }
            self.expression(&keyword.value);
        }
    }

    pub(super) fn defaults_and_annotations(&mut self, arguments: &'a Arguments) {
        for argument in positional(arguments).chain(&arguments.kwonlyargs) {
            self.optional(argument.def.annotation.as_deref());
            self.optional(argument.default.as_deref());
        }
        for argument in arguments.vararg.iter().chain(&arguments.kwarg) {
            self.optional(argument.annotation.as_deref());
        }
    }

    pub(super) fn parameters(&mut self, arguments: &'a Arguments) {
        for (position, argument) in positional(arguments)
            .chain(&arguments.kwonlyargs)
            .enumerate()
        {
            let binding = Binding::Parameter {
                position,
                has_default: argument.default.is_some(),
            };
            self.bind(&argument.def.arg, span(&argument.def), binding);
        }
        for argument in arguments.vararg.iter().chain(&arguments.kwarg) {
            self.bind(&argument.arg, span(&**argument), Binding::Other);
        }
    }

    pub(super) fn type_params(&mut self, type_params: &'a [TypeParam]) {
        for param in type_params {
            match param {
                TypeParam::TypeVar(node) => {
                    self.bind(&node.name, span(node), Binding::Other);
                    self.optional(node.bound.as_deref());
                }
                TypeParam::ParamSpec(node) => self.bind(&node.name, span(node), Binding::Other),
                TypeParam::TypeVarTuple(node) => self.bind(&node.name, span(node), Binding::Other),
            }
        }
    }

    pub(super) fn pattern(&mut self, pattern: &'a Pattern) {
        if !self.descend(pattern) {
            return;
        }
        self.visitor.pattern(pattern);
        let at = span(pattern);
        match pattern {
            Pattern::MatchValue(node) => self.expression(&node.value),
            Pattern::MatchSingleton(_) => {}
            Pattern::MatchSequence(node) => self.patterns(&node.patterns),
            Pattern::MatchMapping(node) => {
                self.expressions(&node.keys);
                self.patterns(&node.patterns);
                self.capture(node.rest.as_deref(), at);
            }
            Pattern::MatchClass(node) => {
                self.expression(&node.cls);
                self.patterns(&node.patterns);
                for name in &node.kwd_attrs {
                    self.visitor.identifier(name, at);
                }
                self.patterns(&node.kwd_patterns);
            }
            Pattern::MatchStar(node) => self.capture(node.name.as_deref(), at),
            Pattern::MatchAs(node) => {
                if let Some(inner) = &node.pattern {
                    self.pattern(inner);
                }
                self.capture(node.name.as_deref(), at);
            }
            Pattern::MatchOr(node) => self.patterns(&node.patterns),
        }
        self.depth -= 1;
    }

    fn patterns(&mut self, patterns: &'a [Pattern]) {
        for pattern in patterns {
            self.pattern(pattern);
        }
    }

    fn capture(&mut self, name: Option<&'a str>, at: Span) {
        if let Some(name) = name {
            self.bind(name, at, Binding::Other);
        }
    }
}
