"""Sensitivity to paraphrase: what changes beyond a second run is found, noise alone is not."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from palaestra.errors import InputError
from palaestra.judge.findings import Finding
from palaestra.judge.paraphrase import audit_paraphrase


def run(changed: float, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    flips = rng.random(400) < changed
    return pl.DataFrame(
        {
            "question_id": [f"q{n // 4}" for n in range(400)], "judge": "j", "protocol": "p",
            "model_a": [f"m{n % 4}" for n in range(400)], "model_b": "base",
            "label": np.where(flips, "B>A", np.where(np.arange(400) % 3 == 0, "A>>B", "A>B")),
        }
    )  # fmt: skip


def found(paraphrased: pl.DataFrame, rerun: pl.DataFrame | None) -> dict[str, Finding]:
    return {one.figure: one for one in audit_paraphrase(run(0, 0), paraphrased, rerun, 0.95)}


def test_what_changes_beyond_noise_is_found() -> None:
    both = found(run(0.3, 1), run(0.1, 2))
    assert both["changed"].value == pytest.approx(0.3, abs=0.06)
    assert both["changed when asked again"].value == pytest.approx(0.1, abs=0.05)
    assert both["changed beyond noise"].holds == "above"


def test_noise_alone_is_not() -> None:
    assert found(run(0.1, 3), run(0.1, 4))["changed beyond noise"].holds == "within"


def test_a_weak_and_a_strong_win_are_one_opinion() -> None:
    strong = run(0, 0).with_columns(label=pl.lit("A>>B"))
    assert found(strong, None)["changed"].value == 0.0


def test_runs_without_a_verdict_in_common_are_refused() -> None:
    with pytest.raises(InputError, match="keep the ids"):
        found(run(0, 0).with_columns(question_id=pl.lit("other")), None)
