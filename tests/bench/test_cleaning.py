"""What cannot be asked goes, what is there twice goes once, what stands elsewhere goes; and each says why."""

from __future__ import annotations

import re

import numpy as np
import pytest
from crowds import crowd, vector
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.bench.cleaning import clean
from palaestra.bench.contamination import contaminated
from palaestra.bench.duplicates import jaccard, normalised, pieces, without_duplicates
from palaestra.errors import InputError
from palaestra.schema import Prompt

LONG = "Explain in detail how a catalyst changes the rate of a reaction, and give two examples from industry"


def prompt(name: str, text: str, language: str | None = None) -> Prompt:
    return Prompt(id=name, turns=(text,), language=language)


def test_each_reason_to_go() -> None:
    rows = [
        prompt("good", LONG, "en"),
        prompt("short", "x" * 32, "en"),
        prompt("fits", "y" * 33, "EN"),
        prompt("long", "z" * 10_001, "en"),
        prompt("bell", LONG + "\x07", "en"),
        prompt("half", LONG + "\ud800", "en"),
        prompt("lines", LONG + "\n\tand\r\n", "en"),
        prompt("other", LONG, "de"),
        prompt("unknown", LONG),
    ]
    kept, dropped = clean(rows, shortest=33, longest=10_000, languages=("en",))
    assert [one.id for one in kept] == ["good", "fits", "lines"]
    assert {one.id: one.reason for one in dropped} == {
        "short": "shorter than 33 characters",
        "long": "longer than 10000 characters",
        "bell": "control characters",
        "half": "control characters",
        "other": "another language",
        "unknown": "no language",
    }


def test_a_filter_by_languages_that_nobody_says_is_an_error() -> None:
    with pytest.raises(InputError, match="found no language with any of 1 prompts"):
        clean([prompt("a", LONG)], shortest=1, longest=1000, languages=("en",))


def test_planted_duplicates_are_found_and_no_others() -> None:
    prompts, _ = without_duplicates(crowd(150)[0], 0.8)
    twice = [prompt(f"x{n}", f"  {one.text.upper()}\n") for n, one in enumerate(prompts[:10])]
    near = [prompt(f"y{n}", one.text.replace("mind the", "mind a")) for n, one in enumerate(prompts[20:30])]
    kept, dropped = without_duplicates([*near, *twice, *prompts], 0.8)
    assert [one.id for one in kept] == [one.id for one in prompts]
    like = {one.id: (one.reason, one.like) for one in dropped}
    assert like == {f"x{n}": ("the same text", prompts[n].id) for n in range(10)} | {
        f"y{n}": ("nearly the same text", prompts[n + 20].id) for n in range(10)
    }


@given(st.text(min_size=5, max_size=60), st.text(min_size=5, max_size=60))
@settings(max_examples=100, deadline=None)
def test_the_jaccard_similarity_is_that_of_the_sets(a: str, b: str) -> None:
    sets = [{text[place : place + 5] for place in range(len(text) - 4)} for text in (a, b)]
    assert jaccard(pieces(a), pieces(b)) == pytest.approx(len(sets[0] & sets[1]) / len(sets[0] | sets[1]))


words = st.lists(st.sampled_from(["ab", "cd", "efg", "hijk", "lmn", "op"]), min_size=3, max_size=8).map(" ".join)


@given(st.lists(words, min_size=1, max_size=25), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_what_goes_is_like_what_stays_and_the_order_does_not_matter(texts: list[str], random) -> None:  # noqa: ANN001 - Hypothesis' own
    prompts = [prompt(f"p{number:02}", text) for number, text in enumerate(texts)]
    kept, dropped = without_duplicates(prompts, 0.7)
    by_id = {one.id: normalised(one.text) for one in prompts}
    assert {one.id for one in kept} | {one.id for one in dropped} == set(by_id)
    assert len(kept) + len(dropped) == len(prompts)
    for one in dropped:
        assert one.like in {other.id for other in kept}
        assert one.like < one.id
        assert jaccard(pieces(by_id[one.id]), pieces(by_id[one.like])) >= 0.7
    random.shuffle(prompts)
    again = without_duplicates(prompts, 0.7)
    assert [one.id for one in again[0]] == [one.id for one in kept]
    assert again[1] == dropped


def vectors(prompts: list[Prompt]) -> np.ndarray:
    found = np.array([vector(one.text) for one in prompts])
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_planted_contamination_is_found_by_words_and_by_meaning() -> None:
    prompts, _ = crowd(60)
    other = prompt("q1", f"{prompts[3].text} And one more sentence that is not in the pool of all prompts at all.")
    twin = prompt("q2", "quite other words")
    ours, theirs = vectors(prompts), np.vstack([vectors([other])[0] * 0 + np.eye(40)[9], vectors(prompts[7:8])[0]])
    found = contaminated(
        prompts, ours, {"set: q1": other, "set: q2": twin}, theirs.astype(np.float32), overlap=0.9, similarity=0.9999
    )
    assert [(one.id, one.reason, one.like) for one in found] == [
        ("p0003", "the same words", "set: q1"),
        ("p0007", "the same meaning", "set: q2"),
    ]
    assert found[0].likeness == 1.0
    assert contaminated(prompts, ours, {}, theirs[:0].astype(np.float32), overlap=0.5, similarity=0.9) == []


def test_a_short_text_is_contaminated_by_itself_alone() -> None:
    known = {"set: q": prompt("q", "why is the sky blue?")}
    ours = [prompt("a", "Why is  the sky blue"), prompt("b", "Tell me why the sky is blue")]
    flat = np.eye(3, dtype=np.float32)
    found = contaminated(ours, flat[:2], known, flat[2:], overlap=0.5, similarity=0.9)
    assert [(one.id, one.likeness) for one in found] == [("a", 1.0)]
    assert re.fullmatch("the same words", found[0].reason)
