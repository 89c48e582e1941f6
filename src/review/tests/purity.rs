//! `prism:build-model-purity`: what building a model may not lead to, and what it may.

use std::collections::BTreeMap;

use super::ROLES;
use crate::review::review;

const TRAINING: &str = "\
import torch
from architecture import build_model

BATCH = 8


def train(ctx):
    model = build_model(ctx)
    for batch in ctx.iter_train_batches(model, batch_size=BATCH):
        pass
    torch.save(model.state_dict(), ctx.artifacts_dir + '/x.pt')
";

/// `path:line` of every finding of the rule.
fn impure(architecture: &str, other: &str) -> Vec<String> {
    let files = BTreeMap::from([
        (
            "architecture.py".to_owned(),
            architecture.as_bytes().to_vec(),
        ),
        ("parts.py".to_owned(), other.as_bytes().to_vec()),
        ("training.py".to_owned(), TRAINING.as_bytes().to_vec()),
    ]);
    review(&files, &ROLES)
        .findings
        .iter()
        .filter(|finding| finding.rule_id == "prism:build-model-purity")
        .map(|finding| format!("{}:{}", finding.path, finding.line))
        .collect()
}

#[test]
fn what_build_model_leads_to_must_be_pure() {
    let reads = "def build(ctx):\n    return ctx.data_dir\n";
    let table: &[(&str, &str, &str, &str)] = &[
        (
            "directly",
            "def build_model(ctx):\n    x = ctx.data_dir\n",
            "",
            "architecture.py:2",
        ),
        (
            "batches",
            "def build_model(ctx):\n    return list(ctx.iter_train_batches(None))\n",
            "",
            "architecture.py:2",
        ),
        (
            "a tokenizer",
            "def build_model(c):\n    return c.reference_tokenizer('gpt2')\n",
            "",
            "architecture.py:2",
        ),
        (
            "getattr",
            "def build_model(ctx):\n    return getattr(ctx, 'data_dir')\n",
            "",
            "architecture.py:2",
        ),
        (
            "a helper",
            "def size(c):\n    return len(c.data_dir)\n\n\ndef build_model(ctx):\n    return size(ctx)\n",
            "",
            "architecture.py:2",
        ),
        (
            "a helper under another name",
            "def size(c):\n    return len(c.data_dir)\n\n\nmeasure = size\n\n\ndef build_model(ctx):\n    return measure(ctx)\n",
            "",
            "architecture.py:2",
        ),
        (
            "a nested function",
            "def build_model(ctx):\n    def inner():\n        return ctx.data_dir\n    return inner()\n",
            "",
            "architecture.py:3",
        ),
        (
            "a constructor",
            "class M:\n    def __init__(self, ctx):\n        self.x = ctx.data_dir\n\n\ndef build_model(ctx):\n    return M(ctx)\n",
            "",
            "architecture.py:3",
        ),
        (
            "a method",
            "class M:\n    def fill(self, ctx):\n        return ctx.data_dir\n\n\ndef build_model(ctx):\n    return M().fill(ctx)\n",
            "",
            "architecture.py:3",
        ),
        (
            "forward",
            "class M:\n    def forward(self, ctx):\n        return ctx.data_dir\n\n\ndef build_model(ctx):\n    return M()\n",
            "",
            "architecture.py:3",
        ),
        (
            "another file",
            "from parts import build\n\n\ndef build_model(ctx):\n    return build(ctx)\n",
            reads,
            "parts.py:2",
        ),
        (
            "another file by its module",
            "import parts\n\n\ndef build_model(ctx):\n    return parts.build(ctx)\n",
            reads,
            "parts.py:2",
        ),
        (
            "saved state",
            "import torch\n\n\ndef build_model(ctx):\n    return torch.load(ctx.artifacts_dir + '/x.pt', weights_only=True)\n",
            "",
            "architecture.py:5",
        ),
        (
            "saved state on import",
            "import torch\nfrom parts import DIR\n\n\nclass Table:\n    rows = torch.load(DIR, weights_only=True)\n\n\ndef build_model(ctx):\n    return None\n",
            "DIR = 'x'\n",
            "architecture.py:6",
        ),
        (
            "a data set",
            "from torch.utils.data import Dataset\n\n\nclass D(Dataset):\n    pass\n\n\ndef build_model(ctx):\n    return D()\n",
            "",
            "architecture.py:4",
        ),
        (
            "a loader",
            "import torch\n\n\ndef build_model(ctx):\n    return torch.utils.data.DataLoader([])\n",
            "",
            "architecture.py:5",
        ),
        (
            "a process group",
            "import torch.distributed as dist\n\n\ndef build_model(ctx):\n    dist.init_process_group()\n",
            "",
            "architecture.py:5",
        ),
        (
            "a default",
            "def build_model(ctx, get=lambda c: c.data_dir):\n    return get(ctx)\n",
            "",
            "architecture.py:1",
        ),
    ];
    let mut failures = Vec::new();
    for (title, architecture, parts, expected) in table {
        let found = impure(architecture, parts);
        if !found.iter().any(|place| place == expected) {
            failures.push(format!("{title}: expected {expected}, got {found:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_only_training_reads_is_nobody_elses_business() {
    let table: &[(&str, &str, &str)] = &[
        (
            "numbers of the context",
            "def build_model(ctx):\n    return (ctx.vocab_size, ctx.sequence_length, ctx.device)\n",
            "",
        ),
        (
            "constants of the training file",
            "from training import BATCH\n\n\ndef build_model(ctx):\n    return BATCH\n",
            "",
        ),
        (
            "a helper that nothing calls",
            "def size(ctx):\n    return ctx.data_dir\n\n\ndef build_model(ctx):\n    return None\n",
            "",
        ),
        (
            "a method that nothing calls",
            "class M:\n    def fill(self, ctx):\n        return ctx.data_dir\n\n\ndef build_model(ctx):\n    return M()\n",
            "",
        ),
        (
            "an attribute of one's own",
            "class M:\n    def __init__(self):\n        self.data_dir = 1\n        self.n = self.data_dir\n\n\ndef build_model(ctx):\n    return M()\n",
            "",
        ),
        (
            "a branch that cannot run",
            "def build_model(ctx):\n    if False:\n        return ctx.data_dir\n    return None\n",
            "",
        ),
        (
            "model.train()",
            "class M:\n    pass\n\n\ndef build_model(ctx):\n    model = M()\n    model.train()\n    return model\n",
            "",
        ),
        (
            "load_state_dict",
            "def build_model(ctx):\n    model = ctx\n    model.load_state_dict({})\n    return model\n",
            "",
        ),
        (
            "torch.utils.checkpoint",
            "from torch.utils.checkpoint import checkpoint\n\n\ndef build_model(ctx):\n    return checkpoint(None)\n",
            "",
        ),
        (
            "another file's unused half",
            "from parts import width\n\n\ndef build_model(ctx):\n    return width()\n",
            "def width():\n    return 3\n\n\ndef other(ctx):\n    return ctx.data_dir\n",
        ),
    ];
    let mut failures = Vec::new();
    for (title, architecture, parts) in table {
        let found = impure(architecture, parts);
        if !found.is_empty() {
            failures.push(format!("{title}: {found:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
