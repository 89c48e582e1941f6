//! Several ranks on one machine, gloo between them: each submission brings its own way of keeping them alike.

use prism::score::stream_rows::OnlineRow;
use serde_json::{Value, json};

use crate::contest::{Contest, Ran, has_bwrap, turn};
use crate::corpus;
use crate::outbox::Submission;
use crate::submissions::SMALL;

/// Training on several ranks: `wrap` makes `model` of `built`, `average` runs between backward and step.
fn training(wrap: &str, average: &str) -> String {
    let average: String = average
        .lines()
        .map(|line| format!("        {line}\n"))
        .collect();
    format!(
        "\
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel
from architecture import build_model


def train(ctx):
    dist.init_process_group(backend=ctx.distributed_backend)
    built = build_model(ctx).to(ctx.device)
    model = {wrap}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for batch in ctx.iter_train_batches(model, batch_size=2, seq_len=64, tokenizer='bytes'):
        loss = F.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad()
        loss.backward()
{average}        optimizer.step()
    # Every bit of every parameter, in 64-bit arithmetic that wraps.
    bits = torch.cat([p.detach().flatten() for p in built.parameters()]).view(torch.int32).to(torch.int64)
    digest = int((bits * torch.arange(1, 2 * bits.numel(), 2)).sum())
    print(f'rank {{ctx.rank}} of {{ctx.world_size}} digest {{digest}}\\n', end='', flush=True)
    dist.barrier()
    dist.destroy_process_group()
"
    )
}

const DDP: &str = "DistributedDataParallel(built)";
const ALL_REDUCE: &str = "\
for parameter in model.parameters():
    dist.all_reduce(parameter.grad)
    parameter.grad /= ctx.world_size";

fn run(contest: &Contest, world_size: u32) -> Ran {
    let _turn = turn();
    let mut command = contest.prism(&["run", "--format", "json"]);
    command.env("PRISM_RUN_WORLD_SIZE", world_size.to_string());
    // What the review asks of such scripts has tests of its own; here some do without the usual wrapper.
    command.env("PRISM_REVIEW_DISTRIBUTED", "flag");
    let ran = contest.run_in_turn(command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

/// What each rank printed of its parameters, in order of rank.
fn digests(submission: &Submission, world_size: u32) -> Vec<String> {
    let log = std::fs::read_to_string(submission.path("run.log")).unwrap();
    (0..world_size)
        .map(|rank| {
            let start = format!("rank {rank} of {world_size} digest ");
            let line = log.lines().find_map(|line| line.split_once(&start));
            line.unwrap_or_else(|| panic!("rank {rank} said nothing: {log}"))
                .1
                .to_owned()
        })
        .collect()
}

/// Mean nats a token.
fn rate(rows: &[&OnlineRow]) -> f64 {
    let nats: f64 = rows.iter().map(|row| row.nats_q32 as f64).sum();
    let tokens: f64 = rows.iter().map(|row| f64::from(row.tokens)).sum();
    nats / 2f64.powi(32) / tokens
}

/// Every rank has its own lanes, every byte is charged once, and every rank's loss falls.
fn check_stream(submission: &Submission, world_size: u32) {
    let manifest = submission.manifest();
    assert_eq!(manifest["run"]["world_size"], world_size);
    assert_eq!(manifest["run"]["nproc_per_node"], world_size);
    let rows = submission.online();
    for rank in 0..world_size {
        let own: Vec<_> = rows.iter().filter(|row| row.rank == rank).collect();
        assert_eq!(own.len(), rows.len() / world_size as usize, "rank {rank}");
        for (step, row) in own.iter().enumerate() {
            assert_eq!((row.step, row.lane0), (step as u32, 2 * rank));
        }
        let (first, last) = (rate(&own[..3]), rate(&own[own.len() - 3..]));
        assert!(last < first - 1.0, "rank {rank}: {first} to {last}");
    }
    let texts = corpus::prefix(&contest_texts(submission), "train", corpus::BUDGET_BYTES);
    let bytes: u64 = rows.iter().map(|row| row.bytes).sum();
    let tokens: u64 = rows.iter().map(|row| u64::from(row.tokens)).sum();
    assert_eq!(bytes, corpus::bytes(&texts));
    assert_eq!(tokens, corpus::ids(&texts, "bytes").len() as u64);
}

/// The corpus beside the outbox that holds a submission.
fn contest_texts(submission: &Submission) -> std::path::PathBuf {
    submission.path("../../corpus")
}

fn check_of(submission: &Submission, name: &str) -> Value {
    let manifest = submission.manifest();
    let checks = manifest["measurement"]["checks"].as_array().unwrap();
    checks
        .iter()
        .find(|check| check["name"] == name)
        .unwrap_or_else(|| panic!("no check {name}: {checks:#?}"))
        .clone()
}

#[test]
fn two_ranks_share_the_text_and_must_be_one_model() {
    let contest = Contest::new(json!({}));
    contest.submit("ddp.zip", SMALL, &training(DDP, ""));
    contest.submit("apart.zip", SMALL, &training("built", ""));
    let ran = run(&contest, 2);

    let ddp = contest.submission("ddp.zip");
    assert_eq!(ddp.state(), "scored", "{:#}", ddp.status);
    check_stream(&ddp, 2);
    let digests_of_ddp = digests(&ddp, 2);
    assert_eq!(digests_of_ddp[0], digests_of_ddp[1]);
    for name in ["causality", "head_start", "state", "ranks_agree"] {
        assert!(ddp.passed(name), "{name}");
    }
    let evidence = check_of(&ddp, "ranks_agree")["evidence"].clone();
    assert!(
        evidence.as_str().unwrap().contains(", to the bit,"),
        "{evidence}"
    );
    assert!(ddp.bpb() < 6.0, "{}", ddp.bpb());

    // Two models, each trained on half of the text, are not one.
    let apart = contest.submission("apart.zip");
    let digests_apart = digests(&apart, 2);
    assert_ne!(digests_apart[0], digests_apart[1]);
    assert!(!apart.passed("ranks_agree"));
    assert!(apart.passed("state"), "rank 0 is what it says");
    assert_eq!(apart.flags(), ["failed:ranks_agree"]);
    assert_eq!(apart.final_score(), 0.0);

    // Only runs of one rank are ranked.
    let board = &ran.json()["board"];
    assert_eq!(board["leaderboard"]["rows"], json!([]));
    let why = if has_bwrap() {
        "world size 2"
    } else {
        "isolation none"
    };
    assert_eq!(board["ineligible"][0]["why"], why);
}

#[test]
fn four_ranks_that_average_their_gradients_by_hand_stay_one_model() {
    let contest = Contest::new(json!({}));
    contest.submit("all-reduce.zip", SMALL, &training("built", ALL_REDUCE));
    run(&contest, 4);
    let submission = contest.submission("all-reduce.zip");
    assert_eq!(submission.state(), "scored", "{:#}", submission.status);
    check_stream(&submission, 4);
    let digests = digests(&submission, 4);
    assert!(
        digests.iter().all(|digest| *digest == digests[0]),
        "{digests:?}"
    );
    for name in ["causality", "head_start", "state", "ranks_agree"] {
        assert!(submission.passed(name), "{name}");
    }
}
