"""`palaestra train tools`: tasks with tools that run, a model's trajectories, and what of them is worth learning."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import HtmlTarget, JsonTarget, Overwrite, Resume, again
from palaestra.cli.stage_bars import StageBars
from palaestra.errors import InputError
from palaestra.posttrain.tooluse.make import ToolsConfig

if TYPE_CHECKING:
    from palaestra.posttrain.tooluse.make import Made
    from palaestra.posttrain.tooluse.report import Report
    from palaestra.posttrain.tooluse.rollouts import Model
    from palaestra.posttrain.tooluse.solvers import Endpoint, Local
    from palaestra.schema import ModelSpec

How = Annotated[ToolsConfig, Parameter(name="*")]

_SCRIPTED = "scripted"
_SHOWN = 12
_HEADS = ("tasks", "success", "economical", "calls that ran", "calls as known")


def tools(
    *,
    out: Path,
    model: str = _SCRIPTED,
    corpus: Path | None = None,
    models: Path = Path("models.toml"),
    config: How | None = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    json: JsonTarget = None,
    html: HtmlTarget = None,
) -> None:
    """Make tool-use data. The run's folder holds it in `sft`, `sft-text`, `rl`, `heldout` and `negatives`.

    Parameters
    ----------
    out
        The run's folder.
    model
        Whose trajectories: a model of models.toml, a folder of Hugging Face, gguf:smollm2, or scripted, which knows
        the solutions.
    corpus
        A folder of .txt and .md files for the questions of --research; made-up documents if left out.
    models
        The models.toml.
    config
        What is made.
    """
    from palaestra.posttrain.tooluse.make import make, plan, write
    from palaestra.posttrain.tooluse.report import card, report, run_card, said, sample_line, samples
    from palaestra.store.runs import RunFolder

    whether = again(resume=resume, overwrite=overwrite)
    config = config or ToolsConfig()
    if corpus is not None and not config.research:
        raise InputError("found --corpus without --research, expected how many questions are asked over it")
    if html is not None:
        from palaestra.pictures.page import checked_path

        checked_path(html)
    spec = _spec(model, models)
    recorded = {"model": model, "corpus": None if corpus is None else str(corpus), **config.model_dump(mode="json")}
    local = spec is None and model != _SCRIPTED
    inputs = [path for path in (corpus, Path(model) if local else None) if path is not None and path.exists()]
    with StageBars() as bars, ExitStack() as open_:
        found = plan(config, corpus, bars)
        folder = RunFolder(out, "train tools", recorded, inputs=inputs, seed=config.seed, again=whether)
        open_.enter_context(folder.running())
        who, paid = _model(model, spec, config, out, open_)
        made = make(found, who, config, bars)
        counted = report(made)
        write(out, made, lambda name, count: card(name, count, made, config, model))
        lines = [sample_line(one) for one in samples(made, _SHOWN)]
        folder.finish(_metrics(counted, made, paid), lines, run_card(out.name, counted, made, model))
    if html is not None:
        _page(html, out.name, counted, made, model)
    sizes = _sizes(made)
    told = {"schema": "palaestra.tools/1", "folder": str(out), "model": model, "examples": sizes, **said(counted)}
    console.give({**told, **_paid(paid)}, json, _table(counted))
    console.note(", ".join(f"{count:,} in {out / name}" for name, count in sizes.items()))


def _spec(model: str, models: Path) -> ModelSpec | None:
    """The endpoint of this name; None for the script and for a model on this machine.

    Raises:
        InputError: it is none of them.
    """
    from palaestra.learn.backbone import GGUF

    if model in {_SCRIPTED, GGUF} or (Path(model) / "config.json").is_file():
        return None
    specs: tuple[ModelSpec, ...] = ()
    if models.is_file():
        from palaestra.gateway import load_models

        specs = load_models(models)
    found = next((spec for spec in specs if spec.name == model), None)
    if found is None:
        known = ", ".join((_SCRIPTED, GGUF, *(spec.name for spec in specs)))
        raise InputError(f"found the model {model!r}, expected a folder with a config.json, or one of {known}")
    return found


def _model(
    name: str, spec: ModelSpec | None, config: ToolsConfig, out: Path, open_: ExitStack
) -> tuple[Model, Endpoint | Local | None]:
    from palaestra.posttrain.tooluse.solvers import Endpoint, Local, Scripted

    if name == _SCRIPTED:
        return Scripted(), None
    how: dict[str, Any] = {"max_tokens": config.max_tokens, "temperature": config.temperature, "seed": config.seed}
    if spec is not None:
        who = open_.enter_context(Endpoint(spec, book=out / "calls.db", say=console.note, **how))
    else:
        who = open_.enter_context(Local(name, kept=out / "replies.jsonl", **how))
    return who, who


def _sizes(made: Made) -> dict[str, int]:
    return {
        "sft": len(made.sft), "rl": len(made.rl), "heldout": len(made.held_out), "negatives": len(made.negatives),
    }  # fmt: skip


def _paid(who: Endpoint | Local | None) -> dict[str, float]:
    if who is None or who.tally is None:
        return {}
    tally = who.tally
    return {
        "calls_paid": tally.paid, "calls_known": tally.known, "calls_failed": sum(tally.failed.values()),
        "input_tokens": tally.input_tokens, "output_tokens": tally.output_tokens, "cost": tally.cost,
    }  # fmt: skip


def _metrics(counted: Report, made: Made, who: Endpoint | Local | None) -> dict[str, float]:
    each = {f"success/{one.group}": one.success.value for one in counted.worlds}
    both = {"success": counted.overall.success.value, "economical": counted.overall.economical.value}
    return {**{f"examples/{name}": count for name, count in _sizes(made).items()}, **both, **each, **_paid(who)}


def _table(counted: Report) -> Table:
    from palaestra.posttrain.tooluse.report import cells

    table = Table("", *_HEADS, caption="intervals (95 %) are over tasks")
    for column in table.columns[1:]:
        column.justify = "right"
    for one in (counted.overall, *counted.worlds):
        table.add_row(*cells(one))
    table.add_section()
    for one in counted.calls:
        words = "no tool can" if one.group == "0" else f"fewest calls: {one.group}"
        table.add_row(words, *cells(one)[1:])
    return table


def _page(path: Path, name: str, counted: Report, made: Made, model: str) -> None:
    from palaestra.pictures.page import whole_page, write_page
    from palaestra.posttrain.tooluse.report import page_body

    write_page(path, whole_page(name, page_body(counted, made, model)))
