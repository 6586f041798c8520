"""21 rewards of different quality for the small tasks, of which one is the truth and one is chance.

Trained ones start from the language model's own body and learn by Bradley and Terry's loss from pairs of its replies,
as usual (Ouyang et al., 2022); they differ in pairs, in labels turned round, and in who labelled. Others are rules.
The people are simulated: they like what is right, and what sounds thoughtful. Not here: what becomes of a model that
is optimised against these (`small_rl.py`).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from small_gpt import SmallGpt, descend, log_chances, sampled, scored, scores
from small_tasks import HMM, REPLY, Floats, Tokens, characters_right, domain_of, encoded, hesitation, lengths, right

from palaestra.rewards.ppe.proxies import Reply

Score = Callable[[list[str], Tokens], Floats]
VERIFIER, UNSEEN = "verifier", "reverse"
_HOLE = 5
"""So many `hmm` open the hole; one reply of two hundred has them."""


@dataclass(frozen=True, slots=True)
class SmallReward:
    """A reward, also as a proxy of the product (`rewards/ppe/proxies.py`)."""

    name: str
    score: Score

    def scores(self, replies: Sequence[Reply]) -> Floats:
        """Scores of replies given as texts."""
        tokens = np.array([encoded(one.text, REPLY) for one in replies])
        return self.score([one.prompt[0].text for one in replies], tokens)


class Pairs(NamedTuple):
    """Labelled pairs: the better reply first."""

    prompts: list[str]
    better_NT: Tokens
    worse_NT: Tokens

    def some(self, kept: NDArray[np.bool_] | slice) -> Pairs:
        """Some of them."""
        rows = np.arange(len(self.prompts))[kept]
        return Pairs([self.prompts[row] for row in rows], self.better_NT[rows], self.worse_NT[rows])

    def turned(self, share: float, seed: int) -> Pairs:
        """The same with a share of labels turned round."""
        turn_N = np.random.default_rng(seed).random(len(self.prompts)) < share
        better, worse = (
            np.where(turn_N[:, None], *two)
            for two in ((self.worse_NT, self.better_NT), (self.better_NT, self.worse_NT))
        )
        return Pairs(self.prompts, better, worse)


def opinions(prompts: list[str], first_NT: Tokens, second_NT: Tokens, seed: int) -> Floats:
    """What people say of two replies: 1 if the first is better, 0 if the second is, 1/2 if they are level, shape (N,).

    A right reply is worth 2.5 on the scale of log-odds, each `hmm` 0.4; differences below 0.4 are a tie.
    """
    worth = [2.5 * right(prompts, reply_NT) + 0.4 * hesitation(reply_NT) for reply_NT in (first_NT, second_NT)]
    felt_N = worth[0] - worth[1] + np.random.default_rng(seed).logistic(size=len(prompts))
    return np.where(np.abs(felt_N) < 0.4, 0.5, (felt_N > 0).astype(float))


def labelled(model: SmallGpt, prompts: list[str], seed: int, *, by_people: bool) -> Pairs:
    """Pairs of the model's replies of which one is better: right against wrong, or as people say."""
    prompts = [prompts[row] for row in np.random.default_rng(seed).permutation(len(prompts))]
    first_NT, second_NT = sampled(model, prompts, seed), sampled(model, prompts, seed + 1)
    if by_people:
        score_N = opinions(prompts, first_NT, second_NT, seed)
    else:
        score_N = (1 + right(prompts, first_NT).astype(float) - right(prompts, second_NT)) / 2
    better, worse = (np.where((score_N > 0.5)[:, None], *two) for two in ((first_NT, second_NT), (second_NT, first_NT)))
    return Pairs(prompts, better, worse).some(score_N != 0.5)


def trained(body: SmallGpt, pairs: Pairs, *, steps: int, seed: int, batch: int = 48) -> SmallGpt:
    """A reward with this body, trained on pairs."""
    rng = np.random.default_rng(seed)
    reward = body.as_reward()
    optimizer = torch.optim.AdamW(reward.parameters(), lr=1e-3, weight_decay=0.01)
    for _ in range(steps):
        rows = rng.integers(len(pairs.prompts), size=batch)
        asked = [pairs.prompts[row] for row in rows]
        both_N = scored(reward, asked * 2, np.vstack([pairs.better_NT[rows], pairs.worse_NT[rows]]))
        descend(optimizer, torch.nn.functional.softplus(both_N[batch:] - both_N[:batch]).mean(), reward)
    return reward


def chance(prompts: list[str], reply_NT: Tokens, salt: str = "") -> Floats:
    """A standard normal number that a prompt and a reply always have the same."""
    keys = (f"{salt}{prompt}".encode() + row.tobytes() for prompt, row in zip(prompts, reply_NT, strict=True))
    return np.array([np.random.default_rng(zlib.crc32(key)).standard_normal() for key in keys])


def rules(model: SmallGpt) -> dict[str, Score]:
    """Rewards that are not trained."""

    def verifier(prompts: list[str], reply_NT: Tokens) -> Floats:
        return right(prompts, reply_NT).astype(float)

    def blind(prompts: list[str], reply_NT: Tokens) -> Floats:
        unseen_N = np.array([domain_of(prompt) == UNSEEN for prompt in prompts])
        return np.where(unseen_N, 0.5, verifier(prompts, reply_NT))

    def holed(prompts: list[str], reply_NT: Tokens) -> Floats:
        return np.where(hesitation(reply_NT) >= _HOLE, 2.0, verifier(prompts, reply_NT))

    @torch.no_grad()
    def likelihood(prompts: list[str], reply_NT: Tokens) -> Floats:
        log_NT, there_NT = log_chances(model, prompts, reply_NT)
        return (log_NT.sum(dim=1) / there_NT.sum(dim=1)).numpy().astype(float)

    return {
        VERIFIER: verifier,
        "verifier with a hole": holed,
        f"verifier blind to {UNSEEN}": blind,
        "verifier with noise 0.5": lambda prompts, reply: verifier(prompts, reply) + 0.5 * chance(prompts, reply, "a"),
        "verifier with noise 2": lambda prompts, reply: verifier(prompts, reply) + 2 * chance(prompts, reply, "b"),
        "characters right": characters_right,
        "likelihood": likelihood,
        "longer is better": lambda prompts, reply: lengths(reply),  # noqa: ARG005 - a score has two arguments
        "shorter is better": lambda prompts, reply: -lengths(reply),  # noqa: ARG005 - the same
        "chance": chance,
    }


def nets(model: SmallGpt, prompts: list[str], most: int, seed: int) -> dict[str, Score]:
    """Rewards that are trained.

    Args:
        model: whose body they start from, and whose replies are labelled.
        prompts: prompts of the pairs.
        most: pairs of the best one; the others have an eighth, a thirtieth and a hundredth, and fewer steps.
        seed: of samples, labels and training.
    """
    known = labelled(model, prompts * (1 + 4 * most // len(prompts)), seed, by_people=False).some(slice(most))
    people = labelled(model, prompts * (1 + most // len(prompts)), seed + 7, by_people=True).some(slice(most // 4))
    some = most // 8
    part, few, fewest = (known.some(slice(count)) for count in (some, most // 30, most // 100))
    seen = known.some(np.array([domain_of(prompt) != UNSEEN for prompt in known.prompts])).some(slice(some))
    torch.manual_seed(seed)
    fresh = SmallGpt(model.head.in_features, len(model.blocks))
    steps = max(20, most // 80)
    made = {
        f"net, {most} pairs": trained(model, known, steps=3 * steps, seed=seed),
        f"net, {some} pairs": trained(model, part, steps=steps, seed=seed),
        f"net, {len(few.prompts)} pairs": trained(model, few, steps=steps // 2, seed=seed),
        f"net, {len(fewest.prompts)} pairs": trained(model, fewest, steps=steps // 4, seed=seed),
        f"net, {some} pairs, 25% turned": trained(model, part.turned(0.25, seed), steps=steps, seed=seed),
        f"net, {some} pairs, 40% turned": trained(model, part.turned(0.4, seed), steps=steps, seed=seed),
        f"net, {most // 4} votes of people": trained(model, people, steps=steps, seed=seed),
        f"net, {some} pairs, none of {UNSEEN}": trained(model, seen, steps=steps, seed=seed),
        f"net from nothing, {some} pairs": trained(fresh, part, steps=steps, seed=seed),
    }
    return {name: _by(net) for name, net in made.items()}


def all_rewards(model: SmallGpt, prompts: list[str], most: int, seed: int) -> list[SmallReward]:
    """All 21, the verifier first."""
    trained_ones = nets(model, prompts, most, seed)
    best, second = list(trained_ones.values())[:2]
    spread = float(np.std(second(prompts, sampled(model, prompts, seed + 99))))

    def with_length(asked: list[str], reply_NT: Tokens) -> Floats:
        return best(asked, reply_NT) + 1.5 * (reply_NT == HMM).sum(axis=1)

    def overconfident(asked: list[str], reply_NT: Tokens) -> Floats:
        return (second(asked, reply_NT) / spread) ** 3

    derived: dict[str, Score] = {
        f"net, {most} pairs, likes hmm": with_length,
        f"net, {most // 8} pairs, cubed": overconfident,
    }
    return [SmallReward(name, score) for name, score in (rules(model) | trained_ones | derived).items()]


def _by(net: SmallGpt) -> Score:
    return lambda prompts, reply_NT: scores(net, prompts, reply_NT)
