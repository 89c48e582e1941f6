//! The first contract: its functions, and what is refused of them.

use std::collections::BTreeMap;

use super::super::{Review, Roles, Verdict, hooks, review};
use crate::bundle::ContractVersion;

const REQUIRED: &str =
    "def build_model(ctx):\n    return None\ndef get_recipe(ctx):\n    return {}\n";

const ROLES: Roles<'static> = Roles {
    architecture: ("model.py", "build_model"),
    training: ("train.py", "get_recipe"),
    contract: ContractVersion::V1,
};

fn files(model: &str, train: &str) -> BTreeMap<String, Vec<u8>> {
    [
        ("model.py", format!("{REQUIRED}{model}")),
        ("train.py", train.to_owned()),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text.into_bytes()))
    .collect()
}

fn reviewed(model: &str, train: &str) -> Review {
    review(&files(model, train), &ROLES)
}

const ALL: [(&str, &str); 7] = [
    ("configure_optimizer", "model, recipe, ctx"),
    ("inference_logits", "model, batch, ctx"),
    ("infer", "model, batch, ctx"),
    ("compute_loss", "model, batch, ctx"),
    ("train_step", "model, batch, optimizer, ctx"),
    ("save_checkpoint", "model, checkpoint_dir, ctx"),
    ("load_checkpoint", "model, checkpoint_dir, ctx"),
];

#[test]
fn every_hook_is_found_in_either_file() {
    for (name, parameters) in ALL {
        let def = format!("def {name}({parameters}):\n    return None\n");
        for (model, train, path, line) in [
            (def.as_str(), "x = 1\n", "model.py", 5),
            ("", def.as_str(), "train.py", 1),
            (
                &format!("from train import {name}\n"),
                def.as_str(),
                "train.py",
                1,
            ),
        ] {
            let review = reviewed(model, train);
            assert_eq!(review.verdict, Verdict::Accepted, "{:?}", review.findings);
            let [hook] = review.hooks.as_slice() else {
                panic!("{name}: {:?}", review.hooks)
            };
            assert_eq!(
                (hook.name, hook.path.as_str(), hook.line),
                (name, path, line)
            );
        }
    }
    let everything: String = ALL
        .iter()
        .map(|(name, parameters)| format!("def {name}({parameters}):\n    return None\n"))
        .collect();
    let review = reviewed("", &everything);
    assert_eq!(review.hooks.len(), 7);
    assert_eq!(
        hooks::inference_hook(&review.hooks),
        Some("inference_logits")
    );
    let same = hooks::inference_hook(&reviewed("def infer(a, b, c):\n    return a\n", "").hooks);
    assert_eq!(same, Some("infer"));
}

#[test]
fn what_cannot_be_called_is_refused() {
    let signature = "prism:entrypoint-signature";
    for (model, train, rule, part) in [
        (
            "def infer(model, batch):\n    return model\n",
            "",
            signature,
            "infer takes (model, batch), expected (model, batch, ctx)",
        ),
        (
            "def infer(model, batch, ctx, more):\n    return model\n",
            "",
            signature,
            "expected (model, batch, ctx)",
        ),
        (
            "def infer(model, batch, ctx, *, more):\n    return model\n",
            "",
            signature,
            "expected (model, batch, ctx)",
        ),
        (
            "def train_step(*args):\n    return args\n",
            "",
            signature,
            "takes *args or **kwargs",
        ),
        (
            "def train_step(model, batch, optimizer, ctx, **kw):\n    return kw\n",
            "",
            signature,
            "takes *args or **kwargs",
        ),
        (
            "def save_checkpoint(model, folder, ctx):\n    return None\n",
            "",
            signature,
            "expected (model, checkpoint_dir, ctx)",
        ),
        (
            "def load_checkpoint(model, checkpoint_dir, ctx=None):\n    return None\n",
            "",
            signature,
            "expected (model, checkpoint_dir, ctx)",
        ),
        (
            "infer = build_model\n",
            "",
            signature,
            "infer is a hook and is not exactly one",
        ),
        (
            "if True:\n    def infer(model, batch, ctx):\n        return model\n",
            "",
            signature,
            "infer is a hook",
        ),
        (
            "def infer(a, b, c):\n    return a\ndef infer(a, b, c):\n    return b\n",
            "",
            signature,
            "infer is a hook",
        ),
        (
            "def infer(a, b, c):\n    return a\n",
            "def infer(a, b, c):\n    return b\n",
            signature,
            "infer is defined here and in model.py",
        ),
        (
            "from train import infer\n",
            "x = 1\n",
            signature,
            "infer is a hook",
        ),
    ] {
        let review = reviewed(model, train);
        let found = review
            .findings
            .iter()
            .any(|finding| finding.rule_id == rule && finding.explanation.contains(part));
        assert!(
            found && review.verdict == Verdict::Rejected,
            "{model}{train}: {:?}",
            review.findings
        );
    }
    let defaults = "def infer(net, rows, context, extra=1):\n    return net\n";
    assert_eq!(reviewed(defaults, "").verdict, Verdict::Accepted);
}

#[test]
fn build_model_and_get_recipe_stand_in_the_architecture() {
    for (model, rule, part) in [
        (
            "def build_model(ctx):\n    return None\n",
            "prism:missing-entrypoint",
            "no top-level `def get_recipe`",
        ),
        (
            "def get_recipe(ctx):\n    return None\n",
            "prism:missing-entrypoint",
            "no top-level `def build_model`",
        ),
        (
            "def build_model(*ctx):\n    return 1\ndef get_recipe(ctx):\n    return {}\n",
            "prism:entrypoint-signature",
            "build_model takes *args",
        ),
        (
            "def build_model(ctx):\n    return 1\ndef get_recipe():\n    return {}\n",
            "prism:entrypoint-signature",
            "get_recipe takes no positional",
        ),
    ] {
        let mut files = files("", "");
        files.insert("model.py".to_owned(), model.as_bytes().to_vec());
        let review = review(&files, &ROLES);
        let found = review
            .findings
            .iter()
            .any(|finding| finding.rule_id == rule && finding.explanation.contains(part));
        assert!(found, "{model}: {:?}", review.findings);
    }
}

#[test]
fn predictions_are_made_of_weights_and_tokens_only() {
    let peeks = "def infer(model, batch, ctx):\n    return ctx.past_documents()\n";
    let review = reviewed("", peeks);
    assert_eq!(
        review.findings[0].rule_id, "prism:build-model-purity",
        "{:?}",
        review.findings
    );
    let saves = "import torch\ndef save_checkpoint(model, checkpoint_dir, ctx):\n    \
                 torch.save(model.state_dict(), checkpoint_dir / 'a.pt')\n    return 'a.pt'\n";
    let review = reviewed("", saves);
    assert_eq!(review.verdict, Verdict::Accepted, "{:?}", review.findings);
}

#[test]
fn hooks_are_part_of_what_a_submission_is_recognised_by() {
    let step = |body: &str| format!("def train_step(model, batch, optimizer, ctx):\n    {body}\n");
    let one = reviewed("", &step("return model(batch.tokens).mean() * 3"));
    let two = reviewed("", &step("return model(batch.tokens).mean() + 3"));
    assert_ne!(one.fingerprints.exact, two.fingerprints.exact);
}
