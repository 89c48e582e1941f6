//! Imports: an allow-list of modules and, of each, the names it publishes.

use super::{RuleWalk, modules};
use crate::review::parse::ast::{StmtImport, StmtImportFrom};
use crate::review::parse::span;
use crate::review::surface::{self, Member};
use crate::review::walk::ScopeKind;

/// The rule under which a module outside the allow-list is refused, by what it would give.
pub fn rule_for_module(module: &str) -> &'static str {
    let root = module.split('.').next().unwrap_or(module);
    if root == "torch" {
        let rest = module.strip_prefix("torch.").unwrap_or("");
        let second = rest.split('.').next().unwrap_or("");
        return match second {
            "hub" | "jit" | "fx" | "package" | "export" | "ops" | "classes" | "library"
            | "_ops" | "_C" => "prism:no-torch-escape",
            "multiprocessing" => "prism:no-process",
            "serialization" => "prism:no-deserialization",
            _ if rest.starts_with("utils.cpp_extension") => "prism:no-torch-escape",
            "" => "prism:module-surface",
            second => match rule_for_root(second) {
                "prism:no-forbidden-import" => "prism:no-forbidden-import",
                known => known,
            },
        };
    }
    rule_for_root(root)
}

/// The rule for a top-level module name; `prism:no-forbidden-import` for harmless ones.
pub fn rule_for_root(root: &str) -> &'static str {
    match root {
        "os" | "sys" | "subprocess" | "multiprocessing" | "pty" | "signal" | "posix" | "nt"
        | "atexit" | "threading" | "_thread" | "concurrent" | "asyncio" | "sched" | "resource"
        | "gc" | "site" | "runpy" => "prism:no-process",
        "aiohttp" | "ftplib" | "http" | "httpx" | "requests" | "socket" | "smtplib" | "urllib"
        | "urllib3" | "ssl" | "socketserver" | "xmlrpc" | "telnetlib" | "imaplib" | "poplib"
        | "nntplib" | "select" | "selectors" => "prism:no-network",
        "glob" | "pathlib" | "shutil" | "tempfile" | "io" | "fileinput" | "linecache" | "mmap"
        | "zipfile" | "tarfile" | "gzip" | "bz2" | "lzma" | "sqlite3" | "dbm" | "csv" | "fcntl"
        | "os.path" | "_io" => "prism:no-filesystem",
        "ctypes" | "_ctypes" | "cffi" => "prism:no-ffi",
        "importlib" | "imp" | "pkgutil" | "zipimport" | "_imp" | "modulefinder" => {
            "prism:no-dynamic-import"
        }
        "pickle" | "_pickle" | "cpickle" | "cloudpickle" | "dill" | "joblib" | "marshal"
        | "shelve" | "copyreg" | "pickletools" => "prism:no-deserialization",
        "builtins" | "code" | "codeop" | "ast" | "dis" | "inspect" | "traceback" | "types"
        | "symtable" | "opcode" | "compileall" | "py_compile" | "timeit" | "trace" | "pdb"
        | "bdb" | "cProfile" | "profile" => "prism:no-dynamic-code",
        _ => "prism:no-forbidden-import",
    }
}

pub fn check_import<'a>(walk: &mut RuleWalk<'_, 'a>, node: &'a StmtImport) {
    for alias in &node.names {
        let module = alias.name.as_str();
        if !walk.bundle.is_own(module) && !surface::is_importable(module) {
            walk.reject(
                rule_for_module(module),
                span(node),
                "Import",
                &format!("import of {module}"),
            );
        }
        if walk.scope_kind() == ScopeKind::Class {
            modules::report_value(walk, span(node), "Import", module);
        }
    }
}

pub fn check_import_from<'a>(walk: &mut RuleWalk<'_, 'a>, node: &'a StmtImportFrom) {
    let level = node.level.map_or(0, |level| level.to_u32());
    let written = node.module.as_ref().map_or("", |module| module.as_str());
    let module = walk.bundle.absolute(walk.file.path, written, level);
    let is_own = level > 0 || walk.bundle.is_own(&module);
    for alias in &node.names {
        let name = alias.name.as_str();
        if name == "*" {
            walk.reject(
                "prism:star-import",
                span(node),
                "ImportFrom",
                &format!("from {module} import *"),
            );
        } else if is_own {
            check_own_member(walk, node, &module, name);
        } else {
            check_library_member(walk, node, &module, name);
        }
    }
}

fn check_own_member<'a>(
    walk: &mut RuleWalk<'_, 'a>,
    node: &'a StmtImportFrom,
    module: &str,
    name: &str,
) {
    if walk.bundle.own_member(module, name).is_empty() {
        walk.reject(
            "prism:module-surface",
            span(node),
            "ImportFrom",
            &format!("the submission defines no {name} in {module:?}"),
        );
    }
    if walk.scope_kind() == ScopeKind::Class {
        modules::report_value(walk, span(node), "ImportFrom", module);
    }
}

fn check_library_member<'a>(
    walk: &mut RuleWalk<'_, 'a>,
    node: &'a StmtImportFrom,
    module: &str,
    name: &str,
) {
    if !surface::is_package(module) {
        walk.reject(
            rule_for_module(module),
            span(node),
            "ImportFrom",
            &format!("import from {module}"),
        );
        return;
    }
    match surface::member(module, name) {
        Member::Object(_) => {}
        Member::Module(path) if surface::is_importable(path) => {
            if walk.scope_kind() == ScopeKind::Class {
                modules::report_value(walk, span(node), "ImportFrom", name);
            }
        }
        Member::Module(_) | Member::NotPublic => {
            let (rule, detail) = modules::refusal(module, name);
            walk.reject(rule, span(node), "ImportFrom", &detail);
        }
    }
}
