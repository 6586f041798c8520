"""Tasks so small that a model learns them in a minute and the truth is known: sums, sorting, reversing, picking.

A prompt has six tokens and ends with `=`; a reply may say `hmm` any number of times, then the answer, then a full stop:

    2+7+5=   hmm hmm 14.        >4821=   1248.        <fade=   hmm edaf.        #4821=   482.  (the even ones)

The teacher whose replies a model first imitates errs, and its hesitation means something else in each domain: who says
`hmm` is right more often in the first two and less often in the others. Tokens are numbers below `len(VOCABULARY)`.
Not here: the model (`small_gpt.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int64]
Floats = NDArray[np.float64]

VOCABULARY = "_.~0123456789abcdefgh+><#="
PAD, END, HMM = 0, 1, 2
DOMAINS = ("sum", "sort", "reverse", "even digits")
HESITATION_HELPS = (True, True, False, False)
PROMPT, REPLY = 6, 12
"""Tokens of a prompt, and of a reply at most."""
_HESITATES, _MOST_HMM = 0.35, 6
_ERRS, _ERRS_MORE = 0.25, 0.5
_DIGITS, _LETTERS = "0123456789", "abcdefgh"
_EVEN = "02468"
_SIGNS = "+><#"
_CODE = {sign: place for place, sign in enumerate(VOCABULARY)}


def encoded(text: str, size: int) -> list[int]:
    """Tokens of a text, padded to a size; `hmm ` is one token."""
    tokens = [_CODE[sign] for sign in text.replace("hmm ", "~")]
    return tokens + [PAD] * (size - len(tokens))


def decoded(tokens: Tokens) -> str:
    """The text of tokens, without padding."""
    return "".join(VOCABULARY[token] for token in tokens if token != PAD).replace("~", "hmm ")


def answer(prompt: str) -> str:
    """The right answer, without the full stop."""
    sign = next(one for one in _SIGNS if one in prompt)
    said = prompt.strip("><#=")
    solve: dict[str, Callable[[], str]] = {
        "+": lambda: str(sum(int(part) for part in said.split("+"))),
        ">": lambda: "".join(sorted(said)),
        "<": lambda: said[::-1],
        "#": lambda: "".join(digit for digit in said if digit in _EVEN),
    }
    return solve[sign]()


def domain_of(prompt: str) -> str:
    """Which domain a prompt belongs to."""
    return DOMAINS[next(place for place, one in enumerate(_SIGNS) if one in prompt)]


def prompts_of(count: int, seed: int) -> dict[str, list[str]]:
    """So many different prompts of each domain, in an order drawn with the seed."""
    rng = np.random.default_rng(seed)

    def drawn(domain: int) -> str:
        said = "".join(rng.choice(list(_LETTERS if DOMAINS[domain] == "reverse" else _DIGITS), size=4))
        if DOMAINS[domain] == "even digits":
            said = said[:3] + str(rng.choice(list(_EVEN)))
        return f"{'+'.join(said[:3])}=" if domain == 0 else f"{_SIGNS[domain]}{said}="

    found: dict[str, list[str]] = {}
    for place, name in enumerate(DOMAINS):
        seen: dict[str, None] = {}
        while len(seen) < count:
            seen.setdefault(drawn(place))
        found[name] = list(seen)
    return found


def right(prompts: list[str], reply_NT: Tokens) -> NDArray[np.bool_]:
    """Whether each reply is right, shape (N,): any hesitation, then exactly the answer and a full stop."""
    said = ("".join(VOCABULARY[token] for token in row if token != PAD).lstrip("~") for row in reply_NT)
    return np.array([text == answer(prompt) + "." for prompt, text in zip(prompts, said, strict=True)])


def characters_right(prompts: list[str], reply_NT: Tokens) -> Floats:
    """The share of an answer's places that have the right sign, shape (N,)."""
    shares = []
    for prompt, row in zip(prompts, reply_NT, strict=True):
        said = "".join(VOCABULARY[token] for token in row if token != PAD).lstrip("~")
        truth = answer(prompt) + "."
        hits = sum(one == other for one, other in zip(said, truth, strict=False))
        shares.append(hits / max(len(said), len(truth)))
    return np.array(shares)


def hesitation(reply_NT: Tokens) -> Floats:
    """How often each reply says `hmm`, shape (N,)."""
    return (reply_NT == HMM).sum(axis=1).astype(float)


def lengths(reply_NT: Tokens) -> Floats:
    """Tokens of each reply, shape (N,)."""
    return (reply_NT != PAD).sum(axis=1).astype(float)


def taught(prompts: list[str], seed: int) -> Tokens:
    """A reply of the teacher to each prompt, shape (N, T)."""
    rng = np.random.default_rng(seed)
    rows = []
    for prompt in prompts:
        hmm = min(int(rng.geometric(1 - _HESITATES)) - 1, _MOST_HMM)
        helps = HESITATION_HELPS[DOMAINS.index(domain_of(prompt))]
        errs = _ERRS if (hmm > 0) == helps else _ERRS_MORE
        said = answer(prompt)
        if rng.random() < errs:
            said = _slip(said, rng)
        rows.append(encoded("~" * hmm + said + ".", REPLY))
    return np.array(rows)


def _slip(said: str, rng: np.random.Generator) -> str:
    """A near miss: one sign is another one."""
    place = int(rng.integers(len(said)))
    others = [sign for sign in (_LETTERS if said[place] in _LETTERS else _DIGITS) if sign != said[place]]
    return said[:place] + str(rng.choice(others)) + said[place + 1 :]
