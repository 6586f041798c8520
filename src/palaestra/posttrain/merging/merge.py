"""A recipe becomes a model: models that belong together are opened, merged tensor by tensor, and written as a folder.

One tensor of each model is in memory at a time; the methods that add changes up hold even fewer. Chance is drawn for
each tensor and expert by itself, from the seed and their names, so that neither order nor shards matter. A tensor of
whole numbers must be the same in all models, and is kept.

Not here: whether the merge is any good (`posttrain/held_out.py`, `posttrain/gate.py`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from palaestra.errors import InputError
from palaestra.learn.backbone import backbone_folder, libraries, unreadable
from palaestra.learn.language_model import same_vocabulary
from palaestra.posttrain.merging import methods, sparse
from palaestra.posttrain.merging.methods import Tensor
from palaestra.posttrain.merging.recipe import MergeExpert, MergeRecipe, depths
from palaestra.posttrain.merging.shards import SHARD_BYTES, Shards, check_alike, write_shards

Tell = Callable[[int, int], None]
CARD = "README.md"
RECIPE = "merge.json"

_OWN = frozenset(
    {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version", "use_cache", "bos_token_id",
     "eos_token_id", "pad_token_id"}
)  # fmt: skip
"""What may differ between the configs of models that can be merged."""


@dataclass(frozen=True, slots=True)
class Models:
    """The opened models of a recipe, of which it is known that they can be merged."""

    base: Shards
    experts: tuple[Shards, ...]

    @classmethod
    def opened(cls, recipe: MergeRecipe, cache: Path | None = None) -> Self:
        """Open all models of a recipe.

        Args:
            recipe: names them.
            cache: where converted models are kept; the user's cache if left out.

        Raises:
            InputError: one is missing or cut short, or their architectures, shapes or vocabularies differ.
            MissingPartError: the extra `train` is not installed.
        """
        base = _folder(recipe.base, "base", cache)
        found = cls(Shards.of(base), tuple(Shards.of(_folder(one.model, "expert", cache)) for one in recipe.experts))
        for expert in found.experts:
            _check_config(base, expert.folder)
            check_alike(found.base, expert)
            if why := _other_vocabulary(base, expert.folder):
                raise InputError(f"found another vocabulary in {expert.folder} than in {base}: {why}; expected one")
        return found


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge wrote."""

    tensors: int
    parameters: int
    models: int


def merge(
    recipe: MergeRecipe,
    folder: str | Path,
    *,
    models: Models | None = None,
    tell: Tell = lambda _done, _all: None,
    shard_bytes: int = SHARD_BYTES,
) -> Merged:
    """Merge, and write the folder of Hugging Face, whole or not at all.

    Args:
        recipe: what and how.
        folder: must not be there yet, or be empty.
        models: the recipe's, if they were opened already.
        tell: is told how many tensors are done, of how many.
        shard_bytes: of one file of weights, at most.

    Raises:
        InputError: a model is missing, broken or unlike the others, weights are no numbers, or the folder cannot be
            written: a full disk.
        MissingPartError: the extra `train` is not installed.
    """
    models = models or Models.opened(recipe)
    texts = {CARD: card(recipe, Path(folder).name), RECIPE: json.dumps(told(recipe), indent=2) + "\n"}
    write_shards(folder, models.base, merged(recipe, models, tell), texts, shard_bytes=shard_bytes)
    sizes = [slot.shape for slot in models.base.slots.values()]
    return Merged(len(sizes), sum(map(math.prod, sizes)), len(models.experts))


def merged(recipe: MergeRecipe, models: Models, tell: Tell = lambda _done, _all: None) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a merge, one after the other, in 32 bits or more.

    Raises:
        InputError: weights are no numbers, or whole numbers differ.
    """
    names = list(models.base.slots)
    depth = depths(names)
    for done, name in enumerate(names, start=1):
        if models.base.slots[name].floats:
            yield name, _tensor(recipe, models, name, recipe.weights_at(name, depth[name]))
        else:
            yield name, _same(models, name)
        tell(done, len(names))


def _tensor(recipe: MergeRecipe, models: Models, name: str, weights: list[float]) -> Tensor:
    """One tensor of the merge."""
    experts = (expert.read(name) for expert in models.experts)
    if recipe.method == "linear":
        return methods.linear(experts, weights, normalize=recipe.divides)
    if recipe.method == "karcher":
        return methods.karcher(list(experts), weights)
    if recipe.method == "slerp":
        if recipe.arc:
            return methods.slerp(models.base.read(name), next(experts), weights[0])
        return methods.slerp(next(experts), next(experts), weights[1] / sum(weights))
    start = methods.wide(models.base.read(name))
    if recipe.method == "model-stock":
        return methods.model_stock(start, experts)
    changes = (
        _kept(recipe, one, name, number, methods.wide(expert) - start)
        for number, (one, expert) in enumerate(zip(recipe.experts, experts, strict=True))
    )
    add = methods.task_arithmetic if recipe.method in {"task-arithmetic", "dare"} else methods.elected
    return add(start, changes, weights, scale=recipe.factor, normalize=recipe.divides)


def _kept(recipe: MergeRecipe, expert: MergeExpert, name: str, number: int, change: Tensor) -> Tensor:
    """What the method keeps of an expert's change."""
    if recipe.method == "task-arithmetic":
        return change
    density = recipe.density_of(expert)
    if recipe.method == "ties":
        return sparse.trimmed(change, density)
    chance, rescale = generator(recipe.seed, name, number), recipe.rescale or "chance"
    if recipe.method == "della":
        return sparse.della(change, density, recipe.reach, chance, rescale)
    return sparse.dare(change, density, chance, rescale)


def generator(seed: int, name: str, expert: int) -> Any:  # noqa: ANN401 - torch.Generator
    """Chance for one tensor of one expert, whatever comes before it."""
    torch, _ = libraries()
    digest = hashlib.sha256(f"{seed}\0{name}\0{expert}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7]))


def told(recipe: MergeRecipe) -> dict[str, Any]:
    """A recipe as JSON: what was given, and what stands for what was left out."""
    given = recipe.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return given | {"method": recipe.method, "seed": recipe.seed} | recipe.filled


def card(recipe: MergeRecipe, name: str) -> str:
    """The model's card, with the head that the Hub reads."""
    lines = ["---", "tags:", "- merge", "library_name: transformers", "---", "", f"# {name}", ""]
    lines += [f"A merge by {recipe.method} of {len(recipe.experts)} experts of {Path(recipe.base).name}.", ""]
    lines += ["| expert | domain | weight |", "|---|---|---|"]
    for one in recipe.experts:
        lines.append(f"| {Path(one.model).name} | {one.domain or ''} | {recipe.shown(one)} |")
    lines += ["", f"The whole recipe is in {RECIPE}. A merge may be worse than its base: measure it before use.", ""]
    return "\n".join(lines)


def _folder(name: str, role: str, cache: Path | None) -> Path:
    try:
        return backbone_folder(name, cache)
    except InputError as error:
        raise InputError(f"{role}: {error}") from error


def _check_config(base: Path, other: Path) -> None:
    """Whether two configs say the same of the architecture, defaults filled in."""
    one, two = (_config(folder) for folder in (base, other))
    for name in sorted((one.keys() | two.keys()) - _OWN):
        if one.get(name) != two.get(name):
            raise InputError(
                f"found {name} {two.get(name)!r:.60} in {other} and {one.get(name)!r:.60} in {base}, expected models "
                "of one architecture"
            )


def _config(folder: Path) -> dict[str, Any]:
    _, transformers = libraries()
    try:
        return transformers.AutoConfig.from_pretrained(folder, local_files_only=True).to_dict()
    except (OSError, ValueError, KeyError) as error:
        raise unreadable(folder, error) from error


def _other_vocabulary(base: Path, other: Path) -> str | None:
    try:
        return same_vocabulary(str(base), str(other))
    except (OSError, ValueError, KeyError) as error:
        raise unreadable(other, error) from error


def _same(models: Models, name: str) -> Tensor:
    torch, _ = libraries()
    kept = models.base.read(name)
    for expert in models.experts:
        if not torch.equal(expert.read(name), kept):
            raise InputError(
                f"found other whole numbers {name} in {expert.folder} than in {models.base.folder}, expected the same: "
                "they cannot be merged"
            )
    return kept
