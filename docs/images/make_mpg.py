"""The picture of docs/mpg.md, made anew: nine made-up models, seven benchmarks of 150 to 2000 questions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from palaestra.pictures.drawing import save_chart
from palaestra.ranking.mpg import mpg
from palaestra.ranking.mpg_charts import tradeoff_chart
from palaestra.schema import Result

DOMAINS = {
    "factual recall": {"trivia": (2000, None), "science": (1000, 0.25)},
    "language": {"reading": (600, None), "summary facts": (300, 0.5)},
    "problem solving": {"word problems": (1319, None), "logic": (150, 0.2), "code": (164, None)},
}
MODELS = {
    "Marathon-400b": ((1.5, 1.6, 1.4), 0.55),
    "Marathon-70b": ((1.2, 1.3, 0.9), 1.9),
    "Discus-120b": ((1.45, 1.3, 1.1), 1.1),
    "Discus-27b": ((0.8, 1.0, 0.6), 4.2),
    "Javelin-8b": ((0.2, 0.6, -0.1), 13.0),
    "Javelin-3b": ((-0.3, 0.2, -0.9), 26.0),
    "Relay-moe": ((1.0, 0.9, 0.95), 6.5),
    "Hurdle-14b": ((0.5, 0.7, 0.2), 3.1),
    "Torch-32b": ((0.7, 1.2, 1.0), 2.4),
}
"""Ability in each domain (log odds of a right answer), and queries per second."""
LEFT_OUT = ("Torch-32b", "reading")
TIMED = ("logic", "code")


def results() -> list[Result]:
    """Results drawn from the abilities."""
    rng = np.random.default_rng(5)
    rows = []
    for model, (abilities, speed) in MODELS.items():
        for (domain, benchmarks), ability in zip(DOMAINS.items(), abilities, strict=True):
            for benchmark, (total, guess) in benchmarks.items():
                if (model, benchmark) == LEFT_OUT:
                    continue
                known = 1 / (1 + np.exp(-ability - rng.normal(0, 0.1)))
                chance = (guess or 0) + (1 - (guess or 0)) * known
                row = Result(
                    model=model,
                    benchmark=benchmark,
                    domain=domain,
                    correct=int(rng.binomial(total, chance)),
                    total=total,
                    guess_rate=guess,
                )
                time = {"queries": total, "seconds": float(rng.gamma(total) / speed), "concurrency": 8}
                rows.append(row.model_copy(update=time if benchmark in TIMED else {}))
    return rows


if __name__ == "__main__":
    save_chart(tradeoff_chart(mpg(results(), correct_guessing=True)), Path(__file__).parent / "mpg.png")
