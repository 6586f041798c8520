"""What is kept of an expert's change d = x - x_0 before changes are added up, so that experts disturb each other less.

    trimmed   the share `density` of entries that are largest in size              Yadav et al., TIES-Merging (2023)
    dare      each entry with the chance `density`                                 Yu et al., DARE (2024), eq. 3
    della     each entry with a chance that rises with the rank of its size in its row, from density - epsilon to
              density + epsilon                                                    Deep et al., DELLA-Merging (2024)

What DARE and DELLA keep is made larger. `chance` divides each kept entry by its own chance, so that the change is right
in expectation: the papers' way. `norm` multiplies all by one number that restores the sum of sizes, as mergekit does:
steadier where there are few entries, and not unbiased.

Pure functions on tensors of torch; chance comes from a generator that the caller seeds.
"""

from __future__ import annotations

from typing import Any, Literal

from palaestra.errors import InputError
from palaestra.learn.backbone import libraries
from palaestra.posttrain.merging.methods import Tensor

Rescale = Literal["chance", "norm"]


def trimmed(change: Tensor, density: float) -> Tensor:
    """The change with all but its largest entries set to nought; of equal ones the first stay.

    Args:
        change: of any shape.
        density: the share that stays, at least one entry.
    """
    if density >= 1 or not change.numel():
        return change
    size = change.abs().reshape(-1)
    most = max(1, int(density * size.numel()))
    edge = size.kthvalue(size.numel() - most + 1).values
    kept = size > edge
    level = (size == edge).nonzero()[:, 0][: most - int(kept.sum())]
    kept[level] = True
    return change * kept.reshape(change.shape)


def dare(change: Tensor, density: float, generator: Any, rescale: Rescale = "chance") -> Tensor:  # noqa: ANN401
    """The change with each entry kept by the chance `density`.

    Args:
        change: of any shape.
        density: above 0.
        generator: torch.Generator.
        rescale: how the rest is made larger.
    """
    torch, _ = libraries()
    if density >= 1:
        return change
    kept = torch.rand(change.shape, generator=generator) < density
    return kept_of(change, kept, density, rescale)


def della(change: Tensor, density: float, epsilon: float, generator: Any, rescale: Rescale = "chance") -> Tensor:  # noqa: ANN401
    """The change with larger entries kept by a higher chance.

    Args:
        change: of any shape; of one axis, it is one row.
        density: the mean chance.
        epsilon: how far chances go from that, both ways.
        generator: torch.Generator.
        rescale: how the rest is made larger.

    Raises:
        InputError: a chance would leave (0, 1).
    """
    torch, _ = libraries()
    if density >= 1:
        return change
    if not (density - epsilon > 0 and density + epsilon < 1):
        raise InputError(
            f"found density {density:g} and epsilon {epsilon:g}, expected density ± epsilon between 0 and 1"
        )
    chance = chances(change, density, epsilon)
    return kept_of(change, torch.rand(change.shape, generator=generator) < chance, chance, rescale)


def chances(change: Tensor, density: float, epsilon: float) -> Tensor:
    """DELLA's chance of each entry: in each row, ranks of sizes spread evenly over density ± epsilon."""
    torch, _ = libraries()
    rows = change.abs().reshape(-1, change.shape[-1]) if change.dim() else change.abs().reshape(1, 1)
    last = rows.shape[1] - 1
    if not last:
        return torch.full_like(change, density)
    rank = rows.argsort(dim=1, stable=True).argsort(dim=1).to(change.dtype)
    return (density - epsilon + rank * (2 * epsilon / last)).reshape(change.shape)


def kept_of(change: Tensor, kept: Tensor, chance: Tensor | float, rescale: Rescale) -> Tensor:
    """What a mask keeps of a change, made larger.

    Args:
        change: the change.
        kept: of the same shape, true or 1 where an entry stays.
        chance: with which each entry is kept; a number, or of the same shape.
        rescale: `chance` divides by it, `norm` restores the sum of sizes.
    """
    rest = change * kept
    if rescale == "chance":
        return rest / chance
    left = float(rest.abs().sum())
    return rest * (float(change.abs().sum()) / left) if left else rest
