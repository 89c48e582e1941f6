//! Scripts of submissions. Each says in its name what it does; only what differs from an honest one is written out.

/// An honest, small model: each token's vector decides the next.
pub const SMALL: &str = "\
import torch
from torch import nn


class Small(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.embedding = nn.Embedding(vocab, 8)
        self.head = nn.Linear(8, vocab)

    def forward(self, tokens):
        return self.head(self.embedding(tokens))


def build_model(ctx):
    return Small(ctx.vocab_size)
";

/// Honest training of any model: `before` runs before the loop, `in_loop` after each step.
pub fn training_with(
    rows: usize,
    columns: usize,
    tokenizer: &str,
    before: &str,
    in_loop: &str,
) -> String {
    let before = indented(before, 4);
    let in_loop = indented(in_loop, 8);
    format!(
        "\
import torch
import torch.nn.functional as F
from architecture import build_model


def train(ctx):
    model = build_model(ctx)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    step = 0
{before}    for batch in ctx.iter_train_batches(model, batch_size={rows}, seq_len={columns}, tokenizer=\"{tokenizer}\"):
        loss = F.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
{in_loop}"
    )
}

/// The honest training that most submissions here use.
pub fn training() -> String {
    training_with(4, 64, "bytes", "", "")
}

fn indented(text: &str, spaces: usize) -> String {
    text.lines()
        .map(|line| format!("{:spaces$}{line}\n", ""))
        .collect()
}

/// A model whose logits are an expression of `tokens` (int64 [rows, length]) and `self.weight`, a parameter that holds
/// one zero.
pub fn model_of(logits: &str) -> String {
    format!(
        "\
import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.vocab = vocab
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, tokens):
        return {logits}


def build_model(ctx):
    return Model(ctx.vocab_size)
"
    )
}

/// Predicts every id alike, always: the parameter is there for the optimizer and never moves.
pub fn uniform() -> String {
    model_of("torch.zeros(*tokens.shape, self.vocab) + 0.0 * self.weight")
}

/// Predicts by id alone: logit −(id mod 13)/4, exact in float32.
pub fn unigram() -> String {
    model_of(
        "(torch.arange(self.vocab) % 13 * -0.25).expand(*tokens.shape, self.vocab) + 0.0 * self.weight",
    )
}

/// Heavy arithmetic: some tenths of a second in each step.
pub const SLOW_STEP: &str = "\
big = torch.ones(1200, 1200)
for _ in range(5):
    big = big @ big * 0.0
";
