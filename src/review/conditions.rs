//! What a condition is known to be: constants, and questions about the rank.

use super::bundle::Bundle;
use super::flow::Test;
use super::origin::Origin;
use super::parse::ast::{BoolOp, CmpOp, Constant, Expr, ExprCall, ExprCompare, Stmt, UnaryOp};
use super::scope::ScopeId;
use super::walk::Binding;

const RANK_NAMES: [&str; 6] = [
    "rank",
    "local_rank",
    "global_rank",
    "RANK",
    "LOCAL_RANK",
    "GLOBAL_RANK",
];
const RANK_CALLS: [&str; 3] = ["get_rank", "get_local_rank", "get_node_local_rank"];
const WORLD_NAMES: [&str; 4] = ["world_size", "WORLD_SIZE", "num_replicas", "world"];
/// Names and helper functions that one condition is followed through.
const MAX_STEPS: usize = 12;

/// Judges conditions of one bundle.
#[derive(Clone, Copy)]
pub struct Conditions<'b, 'a> {
    pub bundle: &'b Bundle<'a>,
    /// Read the code as it runs on several ranks: conditions on the rank are known, process groups exist.
    pub several_ranks: bool,
}

impl<'b, 'a: 'b> Conditions<'b, 'a> {
    pub fn judge(&self, file: usize, scope: ScopeId, test: &'a Expr) -> Test {
        self.test(file, scope, test, MAX_STEPS)
    }

    fn test(&self, file: usize, scope: ScopeId, test: &'a Expr, steps: usize) -> Test {
        let Some(steps) = steps.checked_sub(1) else {
            return Test::Unknown;
        };
        if self.several_ranks && self.mentions_rank_itself(file, scope, test, steps) {
            return Test::Others;
        }
        match test {
            Expr::Constant(constant) => match truth(&constant.value) {
                Some(true) => Test::Always,
                Some(false) => Test::Never,
                None => Test::Unknown,
            },
            Expr::UnaryOp(node) if matches!(node.op, UnaryOp::Not) => {
                self.test(file, scope, &node.operand, steps).negated()
            }
            Expr::BoolOp(node) => {
                let is_or = matches!(node.op, BoolOp::Or);
                let flip = |test: Test| if is_or { test.negated() } else { test };
                let both = node
                    .values
                    .iter()
                    .map(|value| flip(self.test(file, scope, value, steps)))
                    .fold(Test::Always, Test::and);
                flip(both)
            }
            Expr::Compare(node) => self.comparison(file, scope, node, steps),
            Expr::NamedExpr(node) => self.test(file, scope, &node.value, steps),
            Expr::Name(_) => match self.only_value(file, scope, test) {
                Some((scope, value)) => self.test(file, scope, value, steps),
                None => Test::Unknown,
            },
            Expr::Call(call) => self.call(file, scope, call, steps),
            _ => Test::Unknown,
        }
    }

    /// `rank == 0` and its relatives; numbers against numbers.
    fn comparison(&self, file: usize, scope: ScopeId, node: &'a ExprCompare, steps: usize) -> Test {
        let ([op], [right]) = (node.ops.as_slice(), node.comparators.as_slice()) else {
            return Test::Unknown;
        };
        if let (Some(left), Some(right)) = (integer(&node.left), integer(right)) {
            let holds = match op {
                CmpOp::Eq => left == right,
                CmpOp::NotEq => left != right,
                CmpOp::Lt => left < right,
                CmpOp::LtE => left <= right,
                CmpOp::Gt => left > right,
                CmpOp::GtE => left >= right,
                _ => return Test::Unknown,
            };
            return if holds { Test::Always } else { Test::Never };
        }
        if !self.several_ranks {
            return Test::Unknown;
        }
        let (op, number) = if self.mentions_rank_itself(file, scope, &node.left, steps) {
            (*op, integer(right))
        } else if self.mentions_rank_itself(file, scope, right, steps) {
            (mirrored(*op), integer(&node.left))
        } else {
            return Test::Unknown;
        };
        match (op, number) {
            (CmpOp::Eq | CmpOp::LtE, Some(0)) | (CmpOp::Lt, Some(1)) => Test::Main,
            (CmpOp::NotEq | CmpOp::Gt, Some(0)) | (CmpOp::GtE, Some(1)) => Test::Others,
            _ => Test::Unknown,
        }
    }

    fn call(&self, file: usize, scope: ScopeId, call: &'a ExprCall, steps: usize) -> Test {
        if let (Expr::Name(name), [only]) = (&*call.func, call.args.as_slice())
            && name.id.as_str() == "bool"
        {
            return self.test(file, scope, only, steps);
        }
        if !self.several_ranks {
            return Test::Unknown;
        }
        let is_group_question = |origin: &Origin<'a>| {
            matches!(origin, Origin::Object(path)
                if matches!(path.as_ref(), "torch.distributed.is_initialized" | "torch.distributed.is_available"))
        };
        if self
            .bundle
            .origins(file, scope, &call.func)
            .iter()
            .all(is_group_question)
        {
            return Test::Always;
        }
        // def is_main(): return rank == 0
        let Some((home, body)) = self.own_function(file, scope, &call.func) else {
            return Test::Unknown;
        };
        let mut statements = body
            .1
            .iter()
            .filter(|statement| !matches!(statement, Stmt::Expr(node) if matches!(&*node.value, Expr::Constant(_))));
        match (statements.next(), statements.next()) {
            (Some(Stmt::Return(node)), None) => match node.value.as_deref() {
                Some(value) => self.test(home, body.0, value, steps),
                None => Test::Unknown,
            },
            _ => Test::Unknown,
        }
    }

    /// The one function of the submission that `callee` names: its file, its scope and its body.
    fn own_function(
        &self,
        file: usize,
        scope: ScopeId,
        callee: &'a Expr,
    ) -> Option<(usize, (ScopeId, &'a [Stmt]))> {
        let Expr::Name(name) = callee else {
            return None;
        };
        let source = self.bundle.files.get(file)?;
        let (home, record) = source.scopes.lookup(scope, &name.id)?;
        if record.count != 1 {
            return None;
        }
        let (file, home, name) = match record.bounds.first()?.binding {
            Binding::Function => (file, home, name.id.as_str()),
            Binding::ImportFrom {
                module,
                level,
                name,
            } => {
                let dotted = self.bundle.absolute(source.path, module, level);
                (*self.bundle.modules.get(&dotted)?, 0, name)
            }
            _ => return None,
        };
        let scopes = &self.bundle.files.get(file)?.scopes.scopes;
        let mut found = scopes.iter().enumerate().filter(|(_, scope)| {
            scope.parent == Some(home) && scope.name == name && scope.definition.is_some()
        });
        match (found.next(), found.next()) {
            (Some((id, scope)), None) => match scope.definition {
                Some(Stmt::FunctionDef(def)) => Some((file, (id, &def.body))),
                _ => None,
            },
            _ => None,
        }
    }

    /// The value of a name that is bound once, by an assignment.
    fn only_value(
        &self,
        file: usize,
        scope: ScopeId,
        name: &'a Expr,
    ) -> Option<(ScopeId, &'a Expr)> {
        let Expr::Name(name) = name else {
            return None;
        };
        let (_, record) = self
            .bundle
            .files
            .get(file)?
            .scopes
            .lookup(scope, &name.id)?;
        match record.bounds.as_slice() {
            [bound] if record.count == 1 => match bound.binding {
                Binding::Alias(value) => Some((bound.scope, value)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the expression is the number of this rank.
    fn mentions_rank_itself(
        &self,
        file: usize,
        scope: ScopeId,
        expression: &'a Expr,
        steps: usize,
    ) -> bool {
        let Some(steps) = steps.checked_sub(1) else {
            return false;
        };
        match expression {
            Expr::Attribute(node) => RANK_NAMES.contains(&node.attr.as_str()),
            Expr::Name(name) => match self.only_value(file, scope, expression) {
                Some((scope, value)) => self.mentions_rank_itself(file, scope, value, steps),
                None => RANK_NAMES.contains(&name.id.as_str()),
            },
            Expr::Call(call) => match (&*call.func, call.args.as_slice()) {
                (Expr::Name(name), [only]) if name.id.as_str() == "int" => {
                    self.mentions_rank_itself(file, scope, only, steps)
                }
                (Expr::Name(name), _) => RANK_CALLS.contains(&name.id.as_str()),
                (Expr::Attribute(node), _) => RANK_CALLS.contains(&node.attr.as_str()),
                _ => false,
            },
            _ => false,
        }
    }
}

/// Whether a name is one of those that ranks go by.
pub fn is_rank_name(name: &str) -> bool {
    RANK_NAMES.contains(&name) || RANK_CALLS.contains(&name)
}

/// Whether a name is one of those that the number of ranks goes by.
pub fn is_world_name(name: &str) -> bool {
    WORLD_NAMES.contains(&name) || name == "get_world_size"
}

fn truth(value: &Constant) -> Option<bool> {
    match value {
        Constant::None => Some(false),
        Constant::Bool(value) => Some(*value),
        Constant::Str(text) => Some(!text.is_empty()),
        Constant::Bytes(bytes) => Some(!bytes.is_empty()),
        Constant::Int(number) => Some(i64::try_from(number) != Ok(0)),
        Constant::Float(number) => Some(*number != 0.0),
        Constant::Ellipsis => Some(true),
        _ => None,
    }
}

/// A small whole number that is written out.
fn integer(expression: &Expr) -> Option<i64> {
    match expression {
        Expr::Constant(constant) => match &constant.value {
            Constant::Int(number) => i64::try_from(number).ok(),
            _ => None,
        },
        _ => None,
    }
}

fn mirrored(op: CmpOp) -> CmpOp {
    match op {
        CmpOp::Lt => CmpOp::Gt,
        CmpOp::LtE => CmpOp::GtE,
        CmpOp::Gt => CmpOp::Lt,
        CmpOp::GtE => CmpOp::LtE,
        other => other,
    }
}
