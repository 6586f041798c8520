"""`palaestra train merge`: experts of one base become one model, without training."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from palaestra import console
from palaestra.cli.enrolment import Enrolment, check_enrolment, enrol_checkpoint
from palaestra.cli.flags import JsonTarget, Overwrite, Resume, SkipBad, again
from palaestra.cli.stage_bars import StageBars
from palaestra.errors import InputError
from palaestra.posttrain.held_out import Metric
from palaestra.posttrain.merging.recipe import MergeRecipe, Method, read_recipe, recipe_of

if TYPE_CHECKING:
    from palaestra.posttrain.examples import Example
    from palaestra.posttrain.gate import Gate
    from palaestra.posttrain.held_out import Scores
    from palaestra.posttrain.merging.merge import Models
    from palaestra.posttrain.merging.search import Found
    from palaestra.store.runs import RunFolder


def merge(
    *models: str,
    out: Path,
    recipe: Path | None = None,
    method: Method | None = None,
    weights: str | None = None,
    density: float | None = None,
    scale: Annotated[float | None, Parameter(name="--lambda")] = None,
    validate: str | None = None,
    metric: Metric | None = None,
    search: int | None = None,
    skip_bad: SkipBad = 0,
    seed: int | None = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    enrolment: Annotated[Enrolment, Parameter(name="*")] | None = None,
    json: JsonTarget = None,
) -> int:
    """Merge models. The run's folder holds the merge in `model`, its card, and what it is worth if that was asked for.

    Parameters
    ----------
    models
        The base, and then its experts: folders of Hugging Face.
    out
        The run's folder.
    recipe
        A TOML file in place of the models: weights by layer, part and domain (docs/merging.md).
    method
        How; ties if left out.
    weights
        One number an expert, with commas; 1/N each if left out. For a slerp of one expert: how far from the base.
    density
        Of ties, dare, dare-ties and della: the share of each change that is kept; 0.5 if left out.
    scale
        What the mixed change is multiplied by; 1 if left out.
    validate
        Examples on which the merge is compared with its base.
    metric
        exact-match against `reference`, or log-loss of the completion; the first where all examples allow it.
    search
        Choose the weights by this many evaluations on half of the examples; the other half judges.
    seed
        Of chance.
    """
    from palaestra.posttrain.merging.merge import Models, told
    from palaestra.posttrain.merging.search import searched
    from palaestra.store.runs import RunFolder

    whether = again(resume=resume, overwrite=overwrite)
    check_enrolment(enrolment or Enrolment(), out.name)
    flags = {"method": method, "density": density, "lambda": scale, "seed": seed}
    what = _recipe(models, recipe, weights, {name: value for name, value in flags.items() if value is not None})
    if search is not None:
        searched(what)
    examples = _examples(validate, metric, search, skip_bad)
    opened = Models.opened(what)
    config = {"recipe": told(what), "validate": validate, "metric": metric, "search": search}
    inputs = [opened.base.folder, *(one.folder for one in opened.experts), *([validate] if validate else [])]
    folder = RunFolder(out, "train merge", config, inputs=inputs, seed=what.seed, again=whether)
    with folder.running():
        said, tables = _run(folder, what, opened, examples, metric, search)
    console.give({"schema": "palaestra.merge/1", "folder": str(out), **said}, json, *tables)
    console.note(f"The merge is in {out / 'model'}")
    return enrol_checkpoint(enrolment or Enrolment(), out / "model", out.name)


def _run(  # noqa: PLR0917 - what a run is made of
    folder: RunFolder,
    recipe: MergeRecipe,
    models: Models,
    examples: tuple[Example, ...],
    metric: Metric | None,
    budget: int | None,
) -> tuple[dict[str, Any], list[Table]]:
    from palaestra.posttrain.gate import gate
    from palaestra.posttrain.held_out import halves, metric_of
    from palaestra.posttrain.merging.merge import CARD, card, merge, told
    from palaestra.posttrain.merging.trial import Trial

    work = folder.path / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    found = judged = verdict = None
    with StageBars() as bars:
        judging = examples
        if budget is not None:
            choosing, judging = halves(examples, recipe.seed)
            if alone := sorted({one.domain for one in choosing} - {one.domain for one in judging}):
                console.warn(f"{', '.join(alone)}: one prompt each, which helps to choose and does not judge")
            found = _searched(folder, Trial(models, choosing, metric_of(examples, metric), work), recipe, budget, bars)
            recipe = found.recipe
        done = merge(recipe, work / "model", models=models, tell=lambda at, of: bars("merge", at, of))
        if judging:
            trial = Trial(models, judging, metric_of(examples, metric), work)
            base, judged = trial.of(models.base.folder), trial.of(work / "model")
            verdict = gate(base.score_B, judged.score_B, base.domains_B, base.prompts_B)
    about = card(recipe, folder.path.name) + _gate_lines(verdict)
    (work / "model" / CARD).write_text(about, encoding="utf-8")
    shutil.rmtree(folder.path / "model", ignore_errors=True)
    (work / "model").replace(folder.path / "model")
    shutil.rmtree(work)
    said = {"model": str(folder.path / "model"), "recipe": told(recipe), **asdict(done)}
    said |= {"search": found and _search_told(found), "gate": verdict and asdict(verdict)}
    numbers = {"tensors": float(done.tensors), "parameters": float(done.parameters)}
    if verdict is not None:
        numbers |= {"base": verdict.base, "merge": verdict.other, "difference": verdict.difference.value}
    folder.finish(numbers, _samples(judging, judged), about)
    return said, _tables(recipe, found, verdict)


def _searched(folder: RunFolder, trial: Any, recipe: MergeRecipe, budget: int, bars: StageBars) -> Found:  # noqa: ANN401 - a Trial
    """The search, with each evaluated point noted in the run's metrics before the next is begun."""
    from palaestra.posttrain.merging.search import Point, search, searched
    from palaestra.posttrain.merging.trial import points_in, whole_lines
    from palaestra.store.runs import METRICS_FILE

    names = searched(recipe)
    metrics = folder.path / METRICS_FILE
    whole_lines(metrics)
    known = points_in(metrics, names)
    bars("evaluations", len(known), budget)

    def note(number: int, point: Point, score: float) -> None:
        folder.measure(evaluation=number, score=score, **dict(zip(names, point, strict=True)))
        bars("evaluations", number + 1, budget)

    return search(recipe, trial, budget, known=known, note=note)


def _recipe(models: tuple[str, ...], recipe: Path | None, weights: str | None, flags: dict[str, Any]) -> MergeRecipe:
    if recipe is not None:
        if given := [*models, *(f"--{name}" for name in flags), *(["--weights"] if weights else [])]:
            raise InputError(f"found {', '.join(given)} beside --recipe, expected all of it in the recipe")
        return read_recipe(recipe)
    if len(models) < 2:  # noqa: PLR2004 - a base and an expert
        raise InputError(f"found {len(models)} models, expected the base and at least one expert, or --recipe")
    base, *experts = models
    told: list[dict[str, Any]] = [{"model": model} for model in experts]
    if weights is not None:
        numbers = _numbers(weights)
        if len(numbers) != len(experts):
            raise InputError(f"found {len(numbers)} --weights and {len(experts)} experts, expected one each")
        told = [one | {"weight": number} for one, number in zip(told, numbers, strict=True)]
    return recipe_of({"base": base, "expert": told, **flags})


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"found --weights {text!r}, expected numbers with commas between them: 0.5,0.5") from error


def _examples(validate: str | None, metric: Metric | None, search: int | None, skip_bad: int) -> tuple[Example, ...]:
    from palaestra.posttrain.examples import read_examples
    from palaestra.posttrain.held_out import halves, metric_of

    if validate is None:
        if search is not None or metric is not None:
            raise InputError("found --search or --metric without --validate, expected the examples that judge a merge")
        return ()
    found = read_examples(validate, skip_bad=skip_bad)
    for line in found.skipped:
        console.warn(f"left out: {line}")
    metric_of(found.examples, metric)
    if search is not None:
        if search < 1:
            raise InputError(f"found --search {search}, expected at least 1 evaluation")
        halves(found.examples)
    return found.examples


def _search_told(found: Found) -> dict[str, Any]:
    return {
        "evaluations": len(found.points),
        "start": found.start,
        "best": found.score,
        "points": [{"score": score, **dict(zip(found.names, point, strict=True))} for point, score in found.points],
    }


def _samples(examples: Any, scores: Scores | None) -> list[dict[str, Any]]:  # noqa: ANN401 - examples
    """The first examples of each domain, with what the merge makes of them."""
    rows: list[dict[str, Any]] = []
    shown: dict[str, int] = {}
    if scores is None:
        return rows
    completions = scores.completions or ("",) * len(examples)
    for example, score, said in zip(examples, scores.score_B, completions, strict=True):
        shown[example.domain] = shown.get(example.domain, 0) + 1
        if shown[example.domain] <= 3:  # noqa: PLR2004 - for eyes
            row = {"domain": example.domain, "prompt": example.asked, "reference": example.reference}
            rows.append(row | {"completion": said, "score": float(score)})
    return rows


def _gate_lines(verdict: Gate | None) -> str:
    if verdict is None:
        return ""
    return f"\nHeld-out mean over domains: {verdict.other:.4f}, base {verdict.base:.4f}: {verdict.reason}.\n"


def _tables(recipe: MergeRecipe, found: Found | None, verdict: Gate | None) -> list[Table]:
    caption = recipe.method
    if found is not None:
        caption += f"; {len(found.points)} evaluations, from {found.start:.4f} to {found.score:.4f}"
    table = Table("expert", "domain", "weight", caption=caption)
    for one in recipe.experts:
        table.add_row(Path(one.model).name, one.domain or "", recipe.shown(one))
    return [table] if verdict is None else [table, _gate_table(verdict)]


def _gate_table(verdict: Gate) -> Table:
    table = Table("domain", "base", "merge", "difference", caption=verdict.reason)
    for column in table.columns[1:]:
        column.justify = "right"
    rows = [(one.domain, one.base, one.other, one.difference) for one in verdict.domains]
    for name, base, other, difference in [
        *rows,
        ("mean over domains", verdict.base, verdict.other, verdict.difference),
    ]:
        span = "" if difference.lower is None else f" ({difference.lower:+.3f} to {difference.upper:+.3f})"
        table.add_row(name, f"{base:.3f}", f"{other:.3f}", f"{difference.value:+.3f}{span}")
    return table
