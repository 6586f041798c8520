"""The pictures of docs/audits.md, made anew: four scripted judges with known faults, and what few votes are worth.

Everything is simulated; the figures that are drawn are printed too.
"""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars as pl
from scipy.special import expit

from palaestra.gateway.scripted_judge import END_MARK, START_MARK, JudgeScript, reply
from palaestra.judge.audit import audit
from palaestra.judge.audit_charts import forest_chart
from palaestra.judge.ppi_ratings import Comparisons, people_strengths, ppi_strengths
from palaestra.judge.verdict import POINTS, read_label
from palaestra.pictures.drawing import altair, save_chart, styled
from palaestra.pictures.palette import FIRST, INK, SECOND, SOFT

HERE = Path(__file__).parent
JUDGES = {
    "fair": JudgeScript(ties=0.3),
    "first place +0.8": JudgeScript(position=0.8),
    "long and decorated": JudgeScript(length=0.8, markdown=0.6),
    "a coin": JudgeScript(sharp=0.0),
}
SHOWN = {
    "position bias": ("A rather than B",),
    "length bias": ("length",),
    "markdown bias": ("headers", "lists", "bold text"),
    "position flips": ("consistent", "first-favouring", "second-favouring"),
    "agreement with people": ("accuracy", "kappa with ties"),
    "self-agreement": ("of the two orders",),
}
MODELS, QUESTIONS = 6, 100
SIZES = (50, 100, 200, 400, 800)
ROUNDS, OTHERS = 200, 2000
WORLDS = {"a good judge": (2.0, 0.0), "a biased judge": (2.0, 0.8), "a useless judge": (0.0, 0.0)}
"""What the judge knows of quality, people knowing 1; and what it adds to every second model and takes from the rest."""


def answers() -> pl.DataFrame:
    """Answers whose quality, length and marks have nothing to do with each other."""
    rng = np.random.default_rng(2)
    rows = []
    for question in range(QUESTIONS):
        for model in range(MODELS):
            quality = 0.1 * model + rng.normal(0, 0.25)
            lists, bold, heads = (int(n) for n in rng.integers((7, 6, 4)))
            text = "word " * int(rng.integers(10, 120)) + "**b** " * bold + "\n- item" * lists + "\n# Head" * heads
            rows.append((f"q{question}", f"model {model}", f"{text}\nquality={quality:.3f}"))
    return pl.DataFrame(rows, schema=["question_id", "model", "text"], orient="row")


def judged(texts: pl.DataFrame, name: str, script: JudgeScript) -> pl.DataFrame:
    """All pairs in both orders."""
    rows = []
    for (question,), part in texts.group_by("question_id", maintain_order=True):
        said = dict(part.select("model", "text").iter_rows())
        for pair in combinations(said, 2):
            for a, b in (pair, pair[::-1]):
                sides = zip("AB", (a, b), strict=True)
                shown = "".join(f"{START_MARK.format(s)}{said[model]}{END_MARK.format(s)}" for s, model in sides)
                rows.append((question, name, a, b, read_label(reply(script, shown, None, str(question)))))
    return pl.DataFrame(rows, schema=["question_id", "judge", "model_a", "model_b", "label"], orient="row")


def forest() -> None:
    """The findings of the four judges."""
    texts = answers()
    verdicts = pl.concat([judged(texts, name, script) for name, script in JUDGES.items()])
    people = judged(texts, "people", JudgeScript(ties=0.4, noise=0.8))
    points = pl.col("label").replace_strict(POINTS, return_dtype=pl.Float64)
    found = audit(verdicts, texts, people.select("question_id", "model_a", "model_b", points=points))
    shown = [one for one in found.findings if one.figure in SHOWN.get(one.audit, ())]
    order = list(JUDGES)
    shown.sort(key=lambda one: order.index(one.judge))
    for one in shown:
        print(f"{one.judge}: {one.words} ({one.figure})")
    save_chart(forest_chart(shown), HERE / "audits.png")


def ratings(knows: float, bias: float, labelled: int, right_M: np.ndarray) -> list[dict[str, float]]:
    """Coverage and width of each way in many worlds."""
    found = []
    for seed in range(ROUNDS):
        rng = np.random.default_rng((seed, labelled))
        first, people_B, judge_B, second = drawn(rng, knows, bias, labelled + OTHERS)
        own, more = slice(labelled), slice(labelled, None)
        votes = Comparisons(first[own], second[own], people_B[own])
        verdicts = Comparisons(first[more], second[more], judge_B[more])
        ways = {
            "people alone": people_strengths(MODELS, votes, 0.95),
            "judge alone": people_strengths(MODELS, votes.said(judge_B[own]).and_(verdicts), 0.95),
            "both": ppi_strengths(MODELS, votes, judge_B[own], verdicts, 0.95),
        }
        for way, strengths in ways.items():
            if strengths is not None:
                inside = float((np.abs(strengths.theta_M - right_M) <= strengths.half_M).mean())
                found.append({"way": way, "coverage": inside, "width": float(strengths.half_M.mean())})
    return found


def drawn(rng: np.random.Generator, knows: float, bias: float, size: int) -> tuple[np.ndarray, ...]:
    """Comparisons of models that share a difficulty for people and judge."""
    theta = np.linspace(-1.2, 1.2, MODELS)
    lean = knows * theta + bias * np.resize([1, -1], MODELS)
    first, step = rng.integers(MODELS, size=size), rng.integers(1, MODELS, size=size)
    second, shared = (first + step) % MODELS, rng.normal(0, 2.0, size)
    people = rng.random(size) < expit(theta[first] - theta[second] + shared)
    judge = rng.random(size) < expit(lean[first] - lean[second] + knows * shared)
    return first, people.astype(float), judge.astype(float), second


def worth() -> None:
    """Coverage and width of ratings by people, judge and both, against the number of votes."""
    first, people_B, _, second = drawn(np.random.default_rng(0), 1.0, 0.0, 3_000_000)
    truth = people_strengths(MODELS, Comparisons(first, second, people_B), 0.95)
    if truth is None:
        raise ValueError("three million votes leave a strength without bound")
    rows = []
    for world, (knows, bias) in WORLDS.items():
        for labelled in SIZES:
            frame = pl.DataFrame(ratings(knows, bias, labelled, truth.theta_M))
            for way, coverage, width in frame.group_by("way", maintain_order=True).mean().iter_rows():
                rows.append({"world": world, "votes": labelled, "way": way, "coverage": coverage, "width": width})
                print(f"{world}, {labelled} votes, {way}: coverage {coverage:.3f}, half width {width:.3f}")
    save_chart(_worth_chart(rows), HERE / "audits-ppi.png")


def _worth_chart(rows: list[dict]) -> object:
    alt = altair()
    ways = ["people alone", "judge alone", "both"]
    color = alt.Color(
        "way:N", scale=alt.Scale(domain=ways, range=[SOFT, SECOND, FIRST]),
        legend=alt.Legend(title=None, orient="top", symbolType="stroke"),
    )  # fmt: skip
    dash = alt.StrokeDash("way:N", scale=alt.Scale(domain=ways, range=[[6, 3], [2, 3], [1, 0]]), legend=None)
    wide = alt.Scale(type="log", domain=[SIZES[0] * 0.9, SIZES[-1] * 1.1], nice=False)
    x = alt.X("votes:Q", title="comparisons with votes", scale=wide, axis=alt.Axis(values=list(SIZES), grid=False))
    covered = alt.Y("coverage:Q", title="coverage", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))
    narrow = alt.Y("width:Q", title="half width, log odds", scale=alt.Scale(domain=[0, 1.2]))
    panels = []
    for world in WORLDS:
        data = alt.Data(values=[row for row in rows if row["world"] == world])
        base = alt.Chart(data).mark_line(point=True).encode(x=x, color=color, strokeDash=dash)
        line = alt.Chart(alt.Data(values=[{"at": 0.95}])).mark_rule(color=INK, strokeWidth=0.8).encode(y="at:Q")
        title = alt.Title(world, fontSize=13, fontWeight="normal", offset=6)
        above = alt.layer(line, base.encode(y=covered)).properties(width=200, height=130, title=title)
        panels.append(alt.vconcat(above, base.encode(y=narrow).properties(width=200, height=130)))
    said = "200 worlds each, 95% intervals; the judge has 2,000 comparisons more"
    return styled(alt.hconcat(*panels, spacing=24), "Ratings from few votes and many verdicts", said)


if __name__ == "__main__":
    forest()
    worth()
