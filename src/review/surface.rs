//! What of each library a submission may use: the tables of `surface/*.txt`.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::seeded::Table;

/// What is known of one module or package, by the names inside it.
#[derive(Default)]
struct Module {
    /// May be imported by name; others exist only as packages of those.
    is_importable: bool,
    /// Listed names, with their dotted paths.
    objects: Table<&'static str, &'static str>,
    /// Modules and packages in it, with their dotted paths.
    modules: Table<&'static str, &'static str>,
}

static MODULES: LazyLock<Table<&'static str, Module>> = LazyLock::new(|| {
    let mut modules: Table<&'static str, Module> = Table::default();
    for text in [
        include_str!("surface/python.txt"),
        include_str!("surface/torch.txt"),
    ] {
        let mut module = "";
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(header) = line
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                module = header;
                modules.entry(module).or_default().is_importable = true;
            } else {
                let entry = modules.entry(module).or_default();
                for name in line.split_whitespace() {
                    let path: &'static str = format!("{module}.{name}").leak();
                    entry.objects.insert(name, path);
                }
            }
        }
    }
    modules.remove("");
    let importable: Vec<&'static str> = modules.keys().copied().collect();
    for path in importable {
        let mut path = path;
        while let Some((parent, name)) = path.rsplit_once('.') {
            let package = modules.entry(parent).or_default();
            package.modules.insert(name, path);
            path = parent;
        }
    }
    modules
});

static RESERVED: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("surface/reserved_modules.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .collect()
});

/// What a dotted name inside a library module is, with its path where it is public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    Module(&'static str),
    Object(&'static str),
    NotPublic,
}

/// Whether `module` may be imported by name.
pub fn is_importable(module: &str) -> bool {
    MODULES
        .get(module)
        .is_some_and(|module| module.is_importable)
}

/// Whether `module` is importable, or exists as the package of importable modules, like `torch.nn.attention` of a
/// deeper one.
pub fn is_package(module: &str) -> bool {
    MODULES.contains_key(module)
}

/// What `module.name` is.
pub fn member(module: &str, name: &str) -> Member {
    if name.contains('.') {
        // from a text; no attribute is written like this
        let dotted = format!("{module}.{name}");
        return match MODULES.get_key_value(dotted.as_str()) {
            Some((path, _)) => Member::Module(path),
            None => Member::NotPublic,
        };
    }
    let Some(module) = MODULES.get(module) else {
        return Member::NotPublic;
    };
    match (module.modules.get(name), module.objects.get(name)) {
        (Some(path), _) => Member::Module(path),
        (None, Some(path)) => Member::Object(path),
        (None, None) => Member::NotPublic,
    }
}

/// Names that no file of a bundle may carry, because an import could reach the wrong module.
pub fn is_reserved(stem: &str) -> bool {
    RESERVED.contains(stem) || is_package(stem)
}

/// Up to three listed names that look like a refused one.
pub fn similar(module: &str, name: &str) -> Vec<&'static str> {
    let Some(module) = MODULES.get(module) else {
        return Vec::new();
    };
    let wanted = name.to_ascii_lowercase();
    let mut close: Vec<&'static str> = module
        .objects
        .keys()
        .copied()
        .filter(|candidate| {
            let candidate = candidate.to_ascii_lowercase();
            candidate == wanted || (wanted.len() >= 4 && candidate.starts_with(&wanted))
        })
        .collect();
    close.sort_unstable();
    close.truncate(3);
    close
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surfaces_hold_what_models_need_and_nothing_that_escapes() {
        for (module, name) in [
            ("torch", "einsum"),
            ("torch", "float32"),
            ("torch.nn", "Linear"),
            ("torch.nn.functional", "scaled_dot_product_attention"),
            ("torch.optim", "AdamW"),
            ("torch.optim.lr_scheduler", "CosineAnnealingLR"),
            ("torch.distributed", "all_reduce"),
            ("torch.distributed.fsdp", "FullyShardedDataParallel"),
            ("torch.utils.checkpoint", "checkpoint"),
            ("torch.nn.utils", "clip_grad_norm_"),
            ("math", "log"),
        ] {
            let path = format!("{module}.{name}");
            let found = member(module, name);
            assert!(
                matches!(found, Member::Object(found) if found == path),
                "{path}"
            );
        }
        for (module, name) in [
            ("torch", "os"),
            ("torch", "hub"),
            ("torch", "ops"),
            ("torch", "classes"),
            ("torch", "library"),
            ("torch", "jit"),
            ("torch", "serialization"),
            ("torch", "from_file"),
            ("torch", "_C"),
            ("torch", "get_device_module"),
            ("torch.nn.functional", "np"),
            ("torch.utils", "cpp_extension"),
            ("torch.utils", "collect_env"),
            ("torch.distributed", "FileStore"),
            ("torch.distributed", "broadcast_object_list"),
            ("torch.nn.modules.module", "register_module_forward_hook"),
            ("typing", "sys"),
            ("typing", "ForwardRef"),
            ("typing", "get_type_hints"),
            ("functools", "update_wrapper"),
            ("functools", "singledispatch"),
            ("collections", "_sys"),
            ("operator", "attrgetter"),
            ("numpy", "load"),
        ] {
            assert_eq!(member(module, name), Member::NotPublic, "{module}.{name}");
        }
        assert_eq!(member("torch", "nn"), Member::Module("torch.nn"));
    }

    #[test]
    fn private_names_are_listed_only_by_decision() {
        for (path, module) in MODULES.iter() {
            for name in module.objects.keys() {
                let is_exception = name.starts_with("_foreach_")
                    || matches!(
                        *name,
                        "__version__"
                            | "_BatchNorm"
                            | "_LRScheduler"
                            | "_calculate_fan_in_and_fan_out"
                    );
                assert!(!name.starts_with('_') || is_exception, "{path}.{name}");
            }
        }
    }
}
