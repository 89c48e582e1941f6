//! `architecture_metadata.v1`: what a submission's architecture is called, hashed to and compared by, without its source.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::graph::{Interface, ParameterizedBlock};
use super::{ArchitectureGraph, Review};
use crate::digest::hex;

const MAX_CLASSES: usize = 8;
const MAX_CALLS: usize = 32;
const MAX_BLOCKS: usize = 16;
/// The fields of the graph that two architectures are compared by.
const COMPARISON_KEYS: [&str; 10] = [
    "schema_version",
    "modules",
    "classes",
    "functions",
    "imports",
    "calls",
    "parameterized_blocks",
    "tokenizer_constraints",
    "dynamic_routing",
    "interface",
];

/// The file's content.
#[derive(Debug, Serialize)]
pub struct ArchitectureMetadata<'a> {
    pub schema_version: &'static str,
    pub submission_id: &'a str,
    pub identity: Identity<'a>,
    pub graph: GraphFacts<'a>,
    /// The classes and the entry points as a Mermaid diagram; derived from the graph, never part of an identity.
    pub derived_mermaid: String,
    /// One sentence of counts.
    pub architecture_summary: String,
    pub training_summary: String,
    pub overview: Overview<'a>,
    pub difficulty: Difficulty,
    pub comparison: Comparison<'a>,
    /// What kinds of layers there are.
    pub comparison_tags: Vec<&'static str>,
    /// What all of this was derived from.
    pub deterministic_evidence: Vec<Evidence<'a>>,
}

/// A file as it was read.
#[derive(Debug, Serialize)]
pub struct Evidence<'a> {
    pub path: &'a str,
    pub sha256: &'a str,
    /// Canonical digest of the syntax tree; none of what is not parsed.
    pub ast_sha256: Option<&'a str>,
}

/// Hashes, all sha256 in hex but for the structure's.
#[derive(Debug, Serialize)]
pub struct Identity<'a> {
    /// Historical: also arch_fingerprint and family_hash. Over the files of the architecture: path and syntax tree.
    pub architecture_source_hash: String,
    /// The same over the files of the training.
    pub training_hash: String,
    /// Historical: also behavior_fingerprint.
    pub architecture_graph_hash: &'a str,
    /// Of everything that the entry points reach: names, texts, layout and unused code do not move it. 64 bits.
    pub structure_hash: String,
    pub owner_hotkey: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub struct GraphFacts<'a> {
    pub canonical_artifact: &'static str,
    pub hash: GraphHash<'a>,
    /// Modules, classes, functions and parameterised blocks.
    pub node_count: usize,
    /// Calls, and the entry points if there is a class.
    pub edge_count: usize,
    pub source_free_comparison_keys: [&'static str; 10],
}

#[derive(Debug, Serialize)]
pub struct GraphHash<'a> {
    pub algorithm: &'static str,
    pub value: &'a str,
    pub canonicalization: &'static str,
}

#[derive(Debug, Serialize)]
pub struct Overview<'a> {
    /// Both roles in one archive: the only kind that is accepted.
    pub project_kind: &'static str,
    pub module_count: usize,
    pub primary_classes: Vec<&'a String>,
    pub required_interface: Vec<&'a String>,
    pub hooks: Vec<&'a String>,
}

#[derive(Debug, Serialize)]
pub struct Difficulty {
    /// `low` below 16, `medium` below 40, else `high`.
    pub tier: &'static str,
    /// Nodes and edges.
    pub complexity_score: usize,
    pub parameterized_block_count: usize,
    pub dynamic_routing: bool,
}

#[derive(Debug, Serialize)]
pub struct Comparison<'a> {
    pub architecture_graph_hash: &'a str,
    pub imports: Vec<&'a String>,
    pub calls: Vec<&'a String>,
    pub parameterized_blocks: Vec<&'a ParameterizedBlock>,
    pub interface: &'a Interface,
    pub dynamic_routing: bool,
}

/// Which files belong to which role: the entry and what prism.yaml adds.
#[derive(Debug, Clone, Copy)]
pub struct RoleFiles<'a> {
    pub architecture: &'a [&'a str],
    pub training: &'a [&'a str],
}

/// Describes a reviewed submission.
pub fn metadata<'a>(
    submission_id: &'a str,
    owner_hotkey: Option<&'a str>,
    review: &'a Review,
    roles: RoleFiles<'_>,
) -> ArchitectureMetadata<'a> {
    let graph = &review.architecture_graph;
    let blocks = graph.parameterized_blocks.len();
    let nodes = graph.modules.len() + graph.classes.len() + graph.functions.len() + blocks;
    let entries = if graph.classes.is_empty() {
        0
    } else {
        graph.interface.required.len()
    };
    let edges = graph.calls.len() + entries;
    ArchitectureMetadata {
        schema_version: "architecture_metadata.v1",
        submission_id,
        identity: Identity {
            architecture_source_hash: component_hash(review, roles.architecture),
            training_hash: component_hash(review, roles.training),
            architecture_graph_hash: &graph.hash,
            structure_hash: format!("{:016x}", review.fingerprints.exact),
            owner_hotkey,
        },
        graph: GraphFacts {
            canonical_artifact: "architecture_graph.json",
            hash: GraphHash {
                algorithm: "sha256",
                value: &graph.hash,
                canonicalization: "json-sort-keys-no-whitespace",
            },
            node_count: nodes,
            edge_count: edges,
            source_free_comparison_keys: COMPARISON_KEYS,
        },
        derived_mermaid: mermaid(graph),
        architecture_summary: architecture_summary(review, roles.architecture),
        training_summary: summary(review, roles.training),
        overview: Overview {
            project_kind: "full",
            module_count: graph.modules.len(),
            primary_classes: graph.classes.iter().take(MAX_CLASSES).collect(),
            required_interface: graph.interface.required.iter().collect(),
            hooks: graph.interface.optional_hooks.iter().collect(),
        },
        difficulty: Difficulty {
            tier: match nodes + edges {
                0..16 => "low",
                16..40 => "medium",
                _ => "high",
            },
            complexity_score: nodes + edges,
            parameterized_block_count: blocks,
            dynamic_routing: graph.dynamic_routing.enabled,
        },
        comparison: Comparison {
            architecture_graph_hash: &graph.hash,
            imports: graph.imports.iter().collect(),
            calls: graph.calls.iter().take(MAX_CALLS).collect(),
            parameterized_blocks: graph.parameterized_blocks.iter().take(MAX_BLOCKS).collect(),
            interface: &graph.interface,
            dynamic_routing: graph.dynamic_routing.enabled,
        },
        comparison_tags: tags(graph),
        deterministic_evidence: review
            .files
            .iter()
            .map(|file| Evidence {
                path: &file.path,
                sha256: &file.sha256,
                ast_sha256: file.ast_sha256.as_deref(),
            })
            .collect(),
    }
}

/// Entry points on one side, the first classes on the other. Names are identifiers, so nothing in them ends a label.
fn mermaid(graph: &ArchitectureGraph) -> String {
    let mut text = String::from("graph TD\n");
    let node = |kind: &str, index: usize, name: &str| format!("  {kind}{index}[\"{name}\"]\n");
    for (index, name) in graph.interface.required.iter().enumerate() {
        text.push_str(&node("entry", index, name));
    }
    for (index, name) in graph.classes.iter().take(MAX_CLASSES).enumerate() {
        text.push_str(&node("class", index, name));
    }
    for entry in 0..graph.interface.required.len() {
        for class in 0..graph.classes.len().min(MAX_CLASSES) {
            text.push_str(&format!("  entry{entry} --> class{class}\n"));
        }
    }
    text
}

/// What the files of a role amount to.
fn summary(review: &Review, paths: &[&str]) -> String {
    let files = || {
        review
            .files
            .iter()
            .filter(|file| paths.contains(&file.path.as_str()))
    };
    format!(
        "{}, {}, {}",
        counted(files().count(), "file"),
        counted(files().map(|file| file.bytes).sum(), "byte"),
        counted(files().map(|file| file.ast_nodes).sum(), "syntax node"),
    )
}

fn architecture_summary(review: &Review, paths: &[&str]) -> String {
    let graph = &review.architecture_graph;
    let kinds = tags(graph);
    let kinds = if kinds.is_empty() {
        String::new()
    } else {
        format!(" ({})", kinds.join(", "))
    };
    format!(
        "{}; the graph has {}, {}, {}{kinds}",
        summary(review, paths),
        counted(graph.classes.len(), "class"),
        counted(graph.functions.len(), "function"),
        counted(graph.parameterized_blocks.len(), "parameterised block"),
    )
}

fn counted(count: usize, what: &str) -> String {
    match (count, what.ends_with('s')) {
        (1, _) => format!("1 {what}"),
        (_, true) => format!("{count} {what}es"),
        (_, false) => format!("{count} {what}s"),
    }
}

/// sha256 over the files in path order: path, newline, digest of the syntax tree (of the bytes, where there is none),
/// joined by `\n---\n`.
fn component_hash(review: &Review, paths: &[&str]) -> String {
    let mut hash = Sha256::new();
    let files = review
        .files
        .iter()
        .filter(|file| paths.contains(&file.path.as_str()));
    for (index, file) in files.enumerate() {
        if index > 0 {
            hash.update(b"\n---\n");
        }
        hash.update(file.path.as_bytes());
        hash.update(b"\n");
        hash.update(file.ast_sha256.as_ref().unwrap_or(&file.sha256));
    }
    hex(&hash.finalize())
}

fn tags(graph: &ArchitectureGraph) -> Vec<&'static str> {
    let has = |word: &str| {
        graph
            .parameterized_blocks
            .iter()
            .any(|block| block.kind.contains(word))
    };
    [
        ("embedding", has("Embedding")),
        ("linear-head", has("Linear")),
        ("attention", has("Attention")),
        ("convolution", has("Conv")),
        ("dynamic-routing", graph.dynamic_routing.enabled),
    ]
    .into_iter()
    .filter_map(|(tag, is_there)| is_there.then_some(tag))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ROLES, plain_bundle};
    use super::super::{fingerprints, review};
    use super::*;

    const ARCHITECTURE: &str = "\
from torch import nn


class Mixer(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.embedding = nn.Embedding(vocab, 8)
        self.head = nn.Linear(8, vocab)


def build_model(ctx):
    return Mixer(ctx.vocab_size)
";

    #[test]
    fn what_can_be_derived_is_there() {
        let mut files = plain_bundle();
        files.insert("architecture.py".to_owned(), ARCHITECTURE.into());
        let review = review(&files, &ROLES);
        assert_eq!(
            review.fingerprints.exact,
            fingerprints(&files, &ROLES).unwrap().exact
        );
        let roles = RoleFiles {
            architecture: &["architecture.py"],
            training: &["training.py"],
        };
        let metadata = metadata("id", None, &review, roles);
        assert_eq!(
            metadata.derived_mermaid,
            "graph TD\n  entry0[\"build_model\"]\n  entry1[\"train\"]\n  class0[\"mixer\"]\n  \
             entry0 --> class0\n  entry1 --> class0\n"
        );
        assert!(
            metadata.architecture_summary.ends_with(
                "; the graph has 1 class, 2 functions, 2 parameterised blocks (embedding, linear-head)"
            ),
            "{}",
            metadata.architecture_summary
        );
        assert!(
            metadata.training_summary.starts_with("1 file, 25 bytes, "),
            "{}",
            metadata.training_summary
        );
        assert_eq!(metadata.deterministic_evidence.len(), 2);
        let json = serde_json::to_value(&metadata).unwrap();
        assert_eq!(json["deterministic_evidence"][0]["path"], "architecture.py");
        assert!(json["deterministic_evidence"][1]["ast_sha256"].is_string());
        assert_eq!(json["overview"]["project_kind"], "full");
    }
}
