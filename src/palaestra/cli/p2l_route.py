"""`palaestra p2l route`: which model each prompt of a file is best sent to, and what quality costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import HtmlTarget, JsonTarget
from palaestra.errors import InputError
from palaestra.p2l.router import RouterConfig, Routing, load_router

if TYPE_CHECKING:
    from palaestra.p2l.curve import Curve

Config = Annotated[RouterConfig, Parameter(name="*")]
Only = Annotated[list[str] | None, Parameter(name="--only", help="A model that may be taken; repeat it.", negative=())]
Yes = Annotated[bool, Parameter(negative=())]

_SHOWN = 20


def route(
    model: Path,
    prompts: str,
    *,
    models: Path = Path("models.toml"),
    config: Config | None = None,
    total: float | None = None,
    whole: Yes = False,
    outcomes: Yes = False,
    usage: str | None = None,
    opponents: str | None = None,
    only: Only = None,
    json: JsonTarget = None,
    html: HtmlTarget = None,
) -> None:
    """Decide for every prompt of a file which model, or which two by chance, answer it best for the money.

    Parameters
    ----------
    model
        The folder of a trained model.
    prompts
        A file of prompts; with --outcomes a table of one row a prompt, and a column of right or wrong for each model.
    models
        Endpoints and prices of the models.
    total
        One budget for all prompts together, spent where it does most; instead of --budget.
    whole
        Leave nothing to chance: round mixtures down to the cheaper model, so that no draw exceeds the budget.
    outcomes
        Also say what quality came out, against blind mixtures at the same cost.
    usage
        How long answers are: a table with model and output_tokens, or an arena's database.
    opponents
        Votes; models are compared with others as often as those stand in them. Else with all alike.
    """
    from palaestra.p2l.curve import curve, has_room, outcomes_of
    from palaestra.store.prompted_votes import read_prompted_votes
    from palaestra.store.prompts import read_prompts

    config = config or RouterConfig()
    if total is not None and (config.budget is not None or config.price is not None):
        raise InputError("found --total beside --budget or --price, expected one of them")
    router = load_router(model, models, config, usage=usage, opponents=opponents, only=only or ())
    for note in router.notes:
        console.warn(note)
    votes = read_prompted_votes(prompts) if outcomes else None
    texts = list(votes.prompts) if votes is not None else ["\n\n".join(one.turns) for one in read_prompts(prompts)]
    quality_PM = None if votes is None else outcomes_of(votes, router.models)
    outlook = router.outlook(texts)
    routing = router.route(outlook, total=total)
    if whole:
        routing = router.whole(routing, total)
    drawn = curve(outlook, router.models, quality_PM) if has_room(outlook, quality_PM) else None
    if html is not None:
        from palaestra.p2l.routing_page import write_routing_page

        write_routing_page(html, f"Routing of {Path(prompts).name}", routing, texts, drawn)
        console.note(f"The report is in {html}")
    console.give(_as_json(routing, texts, drawn, quality_PM), json, _table(routing, texts))


def _as_json(routing: Routing, prompts: list[str], drawn: Curve | None, quality_PM: Any) -> dict[str, Any]:  # noqa: ANN401 - an array or none
    one = routing.mixtures
    rows = [
        {
            "prompt": text,
            "chances": routing.chances(place),
            "reason": routing.reason_P[place],
            "expected_score": float(one.value_P[place]),
            "expected_cost": float(one.cost_P[place]),
            "strength": float(routing.strength_P[place]),
        }
        for place, text in enumerate(prompts)
    ]
    realised = None
    if quality_PM is not None:
        realised = float((one.chances(len(routing.models)) * quality_PM).sum(axis=1).mean())
    return {
        "schema": "palaestra.routing/1",
        "prompts": rows,
        "expected_score": float(one.value_P.mean()),
        "expected_cost": float(one.cost_P.sum()),
        "realised_quality": realised,
        "price": routing.price,
        "curve": None if drawn is None else drawn.to_dict(),
    }


def _table(routing: Routing, prompts: list[str]) -> Table:
    from palaestra.p2l.routing_page import summary

    one = routing.mixtures
    table = Table("prompt", "sent to", "expected score", "cost", "reason", caption=summary(routing))
    for place, text in enumerate(prompts[:_SHOWN]):
        sent = " or ".join(f"{name} {chance:.0%}" for name, chance in routing.chances(place).items())
        line = " ".join(text.split())[:60]
        table.add_row(line, sent, f"{one.value_P[place]:.3f}", f"{one.cost_P[place]:.3g}", routing.reason_P[place])
    if len(prompts) > _SHOWN:
        table.add_row(f"and {len(prompts) - _SHOWN} more: --json - has them all", "", "", "", "")
    return table
