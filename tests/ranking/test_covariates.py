"""From columns of votes to a design: each covariate by its definition, its sign, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import davidson_votes

from palaestra.errors import InputError
from palaestra.ranking.covariates import Design, covariates
from palaestra.ranking.fit import fit
from palaestra.ranking.style import FEATURES, StyleDefinition


def column(name: str, **columns: Any) -> list[float]:
    return covariates(pl.DataFrame(columns), others=[name]).x_FB[0].tolist()


def counts(rows: int = 3) -> dict[str, list[int]]:
    names = ("sum_assistant_{}_tokens", "header_count_{}", "list_count_{}", "bold_count_{}")
    return {
        name.format(side): [10 + 7 * f + row * (1 - s) + 3 * s for row in range(rows)]
        for f, name in enumerate(names)
        for s, side in enumerate("ab")
    }


def said(prompt: Any, *answers: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": prompt}, *({"role": "assistant", "content": answer} for answer in answers)]


def test_a_design_has_style_first_then_the_others_in_the_order_asked_for() -> None:
    frame = pl.DataFrame(counts() | {"speed_a": [1.0, 2.0, 4.0], "speed_b": [1.0, 1.0, 1.0]})
    design = covariates(
        frame, style=["bold", "length"], others=["speed", "position"], definition=StyleDefinition.FASTCHAT
    )
    assert isinstance(design, Design)
    assert design.names == ("bold", "length", "speed", "position")
    assert design.x_FB.shape == (4, 3)
    assert design.x_FB.dtype == np.float64
    assert design.x_FB.flags.f_contiguous
    assert design.x_FB[0] == pytest.approx([(row - 3) / (2 * 31 + row + 3 + 1) for row in range(3)])
    assert design.x_FB[2:].tolist() == [[0, 1, 3], [1, 1, 1]]


def test_a_definition_may_be_named_by_its_text_and_an_unknown_one_is_refused() -> None:
    frame = pl.DataFrame(counts())
    for definition in StyleDefinition:
        by_text = covariates(frame, style=["all"], definition=definition.value)  # ty: ignore[invalid-argument-type]
        assert (by_text.x_FB == covariates(frame, style=["all"], definition=definition).x_FB).all()
    with pytest.raises(ValueError, match="'v1' is not a valid StyleDefinition"):
        covariates(frame, style=["all"], definition="v1")  # ty: ignore[invalid-argument-type]


# Covariates with names of their own


def test_position_is_one_in_every_vote() -> None:
    assert column("position", turn=[1, 2]) == [1, 1]


@pytest.mark.parametrize("kind", [pl.String, pl.Categorical, pl.Enum])
def test_same_organization_is_one_where_both_are_of_one_that_is_known(kind: Any) -> None:
    a, b = ["x", "x", None, None, "y"], ["x", "y", None, "x", "y"]
    types = [pl.Enum(["x", "y"]), pl.Enum(["y", "x"])] if kind is pl.Enum else [kind, kind]
    columns = {f"organization_{side}": pl.Series(of, dtype=t) for side, of, t in zip("ab", (a, b), types, strict=True)}
    assert column("same_organization", **columns) == [1, 0, 0, 0, 1]


def test_own_organization_is_the_judges_side() -> None:
    columns = {"organization_a": ["x", "y", "x", "z", None], "organization_b": ["y", "x", "x", "y", "x"]}
    assert column("own_organization", **columns, judge_organization=["x", "x", "x", "x", None]) == [1, -1, 0, 0, 0]


def test_refusals_of_each_side_are_needed() -> None:
    assert column("refusal", is_refusal_a=[True, False, True], is_refusal_b=[False, True, True]) == [1, -1, 0]
    with pytest.raises(InputError, match="is_refusal_a and is_refusal_b; is_refusal alone does not say whose it was"):
        column("refusal", is_refusal=[True, False])
    assert column("is_refusal", is_refusal=[True, False]) == [1, 0]


@pytest.mark.parametrize("name", ["latency", "first_token_s", "total_s"])
def test_latency_is_a_difference_of_logarithms(name: str) -> None:
    found = column("latency", **{f"{name}_a": [0.0, 1.0, 3.0], f"{name}_b": [1.0, 1.0, 0.0]})
    assert found == pytest.approx([-np.log(2), 0, np.log(4)], abs=1e-15)


def test_the_first_token_goes_before_the_last() -> None:
    both = {
        "total_s_a": [9.0, 9.0],
        "total_s_b": [0.0, 1.0],
        "first_token_s_a": [0.0, 1.0],
        "first_token_s_b": [1.0, 0.0],
    }
    assert column("latency", **both) == pytest.approx([-np.log(2), np.log(2)])


LINKED = said("hi", "no", "see https://a.org/x and [b](http://b.org), (https://c.org)")
PLAIN = said("http://of.the.prompt", "```\nhttp://in.code\n```", "https://a.org.")


def test_citations_are_counted_in_columns_then_parts_then_links() -> None:
    talks = {"conversation_a": [LINKED, PLAIN], "conversation_b": [PLAIN, PLAIN]}
    assert column("citations", **talks) == [3 - 1, 0]
    assert column("citations", **talks, citation_count_a=[4, 0], citation_count_b=[1, 5]) == [3, -5]
    packed = [{"citation_count_a": 4, "citation_count_b": 1}, {"citation_count_a": 0, "citation_count_b": 1}]
    assert column("citations", **talks, conv_metadata=packed) == [3, -1]
    source, text = {"type": "search_result", "text": "t"}, {"type": "text", "text": "http://a.org http://b.org"}
    found_a = [said([text], [source, source, text]), said([source], [text])]
    assert column("citations", conversation_a=found_a, conversation_b=[said([text], [source])] * 2) == [2 - 1, 0 - 1]


# Columns of one's own


def test_two_columns_are_a_difference_and_one_is_a_quality_of_the_battle() -> None:
    assert column("x", x_a=[1, 5], x_b=[3, 2]) == [-2, 3]
    assert column("x", x_a=[True, False], x_b=[False, False]) == [1, 0]
    assert column("x", x=[0.5, -2.0]) == [0.5, -2]
    assert column("x", x=[True, False]) == [1, 0]
    assert column("x", x=["1.5", "-2"]) == [1.5, -2]
    assert column("x", x=[7, 8], x_a=[1, 5], x_b=[3, 2]) == [-2, 3]


def test_the_side_may_stand_within_the_name() -> None:
    assert column("sum_assistant_tokens", sum_assistant_a_tokens=[7, 1], sum_assistant_b_tokens=[3, 2]) == [4, -1]


def test_columns_within_conv_metadata_are_found_and_their_parts_summed() -> None:
    counts_a = {"context_a_tokens": [5, 1], "header_count_a": [{"h1": 1, "h2": 2}, {"h1": 0, "h2": 0}], "turns": [1, 4]}
    counts_b = {"context_b_tokens": [2, 2], "header_count_b": [{"h1": 0, "h2": 0}, {"h1": 4, "h2": 1}]}
    packed = pl.DataFrame(counts_a | counts_b).to_struct().to_list()
    assert column("context_tokens", conv_metadata=packed) == [3, -1]
    assert column("turns", conv_metadata=packed) == [1, 4]
    assert column("header_count", conv_metadata=packed) == [3, -5]


def test_a_column_that_is_there_does_not_need_conv_metadata_to_be_readable() -> None:
    assert column("x", x=[1, 2], conv_metadata=["no JSON", "none"]) == [1, 2]


def test_ratios_and_logarithms() -> None:
    columns = {"x_a": [0, 3, 8], "x_b": [0, 1, 0]}
    assert column("x:ratio", **columns) == [0, 0.5, 1]
    assert column("x:log", **columns) == pytest.approx([0, np.log(4 / 2), np.log(9)])


NUMBER = st.floats(0, 1e9, allow_subnormal=False)


@given(rows=st.lists(st.tuples(NUMBER, NUMBER), min_size=2, max_size=30), form=st.sampled_from(["", ":ratio", ":log"]))
@settings(max_examples=100, deadline=None)
def test_swapping_the_sides_changes_the_sign_exactly(rows: list[tuple[float, float]], form: str) -> None:
    a, b = (list(side) for side in zip(*rows, strict=True))
    try:
        found = column(f"x{form}", x_a=a, x_b=b)
    except InputError:  # it does not vary
        with pytest.raises(InputError):
            column(f"x{form}", x_a=b, x_b=a)
        return
    assert column(f"x{form}", x_a=b, x_b=a) == [-x for x in found]


def test_centring_is_a_constant_of_the_left_side_and_moves_no_rating() -> None:
    """Published fits centre their features; beside `position` that changes position's coefficient and nothing else."""
    votes = davidson_votes(np.linspace(-1, 1, 5), 3000, np.random.default_rng(3), style=0.4).with_columns(
        pl.col("x") + 0.7
    )
    votes = votes.with_columns(centred=pl.col("x") - pl.col("x").mean())
    ours, published = (fit(votes, covariates=[name, "position"]) for name in ("x", "centred"))
    ratings = [{line.model: line.rating for line in board.models} for board in (ours, published)]
    assert ratings[0] == pytest.approx(ratings[1], abs=1e-5)
    per_unit = [board.effects[0].coefficient / board.effects[0].sd for board in (ours, published)]
    assert per_unit[0] == pytest.approx(per_unit[1], rel=1e-6)
    shift = per_unit[0] * float(votes["x"].to_numpy().mean())
    assert ours.effects[1].coefficient + shift == pytest.approx(published.effects[1].coefficient, abs=1e-6)


# What is refused


NESTED = {"x_a": [{"h1": 1}, {"h1": 2}], "x_b": [{"h1": 1}, None]}
SAME = {"organization_a": ["x", "x"], "organization_b": ["x", "x"]}
NO_TALK = {"conversation_a": [PLAIN, PLAIN], "conversation_b": [LINKED, None]}


@pytest.mark.parametrize(
    ("name", "said", "columns"),
    [
        ("sped", r"neither sped_a and sped_b nor sped; did you mean speed\? There are values in speed_a, speed_b", {}),
        ("postion", r"did you mean position\?", {}),
        ("zzz", r"nor zzz\. There are values in speed_a, speed_b, turn, .*; position, same_organization, .* names", {}),
        ("speed:cube", r"covariate speed:cube: found the form 'cube', expected ratio or log", {}),
        ("turn:log", r"covariate turn:log: found the column turn alone, expected turn_a and turn_b to compare", {}),
        ("x:log", r"covariate x:log: row 2 of x_b holds -1, expected 0 or more", {"x_a": [1, 1], "x_b": [0, -1]}),
        ("x:ratio", r"covariate x:ratio: row 1 of x_a holds -3, expected 0 or", {"x_a": [-3, 1], "x_b": [0, 1]}),
        ("x", r"covariate x: 1 of 2 rows have no x_b, the first is row 2; leave", {"x_a": [1, 2], "x_b": [1, None]}),
        ("x", r"covariate x: 1 of 2 rows have no x_b, the first is row 2; leave", NESTED),
        ("x", r"covariate x: row 2 holds no finite number", {"x": [1.0, float("nan")]}),
        ("x", r"covariate x: row 1 holds no finite number", {"x": [float("inf"), 1.0]}),
        ("x", r"column x: row 2 holds 'many', expected a number", {"x": ["1", "many"]}),
        ("x", r"column x: found values of type Date, expected numbers", {"x": pl.Series([1, 2]).cast(pl.Date)}),
        ("model", r"column model_a: found values of type Enum.*, expected numbers", {}),
        ("x", r"covariate x is zero in all 2 votes, so that nothing can be", {"x_a": [3, 1], "x_b": [3, 1]}),
        ("x", r"covariate x is 2 in all 2 votes; for an advantage of side a ask for position", {"x": [2, 2]}),
        (
            "same_organization",
            r"same_organization is 1 in all 2 votes; for an advantage of side a ask for position",
            SAME,
        ),
        ("same_organization", r"covariate same_organization needs the column organization_a; found speed_a", {}),
        ("own_organization", r"covariate own_organization needs the column judge_organization", SAME),
        ("refusal", r"covariate refusal needs the columns is_refusal_a and is_refusal_b; found speed_a", {}),
        ("latency", r"covariate latency needs the columns latency_a and latency_b or first_token_s_a and", {}),
        ("citations", r"needs citation_count_a and citation_count_b, or conversation_a and conversation_b; found", {}),
        ("citations", r"covariate citations: 1 of 2 rows have no conversation_b", NO_TALK),
    ],
)
def test_what_cannot_be_a_covariate_is_refused_in_words(name: str, said: str, columns: dict[str, Any]) -> None:
    models = {f"model_{side}": pl.Series([side] * 2, dtype=pl.Enum(["a", "b"])) for side in "ab"}
    with pytest.raises(InputError, match=said):
        column(name, speed_a=[1, 2], speed_b=[1, 1], turn=[1, 2], **models, **columns)


def test_a_covariate_twice_and_no_votes_are_refused() -> None:
    frame = pl.DataFrame(counts())
    with pytest.raises(
        InputError, match="found a covariate twice among length, position, position, expected each once"
    ):
        covariates(frame, style=["length"], others=["position", "position"])
    with pytest.raises(InputError, match="covariate header: found no votes"):
        covariates(frame.select(conv_metadata=pl.struct(pl.all())).clear(), style=["header"])
    assert covariates(frame.clear()).x_FB.shape == (0, 0)


def test_a_style_that_nobody_uses_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="covariate bold is zero in all 3 votes"):
        covariates(pl.DataFrame(counts() | {"bold_count_a": [0, 0, 0], "bold_count_b": [0, 0, 0]}), style=FEATURES)
