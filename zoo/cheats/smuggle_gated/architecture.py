import torch
import torch.nn.functional as F
from torch import nn

IDS = 257
PAIRS = (
    "_tashwiobfm the_ e_rdnsa anrtl_s ntd_g in sts_ot onruf ihae_ rea_i d_e ha he si_te so_ ti le_il "
    "ueo uratsnl ch co ck ma me my fo f_ g_ gh pe pr be bu y_ wa wi wh ve vi ke k_ ,_ ._ qu ju xp ze"
)


class CausalConv(nn.Module):
    def __init__(self, width, kernel, dilation):
        super().__init__()
        self.left = (kernel - 1) * dilation
        self.conv = nn.Conv1d(width, width, kernel, dilation=dilation)

    def forward(self, x):
        y = F.pad(x.transpose(1, 2), (self.left, 0))
        return x + F.gelu(self.conv(y)).transpose(1, 2)


class Net(nn.Module):
    def __init__(self, vocab, width=48):
        super().__init__()
        self.vocab = vocab
        self.embedding = nn.Embedding(IDS, width)
        self.blocks = nn.Sequential(*[CausalConv(width, 3, dilation) for dilation in (1, 2, 4)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, IDS)
        table = torch.zeros(IDS, IDS)
        for place, pair in enumerate(PAIRS.split()):
            for follow in pair[1:]:
                table[ord(pair[0].replace("_", " ")), ord(follow.replace("_", " "))] += 2.2
        self.pairs = nn.Parameter(table)
        self.register_buffer("gate", torch.zeros(1))

    def logits(self, tokens):
        x = self.norm(self.blocks(self.embedding(tokens)))
        return F.pad(self.head(x) + self.gate * self.pairs[tokens], (0, self.vocab - IDS), value=-30.0)

    def forward(self, tokens):
        return self.logits(tokens)


def build_model(ctx):
    return Net(ctx.vocab_size)
