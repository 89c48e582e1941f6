//! What a submission can read of the text: the past, and nothing else.

use std::collections::BTreeSet;

use serde_json::json;

use crate::contest::{Contest, has_bwrap};
use crate::{corpus, zips};

const ROWS: usize = 4;
const COLUMNS: usize = 64;

/// Says which documents it can read whenever it predicts.
const READER: &str = r#"
import torch
from torch import nn

def visible(ctx):
    texts = list(ctx.past_documents())
    return " ".join(str(int(text.split(" – né ")[1].split(".")[0])) for text in texts)

class Reader(nn.Module):
    def __init__(self, ctx):
        super().__init__()
        self.ctx = ctx
        self.embedding = nn.Embedding(ctx.vocab_size, 8)
        self.head = nn.Linear(8, ctx.vocab_size)

    def forward(self, tokens):
        if not self.training:
            print("PREDICT", visible(self.ctx), flush=True)
        return self.head(self.embedding(tokens))

def build_model(ctx):
    return Reader(ctx)
"#;

/// Looks for text in every file that it can open, then says at every batch and at the end what it can read.
const WALKER: &str = r#"
import os
import sys
import torch
import torch.nn.functional as F
from architecture import build_model, visible

def walk():
    skipped = ("/proc", "/sys", "/dev", "/usr", "/lib", "/lib64", "/etc", sys.prefix, sys.base_prefix)
    files = open_text = secret = 0
    for folder, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in skipped]
        for name in names:
            try:
                with open(os.path.join(folder, name), "rb") as file:
                    content = file.read()
            except OSError:
                continue
            files += 1
            open_text += "Volume “one”".encode() in content
            secret += b"zyxw" + b"CANARY" + b"wxyz" in content
    print("WALKED", files, open_text, secret, flush=True)

def train(ctx):
    walk()
    model = build_model(ctx)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for batch in ctx.iter_train_batches(model, batch_size=4, seq_len=64, tokenizer="bytes"):
        print("BATCH", visible(ctx), flush=True)
        loss = F.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print("END", visible(ctx), flush=True)
    walk()
"#;

#[test]
fn a_reader_never_sees_a_token_before_it_was_charged() {
    for order in ["file", "keyed"] {
        let contest = Contest::new(json!({"corpus": {"order": order}}));
        let files = [("architecture.py", READER), ("training.py", WALKER)];
        contest.pass_review("reader.zip", &zips::zip(&files));
        let ran = contest.run();
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let reader = contest.submission("reader.zip");
        assert_eq!(reader.state(), "scored", "{:#}", reader.status);
        let mut texts = corpus::prefix(&contest.corpus(), "train", corpus::BUDGET_BYTES);
        let said = &reader.manifest()["referee"]["order"];
        if order == "keyed" {
            let unordered = texts.clone();
            corpus::permute(&contest.corpus(), &mut texts, said["key"].as_str().unwrap());
            assert_ne!(texts, unordered);
        } else {
            assert_eq!(*said, json!({"kind": "file"}));
        }
        let open = (0..6).collect::<Vec<u64>>();
        let log = reader.log();
        let (mut batches, mut ended, mut predictions) = (0, false, 0);
        for line in log.lines() {
            let Some((word, rest)) = line.split_once(' ') else {
                continue;
            };
            let steps = match word {
                // Not what this very batch will charge.
                "PREDICT" if !ended => {
                    predictions += 1;
                    batches
                }
                "BATCH" => {
                    batches += 1;
                    batches
                }
                "END" => {
                    ended = true;
                    batches + 1
                }
                "PREDICT" => batches + 1,
                _ => continue,
            };
            let got: Vec<u64> = rest
                .split_whitespace()
                .map(|number| number.parse().unwrap())
                .collect();
            assert_eq!(got[..6], open, "{line}");
            let unique: BTreeSet<u64> = got[6..].iter().copied().collect();
            assert_eq!(unique.len(), got.len() - 6, "shown twice: {line}");
            assert_eq!(unique, charged_whole(&texts, steps), "{line}");
        }
        assert!(batches > 30 && ended && predictions > batches, "{log}");

        let walks: Vec<Vec<u64>> = log
            .lines()
            .filter_map(|line| line.strip_prefix("WALKED "))
            .map(|counts| counts.split(' ').map(|n| n.parse().unwrap()).collect())
            .collect();
        let [before, after] = walks.as_slice() else {
            panic!("two walks: {log}");
        };
        assert!(
            before[0] > 5 && before[1] >= 1,
            "it can read the open sample: {before:?}"
        );
        if has_bwrap() {
            assert!(after[1] > before[1], "and the past: {after:?}");
            assert_eq!((before[2], after[2]), (0, 0), "held-out text is in reach");
        }
    }
}

/// Numbers of the documents of which no byte is left after `steps` steps, by counting bytes.
fn charged_whole(texts: &[String], steps: usize) -> BTreeSet<u64> {
    let total = corpus::ids(texts, "bytes").len();
    let mut charged = vec![false; total];
    let mut start = 0;
    for lane in 0..ROWS {
        let end = start + total / ROWS + usize::from(lane < total % ROWS);
        let to = if steps == 0 {
            start
        } else {
            (start + 1 + steps * COLUMNS).min(end)
        };
        charged[start..to].fill(true);
        start = end;
    }
    let mut whole = BTreeSet::new();
    let mut from = 0;
    for text in texts {
        let to = from + text.len() + 1;
        if charged[from..to].iter().all(|&byte| byte) {
            let number = text
                .split(" – né ")
                .nth(1)
                .unwrap()
                .split('.')
                .next()
                .unwrap();
            whole.insert(number.parse().unwrap());
        }
        from = to;
    }
    whole
}
