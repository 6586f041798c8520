"""`palaestra judge alpaca` and `palaestra judge grades`: boards from the files of AlpacaEval and of MT-Bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import HtmlTarget, JsonTarget
from palaestra.judge.alpaca_board import AlpacaBoard, AlpacaConfig
from palaestra.judge.grade_board import GradeBoard, GradesConfig, MeanScore

Alpaca = Annotated[AlpacaConfig, Parameter(name="*")]
Grades = Annotated[GradesConfig, Parameter(name="*")]


def alpaca(annotations: str, *, config: Alpaca | None = None, json: JsonTarget = None, html: HtmlTarget = None) -> None:
    """AlpacaEval annotations into win rates, as they are and at equal length.

    Parameters
    ----------
    annotations
        JSON, JSON lines, CSV or Parquet, also .gz or .zst: instruction_id or instruction, generator_1 (the baseline),
        generator_2, annotator, preference from 1 to 2, and output_1 and output_2 or len_1 and len_2.
    """
    from palaestra.judge.alpaca_board import alpaca_boards

    boards = alpaca_boards(Path(annotations), config)
    if html is not None:
        from palaestra.judge.alpaca_report import write_alpaca_report

        write_alpaca_report(html, boards, title=f"Win rates in {Path(annotations).name}")
        console.note(f"The report is in {html}")
    if json is not None:
        console.write_json({"boards": [board.to_dict() for board in boards]}, json)
    for board in boards:
        if json is None:
            console.show(_alpaca_table(board))
        for warning in board.warnings:
            console.warn(f"{board.annotator} against {board.baseline}: {warning}")


def grades(file: str, *, questions: Path | None = None, config: Grades | None = None, json: JsonTarget = None) -> None:
    """Grades of single answers into mean scores, by turn and category.

    Parameters
    ----------
    file
        A run that graded, or a file or a folder of files of MT-Bench: question_id, model, judge, turn, score 1 to 10.
    questions
        The questions that were graded, for their categories: question.jsonl.
    """
    from palaestra.judge.grade_board import grade_boards
    from palaestra.store.prompts import read_prompts

    asked = read_prompts(questions, identified=True) if questions is not None else ()
    boards = grade_boards(Path(file), questions=asked, config=config)
    if json is not None:
        console.write_json({"boards": [board.to_dict() for board in boards]}, json)
    for board in boards:
        if json is None:
            console.show(_grades_table(board))
        for warning in board.warnings:
            console.warn(f"{board.judge}: {warning}")


def _alpaca_table(board: AlpacaBoard) -> Table:
    from palaestra.judge.alpaca_report import cells_of

    headings = ("model", "win rate", "se", "LC win rate", "interval", "n", "unread", "length", "length's weight")
    ends = f"{100 * board.settings.confidence:g}% intervals by a bootstrap over instructions; "
    told = any(line.lc_lower is not None for line in board.models)
    table = Table(
        *headings,
        title=f"{board.annotator}, against {board.baseline}",
        caption=f"per cent; {ends if told else ''}{board.instructions} instructions; lengths in characters",
    )
    _to_the_right(table)
    for line in board.models:
        table.add_row(*cells_of(line))
    return table


def _grades_table(board: GradeBoard) -> Table:
    turns = [f"turn {turn}" for turn in board.turns]
    table = Table(
        *("model", "score", "interval", *turns, *board.categories, "grades", "unparsed"),
        title=f"Grades by {board.judge}",
        caption=f"means of 1 to 10; {100 * board.settings.confidence:g}% intervals, clustered by question",
    )
    _to_the_right(table)
    for line in board.models:
        table.add_row(
            line.model,
            _score(line.overall),
            _ends(line.overall),
            *(_score(line.turns.get(turn)) for turn in board.turns),
            *(_score(line.categories.get(category)) for category in board.categories),
            f"{line.overall.grades if line.overall else 0}",
            f"{line.unparsed or ''}",
        )
    return table


def _to_the_right(table: Table) -> None:
    for column in table.columns[1:]:
        column.justify = "right"


def _score(mean: MeanScore | None) -> str:
    return "" if mean is None else f"{mean.score:.2f}"


def _ends(mean: MeanScore | None) -> str:
    return "" if mean is None or mean.lower is None else f"{mean.lower:.2f} to {mean.upper:.2f}"
