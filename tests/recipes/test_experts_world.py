"""The world of small domains: checkers, splits, limits, and the page, over all domains."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError
from palaestra.posttrain.examples import read_examples, write_examples
from palaestra.recipes.experts_to_generalist.domain import ANSWER_MARK, answer_in, working
from palaestra.recipes.experts_to_generalist.letters import CHARACTERS
from palaestra.recipes.experts_to_generalist.world import (
    DOMAINS,
    LONGEST_ANSWER,
    LONGEST_PROMPT,
    LONGEST_WORKING,
    Split,
    domain_of,
    examples,
    mixture,
    score,
    split_of,
    world_table,
)

SEEDS = st.integers(0, 2**32)
NAMES = st.sampled_from(sorted(DOMAINS))
SPLITS = st.sampled_from(["train", "validation", "test"])
CHANCE = st.builds(Random, SEEDS)
TEXT = st.text(st.sampled_from(CHARACTERS), max_size=12)
SMALL = 5_000
PAGE = Path(__file__).parents[2] / "docs" / "experts_to_generalist.md"


def test_there_are_enough_domains_with_names_of_their_own() -> None:
    assert len(DOMAINS) >= 24
    assert all(len(name) == 3 and name.isalpha() and name.islower() for name in DOMAINS)
    assert len({domain.title for domain in DOMAINS.values()}) == len(DOMAINS)


@pytest.mark.parametrize("name", DOMAINS)
@given(rng=CHANCE)
@settings(max_examples=60, deadline=None)
def test_the_gold_answer_and_its_working_are_right_short_and_made_of_known_letters(name: str, rng: Random) -> None:
    task = DOMAINS[name].draw(rng)
    prompt, worked = DOMAINS[name].prompt(task.body), working(task)
    assert DOMAINS[name].check(task.body, task.answer)
    assert score(name, prompt, worked)
    assert len(prompt) <= LONGEST_PROMPT
    assert 1 <= len(task.answer) <= LONGEST_ANSWER
    assert len(task.answer) < len(worked) <= LONGEST_WORKING
    assert ANSWER_MARK not in prompt + task.answer + "".join(task.steps)
    assert set(prompt + worked) <= set(CHARACTERS)
    assert task.body == task.body.strip()


@pytest.mark.parametrize("name", DOMAINS)
@given(rng=CHANCE, data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_other_answer_is_right(name: str, rng: Random, data: st.DataObject) -> None:
    task = DOMAINS[name].draw(rng)
    edited = _edited(task.answer, data)
    other = DOMAINS[name].draw(rng).answer
    for reply in (edited, other, data.draw(TEXT), task.answer[:-1], task.answer * 2, f"{task.answer}#", ""):
        if answer_in(reply) != task.answer:
            assert not score(name, DOMAINS[name].prompt(task.body), reply)


def _edited(answer: str, data: st.DataObject) -> str:
    """One letter changed for another of the answers' kinds, or two neighbours swapped."""
    at = data.draw(st.integers(0, len(answer) - 1))
    letter = data.draw(st.sampled_from("0123456789abcxyz<>=TFyn()[]{}., -r"))
    swapped = answer[:at] + answer[at : at + 2][::-1] + answer[at + 2 :]
    return data.draw(st.sampled_from([answer[:at] + letter + answer[at + 1 :], swapped]))


@pytest.mark.parametrize("name", DOMAINS)
def test_the_number_of_prompts_is_what_is_said(name: str) -> None:
    """All of a small domain's prompts come up; of a larger one most draws are new."""
    space, rng = DOMAINS[name].space, Random(name)  # noqa: S311 - draws
    assert space >= 2000
    draws = 30 * space if space <= SMALL else SMALL
    distinct = len({DOMAINS[name].draw(rng).body for _ in range(draws)})
    assert distinct <= space
    assert distinct >= (0.97 * space if space <= SMALL else 0.4 * min(space, draws))


@given(name=NAMES, split=SPLITS, seed=SEEDS, count=st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_the_same_seed_draws_the_same_and_every_prompt_is_of_its_split(
    name: str, split: Split, seed: int, count: int
) -> None:
    found = examples(name, split, count, seed)
    assert found == examples(name, split, count, seed)
    assert found[: count // 2] == examples(name, split, count // 2, seed)
    assert all(split_of(each.asked) == split for each in found)
    if split != "train":
        assert len({each.asked for each in found}) == count


def test_other_seeds_and_other_splits_draw_other_prompts() -> None:
    drawn = {
        (split, seed): [e.asked for e in mixture(split, 5, seed)] for split in ("train", "test") for seed in (0, 1)
    }
    assert len({tuple(prompts) for prompts in drawn.values()}) == len(drawn)


def test_splits_have_their_shares() -> None:
    rng = Random(0)  # noqa: S311 - draws
    prompts = {domain.prompt(domain.draw(rng).body) for domain in DOMAINS.values() for _ in range(400)}
    shares = Counter(map(split_of, prompts))
    assert abs(shares["test"] / len(prompts) - 0.1) < 0.015
    assert abs(shares["validation"] / len(prompts) - 0.1) < 0.015


def test_a_held_out_split_has_an_end() -> None:
    smallest = min(DOMAINS.values(), key=lambda domain: domain.space)
    with pytest.raises(InputError, match=r"found \d+ prompts of the domain \w+ for test and no more"):
        examples(smallest.tag, "test", smallest.space, 0)


def test_what_a_completion_says() -> None:
    answer, worked, nothing = (examples("add", "test", 1, 3, says=says)[0] for says in ("answer", "working", "nothing"))
    assert answer.prompt == worked.prompt == nothing.prompt
    assert answer.reply == answer.reference == worked.reference == nothing.reference
    assert worked.reply.endswith(f"{ANSWER_MARK}{answer.reply}")
    assert nothing.completion == ()


def test_a_mixture_has_the_same_of_each_domain_shuffled() -> None:
    found = mixture("validation", 6, 1)
    assert Counter(each.domain for each in found) == dict.fromkeys(DOMAINS, 6)
    assert [each.domain for each in found[:6]] != [found[0].domain] * 6
    assert {each.domain for each in mixture("train", 2, 1, domains=("rev", "add"))} == {"rev", "add"}


def test_examples_go_through_files(tmp_path: Path) -> None:
    found = mixture("train", 30, 1)
    write_examples(tmp_path / "train.parquet", found)
    assert list(read_examples(tmp_path / "train.parquet", completed=True).examples) == found


def test_what_is_none_of_this_world_is_refused() -> None:
    with pytest.raises(InputError, match="found the domain 'sum', expected one of add, sub"):
        domain_of("sum")
    with pytest.raises(InputError, match="found the split 'dev', expected one of train, validation, test"):
        examples("add", "dev", 1, 0)  # ty: ignore[invalid-argument-type]
    with pytest.raises(InputError, match=r"found the prompt 'sub 9-3' for the domain add, expected 'add'"):
        score("add", "sub 9-3", "6")
    with pytest.raises(InputError, match="no question of the domain add"):
        score("add", "add what", "6")


def test_the_page_has_the_world_as_it_is() -> None:
    assert world_table() in PAGE.read_text()
