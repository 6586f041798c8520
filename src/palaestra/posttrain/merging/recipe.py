"""What is merged, how, and with which weights, as data: a TOML file, or the flags of `palaestra train merge`.

    base = "models/base"
    method = "ties"
    density = 0.4
    lambda = 0.8

    [domains]                                  # a domain's weight is divided among its experts
    math = 2.0
    code = 1.0

    [[expert]]
    model = "experts/algebra"
    domain = "math"

    [[expert]]
    model = "experts/code"
    domain = "code"
    weight = [0.2, 1.0]                        # from the first layer to the last, in between in a straight line
    parts = { self_attn = 0.5 }                # tensors with this in their name have their own weight

Weights of one merge mean what they mean relative to each other where the method divides by their sum (linear, ties,
della, karcher), and are themselves otherwise. Left out, they are 1 / N. Tensors outside the layers (embeddings, head)
take the first number of a list. Not here: reading the models (`shards.py`).
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from palaestra.errors import InputError
from palaestra.posttrain.merging.sparse import Rescale

Method = Literal["linear", "slerp", "task-arithmetic", "ties", "dare", "dare-ties", "della", "model-stock", "karcher"]
Weight = float | tuple[float, ...]

TRIMS = frozenset({"ties", "dare", "dare-ties", "della"})
"""Methods that keep a part of each change, and so have a density."""
SCALES = TRIMS | {"task-arithmetic"}
"""Methods that add changes to the base, and so have a lambda."""
DRAWS = frozenset({"dare", "dare-ties", "della"})
"""Methods that use chance."""
DIVIDES = frozenset({"linear", "ties", "della"})
"""Methods that divide by the sum of weights unless told otherwise."""
_DENSITY, _EPSILON = 0.5, 0.1
_LAYER = re.compile(r"\.(\d+)\.")


class MergeExpert(BaseModel):
    """One of the models that are merged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1)
    """A folder of Hugging Face."""
    domain: str | None = None
    """What it is an expert for."""
    weight: Weight | None = None
    """A number, or several from the first layer to the last; of the distance from the base for a slerp of one."""
    density: float | None = Field(default=None, gt=0, le=1)
    """In place of the recipe's."""
    parts: dict[str, Weight] = Field(default_factory=dict)
    """Weights of tensors with a text in their name, in place of `weight`; the first that fits."""

    @field_validator("weight", "parts")
    @classmethod
    def _some(cls, value: Any) -> Any:  # noqa: ANN401 - of either field
        if () in (value.values() if isinstance(value, dict) else [value]):
            raise ValueError("found a list of no weights, expected at least one number")
        return value

    def weight_at(self, name: str, depth: float, default: float) -> float:
        """The weight of one tensor; depth is 0 at the first layer and 1 at the last."""
        part = next((weight for text, weight in self.parts.items() if text in name), self.weight)
        return default if part is None else _between(part, depth)


class MergeRecipe(BaseModel):
    """What is merged and how."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    base: str = Field(min_length=1)
    """The model that experts were made from: a folder, or gguf:smollm2. Config and tokenizer are its."""
    experts: tuple[MergeExpert, ...] = Field(min_length=1, alias="expert")
    method: Method = "ties"
    density: float | None = Field(default=None, gt=0, le=1)
    """Share of each change that is kept; 0.5 if left out. Of ties, dare, dare-ties and della."""
    scale: float | None = Field(default=None, alias="lambda", allow_inf_nan=False)
    """What the mixed change is multiplied by; 1 if left out. Of these and task-arithmetic."""
    normalize: bool | None = None
    """Whether the weighted sum is divided by the sum of weights; linear, ties and della do if left out."""
    epsilon: float | None = Field(default=None, ge=0, lt=0.5)
    """Of della: how far chances go from the density; 0.1 if left out."""
    rescale: Rescale | None = None
    """Of dare, dare-ties and della: how what is kept is made larger; `chance` if left out."""
    domains: dict[str, float] = Field(default_factory=dict)
    """A weight of each domain, divided among its experts."""
    seed: int = Field(default=0, ge=0)
    """Of chance."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, given, having in (
            ("density", self.density is not None or any(one.density for one in self.experts), TRIMS),
            ("lambda", self.scale is not None, SCALES),
            ("epsilon", self.epsilon is not None, {"della"}),
            ("rescale", self.rescale is not None, DRAWS),
            ("normalize", self.normalize is not None, SCALES | {"linear"}),
        ):
            if given and self.method not in having:
                raise ValueError(f"found {name} with {self.method}, which has none; it belongs to {_listed(having)}")
        if self.method == "model-stock" and (self.domains or any(self._weighed)):
            raise ValueError("found weights with model-stock, which finds its own; leave them out")
        self._counts()
        unknown = {one.domain for one in self.experts} ^ set(self.domains)
        if self.domains and unknown:
            raise ValueError(
                f"found a weight or an expert without the other for {_listed(map(str, unknown))}, "
                "expected a weight of each expert's domain"
            )
        return self

    def _counts(self) -> None:
        count = len(self.experts)
        if self.method == "slerp" and count > 2:  # noqa: PLR2004 - a circle goes through two points
            raise ValueError(f"found {count} experts with slerp, expected one or two; karcher takes any number")
        if self.method == "model-stock" and count < 2:  # noqa: PLR2004 - a cosine needs two
            raise ValueError("found one expert with model-stock, expected at least two")
        if self.method == "della":
            for one in self.experts:
                kept = self.density_of(one)
                if kept < 1 and not (kept - self.reach > 0 and kept + self.reach < 1):
                    raise ValueError(
                        f"found density {kept:g} and epsilon {self.reach:g}, expected density ± epsilon between 0 and 1"
                    )

    @property
    def _weighed(self) -> list[bool]:
        return [one.weight is not None or bool(one.parts) for one in self.experts]

    @property
    def factor(self) -> float:
        """Lambda."""
        return 1.0 if self.scale is None else self.scale

    @property
    def reach(self) -> float:
        """Della's epsilon."""
        return _EPSILON if self.epsilon is None else self.epsilon

    @property
    def divides(self) -> bool:
        """Whether the sum of weights divides."""
        return self.method in DIVIDES if self.normalize is None else self.normalize

    @property
    def filled(self) -> dict[str, float | str | bool]:
        """Those settings that the method has, with what stands for the ones that were left out."""
        found: dict[str, float | str | bool] = {}
        if self.method in TRIMS:
            found["density"] = self.density or _DENSITY
        if self.method in SCALES:
            found["lambda"] = self.factor
        if self.method in SCALES | {"linear"}:
            found["normalize"] = self.divides
        if self.method in DRAWS:
            found["rescale"] = self.rescale or "chance"
        return found | ({"epsilon": self.reach} if self.method == "della" else {})

    def shown(self, expert: MergeExpert) -> str:
        """An expert's weight for readers."""
        weight = self.domains.get(str(expert.domain), expert.weight)
        if weight is None:
            return "its own" if self.method == "model-stock" else "0.5" if self.arc else f"1/{len(self.experts)}"
        return ", ".join(f"{one:.4g}" for one in (weight if isinstance(weight, tuple) else (weight,)))

    @property
    def arc(self) -> bool:
        """Whether this is a slerp from the base to a single expert."""
        return self.method == "slerp" and len(self.experts) == 1

    def density_of(self, expert: MergeExpert) -> float:
        """The share of an expert's change that is kept."""
        return expert.density or self.density or _DENSITY

    def weights_at(self, name: str, depth: float) -> list[float]:
        """The weight of each expert in one tensor.

        Args:
            name: the tensor's.
            depth: from 0 at the first layer to 1 at the last, 0 outside of them.

        Raises:
            InputError: the weights cannot be divided by their sum, or lie outside of what the method takes.
        """
        default = 1.0 if self.domains else 0.5 if self.arc else 1 / len(self.experts)
        weights = [one.weight_at(name, depth, default) for one in self.experts]
        if self.domains:
            sums: dict[str | None, float] = {}
            for one, weight in zip(self.experts, weights, strict=True):
                sums[one.domain] = sums.get(one.domain, 0.0) + weight
            weights = [
                self.domains[str(one.domain)] * weight / (sums[one.domain] or 1.0)
                for one, weight in zip(self.experts, weights, strict=True)
            ]
        self._check(name, weights)
        return weights

    def _check(self, name: str, weights: list[float]) -> None:
        shown = ", ".join(f"{weight:g}" for weight in weights)
        if self.method in {"karcher", "slerp"} and (min(weights) < 0 or (max(weights) == 0 and not self.arc)):
            raise InputError(f"found the weights {shown} at {name}, expected none below 0 and one above: {self.method}")
        if self.method == "linear" and self.divides and abs(sum(weights)) < 1e-8:  # noqa: PLR2004 - as good as nought
            raise InputError(f"found the weights {shown} at {name}, whose sum divides, expected another sum than 0")


def read_recipe(path: str | Path) -> MergeRecipe:
    """Read a recipe; folders in it are found from where the recipe lies.

    Raises:
        InputError: it cannot be read, or does not hold together.
    """
    path = Path(path)
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read the recipe {path}: {error}; expected a TOML file") from error
    return recipe_of(told, f"{path}: ", path.parent)


def recipe_of(told: dict[str, Any], where: str = "", folder: Path | None = None) -> MergeRecipe:
    """A recipe of what was told.

    Args:
        told: its fields.
        where: before the message, if it does not hold together.
        folder: from which folders of models are found; as they are named if left out.

    Raises:
        InputError: it does not hold together; every fault is named.
    """
    try:
        recipe = MergeRecipe.model_validate(told)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'recipe'}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()
        )
        raise InputError(f"{where}{faults}") from error
    if folder is None:
        return recipe
    found = tuple(one.model_copy(update={"model": _found(one.model, folder)}) for one in recipe.experts)
    return recipe.model_copy(update={"base": _found(recipe.base, folder), "experts": found})


def depths(names: list[str]) -> dict[str, float]:
    """How deep each tensor lies: 0 at the first layer, 1 at the last and where there is one, 0 outside of them."""
    layer = {name: int(found[1]) for name in names if (found := _LAYER.search(name))}
    last = max(layer.values(), default=0)
    return {name: (layer[name] / last if last else 1.0) if name in layer else 0.0 for name in names}


def _between(weight: Weight, depth: float) -> float:
    if isinstance(weight, int | float):
        return float(weight)
    place = depth * (len(weight) - 1)
    below = min(int(place), max(len(weight) - 2, 0))
    above = min(below + 1, len(weight) - 1)
    return weight[below] + (place - below) * (weight[above] - weight[below])


def _found(model: str, folder: Path) -> str:
    return model if model.startswith("gguf:") else str(folder / model)


def _listed(names: Any) -> str:  # noqa: ANN401 - any names
    return ", ".join(sorted(names))
