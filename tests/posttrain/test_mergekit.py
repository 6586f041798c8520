"""Every method against mergekit's own merge of the same folders, tensor by tensor."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import copy_tokenizer, make_family, weights_of

from palaestra.posttrain.merging.merge import generator, merge
from palaestra.posttrain.merging.methods import elected, karcher, task_arithmetic
from palaestra.posttrain.merging.recipe import recipe_of
from palaestra.posttrain.merging.sparse import chances, kept_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mergekit.merge_methods.generalized_task_arithmetic as mergekit_changes
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.merge_methods.karcher import karcher_merge_tensors
    from mergekit.options import MergeOptions

TO = 1e-6


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_family(tmp_path_factory.mktemp("family"), 3, shard="30KB", layers=3)


def by_mergekit(out: Path, method: str, base: Path | None, models: list[dict], **more: Any) -> dict[str, torch.Tensor]:
    told = {"merge_method": method, "models": models, "dtype": "float32", **more}
    if base is not None:
        told["base_model"] = str(base)
    options = MergeOptions(write_model_card=False, copy_tokenizer=False, quiet=True, device="cpu", random_seed=0)
    run_merge(MergeConfiguration.model_validate(told), str(out), options)
    return weights_of(out)


def by_us(out: Path, family: list[Path], experts: list[dict], **more: Any) -> dict[str, torch.Tensor]:
    merge(recipe_of({"base": str(family[0]), "expert": experts, **more}), out, shard_bytes=60_000)
    return weights_of(out)


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=0, atol=TO, msg=lambda said, name=name: f"{name}: {said}")


WEIGHTS = [0.7, -0.2, 1.1]
GRADIENTS = [[0.1, 0.9], [0.4, 0.6, 0.2], 0.3]


@pytest.mark.parametrize("weights", [WEIGHTS, GRADIENTS], ids=["numbers", "by layer"])
@pytest.mark.parametrize(
    "case",
    [
        ("linear", "linear", {}, {}),
        ("linear", "linear", {"normalize": False}, {"normalize": False}),
        ("task-arithmetic", "task_arithmetic", {"lambda": 0.6}, {"lambda": 0.6}),
        ("task-arithmetic", "task_arithmetic", {"normalize": True}, {"normalize": True}),
        ("ties", "ties", {"density": 0.37}, {"density": 0.37}),
        ("ties", "ties", {"density": 0.2, "lambda": 1.3, "normalize": False},
         {"density": 0.2, "lambda": 1.3, "normalize": False}),
        ("ties", "ties", {"density": 1.0}, {"density": 1.0}),
        ("dare-ties", "dare_ties", {"density": 1.0}, {"density": 1.0}),
        ("della", "della", {"density": 1.0}, {"density": 1.0, "epsilon": 0.1}),
    ],
)  # fmt: skip
def test_methods_of_weights_are_mergekits(
    case: tuple[str, str, dict, dict], weights: list, family: list[Path], tmp_path: Path
) -> None:
    ours, theirs, more, parameters = case
    models = [
        {"model": str(folder), "parameters": {"weight": weight}}
        for folder, weight in zip(family[1:], weights, strict=True)
    ]
    base = None if theirs == "linear" else family[0]
    expected = by_mergekit(tmp_path / "theirs", theirs, base, models, parameters=parameters)
    experts = [{"model": str(folder), "weight": weight} for folder, weight in zip(family[1:], weights, strict=True)]
    assert_same(by_us(tmp_path / "ours", family, experts, method=ours, **more), expected)


def test_a_merge_of_16_bit_models_is_computed_in_32(family: list[Path], tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    halves = []
    for folder in family[:3]:
        halves.append(tmp_path / folder.name)
        AutoModelForCausalLM.from_pretrained(folder).to(torch.bfloat16).save_pretrained(halves[-1])
        copy_tokenizer(folder, halves[-1])
    models = [{"model": str(folder), "parameters": {"weight": 0.7}} for folder in halves[1:]]
    expected = by_mergekit(tmp_path / "theirs", "task_arithmetic", halves[0], models, out_dtype="bfloat16")
    experts = [{"model": str(folder), "weight": 0.7} for folder in halves[1:]]
    found = by_us(tmp_path / "ours", halves, experts, method="task-arithmetic")
    assert {tensor.dtype for tensor in found.values()} == {torch.bfloat16}
    assert_same(found, expected)


def test_weights_of_parts_are_mergekits_filters(family: list[Path], tmp_path: Path) -> None:
    parts = {"self_attn": [0.2, 0.8], "mlp": 0.9}
    filters = [{"filter": text, "value": weight} for text, weight in parts.items()]
    models = [
        {"model": str(family[1]), "parameters": {"weight": [*filters, {"value": 0.5}]}},
        {"model": str(family[2]), "parameters": {"weight": 0.4}},
    ]
    expected = by_mergekit(tmp_path / "theirs", "task_arithmetic", family[0], models)
    experts = [{"model": str(family[1]), "weight": 0.5, "parts": parts}, {"model": str(family[2]), "weight": 0.4}]
    assert_same(by_us(tmp_path / "ours", family, experts, method="task-arithmetic"), expected)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, [0.1, 0.9]])
def test_slerp_from_the_base_is_mergekits(t: float | list[float], family: list[Path], tmp_path: Path) -> None:
    models = [{"model": str(folder)} for folder in family[:2]]
    expected = by_mergekit(tmp_path / "theirs", "slerp", family[0], models, parameters={"t": t})
    assert_same(by_us(tmp_path / "ours", family, [{"model": str(family[1]), "weight": t}], method="slerp"), expected)


def test_slerp_between_two_experts_is_mergekits_from_the_first(family: list[Path], tmp_path: Path) -> None:
    models = [{"model": str(folder)} for folder in family[1:3]]
    expected = by_mergekit(tmp_path / "theirs", "slerp", family[1], models, parameters={"t": 0.25})
    experts = [{"model": str(family[1]), "weight": 1.5}, {"model": str(family[2]), "weight": 0.5}]
    assert_same(by_us(tmp_path / "ours", family, experts, method="slerp"), expected)


@pytest.mark.parametrize(("ours", "theirs"), [("model-stock", "model_stock"), ("karcher", "karcher")])
def test_methods_without_weights_are_mergekits(ours: str, theirs: str, family: list[Path], tmp_path: Path) -> None:
    base = family[0] if theirs == "model_stock" else None
    models = [{"model": str(folder)} for folder in family[1:]]
    expected = by_mergekit(tmp_path / "theirs", theirs, base, models)
    experts = [{"model": str(folder)} for folder in family[1:]]
    assert_same(by_us(tmp_path / "ours", family, experts, method=ours), expected)


def test_a_weighted_karcher_mean_is_mergekits() -> None:
    tensors = [torch.randn(7, 9, generator=torch.Generator().manual_seed(number)) for number in range(4)]
    weights = [0.1, 0.2, 0.3, 0.4]
    expected = karcher_merge_tensors(tensors, weights, max_iter=50, tol=1e-6)
    torch.testing.assert_close(karcher(tensors, weights, iterations=50, tolerance=1e-6), expected, rtol=0, atol=TO)


@pytest.mark.parametrize(
    "case", [("dare_linear", task_arithmetic, False), ("dare_ties", elected, False), ("della", elected, True)]
)
def test_methods_of_chance_are_mergekits_given_what_was_kept(
    case: tuple[str, Any, bool], family: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, add, normalize = case
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    drop = mergekit_changes.sparsify

    def watched(change: torch.Tensor, **how: Any) -> torch.Tensor:
        rest = drop(change, **how)
        kept.append((change.clone(), rest != 0))
        return rest

    monkeypatch.setattr(mergekit_changes, "sparsify", watched)
    density = [0.5, 0.4, 0.7]
    models = [
        {"model": str(folder), "parameters": {"weight": weight, "density": share}}
        for folder, weight, share in zip(family[1:], WEIGHTS, density, strict=True)
    ]
    more = {"epsilon": 0.15} if theirs == "della" else {}
    expected = by_mergekit(tmp_path / "theirs", theirs, family[0], models, parameters={"lambda": 0.8, **more})
    base, *experts = map(weights_of, family)
    for name, start in base.items():
        changes = []
        for expert in experts:
            change = expert[name] - start
            mask = next(mask for one, mask in kept if one.shape == change.shape and torch.equal(one, change))
            changes.append(kept_of(change, mask, 1.0, "norm"))
        found = add(start, changes, WEIGHTS, scale=0.8, normalize=normalize)
        torch.testing.assert_close(found, expected[name], rtol=0, atol=TO)


@pytest.mark.parametrize(("theirs", "density"), [("dare_linear", 0.3), ("della_linear", 0.6)])
def test_methods_of_chance_keep_as_often_as_mergekit(
    theirs: str, density: float, family: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By fifths of size in the row: what share of entries is kept, over all of a model's matrices."""
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    drop = mergekit_changes.sparsify

    def watched(change: torch.Tensor, **how: Any) -> torch.Tensor:
        rest = drop(change, **how)
        kept.append((change.clone(), rest != 0))
        return rest

    monkeypatch.setattr(mergekit_changes, "sparsify", watched)
    models = [{"model": str(family[1]), "parameters": {"weight": 1.0, "density": density}}]
    more = {"epsilon": 0.3} if theirs == "della_linear" else {}
    by_mergekit(tmp_path / "theirs", theirs, family[0], models, parameters=more)
    matrices = [(change, mask) for change, mask in kept if change.dim() == 2]
    fifth = [(chances(change, 0.5, 0.499) * 5 - 0.005).floor().clamp(0, 4) for change, _ in matrices]
    for number in range(5):
        here = [place == number for place in fifth]
        count = sum(int(place.sum()) for place in here)
        theirs_share = sum(int(mask[place].sum()) for (_, mask), place in zip(matrices, here, strict=True)) / count
        ours_share = 0.0
        for row, ((change, _), place) in enumerate(zip(matrices, here, strict=True)):
            chance = chances(change, density, 0.3) if theirs == "della_linear" else torch.full(change.shape, density)
            drawn = torch.rand(change.shape, generator=generator(0, str(row), 0)) < chance
            ours_share += int(drawn[place].sum()) / count
        assert ours_share == pytest.approx(theirs_share, abs=5 * (0.5 / count) ** 0.5)
