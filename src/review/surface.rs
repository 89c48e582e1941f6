//! What of each library a submission may use: the tables of `surface/*.txt`.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

static SURFACES: LazyLock<HashMap<&'static str, HashSet<&'static str>>> = LazyLock::new(|| {
    let mut surfaces: HashMap<&'static str, HashSet<&'static str>> = HashMap::new();
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
                surfaces.entry(module).or_default();
            } else {
                surfaces
                    .entry(module)
                    .or_default()
                    .extend(line.split_whitespace());
            }
        }
    }
    surfaces.remove("");
    surfaces
});

static PACKAGES: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let mut packages = HashSet::new();
    for module in SURFACES.keys() {
        for (dot, _) in module.match_indices('.') {
            if let Some(parent) = module.get(..dot) {
                packages.insert(parent.to_owned());
            }
        }
    }
    packages
});

static RESERVED: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("surface/reserved_modules.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .collect()
});

/// What a dotted name inside a library module is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    Module,
    Object,
    NotPublic,
}

/// Whether `module` may be imported by name.
pub fn is_importable(module: &str) -> bool {
    SURFACES.contains_key(module)
}

/// Whether `module` exists only as the package of importable modules, like `torch.nn.attention` of a deeper one.
pub fn is_package(module: &str) -> bool {
    SURFACES.contains_key(module) || PACKAGES.contains(module)
}

/// What `module.name` is.
pub fn member(module: &str, name: &str) -> Member {
    let dotted = format!("{module}.{name}");
    if is_package(&dotted) {
        return Member::Module;
    }
    match SURFACES.get(module) {
        Some(names) if names.contains(name) => Member::Object,
        _ => Member::NotPublic,
    }
}

/// Names that no file of a bundle may carry, because an import could reach the wrong module.
pub fn is_reserved(stem: &str) -> bool {
    RESERVED.contains(stem) || SURFACES.contains_key(stem) || PACKAGES.contains(stem)
}

/// Up to three listed names that look like a refused one.
pub fn similar(module: &str, name: &str) -> Vec<&'static str> {
    let Some(names) = SURFACES.get(module) else {
        return Vec::new();
    };
    let wanted = name.to_ascii_lowercase();
    let mut close: Vec<&'static str> = names
        .iter()
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
            assert_eq!(member(module, name), Member::Object, "{module}.{name}");
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
        assert_eq!(member("torch", "nn"), Member::Module);
    }

    #[test]
    fn private_names_are_listed_only_by_decision() {
        for (module, names) in SURFACES.iter() {
            for name in names {
                let is_exception = name.starts_with("_foreach_")
                    || matches!(
                        *name,
                        "__version__"
                            | "_BatchNorm"
                            | "_LRScheduler"
                            | "_calculate_fan_in_and_fan_out"
                    );
                assert!(!name.starts_with('_') || is_exception, "{module}.{name}");
            }
        }
    }
}
