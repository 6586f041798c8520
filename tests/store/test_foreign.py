"""Other tools' files, each in the shape in which its authors publish it, read as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from palaestra.errors import VoteFileError
from palaestra.store.formats import VoteFile, read_votes

DATA = Path(__file__).parents[3] / "shared" / "data" / "judgments"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the published files are kept beside the project")

TALK = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
TYPED_TALK = [{"role": "user", "content": [{"type": "text", "text": "hi", "image": None, "mimeType": None}]}]
FASTCHAT = {
    "question_id": "58210e39b3fd4441a2bd4a518bb44c2d",
    "model_a": "chatglm-6b",
    "model_b": "koala-13b",
    "winner": "tie (bothbad)",
    "judge": "arena_user_973",
    "conversation_a": TALK,
    "conversation_b": TALK,
    "turn": 1,
    "anony": True,
    "language": "English",
    "tstamp": 1682351591.1322,
}
COUNTS = {
    "header_count_a": {"h1": 0, "h2": 1},
    "list_count_a": {"ordered": 0, "unordered": 2},
    "sum_assistant_a_tokens": 9,
}
RELEASES: dict[str, dict[str, Any]] = {
    "fastchat": FASTCHAT,
    "lmarena-33k": FASTCHAT
    | {
        "openai_moderation": {"categories": {"hate": False}, "category_scores": {"hate": 1e-7}, "flagged": False},
        "toxic_chat_tag": {"roberta-large": {"flagged": False, "probability": 0.01}},
    },
    "lmarena-100k": {key: value for key, value in FASTCHAT.items() if key != "judge"}
    | {
        "conv_metadata": COUNTS,
        "category_tag": {"criteria_v0.1": {"complexity": True}, "math_v0.1": {"math": False}},
        "dedup_tag": {"high_freq": False, "sampled": True},
        "judge_hash": "arena_user_973",
        "is_code": False,
        "is_refusal": True,
    },
    "lmarena-140k": {
        "id": "c4b9710c-8d64-4bee-a0b0-94637ae4cc65",
        "model_a": "chatglm-6b",
        "model_b": "koala-13b",
        "winner": "both_bad",
        "evaluation_session_id": "b1",
        "evaluation_order": 1,
        "conversation_a": TYPED_TALK,
        "conversation_b": TYPED_TALK,
        "full_conversation": [{"user": TYPED_TALK[0], "model_side_a": TYPED_TALK[0], "model_side_b": TYPED_TALK[0]}],
        "conv_metadata": COUNTS | {"context_a_tokens": 4},
        "category_tag": {"math_v0.1": {"math": False}},
        "language": "en",
        "is_code": False,
        "timestamp": "2023-04-24 15:53:11.132200",
    },
    "lmarena-expert-5k": {
        "id": "x",
        "model_a": "chatglm-6b",
        "model_b": "koala-13b",
        "winner": "both_bad",
        "evaluation_order": 1,
        "conversation_a": json.dumps(TYPED_TALK),
        "conversation_b": json.dumps(TYPED_TALK),
        "full_conversation": "[]",
        "language": "en",
        "occupational_tags": {"mathematical": True},
    },
}
ARENA_HARD = {
    "0.1": {
        "question_id": "q{}",
        "model": "new",
        "judge": "gpt-4-1106-preview",
        "games": [{"user_prompt": "<|User Prompt|>", "judgment": "My final verdict is [[{}]]", "score": None}] * 2,
    },
    "2.0": {
        "uid": "q{}",
        "category": "hard_prompt",
        "judge": "gpt-4.1",
        "model": "new",
        "baseline": "o3-mini-2025-01-31",
        "games": [{"score": None, "judgment": {"answer": "[[{}]]"}, "prompt": TALK}] * 2,
    },
}
VERDICTS = [("A>>B", "B>A"), ("A=B", "A>B"), ("B>>A", None), ("B>A", "B>>A")]
"""Of both games; one question lacks its second verdict."""


def write(path: Path, rows: list[dict[str, Any]], *, lines: bool = False) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows, indent=1), encoding="utf-8")
    return path


def text(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def votes(read: VoteFile, *more: str) -> list[tuple[Any, ...]]:
    return read.frame.select("model_a", "model_b", "winner", *more).rows()


@pytest.mark.parametrize("kind", [".json", ".jsonl", ".parquet"])
@pytest.mark.parametrize("release", RELEASES)
def test_releases_have_our_columns(tmp_path: Path, release: str, kind: str) -> None:
    row = RELEASES[release]
    path = tmp_path / f"release{kind}"
    pl.DataFrame([row, row]).write_parquet(path) if kind == ".parquet" else write(
        path, [row, row], lines=kind == ".jsonl"
    )
    read = read_votes(path)
    assert read.format == release
    assert votes(read) == [("chatglm-6b", "koala-13b", "both_bad")] * 2
    others = {"judge": "voter", "judge_hash": "voter", "timestamp": "tstamp"}
    assert read.frame.columns == [others.get(name, name) for name in row]
    if "timestamp" in row or "tstamp" in row:
        assert str(read.frame["tstamp"][0]) == "2023-04-24 15:53:11.132200+00:00"
    untouched = set(row) - {"model_a", "model_b", "winner", "tstamp", *others}
    assert {name: read.frame[name].to_list()[0] for name in untouched} == {name: row[name] for name in untouched}
    assert read_votes(path, wanted=["language"]).frame.columns == ["model_a", "model_b", "winner", "language"]


def test_the_kaggle_release_has_one_hot_outcomes(tmp_path: Path) -> None:
    head = "id,model_a,model_b,prompt,response_a,response_b,winner_model_a,winner_model_b,winner_tie"
    said = '"[""Hi, you""]","[""Hello""]","[null]"'
    rows = [f"30192,a,b,{said},1,0,0", f"53567,b,c,{said},0,1,0", f"65089,a,c,{said},0,0,1"]
    read = read_votes(path := text(tmp_path / "train.csv", head, *rows))
    assert read.format == "lmarena-55k"
    assert votes(read, "prompt") == [
        ("a", "b", "model_a", '["Hi, you"]'),
        ("b", "c", "model_b", '["Hi, you"]'),
        ("a", "c", "tie", '["Hi, you"]'),
    ]
    assert read_votes(path, wanted=()).frame.columns == ["model_a", "model_b", "winner"]
    for wrong in ("1,1,0", "0,0,0", ",,", "0,2,0"):
        with pytest.raises(VoteFileError, match=r"row 2, column winner_model_a: found .*, expected a 1 in just one of"):
            read_votes(text(tmp_path / "train.csv", head, rows[0], f"1,a,b,{said},{wrong}", rows[1]))


def test_mt_bench(tmp_path: Path) -> None:
    row = {"question_id": 81, "model_a": "a", "model_b": "b", "winner": "model_a", "judge": "expert_1", "turn": 1}
    winners = ["model_b", "tie", "tie (inconsistent)"]
    read = read_votes(write(tmp_path / "m.json", [row | {"winner": winner} for winner in winners]))
    assert read.format == "mt-bench"
    assert votes(read, "voter", "turn") == [
        ("a", "b", "model_b", "expert_1", 1),
        ("a", "b", "tie", "expert_1", 1),
        ("a", "b", "tie", "expert_1", 1),
    ]
    with pytest.raises(VoteFileError, match="row 2, column winner: found 'error', expected model_a"):
        read_votes(write(tmp_path / "m.json", [row, row | {"winner": "error"}]))
    with pytest.raises(VoteFileError, match=r"row 1, column winner: found 'tie \(inconsistent\)'"):
        read_votes(write(tmp_path / "m.json", [{"model_a": "a", "model_b": "b", "winner": "tie (inconsistent)"}]))


@pytest.mark.parametrize("version", ARENA_HARD)
def test_arena_hard(tmp_path: Path, version: str) -> None:
    rows = []
    for number, scores in enumerate(VERDICTS, start=1):
        row = json.loads(json.dumps(ARENA_HARD[version]).replace("q{}", f"q{number}"))
        rows.append(
            row | {"games": [game | {"score": score} for game, score in zip(row["games"], scores, strict=True)]}
        )
    if version == "2.0":
        rows[2]["games"][1] = None  # the judge did not answer at all
    path = write(tmp_path / "model.jsonl", rows, lines=True)
    baseline = {"0.1": "gpt-4-0314", "2.0": "o3-mini-2025-01-31"}[version]
    read = read_votes(path, baseline=baseline if version == "0.1" else None)
    assert read.format == "arena-hard"
    assert read.skipped == (f"{path}: 1 rows without two verdicts",)
    assert votes(read, "question_id", "voter", "game", "strength") == [
        (baseline, "new", "model_a", "q1", rows[0]["judge"], 1, "strong"),
        ("new", baseline, "model_b", "q1", rows[0]["judge"], 2, "weak"),
        (baseline, "new", "tie", "q2", rows[0]["judge"], 1, "tie"),
        ("new", baseline, "model_a", "q2", rows[0]["judge"], 2, "weak"),
        (baseline, "new", "model_b", "q4", rows[0]["judge"], 1, "weak"),
        ("new", baseline, "model_b", "q4", rows[0]["judge"], 2, "strong"),
    ]
    kept = read_votes(path, baseline=baseline, wanted=["strength", "voter"])
    assert set(kept.frame.columns) == {"model_a", "model_b", "winner", "strength", "voter"}
    if version == "0.1":
        with pytest.raises(VoteFileError, match="do not name their baseline"):
            read_votes(path)
    rows[3]["games"][1]["score"] = "A>>>B"
    with pytest.raises(VoteFileError, match="row 4, column games: found 'A>>>B', expected A>>B, A>B, A=B, B>A, B>>A"):
        read_votes(write(path, rows, lines=True), baseline=baseline)
    assert len(skipping := read_votes(path, baseline=baseline, skip_bad=1).skipped) == 2
    assert "row 4" in skipping[1]
    with pytest.raises(VoteFileError, match="row 1, column games: found 1 games, expected two"):
        read_votes(write(path, [rows[0] | {"games": rows[0]["games"][:1]}], lines=True), baseline=baseline)


def test_verdicts_in_a_table(tmp_path: Path) -> None:
    lines = [
        "question_id,model,game1,game2",
        "q1,new,A>>B,B>A",
        "q2,007,[[A=B]],B<<A",
        "q3,base,A=B,A=B",
        "q4,new,,A>B",
    ]
    path = text(tmp_path / "verdicts.csv", *lines)
    read = read_votes(path, baseline="base")
    assert read.format == "verdicts"
    assert read.skipped == (f"{path}: 1 rows without two verdicts", f"{path}: 1 rows of a model against itself")
    assert votes(read, "question_id", "game", "strength") == [
        ("base", "new", "model_a", "q1", 1, "strong"),
        ("new", "base", "model_b", "q1", 2, "weak"),
        ("base", "007", "tie", "q2", 1, "tie"),
        ("007", "base", "model_a", "q2", 2, "strong"),
    ]
    with pytest.raises(VoteFileError, match="row 2, column game2: found 'A', expected A>>B"):
        read_votes(text(path, *lines[:2], "q2,new,A=B,A"), baseline="base")
    with pytest.raises(VoteFileError, match=r"row 3, column model_a: found no name.* \(2 rows are malformed\)"):
        read_votes(text(path, *lines[:3], "q3,,A=B,A>B", "q4,new,A>B,A>B", "q5,,A>B,A>B"), baseline="base")


def test_alpaca_eval(tmp_path: Path) -> None:
    row = {
        "instruction": "What are the names of some famous actors that started their careers on Broadway?",
        "output_1": "Several",
        "generator_1": "gpt4_1106_preview",
        "dataset": "helpful_base",
        "output_2": "Some",
        "generator_2": "new",
        "annotator": "weighted_alpaca_eval_gpt4_turbo",
        "preference": 1.0,
        "raw_completion": {"finish_reason": "length", "logprobs": {"content": [{"token": "m", "bytes": [109]}]}},
    }
    given = [1.0, 2.0, 1.5, 0.0, None, 1.73]
    rows = [row | {"preference": preference} for preference in given] + [row | {"generator_2": "gpt4_1106_preview"}]
    read = read_votes(path := write(tmp_path / "annotations.json", rows))
    assert read.format == "alpaca-eval"
    assert read.skipped == (f"{path}: 1 rows without a preference", f"{path}: 1 rows of a model against itself")
    assert read.frame["winner"].to_list() == ["model_a", "model_b", "tie", "tie", "model_a", "model_b"]
    assert read.frame["weight"].to_list() == pytest.approx([1, 1, 1, 1, 0.27, 0.73])
    assert read.frame.select("model_a", "model_b", "voter").unique().rows() == [
        ("gpt4_1106_preview", "new", "weighted_alpaca_eval_gpt4_turbo")
    ]
    assert "instruction" in read.frame.columns
    for wrong in (3, 0.5, -1, "both"):
        with pytest.raises(
            VoteFileError, match=f"row 2, column preference: found '?{wrong}.*, expected a number from 1 to 2"
        ):
            read_votes(write(path, [row, row | {"preference": wrong}]))
    assert read_votes(path, skip_bad=1).frame.height == 1
    nameless = row | {"generator_1": ""}
    with pytest.raises(VoteFileError, match=r"row 2, column model_a: found no name.* \(3 rows are malformed\)"):
        read_votes(write(path, [row, nameless | {"preference": 2}, nameless, nameless | {"preference": 1.2}]))
    assert [line.split(",")[0][-5:] for line in read_votes(path, skip_bad=3).skipped] == ["row 2", "row 3", "row 4"]


@pytest.mark.parametrize(
    ("lines", "whose", "expected"),
    [
        (
            ["left,right,winner", "Pizza,Sushi,left", "007,Pasta,right", "0,1,tie", "1,2,draw"],
            "evalica",
            [("Pizza", "Sushi", "model_a"), ("007", "Pasta", "model_b"), ("0", "1", "tie"), ("1", "2", "tie")],
        ),
        (
            [
                "review_id,question_id,model1,model2,reviewer,score",
                "r,q,a,b,gpt-4,1",
                "r,q,a,b,gpt-4,2",
                "r,q,a,b,gpt-4,3",
            ],
            "rakuda",
            [("a", "b", "model_a"), ("a", "b", "model_b"), ("a", "b", "tie")],
        ),
    ],
)
def test_tables_with_words_of_their_own(
    tmp_path: Path, lines: list[str], whose: str, expected: list[tuple[str, ...]]
) -> None:
    read = read_votes(path := text(tmp_path / "votes.csv", *lines))
    assert (read.format, votes(read)) == (whose, expected)
    head, last = lines[1].rsplit(",", 1)
    for wrong in ("Left", "model_a", "both_bad", "4", ""):
        with pytest.raises(VoteFileError, match=rf"row 2, column \w+: found .*, expected {last}"):
            read_votes(text(path, *lines[:2], f"{head},{wrong}"))
    assert votes(read_votes(path, skip_bad=1)) == expected[:1]


@needs_data
def test_published_arena_hard_verdicts_give_the_published_scores() -> None:
    """Win rate against the baseline, strong verdicts three times, to the two decimals that were printed."""
    read = read_votes(DATA / "ko-arena-hard" / "ensemble_verdicts.csv.gz", baseline="claude-3.7-sonnet")
    won = pl.when(winner="tie").then(0.5).otherwise((pl.col("winner") == "model_a") == (pl.col("game") == 2))
    weight = pl.when(strength="strong").then(3).otherwise(1)
    model = pl.when(game=1).then("model_b").otherwise("model_a").cast(pl.String)
    scores = read.frame.group_by(model.alias("model")).agg(found=100 * (won * weight).sum() / weight.sum())
    folder = DATA / "ko-arena-hard" / "leaderboard" / "20250420_ensemble"
    board = pl.read_csv(folder / "no_control.csv").join(scores, on="model")
    off = (board["score"] - board["found"]).abs()
    print(f"{(off < 0.00501).sum()} of {board.height} scores as printed, the others off by {off.max():.3f} at most")
    assert (off < 0.00501).sum() > 0.95 * board.height


@needs_data
def test_published_alpaca_eval_annotations_give_the_published_win_rates() -> None:
    read = read_votes(DATA / "alpaca_eval" / "annotations_compact.csv.gz")
    rows = read.frame.filter(voter="weighted_alpaca_eval_gpt4_turbo")
    won = pl.when(winner="tie").then(0.5).otherwise(pl.col("winner") == "model_b")
    rates = rows.group_by("dir").agg(found=100 * (won * pl.col("weight")).sum() / pl.col("weight").sum())
    board = pl.read_csv(DATA / "alpaca_eval" / "weighted_alpaca_eval_gpt4_turbo_leaderboard.csv")
    both = board.rename({"": "dir"}).join(rates, on="dir")
    off = (both["win_rate"] - both["found"]).abs()
    print(f"{(off < 1e-6).sum()} of {both.height} win rates as published, the others off by {off.max():.4f} at most")
    assert both.height > 50
    assert (off < 1e-6).sum() > 0.95 * both.height


@needs_data
def test_published_files_are_recognised() -> None:
    rakuda = read_votes(DATA / "rakuda" / "reviews_gpt4_20230714.csv.gz")
    assert (rakuda.format, rakuda.frame.height) == ("rakuda", 800)
    crowd = read_votes(DATA / "llmfao" / "crowd-comparisons.csv")
    assert (crowd.format, crowd.frame.height, crowd.frame["voter"].n_unique()) == ("evalica", 8931, 124)
