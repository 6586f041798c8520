"""From votes to a leaderboard on one screen, with numpy alone.

Three models, five hundred votes, and the three steps behind every board of Palaestra: count the votes, find the
strengths under which they are most likely (Bradley and Terry, 1952), and say how sure we are (the sandwich of Huber,
1967, and White, 1982). Run it: `python tutorials/101_votes_to_ratings.py`. It takes a second.
"""

import numpy as np

rng = np.random.default_rng(0)
names = ["Alpha", "Beta", "Gamma"]
truth = np.array([0.6, 0.0, -0.6])  # strengths in natural units: odds of a win are exp(difference)

# Votes: pairs drawn at random; y is 1 for a win of the first model, 0 for a loss (a tie would be 1/2).
first, second = np.array([rng.permutation(3)[:2] for _ in range(500)]).T
y = (rng.random(500) < 1 / (1 + np.exp(truth[second] - truth[first]))).astype(float)

# 1. The design: +1 for the first model, -1 for the second.
X = np.zeros((500, 3))
X[np.arange(500), first] = 1
X[np.arange(500), second] = -1

# 2. Newton's method on the log-likelihood. Only differences matter, so strengths are held at mean zero.
strength = np.zeros(3)
for _ in range(20):
    p = 1 / (1 + np.exp(-X @ strength))
    information = X.T @ (X * (p * (1 - p))[:, None])
    step = np.linalg.solve(information + np.ones((3, 3)), X.T @ (y - p))
    strength += step
    if np.abs(step).max() < 1e-10:
        break

# 3. The sandwich: information, what the residuals really were, information.
bread = np.linalg.inv(information + np.ones((3, 3))) - np.ones((3, 3)) / 9
meat = X.T @ (X * ((y - p) ** 2)[:, None])
error = np.sqrt(np.diag(bread @ meat @ bread))

elo = 400 / np.log(10)  # 400 points are odds of 10
print("model   rating   95% interval        truth")
for m in np.argsort(-strength):
    rating, half = 1000 + elo * strength[m], 1.96 * elo * error[m]
    print(f"{names[m]:6} {rating:7.1f}   {rating - half:7.1f} to {rating + half:7.1f}  {1000 + elo * truth[m]:7.1f}")
