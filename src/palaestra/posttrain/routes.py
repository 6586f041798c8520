"""Whose a prompt is: its label's expert, that of a classifier, or that of a leaderboard for every prompt.

    label        each teacher names the domains that it teaches; `*` teaches what no other does
    classifier   prompts without a domain get that of the labelled prompts they are like, by multinomial logistic
                 regression on vectors of texts, where it is sure
    strengths    the teacher that is strongest at this very prompt, or shares by how likely each is to win

Not here: where vectors (`gateway/embed.py`) and strengths (`p2l/`) come from: they are passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError, MissingPartError
from palaestra.posttrain.examples import NO_DOMAIN, Example

Vectors = Callable[[Sequence[str]], NDArray[np.float32]]
Strengths = Callable[[Sequence[str]], tuple[Sequence[str], NDArray[np.float64]]]
"""Names of models, and their strengths (P, M) at these prompts, in log-odds."""

ALL = "*"


def by_label(domains: Mapping[str, Sequence[str]]) -> Callable[[Sequence[Example]], list[dict[str, float]]]:
    """The teacher of each prompt's domain; several of one domain share it.

    Args:
        domains: of each teacher; `*` is every domain that no other teaches.
    """
    taught: dict[str, list[str]] = {}
    for teacher, names in domains.items():
        for name in names:
            taught.setdefault(name, []).append(teacher)

    def route(examples: Sequence[Example]) -> list[dict[str, float]]:
        missing = {example.domain for example in examples} - taught.keys()
        if missing and ALL not in taught:
            raise InputError(
                f"found no teacher for {', '.join(sorted(missing))}, expected one for each domain of the prompts; "
                f"there are teachers for {', '.join(sorted(taught))}"
            )
        return [_even(taught.get(example.domain) or taught[ALL]) for example in examples]

    return route


def labelled(
    examples: Sequence[Example], known: Sequence[Example], vectors: Vectors, *, sure: float = 0.5
) -> tuple[list[Example], int]:
    """Examples of which those without a domain get one, and how many those were.

    Args:
        examples: some without a domain.
        known: prompts with their domains, to learn from.
        vectors: of texts.
        sure: the probability from which a domain is taken; others stay without one.

    Raises:
        InputError: the known prompts are of fewer than two domains.
        MissingPartError: scikit-learn is not installed.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingPartError(f"a classifier of prompts needs {error.name}: pip install 'palaestra[bench]'") from error
    if len(names := {example.domain for example in known}) < 2:  # noqa: PLR2004 - one domain is no choice
        raise InputError(f"found labelled prompts of {', '.join(names)} alone, expected two domains or more")
    unknown = [example for example in examples if example.domain == NO_DOMAIN]
    if not unknown:
        return list(examples), 0
    model: Any = LogisticRegression(max_iter=1000)
    model.fit(vectors([example.asked for example in known]), [example.domain for example in known])
    chance_PD = model.predict_proba(vectors([example.asked for example in unknown]))
    found = iter(str(model.classes_[row.argmax()]) if row.max() >= sure else NO_DOMAIN for row in chance_PD)
    return [
        example.model_copy(update={"domain": next(found)}) if example.domain == NO_DOMAIN else example
        for example in examples
    ], len(unknown)


def by_strength(
    teachers: Sequence[str], strengths: Strengths, *, best_alone: bool = True
) -> Callable[[Sequence[Example]], list[dict[str, float]]]:
    """The teacher that is strongest at each prompt, or shares by exp(strength).

    Args:
        teachers: names, all of which the strengths know.
        strengths: of models at prompts.
        best_alone: whether the strongest gets the whole prompt.
    """

    def route(examples: Sequence[Example]) -> list[dict[str, float]]:
        models, strength_PM = strengths([example.asked for example in examples])
        if missing := sorted(set(teachers) - set(models)):
            raise InputError(
                f"found no strength of {', '.join(missing)}, expected each teacher among {', '.join(models)}"
            )
        columns = [list(models).index(name) for name in teachers]
        return [_shares(teachers, row[columns], best_alone=best_alone) for row in strength_PM]

    return route


def _shares(teachers: Sequence[str], strength_M: NDArray[np.float64], *, best_alone: bool) -> dict[str, float]:
    if best_alone:
        return {teachers[int(strength_M.argmax())]: 1.0}
    odds_M = np.exp(strength_M - strength_M.max())
    return {name: float(share) for name, share in zip(teachers, odds_M / odds_M.sum(), strict=True)}


def _even(teachers: Sequence[str]) -> dict[str, float]:
    return dict.fromkeys(teachers, 1.0 / len(teachers))
