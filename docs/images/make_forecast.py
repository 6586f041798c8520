"""The pictures and numbers of docs/forecast.md, made anew from published boards and results beside this checkout."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from palaestra.judge.backtest import Backtest, backtest
from palaestra.judge.backtest_scores import Measured
from palaestra.judge.forecast_charts import coverage_chart, past_chart
from palaestra.pictures.drawing import save_chart

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "judge"))

from arena_past import HERE as DATA_IS_HERE  # noqa: E402 - beside the tests, whose story this is
from arena_past import arena_2023, arena_2025  # noqa: E402


def told(found: Backtest) -> None:
    """The rows of the page's table."""
    for method, own in sorted(found.scores.items(), key=lambda one: one[1].crps.value):
        gain = found.gains.get(method)
        cells = [method, said(own.mae), said(own.rmse), said(own.crps), f"{own.log_score.value:.2f}"]
        cells.append(" / ".join(f"{100 * one.value:.0f}" for one in own.coverage.values()))
        cells += [f"{own.brier.value:.3f}", "" if gain is None else said(gain.mae, "+.1f")]
        cells.append("" if gain is None else said(gain.crps, "+.1f"))
        print("|", " | ".join(cells), "|")


def said(one: Measured, form: str = ".1f") -> str:
    """A figure and its interval."""
    return f"{one.value:{form}} [{one.lower:{form}}, {one.upper:{form}}]"


def main() -> None:
    """Both stories as tables, the first one as pictures."""
    if not DATA_IS_HERE:
        print("the published data is not beside this checkout: the pictures of docs/forecast.md stay as they are")
        return
    for story in (arena_2023, arena_2025):
        with tempfile.TemporaryDirectory() as folder:
            results, boards, past = story(Path(folder))
            found = backtest(results, boards)
        print(f"{len(past.scores)} models with results; {len(past.matched)} names matched, {len(past.unmatched)} not")
        told(found)
        if story is arena_2023:
            print(
                "\n".join(
                    f"{one.predicted:.2f} {one.observed:.2f} {one.count}" for one in found.scores["joint"].calibration
                )
            )
            save_chart(past_chart(found), HERE / "forecast.png")
            save_chart(coverage_chart(found), HERE / "forecast-coverage.png")


if __name__ == "__main__":
    main()
