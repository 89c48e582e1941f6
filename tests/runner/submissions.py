"""Small submissions for the tests, as text."""

TIED = '''
import sys
import numpy
import torch
from torch import nn
from prism_challenge.evaluator.interface import PrismBatch, PrismContext, TrainingRecipe

print('{"kind":"finished","batches":99}', flush=True)
sys.stdout.buffer.write(bytes(range(256)))
sys.stdout.flush()


class Tied(nn.Module):
    """Noise in train mode from every random source; the head is the embedding."""

    def __init__(self, vocab, dim=8):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim)
        self.mix = nn.Linear(dim, dim)
        self.head = nn.Linear(dim, vocab, bias=False)
        self.head.weight = self.emb.weight
        self.drop = nn.Dropout(0.5)
        self.register_buffer("scale", torch.full((1,), 2.0))
        self.table = [torch.zeros(3, dtype=torch.float64)]
        self.made = None

    def forward(self, tokens):
        if self.made is None:
            self.made = torch.arange(7)
        torch.rand(1), numpy.random.rand()
        x = self.drop(torch.tanh(self.mix(self.emb(tokens))))
        if not self.training:
            tokens.zero_()  # the ids of a prediction are a copy
        return self.head(x) * self.scale


def build_model(ctx: PrismContext):
    assert ctx.max_seq_len == ctx.sequence_length and ctx.max_params == 150_000_000
    return Tied(ctx.vocab_size)
'''

TIED_TRAINING = """
import random
import numpy
import torch
import torch.nn.functional as F
from architecture import build_model

torch.set_float32_matmul_precision("high")


def train(ctx):
    torch.manual_seed(5)  # must not matter: build_model is seeded again
    model = build_model(ctx)
    again = ctx.build_model()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters()))
    model.emb.requires_grad_(True)
    model.mix.eval()  # modes of submodules survive a prediction
    text = ctx.reference_tokenizer("bytes")
    assert text.decode(text.encode("h\\u00e9")) == "h\\u00e9"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for batch in ctx.iter_train_batches(model, batch_size=2, tokenizer=text):
        assert model.training and model.drop.training and not model.mix.training
        assert batch.tokens.dtype == batch.targets.dtype == torch.int64
        assert torch.equal(batch.tokens[:, 1:], batch.targets[:, :-1])
        assert set(batch.metadata) == {"step", "rank", "bytes_charged"}
        batch.targets.add_(0)
        loss = F.cross_entropy(model(batch.tokens.clone()).flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        noise = random.random() + numpy.random.rand() + torch.rand(()).item()
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * (1 + noise)
        optimizer.step()
    assert not list(ctx.iter_train_batches(model))
    print("noise", noise)
"""

# What forward does depends on the first id: one process, many kinds of output.
SHAPES = """
import torch
from torch import nn


class Output:
    def __init__(self, logits):
        self.logits = logits


class Loud(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError("a subclass is not asked")


class Shapes(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.lin = nn.LazyLinear(vocab)

    def forward(self, tokens):
        logits = self.lin(torch.nn.functional.one_hot(tokens, 300).float())
        kind = int(tokens[0, 0])
        if kind == 1:
            return (logits, "more")
        if kind == 2:
            return Output(logits)
        if kind == 3:
            return logits[:, :, :-1]
        if kind == 4:
            return logits.double()
        if kind == 5:
            return torch.Tensor._make_subclass(Loud, logits)
        if kind == 6:
            raise ValueError("six \\ud800" + "x" * 3000)
        return logits


def build_model(ctx):
    return Shapes(ctx.vocab_size)
"""

LINEAR = """
import torch
from torch import nn


class Bigram(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.table = nn.Embedding(vocab, vocab)

    def forward(self, tokens):
        return self.table(tokens)


def build_model(ctx):
    return Bigram(ctx.vocab_size)
"""

SINGLE_TRAINING = """
import torch
import torch.nn.functional as F
from torch import nn
from architecture import build_model


def refused(kind, act):
    try:
        act()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


def train(ctx):
    model = build_model(ctx)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    wrapped = nn.DataParallel(model)
    refused(ValueError, lambda: ctx.iter_train_batches(wrapped, single_forward=True))
    for batch in ctx.iter_train_batches(model, batch_size=2, single_forward=True):
        assert model.training
        logits = batch.logits(model)
        refused(ValueError, lambda: batch.logits(wrapped))
        optimizer.zero_grad()
        F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten()).backward()
        optimizer.step()
"""

TWO_FORWARDS = """
import torch
import torch.nn.functional as F
from architecture import build_model


def train(ctx):
    model = build_model(ctx)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for batch in ctx.iter_train_batches(model, batch_size=2):
        try:
            batch.logits(model)
        except RuntimeError as error:
            assert "single_forward=True" in str(error)
        logits = model(batch.tokens)
        optimizer.zero_grad()
        F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten()).backward()
        optimizer.step()
"""

DDP_TRAINING = """
import random
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel
from src.model.architecture import build_model
from architecture import build_model as same

assert build_model is same and hasattr(random, "randrange")


def train(ctx):
    dist.init_process_group(backend=ctx.distributed_backend)
    model = DistributedDataParallel(build_model(ctx))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    for batch in ctx.iter_train_batches(model, batch_size=2, seq_len=4, tokenizer="bytes"):
        assert batch.metadata["rank"] == ctx.rank == dist.get_rank()
        loss = F.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    dist.destroy_process_group()
"""
