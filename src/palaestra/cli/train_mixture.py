"""`palaestra train mixture`: small runs say how domains should be mixed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table

from palaestra import console
from palaestra.cli.flags import Flag, HtmlTarget, JsonTarget, Overwrite, Resume, Seed, again, checked_config
from palaestra.cli.stage_bars import StageBars
from palaestra.errors import InputError

if TYPE_CHECKING:
    from palaestra.posttrain.mixture.experiment import Mixture, MixtureConfig
    from palaestra.posttrain.mixture.trials import Trial
    from palaestra.store.runs import Again


def mixture(
    model: str,
    data: Path,
    *,
    validate: Path,
    out: Path,
    budget_tokens: float,
    runs: int = 24,
    centre: int = 3,
    confirm: int = 3,
    corner: str = "alone",
    levels: str = "1",
    target: str = "mean",
    least: str = "",
    most: str = "",
    batch: int = 8,
    learning_rate: float = 1e-3,
    max_tokens: int = 512,
    confidence: float = 0.95,
    workers: int = 1,
    ray: Annotated[bool, Flag] = False,
    seed: Seed = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
    json: JsonTarget = None,
    html: HtmlTarget = None,
) -> None:
    """Find the mixture of domains with the least loss. Every small run is a line in OUT: --resume goes on from there.

    Parameters
    ----------
    model
        What each run begins with: gguf:smollm2, or a folder of Hugging Face.
    data
        With completions and domains.
    validate
        Held-out examples, on whose completions the loss is taken, domain by domain.
    out
        The run's folder.
    budget_tokens
        Of all runs together, those of the predicted best included: 2e6.
    runs
        How many before the predicted best.
    centre
        Seeds with all domains alike, which say how much is chance.
    confirm
        Seeds of the predicted best.
    corner
        alone or doubled: what is tried of each domain besides leaving it out.
    levels
        Sizes of runs as shares of a whole one, with commas: 1,0.5. The law then has a power of the tokens.
    target
        mean or worst, over scored domains; or weights of a mean: sums=2,dates=1.
    least
        The least weight: a number for all domains, or sums=0.1,dates=0.2.
    most
        The most weight, likewise.
    batch
        Examples of a step.
    learning_rate
        At the start of a run.
    max_tokens
        Of an example.
    confidence
        Of intervals.
    workers
        Runs at a time, each in a process of its own.
    ray
        Make the runs in tasks of Ray.
    """
    from palaestra.learn.backbone import backbone_folder
    from palaestra.posttrain.mixture.small_run import SmallRun

    weights = {} if target in {"mean", "worst"} else _named(target, "--target")
    from palaestra.posttrain.mixture.experiment import MixtureConfig

    config = checked_config(
        MixtureConfig, budget_tokens=budget_tokens, runs=runs, centre=centre, confirm=confirm, corner=corner,
        levels=_numbers(levels), target="mean" if weights else target, target_weights=weights,
        least=_named(least, "--least"), most=_named(most, "--most"), confidence=confidence, seed=seed,
    )  # fmt: skip
    if html is not None:
        from palaestra.pictures.page import checked_path

        checked_path(html)
    backbone_folder(model)
    trial = SmallRun(model, str(data), str(validate), batch, learning_rate, max_tokens)
    said = {"model": model, "batch": batch, "learning_rate": learning_rate, "max_tokens": max_tokens}
    domains = _domains(data, validate, config)
    found = _run(trial, domains, config, out, said, inputs=(data, validate), how=(workers, ray), whether=again(
        resume=resume, overwrite=overwrite
    ), html=html)  # fmt: skip
    _give(found, out, json)


def _domains(examples: Path, validate: Path, config: MixtureConfig) -> tuple[str, ...]:
    """What is mixed; all that can be refused is refused before a folder is made."""
    from palaestra.posttrain.examples import read_examples
    from palaestra.posttrain.mixture.best import target_of

    domains = tuple(read_examples(examples, completed=True).domains)
    scored = tuple(read_examples(validate, completed=True).domains)
    config.design(domains)
    config.bounds(domains)
    target_of(config.measure, config.target, config.target_weights, scored)
    return domains


def _run(
    trial: Trial,
    domains: tuple[str, ...],
    config: MixtureConfig,
    out: Path,
    said: Mapping[str, object],
    *,
    inputs: tuple[Path, ...],
    how: tuple[int, bool],
    whether: Again,
    html: Path | None,
) -> Mixture:
    from palaestra.posttrain.mixture.experiment import run_mixture
    from palaestra.posttrain.mixture.page import write_mixture_page
    from palaestra.posttrain.mixture.report import card, metrics
    from palaestra.store.runs import RunFolder

    recorded = {**said, **config.model_dump(mode="json")}
    folder = RunFolder(out, "train mixture", recorded, inputs=inputs, seed=config.seed, again=whether)
    with folder.running():
        with StageBars() as bars:
            found = run_mixture(trial, domains, config, folder.path, workers=how[0], ray=how[1], tell=bars)
        _write(found, folder.path)
        if html is not None:
            write_mixture_page(html, out.name, found)
        folder.finish(metrics(found), [], card(found, out.name))
    return found


def _write(found: Mixture, folder: Path) -> None:
    from palaestra.posttrain.mixture.report import told

    console.write_json(told(found), str(folder / "mixture.json"))


def _give(found: Mixture, out: Path, json: str | None) -> None:
    from palaestra.posttrain.mixture.report import headline, lines, told

    table = Table("measured", "", caption=headline(found))
    for label, words in lines(found):
        table.add_row(label, words)
    console.give({"folder": str(out), **told(found)}, json, table, effects_table(found))
    for one in found.failed:
        console.warn(f"{one.run.id} failed: {one.outcome.error}")
    for line in found.plan.left_out:
        console.note(f"left out of the design: {line}")


def effects_table(found: Mixture) -> Table:
    """How much worse each scored domain is without each other; `?` where that may be nought."""
    table = Table(
        "left out", *found.runs.scored, caption="how much worse without it, at equal tokens; ?: may be nought"
    )
    sure_DS = found.effects.sure_DS()
    for row, domain in enumerate(found.runs.domains):
        cells = zip(found.effects.value_DS[row], sure_DS[row], strict=True)
        table.add_row(domain, *(f"{value:+.3g}{'' if sure else '?'}" for value, sure in cells))
    return table


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise InputError(f"--levels: found {text!r}, expected numbers with commas: 1,0.5") from error


def _named(text: str, flag: str) -> dict[str, float]:
    """A number for all, or name=number with commas."""
    found: dict[str, float] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, marked, number = part.rpartition("=")
        try:
            found[name if marked else "*"] = float(number)
        except ValueError as error:
            raise InputError(f"{flag}: found {part!r}, expected a number, or name=number with commas") from error
    return found
