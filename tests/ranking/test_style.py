"""Counts of style from every shape in which releases have them, from texts, and the published formulas."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError
from palaestra.ranking.config import FitConfig
from palaestra.ranking.fit import read_coded
from palaestra.ranking.style import (
    FEATURES,
    StyleDefinition,
    count_in_messages,
    named_features,
    style_columns,
    style_counts,
    style_features,
    user_tokens,
)

KOREAN = Path(__file__).parents[3] / "shared" / "data" / "judgments" / "ko-arena-hard"
COLUMNS = {
    "length": "sum_assistant_{}_tokens",
    "header": "header_count_{}",
    "list": "list_count_{}",
    "bold": "bold_count_{}",
}


# Counting in texts


def talk(*answers: Any, **more: Any) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = []
    for answer in answers:
        said += [{"role": "user", "content": "Hi **you**"}, {"role": "assistant", "content": answer} | more]
    return said


def counted(*answers: str) -> dict[str, float]:
    """Counts of one conversation on side a, beside an empty one."""
    frame = pl.DataFrame({"conversation_a": [talk(*answers)], "conversation_b": [talk("")]})
    return {name: style_counts(frame)[f"{name}_a"][0] for name in FEATURES}


@pytest.mark.parametrize(
    ("text", "headers", "items", "bold"),
    [
        ("# One\ntext\n###### Six\n####### Seven is none\n#none\n # indented is none", 2, 0, 0),
        ("#\tTab\n#\nan empty one, as the public rule has it", 2, 0, 0),
        ("- a\n* b\n+ c\n-none\n1. d\n  12. nested\n\t- nested\n1) none\n1.none\n--- none", 0, 6, 0),
        ("\n\n\n- after empty lines\n\n- another", 0, 2, 0),
        ("**a** __b__ **c d**, *none* _none_ **** ____", 0, 0, 3),
        ("**over\na line** __over\na line__", 0, 0, 0),
        ("__**both**__", 0, 0, 2),
        ("**a **b** c**", 0, 0, 2),
        ("```python\n# comment\n- x\n**y**\n```\n# Header", 1, 0, 0),
        ("```\n`- in` code with `ticks`\n# none\n```\n- item", 0, 1, 0),
        ("```# a```- not at the beginning of a line", 0, 0, 0),
        ("```a```\n# between\n```b\n# inside```", 1, 0, 0),
        ("```never closed\n# header", 1, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_markdown_is_counted_outside_code(text: str, headers: int, items: int, bold: int) -> None:
    found = counted(text)
    assert (found["header"], found["list"], found["bold"]) == (headers, items, bold)


def test_answers_of_a_conversation_add_up_and_prompts_do_not_count() -> None:
    assert counted("# A\n- x", "# B\n- y **z**") == {"length": 4 + 9, "header": 2, "list": 2, "bold": 1}


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It's 3.5 km.", 8),
        ("snake_case", 1),
        ("我喜欢你。", 5),
        ("カタカナ ひらがな", 8),
        ("ก็ดี", 4),
        ("naïve한국어", 1),
        (" \n\t", 0),
    ],
)
def test_tokens_are_estimated_by_words_marks_and_characters_without_blanks(text: str, tokens: int) -> None:
    assert counted(text)["length"] == tokens


def twin(answer: str) -> dict[str, int]:
    """FastChat's rule in plain Python, and the estimate of tokens character by character."""
    bare = re.sub(r"```.*?```", "``````", answer, flags=re.DOTALL)
    headers = sum(len(re.findall(rf"^#{{{n}}}\s", bare, re.MULTILINE)) for n in range(1, 7))
    ordered = len(re.findall(r"^\s*\d+\.\s", bare, re.MULTILINE))
    unordered = len(re.findall(r"^\s*[-*+]\s", bare, re.MULTILINE))
    bold = len(re.findall(r"\*\*[^*\n]+\*\*", bare)) + len(re.findall(r"__[^_\n]+__", bare))
    tokens, in_word = 0, False
    for sign in answer:
        word = sign == "_" or sign.isalnum()
        alone = unicodedata.name(sign, "").startswith(("CJK UNIFIED", "HIRAGANA LETTER", "KATAKANA LETTER"))
        tokens += (alone or not (word and in_word)) and not sign.isspace()
        in_word = word and not alone
    return {"length": tokens, "header": headers, "list": ordered + unordered, "bold": bold}


PIECES = [
    "#",
    "##",
    " ",
    "\n",
    "\n\n",
    "-",
    "*",
    "**",
    "__",
    "_",
    "+",
    "1.",
    "23.",
    "\t",
    "```",
    "`",
    "a",
    "word",
    "é",
    "字",
    "カ",
    ".",
    "```py\n",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


@given(votes=st.lists(st.tuples(st.lists(TEXTS, max_size=3), st.lists(TEXTS, max_size=3)), min_size=1, max_size=6))
@settings(max_examples=150, deadline=None)
def test_columns_count_what_a_plain_loop_counts(votes: list[tuple[list[str], list[str]]]) -> None:
    empty = pl.DataFrame({"conversation_a": [talk("x")], "conversation_b": [talk("x")]}).clear()
    rows = pl.DataFrame(
        {"conversation_a": [talk(*a) for a, _ in votes], "conversation_b": [talk(*b) for _, b in votes]},
        schema=empty.schema,
    )
    found = style_counts(rows)
    for side, texts in zip("ab", zip(*votes, strict=True), strict=True):
        for name in FEATURES:
            assert found[f"{name}_{side}"].to_list() == [sum(twin(answer)[name] for answer in said) for said in texts]


def typed(answers: list[str]) -> list[dict[str, Any]]:
    """The same conversation in typed parts, with things that are no text of the answer."""
    return [
        message
        | {
            "content": [
                {"type": "search_result", "text": "# not **said**", "url": "u"},
                {"type": "text", "text": message["content"], "url": None},
                {"type": "image", "text": None, "url": "u"},
            ]
        }
        for message in talk(*answers)
    ]


def test_typed_parts_text_and_json_of_both_count_alike() -> None:
    answers = [["# A\n**b**", "- c"], ["```\n# d\n```"], []]
    plain = pl.DataFrame({f"conversation_{side}": [talk(*a) for a in answers] for side in "ab"})
    parts = pl.DataFrame({f"conversation_{side}": [typed(a) for a in answers] for side in "ab"})
    text = plain.select(pl.Series(c.name, [json.dumps(v.to_list()) for v in c]) for c in plain)
    parts_text = parts.select(pl.Series(c.name, [json.dumps(v.to_list()) for v in c]) for c in parts)
    for other in (parts, text, parts_text):
        assert style_counts(other).equals(style_counts(plain))
    assert style_counts(plain)["header_a"].to_list() == [1, 0, 0]


@pytest.mark.parametrize("kind", [{"type": "text"}, {}])
def test_several_text_parts_are_joined_by_a_blank_line(kind: dict[str, str]) -> None:
    said = [{"role": "assistant", "content": [kind | {"text": "one"}, kind | {"text": "# two"}]}]
    assert style_counts(pl.DataFrame({"conversation_a": [said], "conversation_b": [said]}))["header_a"][0] == 1


def test_own_tokens_are_taken_only_if_all_answers_of_both_sides_have_them() -> None:
    with_own, without = talk("one two", num_tokens=9), talk("one two", num_tokens=None)
    both = pl.DataFrame({"conversation_a": [with_own], "conversation_b": [with_own]})
    one = pl.DataFrame({"conversation_a": [with_own], "conversation_b": [without]}, schema=both.schema)
    assert style_counts(both, ["length"]).row(0) == (9, 9)
    assert style_counts(one, ["length"]).row(0) == (2, 2)


# The sources of counts


COUNTS = {"length": ([120, 5], [80, 0]), "header": ([3, 0], [1, 0]), "list": ([7, 1], [0, 0]), "bold": ([2, 0], [9, 0])}
PARTS = {"header": ("h1", "h2"), "list": ("ordered", "unordered"), "bold": ("**", "__")}


def flat() -> pl.DataFrame:
    return pl.DataFrame(
        {COLUMNS[name].format(side): COUNTS[name]["ab".index(side)] for name in FEATURES for side in "ab"}
    )


def nested() -> list[dict[str, Any]]:
    def split(name: str, count: int) -> Any:
        return dict(zip(PARTS[name], (count // 2, count - count // 2), strict=True)) if name in PARTS else count

    return [
        {COLUMNS[n].format(side): split(n, COUNTS[n]["ab".index(side)][row]) for n in FEATURES for side in "ab"}
        | {"sum_user_tokens": 10 + row, "turns": 1}
        for row in range(2)
    ]


def as_entries(packed: list[dict[str, Any]], kind: str) -> pl.DataFrame:
    """Counts as maps, or as lists of their entries."""
    arrow = {
        name: pa.map_(pa.string(), pa.int64()) if isinstance(v, dict) else pa.int64() for name, v in packed[0].items()
    }
    rows = [{name: list(v.items()) if isinstance(v, dict) else v for name, v in row.items()} for row in packed]
    table = pa.table({"conv_metadata": pa.array(rows, type=pa.struct(arrow))})
    if kind == "map":
        return pl.DataFrame(pl.from_arrow(table))
    entries = [
        {n: [{"key": k, "value": c} for k, c in v.items()] if isinstance(v, dict) else v for n, v in row.items()}
        for row in packed
    ]
    return pl.DataFrame({"conv_metadata": entries})


SHAPES = {
    "struct of numbers": lambda: flat().select(conv_metadata=pl.struct(pl.all())),
    "struct of structs": lambda: pl.DataFrame({"conv_metadata": nested()}),
    "map": lambda: as_entries(nested(), "map"),
    "list of entries": lambda: as_entries(nested(), "entries"),
    "JSON": lambda: pl.DataFrame({"conv_metadata": [json.dumps(row) for row in nested()]}),
    "columns of structs": lambda: pl.DataFrame(nested()),
    "columns of JSON": lambda: pl.DataFrame([{n: json.dumps(v) for n, v in row.items()} for row in nested()]),
    "columns of text": lambda: flat().cast(pl.String),
    "columns with a dot": lambda: flat().rename(lambda name: f"conv_metadata.{name}"),
    "columns with a stroke": lambda: flat().rename(lambda name: f"conv_metadata_{name}"),
    "small unsigned": lambda: flat().cast(pl.UInt8),
    "decimals": lambda: flat().cast(pl.Decimal(12, 2)),
    "beside conversations": lambda: flat().with_columns(conversation_a=pl.lit(None), conversation_b=pl.lit(None)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_counts_is_read_alike(shape: str) -> None:
    frame = SHAPES[shape]()
    found = style_counts(frame)
    assert found.columns == [f"{name}_{side}" for name in FEATURES for side in "ab"]
    for name in FEATURES:
        for side, counts in zip("ab", COUNTS[name], strict=True):
            assert found[f"{name}_{side}"].to_list() == counts, (name, side)
    for definition in StyleDefinition:
        assert (style_features(frame, FEATURES, definition) == style_features(flat(), FEATURES, definition)).all()


def test_absent_keys_of_nested_counts_are_zero() -> None:
    text = ['{"h1": 2}', "{}", '{"h3": 1, "h1": 1}']
    found = style_counts(pl.DataFrame({"header_count_a": text, "header_count_b": text}), ["header"])
    assert found["header_a"].to_list() == [2, 0, 2]


@pytest.mark.parametrize("shape", ["struct of structs", "map", "list of entries", "JSON"])
def test_absent_nested_counts_are_gaps_and_not_zero(shape: str) -> None:
    whole = SHAPES[shape]()
    frame = pl.concat([whole, whole.clear(1)])
    with pytest.raises(
        InputError, match=r"style header: 1 of 3 rows have no conv_metadata.header_count_a, the first is row 3"
    ):
        style_counts(frame, ["header"])


def test_the_three_sources_agree() -> None:
    texts = ["# A\n- b **c**", "plain", "1. x\n2. y\n__z__"]
    talks = pl.DataFrame(
        {f"conversation_{side}": [talk(text) for text in texts[::step]] for side, step in (("a", 1), ("b", -1))}
    )
    counts = style_counts(talks)
    columns = {f"{name}_{side}": COLUMNS[name].format(side) for name in FEATURES for side in "ab"}
    plain = counts.rename(columns)
    packed = plain.select(conv_metadata=pl.struct(pl.all()))
    for definition in StyleDefinition:
        expected = style_features(talks, FEATURES, definition)
        assert (style_features(plain, FEATURES, definition) == expected).all()
        assert (style_features(packed, FEATURES, definition) == expected).all()


def test_counts_go_before_conversations_and_both_sides_come_from_one_source() -> None:
    talks = {"conversation_a": [talk("# A")], "conversation_b": [talk("# B\n# C")]}
    assert style_counts(pl.DataFrame(talks | {"header_count_a": [7], "header_count_b": [8]}), ["header"]).row(0) == (
        7,
        8,
    )
    assert style_counts(pl.DataFrame(talks | {"header_count_a": [7]}), ["header"]).row(0) == (1, 2)
    unknown = pl.DataFrame(talks | {"header_count_a": [None], "header_count_b": [None]})
    assert style_counts(unknown, ["header"]).row(0) == (1, 2)


def test_our_own_battles_are_read_from_their_table() -> None:
    from palaestra.schema import Battle
    from palaestra.schema.battle import StyleCounts
    from palaestra.schema.record import to_table

    sides = {
        "header_count_a": {"h1": 2, "h2": 1},
        "header_count_b": {},
        "bold_count_a": {"**": 1},
        "list_count_b": {"ordered": 4},
    }
    counts = StyleCounts(sum_assistant_a_tokens=10, sum_assistant_b_tokens=30).model_copy(update=sides)
    battle = Battle(id="1", model_a="x", model_b="y", winner="tie", conv_metadata=counts)
    frame = pl.DataFrame(pl.from_arrow(to_table(Battle, [battle])))
    assert style_counts(frame).row(0) == (10, 30, 3, 0, 0, 4, 1, 0)


def test_user_tokens_come_from_counts_or_prompts() -> None:
    said = [
        {"role": "user", "content": "one two"},
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": "three"},
    ]
    for columns, expected in (({"conv_metadata": nested()}, [10, 11]), ({"conversation_a": [said, None]}, [3, None])):
        found = user_tokens(pl.DataFrame(columns))
        assert found is not None
        assert found.to_list() == expected
    assert user_tokens(flat()) is None


def test_conversations_are_read_only_where_counts_are_missing(tmp_path: Path) -> None:
    talks = ["conversation_a", "conversation_b"]
    assert style_columns(["language", *flat().columns, *talks]) == flat().columns
    assert style_columns(["conv_metadata", *talks]) == ["conv_metadata"]
    assert style_columns([*flat().columns[:-1], *talks]) == [*flat().columns[:-1], *talks]
    votes = pl.DataFrame(
        {
            "model_a": ["x"],
            "model_b": ["y"],
            "winner": ["tie"],
            "conv_metadata": [nested()[0]],
            "conversation_a": [talk("")],
        }
    )
    votes.write_parquet(tmp_path / "votes.parquet")
    kept = read_coded(tmp_path / "votes.parquet", FitConfig(style=("all",))).frame
    assert set(kept.columns) == {"model_a", "model_b", "winner", "conv_metadata"}


# The formulas


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("blog", {"length": (120 - 80) / 200, "header": (3 - 1) / 4, "list": 7 / 7, "bold": (2 - 9) / 11}),
        ("fastchat", {"length": 40 / 201, "header": 2 / 5, "list": 7 / 8, "bold": -7 / 12}),
        ("arena-hard-v0.1", {"length": 40 / 201, "header": 2 / 5, "list": 7 / 8, "bold": -7 / 12}),
        (
            "arena-hard-v2.0",
            {
                "length": 40 / 200,
                "header": (3 / 121 - 1 / 81) / (3 / 121 + 1 / 81 + 1),
                "list": (7 / 121) / (7 / 121 + 1),
                "bold": (2 / 121 - 9 / 81) / (2 / 121 + 9 / 81 + 1),
            },
        ),
    ],
)
def test_each_definition_by_hand(definition: str, expected: dict[str, float]) -> None:
    found = style_features(flat(), FEATURES, StyleDefinition(definition))
    assert found[:, 0] == pytest.approx([expected[name] for name in FEATURES], abs=1e-15)


def test_nothing_on_both_sides_is_no_difference() -> None:
    none = flat().with_columns(pl.all() * 0)
    for definition in StyleDefinition:
        assert (style_features(none, FEATURES, definition) == 0).all()


def test_densities_need_tokens_even_if_length_is_not_asked_for() -> None:
    found = style_features(flat(), ("bold",), StyleDefinition.ARENA_HARD_2)
    assert (found == style_features(flat(), FEATURES, StyleDefinition.ARENA_HARD_2)[3]).all()
    with pytest.raises(
        InputError, match="style length: found neither sum_assistant_a_tokens and sum_assistant_b_tokens"
    ):
        style_features(flat().select("bold_count_a", "bold_count_b"), ("bold",), StyleDefinition.ARENA_HARD_2)


COUNT = st.integers(0, 10**6)


@given(
    rows=st.lists(st.lists(COUNT, min_size=8, max_size=8), min_size=1, max_size=20),
    definition=st.sampled_from(StyleDefinition),
)
@settings(max_examples=100, deadline=None)
def test_swapping_the_sides_changes_the_sign_exactly_and_features_stay_within_one(
    rows: list[list[int]], definition: StyleDefinition
) -> None:
    votes = pl.DataFrame(rows, schema=flat().columns, orient="row")
    other = {f"_{x}": f"_{y}" for x, y in ("ab", "ba")}
    swapped = votes.rename(lambda name: re.sub("_[ab](?=_|$)", lambda side: other[side[0]], name))
    x_FB = style_features(votes, FEATURES, definition)
    assert (style_features(swapped, FEATURES, definition) == -x_FB).all()
    assert np.abs(x_FB).max() <= 1


def test_names_of_groups_stand_for_features() -> None:
    assert named_features(["all"]) == FEATURES
    assert named_features(["bold", "markdown"]) == ("bold", "header", "list")
    assert named_features([]) == ()
    with pytest.raises(InputError, match="found the style 'emoji', expected length, header, list, bold, all, markdown"):
        named_features(["emoji"])


# What is refused


NO_TEXT = [{"role": "assistant", "content": [1]}]
TWO_SHAPES = [json.dumps(talk("x")), json.dumps(talk([{"text": "y"}]))]


@pytest.mark.parametrize(
    ("said", "columns"),
    [
        (
            r"style header: found neither header_count_a and header_count_b, .* nor conversation_a and conversation_b",
            {"turn": [1]},
        ),
        (
            r"column conv_metadata: row 1 holds .*header_count_a': 1.*, expected a struct of counts as JSON",
            {"conv_metadata": ["{'header_count_a': 1}"]},
        ),
        (r"conv_metadata: found values of type List\(Int64\), expected a struct of counts", {"conv_metadata": [[1]]}),
        (
            r"2 of 3 rows have no header_count_a, the first is row 2; .* 'counted=header_count_a IS NOT NULL'",
            {"header_count_a": [3, None, None], "header_count_b": [1, 1, 1]},
        ),
        (
            r"1 of 2 rows have no conv_metadata.header_count_a, the first is row 2",
            {"conv_metadata": [{"header_count_a": 1, "header_count_b": 1}, None]},
        ),
        (
            r"style header: row 2 has the header_count_b -1, expected 0 or more",
            {"header_count_a": [1, 0], "header_count_b": [0, -1]},
        ),
        (
            r"column header_count_a: row 1 holds 'one', expected a number",
            {"header_count_a": ["one"], "header_count_b": ["2"]},
        ),
        (
            r"header_count_a: found values of type Struct.*, expected numbers",
            {"header_count_a": [{"h1": "x"}], "header_count_b": [{"h1": "x"}]},
        ),
        (
            r"header_count_a: found values of type List\(Int64\), expected numbers",
            {"header_count_a": [[1]], "header_count_b": [[1]]},
        ),
        (
            r"1 of 2 rows have no conversation_a, the first is row 2",
            {"conversation_a": [talk("x"), None], "conversation_b": [talk("x"), talk("y")]},
        ),
        (
            r"column conversation_a: row 2 holds 'x', expected a list of messages as JSON",
            {"conversation_a": ["[]", "x"], "conversation_b": ["[]", "x"]},
        ),
        (r"expected a list of messages with role, content", {"conversation_a": [[1]], "conversation_b": [[1]]}),
        (r"expected text, or a list of parts with text", {"conversation_a": [NO_TEXT], "conversation_b": [NO_TEXT]}),
        (
            r"column conversation_a: found JSON of several shapes .*, expected a list of messages in each row",
            {"conversation_a": TWO_SHAPES, "conversation_b": TWO_SHAPES},
        ),
    ],
)
def test_what_cannot_be_counted_is_refused_in_words(said: str, columns: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=said):
        style_counts(pl.DataFrame(columns), ["header"])


def test_the_remedy_for_gaps_works() -> None:
    from palaestra.ranking.categories import category_masks

    votes = pl.DataFrame({"conv_metadata": [*nested(), None]})
    with pytest.raises(InputError, match="the first is row 3") as refused:
        style_counts(votes)
    remedy = re.search("'(counted=.*)'", str(refused.value))
    assert remedy
    kept = category_masks(votes, [remedy[1]])["counted"]
    assert style_counts(votes.filter(pl.Series(kept))).height == 2


def test_patterns_are_counted_in_the_messages_of_a_role() -> None:
    column = pl.Series(
        "conversation_a", [talk("a a", "a"), [], None], dtype=pl.DataFrame({"x": [talk("a")]}).schema["x"]
    )
    assert count_in_messages(column, "assistant", "a").to_list() == [3, 0, None]
    assert count_in_messages(column, "user", r"\A").to_list() == [2, 0, None]


@pytest.mark.skipif(not KOREAN.is_dir(), reason="the published files are kept beside the project")
def test_the_published_counts_of_the_korean_arena_hard() -> None:
    """All 76 models against one: features by numpy from the published counts, read as maps of their parts."""
    published = pl.read_csv(KOREAN / "answer_style_metadata.csv.gz")
    parts = {
        "header": [f"h{n}" for n in range(1, 7)],
        "list": ["ordered", "unordered"],
        "bold": ["bold_star", "bold_under"],
    }
    side = published.select("model", "question_id", length="token_len", **{n: pl.struct(p) for n, p in parts.items()})
    baseline = side.filter(model=side["model"][0]).drop("model")
    pairs = side.filter(pl.col("model") != side["model"][0]).join(baseline, on="question_id", suffix="_base")
    frame = pairs.select(
        pl.col(f"{name}{end}").alias(COLUMNS[name].format(x))
        for name in FEATURES
        for x, end in (("a", ""), ("b", "_base"))
    )
    total = {
        f"{n}{end}": pairs.unnest(f"{n}{end}").select(pl.sum_horizontal(p)).to_series().to_numpy()
        for n, p in parts.items()
        for end in ("", "_base")
    }
    assert len(frame) > 30_000
    a, b = (
        np.array([pairs[f"length{end}"].to_numpy(), *(total[f"{n}{end}"] for n in parts)], float)
        for end in ("", "_base")
    )
    with np.errstate(invalid="ignore"):
        blog = np.nan_to_num((a - b) / (a + b))
    p, q = a / (a[0] + 1), b / (b[0] + 1)
    dense = np.concatenate([blog[:1], ((p - q) / (p + q + 1))[1:]])
    assert style_features(frame, FEATURES, StyleDefinition.BLOG) == pytest.approx(blog, abs=1e-15)
    assert style_features(frame, FEATURES, StyleDefinition.FASTCHAT) == pytest.approx((a - b) / (a + b + 1), abs=1e-15)
    assert style_features(frame, FEATURES, StyleDefinition.ARENA_HARD_2) == pytest.approx(dense, abs=1e-15)
