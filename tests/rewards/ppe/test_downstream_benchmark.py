"""The pieces of tests/benchmarks/rewards/downstream.py: does each do what the page says of it?"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from foretelling import Outcome, gain_rounds, spearman_rounds
from scipy.stats import spearmanr
from small_gpt import SmallGpt, imitate, log_chances, sampled, scores
from small_rewards import Pairs, chance, labelled, opinions, trained
from small_rl import Look, RlPlan, advantages, optimised
from small_tasks import DOMAINS, END, PAD, REPLY, answer, decoded, domain_of, encoded, prompts_of, right, taught

PROMPTS = prompts_of(120, seed=5)["even digits"]


@pytest.fixture(scope="module")
def model() -> SmallGpt:
    """A model that has learnt one kind of task by halves."""
    torch.manual_seed(0)
    found = SmallGpt(48, 2)
    asked = PROMPTS[:80] * 10
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    imitate(found, asked, taught(asked, 0), steps=250, batch=48, seed=0, keep_at=set())
    torch.set_num_threads(threads)
    return found


def test_the_verifier_knows_the_truth() -> None:
    for prompt, said in {"2+7+5=": "14", ">4821=": "1248", "<fade=": "edaf", "#4821=": "482"}.items():
        assert answer(prompt) == said
        replies = [f"{said}.", f"hmm hmm {said}.", f"{said}", f"{said}{said}.", f"hmm {said[::-1]}x."[:-2] + "."]
        rows = np.array([encoded(reply, REPLY) for reply in replies])
        assert list(right([prompt] * 5, rows))[:4] == [True, True, False, False]
        assert not right([prompt], rows[4:])[0] or said == said[::-1]
        assert [decoded(row) for row in rows[:4]] == replies[:4], "a text is its tokens"
    drawn = prompts_of(30, seed=1)
    assert [domain_of(one) for name in DOMAINS for one in drawn[name]] == [name for name in DOMAINS for _ in range(30)]


def test_replies_end_once_and_their_chances_are_those_they_are_drawn_with(model: SmallGpt) -> None:
    reply_NT = sampled(model, PROMPTS[:1] * 4000, seed=3)
    ended_N = (reply_NT == END).sum(axis=1)
    assert set(ended_N) <= {0, 1}
    after_end_NT = np.cumsum(reply_NT == END, axis=1) - (reply_NT == END)
    assert (reply_NT[after_end_NT > 0] == PAD).all()
    found, counts = np.unique(reply_NT, axis=0, return_counts=True)
    most = np.argsort(-counts)[:3]
    expected = log_chances(model, PROMPTS[:1] * 3, found[most])[0].sum(dim=1).exp().detach().numpy()
    drawn = counts[most] / 4000
    assert np.all(np.abs(drawn - expected) < 4 * np.sqrt(drawn / 4000) + 1e-3), "the cache changes nothing"


def test_rl_against_the_verifier_raises_the_truth_and_against_its_opposite_lowers_it(model: SmallGpt) -> None:
    plan = RlPlan(steps=12, prompts=12, look_every=12, looks=8, rate=1e-3)
    before = copy.deepcopy(model.state_dict())

    def truth(prompts: list[str], reply_NT: np.ndarray) -> np.ndarray:
        return right(prompts, reply_NT).astype(float)

    up, down = (
        optimised(model, score, PROMPTS[:80], PROMPTS[80:], plan, seed=1)
        for score in (truth, lambda prompts, reply_NT: -truth(prompts, reply_NT))
    )
    base = up[0].right_P.mean()
    assert 0.1 < base < 0.9, "there is room both ways"
    assert up[-1].right_P.mean() > base + 0.08
    assert down[-1].right_P.mean() < base - 0.08
    assert up[-1].reward > up[0].reward
    assert up[-1].kl > 0.0 == pytest.approx(up[0].kl, abs=1e-5)
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items()), "the first one stays"


def test_advantages_are_from_the_other_replies_to_a_prompt() -> None:
    worth = torch.tensor([1.0, 2.0, 6.0, 5.0, 5.0, 5.0])
    assert advantages(worth, 3).tolist() == pytest.approx([-3.0, -1.5, 4.5, 0.0, 0.0, 0.0])


def test_a_trained_reward_learns_from_its_pairs_and_not_from_turned_ones(model: SmallGpt) -> None:
    pairs = labelled(model, PROMPTS[:80] * 12, seed=2, by_people=False)
    assert right(pairs.prompts, pairs.better_NT).all()
    assert not right(pairs.prompts, pairs.worse_NT).any()

    def accuracy(learnt: Pairs) -> float:
        net = trained(model, learnt.some(slice(200)), steps=60, seed=0)
        asked = pairs.some(slice(200, None))
        return float((scores(net, asked.prompts, asked.better_NT) > scores(net, asked.prompts, asked.worse_NT)).mean())

    good, bad = accuracy(pairs), accuracy(pairs.turned(1.0, seed=0))
    assert good > 0.6
    assert bad < 0.4


def test_people_like_what_is_right_and_what_hesitates() -> None:
    prompts = ["#4821="] * 3000
    plain, wrong, slow = (np.array([encoded(text, REPLY)] * 3000) for text in ("482.", "481.", "hmm hmm hmm 482."))
    decided = opinions(prompts, plain, wrong, 0)
    assert abs(decided[decided != 0.5].mean() - 1 / (1 + np.exp(-2.5))) < 0.04
    assert opinions(prompts, slow, plain, 0).mean() > 0.6
    one = chance(prompts, wrong)
    assert len(set(one)) == 1, "chance is the same for the same reply"


def test_correlations_of_rounds_are_scipys() -> None:
    rng = np.random.default_rng(0)
    value_RM, gain_RM = rng.integers(5, size=(2, 6, 9)).astype(float)
    assert spearman_rounds(value_RM, gain_RM) == pytest.approx(
        [spearmanr(*pair).statistic for pair in zip(value_RM, gain_RM, strict=True)]
    )
    assert np.isnan(spearman_rounds(np.ones((1, 9)), gain_RM[:1])[0])


def test_gains_of_rounds_begin_with_the_gain_and_spread_as_prompts_do() -> None:
    rng = np.random.default_rng(0)
    curve_PN = np.cumsum(rng.random((50, 32)), axis=1) / 40
    runs = [[Look(0, np.zeros(40), 0.0, 0.0, 0.0), Look(9, rng.random(40), 1.0, 1.0, 0.0)] for _ in range(3)]
    one = Outcome(curve_PN, runs)
    rounds = gain_rounds([one], 2000, seed=0)
    for result, gain in one.gains().items():
        assert rounds[result][0, 0] == pytest.approx(gain)
    gain_P = one.best_of(32)
    assert rounds["best of 32"][1:, 0].std() == pytest.approx(gain_P.std() / np.sqrt(50), rel=0.1)
