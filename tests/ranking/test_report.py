"""Pictures and the report: they show the board's numbers, say what they leave out, and no name is ever markup."""

from __future__ import annotations

import json
import re
import struct
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from html import escape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from worlds import davidson_votes

from palaestra.errors import InputError, MissingPartError
from palaestra.pictures.palette import DARK, DIVERGING, INK, MANY, ON_STRONG, RISING, SHEET, SOFT, STRONG
from palaestra.ranking import Board, fit, fit_categories
from palaestra.ranking.charts import (
    KINDS,
    PairCounts,
    battles_chart,
    calibration_chart,
    categories_chart,
    draw,
    effects_chart,
    history_chart,
    ratings_chart,
    save_chart,
    win_rate_chart,
)
from palaestra.ranking.report import board_table, verdict, write_report

LLMFAO = Path(__file__).parent.parent / "data" / "llmfao.csv"
HOSTILE = ["</script><script>alert(1)</script>", "[/b] 'single' & class=\"clip1\"", "<img src=x onerror=alert(2)>"]


@pytest.fixture(scope="module")
def hostile() -> Board:
    """Five models, three with names that would be markup; an effect, a line of usable answers, a newcomer."""
    votes = davidson_votes(np.array([0.8, 0.3, 0.0, -0.6]), 3000, np.random.default_rng(0), style=0.4)
    names = dict(zip(("m000", "m001", "m002"), HOSTILE, strict=True))
    new = [{"model_a": "new", "model_b": "m003", "winner": winner, "x": 0.1} for winner in ("model_a", "model_b") * 3]
    votes = pl.concat([votes, pl.DataFrame(new).select(votes.columns)])
    return fit(votes.with_columns(pl.col("model_a", "model_b").replace(names)), covariates=["x"], ties="grounded")


@pytest.fixture(scope="module")
def crowd() -> Board:
    """150 models."""
    rng = np.random.default_rng(1)
    return fit(davidson_votes(rng.normal(0, 0.6, 150), 60_000, rng))


def history_of(models: int, days: int) -> pl.DataFrame:
    first = datetime(2026, 1, 1)  # noqa: DTZ001 - a date
    return pl.DataFrame(
        {"date": first + timedelta(days=day), "model": f"m{m}", "rating": 1e3 - m, "lower": 990.0 - m, "upper": 1e3}
        for day in range(days)
        for m in range(models)
    )


def layers(spec: dict[str, Any], data: dict[str, Any] | None = None) -> Iterator[tuple[dict[str, Any], list[dict]]]:
    """Each layer of a chart with its rows."""
    data = spec.get("data", data)
    if "layer" in spec:
        for layer in spec["layer"]:
            yield from layers(layer, data)
    else:
        assert data is not None
        yield spec, data["values"]


def rows_with(chart: Any, field: str) -> list[dict[str, Any]]:
    return next(rows for _, rows in layers(chart.to_dict()) if field in rows[0])


def test_every_picture_shows_columns_that_its_rows_have(hostile: Board) -> None:
    drawn: list[Any] = [draw(hostile, kind) for kind in KINDS]
    drawn += [categories_chart({"overall": hostile, "hard_prompts": hostile}), history_chart(history_of(3, 4))]
    for chart in drawn:
        for layer, rows in layers(chart.to_dict()):
            for channel, encoding in layer["encoding"].items():
                if isinstance(encoding, dict) and "field" in encoding:
                    assert all(encoding["field"] in row for row in rows), (layer, channel)
                scale = encoding.get("scale") if isinstance(encoding, dict) else None
                if scale and encoding.get("type") == "nominal" and channel in {"x", "y"}:
                    assert {row[encoding["field"]] for row in rows} <= set(scale["domain"])


def test_the_axis_of_ratings_holds_what_is_known_and_no_more(hostile: Board, crowd: Board) -> None:
    for board in (hostile, crowd):
        shown = board.models[:40]
        firm = [line for line in shown if not line.preliminary]
        domains = [layer["encoding"]["x"]["scale"] for layer, _ in layers(ratings_chart(board).to_dict())]
        assert all(scale == domains[0] for scale in domains)
        low, high = domains[0]["domain"]
        level = [] if board.usable is None else [board.usable.rating]
        lowest = min([*(line.lower for line in firm), *(line.rating for line in shown), *level])
        highest = max([*(line.upper for line in firm), *(line.rating for line in shown), *level])
        assert low < lowest
        assert high > highest
        assert high - low == pytest.approx(1.08 * (highest - lowest))
        squeezing = [line for line in shown if line.preliminary and (line.lower < low or line.upper > high)]
        assert bool(squeezing) == (board is hostile)


def test_pictures_of_many_models_say_how_many_they_leave_out(crowd: Board) -> None:
    for kind, shown in (("ratings", 40), ("ranks", 40), ("wins", 30), ("observed", 30), ("battles", 30)):
        chart: Any = draw(crowd, kind)
        assert f"{shown} of 150 models" in " ".join(chart.title["subtitle"]), kind
        assert len({row.get("model", row.get("row")) for row in next(layers(chart.to_dict()))[1]}) == shown


def test_win_rates_of_a_pair_add_up_and_observed_ones_are_those_of_decided_votes() -> None:
    board = fit(LLMFAO)
    foretold = {(row["row"], row["column"]): row["value"] for row in rows_with(win_rate_chart(board), "row")}
    assert len(foretold) == 30 * 29
    assert all(value + foretold[pair[::-1]] == pytest.approx(1, abs=2e-6) for pair, value in foretold.items())
    ratings = {line.model: line.rating for line in board.models}
    a, b = board.models[0].model, board.models[7].model
    assert foretold[a, b] == pytest.approx(1 / (1 + 10 ** ((ratings[b] - ratings[a]) / 400)), abs=1e-6)
    votes = pl.read_csv(LLMFAO).filter(pl.col("winner").is_in(["model_a", "model_b"]))
    counted: dict[tuple[str, str], list[int]] = {}
    for first, second, winner in votes.select("model_a", "model_b", "winner").iter_rows():
        for pair, won in (((first, second), winner == "model_a"), ((second, first), winner == "model_b")):
            counted.setdefault(pair, []).append(won)
    top = {line.model for line in board.models[:30]}
    expected = {pair: sum(won) / len(won) for pair, won in counted.items() if set(pair) <= top}
    observed = {(row["row"], row["column"]): row["value"] for row in rows_with(draw(board, "observed"), "row")}
    assert observed == pytest.approx(expected, abs=1e-6)


def test_battles_are_counted_once_for_each_side(hostile: Board) -> None:
    rows = rows_with(draw(hostile, "battles"), "row")
    votes = {line.model: 0.0 for line in hostile.models}
    for row in rows:
        votes[row["row"]] += row["value"]
    assert votes == {line.model: line.votes for line in hostile.models}
    few = PairCounts(("a", "b"), np.array([[0.0, 7], [0, 0]]), np.zeros((2, 2)))
    assert [row["text"] for row in rows_with(battles_chart(few), "row")] == ["7", "7"]
    with pytest.raises(InputError, match="without votes"):
        battles_chart(PairCounts((), *np.zeros((2, 0, 0))))
    with pytest.raises(InputError, match="no counts of"):
        win_rate_chart(hostile, few)


def test_effects_are_in_elo_as_on_the_board(hostile: Board) -> None:
    (row,) = rows_with(effects_chart(hostile), "elo")
    (effect,) = hostile.effects
    assert row["elo"] == effect.elo
    assert row["lower"] / row["elo"] == pytest.approx(effect.lower / effect.coefficient)
    assert row["upper"] / row["elo"] == pytest.approx(effect.upper / effect.coefficient)


def test_what_a_board_has_not_is_refused_in_words(crowd: Board) -> None:
    empty = fit(pl.DataFrame(schema={"model_a": pl.String, "model_b": pl.String, "winner": pl.String}))
    with pytest.raises(InputError, match="without effects"):
        effects_chart(crowd)
    with pytest.raises(InputError, match="without held-out votes"):
        calibration_chart(empty)
    with pytest.raises(InputError, match="without models"):
        ratings_chart(empty)
    with pytest.raises(InputError, match="no board"):
        categories_chart({})
    with pytest.raises(InputError, match="'pie', expected one of ratings"):
        crowd.plot("pie")
    with pytest.raises(InputError, match="does not know its votes"):
        draw(Board.model_validate(crowd.model_dump()), "battles")
    with pytest.raises(InputError, match="without upper"):
        history_chart(history_of(2, 2).drop("upper"))


def test_names_beside_lines_do_not_overlap_and_a_long_history_is_drawn() -> None:
    spec = history_chart(history_of(9, 700)).to_dict()
    ends = next(rows for layer, rows in layers(spec) if layer["mark"]["type"] == "text")
    assert len(ends) == 8
    places = [row["at"] for row in ends]
    assert np.diff(places).max() <= -0.9 * 15 * 17 / 320  # 17 Elo on 320 pixels
    assert [row["model"] for row in ends] == [f"m{m}" for m in range(8)]


def test_pictures_are_written_by_their_suffix_and_no_name_is_markup(hostile: Board, tmp_path: Path) -> None:
    chart = ratings_chart(hostile)
    for suffix in ("svg", "png", "html", "json"):
        save_chart(chart, tmp_path / f"chart.{suffix}")
        again = tmp_path / f"again.{suffix}"
        save_chart(ratings_chart(hostile), again)
        assert again.read_bytes() == (tmp_path / f"chart.{suffix}").read_bytes(), "the same chart, the same bytes"
        again.unlink()
    svg, page = ((tmp_path / f"chart.{suffix}").read_text() for suffix in ("svg", "html"))
    size = [float(value) for value in re.findall(r'(?:width|height)="([\d.]+)"', svg)[:2]]
    assert list(struct.unpack(">2I", (tmp_path / "chart.png").read_bytes()[16:24])) == pytest.approx(
        [2 * side for side in size], abs=2
    )
    assert json.loads((tmp_path / "chart.json").read_text())["title"]["text"] == "Ratings"
    for text in (svg, page):
        assert "<script>alert" not in text
        assert HOSTILE[2] not in text
    assert not re.search(r"<script[^>]+src|<link|@import", page)
    assert [text.replace("&amp;", "&") for text in re.findall(r">(\[/b\][^<]*)<", svg)] == [HOSTILE[1]]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"chart.{s}" for s in ("html", "json", "png", "svg")]
    with pytest.raises(InputError, match=r"expected a name that ends in \.svg, \.png"):
        save_chart(chart, tmp_path / "chart.pdf")
    with pytest.raises(InputError, match="cannot write"):
        save_chart(chart, tmp_path / "nowhere" / "chart.svg")


def test_without_the_extra_the_command_that_helps_is_named(
    hostile: Board, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    for draws in (hostile.plot, lambda: write_report(tmp_path / "report.html", {"overall": hostile})):
        with pytest.raises(MissingPartError, match=re.escape("pip install 'palaestra[plots]'")):
            draws()
    assert escape(HOSTILE[0]) in hostile._repr_html_()
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_shows_a_table_that_is_short_and_escaped(hostile: Board, crowd: Board) -> None:
    shown = board_table(hostile)
    assert all(escape(name) in shown and name not in shown for name in HOSTILE)
    assert "preliminary" in shown
    assert shown.count("<tr>") == len(hostile.models) + 1
    assert "and 110 more" in board_table(crowd)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": ()}, "no votes yet"),
        ({"components": (("a", "b"), ("c",))}, "2 sets of models that never met"),
    ],
)
def test_the_verdict_of_a_board_without_a_leader(crowd: Board, changes: dict[str, Any], said: str) -> None:
    assert said in verdict(crowd.model_copy(update=changes))


def test_the_verdict_says_who_may_be_first_as_well(crowd: Board) -> None:
    first, second, third, *_ = crowd.models
    ranked = [
        line.model_copy(
            update={
                "model": name,
                "rank_simultaneous_lower": low,
                "rank_simultaneous_upper": high,
                "preliminary": False,
            }
        )
        for line, name, low, high in ((first, "A", 1, 3), (second, "B", 1, 3), (third, "C", 1, 4))
    ]

    def said(*lines: Any) -> str:
        return verdict(crowd.model_copy(update={"models": lines}))

    alone = ranked[0].model_copy(update={"rank_simultaneous_upper": 1})
    below = [line.model_copy(update={"rank_simultaneous_lower": 2}) for line in ranked[1:]]
    assert said(alone, *below) == "A leads; nobody else can be first (95% intervals, all models at once)."
    assert said(*ranked).startswith(
        "A leads; it cannot be told apart from B and C, which may be first as well. Its rank is between 1 and 3 "
    )
    new = alone.model_copy(update={"preliminary": True, "votes": 9.0})
    assert said(new, *below).endswith("Its rating is preliminary, from 9 votes.")
    many = [ranked[1].model_copy(update={"model": f"M{number}"}) for number in range(9)]
    assert "from M0, M1, M2 and 6 more, which" in said(ranked[0], *many)
    lost = crowd.model_copy(update={"fit": crowd.fit.model_copy(update={"converged": False})})
    assert "did not converge" in verdict(lost)


class Page(HTMLParser):
    """Which elements a page has, and whether each that opens is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_the_report_stands_alone_and_holds_everything(hostile: Board, tmp_path: Path) -> None:
    names = [*HOSTILE, "<b>category</b>"]
    boards = {names[-1]: hostile, "hard_prompts": hostile}
    write_report(tmp_path / "a.html", boards, history=history_of(2, 5), title=names[0])
    write_report(tmp_path / "b.html", boards, history=history_of(2, 5), title=names[0])
    text = (tmp_path / "a.html").read_text()
    assert text == (tmp_path / "b.html").read_text(), "the same boards, the same bytes"
    page = Page(text)
    assert page.open == []
    assert all(escape(name) in text and name not in text for name in names)
    assert not {"img", "link", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert all("src" not in script for script in page.all("script"))
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) == {"http://www.w3.org/2000/svg"}
    drawn = re.findall(r">(\[/b\][^<]*)</text>", text)
    assert {name.replace("&amp;", "&") for name in drawn} == {HOSTILE[1]}
    ids = [value for _, attributes in page.elements if (value := attributes.get("id"))]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)
    assert {link["href"] for link in page.all("a")} == {"#b0", "#b1"}
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert max(after - before for before, after in pairwise(levels)) == 1
    assert len(page.all("svg")) == 1 + 2 * 7
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in page.all("svg"))
    assert all("scope" in head for head in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table")) == 3
    for said in (hostile.data.sha256, "covariates = x", "log loss of votes", escape(verdict(hostile)), "preliminary"):
        assert said in text, said
    assert all(escape(warning) in text for warning in hostile.warnings)


def test_150_models_in_20_categories_stay_below_two_megabytes(crowd: Board, tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", {f"category_{number}": crowd for number in range(20)})
    text = (tmp_path / "report.html").read_text()
    print(f"\n150 models in 20 categories: {len(text) / 1e6:.2f} MB")
    assert len(text) < 2e6
    assert text.count('<th scope="row"') == 21 * 150


def test_the_overview_marks_the_first_three_by_more_than_colour(tmp_path: Path) -> None:
    votes = davidson_votes(np.array([2.0, 0.9, 0.0, -1.0]), 6000, np.random.default_rng(2), style=0.1)
    boards = fit_categories(votes, ["overall", "positive=x > 0"], covariates=["x"])
    write_report(tmp_path / "report.html", boards)
    text = (tmp_path / "report.html").read_text()
    row = '<th scope="row" class="name">m00{}</th><td class="top{}">{} {}</td>'
    for place, mark in enumerate("\N{BLACK CIRCLE}\N{BLACK SQUARE}\N{BLACK DIAMOND}", start=1):
        assert row.format(place - 1, place, mark, place) in text
    assert '<th scope="row" class="name">m003</th><td>4</td>' in text


def test_a_report_that_cannot_be_written_is_refused(hostile: Board, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no board"):
        write_report(tmp_path / "report.html", {})
    with pytest.raises(InputError, match=r"ends in \.html"):
        write_report(tmp_path / "report.pdf", {"overall": hostile})
    with pytest.raises(InputError, match="cannot write"):
        write_report(tmp_path / "nowhere" / "report.html", {"overall": hostile})
    assert list(tmp_path.iterdir()) == []


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return float(np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def test_text_can_be_read_on_every_colour_in_both_schemes() -> None:
    printed = [(SHEET, ink) for ink in (INK, SOFT, *MANY)]
    printed += [(cell, ON_STRONG if cell in STRONG else INK) for cell in (*DIVERGING, *RISING)]
    for pair in printed:
        for back, front in (pair, tuple(DARK[color] for color in pair)):
            light, dark = sorted((luminance(back), luminance(front)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (back, front)
