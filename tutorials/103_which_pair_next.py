"""Which pair should meet next, on one screen, with numpy alone.

Six models, a few hundred votes, and the steps behind `palaestra rank next`: what the votes leave open, how likely each
model is among the best two, what one more vote of each pair would take off the uncertainty of the differences between
these, and the probabilities that a pair is drawn with. L-optimal design: Chaloner and Verdinelli (1995).
Run it: `python tutorials/103_which_pair_next.py`. It takes a second.
"""

import numpy as np

rng = np.random.default_rng(0)
names = ["Ada", "Bea", "Cid", "Dov", "Eve", "New"]
truth = np.array([0.9, 0.8, 0.7, -0.3, -1.0, 0.8])  # log odds
top, explore = 2, 0.1

# 1. Votes so far, evenly over the first five; nobody has seen the last one.
first, second = np.triu_indices(5, 1)
drawn = rng.integers(10, size=600)
won = rng.random(600) < 1 / (1 + np.exp(truth[second[drawn]] - truth[first[drawn]]))
wins = np.zeros((6, 6))
np.add.at(wins, (np.where(won, first[drawn], second[drawn]), np.where(won, second[drawn], first[drawn])), 1)

# 2. Strengths and covariance by Newton's method. The prior N(0, 1) is all that is known of the newcomer.
t = np.zeros(6)
for _ in range(20):
    p = 1 / (1 + np.exp(t - t[:, None]))
    told = (wins + wins.T) * p * (1 - p)
    C = np.linalg.inv(np.diag(told.sum(axis=1)) - told + np.eye(6))
    t += C @ ((wins - (wins + wins.T) * p).sum(axis=1) - t)

# 3. The chance r of each model to be among the best two. What matters is the sum of r_i r_j Var(t_i - t_j).
drawn = rng.multivariate_normal(t, C, 10_000)
r = (drawn >= np.sort(drawn, axis=1)[:, [-top]]).mean(axis=0)
L = np.diag(r * r.sum()) - np.outer(r, r)


def differences(A: np.ndarray) -> np.ndarray:
    """A_ii + A_jj - 2 A_ij: of a covariance, the variance of each difference."""
    return np.diag(A)[:, None] + np.diag(A) - 2 * A


# 4. One vote adds information h to a pair. In closed form, for all pairs at once, what that takes off the sum:
h = 1 / (2 + 2 * np.cosh(t[:, None] - t))
gain = h * differences(C @ L @ C) / (1 + h * differences(C))

# 5. Draw by the square of the gain, one in ten evenly: no propensity is below 0.1 / 15, and each is known exactly.
i, j = np.triu_indices(6, 1)
propensity = explore / len(i) + (1 - explore) * gain[i, j] ** 2 / (gain[i, j] ** 2).sum()

best = t.argmax()
print(f"model   strength   error against {names[best]}   P(among the best two)")
for m in np.argsort(-t):
    print(f"{names[m]:7} {t[m]:8.2f} {np.sqrt(differences(C)[m, best]):12.2f} {r[m]:18.2f}")
print("pair         gain   propensity")
for k in np.argsort(-gain[i, j])[:8]:
    print(f"{names[i[k]]} - {names[j[k]]} {gain[i[k], j[k]]:8.4f} {propensity[k]:8.3f}")
drawn, even = (propensity * gain[i, j]).sum(), gain[i, j].mean()
print(f"One vote drawn so takes off {drawn:.3f} on average, one of an even pair {even:.3f}.")
