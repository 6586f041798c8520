"""Self-preference: found where it is planted; a decisive judge, a shared taste and chance are not called selfish."""

from __future__ import annotations

import numpy as np
import polars as pl

from palaestra.judge.findings import Finding
from palaestra.judge.seen import Seen
from palaestra.judge.self_preference import audit_self_preference, own_models

MODELS, QUESTIONS = 8, 60


def judged(seed: int, *, own: float = 0.0, slope: float = 1.0) -> pl.DataFrame:
    """One verdict a pair and question; model m7, the best, gets `own` log odds more."""
    rng = np.random.default_rng(seed)
    rows = []
    for q in range(QUESTIONS):
        for i in range(MODELS):
            for j in range(i):
                d = slope * (i - j) * 0.25 + own * (i == 7)
                rows.append((f"q{q}", f"m{i}", f"m{j}", float(rng.random() < 1 / (1 + np.exp(-d)))))
    return pl.DataFrame(rows, schema=["question_id", "model_a", "model_b", "points"], orient="row")


def found(mine: pl.DataFrame, *others: pl.DataFrame, judge: str = "m7") -> dict[str, Finding]:
    families: dict[str, str] = {}
    return {one.figure: one for one in audit_self_preference(Seen(judge, mine, 0), list(others), families, 0.95)}


def test_it_is_found_where_it_is_planted() -> None:
    both = found(judged(0, own=1.2), judged(1), judged(2))
    assert both["strength"].holds == "above"
    assert both["strength"].lower is not None
    assert both["strength"].lower < 1.2 < (both["strength"].upper or 0)
    assert both["points"].value > 0.05


def test_a_decisive_judge_is_not_called_selfish() -> None:
    """A steeper judge gives its own model, the best, more points than others do; its strength lies on the line."""
    rejected = [found(judged(seed, slope=1.7), judged(seed + 100), judged(seed + 200)) for seed in range(40)]
    assert sum(one["points"].lower > 0 for one in rejected if one["points"].lower is not None) > 30
    assert all(one["points"].holds == "unknown" for one in rejected)
    assert sum(one["strength"].holds != "within" for one in rejected) <= 6


def test_with_few_other_models_points_are_the_finding() -> None:
    few = pl.col("model_a").is_in(["m7", "m6"]) & pl.col("model_b").is_in(["m6", "m5"])
    both = found(judged(3, own=2.0).filter(few), judged(4).filter(few))
    assert set(both) == {"points"}
    assert both["points"].holds == "above"


def test_families_say_what_is_a_judges_own() -> None:
    models = ["GPT 4", "GPT 3.5", "Claude"]
    families = {"gpt-4": "openai", "GPT 4": "openai", "GPT 3.5": "openai"}
    assert own_models("gpt-4 (arena-hard)", models, families) == ["GPT 4", "GPT 3.5"]
    assert own_models("Claude", models, families) == ["Claude"]
    assert own_models("else", models, families) == []
    assert own_models("L (7B)", ["L", "L (7B)"], {}) == ["L (7B)"]


def test_a_judge_alone_or_without_a_model_has_none() -> None:
    assert found(judged(5)) == {}
    assert found(judged(5), judged(6), judge="nobody") == {}
