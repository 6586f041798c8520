"""A scorer recovers a simulated judge; its figures are right; its file is safe and refused where it does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from palaestra.bench.criteria import NAMES
from palaestra.bench.features import FEATURES, text_features
from palaestra.bench.scorer import Scorer, cuts_of, folds, read_scorer, scorer_bytes
from palaestra.bench.training import draw_to_label, stands_for, train_scorer
from palaestra.bench.validation import auc, criterion_figures, figure, resampling, score_figures
from palaestra.errors import InputError

TRUE_CF = np.random.default_rng(8).normal(size=(7, 12)) / 1.5
WIDTH = 12 + len(FEATURES)


def world(prompts: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, true chances, and what a judge drew from them; the last criterion is met by all."""
    rng = np.random.default_rng(seed)
    x_PF = np.hstack([rng.normal(size=(prompts, 12)), 1 + rng.normal(size=(prompts, len(FEATURES)))])
    chance_PC = 1 / (1 + np.exp(-(x_PF[:, :12] @ TRUE_CF.T + np.linspace(-1, 1, 7))))
    chance_PC[:, 6] = 1.0
    return x_PF, chance_PC, rng.random((prompts, 7)) < chance_PC


def trained(x_PF: np.ndarray, met_PC: np.ndarray, labelled: int = 1200) -> Scorer:
    places = np.arange(labelled)
    return train_scorer(
        x_PF, places, met_PC[:labelled], np.ones(labelled), embedder="local:minilm/float32", judge="j", seed=3
    )


@pytest.fixture(scope="module")
def learnt() -> tuple[Scorer, np.ndarray, np.ndarray, np.ndarray]:
    x_PF, chance_PC, met_PC = world(4000)
    return trained(x_PF, met_PC), x_PF, chance_PC, met_PC


def test_it_recovers_a_simulated_judge_on_prompts_that_it_has_not_seen(learnt: tuple) -> None:
    scorer, x_PF, chance_PC, met_PC = learnt
    found_PC = scorer.chances(x_PF[1200:, :12], x_PF[1200:, 12:])
    truth_PC = chance_PC[1200:]
    assert np.abs(found_PC[:, :6] - truth_PC[:, :6]).mean() < 0.05
    assert np.corrcoef(found_PC.sum(axis=1), truth_PC.sum(axis=1))[0, 1] > 0.97
    foretold = scorer.validation
    assert foretold is not None
    for place, name in enumerate(NAMES[:6]):
        held_out = roc_auc_score(met_PC[1200:, place], found_PC[:, place])
        figures = foretold.criteria[name]
        assert figures.auc.lower - 0.02 < held_out < figures.auc.upper + 0.02
        assert figures.slope.lower < 1.1
        assert figures.slope.upper > 0.95
        assert figures.gap.lower < 0.01
        assert figures.gap.upper > -0.01


def test_a_criterion_that_all_meet_is_their_share_and_is_said(learnt: tuple) -> None:
    scorer, x_PF, *_ = learnt
    assert scorer.criteria[NAMES[6]].weights == ()
    assert scorer.chances(x_PF[:5, :12], x_PF[:5, 12:])[:, 6] == pytest.approx(1201 / 1202)
    figures = scorer.validation.criteria[NAMES[6]]
    assert (figures.learnt, figures.auc.value, figures.slope.value) == (False, None, None)
    assert figures.share == 1.0


def test_as_many_prompts_reach_a_count_as_by_the_judge(learnt: tuple) -> None:
    scorer, x_PF, _, met_PC = learnt
    equated_P = scorer.equated(scorer.chances(x_PF[:, :12], x_PF[:, 12:]).sum(axis=1))
    for count in range(1, 8):
        share = (met_PC[:1200].sum(axis=1) >= count).mean()
        assert (equated_P >= count).mean() == pytest.approx(share, abs=1e-3)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=30), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_cuts_rise_and_leave_the_order_alone(counts: list[int], prompts: int) -> None:
    expected_P = np.random.default_rng(prompts).uniform(0, 7, prompts)
    cuts = cuts_of(expected_P, np.array(counts), np.ones(len(counts)))
    assert len(cuts) == 7
    assert list(cuts) == sorted(cuts)
    equated_P = np.searchsorted(cuts, expected_P, side="right")
    assert (np.diff(equated_P[np.argsort(expected_P)]) >= 0).all()


def test_all_alike_is_handled() -> None:
    x_PF = np.ones((100, WIDTH))
    scorer = train_scorer(
        x_PF, np.arange(100), np.zeros((100, 7), dtype=bool), np.ones(100), embedder="e", judge="j", seed=0
    )
    assert scorer.chances(x_PF[:, :12], x_PF[:, 12:]) == pytest.approx(1 / 102)
    assert scorer.validation is not None
    assert scorer.validation.pearson.value is None
    assert set(scorer.equated(scorer.chances(x_PF[:, :12], x_PF[:, 12:]).sum(axis=1))) == {0.0}


def test_too_few_labels_are_said() -> None:
    x_PF, _, met_PC = world(79)
    with pytest.raises(InputError, match="found 79 labels that can be read, expected at least 80"):
        trained(x_PF, met_PC, 79)


def test_a_file_gives_the_same_scorer_and_holds_no_code(learnt: tuple, tmp_path: Path) -> None:
    scorer = learnt[0]
    (tmp_path / "scorer.json").write_bytes(scorer_bytes(scorer))
    assert read_scorer(tmp_path / "scorer.json") == scorer
    assert json.loads(scorer_bytes(scorer))["schema"] == "palaestra.scorer/1"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.update(scale=data["scale"][1:]), "other criteria, features or lengths"),
        (lambda data: data.update(scale=[0.0, *data["scale"][1:]]), "a scale that is not above zero"),
        (lambda data: data.pop("embedder"), "embedder: Field required"),
        (lambda data: data.update(schema="palaestra.scorer/9"), "palaestra.scorer/9"),
        (lambda data: data.update(features=["length"]), "other criteria, features or lengths"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(learnt: tuple, tmp_path: Path, change, words: str) -> None:  # noqa: ANN001 - a function
    data = learnt[0].to_dict()
    change(data)
    (tmp_path / "scorer.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=words):
        read_scorer(tmp_path / "scorer.json")


@pytest.mark.parametrize("text", [b"", b"\x80\x04K\x01.", b"[]", b"{}", b"null"])
def test_what_is_no_scorer_is_said(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "scorer.json").write_bytes(text)
    with pytest.raises(InputError, match=r"scorer\.json"):
        read_scorer(tmp_path / "scorer.json")


def test_vectors_of_another_length_are_refused(learnt: tuple) -> None:
    with pytest.raises(InputError, match="found vectors of 11 numbers, the scorer has learnt from 12"):
        learnt[0].chances(np.zeros((2, 11)), np.zeros((2, len(FEATURES))))


chances = st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.3001, 0.8]), st.booleans()), min_size=2, max_size=30)


@given(chances.filter(lambda rows: len({met for _, met in rows}) == 2))
@settings(max_examples=80, deadline=None)
def test_the_auc_is_that_of_another_program_also_with_weights(rows: list) -> None:
    chance_P, met_P = (np.array(column) for column in zip(*rows, strict=True))
    weight_RP = np.random.default_rng(len(rows)).integers(1, 4, (3, len(rows))).astype(float)
    one_fold_P = np.zeros(len(rows), dtype=np.int64)
    for value, weight_P in zip(auc(chance_P, met_P, one_fold_P, weight_RP), weight_RP, strict=True):
        assert value == pytest.approx(roc_auc_score(met_P, chance_P, sample_weight=weight_P))


def test_chances_that_know_nothing_have_no_auc_below_a_half() -> None:
    """Of a criterion that was not learnt, each fold's chance is the share elsewhere, lower where more meet it here."""
    fold_P = np.arange(100) % 5
    met_P = np.zeros(100, dtype=bool)
    met_P[[0, 5, 10, 15, 1, 6, 2]] = True
    chance_P = np.array([met_P[fold_P != fold].mean() for fold in range(5)])[fold_P]
    assert roc_auc_score(met_P, chance_P) < 0.3
    figures = criterion_figures(chance_P, met_P, fold_P, resampling(100, 0), learnt=True)
    assert figures.auc.value == 0.5
    assert criterion_figures(chance_P, met_P, fold_P, resampling(100, 0), learnt=False).auc.value is None


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """150 worlds of 200 prompts whose chances are known: the true gap is 0, the true slope is 1."""
    held = np.zeros(2)
    for seed in range(150):
        rng = np.random.default_rng(seed)
        chance_P = rng.uniform(0.05, 0.95, 200)
        met_P, fold_P = rng.random(200) < chance_P, np.arange(200) % 5
        figures = criterion_figures(chance_P, met_P, fold_P, resampling(200, seed), learnt=True)
        held += [
            figures.gap.lower <= 0 <= figures.gap.upper,  # ty: ignore[unsupported-operator]
            figures.slope.lower <= 1 <= figures.slope.upper,  # ty: ignore[unsupported-operator]
        ]
    print(f"\n95% intervals hold: gap {held[0] / 150:.3f}, slope {held[1] / 150:.3f}")
    assert (held / 150 > 0.89).all()


def test_the_figures_of_the_score_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    count_P = rng.integers(0, 8, 300).astype(float)
    expected_P = count_P + rng.normal(size=300)
    weight_RP = resampling(300, 1)
    found = score_figures(expected_P, count_P, np.round(expected_P), weight_RP)
    assert found["pearson"].value == pytest.approx(np.corrcoef(expected_P, count_P)[0, 1])
    hard, said = count_P >= 6, np.round(expected_P) >= 6
    assert found["found"].value == pytest.approx((hard & said).sum() / hard.sum())
    assert found["right"].value == pytest.approx((hard & said).sum() / said.sum())
    assert found["pearson"].lower < found["pearson"].value < found["pearson"].upper  # ty: ignore[unsupported-operator]
    assert figure(lambda weight_RP: weight_RP[:, 0] * np.nan, weight_RP).value is None


def test_every_topic_has_its_share_of_the_labels() -> None:
    topic_P = np.repeat([-1, 0, 1, 2, 3], [20, 500, 300, 150, 1])
    drawn = draw_to_label(topic_P, 97, seed=1)
    assert len(set(drawn.tolist())) == 97
    counts = dict(zip(*np.unique(topic_P[drawn], return_counts=True), strict=True))
    assert counts == {-1: 2, 0: 49, 1: 30, 2: 15, 3: 1}
    assert stands_for(topic_P, drawn).sum() == pytest.approx(971)
    assert np.array_equal(draw_to_label(topic_P, 97, seed=1), drawn)
    assert np.array_equal(draw_to_label(topic_P, 5000, seed=1), np.arange(971))


@given(st.lists(st.integers(-1, 9), min_size=1, max_size=80), st.integers(1, 90), st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_as_many_are_drawn_as_were_asked_for(topics: list[int], count: int, seed: int) -> None:
    topic_P = np.array(topics)
    drawn = draw_to_label(topic_P, count, seed)
    assert len(set(drawn.tolist())) == len(drawn) == min(count, len(topics))
    if count >= len(set(topics)):
        assert set(topic_P[drawn].tolist()) == set(topics)


def test_folds_are_even_in_both_kinds() -> None:
    met_P = np.arange(103) % 3 == 0
    fold_P = folds(met_P, 4, seed=0)
    for value in (True, False):
        counts = np.bincount(fold_P[met_P == value], minlength=4)
        assert counts.max() - counts.min() <= 1


def test_features_count_what_they_say() -> None:
    rows = text_features(["", "Write a story about my 3 cats?", "```\ndef f(x):\n    return x\n```\n- one\n- two"])
    assert rows.shape == (3, len(FEATURES))
    assert np.isfinite(rows).all()
    assert not rows[0].any()
    named = [dict(zip(FEATURES, row, strict=True)) for row in rows.tolist()]
    assert [named[1][name] for name in ("has_digit", "begins_with_task", "first_person", "made_up", "has_code")] == [
        1, 1, 1, 1, 0,
    ]  # fmt: skip
    assert (named[2]["has_code"], named[2]["log_items"]) == (1, pytest.approx(np.log(3)))
