"""Files of verdicts: each kind gives the same rows, and nothing that is no verdict passes for one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError
from palaestra.judge.verdict import LABELS, Label, Verdict, verdict_frame
from palaestra.judge.verdict_files import read_verdicts
from palaestra.schema import to_table
from palaestra.store.formats import read_votes

SHARED = Path(__file__).parents[3] / "shared" / "data" / "judgments" / "ko-arena-hard"
TABLE = "question_id,model,game1,game2\nq1,m,A>>B,B>A\nq2,007,A=B,\nq1,base,A=B,A=B\n"
SAID: list[tuple[str, str, str, int, str | None, float | None]] = [
    ("q1", "base", "m", 1, "A>>B", 1.0),
    ("q1", "m", "base", 2, "B>A", 0.0),
    ("q2", "base", "007", 1, "A=B", 0.5),
    ("q2", "007", "base", 2, None, None),
    ("q1", "base", "base", 1, "A=B", 0.5),
    ("q1", "base", "base", 2, "A=B", 0.5),
]
SHOWN = ("question_id", "model_a", "model_b", "game", "label", "preference")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (path := tmp_path / "table.csv").write_text(TABLE)
    return path


def lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


def judged(model: str, *games: object, **more: object) -> dict:
    return {"question_id": "q1", "model": model, "judge": "J", "games": list(games)} | more


def test_a_table(table: Path) -> None:
    frame = read_verdicts(table, "base")
    assert frame.select(SHOWN).rows() == SAID
    assert frame.columns == list(Verdict.model_fields)
    assert frame.schema == verdict_frame([]).schema
    assert frame["judge"].unique().to_list() == ["unnamed"]


@pytest.mark.parametrize("suffix", ["csv.gz", "jsonl", "json", "parquet"])
def test_every_kind_of_file_gives_the_same(table: Path, tmp_path: Path, suffix: str) -> None:
    frame = pl.read_csv(table, infer_schema=False)
    path = tmp_path / f"other.{suffix}"
    if suffix == "parquet":
        frame.write_parquet(path)
    elif suffix == "jsonl":
        frame.write_ndjson(path)
    elif suffix == "json":
        path.write_text(json.dumps(frame.to_dicts()))
    else:
        path.write_bytes(gzip.compress(TABLE.encode()))
    assert read_verdicts(path, "base").equals(read_verdicts(table, "base"))


def test_the_file_may_name_the_baseline(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("uid,model,baseline,game1,game2\nq1,m,x,[[b<a]],\nq2,m,y,A>B,A>B\n")
    frame = read_verdicts(path)
    assert frame["model_a"].to_list() == ["x", "m", "y", "m"]
    assert frame["label"].to_list() == ["A>B", None, "A>B", "A>B"]
    with pytest.raises(InputError, match="found the baseline 'x', 'y', expected 'x'"):
        read_verdicts(path, "x")


def test_arena_hard_judgments(tmp_path: Path) -> None:
    """Both versions: the text, or an object with an answer; a game that failed is None."""
    folder = tmp_path / "judge"
    folder.mkdir()
    old = [judged("m", {"user_prompt": "p", "judgment": "mine", "score": "A>B"}, {"judgment": "no", "score": ""})]
    new = [judged("n", {"judgment": {"answer": "theirs"}, "score": "B>>A", "prompt": []}, None, category="hard")]
    new[0]["uid"] = new[0].pop("question_id")
    lines(folder / "m.jsonl", old)
    lines(folder / "n.jsonl", new)
    frame = read_verdicts(folder, "base")
    assert frame.select("model_a", "model_b", "game", "label", "text", "judge", "category").rows() == [
        ("base", "m", 1, "A>B", "mine", "J", None),
        ("m", "base", 2, None, "no", "J", None),
        ("base", "n", 1, "B>>A", "theirs", "J", "hard"),
        ("n", "base", 2, None, None, "J", "hard"),
    ]
    assert read_verdicts(folder / "m.jsonl", "base").equals(frame[:2])


def test_judgments_of_one_game_have_one_verdict(tmp_path: Path) -> None:
    path = lines(tmp_path / "m.jsonl", [judged("m", {"score": "A>B"})])
    assert read_verdicts(path, "base").select(SHOWN).rows() == [("q1", "base", "m", 1, "A>B", 1.0)]


@given(st.lists(st.sampled_from([*LABELS, None]), min_size=1, max_size=6), st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_a_run_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, labels: list, chance: float) -> None:
    verdicts = [
        Verdict(
            question_id=f"q{number}", judge="j", protocol="p", model_a="a", model_b="b", label=label, preference=chance
        )
        for number, label in enumerate(labels)
    ]
    folder = tmp_path_factory.mktemp("run")
    pq.write_table(to_table(Verdict, verdicts), folder / "verdicts.parquet")
    assert read_verdicts(folder).equals(verdict_frame(verdicts))


def test_a_label_means_the_same_as_in_votes(tmp_path: Path) -> None:
    """Against the reader of votes."""
    rows = [
        {"question_id": f"q{n}{k}", "model": "m", "game1": a, "game2": b}
        for n, a in enumerate(LABELS)
        for k, b in enumerate(LABELS)
    ]
    path = lines(tmp_path / "t.jsonl", rows)
    votes = read_votes(str(path), baseline="base").frame
    frame = read_verdicts(path, "base")
    points = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5}
    assert frame["preference"].to_list() == [points[winner] for winner in votes["winner"]]
    assert frame["model_a"].to_list() == votes["model_a"].to_list()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "question_id,model,game1,game2\nq,m,A>B,A>B\nq,m,A>C,B>A\n",
            "row 2, column game1: found 'A>C', expected one of",
        ),
        ("question_id,model,game1,game2\nq,m,A>B,tie\nq,m,A>B,tie\n", "row 1, column game2: found 'tie'"),
        ("question_id,model,game1,game2\n,m,A>B,A>B\n", "row 1, column question_id: found None, expected a name"),
        ("question_id,model,game1,game2\nq, ,A>B,A>B\n", "row 1, column model: found ' ', expected a name"),
        ("question_id,model\nq,m\n", "found the columns question_id, model, expected"),
        ("question_id,model_a,model_b,label,game\nq,m,n,A>B,3\n", "row 1, column game: found '3', expected 1 or 2"),
        ("question_id,model_a,model_b,label,preference\nq,m,n,A>B,1.5\n", "column preference: found '1.5'"),
        ("question_id,model_a,model_b,label,preference\nq,m,n,A>B,high\n", "column preference: found 'high'"),
        ("question_id,model_a,model_b,label,cost\nq,m,n,A>B,dear\n", "expected the types of a verdict"),
        (
            "question_id,model_a,model_b,label\nq,m,n,A>B\nr,m,n,A>B\nq,m,n,B>A\n",
            "row 3: found a second verdict of unnamed on question 'q', m against n in game 1",
        ),
        ("", "expected a table of verdicts"),
        ("question_id,model,game1,game2\n", "found no rows"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, words: str) -> None:
    (path := tmp_path / "bad.csv").write_text(text)
    with pytest.raises(InputError) as error:
        read_verdicts(path, "base")
    assert str(path) in str(error.value)
    assert words in str(error.value)


@pytest.mark.parametrize("games", [None, [], "A>B", [{}, {}, {}], ["A>B", "A>B"]])
def test_other_games_are_refused(tmp_path: Path, games: object) -> None:
    path = lines(tmp_path / "m.jsonl", [judged("m", {"score": "A>B"}, {"score": "A>B"}), judged("m", games=games)])
    with pytest.raises(InputError, match="row 2, column games: found"):
        read_verdicts(path, "base")


def test_the_baseline_must_be_known(table: Path) -> None:
    with pytest.raises(InputError, match="give it: --baseline NAME"):
        read_verdicts(table)


def test_no_verdicts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no verdicts"):
        read_verdicts(tmp_path)
    with pytest.raises(InputError, match="no file"):
        read_verdicts(tmp_path / "nowhere.csv")
    (tmp_path / "bad.parquet").write_text("none")
    with pytest.raises(InputError, match="expected a table of verdicts"):
        read_verdicts(tmp_path / "bad.parquet")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published data is not beside this checkout")
def test_the_korean_verdicts() -> None:
    frame = read_verdicts(SHARED / "ensemble_verdicts.csv.gz", "gpt-4")
    counts: dict[Label | None, int] = dict(frame["label"].value_counts().rows())
    assert counts == {"A>>B": 20582, "A>B": 18531, "A=B": 5393, "B>A": 18266, "B>>A": 13227, None: 1}
    assert frame["question_id"].n_unique() == 500
