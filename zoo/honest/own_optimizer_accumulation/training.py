import torch
import torch.nn.functional as F

from architecture import build_model


class Sign(torch.optim.Optimizer):
    """x -= lr sign(b m + (1 - b) g), m the mean of past gradients (Chen et al. 2023)."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "mean" not in state:
                    state["mean"] = torch.zeros_like(p)
                mean = state["mean"]
                p.sub_(group["lr"] * torch.sign(0.9 * mean + 0.1 * p.grad))
                mean.mul_(0.99).add_(p.grad, alpha=0.01)


def train(ctx):
    model = build_model(ctx).to(ctx.device)
    optimizer = Sign(model.parameters(), lr=0.002)
    for batch in ctx.iter_train_batches(model, batch_size=4, seq_len=64, tokenizer="bytes"):
        loss = F.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten()) / 2
        loss.backward()
        if batch.metadata["step"] % 2 == 1:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
