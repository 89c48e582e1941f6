//! Names that the submission itself gives to attributes and methods, over all its files.

use super::parse::ast::{Constant, Expr, ExprContext};
use super::seeded::{Set, roomy_set};
use super::walk::{Binding, ScopeKind, Span, Visitor};

/// The harness directories below which `torch.load` and `torch.save` may work.
pub const TRUSTED_DIRECTORIES: [&str; 3] =
    ["artifacts_dir", "checkpoint_dir", "resume_checkpoint_dir"];

/// What the authors define.
pub struct Authored<'a> {
    /// Attributes stored on any object, class-level names, methods, registered buffers and parameters.
    pub attributes: Set<&'a str>,
    /// Methods and functions.
    pub functions: Set<&'a str>,
    /// One of [`TRUSTED_DIRECTORIES`] is assigned somewhere, so the name proves nothing.
    pub directory_rebound: bool,
}

impl Default for Authored<'_> {
    fn default() -> Self {
        Authored {
            attributes: roomy_set(),
            functions: roomy_set(),
            directory_rebound: false,
        }
    }
}

/// Collects over the walks of all files.
#[derive(Default)]
pub struct Collector<'a> {
    pub authored: Authored<'a>,
    /// Around the place at hand.
    scopes: Vec<ScopeKind>,
}

impl<'a> Visitor<'a> for Collector<'a> {
    fn enter_scope(&mut self, kind: ScopeKind, _name: &'a str) {
        self.scopes.push(kind);
    }

    fn leave_scope(&mut self) {
        self.scopes.pop();
    }

    fn bind(&mut self, name: &'a str, _span: Span, binding: Binding<'a>, _settled: Option<usize>) {
        if self.scopes.last() == Some(&ScopeKind::Class) {
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
