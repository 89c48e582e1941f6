//! Where the time of a review goes, for `just bench-review`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::bundle::Bundle;
use super::finding::sha256_hex;
use super::hooks;
use super::readable::read;
use super::workers::on_deep_stack;
use super::{DistributedPolicy, Roles, ast_digest, distributed, fingerprints, graph, rules};

/// Does the stages of one review in their order and says how long each took. Nothing where a file cannot be read.
pub fn stages(
    files: &BTreeMap<String, Vec<u8>>,
    roles: &Roles<'_>,
) -> Option<Vec<(&'static str, Duration)>> {
    on_deep_stack(|| {
        let mut took = Vec::new();
        let mut start = Instant::now();
        let mut lap = |stage: &'static str| {
            let now = Instant::now();
            took.push((stage, now - start));
            start = now;
        };
        let mut decoded = Vec::new();
        for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".py")) {
            decoded.push(read(path, bytes).ok()?);
        }
        lap("decode and parse");
        let bundle = Bundle::new(&decoded, *roles);
        lap("scopes and names");
        for index in 0..bundle.files.len() {
            rules::check_file(&bundle, index);
        }
        lap("rules");
        for file in &bundle.files {
            ast_digest::ast_digest(file.body);
        }
        lap("digest");
        bundle.ledger.begin_file(0);
        let (hooks, _) = hooks::find(&bundle);
        rules::check_purity(&bundle, &hooks);
        lap("purity");
        distributed::check(&bundle, DistributedPolicy::default());
        lap("several ranks");
        let graph = graph::build(&bundle);
        lap("graph");
        let tokens: Vec<_> = decoded.iter().map(|file| &file.module.tokens).collect();
        fingerprints::take(&bundle, &hooks, &tokens, &graph, files);
        lap("fingerprints");
        for bytes in files.values() {
            sha256_hex(bytes);
        }
        lap("hashes of the files");
        drop((bundle, tokens));
        drop(decoded);
        lap("dropping it");
        Some(took)
    })?
}
