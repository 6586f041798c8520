"""Rules and verifiers."""

from __future__ import annotations

import pytest

from palaestra.errors import InputError
from palaestra.rewards.rules import chosen, final_answer, rule, same_answer, same_choice
from palaestra.schema import Message

ASKED = [(Message.of("user", "2 + 2?"),)]


@pytest.mark.parametrize(
    ("reply", "reference", "same"),
    [
        (r"So we get \boxed{\frac{1}{2}}.", "0.5", True),
        ("The answer is 1,000.", "1000", True),
        ("a\n#### 12", "12.0", True),
        ("It is \\boxed{\\text{Paris}}", "paris", True),
        ("answer: 50%", "0.5", True),
        ("The answer is 12", "13", False),
        (r"\boxed{x + 1}", "x+1", True),
        (r"\boxed{x + 1}", "1+x", False),
        ("first 7, and then:\n8", "8", True),
        ("1/0", "1/0", True),
        ("answer: " + "1" * 6000, "42", False),
    ],
)
def test_final_answers_are_compared_as_numbers_or_else_as_texts(reply: str, reference: str, same: bool) -> None:  # noqa: FBT001 - a table
    assert same_answer(reply, reference) is same


def test_boxes_are_read_to_their_own_brace_and_letters_wherever_they_are_chosen() -> None:
    assert final_answer(r"\boxed{a} and \boxed{\sqrt{2}}") == r"\sqrt{2}"
    assert chosen("I think (A), no: the answer is (C).") == "C"
    assert chosen("B.") == "B"
    assert chosen("Neither of them") is None
    assert chosen("The answer is a bit hidden.\n(C)") == "C"
    assert [chosen(f"The answer is {said}") for said in ("b.", "b) 7", "(b)", "B because")] == ["B"] * 4


@pytest.mark.parametrize("reference", ["forty-two", "2", ""])
def test_a_reference_without_a_letter_is_refused_and_not_what_a_reply_without_one_chooses(reference: str) -> None:
    with pytest.raises(InputError, match="expected a letter from A to J"):
        same_choice("no idea", reference)


def test_each_rule_scores_what_it_says() -> None:
    replies = ["one two three", '```json\n{"a": 1}\n```']
    twice = ASKED * 2
    assert rule("rule:length").score(twice, ["one two three", "one"]).tolist() == [3, 1]
    assert rule("rule:-length").score(twice, ["one two three", "one"]).tolist() == [-3, -1]
    assert rule("rule:json").score(twice, replies).tolist() == [0, 1]
    assert rule("rule:regex:t[wh]").score(twice, ["two", "one"]).tolist() == [1, 0]
    assert rule("rule:exact", {"2 + 2?": "4"}).score(twice, ["4", "5"]).tolist() == [1, 0]
    assert rule("rule:choice", {"2 + 2?": "(B)"}).score(twice, ["answer: B", "(A)"]).tolist() == [1, 0]


def test_a_rule_that_is_none_and_a_verifier_without_references_are_refused() -> None:
    with pytest.raises(InputError, match="found the rule 'rule:nice'"):
        rule("rule:nice")
    with pytest.raises(InputError, match="expected a regular expression"):
        rule("rule:regex:(")
    with pytest.raises(InputError, match="found no references"):
        rule("rule:exact")
    with pytest.raises(InputError, match="found no reference for the prompt '2 \\+ 2\\?'"):
        rule("rule:exact", {"other": "4"}).score(ASKED, ["4"])
