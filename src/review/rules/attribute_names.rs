//! Attribute names that lead out, that are harmless, and that a class may define.

/// Attributes of frames, code, tracebacks, generators, errors and classes, and modules that others re-export.
#[rustfmt::skip]
pub const INTERPRETER: &[&str] = &[
    "ag_await", "ag_code", "ag_frame", "ag_running", "builtins", "co_code", "co_consts", "co_freevars", "co_names",
    "cr_await", "cr_code", "cr_frame", "cr_origin", "f_back", "f_builtins", "f_code", "f_globals", "f_lasti",
    "f_lineno", "f_locals", "f_trace", "f_trace_lines", "f_trace_opcodes", "func_code", "func_globals", "gi_code",
    "gi_frame", "gi_running", "gi_yieldfrom", "im_class", "im_func", "im_self", "inspect", "linecache", "mro", "obj",
    "tb_frame", "tb_lasti", "tb_lineno", "tb_next", "with_traceback",
];

/// Other names that lead out on any object, with the rule they fall under.
pub const ESCAPES: &[(&str, &str)] = &[
    ("os", "prism:no-process"),
    ("sys", "prism:no-process"),
    ("subprocess", "prism:no-process"),
    ("multiprocessing", "prism:no-process"),
    ("popen", "prism:no-process"),
    ("Popen", "prism:no-process"),
    ("fork", "prism:no-process"),
    ("forkserver", "prism:no-process"),
    ("Process", "prism:no-process"),
    ("execv", "prism:no-process"),
    ("execve", "prism:no-process"),
    ("socket", "prism:no-network"),
    ("shutil", "prism:no-filesystem"),
    ("pathlib", "prism:no-filesystem"),
    ("tempfile", "prism:no-filesystem"),
    ("unlink", "prism:no-filesystem"),
    ("rmdir", "prism:no-filesystem"),
    ("rmtree", "prism:no-filesystem"),
    ("tofile", "prism:no-filesystem"),
    ("fromfile", "prism:no-filesystem"),
    ("from_file", "prism:no-filesystem"),
    ("memmap", "prism:no-filesystem"),
    ("read_text", "prism:no-filesystem"),
    ("read_bytes", "prism:no-filesystem"),
    ("write_text", "prism:no-filesystem"),
    ("write_bytes", "prism:no-filesystem"),
    ("FileHandler", "prism:no-filesystem"),
    // of a logger: each has a stream, which has a file
    ("handlers", "prism:no-filesystem"),
    ("cffi", "prism:no-ffi"),
    ("ctypes", "prism:no-ffi"),
    ("load_library", "prism:no-ffi"),
    ("importlib", "prism:no-dynamic-import"),
    ("import_module", "prism:no-dynamic-import"),
    ("exec_module", "prism:no-dynamic-import"),
    ("load_module", "prism:no-dynamic-import"),
    ("pickle", "prism:no-deserialization"),
    ("Unpickler", "prism:no-deserialization"),
    ("add_safe_globals", "prism:no-deserialization"),
    ("attrgetter", "prism:no-dynamic-attr"),
    ("methodcaller", "prism:no-dynamic-attr"),
    ("cpp_extension", "prism:no-torch-escape"),
    ("load_inline", "prism:no-torch-escape"),
    ("python_code", "prism:no-dynamic-code"),
    ("recompile", "prism:no-dynamic-code"),
    ("set_codegen", "prism:no-dynamic-code"),
    ("on_generate_code", "prism:no-dynamic-code"),
    ("exec_with_source", "prism:no-dynamic-code"),
];

/// Names that are dangerous on some library objects and ordinary in one's own classes: `self.dump()` is fine where the
/// submission defines `dump`.
pub const ESCAPES_UNLESS_OWN: &[(&str, &str)] = &[
    ("dump", "prism:no-filesystem"),
    ("io", "prism:no-filesystem"),
    ("spawn", "prism:no-process"),
    ("system", "prism:no-process"),
];

/// Special names that may be read on any object.
#[rustfmt::skip]
pub const READABLE_SPECIAL: &[&str] = &[
    "__abs__", "__add__", "__and__", "__bool__", "__call__", "__contains__", "__delitem__", "__enter__", "__eq__",
    "__exit__", "__float__", "__floordiv__", "__format__", "__ge__", "__getitem__", "__gt__", "__hash__", "__init__",
    "__init_subclass__", "__int__", "__invert__", "__iter__", "__le__", "__len__", "__lt__", "__matmul__", "__mod__",
    "__mul__", "__name__", "__ne__", "__neg__", "__new__", "__next__", "__or__", "__pos__", "__post_init__", "__pow__",
    "__qualname__", "__radd__", "__repr__", "__reversed__", "__rmul__", "__rsub__", "__rtruediv__", "__setitem__",
    "__str__", "__sub__", "__truediv__", "__xor__",
];

/// Special methods and class attributes that a class may define beside those of [`READABLE_SPECIAL`].
#[rustfmt::skip]
pub const DEFINABLE_SPECIAL: &[&str] = &[
    "__all__", "__author__", "__class_getitem__", "__constants__", "__copy__", "__deepcopy__",
    "__delattr__", "__delete__", "__divmod__", "__dir__", "__get__", "__getattr__", "__iadd__", "__iand__",
    "__ifloordiv__", "__imatmul__", "__imod__", "__imul__", "__index__", "__ior__", "__ipow__", "__isub__",
    "__itruediv__", "__ixor__", "__length_hint__", "__license__", "__lshift__", "__missing__", "__rand__",
    "__rfloordiv__", "__rlshift__", "__rmatmul__", "__rmod__", "__ror__", "__round__", "__rpow__", "__rrshift__",
    "__rshift__", "__rxor__", "__set__", "__set_name__", "__setattr__", "__slots__", "__version__", "__ceil__",
    "__floor__", "__trunc__", "__complex__", "__bytes__",
];

/// Private names that stay refused although a submission defines the same name.
#[rustfmt::skip]
pub const PRIVATE_ESCAPES: &[&str] = &[
    "_evaluate", "_eval_type", "_exec_with_source", "_getframe", "_get_iterator", "_new_shared", "_new_using_fd_cpu",
    "_new_using_filename_cpu", "_set_from_file", "_share_fd_cpu_", "_share_filename_cpu_", "_write_file",
    "_new_with_file", "_code", "_graph", "_module",
];

/// Private names of torch that are part of everyday use.
pub const PRIVATE_ALLOWED: &[&str] = &[
    "_orig_mod",
    "_fields",
    "_replace",
    "_asdict",
    "_modules",
    "_parameters",
    "_buffers",
    // of the base classes of schedulers and modules, and of sparse gradients
    "_last_lr",
    "_step_count",
    "_get_name",
    "_indices",
    "_values",
];
