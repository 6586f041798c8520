"""Which mixture of domains is best, on one screen, with numpy alone.

Four domains, twenty small runs, and the steps behind `palaestra train mixture`: runs over a simplex of weights, the law
log L_d = c_d + a_d . w (Ye et al., Data mixing laws, 2024), its error on mixtures left out beside the noise floor, the
best mixture, and whether it is surely better than all alike. Runs are simulated here.
Run it: `python tutorials/113_which_mixture.py`. It takes a second.
"""

import numpy as np

rng = np.random.default_rng(0)
names = ["code", "math", "chat", "law"]
D, noise = 4, 0.02

# 1. The truth, which nobody knows: a row a loss, a column a domain. Code helps math, and math code.
a = -np.array([[1.0, 0.5, 0.1, 0.0], [0.6, 0.9, 0.1, 0.1], [0.0, 0.1, 0.4, 0.1], [0.0, 0.0, 0.2, 0.7]])
c = np.array([0.9, 1.0, 0.6, 0.8])


def run(W: np.ndarray) -> np.ndarray:
    """What small runs on mixtures W would measure, shape (runs, D)."""
    return np.exp(c + W @ a.T + noise * rng.normal(size=(len(W), D)))


# 2. The runs: three seeds at the centre, each domain left out, each alone, the rest anywhere. Here uniform draws.
centre = np.full(D, 1 / D)
left_out = (1 - np.eye(D)) / (D - 1)
W = np.vstack([np.tile(centre, (3, 1)), left_out, np.eye(D), rng.dirichlet(np.ones(D), 9)])
L = run(W)

# 3. The law is linear in log L. Weights sum to one, so they hold the constant already.
solve = np.linalg.pinv(W)
found = solve @ np.log(L)  # D x D: what a domain does to each log loss
hat = W @ solve
residual = (np.log(L) - W @ found) / (1 - np.diag(hat))[:, None]  # what is wrong with each run, left out
floor = np.log(L[:3]).std(axis=0, ddof=1)  # what the seed alone changes
print(f"error on runs left out {np.sqrt((residual**2).mean()):.4f}, noise floor {np.sqrt((floor**2).mean()):.4f}")

# 4. Twenty thousand mixtures, their mean loss by the law, and by laws refitted on residuals drawn anew.
M = np.vstack([centre, rng.dirichlet(np.ones(D), 20_000)])
gain = np.exp(centre @ found).mean() - np.exp(M @ found).mean(axis=1)
best = gain.argmax()
rounds = []
for _ in range(200):
    refit = solve @ (W @ found + residual[rng.integers(len(W), size=len(W))])
    rounds.append(np.exp(centre @ refit).mean() - np.exp(M @ refit).mean(axis=1))
off = np.array(rounds) - gain
error = np.sqrt((off**2).mean(axis=0))
error[0] = np.inf  # the centre against itself

# 5. The best is chosen after looking: the band is as wide as the largest deviation over all mixtures asks for.
reach = np.quantile((np.abs(off) / error).max(axis=1), 0.95) * error[best]
print("best mixture: " + ", ".join(f"{name} {100 * w:.0f} %" for name, w in zip(names, M[best], strict=True)))
print(
    f"better than all alike by {gain[best]:.3f}, surely between {gain[best] - reach:.3f} and {gain[best] + reach:.3f}"
)

# 6. What leaving a domain out does to each loss, and the check: the best mixture is run.
print("without   " + "".join(f"{name:>8}" for name in names))
for name, w in zip(names, left_out, strict=True):
    print(f"{name:10}" + "".join(f"{more:+8.3f}" for more in np.exp(w @ found) - np.exp(centre @ found)))
print(f"foretold {np.exp(M[best] @ found).mean():.3f}, measured {run(np.tile(M[best], (3, 1))).mean():.3f}")
