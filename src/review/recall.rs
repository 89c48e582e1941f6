//! One part of a review alone, of a submission that was reviewed before.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::bundle::Bundle;
use super::fingerprints::{self, Fingerprints};
use super::hooks::{self, Hook};
use super::readable::read;
use super::workers::on_deep_stack;
use super::{Roles, graph};

/// The hooks alone, of a submission that was reviewed before; none if it cannot be read.
pub fn hooks_of(files: &BTreeMap<String, Vec<u8>>, roles: &Roles<'_>) -> Vec<Hook> {
    let found = || {
        let mut decoded = Vec::new();
        for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".py")) {
            decoded.extend(read(path, bytes).ok());
        }
        hooks::find(&Bundle::new(&decoded, *roles)).0
    };
    on_deep_stack(|| catch_unwind(AssertUnwindSafe(found)).unwrap_or_default()).unwrap_or_default()
}

/// The fingerprints alone, of a submission that was reviewed before; nothing if it cannot be read.
pub fn fingerprints(files: &BTreeMap<String, Vec<u8>>, roles: &Roles<'_>) -> Option<Fingerprints> {
    let taken = on_deep_stack(|| {
        catch_unwind(AssertUnwindSafe(|| {
            let mut decoded = Vec::new();
            for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".py")) {
                decoded.push(read(path, bytes).ok()?);
            }
            let bundle = Bundle::new(&decoded, *roles);
            let tokens: Vec<_> = decoded.iter().map(|file| &file.module.tokens).collect();
            let graph = graph::build(&bundle);
            let (hooks, _) = hooks::find(&bundle);
            Some(fingerprints::take(&bundle, &hooks, &tokens, &graph, files))
        }))
    });
    taken?.ok()?
}
