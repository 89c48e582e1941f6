//! One part of a review alone, of a submission that was reviewed before.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::authored::Collector;
use super::bundle::Bundle;
use super::fingerprints::{self, Fingerprints};
use super::hooks::{self, Hook};
use super::readable::read;
use super::scope::ScopeTable;
use super::workers::on_deep_stack;
use super::{Roles, ast_digest, graph};

/// The canonical digest of every Python file that can be read and parsed, by path: what [`FileReport::ast_sha256`] says.
pub fn ast_digests(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, String> {
    let digests = || {
        files
            .iter()
            .filter(|(path, _)| path.ends_with(".py"))
            .filter_map(|(path, bytes)| {
                let file = read(path, bytes).ok()?;
                let body = &file.module.body;
                ScopeTable::build(body, &mut Collector::default())
                    .too_deep
                    .is_none()
                    .then(|| (path.clone(), ast_digest::ast_digest(body)))
            })
            .collect()
    };
    on_deep_stack(|| catch_unwind(AssertUnwindSafe(digests)).unwrap_or_default())
        .unwrap_or_default()
}

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
