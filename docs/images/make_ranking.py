"""The pictures of the ranking pages, made anew by `make pictures`: of real votes where there are some.

Each picture prints the numbers that it shows, which are the ones in the text.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

import palaestra
from palaestra.pictures.drawing import altair, save_chart, styled
from palaestra.pictures.palette import FIRST, INK, MANY, SECOND
from palaestra.ranking import charts
from palaestra.ranking.fraud import fraud
from palaestra.ranking.person import personal_board

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
LLMFAO = ROOT / "tests" / "data" / "llmfao.csv"
sys.path.append(str(ROOT / "tests" / "ranking"))

from worlds import davidson_votes, names_of  # noqa: E402 - the tests' worlds

NAMES = ["Ada", "Bea", "Cid", "Dov", "Eve", "Fay", "Gil", "Hal", "Ina", "Jon", "Kit", "Lou"]


def named(frame: pl.DataFrame) -> pl.DataFrame:
    """The votes of a simulated world with names that can be read."""
    names = dict(zip(names_of(len(NAMES)), NAMES, strict=True))
    return frame.with_columns(pl.col("model_a", "model_b").replace(names))


def board() -> None:
    """The board of 8,931 real votes."""
    found = palaestra.rank.fit(LLMFAO)
    save_chart(charts.ratings_chart(found, top=20), HERE / "rank-board.png")
    save_chart(charts.ranks_chart(found, top=20), HERE / "rank-ranks.png")
    save_chart(charts.calibration_chart(found), HERE / "rank-calibration.png")
    save_chart(found.plot("wins"), HERE / "rank-wins.png")


def ties() -> None:
    """Held-out log loss of each model of ties on real votes and on two simulated worlds."""
    rng = np.random.default_rng(0)
    worlds = {
        "real votes (llmfao)": pl.read_csv(LLMFAO),
        "simulated, Davidson": davidson_votes(np.linspace(1, -1, 12), 20_000, rng),
        "simulated, grounded": grounded(np.linspace(2, -0.5, 12), 20_000, rng),
    }
    rows = []
    for world, votes in worlds.items():
        found = palaestra.rank.fit(votes, ties="auto")
        least = min(found.fit.tie_log_losses.values())
        for name, loss in found.fit.tie_log_losses.items():
            rows.append({"world": world, "model of ties": name, "excess": 1000 * (loss - least)})
        print("ties", world, {name: round(loss, 4) for name, loss in found.fit.tie_log_losses.items()})
    alt = altair()
    order = ["half", "rao-kupper", "davidson", "grounded"]
    chart = (
        alt.Chart(pl.DataFrame(rows))
        .mark_point(filled=True, size=90)
        .encode(
            x=alt.X("excess:Q", title="held-out log loss above the best, thousandths of a nat"),
            y=alt.Y("world:N", title=None, sort=list(worlds)),
            color=alt.Color("model of ties:N", sort=order, scale=alt.Scale(domain=order, range=list(MANY[:4]))),
            shape=alt.Shape("model of ties:N", sort=order),
        )
        .properties(width=420, height=150)
    )
    save_chart(
        styled(chart, "Which model of ties foretells best", "each completed to all four outcomes"),
        HERE / "rank-ties.png",
    )


def grounded(theta_M: np.ndarray, votes: int, rng: np.random.Generator) -> pl.DataFrame:
    """Votes of the grounded model."""
    models = len(theta_M)
    first = rng.integers(models, size=votes)
    second = (first + rng.integers(1, models, size=votes)) % models
    a, b, k = np.exp(theta_M[first]), np.exp(theta_M[second]), 1 + np.exp(-0.4)
    chances = np.stack([a / (a + k * b + 1), b / (b + k * a + 1), 0 * a, 1 / (1 + a + b)])
    chances[2] = 1 - chances.sum(axis=0)
    outcome = (rng.random(votes) > np.cumsum(chances, axis=0)).sum(axis=0)
    names = np.array(names_of(models))
    outcomes = np.array(["model_a", "model_b", "tie", "both_bad"])
    return pl.DataFrame({"model_a": names[first], "model_b": names[second], "winner": outcomes[outcome]})


def coverage() -> None:
    """How often an interval of 95 % holds the truth when voters have tastes of their own."""
    rng, names, rows = np.random.default_rng(1), np.array(["A", "B", "C"]), []
    for spread in (0.0, 0.25, 0.5, 0.75, 1.0):
        hits = {"independent votes": 0, "clustered by voter": 0}
        for _ in range(300):
            tastes = rng.normal(0, spread, (60, 3)) if spread else np.zeros((60, 3))
            voter = np.repeat(np.arange(60), 15)
            first = rng.integers(3, size=len(voter))
            second = (first + rng.integers(1, 3, size=len(voter))) % 3
            won = rng.random(len(voter)) < expit(tastes[voter, first] - tastes[voter, second])
            columns = {"model_a": names[first], "model_b": names[second], "winner": np.where(won, "model_a", "model_b")}
            votes = pl.DataFrame(columns | {"voter": voter.astype(str)})
            for kind, cluster in (("independent votes", None), ("clustered by voter", "voter")):
                line = next(line for line in palaestra.rank.fit(votes, cluster=cluster).models if line.model == "A")
                hits[kind] += line.lower <= 1000 <= line.upper
        rows += [
            {"spread": 400 / np.log(10) * spread, "interval": kind, "coverage": hit / 300} for kind, hit in hits.items()
        ]
        print("coverage", spread, {kind: round(hit / 300, 3) for kind, hit in hits.items()})
    alt = altair()
    lines = (
        alt.Chart(pl.DataFrame(rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("spread:Q", title="how much voters differ, Elo"),
            y=alt.Y("coverage:Q", title="share of intervals that hold the truth", scale=alt.Scale(domain=[0.6, 1])),
            color=alt.Color("interval:N", scale=alt.Scale(range=[SECOND, FIRST])),
            strokeDash="interval:N",
        )
    )
    rule = alt.Chart(pl.DataFrame({"y": [0.95]})).mark_rule(color=INK, strokeDash=[2, 3]).encode(y="y:Q")
    chart = (lines + rule).properties(width=380, height=220)
    save_chart(
        styled(chart, "Votes of one voter are not independent", "300 worlds a point, 60 voters of 15 votes"),
        HERE / "rank-coverage.png",
    )


def categories() -> None:
    """Ranks by category in a simulated world where two models are good at one thing each."""
    rng = np.random.default_rng(2)
    theta_M = np.linspace(0.8, -0.8, 12)
    parts = []
    for language, is_code, shift in (
        ("English", False, {}),
        ("English", True, {6: 1.4}),
        ("German", False, {9: 1.7}),
        ("French", False, {2: -1.0}),
    ):
        strengths = theta_M.copy()
        for model, more in shift.items():
            strengths[model] += more
        columns = {"language": pl.lit(language), "is_code": pl.lit(is_code)}
        parts.append(named(davidson_votes(strengths, 8000, rng)).with_columns(**columns))
    boards = palaestra.rank.fit_categories(pl.concat(parts), ["all"])
    save_chart(charts.categories_chart(boards), HERE / "rank-categories.png")


def over_time() -> None:
    """A history in which one model is changed behind its name."""
    rng = np.random.default_rng(3)
    theta_M, parts = np.linspace(0.5, -0.5, 12), []
    for week in range(16):
        strengths = theta_M.copy()
        strengths[7] += 0.9 * (week >= 8)
        times = 1_767_600_000 + 604_800 * (week + rng.random(1200))
        parts.append(named(davidson_votes(strengths, 1200, rng)).with_columns(tstamp=pl.Series(np.sort(times))))
    votes = pl.concat(parts)
    table = palaestra.rank.history(votes, every="1w", window=28)
    save_chart(charts.history_chart(table), HERE / "rank-history.png")


def attacks() -> None:
    """ROC of the test of voters under three simulated attacks."""
    from test_asking import area_under_roc, crowd_with

    rows = []
    for attack, votes_each, label in (
        ("random", 150, "150 random votes"),
        ("random", 60, "60 random votes"),
        ("target", 60, "60 votes, always for one model"),
        ("rivals", 60, "60 votes, for one model and against its rivals"),
    ):
        votes, bad = crowd_with(30, votes_each, attack, seed=5)
        report = fraud(votes)
        scores = {line.voter: line.p for line in report.voters}
        honest = np.sort([p for voter, p in scores.items() if voter not in bad])
        wicked = np.sort([scores[voter] for voter in bad if voter in scores])
        rows += [
            {"attack": label, "false": (honest <= edge).mean(), "found": (wicked <= edge).mean()}
            for edge in np.unique(np.append(honest, wicked))
        ]
        flagged = {line.voter for line in report.voters if line.flagged}
        print(
            "fraud",
            label,
            round(area_under_roc(scores, bad), 3),
            len(flagged & bad),
            "of 30,",
            len(flagged - bad),
            "honest",
        )
    alt = altair()
    chart = (
        alt.Chart(pl.DataFrame(rows))
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=alt.X("false:Q", title="share of honest voters below the threshold"),
            y=alt.Y("found:Q", title="share of attackers found"),
            color=alt.Color("attack:N", scale=alt.Scale(range=list(MANY[:4])), legend=alt.Legend(labelLimit=400)),
            strokeDash="attack:N",
        )
        .properties(width=320, height=300)
    )
    save_chart(
        styled(chart, "Attackers among 300 honest voters", "30 attackers, thresholds on the p-value"),
        HERE / "rank-fraud.png",
    )


def robust() -> None:
    """The fewest votes that change the first place, as the lead grows."""
    rng, rows = np.random.default_rng(4), []
    for lead in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3):
        theta_M = np.append([lead, 0.0], np.linspace(-0.3, -1, 10))
        found = palaestra.rank.robustness(davidson_votes(theta_M, 30_000, rng))
        rows.append({"lead": found.lead_before, "share": 100 * found.share_of_votes})
        print("robustness", str(found))
    alt = altair()
    chart = (
        alt.Chart(pl.DataFrame(rows))
        .mark_line(point=True, color=FIRST)
        .encode(
            x=alt.X("lead:Q", title="lead of the first, Elo"),
            y=alt.Y("share:Q", title="votes that decide it, % of all"),
        )
        .properties(width=380, height=220)
    )
    save_chart(
        styled(
            chart, "How few votes decide who is first", "30,000 votes among 12 models; each set verified by a refit"
        ),
        HERE / "rank-robustness.png",
    )


def person() -> None:
    """One real voter's board beside the crowd's."""
    votes = pl.read_csv(LLMFAO).rename({"judge": "voter"})
    busiest = votes["voter"].value_counts(sort=True)["voter"][0]
    found = personal_board(votes, busiest)
    print("person", busiest, found.votes, found.agreement, found.expected, found.tau)
    lines = sorted(found.models, key=lambda line: -abs(line.rating - line.crowd))[:14]
    frame = pl.DataFrame([line.model_dump() for line in sorted(lines, key=lambda line: -line.rating)])
    alt = altair()
    base = alt.Chart(frame).encode(y=alt.Y("model:N", sort=None, title=None, axis=alt.Axis(labelLimit=220)))
    span = base.mark_rule(color=SECOND, strokeWidth=2).encode(
        x=alt.X("lower:Q", title="rating", scale=alt.Scale(zero=False)), x2="upper:Q"
    )
    own = base.mark_point(filled=True, color=SECOND, size=60).encode(x="rating:Q")
    crowd = base.mark_tick(color=FIRST, thickness=3, height=14).encode(x="crowd:Q")
    chart = (span + own + crowd).properties(width=380, height=22 * len(lines))
    subtitle = f"{found.votes:g} votes of {busiest}; dot and interval: the voter, bar: everybody else"
    save_chart(styled(chart, "Where one voter differs most from the crowd", subtitle), HERE / "rank-person.png")


def twin() -> None:
    """The engine against its plain twin over random worlds."""
    sys.path.append(str(ROOT / "tests" / "stats"))
    from test_engine import NAMES as MODELS
    from test_engine import fitted, flat, rows_of, simulated

    from palaestra.stats.plain import fit_plain

    rows: list[dict[str, Any]] = []
    for seed in range(6):
        votes, shape = simulated(seed, votes=120, models=3, features=1)
        for model, name in MODELS.items():
            plain = fit_plain(votes, shape["models"], model=name)
            found = flat(fitted(rows_of(votes, shape["models"]), model).at, model)
            rows += [
                {"twin": float(t), "engine": float(e), "model": name, "apart": abs(float(t - e))}
                for t, e in zip(plain.parameters, found, strict=True)
            ]
    print("twin, greatest difference of a parameter:", max(row["apart"] for row in rows))
    alt = altair()
    chart = (
        alt.Chart(pl.DataFrame(rows))
        .mark_point(size=40)
        .encode(
            x=alt.X("twin:Q", title="parameter by the plain twin, natural units"),
            y=alt.Y("engine:Q", title="by the engine"),
            color=alt.Color("model:N", scale=alt.Scale(range=list(MANY[:4]))),
            shape="model:N",
        )
        .properties(width=300, height=300)
    )
    worst = max(row["apart"] for row in rows)
    save_chart(
        styled(chart, "Two implementations, one answer", f"greatest difference {worst:.0e}"), HERE / "rank-twin.png"
    )


def importance() -> None:
    """What pair weights and decay do to a board whose pairs are drawn unevenly."""
    rng = np.random.default_rng(6)
    popularity = rng.lognormal(0, 1.2, 12)
    times = np.sort(1_767_600_000 + 86_400 * 90 * rng.random(20_000))
    votes = named(davidson_votes(np.linspace(0.6, -0.6, 12), 20_000, rng, popularity_M=popularity)).with_columns(
        tstamp=pl.Series(times)
    )
    rows = []
    kinds: dict[str, dict[str, Any]] = {
        "none": {},
        "pairs equal": {"pair_weights": "equal"},
        "pairs capped": {"pair_weights": "capped"},
        "half-life 14 days": {"half_life_days": 14},
    }
    for kind, settings in kinds.items():
        found = palaestra.rank.fit(votes, **settings)
        rows += [{"weights": kind, "model": line.model, "se": line.se} for line in found.models]
        print("weights", kind, *found.warnings)
    alt = altair()
    chart = (
        alt.Chart(pl.DataFrame(rows))
        .mark_point(filled=True, size=60)
        .encode(
            x=alt.X("se:Q", title="standard error, Elo"),
            y=alt.Y("model:N", title=None, sort=NAMES),
            color=alt.Color("weights:N", sort=list(kinds), scale=alt.Scale(range=list(MANY[:4]))),
            shape=alt.Shape("weights:N", sort=list(kinds)),
        )
        .properties(width=380, height=260)
    )
    save_chart(styled(chart, "What weights cost", "20,000 votes, pairs drawn very unevenly"), HERE / "rank-weights.png")


def style() -> None:
    """Effects of style in simulated votes of which only length matters."""
    sys.path.append(str(ROOT / "tests" / "benchmarks" / "rank"))
    from votes import simulate

    found = palaestra.rank.fit(simulate(100_000), style=["all"], covariates=["position"])
    print("style", {effect.name: (round(effect.elo, 1), round(effect.se, 4)) for effect in found.effects})
    save_chart(charts.effects_chart(found), HERE / "rank-style.png")


def main() -> None:
    """All pictures, or those named."""
    pictures = (
        board,
        ties,
        coverage,
        categories,
        over_time,
        attacks,
        robust,
        person,
        twin,
        importance,
        style,
    )
    wanted = sys.argv[1:]
    for picture in pictures:
        if not wanted or picture.__name__ in wanted:
            picture()


if __name__ == "__main__":
    main()
