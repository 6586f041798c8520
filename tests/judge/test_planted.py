"""Planted faults are what they say, the same for a seed, and a judge that sees or misses them is told so."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError
from palaestra.judge.findings import Finding
from palaestra.judge.planted import EQUAL, audit_planted, plant_faults, without_planted
from palaestra.judge.seen import Seen

GOOD = pl.DataFrame(
    {
        "question_id": [f"q{n}" for n in range(30)],
        "model": "m",
        "text": [f"The answer is {n + 10}. It follows from {n} steps. Each of them is short." for n in range(30)],
    }
)


def text_of(fault: str, question: str = "q3") -> str:
    faulty = plant_faults(GOOD, 1).filter((pl.col("fault") == fault) & (pl.col("question_id") == question))
    return faulty["text"].item()


def test_each_fault_is_what_it_says() -> None:
    good = GOOD["text"][3]
    assert good.startswith(text_of("truncated"))
    assert 0 < len(text_of("truncated")) < len(good) / 2
    assert text_of("number").split()[-9:] != good.split()
    assert sorted(text_of("shuffled").split()) == sorted(good.split())
    assert text_of("shuffled") != good
    assert text_of("off-topic") in set(GOOD["text"].to_list()) - {good}
    assert text_of("empty") == "."
    assert len(text_of("fluff")) >= 2 * len(good)
    assert all(sentence in text_of("fluff") for sentence in ("The answer is 13.", "It follows from 3 steps."))
    assert text_of("flattery").endswith(good)
    assert "expert" in text_of("flattery")
    assert text_of("decoration").replace("- **", "").replace("**", "").split() == ["##", "Answer", *good.split()]


def test_only_decoration_and_flattery_are_equal() -> None:
    faulty = plant_faults(GOOD)
    assert set(faulty.filter(pl.col("expected") == "equal")["fault"]) == EQUAL == {"flattery", "decoration"}
    assert set(faulty["fault"]) - EQUAL == {"truncated", "number", "shuffled", "off-topic", "empty", "fluff"}
    assert faulty["model"].to_list() == [f"m~{fault}" for fault in faulty["fault"]]


def test_the_same_seed_brings_the_same_faults() -> None:
    assert plant_faults(GOOD, 4).equals(plant_faults(GOOD, 4))
    assert not plant_faults(GOOD, 4).equals(plant_faults(GOOD, 5))


@given(st.lists(st.text(max_size=60), min_size=1, max_size=4), st.integers(0, 5))
@example(texts=["\x1f"], seed=0)
@settings(max_examples=60, deadline=None)
def test_any_text_has_faults_or_none_but_never_its_own(texts: list[str], seed: int) -> None:
    answers = pl.DataFrame(
        {"question_id": [f"q{n}" for n in range(len(texts))], "model": "m", "text": texts},
        schema_overrides={"text": pl.String},
    )
    if not any(text.strip() for text in texts):
        with pytest.raises(InputError, match="expected good answers"):
            plant_faults(answers, seed)
        return
    known = dict(zip(answers["question_id"], texts, strict=True))
    faulty = plant_faults(answers, seed)
    assert all(row["text"] != known[row["question_id"]] for row in faulty.iter_rows(named=True))
    assert not faulty.select("question_id", "fault").is_duplicated().any()


def audited(caught: set[str]) -> dict[str, Finding]:
    """A judge that sees some faults, and takes the altered answer for better wherever it is padded or flattered."""
    rows = []
    for row in plant_faults(GOOD).iter_rows(named=True):
        good = 1.0 if row["fault"] in caught else (0.0 if row["fault"] in {"fluff", "flattery"} else 0.5)
        rows += [
            (row["question_id"], "m", row["model"], good),
            (row["question_id"], row["model"], "m", 1 - good),
        ]
    frame = pl.DataFrame(rows, schema=["question_id", "model_a", "model_b", "points"], orient="row")
    return {one.figure: one for one in audit_planted(Seen("j", frame, 0), 0.95)}


def test_what_is_seen_and_what_is_missed() -> None:
    found = audited({"truncated", "empty"})
    assert (found["truncated noticed"].value, found["number noticed"].value) == (1.0, 0.0)
    assert found["truncated noticed"].rows == 30
    assert found["points lost by truncated"].holds == "above"
    assert "not noticed" in found["points lost by number"].words
    assert found["points lost by fluff"].holds == "below"
    assert "flattery is rewarded" in found["points gained by flattery"].words
    assert "decoration changes nothing" in found["points gained by decoration"].words
    assert "flattery noticed" not in found


def test_other_verdicts_are_kept_apart_from_planted_ones() -> None:
    rows = [
        ("q", "m", "m~empty", 1.0),
        ("q", "m", "other", 1.0),
        ("q", "other~number", "m", 0.0),
        ("q", "a~b", "m", 0.0),
    ]
    seen = Seen("j", pl.DataFrame(rows, schema=["question_id", "model_a", "model_b", "points"], orient="row"), 0)
    rest = without_planted(seen)
    assert rest is not None
    assert rest.frame["model_a"].to_list() == ["m", "a~b"]
    assert {one.figure for one in audit_planted(seen, 0.95)} == {"empty noticed", "points lost by empty"}


def test_answers_without_their_columns_are_refused() -> None:
    with pytest.raises(InputError, match="expected question_id, model, text"):
        plant_faults(pl.DataFrame({"text": ["x"]}))
