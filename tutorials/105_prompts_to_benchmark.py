"""From the crowd's prompts to a benchmark on one screen, with numpy alone.

Two thousand made-up prompts on twelve topics, and the steps behind `palaestra bench build`: a judge labels some of them
by seven criteria, a ridge-penalised logistic regression foretells the rest, expected scores are brought to the judge's
scale, neighbours that hang together are topics, and the hard prompts of hard topics are drawn evenly. After
BenchBuilder (Li et al., 2024).
Run it: `python tutorials/105_prompts_to_benchmark.py`. It takes some seconds.
"""

import numpy as np

rng = np.random.default_rng(0)
P, D, C, TOPICS = 2000, 16, 7, 12

# The crowd: a vector for each prompt, near its topic's; some topics are harder, and some prompts have no topic.
centre = rng.normal(size=(TOPICS, D))
true_topic = rng.integers(-1, TOPICS, P)  # -1: about nothing that anybody else asks
noise = np.where(true_topic < 0, 1.0, 0.12)[:, None] * rng.normal(size=(P, D))
length = rng.normal(size=P)  # what can be counted in the text itself
vectors = np.where(true_topic[:, None] < 0, 0, centre[true_topic]) + noise
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
hardness = np.where(true_topic < 0, 0, np.linspace(-2.5, 2.5, TOPICS)[true_topic]) + 1.2 * length
truth = 1 / (1 + np.exp(-(hardness[:, None] + np.linspace(-1, 1.5, C))))
met = rng.random((P, C)) < truth  # what the judge would say of each prompt, if it were paid to

# 1. The judge labels 400 prompts. Everything else is foretold: one logistic regression a criterion, by Newton's steps.
labelled = rng.choice(P, 400, replace=False)
x = np.column_stack([vectors, length, np.ones(P)])
x[:, :-1] = (x[:, :-1] - x[labelled, :-1].mean(axis=0)) / x[labelled, :-1].std(axis=0)
weights = np.zeros((C, x.shape[1]))
ridge = np.diag([10.0] * (x.shape[1] - 1) + [0.0])  # the intercept is free
for _ in range(15):
    for c in range(C):
        p = 1 / (1 + np.exp(-x[labelled] @ weights[c]))
        slope = x[labelled].T @ (met[labelled, c] - p) - ridge @ weights[c]
        weights[c] += np.linalg.solve((x[labelled].T * (p * (1 - p))) @ x[labelled] + ridge, slope)
expected = (1 / (1 + np.exp(-x @ weights.T))).sum(axis=1)  # the expected number of criteria
unseen = np.setdiff1d(np.arange(P), labelled)
correlation = np.corrcoef(expected[unseen], met[unseen].sum(axis=1))[0, 1]

# 2. An expected score is drawn to the middle. The cut for k criteria is where as many prompts lie above as got k.
shares = [(met[labelled].sum(axis=1) >= k).mean() for k in range(1, C + 1)]
cuts = np.array([np.sort(expected)[::-1][max(round(share * P) - 1, 0)] for share in shares])
score = np.searchsorted(cuts, expected, side="right")

# 3. Topics: prompts among each other's ten nearest hang together; what hangs with fewer than eight has no topic.
cosine = vectors @ vectors.T
near = cosine >= np.sort(cosine, axis=1)[:, [-11]]
near &= near.T & (cosine > 0.7)
topic = np.arange(P)
while (reached := np.where(near, topic, P).min(axis=1)).tolist() != topic.tolist():
    topic = reached
sizes = np.bincount(topic, minlength=P)
topic[sizes[topic] < 8] = -1
found = [t for t in np.unique(topic) if t >= 0]

# 4. Two rounds: prompts below 5 and topics with a mean below 3 go, then prompts below 6 and topics with a mean below 6.
here = topic >= 0
for least, mean in ((5, 3), (6, 6)):
    means = {t: score[here & (topic == t)].mean() for t in found if (here & (topic == t)).any()}
    here &= (score >= least) & np.array([means.get(t, 0) >= mean for t in topic])

# 5. Two prompts from each topic that is left, by chance.
chosen = np.concatenate([rng.permutation(np.flatnonzero(here & (topic == t)))[:2] for t in found])

print(f"{len(labelled)} labels; expected scores of {len(unseen)} others correlate {correlation:.2f} with the judge's")
judged, foretold, scaled = (np.mean(values) for values in (met.sum(axis=1) >= 6, expected >= 6, score >= 6))
print(f"six criteria or more: {judged:.1%} by the judge, {foretold:.1%} as expected, {scaled:.1%} on the judge's scale")
print(f"{len(found)} topics of {TOPICS}; in none {(topic < 0).mean():.1%}, in truth {(true_topic < 0).mean():.1%}")
print("topic   prompts   mean score   passed   in the set   met by the judge")
for t in sorted(found, key=lambda t: -score[topic == t].mean()):
    inside, own = topic == t, chosen[topic[chosen] == t]
    said = f"{met[own].sum(axis=1).mean():.1f}" if len(own) else ""
    print(f"{t:5} {inside.sum():9} {score[inside].mean():12.2f} {(here & inside).sum():8} {len(own):12} {said:>18}")
print(f"all prompts meet {met.sum(axis=1).mean():.1f} criteria, those of the set {met[chosen].sum(axis=1).mean():.1f}")
