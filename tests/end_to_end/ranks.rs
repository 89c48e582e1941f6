//! Two ranks on one machine, gloo between them.

use serde_json::json;

use crate::contest::{Contest, has_bwrap, turn};
use crate::corpus;
use crate::submissions::SMALL;

const TWO_RANKS: &str = "\
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel
from architecture import build_model


def train(ctx):
    dist.init_process_group(backend='gloo')
    model = DistributedDataParallel(build_model(ctx).to(ctx.device))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for batch in ctx.iter_train_batches(model, batch_size=2, seq_len=64, tokenizer='bytes'):
        loss = F.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    dist.barrier()
    dist.destroy_process_group()
";

#[test]
fn two_ranks_share_the_text_and_every_byte_is_charged_once() {
    let contest = Contest::new(json!({}));
    contest.submit("two-ranks.zip", SMALL, TWO_RANKS);
    let turn = turn();
    let mut command = contest.prism(&["run", "--format", "json"]);
    command.env("PRISM_RUN_WORLD_SIZE", "2");
    let ran = contest.run_in_turn(command);
    drop(turn);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let submission = contest.submission("two-ranks.zip");
    assert_eq!(submission.state(), "scored", "{:#}", submission.status);
    let manifest = submission.manifest();
    assert_eq!(manifest["run"]["world_size"], 2);
    assert_eq!(manifest["run"]["nproc_per_node"], 2);
    // Only runs of one rank are ranked.
    let board = &ran.json()["board"];
    assert_eq!(board["leaderboard"]["rows"], json!([]));
    let why = if has_bwrap() {
        "world size 2"
    } else {
        "isolation none"
    };
    assert_eq!(board["ineligible"][0]["why"], why);
    let rows = submission.online();
    for rank in 0..2u32 {
        let own: Vec<_> = rows.iter().filter(|row| row.rank == rank).collect();
        assert_eq!(own.len(), rows.len() / 2, "rank {rank}");
        assert!(own.iter().all(|row| row.lane0 == 2 * rank));
        assert!(
            own.iter()
                .enumerate()
                .all(|(step, row)| row.step == step as u32)
        );
    }
    let texts = corpus::prefix(&contest.corpus(), "train", corpus::BUDGET_BYTES);
    let bytes: u64 = rows.iter().map(|row| row.bytes).sum();
    let tokens: u64 = rows.iter().map(|row| u64::from(row.tokens)).sum();
    assert_eq!(bytes, corpus::bytes(&texts));
    assert_eq!(tokens, corpus::ids(&texts, "bytes").len() as u64);
    assert!(submission.bpb() < 6.0, "{}", submission.bpb());
    for name in ["causality", "head_start", "state"] {
        assert!(submission.passed(name), "{name}");
    }
}
