//! Python's builtins: which a submission may use, and the rule that refuses each of the others.

use std::sync::LazyLock;

use super::seeded::Table;

/// What the reviewer says to a builtin name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// Allowed only as the function of a call whose arguments are checked.
    CallOnly,
    /// Refused under this rule.
    Refused(&'static str),
    /// Not a builtin: reading it raises `NameError` at run time.
    Unknown,
}

#[rustfmt::skip]
const ALLOWED: &[&str] = &[
    "ArithmeticError", "AssertionError", "AttributeError", "BaseException", "BufferError", "DeprecationWarning",
    "EOFError", "Ellipsis", "Exception", "ExceptionGroup", "FloatingPointError", "FutureWarning", "ImportError",
    "IndexError", "KeyError", "LookupError", "MemoryError", "ModuleNotFoundError", "NameError", "NotImplemented",
    "NotImplementedError", "OSError", "OverflowError", "RecursionError", "ReferenceError", "RuntimeError",
    "RuntimeWarning", "StopIteration", "TimeoutError", "TypeError", "UnboundLocalError", "UnicodeDecodeError",
    "UnicodeEncodeError", "UnicodeError", "UserWarning", "ValueError", "Warning", "ZeroDivisionError", "__debug__",
    "__name__", "abs", "all", "any", "ascii", "bin", "bool", "bytearray", "bytes", "callable", "chr", "classmethod",
    "complex", "dict", "divmod", "enumerate", "filter", "float", "format", "frozenset", "hasattr", "hash", "hex", "id",
    "int", "isinstance", "issubclass", "iter", "len", "list", "map", "max", "min", "next", "object", "oct", "ord",
    "pow", "print", "property", "range", "repr", "reversed", "round", "set", "slice", "sorted", "staticmethod", "str",
    "sum", "tuple", "zip",
];

const CALL_ONLY: &[&str] = &["delattr", "getattr", "setattr", "super", "type"];

const REFUSED: &[(&str, &str)] = &[
    ("eval", "prism:no-dynamic-code"),
    ("exec", "prism:no-dynamic-code"),
    ("compile", "prism:no-dynamic-code"),
    ("breakpoint", "prism:no-dynamic-code"),
    ("__builtins__", "prism:no-dynamic-code"),
    ("__build_class__", "prism:no-dynamic-code"),
    ("__import__", "prism:no-dynamic-import"),
    ("__loader__", "prism:no-dynamic-import"),
    ("__spec__", "prism:no-dynamic-import"),
    ("open", "prism:no-filesystem"),
    ("help", "prism:no-filesystem"),
    ("license", "prism:no-filesystem"),
    ("credits", "prism:no-filesystem"),
    ("copyright", "prism:no-filesystem"),
    ("__file__", "prism:no-filesystem"),
    ("__cached__", "prism:no-filesystem"),
    ("__path__", "prism:no-filesystem"),
    ("input", "prism:no-process"),
    ("exit", "prism:no-process"),
    ("quit", "prism:no-process"),
    ("SystemExit", "prism:no-process"),
    ("KeyboardInterrupt", "prism:no-process"),
    ("globals", "prism:no-dynamic-attr"),
    ("locals", "prism:no-dynamic-attr"),
    ("vars", "prism:no-dynamic-attr"),
    ("dir", "prism:no-dynamic-attr"),
    ("memoryview", "prism:no-attribute-escape"),
    ("aiter", "prism:unsupported-syntax"),
    ("anext", "prism:unsupported-syntax"),
    ("__doc__", "prism:private-attribute"),
];

static LISTED: LazyLock<Table<&'static str, Verdict>> = LazyLock::new(|| {
    let refused = REFUSED
        .iter()
        .map(|(name, rule)| (*name, Verdict::Refused(rule)));
    let call_only = CALL_ONLY.iter().map(|name| (*name, Verdict::CallOnly));
    let allowed = ALLOWED.iter().map(|name| (*name, Verdict::Allowed));
    refused.chain(call_only).chain(allowed).collect()
});

/// Judges a name that no binding of the file answers for.
pub fn judge(name: &str) -> Verdict {
    if let Some(verdict) = LISTED.get(name) {
        return *verdict;
    }
    if name.starts_with("__") && name.ends_with("__") {
        return Verdict::Refused("prism:no-attribute-escape");
    }
    if name.ends_with("Error")
        || name.ends_with("Warning")
        || name == "GeneratorExit"
        || name == "StopAsyncIteration"
    {
        return Verdict::Allowed;
    }
    Verdict::Unknown
}

/// Whether falling back to the builtin of this name would matter.
pub fn is_refused(name: &str) -> bool {
    matches!(judge(name), Verdict::Refused(_) | Verdict::CallOnly)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_listed_once() {
        assert_eq!(
            LISTED.len(),
            ALLOWED.len() + CALL_ONLY.len() + REFUSED.len()
        );
    }

    #[test]
    fn each_verdict() {
        assert_eq!(judge("len"), Verdict::Allowed);
        assert_eq!(judge("getattr"), Verdict::CallOnly);
        assert_eq!(judge("open"), Verdict::Refused("prism:no-filesystem"));
        assert_eq!(
            judge("__anything__"),
            Verdict::Refused("prism:no-attribute-escape")
        );
        assert_eq!(judge("PermissionError"), Verdict::Allowed);
        assert_eq!(judge("missing"), Verdict::Unknown);
    }
}
