//! The contract for several ranks: what keeps it, what only looks as if it did, and what the policy makes of it.

use std::collections::BTreeMap;

use super::ROLES;
use crate::review::{DistributedPolicy, Policy, Severity, Verdict, review_under};

const HEAD: &str = "\
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel as DDP
from architecture import build_model


";

/// A script around `write`, which stands where the training is over.
fn script(write: &str) -> String {
    format!(
        "{HEAD}def train(ctx):\n    dist.init_process_group(backend='gloo')\n    model = DDP(build_model(ctx).to(ctx.device))\n    for batch in ctx.iter_train_batches(model, batch_size=2):\n        pass\n{write}    dist.destroy_process_group()\n"
    )
}

fn looked_at(
    training: &str,
    policy: DistributedPolicy,
) -> (
    Verdict,
    Vec<(&'static str, Severity, usize)>,
    serde_json::Value,
) {
    let files = BTreeMap::from([
        (
            "architecture.py".to_owned(),
            b"def build_model(ctx):\n    return None\n".to_vec(),
        ),
        ("training.py".to_owned(), training.as_bytes().to_vec()),
    ]);
    let review = review_under(
        &files,
        &ROLES,
        Policy {
            distributed: policy,
        },
    );
    let findings = review
        .findings
        .iter()
        .filter(|finding| finding.rule_id.starts_with("prism:distributed"))
        .map(|finding| (finding.rule_id, finding.severity, finding.line))
        .collect();
    (
        review.verdict,
        findings,
        serde_json::to_value(&review.distributed).unwrap(),
    )
}

const SAVE: &str = "torch.save(model.state_dict(), ctx.artifacts_dir + '/m.pt')\n";

#[test]
fn guards_are_seen_in_the_forms_that_people_write() {
    let table: Vec<(&str, String)> = vec![
        ("no write", script("")),
        (
            "rank == 0",
            script(&format!("    if ctx.rank == 0:\n        {SAVE}")),
        ),
        (
            "0 == rank",
            script(&format!("    if 0 == ctx.rank:\n        {SAVE}")),
        ),
        (
            "not rank",
            script(&format!("    if not ctx.rank:\n        {SAVE}")),
        ),
        (
            "rank < 1",
            script(&format!("    if dist.get_rank() < 1:\n        {SAVE}")),
        ),
        (
            "int(rank)",
            script(&format!("    if int(ctx.rank) == 0:\n        {SAVE}")),
        ),
        (
            "and",
            script(&format!(
                "    if model is not None and ctx.rank == 0:\n        {SAVE}"
            )),
        ),
        (
            "else of rank != 0",
            script(&format!(
                "    if ctx.rank != 0:\n        pass\n    else:\n        {SAVE}"
            )),
        ),
        (
            "a variable",
            script(&format!(
                "    is_main = ctx.rank == 0\n    if is_main:\n        {SAVE}"
            )),
        ),
        (
            "a local rank variable",
            script(&format!(
                "    me = dist.get_rank()\n    if me == 0:\n        {SAVE}"
            )),
        ),
        (
            "not initialised or rank 0",
            script(&format!(
                "    if not dist.is_initialized() or dist.get_rank() == 0:\n        {SAVE}"
            )),
        ),
        (
            "a file for each rank",
            script(
                "    torch.save(model.state_dict(), ctx.artifacts_dir + f'/m{ctx.rank:d}.pt')\n",
            ),
        ),
        (
            "early return",
            script("") + &format!("    if ctx.rank != 0:\n        return\n    {SAVE}"),
        ),
        (
            "if not is_main: return",
            script("")
                + &format!(
                    "    is_main = ctx.rank == 0\n    if not is_main:\n        return\n    {SAVE}"
                ),
        ),
        (
            "a helper that asks",
            script(&format!("    if is_main():\n        {SAVE}"))
                + "\n\ndef is_main():\n    'Whether this is rank 0.'\n    return dist.get_rank() == 0\n",
        ),
        (
            "a helper that is called under a guard",
            script("    if ctx.rank == 0:\n        keep(model, ctx)\n")
                + &format!("\n\ndef keep(model, ctx):\n    {SAVE}"),
        ),
        (
            "a helper that returns early",
            script("    keep(model, ctx)\n")
                + &format!(
                    "\n\ndef keep(model, ctx):\n    if ctx.rank != 0:\n        return\n    {SAVE}"
                ),
        ),
        (
            "parts in helpers",
            format!(
                "{HEAD}def setup():\n    dist.init_process_group()\n    torch.cuda.set_device(dist.get_node_local_rank())\n\n\ndef finish():\n    dist.destroy_process_group()\n\n\ndef wrap(model):\n    return DDP(model)\n\n\ndef train(ctx):\n    setup()\n    try:\n        model = wrap(build_model(ctx))\n        for batch in ctx.iter_train_batches(model):\n            pass\n    finally:\n        finish()\n"
            ),
        ),
        (
            "FSDP and own slices",
            format!(
                "{HEAD}from torch.distributed.fsdp import fully_shard\n\n\ndef train(ctx):\n    dist.init_process_group()\n    model = build_model(ctx).cuda()\n    fully_shard(model)\n    for i in range(ctx.rank, 100, ctx.world_size):\n        pass\n    dist.destroy_process_group()\n"
            ),
        ),
    ];
    let mut failures = Vec::new();
    for (title, training) in &table {
        let (verdict, findings, report) = looked_at(training, DistributedPolicy::Reject);
        if verdict != Verdict::Accepted || report["compliant"] != true {
            failures.push(format!("{title}: {findings:?} {report}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn writes_that_every_rank_reaches_are_found() {
    let table: Vec<(&str, String, usize)> = vec![
        ("bare", script(&format!("    {SAVE}")), 12),
        (
            "rank 1",
            script(&format!("    if ctx.rank == 1:\n        {SAVE}")),
            13,
        ),
        (
            "everybody else",
            script(&format!("    if ctx.rank != 0:\n        {SAVE}")),
            13,
        ),
        (
            "or",
            script(&format!("    if ctx.rank == 0 or model:\n        {SAVE}")),
            13,
        ),
        (
            "rebound variable",
            script(&format!(
                "    main = ctx.rank == 0\n    main = True\n    if main:\n        {SAVE}"
            )),
            15,
        ),
        (
            "a helper with one bare call",
            script("    if ctx.rank == 0:\n        keep(model, ctx)\n    keep(model, ctx)\n")
                + &format!("\n\ndef keep(model, ctx):\n    {SAVE}"),
            19,
        ),
        (
            "an alias of the library",
            script(
                &format!("    {SAVE}")
                    .replace("torch.save", "t.save")
                    .replace("    t.", "    import torch as t\n    t."),
            ),
            13,
        ),
    ];
    let mut failures = Vec::new();
    for (title, training, line) in &table {
        let (verdict, findings, report) = looked_at(training, DistributedPolicy::Reject);
        let expected = ("prism:distributed-rank0-guard", Severity::Reject, *line);
        if verdict != Verdict::Rejected
            || findings != [expected]
            || report["unguarded_writes"][0] != format!("training.py:{line}")
        {
            failures.push(format!("{title}: {findings:?} {report}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn code_that_cannot_run_satisfies_nothing() {
    let body = "    dist.init_process_group()\n    model = DDP(build_model(ctx).to(ctx.device))\n    for batch in ctx.iter_train_batches(model):\n        pass\n    dist.destroy_process_group()\n";
    let inner = body
        .replace("\n    ", "\n        ")
        .replacen("    ", "        ", 1);
    let inner = inner.trim_end();
    let table: Vec<(&str, String)> = vec![
        (
            "if False",
            format!("{HEAD}def train(ctx):\n    if False:\n{inner}\n"),
        ),
        (
            "if 0 == 1",
            format!("{HEAD}def train(ctx):\n    if 0 == 1:\n{inner}\n"),
        ),
        (
            "a constant",
            format!("DDP_ON = False\n{HEAD}def train(ctx):\n    if DDP_ON:\n{inner}\n"),
        ),
        (
            "after return",
            format!("{HEAD}def train(ctx):\n    return\n{body}"),
        ),
        (
            "after while True",
            format!("{HEAD}def train(ctx):\n    while True:\n        pass\n{body}"),
        ),
        (
            "else of True",
            format!("{HEAD}def train(ctx):\n    if True:\n        pass\n    else:\n{inner}\n"),
        ),
        (
            "a helper that nobody calls",
            format!("{HEAD}def setup(ctx):\n{body}\n\ndef train(ctx):\n    pass\n"),
        ),
        (
            "a lambda",
            format!(
                "{HEAD}def train(ctx):\n    f = lambda: (dist.init_process_group(), DDP(ctx).to(ctx.device), ctx.iter_train_batches(0), dist.destroy_process_group())\n"
            ),
        ),
        (
            "a short circuit",
            format!(
                "{HEAD}def train(ctx):\n    False and (dist.init_process_group(), DDP(ctx).to(ctx.device), ctx.iter_train_batches(0), dist.destroy_process_group())\n"
            ),
        ),
        (
            "text",
            format!(
                "{HEAD}def train(ctx):\n    'init_process_group DistributedDataParallel destroy_process_group'\n"
            ),
        ),
    ];
    let mut failures = Vec::new();
    for (title, training) in &table {
        let (verdict, findings, report) = looked_at(training, DistributedPolicy::Reject);
        let present = &report["present"];
        if verdict != Verdict::Rejected || *present != serde_json::json!(["rank0_guard"]) {
            failures.push(format!("{title}: {findings:?} {report}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn each_part_is_missed() {
    let whole = script("");
    let table = [
        (
            "    dist.init_process_group(backend='gloo')\n",
            "process_group",
        ),
        (".to(ctx.device)", "device_binding"),
        ("DDP", "model_wrap"),
        ("    dist.destroy_process_group()\n", "destroy"),
    ];
    for (part, name) in table {
        let (head, body) = whole.split_at(HEAD.len());
        let training = format!("{head}{}", body.replace(part, ""));
        let (verdict, findings, report) = looked_at(&training, DistributedPolicy::Reject);
        assert_eq!(report["missing"], serde_json::json!([name]), "{training}");
        assert_eq!(
            findings,
            [("prism:distributed-contract", Severity::Reject, 7)]
        );
        assert_eq!(verdict, Verdict::Rejected);
    }
    let shards = whole.replace("ctx.iter_train_batches(model, batch_size=2)", "range(3)");
    assert_eq!(
        looked_at(&shards, DistributedPolicy::Reject).2["missing"],
        serde_json::json!(["data_sharding"])
    );
}

#[test]
fn the_policy_decides() {
    let halfway = script("").replace("    dist.destroy_process_group()\n", "");
    let plain = "def train(ctx):\n    pass\n";
    let (verdict, findings, report) = looked_at(&halfway, DistributedPolicy::Flag);
    assert_eq!(verdict, Verdict::Accepted);
    assert_eq!(
        findings,
        [("prism:distributed-contract", Severity::Warn, 7)]
    );
    assert_eq!(report["compliant"], false);
    // a script for one rank is complete as it is
    let (verdict, findings, report) = looked_at(plain, DistributedPolicy::Flag);
    assert_eq!((verdict, findings.len()), (Verdict::Accepted, 0));
    assert_eq!(report["compliant"], false);
    let (_, findings, report) = looked_at(&halfway, DistributedPolicy::Off);
    assert!(findings.is_empty() && report.is_null());
}

#[test]
fn the_tutorial_and_the_shipped_examples_keep_the_contract() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in [
        "tests/fixtures/tiny-ddp",
        "examples/tiny-1m",
        "examples/ngram-linear",
        "examples/gru",
        "examples/causal-conv",
    ] {
        let files = ["architecture.py", "training.py"].map(|name| {
            (
                name.to_owned(),
                std::fs::read(root.join(folder).join(name)).unwrap(),
            )
        });
        let policy = Policy {
            distributed: DistributedPolicy::Reject,
        };
        let review = review_under(&BTreeMap::from(files), &ROLES, policy);
        assert_eq!(
            review.verdict,
            Verdict::Accepted,
            "{folder}: {:#?}",
            review.findings
        );
        assert!(
            review.findings.is_empty(),
            "{folder}: {:#?}",
            review.findings
        );
        assert!(
            review.distributed.is_some_and(|report| report.compliant),
            "{folder}"
        );
    }
}
