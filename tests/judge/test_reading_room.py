"""The reading room's pages: what is marked, what is shown as text, what is refused, and that a folder is whole."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from room_worlds import answers_of, both, known_run, questions_file, write_run

from palaestra.errors import InputError, MissingPartError
from palaestra.judge import reading_room_folder, reading_room_look
from palaestra.judge.reading_room import counts, read_room
from palaestra.judge.reading_room_folder import write_room
from palaestra.judge.reading_room_games import Compared, Heard, mean_points
from palaestra.judge.reading_room_index import Standing, Standings, data_script, grade_standings, index_page
from palaestra.judge.reading_room_look import LONGEST, answer_html, plain_html
from palaestra.judge.reading_room_question import MOST_ANSWERS, question_page
from palaestra.judge.verdict import LABELS, OPPOSITE, POINTS, Grade, Label

BOARD = Standings("score", 0, 100, (Standing("one", 60.0, 50.0, 70.0, 8), Standing("base", 50.0, None, None, 8)))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return known_run(tmp_path)


def heard(judge: str, a: str, b: str, game: int, label: Label | None) -> Heard:
    return Heard(judge, a, b, game, label, None, None, None)


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_marks_are_those_of_the_verdicts(run: Path) -> None:
    room = read_room(run)
    marks = {(q.prompt.id, each.model): set(each.marks) for q in room.questions for each in q.compared}
    assert marks == {
        ("q1", "one"): {"flip"},
        ("q1", "two"): {"disagree"},
        ("q2", "one"): {"strong"},
        ("q2", "two"): set(),
        ("q3", "one"): {"tie"},
        ("q3", "two"): {"tie"},
        ("q4", "one"): {"unread"},
        ("q4", "two"): set(),
    }
    assert all(each.against == "base" for each in room.compared)
    said = {"flips": 1, "judges_disagree": 1, "strong": 1, "ties": 2, "unread": 1, "games": 32, "pairs": 8}
    assert said.items() <= counts(room).items()


@pytest.mark.parametrize(("first", "second"), list(product([*LABELS, None], repeat=2)))
def test_a_judge_flips_only_if_each_order_has_another_winner(first: Label | None, second: Label | None) -> None:
    pair = Compared("x", "y", (heard("j", "x", "y", 1, first), heard("j", "y", "x", 2, second)))
    winners = {"A": "x", "B": "y"}
    one = None if first in {None, "A=B"} else winners[str(first)[0]]
    two = None if second in {None, "A=B"} else {"A": "y", "B": "x"}[str(second)[0]]
    assert pair.flips("j") == (one is not None and two is not None and one != two)
    assert ("disagree" in pair.marks) is False


def test_flips_are_a_share_of_what_was_seen_in_both_orders(run: Path) -> None:
    room = read_room(run)
    assert "not measured" not in index_page(room, BOARD, changed=False)
    once = [replace(q, compared=tuple(replace(c, heard=c.heard[:1]) for c in q.compared)) for q in room.questions]
    assert "not measured" in index_page(replace(room, questions=tuple(once)), BOARD, changed=False)


@given(st.lists(st.tuples(st.sampled_from(["j", "k"]), st.booleans(), st.sampled_from([*LABELS, None])), max_size=8))
def test_a_pair_reads_the_same_from_both_sides(games: list[tuple[str, bool, Label | None]]) -> None:
    said = tuple(heard(j, *(("x", "y") if first else ("y", "x")), 1, label) for j, first, label in games)
    one, other = Compared("x", "y", said), Compared("y", "x", said)
    assert one.marks == other.marks
    assert (one.points is None) == (other.points is None)
    if one.points is not None and other.points is not None:
        assert one.points + other.points == pytest.approx(1)
    swapped = [Heard(h.judge, str(h.b), h.a, 1, h.label and OPPOSITE[h.label], None, None, None) for h in said]
    assert mean_points(swapped, "x") == one.points


def test_the_spread_is_the_deviation_of_the_models_means(run: Path) -> None:
    room = read_room(run)
    frame = room.verdicts.filter(pl.col("label").is_not_null())
    for question in room.questions:
        own = frame.filter(pl.col("question_id") == question.prompt.id)
        points = own["label"].replace_strict(POINTS, return_dtype=pl.Float64)
        table = pl.concat([
            own.select(model=pl.col("model_a")).with_columns(against=own["model_b"], points=points),
            own.select(model=pl.col("model_b")).with_columns(against=own["model_a"], points=1 - points),
        ])  # fmt: skip
        pairs = table.group_by("model", "against").agg(pl.col("points").mean())
        means = pairs.group_by("model").agg(pl.col("points").mean())["points"]
        assert question.spread == pytest.approx(means.std(ddof=0))


def test_what_strangers_wrote_is_shown_as_text(run: Path) -> None:
    page = question_page(read_room(run), read_room(run).questions[0])
    assert "&lt;b&gt;one&lt;/b&gt;" in page
    assert "&lt;script&gt;window.hacked = 1&lt;/script&gt;" in page
    assert re.findall(r"<script[^>]*>", page) == [
        '<script defer src="../questions.js">',
        '<script defer src="../room.js">',
    ]
    assert not re.search(r"<img|href=\"javascript|&lt;/article&gt;.*</main>.*</main>", page)
    assert page.count("</article>") == 3


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12))
def test_headings_of_answers_leave_no_gap(levels: list[int]) -> None:
    html = answer_html("\n\n".join(f"{'#' * level} h" for level in levels))
    found = [3, *(int(level) for level in re.findall(r"<h(\d)>", html))]
    assert len(found) == len(levels) + 1
    assert all(4 <= after <= min(before + 1, 6) for before, after in pairwise(found))
    assert re.findall(r"<h(\d)>", html) == re.findall(r"</h(\d)>", html)


def test_a_very_long_text_is_cut_and_says_so() -> None:
    long = "word " * LONGEST
    for html in (answer_html(long), plain_html(long)):
        assert f"of {len(long):,} characters" in html
        assert len(html) < 2 * LONGEST
    assert "Cut" not in plain_html("short")


def test_the_data_of_the_filters_is_what_the_pairs_say(run: Path) -> None:
    script = data_script(read_room(run))
    data = json.loads(script.removeprefix("window.ROOM = ").removesuffix(";\n"))
    assert data["models"] == ["one", "two", "base"]
    first = data["questions"][0]
    assert first["pairs"] == [[0, 2, 1 << data["marks"].index("flip"), 0.25],
                              [1, 2, 1 << data["marks"].index("disagree"), 0.5]]  # fmt: skip
    assert [q["category"] for q in data["questions"]] == ["a", "b", "a", "b"]


def test_the_folder_is_whole_and_the_same_twice(run: Path, tmp_path: Path) -> None:
    room = read_room(run)
    summary = write_room(tmp_path / "out", room, BOARD)
    write_room(tmp_path / "again", room, BOARD)
    assert files(tmp_path / "out") == files(tmp_path / "again")
    assert sorted(files(tmp_path / "out")) == [
        "index.html", *(f"q/000{n}.html" for n in range(1, 5)), "questions.js", "room.css", "room.js", "room.json",
    ]  # fmt: skip
    assert summary["bytes"] == sum(len(data) for name, data in files(tmp_path / "out").items() if name != "room.json")
    for name, page in files(tmp_path / "out").items():
        if name.endswith(".html"):
            for target in re.findall(rb'(?:src|href)="([^"#]+)', page):
                assert target == b"https://example.org/spy.png" or (tmp_path / "out" / name).parent.joinpath(
                    target.decode()).exists()  # fmt: skip


def test_several_processes_make_the_same_pages(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = read_room(run)
    write_room(tmp_path / "one", room, BOARD)
    monkeypatch.setattr(reading_room_folder, "ANSWERS_A_WORKER", 6)
    monkeypatch.setattr(reading_room_folder.os, "cpu_count", lambda: 2)
    write_room(tmp_path / "two", room, BOARD)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_a_failure_leaves_the_old_room_and_nothing_else(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = read_room(run)
    out = tmp_path / "rooms" / "out"
    write_room(out, room, BOARD)
    before = files(out)

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reading_room_folder, "question_page", full)
    with pytest.raises(InputError, match="No space left"):
        write_room(out, room, BOARD, overwrite=True)
    with pytest.raises(InputError, match="No space left"):
        write_room(out.with_name("new"), room, BOARD)
    assert files(out) == before
    assert [file.name for file in out.parent.iterdir()] == ["out"]


def test_only_a_reading_room_is_overwritten(run: Path, tmp_path: Path) -> None:
    room = read_room(run)
    write_room(tmp_path / "out", room, BOARD)
    with pytest.raises(InputError, match="exists"):
        write_room(tmp_path / "out", room, BOARD)
    (tmp_path / "out" / "stale.html").write_text("old")
    write_room(tmp_path / "out", room, BOARD, overwrite=True)
    assert not (tmp_path / "out" / "stale.html").exists()
    with pytest.raises(InputError, match="no reading room"):
        write_room(run, room, BOARD, overwrite=True)
    assert (run / "verdicts.parquet").is_file()


def test_many_answers_are_shown_only_where_judged(tmp_path: Path) -> None:
    models = [f"m{n:02}" for n in range(MOST_ANSWERS)]
    questions = questions_file(tmp_path / "q.jsonl", {"q1": "One?", "q2": "Two?"})
    met = [("q1", model) for model in models] + [("q2", "m00")]
    rows = [row for question, model in met for row in both(question, "j", model, "A>B", "B>A")]
    answers = answers_of(["q1", "q2"], [*models, "base"])
    first, second = read_room(write_run(tmp_path / "run", questions, answers, rows)).questions
    room = read_room(tmp_path / "run")
    assert question_page(room, first).count("<article") == MOST_ANSWERS + 1
    page = question_page(room, second)
    assert page.count("<article") == 2
    assert "nobody judged them here: m01, m02" in page


def test_pairs_of_other_schedules_are_seen_from_one_side(tmp_path: Path) -> None:
    questions = questions_file(tmp_path / "q.jsonl", {"q1": "One?", "q2": "Two?"})
    rows: list[Any] = [("q1", "j", "one", "two", 1, "A>B"), ("q2", "j", "two", "one", 1, "A>B")]
    run = write_run(
        tmp_path / "run", questions, answers_of(["q1", "q2"], ["one", "two"]), rows, schedule="active", baselines=[]
    )
    assert [(each.model, each.against, each.points) for each in read_room(run).compared] == [
        ("one", "two", 1.0),
        ("one", "two", 0.0),
    ]


def graded(tmp_path: Path) -> Path:
    questions = questions_file(tmp_path / "q.jsonl", {"q1": "One?", "q2": "Two?"})
    ratings = {("q1", "one"): (9, 5), ("q1", "two"): (4, 5), ("q2", "one"): (6, None), ("q2", "two"): (3, 3)}
    grades = [
        Grade(question_id=question, judge=judge, protocol="grade", model=model, rating=rating, text="So.")
        for (question, model), both_given in ratings.items()
        for judge, rating in zip("jk", both_given, strict=True)
    ]
    answers = answers_of(["q1", "q2"], ["one", "two"])
    return write_run(tmp_path / "graded", questions, answers, grades=grades, judges=["j", "k"], baselines=[])


def test_grades_have_means_and_marks_of_their_own(tmp_path: Path) -> None:
    room = read_room(graded(tmp_path))
    board = grade_standings(room)
    assert [(line.model, line.score, line.games) for line in board.lines] == [("one", 20 / 3, 3), ("two", 3.75, 4)]
    assert all(line.lower is not None and line.lower < line.score for line in board.lines)
    marks = [set(each.marks) for each in room.compared]
    assert marks == [{"disagree"}, set(), {"unread"}, set()]
    assert room.questions[0].spread == pytest.approx(1.25)
    page = question_page(room, room.questions[0])
    assert "9 of 10" in page
    assert 'class="verdicts"' not in page
    assert "flips" not in counts(room)


def test_a_run_without_a_readable_verdict_is_still_read(tmp_path: Path) -> None:
    questions = questions_file(tmp_path / "q.jsonl", {"q1": "One?"})
    rows = both("q1", "j", "one", None, None)
    room = read_room(write_run(tmp_path / "run", questions, answers_of(["q1"], ["one", "base"]), rows, text=None))
    page = question_page(room, room.questions[0])
    assert room.questions[0].spread is None
    assert "gave no verdict that can be read" in page
    assert "No reply: timeout: late" in page


def test_what_is_no_finished_run_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found no run\.json"):
        read_room(tmp_path)
    (run / "verdicts.parquet").rename(tmp_path / "kept.parquet")
    with pytest.raises(InputError, match="has no verdicts yet"):
        read_room(run)
    card = json.loads((run / "run.json").read_text())
    card["config"]["judges"] = []
    (run / "run.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match="nobody has judged"):
        read_room(run)


def test_changed_files_are_refused(run: Path, tmp_path: Path) -> None:
    questions = tmp_path / "run.jsonl"
    asked = questions.read_text()
    questions.write_text(asked.replace("apples", "pears"))
    with pytest.raises(InputError, match="have changed since"):
        read_room(run)
    questions.rename(tmp_path / "moved.jsonl")
    with pytest.raises(InputError, match="give --questions PATH"):
        read_room(run)
    (tmp_path / "moved.jsonl").write_text(asked)
    assert len(read_room(run, tmp_path / "moved.jsonl").questions) == 4
    questions.write_text(asked)
    frame = pl.read_parquet(run / "verdicts.parquet")
    frame.head(30).write_parquet(run / "verdicts.parquet")
    with pytest.raises(InputError, match=r"found 30 games, and run\.json says 32"):
        read_room(run)
    frame.with_columns(pl.col("question_id").replace("q1", "q9")).write_parquet(run / "verdicts.parquet")
    with pytest.raises(InputError, match="'q9', which is none of those that were asked"):
        read_room(run)
    frame.write_parquet(run / "verdicts.parquet")
    (run / "answers" / "two.jsonl").unlink()
    with pytest.raises(InputError, match="the answer of two to 'q1', and no such answer"):
        read_room(run)


def test_without_the_extra_the_pip_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "palaestra.pictures.markdown", None)
    import palaestra.pictures

    monkeypatch.delattr(palaestra.pictures, "markdown", raising=False)
    reading_room_look.markdown.cache_clear()
    with pytest.raises(MissingPartError, match=r"pip install 'palaestra\[pages\]'"):
        reading_room_look.style_sheet()
    reading_room_look.markdown.cache_clear()
