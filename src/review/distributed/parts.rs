//! What in a script is evidence of the parts of the contract.

use super::Part;
use crate::review::bundle::Bundle;
use crate::review::conditions::{is_rank_name, is_world_name};
use crate::review::origin::Origin;
use crate::review::parse::ast::{Constant, Expr, ExprCall};
use crate::review::reach::{Reached, Use};
use crate::review::walk::{Span, Visitor, walk_expression};

/// The parts that a call, attribute or subscript is evidence of.
pub(super) fn parts_of<'a>(bundle: &Bundle<'a>, used: &Use<'a>) -> Vec<Part> {
    match used.expression {
        Expr::Attribute(node) if node.attr.as_str() == "iter_train_batches" => {
            vec![Part::DataSharding]
        }
        Expr::Subscript(node) if divides_by_rank(&node.slice) => vec![Part::DataSharding],
        Expr::Call(call) => {
            let mut parts = of_library(&bundle.origins(used.file, used.scope, &call.func));
            if binds_device(call) {
                parts.push(Part::DeviceBinding);
            }
            if matches!(&*call.func, Expr::Name(name) if name.id.as_str() == "range")
                && divides_by_rank(used.expression)
            {
                parts.push(Part::DataSharding);
            }
            parts
        }
        _ => Vec::new(),
    }
}

fn of_library(origins: &[Origin<'_>]) -> Vec<Part> {
    origins
        .iter()
        .filter_map(|origin| match origin {
            Origin::Object(path) if path.starts_with("torch.") => {
                path.rsplit('.').next().map(|last| (path, last))
            }
            _ => None,
        })
        .filter_map(|(path, last)| match last {
            "init_process_group" | "init_device_mesh" => Some(Part::ProcessGroup),
            "destroy_process_group" => Some(Part::Destroy),
            "DistributedDataParallel" | "FullyShardedDataParallel" | "fully_shard" => {
                Some(Part::ModelWrap)
            }
            "DistributedSampler" => Some(Part::DataSharding),
            "set_device" if path == "torch.cuda.set_device" => Some(Part::DeviceBinding),
            _ => None,
        })
        .collect()
}

/// `model.cuda(...)`, `model.to(ctx.device)`, `torch.device("cuda", rank)`, `torch.set_default_device(ctx.device)`.
fn binds_device(call: &ExprCall) -> bool {
    let Expr::Attribute(node) = &*call.func else {
        return false;
    };
    match node.attr.as_str() {
        "cuda" => true,
        "to" | "device" | "set_default_device" => call
            .args
            .iter()
            .chain(call.keywords.iter().map(|keyword| &keyword.value))
            .any(|argument| {
                mentions(argument, &mut |name| {
                    name == "device" || name == "local_rank" || name == "DEVICE"
                }) || mentions_cuda(argument)
            }),
        _ => false,
    }
}

fn mentions_cuda(argument: &Expr) -> bool {
    match argument {
        Expr::Constant(constant) => {
            matches!(&constant.value, Constant::Str(text) if text.contains("cuda"))
        }
        Expr::JoinedStr(joined) => joined.values.iter().any(mentions_cuda),
        _ => false,
    }
}

fn divides_by_rank(expression: &Expr) -> bool {
    mentions(expression, &mut is_rank_name) && mentions(expression, &mut is_world_name)
}

/// Whether every rank writes the same file here.
pub(super) fn is_unguarded_write<'a>(
    bundle: &Bundle<'a>,
    reached: &Reached<'a>,
    used: &Use<'a>,
) -> bool {
    let Expr::Call(call) = used.expression else {
        return false;
    };
    let on_main = used.on_main
        || reached
            .units
            .get(used.unit)
            .is_some_and(|unit| unit.on_main);
    let could_be_save = match &*call.func {
        Expr::Name(_) => true,
        Expr::Attribute(node) => node.attr.as_str() == "save",
        _ => false,
    };
    if on_main || !could_be_save {
        return false;
    }
    let is_save = bundle
        .origins(used.file, used.scope, &call.func)
        .contains(&Origin::Object("torch.save".into()));
    // a file of its own for each rank
    let path = call.args.get(1).or_else(|| {
        call.keywords
            .iter()
            .find(|keyword| {
                keyword
                    .arg
                    .as_ref()
                    .is_some_and(|name| name.as_str() == "f")
            })
            .map(|keyword| &keyword.value)
    });
    is_save && !path.is_some_and(|path| mentions(path, &mut is_rank_name))
}

/// Whether a name or attribute in `expression` satisfies `wanted`.
fn mentions(expression: &Expr, wanted: &mut dyn FnMut(&str) -> bool) -> bool {
    struct Mentions<'w> {
        wanted: &'w mut dyn FnMut(&str) -> bool,
        found: bool,
    }
    impl<'a> Visitor<'a> for Mentions<'_> {
        fn expression(&mut self, expression: &'a Expr) {
            self.found |= match expression {
                Expr::Name(name) => (self.wanted)(&name.id),
                Expr::Attribute(node) => (self.wanted)(&node.attr),
                _ => false,
            };
        }
        fn too_deep(&mut self, _span: Span) {}
    }
    let mut visitor = Mentions {
        wanted,
        found: false,
    };
    walk_expression(expression, &mut visitor);
    visitor.found
}
