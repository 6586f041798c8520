"""Pictures of goodness and fastness are drawn for any board, name no point falsely, and show the whole Pareto set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from palaestra.errors import InputError
from palaestra.ranking.mpg import MpgBoard, mpg
from palaestra.schema import Result

pytest.importorskip("altair")
from palaestra.ranking.mpg_charts import beats_chart, tradeoff_chart


def board(models: int, by: Any = "speed", cost: float = 1.0) -> MpgBoard:
    rng = np.random.default_rng(0)
    rows = [
        Result(
            model=f"</svg> \"{m}'",
            benchmark="b",
            domain="d",
            correct=int(rng.integers(0, 100)),
            total=100,
            queries=100,
            seconds=float(np.exp(rng.normal(3, 2))),
            concurrency=1,
        )
        for m in range(models)
    ]
    if by == "cost":
        left_out = {"seconds": None, "concurrency": None}
        rows = [row.model_copy(update=left_out | {"cost": cost * m}) for m, row in enumerate(rows)]
    return mpg(rows, by=by, draws=1000)


def values(chart: Any) -> list[dict[str, Any]]:
    """The rows of the layer that has the points."""
    return next(layer["data"]["values"] for layer in chart.to_dict()["layer"] if "model" in layer["data"]["values"][0])


@pytest.mark.parametrize(
    "made", [board(1), board(3), board(60), board(3, "cost"), board(3, "cost", 0.0)], ids=lambda b: str(len(b.models))
)
def test_every_board_is_drawn(made: MpgBoard) -> None:
    vl_convert = pytest.importorskip("vl_convert")
    for chart in (tradeoff_chart(made), beats_chart(made)):
        assert "NaN" not in vl_convert.vegalite_to_svg(chart.to_dict())


def test_the_pareto_set_is_always_shown() -> None:
    made = board(60)
    shown = values(tradeoff_chart(made, top=12))
    assert len(shown) == 12
    assert {line.model for line in made.models if line.pareto} <= {row["model"] for row in shown}
    assert "12 of 60 models" in tradeoff_chart(made, top=12).to_dict()["title"]["subtitle"][0]


def test_less_cost_is_to_the_right() -> None:
    x = next(
        layer["encoding"]["x"]
        for layer in tradeoff_chart(board(3, "cost")).to_dict()["layer"]
        if "title" in layer["encoding"]["x"]
    )
    assert x["scale"]["reverse"] is True


def test_without_times_there_is_nothing_to_draw_against() -> None:
    bare = mpg([Result(model="A", benchmark="b", domain="d", correct=1, total=2)], draws=1000)
    with pytest.raises(InputError, match="found no model with times or costs"):
        tradeoff_chart(bare)
