//! Roles, files across a bundle, and what the review reports beside findings.

use std::collections::BTreeMap;

use super::{ROLES, plain_bundle, review_beside_plain};
use crate::review::{Roles, Severity, Verdict, review};

fn bundle(files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
        .collect()
}

fn rules(files: &[(&str, &str)]) -> Vec<String> {
    review(&bundle(files), &ROLES)
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Reject)
        .map(|finding| format!("{} {}:{}", finding.rule_id, finding.path, finding.line))
        .collect()
}

const ARCHITECTURE: (&str, &str) = (
    "architecture.py",
    "def build_model(ctx):\n    return None\n",
);
const TRAINING: (&str, &str) = (
    "training.py",
    "from architecture import build_model\n\n\ndef train(ctx):\n    pass\n",
);

#[test]
fn a_plain_bundle_is_accepted_and_reported() {
    let review = review(&plain_bundle(), &ROLES);
    assert_eq!(review.verdict, Verdict::Accepted);
    assert!(review.findings.is_empty());
    assert_eq!(review.files.len(), 2);
    assert_eq!(review.files[0].path, "architecture.py");
    assert_eq!(review.files[0].ast_nodes, 3);
    assert_eq!(review.files[0].sha256.len(), 64);
}

#[test]
fn entry_points() {
    let table: &[(&str, &str)] = &[
        ("def build_model(ctx): pass\n", ""),
        (
            "def build_model(anything, width=3, *, deep=True): pass\n",
            "",
        ),
        ("def build_model(*args): pass\n", ""),
        ("x = 1\n", "prism:missing-entrypoint architecture.py:1"),
        (
            "if True:\n    def build_model(ctx): pass\n",
            "prism:missing-entrypoint architecture.py:1",
        ),
        (
            "class A:\n    def build_model(ctx): pass\n",
            "prism:missing-entrypoint architecture.py:1",
        ),
        (
            "build_model = lambda ctx: None\n",
            "prism:missing-entrypoint architecture.py:1",
        ),
        (
            "def build_model(): pass\n",
            "prism:entrypoint-signature architecture.py:1",
        ),
        (
            "\ndef build_model(ctx, width): pass\n",
            "prism:entrypoint-signature architecture.py:2",
        ),
        (
            "def build_model(ctx, *, width): pass\n",
            "prism:entrypoint-signature architecture.py:1",
        ),
        (
            "def build_model(**options): pass\n",
            "prism:entrypoint-signature architecture.py:1",
        ),
        (
            "def build_model(ctx:\n",
            "prism:syntax-error architecture.py:2",
        ),
    ];
    for (source, expected) in table {
        let training = ("training.py", "def train(ctx):\n    pass\n");
        let expected: Vec<String> = expected
            .split(',')
            .filter(|rule| !rule.is_empty())
            .map(str::to_owned)
            .collect();
        assert_eq!(
            rules(&[("architecture.py", source), training]),
            expected,
            "{source}"
        );
    }
}

#[test]
fn roles_need_two_python_files() {
    assert_eq!(rules(&[ARCHITECTURE]), ["prism:missing-file training.py:1"]);
    let same = Roles {
        architecture: ("architecture.py", "build_model"),
        training: ("architecture.py", "build_model"),
        contract: crate::bundle::ContractVersion::V2,
    };
    let review = review(&plain_bundle(), &same);
    assert_eq!(review.findings[0].rule_id, "prism:missing-file");
}

#[test]
fn files_named_like_libraries_are_refused() {
    for path in [
        "os.py",
        "json.py",
        "torch.py",
        "numpy/__init__.py",
        "torch/nn.py",
        "prism_challenge/evaluator/x.py",
        "lib/random.py",
    ] {
        let found = rules(&[ARCHITECTURE, TRAINING, (path, "")]);
        assert_eq!(found, [format!("prism:module-shadow {path}:1")]);
    }
    assert!(
        rules(&[
            ARCHITECTURE,
            TRAINING,
            ("layers.py", ""),
            ("parts/attention.py", "")
        ])
        .is_empty()
    );
}

#[test]
fn own_modules_are_followed() {
    let lib = "import torch\nimport torch.nn.functional as F\nfrom torch import load\n\n\ndef act(x):\n    return F.relu(x)\n";
    let table: &[(&str, &[&str])] = &[
        ("from layers import act\n", &[]),
        ("import layers\nact = layers.act\n", &[]),
        ("from . import layers\nlayers.act(1)\n", &[]),
        ("from layers import F\nF.gelu(1)\n", &[]),
        (
            "from layers import missing\n",
            &["prism:module-surface case.py:1"],
        ),
        (
            "import layers\nlayers.missing(1)\n",
            &["prism:module-surface case.py:2"],
        ),
        (
            "from layers import torch\ntorch.os.system('x')\n",
            &["prism:no-process case.py:2"],
        ),
        (
            "import layers\nlayers.torch.hub\n",
            &["prism:no-torch-escape case.py:2"],
        ),
        (
            "import layers\nlayers.load('/x', weights_only=True)\n",
            &["prism:no-deserialization case.py:2"],
        ),
        (
            "import layers\nlayers.act = 1\n",
            &["prism:no-patching case.py:2"],
        ),
        (
            "import layers\nx = [layers]\n",
            &["prism:module-value case.py:2"],
        ),
        ("from ..layers import act\n", &[]),
        (
            "from .nowhere import act\n",
            &["prism:module-surface case.py:1"],
        ),
    ];
    for (source, expected) in table {
        let found = rules(&[
            ARCHITECTURE,
            TRAINING,
            ("layers.py", lib),
            ("case.py", source),
        ]);
        assert_eq!(found, *expected, "{source}");
    }
}

#[test]
fn a_file_that_stands_alone_may_import_the_other_script() {
    for (source, is_accepted) in [
        (
            "from architecture import build_model\n\nmodel = build_model(1)\n",
            true,
        ),
        ("import training\n\ntraining.train(1)\n", true),
        ("from layers import Block\n", false),
        ("import architecture\n\nx = [architecture]\n", false),
    ] {
        let review = super::super::review_source("case.py", source.as_bytes());
        let got = review.verdict == super::super::Verdict::Accepted;
        assert_eq!(got, is_accepted, "{source}: {:?}", review.findings);
    }
}

#[test]
fn packages_and_nested_entries_resolve() {
    let files = bundle(&[
        (
            "src/architecture.py",
            "from parts.block import Block\nfrom .parts import block\n\n\ndef build_model(ctx):\n    return Block()\n",
        ),
        (
            "src/training.py",
            "import parts.block\nfrom architecture import build_model\n\n\ndef train(ctx):\n    parts.block.Block()\n",
        ),
        ("src/parts/__init__.py", ""),
        ("src/parts/block.py", "class Block:\n    pass\n"),
    ]);
    let roles = Roles {
        architecture: ("src/architecture.py", "build_model"),
        training: ("src/training.py", "train"),
        contract: crate::bundle::ContractVersion::V2,
    };
    let review = review(&files, &roles);
    assert_eq!(review.verdict, Verdict::Accepted, "{:#?}", review.findings);
}

#[test]
fn a_rebound_directory_is_trusted_nowhere() {
    let saves =
        "import torch\n\n\ndef train(ctx):\n    torch.save({}, ctx.artifacts_dir + '/x.pt')\n";
    assert!(rules(&[ARCHITECTURE, ("training.py", saves)]).is_empty());
    let found = rules(&[
        ARCHITECTURE,
        ("training.py", saves),
        ("other.py", "artifacts_dir = '/etc'\n"),
    ]);
    assert_eq!(found, ["prism:no-filesystem training.py:5"]);
}

#[test]
fn undecodable_files_are_findings_not_errors() {
    let review = review_beside_plain(b"x = '\xff'\n");
    assert_eq!(review.findings[0].rule_id, "prism:source-encoding");
    assert_eq!(
        (review.findings[0].line, review.findings[0].path.as_str()),
        (1, "case.py")
    );
}

#[test]
fn the_graph_describes_the_architecture_and_ignores_widths() {
    let source = |width: usize| {
        format!(
            "import torch\nfrom torch import nn\n\n\nclass TinyGptModel(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.emb = nn.Embedding(256, {width})\n        self.head = nn.Linear({width}, 256, bias=False)\n\n    def forward(self, x):\n        return torch.topk(self.head(self.emb(x)), 3)\n\n\ndef build_model(ctx):\n    return TinyGptModel()\n"
        )
    };
    let graph = |width| {
        review(
            &bundle(&[("architecture.py", &source(width)), TRAINING]),
            &ROLES,
        )
        .architecture_graph
    };
    let found = graph(8);
    assert_eq!(found.schema_version, "architecture_graph.v1");
    assert!(found.classes.contains("gpt") && found.functions.contains("forward"));
    assert!(found.imports.contains("torch") && found.modules.contains("architecture"));
    assert!(found.calls.contains("super.__init__") && found.calls.contains("torch.topk"));
    assert!(found.dynamic_routing.enabled);
    let blocks: Vec<_> = found
        .parameterized_blocks
        .iter()
        .map(|block| (block.name.as_str(), block.args))
        .collect();
    assert_eq!(blocks, [("self.emb", 2), ("self.head", 2)]);
    assert_eq!(
        found.interface.required.iter().collect::<Vec<_>>(),
        ["build_model", "train"]
    );
    assert_eq!(found.hash.len(), 64);
    assert_eq!(found.hash, graph(512).hash);
}

#[test]
fn findings_serialise() {
    let json = serde_json::to_value(review_beside_plain(b"import os\n")).unwrap();
    assert_eq!(json["verdict"], "rejected");
    assert_eq!(json["findings"][0]["rule_id"], "prism:no-process");
    assert_eq!(json["findings"][0]["severity"], "reject");
}
