//! Names that the submission itself gives to attributes and methods, over all its files.

use super::parse::ast::{Constant, Expr, ExprContext};
use super::scope::ScopeCursor;
use super::seeded::Set;
use super::walk::{Binding, ScopeKind, Span, Visitor, walk_module};
use super::{parse::ast::Stmt, scope::ScopeTable};

/// The harness directories below which `torch.load` and `torch.save` may work.
pub const TRUSTED_DIRECTORIES: [&str; 3] =
    ["artifacts_dir", "checkpoint_dir", "resume_checkpoint_dir"];

/// What the authors define.
#[derive(Default)]
pub struct Authored<'a> {
    /// Attributes stored on any object, class-level names, methods, registered buffers and parameters.
    pub attributes: Set<&'a str>,
    /// Methods and functions.
    pub functions: Set<&'a str>,
    /// One of [`TRUSTED_DIRECTORIES`] is assigned somewhere, so the name proves nothing.
    pub directory_rebound: bool,
}

impl<'a> Authored<'a> {
    /// Adds the definitions of one file.
    pub fn collect(&mut self, body: &'a [Stmt], scopes: &ScopeTable<'a>) {
        let mut collector = Collector {
            authored: self,
            scopes,
            cursor: ScopeCursor::default(),
        };
        walk_module(body, &mut collector);
    }
}

struct Collector<'c, 'a> {
    authored: &'c mut Authored<'a>,
    scopes: &'c ScopeTable<'a>,
    cursor: ScopeCursor,
}

impl<'a> Visitor<'a> for Collector<'_, 'a> {
    fn enter_scope(&mut self, _kind: ScopeKind, _name: &'a str) {
        self.cursor.enter();
    }

    fn leave_scope(&mut self) {
        self.cursor.leave();
    }

    fn bind(&mut self, name: &'a str, _span: Span, binding: Binding<'a>, _settled: Option<usize>) {
        let in_class = self
            .scopes
            .scopes
            .get(self.cursor.current())
            .is_some_and(|scope| scope.kind == ScopeKind::Class);
        if in_class {
            self.authored.attributes.insert(name);
        }
        if matches!(binding, Binding::Function) {
            self.authored.functions.insert(name);
        }
        if TRUSTED_DIRECTORIES.contains(&name) && !matches!(binding, Binding::Parameter { .. }) {
            self.authored.directory_rebound = true;
        }
    }

    fn expression(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Attribute(node) if !matches!(node.ctx, ExprContext::Load) => {
                self.authored.attributes.insert(&node.attr);
                if TRUSTED_DIRECTORIES.contains(&node.attr.as_str()) {
                    self.authored.directory_rebound = true;
                }
            }
            Expr::Call(call) => {
                let position = match &*call.func {
                    Expr::Name(name) if matches!(name.id.as_str(), "setattr" | "delattr") => 1,
                    Expr::Attribute(method)
                        if matches!(
                            method.attr.as_str(),
                            "register_buffer"
                                | "register_parameter"
                                | "register_module"
                                | "add_module"
                        ) =>
                    {
                        0
                    }
                    _ => return,
                };
                if let Some(Expr::Constant(constant)) = call.args.get(position)
                    && let Constant::Str(name) = &constant.value
                {
                    self.authored.attributes.insert(name);
                    if TRUSTED_DIRECTORIES.contains(&name.as_str()) {
                        self.authored.directory_rebound = true;
                    }
                }
            }
            _ => {}
        }
    }

    fn too_deep(&mut self, _span: Span) {}
}
