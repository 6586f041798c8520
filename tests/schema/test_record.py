"""Records survive Arrow, Parquet and JSON unchanged, and refuse what they are not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from palaestra import schema
from palaestra.errors import InputError
from palaestra.schema import Battle, Conversation, Leaderboard, Message, ModelSpec, Record, Result, RunCard, TextPart

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
name = st.text("abcdefgh-", min_size=1, max_size=8)
number = st.floats(allow_nan=False, allow_infinity=False, width=32)
count = st.integers(0, 2**40)
moment = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive by the API
optional_text = st.none() | text
flags = st.none() | st.dictionaries(name, st.booleans(), max_size=3)
json_object = st.dictionaries(
    name,
    st.recursive(st.none() | st.booleans() | number | text, lambda inner: st.lists(inner, max_size=2), max_leaves=4),
    max_size=3,
)

parts = st.one_of(
    st.builds(TextPart, text=text),
    st.builds(schema.ImagePart, image=text, mime_type=optional_text),
    st.builds(schema.DocumentPart, name=text, mime_type=optional_text, text=optional_text, pages=st.none() | count),
    st.builds(schema.SearchResultPart, url=text, title=optional_text, text=optional_text, citation=st.none() | count),
    st.builds(schema.ToolCallPart, call_id=text, name=text, arguments=text),
    st.builds(schema.ToolResultPart, call_id=text, text=text),
)
messages = st.lists(
    st.builds(
        Message,
        role=st.sampled_from(["system", "user", "assistant", "tool"]),
        content=st.lists(parts, max_size=3).map(tuple),
        num_tokens=st.none() | count,
    ),
    max_size=3,
).map(tuple)
prompt_turns = (
    st.lists(text, min_size=1, max_size=3).filter(lambda turns: any(turn.strip() for turn in turns)).map(tuple)
)
RECORDS: dict[type[Record], st.SearchStrategy[Any]] = {
    schema.Prompt: prompt_turns.flatmap(
        lambda turns: st.builds(
            schema.Prompt,
            id=name,
            turns=st.just(turns),
            system=optional_text,
            category=optional_text,
            subcategory=optional_text,
            topic=optional_text,
            language=optional_text,
            criteria=st.dictionaries(name, st.booleans(), max_size=3),
            score=st.none() | number,
            reference=st.just(()) | st.tuples(*[text] * len(turns)),
            source=optional_text,
        )
    ),
    schema.PromptSet: st.builds(
        schema.PromptSet,
        name=name,
        version=text,
        description=text,
        created=st.none() | moment,
        license=optional_text,
        prompts=st.integers(1, 2**40),
        sha256=text,
        categories=st.dictionaries(name, count, max_size=3),
        topics=st.none() | count,
        baselines=st.dictionaries(name, name, max_size=3),
        seed=st.none() | count,
        settings=json_object,
    ),
    schema.Preference: st.integers(2, 4).flatmap(
        lambda size: st.builds(
            schema.Preference,
            id=name,
            prompt=messages.map(lambda said: (*said, Message.of("user", "What is it?"))),
            replies=st.tuples(*[text] * size),
            ranks=st.permutations([1, *range(1, size)]).map(tuple),
            models=st.just(()) | st.tuples(*[optional_text] * size),
            margin=st.none() | st.floats(0, 1e6),
            weight=st.floats(0, 1e6),
            category=optional_text,
            language=optional_text,
            voter=optional_text,
            source=optional_text,
            labels=st.dictionaries(name, text, max_size=3),
        )
    ),
    Conversation: st.builds(Conversation, id=text, model=name, messages=messages),
    Battle: st.builds(
        Battle,
        id=text,
        model_a=name,
        model_b=name,
        winner=st.sampled_from(schema.Winner),
        voter=optional_text,
        voter_kind=st.sampled_from(schema.VoterKind),
        evaluation_session_id=optional_text,
        tstamp=st.none() | moment,
        turn=st.none() | st.integers(1, 100),
        language=optional_text,
        category_tag=flags,
        is_code=st.none() | st.booleans(),
        dedup_tag=flags,
        conversation_a=messages,
        conversation_b=messages,
        weight=st.floats(0, 1e6),
        propensity=st.none() | st.floats(1e-6, 1),
    ),
    ModelSpec: st.builds(
        ModelSpec,
        name=name,
        endpoint=name,
        organization=optional_text,
        input_price=st.floats(0, 1e3),
        stop=st.lists(text, max_size=2).map(tuple),
        temperature=st.none() | st.floats(0, 2),
        max_tokens=st.none() | st.integers(1, 10**6),
    ),
    Leaderboard: st.builds(
        Leaderboard,
        models=st.lists(
            st.builds(
                schema.ModelRating,
                **dict.fromkeys(["rating", "lower", "upper", "se"], number),
                **dict.fromkeys(["votes", "wins", "losses", "ties", "both_bad"], number),
                **dict.fromkeys(["rank", "rank_lower", "rank_upper"], count),
                model=name,
            ),
            max_size=3,
        ).map(tuple),
        components=st.lists(st.lists(name, max_size=2).map(tuple), max_size=2).map(tuple),
        settings=json_object,
        data=st.builds(
            schema.VoteData,
            votes=number,
            voters=st.none() | count,
            sha256=name,
            first=st.none() | moment,
            last=st.none() | moment,
        ),
        fit=st.builds(
            schema.FitReport, iterations=count, log_likelihood=st.none() | number, held_out_log_loss=st.none() | number
        ),
        warnings=st.lists(text, max_size=2).map(tuple),
        covariance=st.lists(st.lists(number, max_size=2).map(tuple), max_size=2).map(tuple),
    ),
    Result: st.builds(
        lambda right, wrong, measured, **fields: Result(correct=right, total=right + wrong, **fields, **measured),
        right=count,
        wrong=st.integers(1, 2**40),
        model=name,
        benchmark=name,
        domain=name,
        guess_rate=st.none() | st.floats(0, 0.99),
        measured=st.just({})
        | st.fixed_dictionaries(
            {"queries": count},
            optional={"cost": st.floats(0, 1e6)},
        )
        | st.fixed_dictionaries(
            {"queries": count, "seconds": st.floats(1e-3, 1e9), "concurrency": st.integers(1, 512)},
        ),
        date=st.none() | moment,
    ),
    RunCard: st.builds(
        RunCard,
        id=text,
        command=text,
        config=json_object,
        versions=st.dictionaries(name, text, max_size=3),
        inputs=st.lists(st.builds(schema.InputFile, path=text, sha256=text), max_size=2).map(tuple),
        started=moment,
        finished=st.none() | moment,
        metrics=st.dictionaries(name, number, max_size=3),
    ),
}
any_records = st.sampled_from(list(RECORDS)).flatmap(
    lambda record: st.tuples(st.just(record), st.lists(RECORDS[record], max_size=3))
)


@given(any_records)
@settings(max_examples=150, deadline=None)
def test_records_survive_arrow(kind_and_rows: tuple[type[Record], list[Record]]) -> None:
    kind, rows = kind_and_rows
    table = schema.to_table(kind, rows)
    assert table.schema.equals(schema.arrow_schema(kind), check_metadata=True)
    assert schema.from_table(kind, table) == rows


@given(any_records)
@settings(max_examples=100, deadline=None)
def test_records_survive_json(kind_and_rows: tuple[type[Record], list[Record]]) -> None:
    kind, rows = kind_and_rows
    for row in rows:
        as_json = kind.model_validate_json(row.model_dump_json(by_alias=True))
        assert as_json == row
        if kind is not Leaderboard:  # a board's dictionary is the interface's object, without the covariance
            assert kind.from_dict(row.to_dict()) == row


@given(RECORDS[Battle])
@settings(max_examples=25, deadline=None)
def test_a_battle_survives_parquet(tmp_path_factory: pytest.TempPathFactory, battle: Battle) -> None:
    path: Path = tmp_path_factory.mktemp("battles") / "battles.parquet"
    pq.write_table(schema.to_table(Battle, [battle]), path)
    assert schema.from_table(Battle, pq.read_table(path)) == [battle]


def test_every_record_is_here() -> None:
    exported = {value for value in vars(schema).values() if isinstance(value, type) and issubclass(value, Record)}
    assert exported - {Record} == set(RECORDS)


def test_records_are_frozen_and_closed() -> None:
    battle = Battle(id="1", model_a="x", model_b="y", winner=schema.Winner.TIE)
    with pytest.raises(ValidationError, match="frozen"):
        battle.winner = schema.Winner.MODEL_A  # ty: ignore[invalid-assignment]
    with pytest.raises(ValidationError, match="wnner"):
        Battle.model_validate({"id": "1", "model_a": "x", "model_b": "y", "wnner": "tie"})


def test_content_of_older_releases_is_one_text_part() -> None:
    message = Message.model_validate({"role": "user", "content": "hello"})
    assert message.content == (TextPart(text="hello"),)
    assert message.text == "hello"


def test_content_of_the_140k_release_loads() -> None:
    row = {
        "role": "user",
        "content": [
            {"type": "image", "image": "https://example.org/cat.png", "mimeType": "image/png"},
            {"type": "text", "text": "What is this?"},
        ],
    }
    assert Message.model_validate(row).text == "What is this?"


def test_another_version_is_refused() -> None:
    old = RunCard(id="1", command="c", config={}, started=datetime.now(UTC)).to_dict() | {"schema": "palaestra.run/0"}
    with pytest.raises(InputError, match=r"palaestra\.run/0.*expected.*palaestra\.run/1"):
        RunCard.from_dict(old)
    table = pa.table({"id": ["1"]}).replace_schema_metadata({"schema": "palaestra.run/0"})
    with pytest.raises(InputError, match=r"palaestra\.run/0"):
        schema.from_table(RunCard, table)


def test_a_union_whose_members_disagree_has_no_arrow_type() -> None:
    class One(schema.record.Struct):
        type: str = "one"
        value: int

    class Two(schema.record.Struct):
        type: str = "two"
        value: str

    class Odd(Record):
        record_name = "odd"
        part: One | Two

    with pytest.raises(TypeError, match="value"):
        schema.arrow_schema(Odd)
