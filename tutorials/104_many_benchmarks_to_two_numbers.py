"""From many benchmarks to two numbers a model on one screen, with numpy alone.

Three models, four benchmarks from 150 to 14,000 questions, and the steps behind `palaestra rank mpg`: a Beta for what
is known of each benchmark, a mean of means for goodness, a Gamma for fastness, and the models that no other beats in
both. After the idea of Project MPG (arXiv 2410.22368), whose equations are not these.
Run it: `python tutorials/104_many_benchmarks_to_two_numbers.py`. It takes a second.
"""

import numpy as np

rng = np.random.default_rng(0)
names = ["Marathon", "Relay", "Hurdle"]
domains = {"facts": [0, 1], "reason": [2, 3]}  # the benchmarks of each domain
asked = np.array([14000, 600, 150, 1300])
right = np.array([[11200, 510, 96, 1100], [9800, 450, 94, 880], [9100, 430, 70, 850]])
answered = np.array([400, 400, 400])  # the same prompts, eight at once
seconds = np.array([610.0, 95.0, 120.0])

# 1. What is known of each benchmark: k right of n leave p ~ Beta(1 + k, 1 + n - k). Ten thousand draws of all of them.
p = rng.beta(1 + right, 1 + asked - right, (10_000, 3, 4))

# 2. Goodness: benchmarks count alike within a domain, and domains alike, whatever the number of their questions.
goodness = np.mean([p[:, :, benchmarks].mean(axis=2) for benchmarks in domains.values()], axis=0)

# 3. Fastness: N answers in T seconds leave a rate ~ Gamma(1 + N, T).
fastness = rng.gamma(1 + answered, 1 / seconds, (10_000, 3))

# 4. Never one number: the chance that no other model is better in both.
beaten = (goodness[:, None] > goodness[:, :, None]) & (fastness[:, None] > fastness[:, :, None])
pareto = 1 - beaten.any(axis=2).mean(axis=0)

print("model      goodness   95% interval     queries/s   95% interval   P(Pareto)")
for m in np.argsort(-goodness.mean(axis=0)):
    low, high = np.quantile(goodness[:, m], [0.025, 0.975])
    slow, fast = np.quantile(fastness[:, m], [0.025, 0.975])
    print(
        f"{names[m]:9} {goodness[:, m].mean():9.1%}   {low:.1%} to {high:.1%} "
        f"{fastness[:, m].mean():11.2f}   {slow:.2f} to {fast:.2f} {pareto[m]:11.2f}"
    )
print(f"P({names[1]} better than {names[2]}) = {(goodness[:, 1] > goodness[:, 2]).mean():.3f}")
pooled = right.sum(axis=1) / asked.sum()
print("All questions in one pot, where the longest benchmark is nearly everything:", np.round(pooled, 3))
