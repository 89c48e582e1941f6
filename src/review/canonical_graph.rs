//! The text that an architecture graph's hash is of: compact JSON, the keys sorted.

use std::collections::BTreeSet;

use serde::Serialize;

use super::graph::{ArchitectureGraph, DynamicRouting, ParameterizedBlock, TokenizerConstraints};

/// All fields but the hash, in the order of their names.
#[derive(Serialize)]
pub struct CanonicalGraph<'g> {
    calls: &'g BTreeSet<String>,
    classes: &'g BTreeSet<String>,
    dynamic_routing: &'g DynamicRouting,
    functions: &'g BTreeSet<String>,
    imports: &'g BTreeSet<String>,
    interface: Interface<'g>,
    modules: &'g BTreeSet<String>,
    parameterized_blocks: Vec<Block<'g>>,
    schema_version: &'g str,
    tokenizer_constraints: &'g TokenizerConstraints,
}

#[derive(Serialize)]
struct Interface<'g> {
    optional_hooks: &'g BTreeSet<String>,
    required: &'g BTreeSet<String>,
}

#[derive(Serialize)]
struct Block<'g> {
    args: usize,
    keywords: &'g [String],
    kind: &'g str,
    name: &'g str,
}

impl<'g> CanonicalGraph<'g> {
    pub fn of(graph: &'g ArchitectureGraph) -> CanonicalGraph<'g> {
        let block = |block: &'g ParameterizedBlock| Block {
            args: block.args,
            keywords: &block.keywords,
            kind: &block.kind,
            name: &block.name,
        };
        CanonicalGraph {
            calls: &graph.calls,
            classes: &graph.classes,
            dynamic_routing: &graph.dynamic_routing,
            functions: &graph.functions,
            imports: &graph.imports,
            interface: Interface {
                optional_hooks: &graph.interface.optional_hooks,
                required: &graph.interface.required,
            },
            modules: &graph.modules,
            parameterized_blocks: graph.parameterized_blocks.iter().map(block).collect(),
            schema_version: graph.schema_version,
            tokenizer_constraints: &graph.tokenizer_constraints,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field that is added to the graph and not here fails this.
    #[test]
    fn is_the_graph_with_sorted_keys() {
        let mut graph = ArchitectureGraph::default();
        graph.classes.extend(["b".to_owned(), "a".to_owned()]);
        graph.interface.required.insert("build_model".to_owned());
        graph.parameterized_blocks.insert(ParameterizedBlock {
            name: "self.embed".to_owned(),
            kind: "nn.Embedding".to_owned(),
            args: 2,
            keywords: vec!["dtype".to_owned()],
        });
        // serde_json sorts the keys of a Value
        let mut value = serde_json::to_value(&graph).unwrap();
        value.as_object_mut().unwrap().remove("hash");
        let canonical = serde_json::to_string(&CanonicalGraph::of(&graph)).unwrap();
        assert_eq!(canonical, value.to_string());
    }
}
