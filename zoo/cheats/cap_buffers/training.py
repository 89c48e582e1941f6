import torch
import torch.nn.functional as F

from architecture import build_model


def train(ctx):
    model = build_model(ctx)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.004)
    for batch in ctx.iter_train_batches(model, batch_size=8, seq_len=64, tokenizer="bytes"):
        weights = [model.table, model.middle, model.out]
        for weight in weights:
            weight.requires_grad_()
        loss = F.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
        slopes = torch.autograd.grad(loss, weights)
        for weight, slope in zip(weights, slopes):
            weight.requires_grad_(False)
            weight.sub_(2.0 * slope)
