"""`palaestra p2l board`: the leaderboard of a prompt, of a file of prompts, or of what one person asks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import HtmlTarget, JsonTarget
from palaestra.errors import InputError
from palaestra.schema import Leaderboard


def board(
    model: Path,
    *,
    prompt: Annotated[list[str] | None, Parameter(negative=())] = None,
    prompts: Path | None = None,
    person: str | None = None,
    votes: str | None = None,
    models: Path | None = None,
    confidence: Annotated[float, Parameter(validator=validators.Number(gt=0, lt=1))] = 0.95,
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    json: JsonTarget = None,
    html: HtmlTarget = None,
) -> None:
    """Draw the leaderboard of prompts: who is best at just these.

    Parameters
    ----------
    model
        What `palaestra p2l train` wrote.
    prompt
        A prompt; may be repeated, and is then a set.
    prompts
        A file of prompts.
    person
        A voter of --votes: the board is that of the prompts on which the voter voted.
    votes
        Votes with their prompts and voters, for --person.
    models
        A models.toml with the endpoint that makes vectors, if that is not local.
    confidence
        Of the intervals.
    """
    from palaestra.gateway import load_models
    from palaestra.p2l.leaderboard import leaderboard
    from palaestra.p2l.model import load_prompt_boards
    from palaestra.pictures.page import checked_path

    if html is not None:
        checked_path(html)
    texts, weights, named = _asked(prompt, prompts, person, votes)
    boards = load_prompt_boards(model, load_models(models) if models is not None else ())
    found = leaderboard(boards, texts, weight_P=weights, category=named, confidence=confidence, seed=seed)
    if html is not None:
        from palaestra.p2l.report import write_board_page

        write_board_page(html, boards, texts, found)
        console.note(f"The page is in {html}")
    console.give(found.to_dict(), json, _table(found))
    for warning in found.warnings:
        console.warn(warning)


def _asked(
    prompt: list[str] | None, prompts: Path | None, person: str | None, votes: str | None
) -> tuple[list[str], list[float] | None, str]:
    """The prompts, what each counts, and what the board is called."""
    if sum(given is not None for given in (prompt, prompts, person)) != 1:
        raise InputError("expected one of --prompt TEXT, --prompts FILE, and --person VOTER with --votes FILE")
    if (person is None) != (votes is None):
        raise InputError("expected --person VOTER together with --votes FILE")
    if prompt is not None:
        return prompt, None, "prompt" if len(prompt) == 1 else "prompts"
    if prompts is not None:
        from palaestra.store.prompts import read_prompts

        return [one.text for one in read_prompts(prompts)], None, prompts.stem
    from palaestra.p2l.person import prompts_of
    from palaestra.store.prompted_votes import read_prompted_votes

    texts, weights = prompts_of(read_prompted_votes(str(votes)), str(person))
    return texts, weights, str(person)


def _table(found: Leaderboard) -> Table:
    prompts = int(str(found.settings["prompts"]))
    caption = f"{prompts:,} prompt{'s' * (prompts != 1)}, {found.settings['kind']}"
    if found.usable is not None:
        caption += f"; a usable answer begins at {found.usable.rating:.0f}"
    table = Table("rank", "model", "rating", "interval", "ranks", "votes on all prompts", caption=caption)
    for column in table.columns:
        column.justify = "left" if column.header == "model" else "right"
    for line in found.models:
        interval = f"{line.lower:.0f} to {line.upper:.0f}" if line.se else ""
        ranks = f"{line.rank_lower}-{line.rank_upper}" if line.se else ""
        table.add_row(f"{line.rank}", line.model, f"{line.rating:.0f}", interval, ranks, f"{line.votes:,.0f}")
    return table
