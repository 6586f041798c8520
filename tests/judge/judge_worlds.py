"""Worlds in which a judge's faults are known: answers, and what a scripted judge says of them through its prompt."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import polars as pl

from palaestra.gateway.scripted_judge import END_MARK, PROMPT_MARK, START_MARK, JudgeScript, reply
from palaestra.judge.verdict import read_label

OWN = "In my own words:"


def answers_of(
    models: int, questions: int, seed: int, *, spread: float = 0.4, signed: str | None = None
) -> pl.DataFrame:
    """Answers whose hidden quality, length and marks are drawn apart from each other; those of `signed` are signed."""
    rng = np.random.default_rng(seed)
    strength_M = np.linspace(-spread, spread, models)
    rows = []
    for question in range(questions):
        for model in range(models):
            quality = strength_M[model] + rng.normal(0, 0.2)
            words = " ".join(["word"] * int(rng.integers(5, 120)))
            marks = "\n".join(["- item"] * int(rng.integers(0, 8)) + ["## head"] * int(rng.integers(0, 4)))
            own = OWN if f"m{model}" == signed else ""
            bold = " **x**" * int(rng.integers(0, 5))
            text = f"{own}{words}{bold}\n{marks}\nquality={quality:.3f}"
            rows.append({"question_id": f"q{question}", "model": f"m{model}", "text": text})
    return pl.DataFrame(rows)


def shown(a: str, b: str, question: str = "What is asked?") -> str:
    """A judge's prompt."""
    sides = [f"{START_MARK.format(side)}\n{text}\n{END_MARK.format(side)}" for side, text in (("A", a), ("B", b))]
    return "\n\n".join([f"{PROMPT_MARK}\n{question}", *sides])


def judged(
    answers: pl.DataFrame,
    script: JudgeScript,
    *,
    judge: str = "judge",
    seed: int = 0,
    pairs: float = 1.0,
    orders: int = 2,
) -> pl.DataFrame:
    """Verdicts on a share of all pairs of models on each question; in one order, it is drawn."""
    rng = np.random.default_rng(seed)
    rows = []
    for (question,), part in answers.group_by("question_id", maintain_order=True):
        texts = dict(part.select("model", "text").iter_rows())
        for one, two in combinations(texts, 2):
            if rng.random() > pairs:
                continue
            sides = [(one, two), (two, one)] if orders == 2 else [(one, two) if rng.random() < 0.5 else (two, one)]
            for game, (a, b) in enumerate(sides, start=1):
                label = read_label(reply(script, shown(texts[a], texts[b], str(question)), seed))
                rows.append(
                    {
                        "question_id": question, "judge": judge, "protocol": "scripted", "model_a": a, "model_b": b,
                        "game": game, "label": label,
                    }
                )  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"label": pl.String})


def votes_of(verdicts: pl.DataFrame) -> pl.DataFrame:
    """Verdicts as votes of people."""
    points = pl.col("label").replace_strict(
        {"A>>B": 1.0, "A>B": 1.0, "A=B": 0.5, "B>A": 0.0, "B>>A": 0.0}, default=None, return_dtype=pl.Float64
    )
    return verdicts.select("question_id", "model_a", "model_b", points=points).drop_nulls()
