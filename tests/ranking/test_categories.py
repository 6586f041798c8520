"""Which votes belong to which category, from each of the columns that releases have."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from palaestra.errors import InputError
from palaestra.ranking.categories import available, category_masks

CRITERIA = (
    "specificity",
    "domain_knowledge",
    "complexity",
    "problem_solving",
    "creativity",
    "technical_accuracy",
    "real_world",
)


def frame(rows: int, **columns: Any) -> pl.DataFrame:
    votes = {"model_a": ["a"] * rows, "model_b": ["b"] * rows, "winner": ["model_a"] * rows}
    return pl.DataFrame(votes | columns, strict=False)


def found(votes: pl.DataFrame, name: str) -> list[bool]:
    return category_masks(votes, [name])[name].tolist()


def released(met: int, **labels: bool) -> dict[str, Any]:
    """A category_tag of the releases of 100k and 140k votes."""
    return {
        "criteria_v0.1": {name: place < met for place, name in enumerate(CRITERIA)},
        "math_v0.1": {"math": labels.get("math", False)},
        "if_v0.1": {"if": labels.get("instructions", False), "score": 3},
        "creative_writing_v0.1": {"creative_writing": labels.get("creative", False), "score": "no"},
    }


TAGS = [released(6, math=True), released(5, instructions=True), released(7, creative=True), None]


@pytest.mark.parametrize("text", [False, True])
def test_labels_of_the_releases_as_structs_and_as_json(text: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    votes = frame(4, category_tag=[json.dumps(tag) if tag else None for tag in TAGS] if text else TAGS)
    assert found(votes, "hard") == [True, False, True, False]
    assert found(votes, "math") == [True, False, False, False]
    assert found(votes, "if") == [False, True, False, False]
    assert found(votes, "creative_writing") == [False, False, True, False]


@pytest.mark.parametrize("key", ["hard", "hard_prompt"])
def test_labels_of_our_own_maps(key: str) -> None:
    entries = [[{"key": key, "value": True}, {"key": "coding", "value": False}], [{"key": "coding", "value": True}], []]
    votes = frame(3, category_tag=entries)
    assert found(votes, "hard") == [True, False, False]
    assert found(votes, "coding") == [False, True, False]
    assert available(votes) == ("overall", "coding", "hard", "no_tie")


def test_a_label_hard_goes_before_the_criteria() -> None:
    votes = frame(2, category_tag=[released(7) | {"hard": False}, released(5) | {"hard": True}])
    assert found(votes, "hard") == [False, True]


@pytest.mark.parametrize("column", ["math", "is_math"])
def test_a_plain_column_goes_before_the_tags(column: str) -> None:
    votes = frame(4, category_tag=TAGS, **{column: [False, True, None, True]})
    assert found(votes, "math") == [False, True, False, True]


def test_plain_columns_of_text_as_a_csv_has_them() -> None:
    votes = frame(3, is_code=["True", "False", None], is_refusal=["true", "false", None], turn=["1", "2", None])
    assert found(votes, "coding") == [True, False, False]
    assert found(votes, "no_refusal") == [False, True, True]
    assert found(votes, "multi_turn") == [False, True, False]


def test_a_refusal_of_either_side_counts() -> None:
    votes = frame(3, is_refusal_a=[True, False, False], is_refusal_b=[False, False, True])
    assert found(votes, "no_refusal") == [False, True, False]


@pytest.mark.parametrize("kind", [pl.String, pl.Categorical])
def test_languages_by_name_and_by_code(kind: type[pl.DataType]) -> None:
    spoken = ["English", "en", "EN-us", "zh_CN", "Chinese", "ende", "unknown", None]
    votes = frame(8, language=pl.Series(spoken, dtype=kind))
    assert found(votes, "english") == [True, True, True, False, False, False, False, False]
    assert found(votes, "chinese") == [False, False, False, True, True, False, False, False]
    assert found(votes, "korean") == [False] * 8


def test_hard_english_is_both() -> None:
    votes = frame(4, category_tag=TAGS, language=["en", "en", "de", "en"])
    assert found(votes, "hard_english") == [True, False, False, False]


TALK = [[{"role": role, "content": text} for role, text in said] for said in (
    [("user", "Hi"), ("assistant", "Hello")],
    [("user", "word " * 300), ("assistant", "ok"), ("user", "word " * 200), ("assistant", "ok")],
)]  # fmt: skip


@pytest.mark.parametrize(
    "columns",
    [
        {"turn": [1, 2], "sum_user_tokens": [4, 500]},
        {"conv_metadata": [{"turns": 1, "sum_user_tokens": 4}, {"turns": 2, "sum_user_tokens": 500}]},
        {"conv_metadata": ['{"turns": 1, "sum_user_tokens": 4}', '{"turns": 2, "sum_user_tokens": 500}']},
        {"conversation_a": TALK, "conversation_b": TALK},
        {"turn": [1, 2], "conv_metadata": [{"turns": 3, "sum_user_tokens": 0}, {"turns": 3, "sum_user_tokens": 999}]},
    ],
)
def test_turns_and_length_from_each_source(columns: dict[str, Any]) -> None:
    votes = frame(2, **columns)
    for name in ("multi_turn", "long_user", "no_short"):
        assert found(votes, name) == [False, True], name


def test_lengths_at_the_thresholds() -> None:
    votes = frame(5, sum_user_tokens=[4, 5, 499, 500, None])
    assert found(votes, "no_short") == [False, True, True, True, False]
    assert found(votes, "long_user") == [False, False, False, True, False]


def test_ties_and_repeated_prompts_and_the_sixth_vote_of_a_day() -> None:
    winners = ["model_a", "tie", "both_bad", "model_b", "model_a", "model_a", "model_a"]
    tags = [{"high_freq": i % 2 == 0, "sampled": i == 2} for i in range(7)]
    times = pl.Series(range(7)).cast(pl.Datetime("us", "UTC"))
    votes = frame(7, winner=winners, dedup_tag=tags, voter=["v"] * 6 + ["w"], tstamp=times)
    assert found(votes, "no_tie") == [True, False, False, True, True, True, True]
    assert found(votes, "dedup") == [False, True, True, True, False, True, False]
    assert found(votes, "overall_limit_5_user_vote") == [True] * 5 + [False, True]


def test_industries_are_the_occupational_tags() -> None:
    tags = [{"mathematical": True, "legal_and_government": None}, {"mathematical": None, "legal_and_government": True}]
    votes = frame(2, occupational_tags=tags)
    assert found(votes, "industry_mathematical") == [True, False]
    assert available(votes)[-2:] == ("industry_legal_and_government", "industry_mathematical")
    with pytest.raises(InputError, match=r"industry_travel needs occupational_tags with travel; found .*mathematical"):
        category_masks(votes, ["industry_travel"])


def test_labels_of_pictures() -> None:
    votes = frame(2, category_tag=[{"ocr_v0.1": {"ocr": True}}, {"ocr_v0.1": {"ocr": False}}])
    assert found(votes, "ocr") == [True, False]


def test_all_is_what_is_available_and_overall_is_first() -> None:
    votes = frame(4, category_tag=TAGS, language=["en", "de", "de", None], is_code=[True, None, False, False])
    masks = category_masks(votes, ["all"])
    assert tuple(masks) == available(votes)
    assert tuple(masks)[:2] == ("overall", "english")
    assert masks["overall"].all()
    assert all(mask.dtype == bool and mask.shape == (4,) for mask in masks.values())
    assert {"coding", "hard", "hard_english", "if", "math", "creative_writing", "no_tie"} <= set(masks)
    assert not {"multi_turn", "long_user", "no_short", "expert", "dedup", "no_refusal"} & set(masks)


def test_names_of_the_public_board_are_kept_as_asked() -> None:
    votes = frame(4, category_tag=TAGS, language=["en"] * 4, turn=[1, 2, 3, 4], sum_user_tokens=[1, 5, 500, 900])
    pairs = {
        "full": "overall",
        "multiturn": "multi_turn",
        "long_query": "long_user",
        "hard_6": "hard",
        "hard_english_6": "hard_english",
        "instruction_following": "if",
    }
    masks = category_masks(votes, [*pairs])
    assert list(masks) == [*pairs]
    assert all(masks[public].tolist() == found(votes, ours) for public, ours in pairs.items())


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("turn >= 2 AND is_code", [False, True, False, False]),
        ("conv_metadata.turns > 1", [False, True, True, False]),
        ('category_tag."math_v0.1".math', [True, False, False, False]),
        ("winner = 'model_a' AND turn <> 1", [False, True, True, False]),
        ("turn > (AVG(turn))", [False, False, True, False]),
        ("tstamp >= DATE '2001-01-01'", [False, False, True, True]),
        ("TRUE", [True] * 4),
    ],
)
def test_an_expression_over_the_columns(expression: str, expected: list[bool]) -> None:
    times = pl.Series([0, 1, 10**15, 2 * 10**15]).cast(pl.Datetime("us", "UTC"))
    turns = [1, 2, 3, None]
    votes = frame(
        4,
        turn=turns,
        is_code=[True, True, None, True],
        conv_metadata=[{"turns": turn} for turn in turns],
        category_tag=TAGS,
        tstamp=times,
    )
    assert found_by(votes, f"mine={expression}") == expected


def test_an_expression_reaches_the_entries_of_maps() -> None:
    entries = [[{"key": "math", "value": True}], [{"key": "math", "value": False}], None]
    column = pl.Series(entries, dtype=pl.List(pl.Struct({"key": pl.String, "value": pl.Boolean})))
    votes = frame(3, category_tag=column.cast(pl.Map(pl.String, pl.Boolean)), turn=[1, 1, 1])
    assert found_by(votes, "mine=NOT category_tag.math AND turn = 1") == [False, True, True]
    with pytest.raises(InputError, match=r"the votes have the columns .*, category_tag\.math, turn"):
        category_masks(votes, ["mine=category_tag.nowhere"])


def found_by(votes: pl.DataFrame, item: str) -> list[bool]:
    return category_masks(votes, [item])["mine"].tolist()


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("turn >", "unable to parse"),
        ("nowhere > 3", "nowhere"),
        ("conv_metadata.nowhere > 3", "StructFieldNotFoundError: nowhere"),
        ("turn = 'two'", "cannot compare string"),
        ("", "unable to parse"),
    ],
)
def test_a_wrong_expression_is_shown_with_the_reason_and_the_columns(expression: str, said: str) -> None:
    votes = frame(1, turn=[1], conv_metadata=[{"turns": 1}])
    with pytest.raises(InputError) as refused:
        category_masks(votes, [f"mine={expression}"])
    message = str(refused.value)
    assert f"category mine: cannot use the expression {expression!r}" in message
    assert said in message
    assert "the votes have the columns model_a, model_b, winner, turn, conv_metadata, conv_metadata.turns" in message


def test_an_expression_that_is_no_truth_is_refused() -> None:
    with pytest.raises(InputError, match="category turn: '1' gives Int32, expected true or false for each vote"):
        category_masks(frame(1, turn=[1]), ["turn=1"])


@pytest.mark.parametrize("item", ["math=TRUE", "all=TRUE", "full=TRUE", "a b=TRUE", "=TRUE", "turn>=2"])
def test_a_name_that_is_taken_or_none_is_refused(item: str) -> None:
    with pytest.raises(InputError, match=r"exists already|expected letters, digits"):
        category_masks(frame(1, turn=[1]), [item])
    with pytest.raises(InputError, match="'mine' exists already"):
        category_masks(frame(1, turn=[1]), ["mine=TRUE", "mine=FALSE"])


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("math", "category math needs a column math or is_math, or category_tag with math_v0.1 or math"),
        ("coding", "is_code"),
        ("hard_6", "criteria_v0.1"),
        ("hard_english", "criteria_v0.1, and the column language"),
        ("german", "the column language"),
        ("multi_turn", "the column turn, conv_metadata with turns, or conversation_a"),
        ("long_user", "sum_user_tokens"),
        ("no_refusal", "is_refusal"),
        ("dedup", "dedup_tag"),
        ("overall_limit_5_user_vote", "the columns voter and tstamp"),
    ],
)
def test_missing_columns_are_named_with_what_is_there(name: str, needs: str) -> None:
    with pytest.raises(InputError) as refused:
        category_masks(frame(1), [name])
    assert needs in str(refused.value)
    assert "found values in model_a, model_b, winner" in str(refused.value)


def test_a_column_without_values_is_not_there() -> None:
    votes = frame(2, language=[None, None], turn=[None, None], category_tag=[None, None], conversation_a=TALK)
    assert available(votes) == ("overall", "multi_turn", "long_user", "no_tie", "no_short")
    assert found(votes, "multi_turn") == [False, True]


def test_no_votes_have_empty_masks() -> None:
    masks = category_masks(frame(1, language=["en"], turn=[2]).clear(), ["all", "mine=turn > 1"])
    assert {name: mask.shape for name, mask in masks.items()} == dict.fromkeys(masks, (0,))
    assert {"overall", "english", "multi_turn", "mine"} <= set(masks)


def test_an_unknown_name_is_answered_with_those_near_it() -> None:
    with pytest.raises(
        InputError, match=r"found the category 'englich', expected NAME=EXPRESSION, all, .* did you mean english"
    ):
        category_masks(frame(1), ["englich"])


def test_a_column_that_is_no_label_stops_all_rather_than_being_passed_over() -> None:
    with pytest.raises(InputError, match="column math: row 1 holds 7"):
        available(frame(1, math=[7]))
