"""What a judge's reply says, and what it does not say."""

from __future__ import annotations

from math import log
from pathlib import Path

import pytest

from palaestra.errors import InputError
from palaestra.gateway.calls import Reply
from palaestra.judge.protocols import PROTOCOLS, judge_messages, protocol, reminder
from palaestra.judge.reading import read_rating, read_reply
from palaestra.judge.verdict import read_label
from palaestra.schema import Prompt


@pytest.mark.parametrize(
    ("text", "last", "only"),
    [
        ("My verdict: [[A>B]]", "A>B", "A>B"),
        ("my verdict: [[b>>a]].", "B>>A", "B>>A"),
        ("[[A=B]] at first, but then [[A>B]]", "A>B", None),
        ("[[A>B]] and again [[A>B]]", "A>B", "A>B"),
        ("in one bracket: [A<B]", "B>A", "B>A"),
        ("[B>A] was an example; my verdict is [[A>B]]", "A>B", "A>B"),
        ("A>B", None, None),
        ("[[A]]", None, None),
        ("[[A>>>B]]", None, None),
        ("", None, None),
        ("[[C>B]] or [[A>C]]", None, None),
        ("a[a=b] is an index; I cannot decide", None, None),
        ("x[A=B] is one too, and so is [A=B](link)", None, None),
        ("[a>b]", None, None),
    ],
)
def test_labels(text: str, last: str | None, only: str | None) -> None:
    assert read_label(text, "last") == last
    assert read_label(text, "only") == only


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("Rating: [[7]]", 7.0), ("[[7.5]]", 7.5), ("Rating: [8]", 8.0), ("**Rating**: [8]", 8.0),
        ("[8]", None), ("As paper [1] says. Rating: 8", None),
        ("x[5], so 9/10", None), ("[[11]]", None), ("[[0]]", None),
        ("[[3]] or [[4]]", None),
        ("[[3]], yes [[3]]", 3.0), ("7", None), ("", None), ("see [2], but [[9]]", 9.0),
    ],
)  # fmt: skip
def test_ratings(text: str, rating: float | None) -> None:
    assert read_rating(text) == rating


def test_a_letter_is_weighted_by_all_letters_probabilities() -> None:
    likely = ((("A", log(0.4)), (" B", log(0.2)), ("C", log(0.2)), ("The", log(0.1))),)
    read = read_reply(PROTOCOLS["letter"], Reply(text="A", likely=likely))
    assert read.label == "A>B"
    assert read.preference == pytest.approx((0.4 + 0.1) / 0.8)


@pytest.mark.parametrize(
    ("likely", "text", "label"),
    [
        ([("I", -1e-4), ("The", -9.5), ("A", -12.0), ("B", -14.0)], "I", None),
        ([(" a", -0.1), ("B", -3.0)], " a", None),
        ([("A", log(0.3)), ("B", log(0.3))], "B", "B>A"),
        ([("A", log(0.3)), ("B", log(0.3))], "A", "A>B"),
        ([("A", log(0.3)), ("B", log(0.3))], "It depends", None),
        ([("A", log(0.08)), ("B", log(0.04))], "A", "A>B"),
    ],
)
def test_letters_that_were_hardly_meant_are_not_read(
    likely: list[tuple[str, float]], text: str, label: str | None
) -> None:
    assert read_reply(PROTOCOLS["letter"], Reply(text=text, likely=(tuple(likely),))).label == label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("B", "B>A"),
        (" C.", "A=B"),
        (" a", None),
        ("c", None),
        ("Assistant A", None),
        ("Both", None),
        ("AB", None),
        ("", None),
    ],
)
def test_a_letter_without_probabilities_must_stand_alone(text: str, label: str | None) -> None:
    assert read_reply(PROTOCOLS["letter"], Reply(text=text)).label == label


def test_hard_prompts_are_answered_by_the_judge_first_and_creative_ones_not() -> None:
    how = PROTOCOLS["arena-hard-v2"]
    told = {
        category: judge_messages(how, Prompt(id="q", turns=("?",), category=category), (("a",), ("b",)))[0].text
        for category in ("hard_prompt", "creative_writing")
    }
    assert "write your own answer" in told["hard_prompt"]
    assert "write your own answer" not in told["creative_writing"]


def test_what_the_judge_is_shown() -> None:
    prompt = Prompt(id="q", turns=("One {x}?", "Two?"), reference=("first", "second"), system="Be brief.")
    shown = judge_messages(PROTOCOLS["reference"], prompt, (("a1", "a2"), ("b1", "b2")), "Count sources.")
    assert "Judge by this rubric:\nCount sources." in shown[0].text
    user = shown[1].text
    order = ["Be brief.", "One {x}?", "Two?", "Start of Reference Answer", "second", "A's Answer|>\n(turn 1)\na1", "b2"]
    places = [user.index(part) for part in order]
    assert places == sorted(places)
    with pytest.raises(InputError, match="has no reference answer"):
        judge_messages(PROTOCOLS["reference"], Prompt(id="q", turns=("?",)), (("a",), ("b",)))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_reminds_its_judge_of_what_it_reads(name: str) -> None:
    said, owed = reminder(PROTOCOLS[name], "Well.")
    assert (said.role, said.text, owed.role) == ("assistant", "Well.", "user")
    assert read_reply(PROTOCOLS[name], Reply(text="Well.")).readable is False


def test_a_protocol_of_ones_own(tmp_path: Path) -> None:

    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ngames = 1\n[system]\n"*" = "Judge."\n')
    assert protocol(str(path)).games == 1
    path.write_text('name = "mine"\ngames = 3\n[system]\n"*" = "Judge."\n')
    with pytest.raises(InputError, match="field games"):
        protocol(str(path))
    with pytest.raises(InputError, match="found the protocol 'none'"):
        protocol("none")
