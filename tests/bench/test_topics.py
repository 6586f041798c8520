"""Topics of simulated vectors are those that were put in; outliers join by the rule; names tell topics apart."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from crowds import TOPICS, Judge, crowd
from sklearn.metrics import adjusted_rand_score

from palaestra.bench.duplicates import without_duplicates
from palaestra.bench.naming import (
    distinct,
    names_by_judge,
    names_from_words,
    naming_questions,
    read_name,
    words_of_topics,
)
from palaestra.bench.topics import agglomerated, assigned, by_size, centroids, find_topics
from palaestra.errors import InputError, MissingPartError


def clusters(count: int, topics: int, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centre_TD = rng.normal(size=(topics, 64))
    label_P = rng.integers(topics, size=count)
    found = centre_TD[label_P] + spread * rng.normal(size=(count, 64))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), label_P


def test_known_clusters_are_found_again_the_same_with_the_same_seed() -> None:
    vectors_PD, label_P = clusters(400, 9, 0.6)
    found = find_topics(vectors_PD, least=20, similarity=0.3, upper=None, seed=1)  # smaller ones differ by processor
    assert found.count == 9
    assert adjusted_rand_score(label_P, found.topic_P) > 0.98
    again = find_topics(vectors_PD, least=20, similarity=0.3, upper=None, seed=1)
    assert np.array_equal(found.topic_P, again.topic_P)
    assert np.array_equal(found.map_P2, again.map_P2)
    sizes = np.bincount(found.topic_P[found.topic_P >= 0])
    assert (np.diff(sizes) <= 0).all()
    assert np.linalg.norm(found.centroid_TD, axis=1) == pytest.approx(1)
    assert len(set(found.upper_T)) == 3


def test_an_outlier_joins_the_nearest_topic_or_none() -> None:
    vectors_PD, label_P = clusters(200, 4, 0.3)
    centroid_TD = centroids(vectors_PD, label_P)
    hidden_P = np.where(np.arange(200) % 5 == 0, -1, label_P)
    assert np.array_equal(assigned(vectors_PD, hidden_P, centroid_TD, 0.3), label_P)
    assert np.array_equal(assigned(vectors_PD, hidden_P, centroid_TD, 1.01), hidden_P)
    far = -centroid_TD.sum(axis=0, keepdims=True)
    assert assigned(far / np.linalg.norm(far), np.array([-1]), centroid_TD, 0.3).tolist() == [-1]


def test_labels_are_renumbered_by_size_and_outliers_stay() -> None:
    label_P, old_T = by_size(np.array([2, 0, 1, 1, -1, 1, 2]))
    assert label_P.tolist() == [1, 2, 0, 0, -1, 0, 1]
    assert old_T.tolist() == [1, 2, 0]


def test_upper_topics_hold_what_is_near() -> None:
    rng = np.random.default_rng(0)
    centre_TD = np.repeat(np.eye(16)[:3], 4, axis=0) + 0.05 * rng.normal(size=(12, 16))
    assert agglomerated(centre_TD, 3).tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert agglomerated(centre_TD, 1).tolist() == [0] * 12
    assert agglomerated(centre_TD, 50).tolist() == list(range(12))


def test_too_few_prompts_or_none_alike_is_said() -> None:
    with pytest.raises(InputError, match="found 19 prompts to find topics in, expected at least 20"):
        find_topics(clusters(19, 2, 0.1)[0], least=2, similarity=0.3, upper=None, seed=0)


def test_names_are_the_words_that_set_a_topic_apart() -> None:
    prompts, topics = crowd(200)
    texts = {
        place: [one.text for one, topic in zip(prompts, topics, strict=True) if topic == name]
        for place, name in enumerate(TOPICS)
    }
    names = names_from_words(words_of_topics(texts))
    for place, words in enumerate(TOPICS.values()):
        assert set(names[place].split()) <= set(words.split())


def test_the_weight_is_that_of_the_formula() -> None:
    texts = {0: ["apple apple pear", "apple fig"], 1: ["pear plum", "plum"]}
    counts = {0: {"apple": 2, "pear": 1, "fig": 1}, 1: {"pear": 1, "plum": 2}}
    mean, everywhere = 3.5, {"apple": 2, "pear": 2, "fig": 1, "plum": 2}
    for topic, words in words_of_topics(texts).items():
        total = sum(counts[topic].values())
        weight = {word: n / total * np.log(1 + mean / everywhere[word]) for word, n in counts[topic].items()}
        assert list(words) == sorted(weight, key=lambda word: (-weight[word], word))


def test_no_two_names_are_the_same() -> None:
    assert distinct({0: "a", 1: "a", 2: "b", 3: "a", 4: "a (2)"}) == {
        0: "a", 1: "a (3)", 2: "b", 3: "a (4)", 4: "a (2)",
    }  # fmt: skip
    same = dict.fromkeys(range(3), ("one", "two", "three", "four", "five"))
    assert len(set(names_from_words(same).values())) == 3
    assert names_from_words({0: ()}) == {0: "unnamed"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('"Organic chemistry"\n', "Organic chemistry"),
        ("**Tax law of small firms**", "Tax law of small firms"),
        ("It is about the law of tax", None),
        ("Tax\nlaw", None),
        ("", None),
        ("x" * 81, None),
        ("red\x1b[31m", None),
    ],
)
def test_a_judges_name_has_at_most_five_words(text: str, name: str | None) -> None:
    assert read_name(text) == name


def test_where_the_judge_has_no_name_the_words_stand() -> None:
    texts = {0: ["sail the boat"] * 20, 1: ["bake the bread"] * 3}
    judge = Judge(lambda asked: "Boats" if "sail" in asked else "I would say that this is about baking")
    assert names_by_judge(words_of_topics(texts), texts, judge, seed=4) == ({0: "Boats", 1: "bake bread"}, 1, 0)
    assert judge.keys == ["topic:0", "topic:1"]
    assert naming_questions(texts, 4)[0].messages[-1].text.count("- sail") == 12


def test_a_judge_that_does_not_answer_is_told_apart_from_one_that_finds_no_name() -> None:
    texts = {0: ["sail the boat"] * 20, 1: ["bake the bread"] * 3}
    judge = Judge(lambda asked: "Boats" if "sail" in asked else None)
    assert names_by_judge(words_of_topics(texts), texts, judge, seed=4) == ({0: "Boats", 1: "bake bread"}, 0, 1)
    with pytest.raises(InputError, match="named none of 2 topics, the first with: no answer"):
        names_by_judge(words_of_topics(texts), texts, Judge(lambda _: None), seed=4)


@pytest.mark.parametrize("lost", ["umap", "datasketch"])
def test_without_the_extra_the_command_that_helps_is_named(lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, lost, None)

    def used() -> None:
        without_duplicates(crowd(3)[0], 0.8)
        find_topics(clusters(40, 2, 0.1)[0], least=8, similarity=0.3, upper=None, seed=0)

    with pytest.raises(MissingPartError, match=rf"{lost}: pip install 'palaestra\[bench\]'"):
        used()
