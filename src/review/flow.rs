//! Which statements of a body can run, and on which ranks: dead code, early returns, and conditions on the rank.

use super::parse::ast::{Expr, Stmt};

/// What a condition is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    Always,
    Never,
    /// True on rank 0 only.
    Main,
    /// False on rank 0 only.
    Others,
    Unknown,
}

impl Test {
    /// The same under `not`.
    pub fn negated(self) -> Test {
        match self {
            Test::Always => Test::Never,
            Test::Never => Test::Always,
            Test::Main => Test::Others,
            Test::Others => Test::Main,
            Test::Unknown => Test::Unknown,
        }
    }

    /// Of `a and b`: what is true for rank 0 only stays so under further conditions.
    pub fn and(self, other: Test) -> Test {
        match (self, other) {
            (Test::Never, _) | (_, Test::Never) => Test::Never,
            (Test::Always, test) | (test, Test::Always) => test,
            (Test::Main, _) | (_, Test::Main) => Test::Main,
            _ => Test::Unknown,
        }
    }
}

/// What the walk tells and asks.
pub trait Flow<'a> {
    /// A statement that can run. `on_main`: rank 0 alone gets here.
    fn statement(&mut self, statement: &'a Stmt, on_main: bool);
    fn judge(&mut self, test: &'a Expr) -> Test;
}

/// Walks the statements that can run, without those inside definitions. Returns whether the end of `body` is out of
/// reach. Depth is bounded by the indentation limit.
pub fn walk_live<'a>(body: &'a [Stmt], mut on_main: bool, flow: &mut dyn Flow<'a>) -> bool {
    for statement in body {
        flow.statement(statement, on_main);
        let ends = match statement {
            Stmt::Return(_) | Stmt::Raise(_) | Stmt::Break(_) | Stmt::Continue(_) => true,
            Stmt::Assert(node) => flow.judge(&node.test) == Test::Never,
            Stmt::If(node) => {
                let test = flow.judge(&node.test);
                match test {
                    Test::Always => walk_live(&node.body, on_main, flow),
                    Test::Never => walk_live(&node.orelse, on_main, flow),
                    _ => {
                        let body_ends = walk_live(&node.body, on_main || test == Test::Main, flow);
                        let else_ends =
                            walk_live(&node.orelse, on_main || test == Test::Others, flow);
                        on_main |= body_ends && test == Test::Others;
                        on_main |= else_ends && test == Test::Main;
                        body_ends && else_ends
                    }
                }
            }
            Stmt::While(node) => match flow.judge(&node.test) {
                Test::Never => walk_live(&node.orelse, on_main, flow),
                test => {
                    walk_live(&node.body, on_main || test == Test::Main, flow);
                    walk_live(&node.orelse, on_main, flow);
                    test == Test::Always && !breaks(&node.body)
                }
            },
            Stmt::For(node) => {
                walk_live(&node.body, on_main, flow);
                walk_live(&node.orelse, on_main, flow);
                false
            }
            Stmt::AsyncFor(node) => {
                walk_live(&node.body, on_main, flow);
                walk_live(&node.orelse, on_main, flow);
                false
            }
            Stmt::With(node) => walk_live(&node.body, on_main, flow),
            Stmt::AsyncWith(node) => walk_live(&node.body, on_main, flow),
            Stmt::Try(node) => walk_try(
                &node.body,
                node.handlers.iter().map(handler_body),
                &node.orelse,
                &node.finalbody,
                on_main,
                flow,
            ),
            Stmt::TryStar(node) => walk_try(
                &node.body,
                node.handlers.iter().map(handler_body),
                &node.orelse,
                &node.finalbody,
                on_main,
                flow,
            ),
            Stmt::Match(node) => {
                for case in &node.cases {
                    walk_live(&case.body, on_main, flow);
                }
                false
            }
            _ => false,
        };
        if ends {
            return true;
        }
    }
    false
}

fn handler_body(handler: &super::parse::ast::ExceptHandler) -> &[Stmt] {
    let super::parse::ast::ExceptHandler::ExceptHandler(handler) = handler;
    &handler.body
}

fn walk_try<'a>(
    body: &'a [Stmt],
    handlers: impl Iterator<Item = &'a [Stmt]>,
    orelse: &'a [Stmt],
    finalbody: &'a [Stmt],
    on_main: bool,
    flow: &mut dyn Flow<'a>,
) -> bool {
    let body_ends = walk_live(body, on_main, flow);
    let mut all_end = body_ends;
    for handler in handlers {
        all_end &= walk_live(handler, on_main, flow);
    }
    // an `else` that ends, ends the whole only together with every handler: left open
    if !body_ends {
        walk_live(orelse, on_main, flow);
    }
    walk_live(finalbody, on_main, flow) || all_end
}

/// Whether a loop body leaves its loop.
fn breaks(body: &[Stmt]) -> bool {
    body.iter().any(|statement| match statement {
        Stmt::Break(_) => true,
        Stmt::If(node) => breaks(&node.body) || breaks(&node.orelse),
        Stmt::With(node) => breaks(&node.body),
        Stmt::Try(node) => {
            breaks(&node.body)
                || node
                    .handlers
                    .iter()
                    .any(|handler| breaks(handler_body(handler)))
                || breaks(&node.orelse)
                || breaks(&node.finalbody)
        }
        Stmt::Match(node) => node.cases.iter().any(|case| breaks(&case.body)),
        Stmt::For(node) => breaks(&node.orelse),
        Stmt::While(node) => breaks(&node.orelse),
        _ => false,
    })
}
