"""The whole audit of scripted judges: it finds what was planted, and nothing where nothing was."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from judge_worlds import answers_of, judged, votes_of

from palaestra.errors import InputError
from palaestra.gateway.scripted_judge import JudgeScript
from palaestra.judge.audit import AuditConfig, JudgeAudit, audit
from palaestra.judge.findings import Finding
from palaestra.judge.planted import plant_faults
from palaestra.judge.verdict import Verdict, verdict_frame

OWN = "m5"
QUICK = AuditConfig(simulations=20)
BIASES = {
    "position bias": "A rather than B",
    "length bias": "length",
    "self-preference": "strength",
}


def world(script: JudgeScript, seed: int, *, questions: int = 30, orders: int = 2, pairs: float = 0.7) -> JudgeAudit:
    """The judge `m5` with its faults, and a judge and a crowd without."""
    answers = answers_of(6, questions, seed, signed=OWN)
    both = ((script, OWN), (JudgeScript(sharp=4.01), "other"))
    verdicts = [judged(answers, one, judge=name, seed=seed, orders=orders, pairs=pairs) for one, name in both]
    people = votes_of(judged(answers, JudgeScript(sharp=3.0, ties=0.5), seed=seed, orders=1, pairs=pairs))
    return audit(pl.concat(verdicts), answers, people, config=QUICK)


def of(found: JudgeAudit, name: str, figure: str) -> Finding:
    return next(one for one in found.of(name, OWN) if one.figure == figure)


@pytest.mark.parametrize(
    ("script", "name", "figure", "holds"),
    [
        (JudgeScript(position=0.8), "position bias", "A rather than B", "above"),
        (JudgeScript(position=-0.8), "position bias", "A rather than B", "below"),
        (JudgeScript(length=0.9), "length bias", "length", "above"),
        (JudgeScript(markdown=0.9), "markdown bias", "lists", "above"),
        (JudgeScript(markdown=-0.9), "markdown bias", "headers", "below"),
        (JudgeScript(markdown=0.9), "markdown bias", "bold text", "above"),
        (JudgeScript(own=2.5), "self-preference", "strength", "above"),
    ],
)
def test_what_was_planted_is_found(script: JudgeScript, name: str, figure: str, holds: str) -> None:
    """In at least three of four worlds of sixty questions."""
    found = [of(world(script, seed, questions=60), name, figure) for seed in range(4)]
    assert sum(one.holds == holds for one in found) >= 3


def test_nothing_is_found_where_nothing_was_planted() -> None:
    """False alarms in 40 worlds, of five figures each, at a level of 5%; and the place with one order as well."""
    names = (*BIASES.items(), ("markdown bias", "lists"), ("markdown bias", "headers"))
    alarms: dict[str, int] = {}
    worlds = 40
    for seed in range(worlds):
        found = world(JudgeScript(ties=0.2 * (seed % 2)), seed, orders=1 + seed % 2)
        for name, figure in names:
            alarms[figure] = alarms.get(figure, 0) + (of(found, name, figure).holds != "within")
        beyond = of(found, "transitivity", "circles within questions beyond noise")
        alarms["circles"] = alarms.get("circles", 0) + (beyond.holds == "above")
    print(f"\nfalse alarms in {worlds} worlds: {alarms}")
    assert max(alarms.values()) <= 7  # 2 expected; 8 or more have a chance of 0.1%
    assert sum(alarms.values()) <= 0.09 * worlds * len(alarms)


def test_a_coin_is_called_a_coin() -> None:
    """Eight models, so that there are pairs enough to be sure."""
    answers = answers_of(8, 120, 0)
    coin = judged(answers, JudgeScript(sharp=0.0), judge="coin")
    people = votes_of(judged(answers, JudgeScript(noise=0.0), seed=5, orders=1))
    found = audit(coin, people=people, config=QUICK)
    words = " ".join(one.words for one in found.findings)
    assert "no better than a coin" in words
    assert "agreement with people: no better than chance" in words


def test_planted_faults_are_audited_apart() -> None:
    answers = answers_of(2, 20, 1).with_columns(text=pl.col("text") + " One more. And another 7.")
    good = answers.filter(pl.col("model") == "m0")
    faulty = plant_faults(good)
    rows = [
        Verdict(
            question_id=row["question_id"], judge="j", protocol="p", model_a="m0", model_b=row["model"],
            label="A>>B" if row["fault"] == "empty" else "A=B",
        )
        for row in faulty.iter_rows(named=True)
    ]  # fmt: skip
    verdicts = pl.concat(
        [
            verdict_frame(rows).select("question_id", "judge", "protocol", "model_a", "model_b", "label"),
            judged(answers, JudgeScript(), judge="j").drop("game").with_columns(protocol=pl.lit("p")),
        ]
    )
    found = audit(verdicts, config=QUICK)
    caught = {one.figure: one.value for one in found.of("planted faults")}
    assert caught["empty noticed"] == 1.0
    assert caught["truncated noticed"] == 0.0
    assert all(one.rows == 20 for one in found.of("position flips"))


def test_the_record_survives_json() -> None:
    found = world(JudgeScript(prose=0.1), 3, questions=8)
    assert found.unread > 0
    assert any("could not be read" in note for note in found.notes)
    assert JudgeAudit.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert np.isfinite([one.value for one in found.findings]).all()


def test_the_same_seed_brings_the_same_findings() -> None:
    assert world(JudgeScript(), 4, questions=6) == world(JudgeScript(), 4, questions=6)


def test_a_preference_without_a_label_is_an_opinion() -> None:
    answers = answers_of(4, 20, 6)
    labels = judged(answers, JudgeScript(ties=0.4))
    preference = {"A>>B": 0.9, "A>B": 0.6, "A=B": 0.5, "B>A": 0.4, "B>>A": 0.1}
    leans = labels.with_columns(
        preference=pl.col("label").replace_strict(preference, return_dtype=pl.Float64), label=pl.lit(None, pl.String)
    )
    assert audit(leans, config=QUICK) == audit(labels, config=QUICK)


def test_protocols_of_one_judge_are_two_judges() -> None:
    answers = answers_of(3, 6, 7)
    verdicts = judged(answers, JudgeScript())
    both = pl.concat([verdicts, verdicts.with_columns(protocol=pl.lit("other"))])
    assert {one.judge for one in audit(both, config=QUICK).findings} == {"judge (scripted)", "judge (other)"}


def test_one_question_has_figures_and_no_intervals() -> None:
    found = audit(judged(answers_of(4, 1, 8), JudgeScript()), config=QUICK)
    assert found.findings
    assert all(one.lower is None for one in found.findings if one.unit != "percentage points")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda frame: frame.drop("judge"), "expected question_id, judge, model_a, model_b"),
        (lambda frame: frame.drop("label"), "label or preference"),
        (lambda frame: frame.with_columns(label=pl.lit(None, pl.String)), "expected labels or preferences"),
        (lambda frame: frame.with_columns(model_b="model_a"), "expected pairs of models"),
        (lambda frame: frame.clear(), "expected pairs of models"),
        (lambda frame: frame.with_columns(judge=pl.lit("people")), "give it another name"),
    ],
)
def test_what_cannot_be_audited_is_refused(change, said: str) -> None:  # noqa: ANN001 - a change of a frame
    verdicts = judged(answers_of(3, 3, 9), JudgeScript())
    with pytest.raises(InputError, match=said):
        audit(change(verdicts))


def test_people_who_saw_nothing_of_it_are_told_of() -> None:
    verdicts = judged(answers_of(3, 3, 9), JudgeScript())
    elsewhere = votes_of(verdicts).with_columns(question_id=pl.lit("elsewhere"))
    assert any("in common with people" in note for note in audit(verdicts, people=elsewhere, config=QUICK).notes)
