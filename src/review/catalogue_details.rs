//! What the catalogue page and `prism explain` add to each rule: examples, which are tested, weaknesses, and history.

use super::catalogue::Rule;
use super::catalogue_duplicates::{COPY, EARLIER, OWN_WORK};
use crate::duplicates;

/// A file of an example, complete in itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Example {
    pub path: &'static str,
    pub source: &'static str,
}

/// What a rule means in practice.
#[derive(Clone, Copy, Debug)]
pub struct Details {
    pub id: &'static str,
    /// Numbers of the Common Weakness Enumeration that the rule guards against; none where it is a matter of contract.
    pub cwe: &'static [u16],
    pub rejected: Example,
    pub accepted: Example,
    /// How the rule relates to the rule of the same name in the second version of the contract.
    pub history: History,
}

/// Where a rule id comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum History {
    /// The id and its meaning are those of the second version of the contract.
    Kept,
    /// The id is kept; it covers more than it did.
    Wider,
    /// Not in the second version of the contract.
    New,
}

impl Rule {
    /// The rule's details; every rule has some, which a test sees to.
    pub fn details(&self) -> Option<&'static Details> {
        DETAILS.iter().find(|details| details.id == self.id)
    }
}

impl Details {
    /// What another owner sent before the examples; none where they stand alone.
    pub fn earlier(&self) -> Option<Example> {
        (self.id == duplicates::RULE).then_some(file("architecture.py", EARLIER))
    }
}

const fn case(source: &'static str) -> Example {
    file("layers.py", source)
}

const fn file(path: &'static str, source: &'static str) -> Example {
    Example { path, source }
}

const fn details(
    id: &'static str,
    cwe: &'static [u16],
    history: History,
    rejected: Example,
    accepted: Example,
) -> Details {
    Details {
        id,
        cwe,
        rejected,
        accepted,
        history,
    }
}

const TRAIN: &str = "def train(ctx):\n    pass\n";

/// A training script that is ready for several ranks.
const DISTRIBUTED: &str = "import torch.distributed as dist\nfrom torch.nn.parallel import DistributedDataParallel\n\nfrom architecture import build_model\n\n\ndef train(ctx):\n    dist.init_process_group(backend=\"gloo\")\n    model = DistributedDataParallel(build_model(ctx).to(ctx.device))\n    for batch in ctx.iter_train_batches(model, batch_size=8):\n        model(batch.tokens)\n    dist.destroy_process_group()\n";

/// The same with a write by every rank.
const DISTRIBUTED_WRITE: &str = "import torch\nimport torch.distributed as dist\nfrom torch.nn.parallel import DistributedDataParallel\n\nfrom architecture import build_model\n\n\ndef train(ctx):\n    dist.init_process_group(backend=\"gloo\")\n    model = DistributedDataParallel(build_model(ctx).to(ctx.device))\n    for batch in ctx.iter_train_batches(model, batch_size=8):\n        model(batch.tokens)\n    torch.save(model.state_dict(), ctx.artifacts_dir + \"/model.pt\")\n    dist.destroy_process_group()\n";

/// Sorted by id, one entry for each rule.
#[rustfmt::skip]
pub const DETAILS: &[Details] = &[
    details("prism:build-model-purity", &[], History::New,
        file("architecture.py", "def build_model(ctx):\n    return list(ctx.iter_train_batches(None, batch_size=1))\n"),
        file("architecture.py", "from torch import nn\n\n\ndef build_model(ctx):\n    return nn.Embedding(ctx.vocab_size, 64)\n")),
    details("prism:cannot-decide", &[], History::New,
        case("import torch\n\nact = torch.relu\nact = act.out\nprint(act)\n"),
        case("import torch\n\nact = torch.relu\nprint(act)\n")),
    details("prism:context-tamper", &[471], History::New,
        case("def setup(ctx):\n    ctx.step_budget = 10\n"),
        case("def setup(ctx):\n    step_budget = min(ctx.step_budget or 10, 10)\n    return step_budget\n")),
    details("prism:distributed-contract", &[], History::Kept,
        file("training.py", "import torch.distributed as dist\n\n\ndef train(ctx):\n    dist.init_process_group(backend=\"gloo\")\n"),
        file("training.py", DISTRIBUTED)),
    details("prism:distributed-rank0-guard", &[362], History::Kept,
        file("training.py", DISTRIBUTED_WRITE),
        file("training.py", DISTRIBUTED)),
    details("prism:duplicate", &[], History::New,
        file("architecture.py", COPY),
        file("architecture.py", OWN_WORK)),
    details("prism:entrypoint-signature", &[628], History::New,
        file("architecture.py", "def build_model(ctx, width):\n    return width\n"),
        file("architecture.py", "def build_model(ctx, width=256):\n    return width\n")),
    details("prism:identifier-encoding", &[1007], History::New,
        case("def ﬁt(x):\n    return x\n"),
        case("def fit(größe):\n    return größe\n")),
    details("prism:literal-blob", &[506], History::New,
        case(BLOB),
        case("import math\n\nTABLE = [math.sin(i / 10) for i in range(4096)]\n")),
    details("prism:missing-entrypoint", &[], History::New,
        file("architecture.py", "build_model = lambda ctx: None\n"),
        file("architecture.py", "def build_model(ctx):\n    return None\n")),
    details("prism:missing-file", &[], History::New,
        file("trainer.py", TRAIN),
        file("training.py", TRAIN)),
    details("prism:module-shadow", &[427], History::New,
        file("random.py", "def uniform():\n    return 4\n"),
        file("sampling.py", "def uniform():\n    return 4\n")),
    details("prism:module-surface", &[749], History::New,
        case("import torch\n\nx = torch.ones(2)\ny = torch.functional.Sequence\n"),
        case("import torch\n\nx = torch.ones(2)\ny = torch.functional.einsum(\"i,i->\", x, x)\n")),
    details("prism:module-value", &[749], History::New,
        case("import math\n\nTOOLS = {\"m\": math}\n"),
        case("import math\n\nTOOLS = {\"log\": math.log, \"exp\": math.exp}\n")),
    details("prism:no-attribute-escape", &[749], History::Wider,
        case("def caller(error):\n    return error.__traceback__.tb_frame\n"),
        case("class Frame:\n    def __init__(self, size):\n        self.frame = size\n")),
    details("prism:no-deserialization", &[502], History::Wider,
        case("import torch\n\nSTATE = torch.load(\"/data/model.pt\")\n"),
        case("import torch\n\n\ndef restore(ctx):\n    return torch.load(ctx.artifacts_dir + \"/model.pt\", weights_only=True)\n")),
    details("prism:no-dynamic-attr", &[470], History::Wider,
        case("def pick(module, name):\n    return getattr(module, name)\n"),
        case("from torch import nn\n\nACTIVATIONS = {\"gelu\": nn.GELU, \"relu\": nn.ReLU}\n\n\ndef pick(name):\n    return ACTIVATIONS[name]()\n")),
    details("prism:no-dynamic-code", &[94, 95], History::Wider,
        case("step = eval(\"lambda x: x + 1\")\n"),
        case("def step(x):\n    return x + 1\n")),
    details("prism:no-dynamic-import", &[470, 829], History::Kept,
        case("math = __import__(\"math\")\n"),
        case("import math\n\nROOT = math.sqrt(2)\n")),
    details("prism:no-ffi", &[695], History::Kept,
        case("import ctypes\n"),
        case("import torch\n\n\n@torch.compile\ndef scan(x):\n    return torch.cumsum(x, dim=1)\n")),
    details("prism:no-filesystem", &[73, 552], History::Wider,
        case("def words():\n    return open(\"/usr/share/dict/words\").read()\n"),
        case("import torch\n\n\ndef keep(ctx, model):\n    torch.save(model.state_dict(), ctx.artifacts_dir + \"/model.pt\")\n")),
    details("prism:no-forbidden-import", &[829], History::Kept,
        case("import pandas\n"),
        case("import numpy as np\nimport torch\n\nRAMP = torch.from_numpy(np.linspace(0.0, 1.0, 16))\n")),
    details("prism:no-network", &[918], History::Wider,
        case("import urllib.request\n"),
        case("def batches(ctx, model):\n    yield from ctx.iter_train_batches(model, batch_size=8)\n")),
    details("prism:no-patching", &[471], History::New,
        case("import torch\n\ntorch.nn.Linear.forward = lambda self, x: x\n"),
        case("from torch import nn\n\n\nclass Linear(nn.Linear):\n    def forward(self, x):\n        return super().forward(x) * 0.5\n")),
    details("prism:no-process", &[78, 749], History::Wider,
        case("import os\n\nos.system(\"ls\")\n"),
        case("import torch.distributed as dist\n\n\ndef rank():\n    return dist.get_rank() if dist.is_initialized() else 0\n")),
    details("prism:no-torch-escape", &[829, 494], History::Wider,
        case("import torch\n\nMODEL = torch.hub.load(\"somebody/repo\", \"model\")\n"),
        case("import torch\nfrom torch import nn\n\nMODEL = torch.compile(nn.Linear(8, 8))\n")),
    details("prism:private-attribute", &[749], History::New,
        case("def hooks(module):\n    return module._forward_hooks\n"),
        case("class Block:\n    def __init__(self):\n        self._cache = None\n\n    def reset(self):\n        self._cache = None\n")),
    details("prism:source-encoding", &[838, 1007], History::New,
        case("# coding: utf-7\nx = 1\n"),
        case("# -*- coding: utf-8 -*-\nx = \"é\"\n")),
    details("prism:source-limit", &[674, 400], History::New,
        case("x = (((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1)))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))\n"),
        case("x = ((1 + 2) * (3 + 4)) ** 2\n")),
    details("prism:special-method", &[502, 913], History::New,
        case("class State:\n    def __reduce__(self):\n        return (print, (\"loaded\",))\n"),
        case("class State:\n    def __len__(self):\n        return 0\n\n    def __getitem__(self, index):\n        raise IndexError(index)\n")),
    details("prism:star-import", &[829], History::New,
        case("from torch.nn import *\n"),
        case("from torch.nn import Embedding, Linear\n")),
    details("prism:syntax-error", &[], History::Wider,
        case("def forward(self, x)\n    return x\n"),
        case("def forward(self, x):\n    return x\n")),
    details("prism:undefined-name", &[457], History::New,
        case("def forward(x):\n    return F.relu(x)\n"),
        case("import torch.nn.functional as F\n\n\ndef forward(x):\n    return F.relu(x)\n")),
    details("prism:unsupported-syntax", &[], History::New,
        case("async def forward(x):\n    return x\n"),
        case("def forward(x):\n    yield x\n")),
];

const BLOB: &str = match std::str::from_utf8(&BLOB_BYTES) {
    Ok(text) => text,
    Err(_) => "",
};

/// A line with more encoded text than a constant may hold.
const BLOB_BYTES: [u8; 4_096] = {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let opening = b"WEIGHTS = \"";
    let mut bytes = [b'"'; 4_096];
    let mut state = 1u32;
    let mut index = 0;
    while index < bytes.len() - 2 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes[index] = if index < opening.len() {
            opening[index]
        } else {
            digits[(state >> 26) as usize]
        };
        index += 1;
    }
    bytes[index + 1] = b'\n';
    bytes
};

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::catalogue::RULES;
    use super::super::tests::{ROLES, plain_bundle};
    use super::*;
    use crate::config::Duplicates;
    use crate::review::{DistributedPolicy, Policy, Review, Severity, Verdict, review_under};

    fn found(id: &str, example: Example) -> (Verdict, BTreeSet<&'static str>) {
        let mut files: BTreeMap<String, Vec<u8>> = plain_bundle();
        if id == "prism:missing-file" {
            files.remove("training.py");
        }
        files.insert(example.path.to_owned(), example.source.into());
        let distributed = if id.starts_with("prism:distributed-") {
            DistributedPolicy::Reject
        } else {
            DistributedPolicy::Off
        };
        let review = review_under(&files, &ROLES, Policy { distributed });
        let mut ids: BTreeSet<_> = review
            .findings
            .iter()
            .map(|finding| finding.rule_id)
            .collect();
        let earlier = DETAILS.iter().find(|details| details.id == id);
        match earlier.and_then(Details::earlier) {
            Some(earlier) if is_duplicate(earlier, &review) => {
                ids.insert(duplicates::RULE);
                (Verdict::Rejected, ids)
            }
            _ => (review.verdict, ids),
        }
    }

    fn is_duplicate(earlier: Example, review: &Review) -> bool {
        let mut files: BTreeMap<String, Vec<u8>> = plain_bundle();
        files.insert(earlier.path.to_owned(), earlier.source.into());
        let first = review_under(&files, &ROLES, Policy::default()).fingerprints;
        let mut index = duplicates::Index::default();
        let entry = duplicates::Earlier {
            id: "first".to_owned(),
            owner: None,
            accepted_at: String::new(),
        };
        index.add(entry, &first);
        let newcomer = duplicates::Newcomer {
            id: "second",
            owner: None,
            fingerprints: &review.fingerprints,
        };
        let settings = Duplicates::default();
        let thresholds = duplicates::Thresholds {
            source: settings.source,
            graph: settings.graph,
            structure: settings.structure,
        };
        duplicates::check(&index, &newcomer, thresholds, &mut |_| Some(first.clone())).is_some()
    }

    #[test]
    fn every_rule_has_a_rejected_and_an_accepted_example_that_hold() {
        let ids: Vec<_> = DETAILS.iter().map(|details| details.id).collect();
        let rules: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
        assert_eq!(ids, rules);
        let mut failures = Vec::new();
        for (details, rule) in DETAILS.iter().zip(RULES) {
            let rejected = found(details.id, details.rejected);
            let verdict = match rule.severity() {
                Severity::Reject => Verdict::Rejected,
                Severity::Warn => Verdict::Accepted,
            };
            if rejected != (verdict, BTreeSet::from([details.id])) {
                failures.push(format!("{}: rejected example: {rejected:?}", details.id));
            }
            let accepted = found(details.id, details.accepted);
            if accepted != (Verdict::Accepted, BTreeSet::new()) {
                failures.push(format!("{}: accepted example: {accepted:?}", details.id));
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }
}
