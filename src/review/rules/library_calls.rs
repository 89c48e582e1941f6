//! Library functions whose arguments decide whether they are harmless.

use super::{RuleWalk, trusted_paths};
use crate::review::origin::Origin;
use crate::review::parse::ast::{Constant, Expr, ExprCall, Keyword};
use crate::review::parse::span;

pub fn check<'a>(walk: &mut RuleWalk<'_, 'a>, call: &'a ExprCall) {
    let origins = walk.origins(&call.func);
    // nn.Module.compile takes what torch.compile takes
    let is_library = |origin: &Origin| matches!(origin, Origin::Object(_));
    if matches!(&*call.func, Expr::Attribute(method) if method.attr.as_str() == "compile")
        && !origins.iter().all(is_library)
        && (keyword(call, "backend").is_some()
            || keyword(call, "options").is_some()
            || has_unpacking(call))
    {
        check_compile(walk, call);
    }
    for origin in origins {
        let Origin::Object(path) = origin else {
            continue;
        };
        match path.as_str() {
            "torch.load" => {
                walk.settle(&call.func);
                check_load(walk, call);
            }
            "torch.save" => {
                walk.settle(&call.func);
                check_save(walk, call);
            }
            "torch.compile" => {
                walk.settle(&call.func);
                check_compile(walk, call);
            }
            "torch.distributed.init_process_group" => {
                walk.settle(&call.func);
                check_process_group(walk, call);
            }
            "logging.basicConfig" => {
                walk.settle(&call.func);
                check_keywords(
                    walk,
                    call,
                    &["level", "format", "datefmt", "force"],
                    "prism:no-filesystem",
                );
            }
            "functools.wraps" => {
                walk.settle(&call.func);
                if call.args.len() != 1
                    || !call.keywords.is_empty()
                    || matches!(call.args[0], Expr::Starred(_))
                {
                    walk.reject(
                        "prism:no-patching",
                        span(call),
                        "Call",
                        "functools.wraps with other than one argument",
                    );
                }
            }
            "types.SimpleNamespace" => {
                walk.settle(&call.func);
                if has_unpacking(call) || !call.args.is_empty() {
                    walk.reject(
                        "prism:no-dynamic-attr",
                        span(call),
                        "Call",
                        "SimpleNamespace with names that are not written out",
                    );
                }
            }
            "dataclasses.replace" => {
                walk.settle(&call.func);
                check_replace(walk, call);
            }
            _ => {}
        }
    }
}

/// `@torch.compile` without arguments.
pub fn settle_decorators<'a>(walk: &mut RuleWalk<'_, 'a>, decorators: &'a [Expr]) {
    for decorator in decorators {
        if walk.origins(decorator) == [Origin::Object("torch.compile".to_owned())] {
            walk.settle(decorator);
        }
    }
}

fn keyword<'a>(call: &'a ExprCall, name: &str) -> Option<&'a Keyword> {
    call.keywords
        .iter()
        .find(|keyword| keyword.arg.as_ref().is_some_and(|arg| arg.as_str() == name))
}

fn has_unpacking(call: &ExprCall) -> bool {
    call.args
        .iter()
        .any(|argument| matches!(argument, Expr::Starred(_)))
        || call.keywords.iter().any(|keyword| keyword.arg.is_none())
}

fn check_load<'a>(walk: &mut RuleWalk<'_, 'a>, call: &'a ExprCall) {
    let rule = "prism:no-deserialization";
    let is_weights_only = keyword(call, "weights_only")
        .is_some_and(|keyword| matches!(&keyword.value, Expr::Constant(constant) if constant.value == Constant::Bool(true)));
    if !is_weights_only {
        walk.reject(
            rule,
            span(call),
            "Call",
            "torch.load without weights_only=True",
        );
    }
    if keyword(call, "pickle_module").is_some() || has_unpacking(call) {
        walk.reject(
            rule,
            span(call),
            "Call",
            "torch.load with pickle_module or unpacked arguments",
        );
    }
    let path = call
        .args
        .first()
        .or_else(|| keyword(call, "f").map(|keyword| &keyword.value));
    if !path.is_some_and(|path| trusted_paths::is_trusted(walk, path)) {
        walk.reject(
            rule,
            span(call),
            "Call",
            "torch.load of a path that is not visibly below ctx.artifacts_dir or ctx.checkpoint_dir",
        );
    }
}

fn check_save<'a>(walk: &mut RuleWalk<'_, 'a>, call: &'a ExprCall) {
    let path = call
        .args
        .get(1)
        .or_else(|| keyword(call, "f").map(|keyword| &keyword.value));
    if has_unpacking(call)
        || keyword(call, "pickle_module").is_some()
        || !path.is_some_and(|path| trusted_paths::is_trusted(walk, path))
    {
        walk.reject(
            "prism:no-filesystem",
            span(call),
            "Call",
            "torch.save to a path that is not visibly below ctx.artifacts_dir or ctx.checkpoint_dir",
        );
    }
}

/// Options of torch.compile that choose among kernels; others name compilers and files.
const COMPILE_OPTIONS: [&str; 7] = [
    "coordinate_descent_tuning",
    "epilogue_fusion",
    "fallback_random",
    "max_autotune",
    "max_autotune_gemm",
    "shape_padding",
    "triton.cudagraphs",
];

fn are_known_options(options: &Expr) -> bool {
    let is_known = |key: &Option<Expr>| {
        matches!(key, Some(Expr::Constant(constant))
            if matches!(&constant.value, Constant::Str(name) if COMPILE_OPTIONS.contains(&name.as_str())))
    };
    match options {
        Expr::Constant(constant) => constant.value == Constant::None,
        Expr::Dict(dict) => dict.keys.iter().all(is_known),
        _ => false,
    }
}

/// A backend of one's own would receive and could rewrite the generated code.
fn check_compile<'a>(walk: &mut RuleWalk<'_, 'a>, call: &'a ExprCall) {
    let is_known = keyword(call, "backend").is_none_or(|keyword| {
        matches!(&keyword.value, Expr::Constant(constant)
            if matches!(&constant.value, Constant::Str(name)
                if matches!(name.as_str(), "inductor" | "eager" | "aot_eager" | "cudagraphs")))
    });
    if !is_known || has_unpacking(call) {
        walk.reject(
            "prism:no-torch-escape",
            span(call),
            "Call",
            "torch.compile with a backend of its own",
        );
    }
    if let Some(options) = keyword(call, "options")
        && !are_known_options(&options.value)
    {
        let detail = format!(
            "options of torch.compile other than {}",
            COMPILE_OPTIONS.join(", ")
        );
        walk.reject("prism:no-torch-escape", span(options), "keyword", &detail);
    }
}

fn check_process_group<'a>(walk: &mut RuleWalk<'_, 'a>, call: &'a ExprCall) {
    let allowed = [
        "backend",
        "init_method",
        "timeout",
        "world_size",
        "rank",
        "device_id",
    ];
    check_keywords(walk, call, &allowed, "prism:no-filesystem");
    let init_method = call
        .args
        .get(1)
        .or_else(|| keyword(call, "init_method").map(|keyword| &keyword.value));
    let is_env = init_method.is_none_or(|method| {
        matches!(method, Expr::Constant(constant)
            if constant.value == Constant::None || constant.value == Constant::Str("env://".to_owned()))
    });
    if !is_env || call.args.len() > 2 {
        walk.reject(
            "prism:no-filesystem",
            span(call),
            "Call",
            "init_process_group with another rendezvous than env://",
        );
    }
}

fn check_keywords<'a>(
    walk: &mut RuleWalk<'_, 'a>,
    call: &'a ExprCall,
    allowed: &[&str],
    rule: &'static str,
) {
    for keyword in &call.keywords {
        let name = keyword.arg.as_ref().map_or("**", |name| name.as_str());
        if !allowed.contains(&name) {
            walk.reject(
                rule,
                span(keyword),
                "keyword",
                &format!("the argument {name} here"),
            );
        }
    }
    if call
        .args
        .iter()
        .any(|argument| matches!(argument, Expr::Starred(_)))
    {
        walk.reject(rule, span(call), "Call", "unpacked arguments here");
    }
}

fn check_replace<'a>(walk: &mut RuleWalk<'_, 'a>, call: &'a ExprCall) {
    let Some(first) = call.args.first() else {
        walk.reject(
            "prism:context-tamper",
            span(call),
            "Call",
            "dataclasses.replace without its object",
        );
        return;
    };
    if matches!(first, Expr::Starred(_)) || walk.origins(first).contains(&Origin::Context) {
        walk.reject(
            "prism:context-tamper",
            span(call),
            "Call",
            "a changed copy of the context",
        );
    }
}
