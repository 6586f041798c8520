"""Many teachers, one student: on-policy distillation on one screen, with numpy alone.

Three domains: a prompt is a domain and a digit, an answer one, two and eight tokens long. Three experts know the
answers; the student is one small network for all. It answers by itself, its expert says how likely each next token was,
and the gradient of KL(student || expert) at each position is pi (log pi - log p - KL), on logits. Two ways to add up:

    all tokens alike            the domain with the longest answers has most of the gradient
    each domain by its rows     palaestra train distill's own

    palaestra train distill STUDENT PROMPTS --teacher add=EXPERT --teacher sort=EXPERT ... --out RUN

Run it: `python tutorials/115_many_teachers.py`. It takes half a minute.
"""

import numpy as np

LENGTHS, DIGITS, VOCABULARY, WIDTH, POSITIONS = (1, 2, 8), 10, 12, 24, 8
rng = np.random.default_rng(0)
answers = [rng.integers(VOCABULARY, size=(DIGITS, length)) for length in LENGTHS]  # what each expert knows by heart


def expert(domain: int, digit: int, place: int) -> np.ndarray:
    """Log-probabilities of the next token: nearly all on the right one."""
    p = np.full(VOCABULARY, 0.03 / (VOCABULARY - 1))
    p[answers[domain][digit, place]] = 0.97
    return np.log(p)


def seen(domain: int, digit: int, place: int, last: int) -> np.ndarray:
    """What the student sees: domain, digit, place and the token before, as one-hot numbers."""
    x = np.zeros(3 + DIGITS + POSITIONS + VOCABULARY + 1)
    x[[domain, 3 + digit, 3 + DIGITS + place, 3 + DIGITS + POSITIONS + last]] = 1
    return x


def log_softmax(z: np.ndarray) -> np.ndarray:
    """Log-probabilities of logits."""
    z = z - z.max()
    return z - np.log(np.exp(z).sum())


def right(weights: list[np.ndarray]) -> list[float]:
    """The share of digits that the student answers right, greedily, by domain."""
    found = []
    for domain, length in enumerate(LENGTHS):
        hits = 0
        for digit in range(DIGITS):
            last, ok = VOCABULARY, True
            for place in range(length):
                last = int((np.tanh(seen(domain, digit, place, last) @ weights[0]) @ weights[1]).argmax())
                ok = ok and last == answers[domain][digit, place]
            hits += ok
        found.append(hits / DIGITS)
    return found


def distilled(by: str, steps: int = 1500, rate: float = 1.0) -> list[float]:
    """Train a student of the same first weights, and say what it knows."""
    chance = np.random.default_rng(1)
    inputs = 3 + DIGITS + POSITIONS + VOCABULARY + 1
    weights = [chance.normal(size=(inputs, WIDTH)) * 0.3, chance.normal(size=(WIDTH, VOCABULARY)) * 0.3]
    for _ in range(steps):
        gradient = [np.zeros_like(weight) for weight in weights]
        rows = [(domain, int(chance.integers(DIGITS))) for domain in range(3) for _ in range(4)]
        for domain, digit in rows:
            last = VOCABULARY
            share = 1 / (len(rows) * LENGTHS[domain]) if by == "rows" else 1 / sum(LENGTHS[d] for d, _ in rows)
            for place in range(LENGTHS[domain]):
                x = seen(domain, digit, place, last)
                hidden = np.tanh(x @ weights[0])
                log_pi = log_softmax(hidden @ weights[1])
                apart = log_pi - expert(domain, digit, place)
                pull = np.exp(log_pi) * (apart - np.exp(log_pi) @ apart)  # the gradient of KL(pi || p) on logits
                gradient[1] += share * np.outer(hidden, pull)
                gradient[0] += share * np.outer(x, (weights[1] @ pull) * (1 - hidden**2))
                last = int(chance.choice(VOCABULARY, p=np.exp(log_pi)))  # its own next token, right or wrong
        weights = [weight - rate * slope for weight, slope in zip(weights, gradient, strict=True)]
    return right(weights)


print("answers right          1 token  2 tokens  8 tokens")
for name, by in (("all tokens alike", "tokens"), ("each domain by rows", "rows")):
    print(f"{name:22}" + "".join(f"{share:9.0%}" for share in distilled(by)))
