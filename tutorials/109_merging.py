"""Merging: four experts of one small network become one, without a step of training. When does that work?

A base learns four domains a little. Four experts go on from it, each in its own domain: a few steps (near), or until
they are sure (far). Then their weights are merged, by the formulas of `palaestra.posttrain.merging.methods`, each on a
line or two. Accuracy is on fresh inputs, the mean over domains.

    palaestra train merge BASE EXPERT... --method ties --density 0.5 --validate EXAMPLES --out RUN

Run it: `python tutorials/109_merging.py`. It takes some seconds.
"""

import numpy as np
import torch

DOMAINS, INPUTS, WIDTH = 4, 12, 64
chance = torch.Generator().manual_seed(0)
truth = torch.randn(DOMAINS, INPUTS, INPUTS, generator=chance)


def draw(domain: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs that say which domain they are of; the answer is the sign of that domain's quadratic form."""
    x = torch.randn(count, INPUTS, generator=chance)
    here = torch.eye(DOMAINS)[domain].expand(count, -1)
    return torch.cat([x, 2 * here], 1), (torch.einsum("ni,ij,nj->n", x, truth[domain], x) > 0).float()


def says(model: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """A network of two layers."""
    first, bias, second = model
    return (x @ first + bias).relu() @ second


def train(model: list[torch.Tensor], domains: list[int], steps: int) -> list[torch.Tensor]:
    """The model after so many steps on these domains."""
    model = [weight.clone().requires_grad_() for weight in model]
    optimizer = torch.optim.Adam(model, lr=3e-3)
    for _ in range(steps):
        parts = [draw(domain, 128 // len(domains)) for domain in domains]
        x, y = (torch.cat(part) for part in zip(*parts, strict=True))
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(says(model, x), y).backward()
        optimizer.step()
    return [weight.detach() for weight in model]


def accuracy(model: list[torch.Tensor]) -> np.ndarray:
    """Of each domain, on what nobody has seen."""
    return np.array([float(((says(model, x) > 0) == (y > 0)).float().mean()) for x, y in tests])


# The methods, for one tensor: x_0 of the base, x the experts' tensors on the first axis.
def linear(x_0, x):  # noqa: ANN001, ANN201, ARG001, D103
    return x.mean(0)


def task_arithmetic(x_0, x, scale=0.5):  # noqa: ANN001, ANN201, D103
    return x_0 + scale * (x - x_0).sum(0)


def ties(x_0, x, density=0.5):  # noqa: ANN001, ANN201, D103
    d = (x - x_0).flatten(1)
    edge = d.abs().sort(1, descending=True).values[:, max(1, int(density * d.shape[1])) - 1]
    d = torch.where(d.abs() >= edge[:, None], d, 0)  # only the largest changes,
    agrees = d.sign() == torch.where(d.sum(0) >= 0, 1, -1)  # and of these those of the elected sign
    return x_0 + ((d * agrees).sum(0) / agrees.sum(0).clamp(min=1)).view_as(x_0)


def dare(x_0, x, density=0.5):  # noqa: ANN001, ANN201, D103
    kept = torch.rand(x.shape, generator=chance) < density
    return x_0 + ((x - x_0) * kept / density).mean(0)


def model_stock(x_0, x):  # noqa: ANN001, ANN201, D103
    unit = torch.nn.functional.normalize((x - x_0).flatten(1), dim=1)
    n = len(x)
    cosine = ((unit @ unit.T).sum() - n) / (n * (n - 1))  # the mean over pairs
    t = n * cosine / (1 + (n - 1) * cosine)
    return t * x.mean(0) + (1 - t) * x_0


tests = [draw(domain, 4000) for domain in range(DOMAINS)]
blank = [0.2 * torch.randn(*size, generator=chance) for size in ((INPUTS + DOMAINS, WIDTH), (WIDTH,), (WIDTH,))]
base = train(blank, list(range(DOMAINS)), 400)
print(f"{'':18}{'near':>8}{'far':>8}\n{'base':18}{accuracy(base).mean():8.1%}{accuracy(base).mean():8.1%}")
near, far = ([train(base, [domain], steps) for domain in range(DOMAINS)] for steps in (30, 800))
own = [np.mean([accuracy(expert)[domain] for domain, expert in enumerate(each)]) for each in (near, far)]
rows = {"experts, at home": own}
rows |= {"experts, anywhere": [np.mean([accuracy(expert) for expert in each]) for each in (near, far)]}
for method in (linear, task_arithmetic, ties, dare, model_stock):
    merges = [[method(x_0, torch.stack(x)) for x_0, *x in zip(base, *each, strict=True)] for each in (near, far)]
    rows[method.__name__] = [accuracy(merge).mean() for merge in merges]
for name, (first, second) in rows.items():
    print(f"{name:18}{first:8.1%}{second:8.1%}")
print("\nA merge is a guess: hold it against its base on held-out prompts before you believe in it.")
