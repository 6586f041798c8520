"""A reading room with its board, and what changed between two runs: from the command line and in numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from room_worlds import answers_of, both, known_run, questions_file, write_run

from palaestra.cli import run as command
from palaestra.errors import InputError
from palaestra.judge.reading_room import read_room
from palaestra.judge.reading_room_changes import Change, changes_between, score_changes
from palaestra.judge.reading_room_index import Standing
from palaestra.judge.verdict import Grade
from palaestra.judge.verdict_files import read_verdicts
from palaestra.recipes.reading_room import compare_rooms, standings
from palaestra.recipes.verdict_board import board_of_verdicts

WIN, LOSS, EVEN, NONE = ("B>A", "A>B"), ("A>B", "B>A"), ("A=B", "A=B"), (None, None)


def small(folder: Path, outcomes: Mapping[str, tuple[str | None, str | None]], **config: Any) -> Path:
    """One model against the baseline."""
    questions = questions_file(folder.with_suffix(".jsonl"), {name: f"{name}?" for name in outcomes})
    rows = [row for name, said in outcomes.items() for row in both(name, "j", "one", *said)]
    return write_run(folder, questions, answers_of(outcomes, ["one", "base"]), rows, models=["one"], **config)


def test_every_kind_of_change_is_found(tmp_path: Path) -> None:
    before = {"a": WIN, "b": LOSS, "c": EVEN, "d": WIN, "e": NONE, "f": WIN, "g": WIN, "h": NONE, "old": WIN}
    after = {"a": WIN, "b": WIN, "c": LOSS, "d": LOSS, "e": WIN, "f": NONE, "g": EVEN, "h": NONE, "new": WIN}
    found = compare_rooms(read_room(small(tmp_path / "x", before)), read_room(small(tmp_path / "y", after)))
    assert {each.question_id: (each.how, each.flipped) for each in found.pairs} == {
        "b": ("better", True),
        "c": ("worse", False),
        "d": ("worse", True),
        "e": ("read", False),
        "f": ("unread", False),
        "g": ("worse", False),
    }
    assert found.questions == (("old",), ("new",))
    assert found.compared == 8
    assert (found.count("worse"), found.count("worse", flipped=True)) == (3, 1)
    assert found.settings == {}
    back = changes_between(read_room(tmp_path / "y"), read_room(tmp_path / "x"))
    opposite = {"better": "worse", "worse": "better", "read": "unread", "unread": "read"}
    assert {(e.question_id, opposite[e.how], e.flipped) for e in back.pairs} == {
        (e.question_id, e.how, e.flipped) for e in found.pairs
    }


def test_a_run_has_not_changed_against_itself(tmp_path: Path) -> None:
    room = read_room(known_run(tmp_path))
    found = compare_rooms(room, room)
    assert found.pairs == ()
    assert found.compared == 8
    assert found.settings == {}
    assert [each.difference for each in found.scores] == [0.0] * 3
    assert not any(each.moved for each in found.scores)


def test_a_pair_is_found_from_its_other_side(tmp_path: Path) -> None:
    before = read_room(small(tmp_path / "x", {"a": WIN, "b": LOSS}))
    questions = tmp_path / "x.jsonl"
    rows: list[Any] = [("a", "k", "base", "one", 1, "A>B"), ("b", "k", "base", "one", 1, "A>B")]
    answers = answers_of(["a", "b"], ["base", "one"])
    config: dict[str, Any] = {"schedule": "all", "baselines": [], "models": ["base", "one"], "judges": ["k"]}
    after = read_room(write_run(tmp_path / "y", questions, answers, rows, **config))
    found = compare_rooms(before, after)
    assert found.pairs == (Change(1, "a", "base", "one", 0.0, 1.0, how="better", flipped=True, answers_changed=()),)
    assert found.settings["judges"] == ("j", "k")
    assert set(found.settings) == {"judges", "schedule", "baseline"}
    assert found.score.startswith("mean win rate against all others")


def test_reworded_questions_are_not_compared_and_new_answers_are_named(tmp_path: Path) -> None:
    before = small(tmp_path / "x", {"a": WIN, "b": WIN})
    questions = questions_file(tmp_path / "y.jsonl", {"a": "a?", "b": "another text"})
    answers = [
        each.model_copy(update={"turns": ("new",)}) if each.model == "one" else each
        for each in answers_of(["a", "b"], ["one", "base"])
    ]
    rows = [row for name in "ab" for row in both(name, "j", "one", *LOSS)]
    after = write_run(tmp_path / "y", questions, answers, rows, models=["one"])
    found = changes_between(read_room(before), read_room(after))
    assert found.reworded == ("b",)
    assert [(each.question_id, each.answers_changed) for each in found.pairs] == [("a", ("one",))]


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    verdicts = read_room(small(tmp_path / "x", {"a": WIN}))
    other = read_room(small(tmp_path / "y", {"b": WIN}))
    with pytest.raises(InputError, match="share no question"):
        changes_between(verdicts, other)
    grades = [Grade(question_id="a", judge="j", protocol="grade", model="one", rating=4)]
    answers = answers_of(["a"], ["one"])
    graded = read_room(write_run(tmp_path / "z", tmp_path / "x.jsonl", answers, grades=grades))
    with pytest.raises(InputError, match="two runs of the same kind"):
        changes_between(verdicts, graded)


def test_grades_rise_and_fall(tmp_path: Path) -> None:
    questions = questions_file(tmp_path / "q.jsonl", {"a": "a?", "b": "b?", "c": "c?"})
    rooms = []
    for name, ratings in (("x", (3, 5, 7)), ("y", (4, 5, 2))):
        grades = [
            Grade(question_id=question, judge="j", protocol="grade", model="one", rating=rating)
            for question, rating in zip("abc", ratings, strict=True)
        ]
        rooms.append(read_room(write_run(tmp_path / name, questions, answers_of("abc", ["one"]), grades=grades)))
    found = compare_rooms(*rooms)
    assert [(e.question_id, e.against, e.how, e.flipped) for e in found.pairs] == [
        ("a", None, "better", False),
        ("c", None, "worse", False),
    ]
    assert found.scores[0].difference == pytest.approx(11 / 3 - 5)


finite = st.floats(0, 100, allow_nan=False)


@given(st.tuples(finite, finite, finite).map(sorted), st.tuples(finite, finite, finite).map(sorted))
def test_the_interval_of_a_difference_is_movers(one: list[float], two: list[float]) -> None:
    (low, old, high), (lower, new, upper) = one, two
    (found,) = score_changes([Standing("m", old, low, high, 1)], [Standing("m", new, lower, upper, 1)])
    assert found.lower == pytest.approx(new - old - math.sqrt((new - lower) ** 2 + (high - old) ** 2))
    assert found.upper == pytest.approx(new - old + math.sqrt((upper - new) ** 2 + (old - low) ** 2))
    (back,) = score_changes([Standing("m", new, lower, upper, 1)], [Standing("m", old, low, high, 1)])
    assert (back.upper, back.lower) == tuple(
        pytest.approx(-edge) for edge in (found.lower, found.upper) if edge is not None
    )
    assert back.moved == found.moved


def test_a_score_without_an_interval_has_not_moved() -> None:
    (found,) = score_changes([Standing("m", 1, None, None, 1)], [Standing("m", 9, 8, 10, 1), Standing("n", 1, 0, 2, 1)])
    assert (found.difference, found.lower, found.moved) == (8, None, False)


def test_the_board_is_that_of_judge_board(tmp_path: Path) -> None:
    run = known_run(tmp_path)
    room = read_room(run)
    board = board_of_verdicts(read_verdicts(run), baseline="base")
    shown = {line.model: (line.score, line.lower, line.upper) for line in standings(room).lines}
    assert shown == {name: (one.score, one.lower, one.upper) for name, one in board.scores.items()}
    assert any("1 of 32 games" in note for note in standings(room).notes)
    part = standings(room, questions=frozenset({"q2", "q3"}), models=frozenset({"two", "base"}))
    assert {line.model for line in part.lines} == {"two", "base"}


@pytest.mark.parametrize("outcomes", [{"a": NONE}, {"a": NONE, "b": NONE}, {"a": WIN}, {"a": WIN, "b": NONE}])
def test_too_little_to_rank_is_no_board(tmp_path: Path, outcomes: Mapping[str, tuple[str | None, str | None]]) -> None:
    room = read_room(small(tmp_path / "x", outcomes))
    assert standings(room).lines == ()
    assert "there is no board" in standings(room).notes[0]


@pytest.mark.parametrize("said", [WIN, EVEN])
def test_one_sided_verdicts_have_a_board(tmp_path: Path, said: tuple[str, str]) -> None:
    room = read_room(small(tmp_path / "x", dict.fromkeys("abcd", said)))
    assert {line.model for line in standings(room).lines} == {"one", "base"}


def test_the_command_writes_the_room_and_says_what_is_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known, out = known_run(tmp_path), tmp_path / "out"
    other = known_run(tmp_path, "other")
    assert command(["judge", "read", str(known), "--out", str(out), "--against", str(other), "--json", "-"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == "palaestra.reading-room/1"
    assert (said["questions"], said["games"], said["flips"]) == (4, 32, 1)
    assert said["changes"]["pairs"] == []
    assert (out / "changes.html").is_file()
    assert json.loads((out / "room.json").read_text()).items() <= said.items()
    assert command(["judge", "read", str(known), "--out", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert command(["judge", "read", str(known), "--out", str(out), "--overwrite"]) == 0
    assert "judges disagree" in capsys.readouterr().out
    assert not (out / "changes.html").exists()
    assert command(["judge", "read", str(tmp_path), "--out", str(tmp_path / "new")]) == 2
    assert not (tmp_path / "new").exists()


def test_changes_stand_on_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = small(tmp_path / "x", {"a": WIN, "b": LOSS, "c": WIN})
    after = small(tmp_path / "y", {"a": WIN, "b": WIN, "d": WIN}, judges=["k"])
    arguments = ["judge", "read", str(after), "--against", str(before), "--out", str(tmp_path / "out")]
    assert command(arguments) == 0
    said = capsys.readouterr()
    assert "better, flipped" in said.out
    assert "2 compared: 1 better (1 of them flipped), 0 worse" in said.out
    assert "1 questions only in x: c" in said.err
    assert '0002.html#p0-1"' in (tmp_path / "out" / "changes.html").read_text()


def test_a_real_run_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tables = [
        ("m", "markdown?words=9"),
        ("e", "echo"),
        ("n", "markdown?words=40"),
        ("j", "judge?prose=0.2"),
        ("k", "judge?position=2"),
    ]
    models = "".join(f'[[model]]\nname = "{name}"\nendpoint = "scripted:{end}"\n' for name, end in tables)
    (tmp_path / "models.toml").write_text(models)
    questions_file(tmp_path / "q.jsonl", {f"q{n}": f"What is {n}?" for n in range(5)})
    asked = ["judge", "run", "q.jsonl", "--model", "m", "--model", "e", "--model", "n", "--judge", "j", "--judge", "k"]
    for schedule in (["--baseline", "e"], ["--schedule", "all"], ["--schedule", "active"]):
        name = schedule[-1]
        assert command([*asked, *schedule, "--out", f"run-{name}"]) == 0
        assert command(["judge", "read", f"run-{name}", "--out", f"out-{name}"]) == 0
        frame = read_verdicts(tmp_path / f"run-{name}")
        assert json.loads((tmp_path / f"out-{name}" / "room.json").read_text())["games"] == len(frame)
    assert command([*asked, "--baseline", "e", "--protocol", "grade", "--out", "graded"]) in {0, 1}
    assert command(["judge", "read", "graded", "--out", "out-graded"]) == 0
