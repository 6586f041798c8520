"""Shorter answers that stay right: what a length penalty pays for, and how one pays for the wrong thing.

A made-up model thinks for some tokens and then answers. Easy questions need no thought; hard ones come out right more
often the longer it thinks. The policy is how likely it stops after each token, one table for each kind of question.
Four rewards are tried, each with the same policy gradient (groups of 16, the mean of the others as the baseline):

    none         1 if right
    naive        1 if right, and minus 0.9 n / L whether right or not: wrong and short beats a long try
    group        1 - 0.9 sigmoid((n - mean) / std) among the right ones of a group, 0 if wrong (Arora and Zanette, 2025)
    pass-rate    1 - 0.9 (share of right ones) n / L if right, 0 if wrong: what is hard may take its time

    palaestra train rl MODEL EXAMPLES --reward rule:exact --length-penalty group --alpha 0.9 --out run

Run it: `python tutorials/112_shorter_answers.py`. It takes some seconds. `palaestra.posttrain.lengths`
has the same forms. Tokens per right reply alone would crown the worst.
"""

import numpy as np

L, GROUP, ALPHA, STEPS = 24, 16, 0.9, 4000
EASY = np.full(L, 0.95)
HARD = np.minimum(np.arange(1, L + 1) / 20, 1.0) * 0.6
KINDS = {"easy": EASY, "hard": HARD}


def shaped(form: str, right: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The rewards of one group."""
    reward = right.astype(float)
    if form == "naive":
        return reward - ALPHA * length / L
    if form == "group" and right.any():
        spread = length[right].std()
        far = (length - length[right].mean()) / spread if spread > 0 else np.zeros(len(length))
        return reward - np.where(right, ALPHA / (1 + np.exp(-far)), 0.0)
    if form == "pass-rate":
        return reward - np.where(right, ALPHA * right.mean() * length / L, 0.0)
    return reward


def trained(form: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Logits of stopping after each token, by the kind of question."""
    rng = np.random.default_rng(seed)
    policy = {kind: np.full(L, -2.5) for kind in KINDS}
    for step in range(STEPS):
        kind = ("easy", "hard")[step % 2]
        stop = 1 / (1 + np.exp(-policy[kind]))
        draws = rng.random((GROUP, L)) < stop
        draws[:, -1] = True
        length = draws.argmax(axis=1) + 1
        right = rng.random(GROUP) < KINDS[kind][length - 1]
        reward = shaped(form, right, length.astype(float))
        advantage = reward - (reward.sum() - reward) / (GROUP - 1)
        went_on = np.arange(1, L + 1)[None] < length[:, None]
        stopped = np.arange(1, L + 1)[None] == length[:, None]
        gradient = (advantage[:, None] * (stopped * (1 - stop) - went_on * stop)).mean(axis=0)
        policy[kind] += 0.5 * gradient
    return policy


def figures(logits: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Exact accuracy and mean tokens."""
    stop = 1 / (1 + np.exp(-logits))
    stop[-1] = 1.0
    chance = stop * np.append(1.0, np.cumprod(1 - stop)[:-1])
    return float(chance @ right), float(chance @ np.arange(1, L + 1))


print(f"{'':10} {'easy':>22} {'hard':>22} {'both':>22} {'tokens per right':>18}")
results = {}
for form in ("none", "naive", "group", "pass-rate"):
    found = {kind: figures(table, KINDS[kind]) for kind, table in trained(form).items()}
    found["both"] = (np.mean([each[0] for each in found.values()]), np.mean([each[1] for each in found.values()]))
    results[form] = found
    said = [f"{100 * accuracy:5.1f} % in {tokens:4.1f}" for accuracy, tokens in found.values()]
    print(f"{form:10} {said[0]:>22} {said[1]:>22} {said[2]:>22} {found['both'][1] / found['both'][0]:18.1f}")
