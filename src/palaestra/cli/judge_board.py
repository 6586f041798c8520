"""`palaestra judge board`: verdicts become a leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import HtmlTarget, JsonTarget
from palaestra.errors import InputError
from palaestra.ranking import FitConfig

if TYPE_CHECKING:
    import polars as pl

    from palaestra.recipes.verdict_board import VerdictBoard

Config = Annotated[FitConfig, Parameter(name="*")]


def board(
    verdicts: Path,
    *,
    config: Config | None = None,
    baseline: str | None = None,
    category: str | None = None,
    judge: str | None = None,
    strong: Annotated[float, Parameter(validator=validators.Number(gte=1))] = 1.0,
    by_preference: Annotated[bool, Parameter(negative=())] = False,
    answers: Path | None = None,
    models: Path = Path("models.toml"),
    stability: Annotated[bool, Parameter(negative=())] = False,
    json: JsonTarget = None,
    html: HtmlTarget = None,
) -> None:
    """Rank the models of verdicts, with scores as Arena-Hard prints them; intervals are clustered by question.

    Parameters
    ----------
    verdicts
        A run's folder, judgment files of Arena-Hard, or a table with question_id, model, game1, game2.
    baseline
        Whom scores are against; needed where the file does not name it. A run's own, if it has one; else all others.
    category
        Only questions of this category.
    judge
        Only verdicts of this judge.
    strong
        As how many votes a strong verdict counts; Arena-Hard's published boards take 3.
    by_preference
        Take shares of votes from the judge's probabilities, where it gave any.
    answers
        The answers that were judged, for style: files or a folder, or a table with question_id, model, length,
        header, list, bold. A run's own, if it is one.
    models
        Organisations of models and judges, for the covariates own_organization and same_organization.
    stability
        Leave each model out once, and say how far the others move.
    """
    from palaestra.judge.verdict_files import read_verdicts
    from palaestra.recipes.verdict_board import board_of_verdicts

    config = config or FitConfig()
    against = baseline or _own_baseline(verdicts, category)
    frame = _only(read_verdicts(verdicts, baseline), category=category, judge=judge)
    found = board_of_verdicts(
        frame,
        config,
        baseline=against if against is not None or _is_run(verdicts) else _single_baseline(frame),
        strong=strong,
        by_preference=by_preference,
        counts=_counts(answers or verdicts / "answers") if config.style else None,
        organizations=_organizations(models),
        stability=stability or html is not None,
    )
    if html is not None:
        from palaestra.recipes.verdict_report import write_verdict_report

        write_verdict_report(html, found, f"Verdicts of {verdicts.name}")
        console.note(f"The report is in {html}")
    if json is not None:
        console.write_json(found.to_dict(), json)
    else:
        console.show(_table(found))
        if found.board.effects:
            from palaestra.cli.rank import effects_table

            console.show(effects_table(found.board))
    if found.unread:
        console.warn(f"{found.unread} of {found.games} games have no verdict that can be read; they count for nobody")
    for warning in (*found.notes, *found.board.warnings):
        console.warn(warning)


def _only(frame: pl.DataFrame, *, category: str | None, judge: str | None) -> pl.DataFrame:
    import polars as pl

    for column, wanted in (("category", category), ("judge", judge)):
        if wanted is not None:
            there = frame[column].drop_nulls().unique().sort().to_list()
            if wanted not in there:
                raise InputError(f"found the {column} {wanted!r}, expected one of {', '.join(there) or 'none'}")
            frame = frame.filter(pl.col(column) == wanted)
    return frame


def _is_run(path: Path) -> bool:
    return (path / "run.json").is_file()


def _own_baseline(path: Path, category: str | None) -> str | None:
    """The one that a run was planned with; None where there are several, or none."""
    if not _is_run(path):
        return None
    from palaestra.judge.config import planned_baseline
    from palaestra.store.runs import read_run

    return planned_baseline(read_run(path).config, category)


def _single_baseline(frame: pl.DataFrame) -> str | None:
    """The model that stands in every game, if there is one."""
    first = frame.row(0, named=True)
    for name in (first["model_a"], first["model_b"]):
        if ((frame["model_a"] == name) | (frame["model_b"] == name)).all():
            return name
    return None


def _counts(path: Path) -> pl.DataFrame:
    from palaestra.judge.answer_style import read_counted_answers

    if not path.exists():
        raise InputError(f"style is counted in the answers, and there are none in {path}: give --answers PATH")
    return read_counted_answers(path)


def _organizations(models: Path) -> dict[str, str]:
    if not models.is_file():
        return {}
    from palaestra.gateway import load_models

    return {spec.name: spec.organization for spec in load_models(models) if spec.organization}


def _table(found: VerdictBoard) -> Table:
    against = f"against {found.baseline}" if found.baseline else "against all others"
    heads = ["rank", "surely", "model", "score, %", "interval", "rating", "votes"]
    heads += ["strong once"] * bool(found.single) + ["moves others"] * bool(found.moves)
    settings = found.board.settings
    twice = f"; strong verdicts count {found.strong:g} times" if found.strong != 1 else ""
    caption = f"scores {against}; {settings['confidence']:.0%} intervals clustered by {settings['cluster']}{twice}"
    table = Table(*heads, caption=caption)
    for column in table.columns:
        column.justify = "left" if column.header == "model" else "right"
    for line in found.board.models:
        one = found.scores.get(line.model)
        ranks = f"{line.rank_lower}-{line.rank_upper}" if line.rank_lower != line.rank_upper else f"{line.rank_lower}"
        sure = f"{line.rank_simultaneous_lower}-{line.rank_simultaneous_upper}" if line.rank_simultaneous_lower else ""
        cells = ["none", ""]
        if one is not None:
            cells = [f"{one.score:.1f}", f"{one.upper - one.score:+.1f} / {one.lower - one.score:.1f}"]
        cells += [f"{line.rating:.0f}", f"{line.votes:g}"]
        if found.single:
            cells.append("" if one is None else f"{found.single[line.model]:.1f}")
        if found.moves:
            moved = found.moves.get(line.model)
            cells.append("" if moved is None else f"{moved:.2f}")
        table.add_row(ranks, sure, line.model, *cells)
    return table
