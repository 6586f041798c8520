"""The whole evaluation: proxies are asked once on each side, and everything else is arithmetic on their answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from palaestra.errors import InputError
from palaestra.rewards.ppe.benches import Bench, bench_figures
from palaestra.rewards.ppe.correctness import (
    MEAN,
    ORACLE,
    Curve,
    Outcome,
    compared_outcome,
    correctness_figures,
    domains_of,
    pairs_of,
    replies_of,
    scored_outcome,
)
from palaestra.rewards.ppe.domains import human_domains
from palaestra.rewards.ppe.downstream import Foretold, foretold
from palaestra.rewards.ppe.human import BoardMaker, HumanVotes, choices_of, human_rounds, human_votes
from palaestra.rewards.ppe.kept_scores import Tell, kept_chances, kept_scores
from palaestra.rewards.ppe.proxies import OrderKnown, Pair, Proxy, Reply, RewardProxy, Scored, refuse_confused
from palaestra.rewards.ppe.resampling import Figure, figures
from palaestra.rewards.ppe.samples import Samples
from palaestra.schema import Preference
from palaestra.schema.record import Record

Floats = NDArray[np.float64]


class PpeConfig(BaseModel):
    """How proxies are evaluated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounds: int = Field(default=1000, ge=100, le=100_000)
    """Bootstrap rounds over prompts."""
    board_rounds: int = Field(default=200, ge=50, le=10_000)
    """Rounds of the boards that are made from choices, each a fit."""
    least_pairs: int = Field(default=100, ge=1)
    """Views and languages with fewer votes are left out."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of all intervals."""
    seed: int = Field(default=0, ge=0)
    """Seed of the rounds."""


class ProxyEvaluation(Record):
    """Figures of all proxies, curves, and what they foretold."""

    record_name = "proxy-evaluation"

    proxies: tuple[str, ...]
    figures: tuple[Figure, ...]
    curves: tuple[Curve, ...] = ()
    downstream: tuple[Foretold, ...] = ()
    settings: PpeConfig
    warnings: tuple[str, ...] = ()

    def value(self, side: str, domain: str, metric: str, proxy: str) -> Figure:
        """One figure.

        Raises:
            KeyError: there is none of these names.
        """
        wanted = (side, domain, metric, proxy)
        for one in self.figures:
            if (one.side, one.domain, one.metric, one.proxy) == wanted:
                return one
        raise KeyError(wanted)


def evaluate(
    proxies: Sequence[Proxy],
    config: PpeConfig | None = None,
    *,
    maker: BoardMaker,
    human: Sequence[Preference] = (),
    samples: Sequence[Samples] = (),
    benches: Sequence[Bench] = (),
    results: Mapping[str, Mapping[str, float]] | None = None,
    keep: Path | None = None,
    tell: Tell | None = None,
) -> ProxyEvaluation:
    """Evaluate proxies.

    Args:
        proxies: the first is the one that gaps are from.
        config: settings.
        maker: of boards from votes.
        human: people's votes on pairs.
        samples: replies that are right or wrong.
        benches: pairs of which one is known to be better.
        results: of models that were optimised against the proxies, by result and proxy.
        keep: a folder where answers are kept as they come.
        tell: called with how many replies or pairs are done.

    Raises:
        InputError: there is nothing to evaluate; two proxies, files of pairs or rows of samples have one name; a proxy
            that goes by ids cannot tell two replies apart; or a proxy's answers are none.
    """
    config = config or PpeConfig()
    names = tuple(proxy.name for proxy in proxies)
    if not names or len(set(names)) < len(names):
        raise InputError(
            f"found the proxies {', '.join(names) or 'none'}, expected at least one, each with its own name"
        )
    if not (human or samples or benches):
        raise InputError("found no data, expected votes, samples or pairs: give --human, --correctness or --pairs")
    _refuse_ambiguous(names, samples, benches)
    votes = human_votes(human) if human else None
    told = [*([] if votes is None else votes.pairs), *(pair for bench in benches for pair in bench.pairs)]
    replies = [*replies_of(samples), *(reply for pair in told for reply in pair)]
    refuse_confused(proxies, replies)
    asking = _Asking(keep, tell)
    found: list[Figure] = []
    curves: list[Curve] = []
    warnings = _seen(proxies, replies)
    if votes is not None:
        found += _human(proxies, votes, config, maker, asking=asking, warnings=warnings)
    if samples:
        more, curves = _correctness(proxies, samples, config, asking)
        found += more
    for bench in benches:
        found += bench_figures(bench, {one.name: asking.hits(one, bench.pairs) for one in proxies}, config.confidence)
    if other := sorted({reward for result in (results or {}).values() for reward in result} - set(names)):
        warnings.append(f"results of rewards that are not evaluated here are left out: {', '.join(other)}")
    later = foretold(found, results, seed=config.seed, confidence=config.confidence) if results else []
    return ProxyEvaluation(
        proxies=names,
        figures=tuple(found),
        curves=tuple(curves),
        downstream=tuple(later),
        settings=config,
        warnings=tuple(warnings),
    )


def _seen(proxies: Sequence[Proxy], replies: Sequence[Reply]) -> list[str]:
    """A line on each reward that was trained on some of these prompts."""
    lines = (proxy.seen(one.prompt for one in replies) for proxy in proxies if isinstance(proxy, RewardProxy))
    return [line for line in lines if line is not None]


def _refuse_ambiguous(names: Sequence[str], samples: Sequence[Samples], benches: Sequence[Bench]) -> None:
    """Refuse names that stand for two things: a figure is known by its names alone."""
    if ORACLE in names:
        raise InputError(
            f"found a proxy of the name {ORACLE!r}, which is the best there can be; give it another: NAME=..."
        )
    if any(one.domain == MEAN for one in samples):
        raise InputError(
            f"found a domain of the name {MEAN!r}, which is that of all domains; give it another: NAME=FILE"
        )
    if twice := _twice(bench.name for bench in benches):
        raise InputError(f"found two files of pairs of the name {twice!r}, expected names of their own: NAME=FILE")
    if twice := _twice((one.domain, one.id) for one in samples):
        raise InputError(
            f"found two rows of {twice[1]!r} in the domain {twice[0]!r}, expected one for each question and model; "
            "give each file once, and files of several models with model_name, or as domains of their own: NAME=FILE"
        )


def _twice(names: Iterable[Any]) -> Any:  # noqa: ANN401 - a name
    """The first that is there more than once, or None."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


class _Asking:
    """Asks proxies, keeps what they say, and tells how far it is."""

    def __init__(self, keep: Path | None, tell: Tell | None) -> None:
        self.keep = keep
        self.tell: Callable[[int], None] | None = tell

    def hits(self, proxy: Proxy, pairs: Sequence[Pair]) -> tuple[Floats, ...]:
        """Whether the first reply is preferred, 1/2 where level; of a proxy that was asked in both orders, in each."""
        if isinstance(proxy, Scored):
            scores_N = kept_scores(proxy, [reply for pair in pairs for reply in pair], self.keep, self.tell)
            return (choices_of(scores_N[::2], scores_N[1::2]),)
        orders = tuple(
            choices_of(chance_N, np.full(len(chance_N), 0.5))
            for chance_N in kept_chances(proxy, pairs, self.keep, self.tell)
        )
        if isinstance(proxy, OrderKnown) and not proxy.in_both_orders(pairs):
            return (np.mean(orders, axis=0),)
        return orders

    def choices(self, proxy: Proxy, pairs: Sequence[Pair]) -> Floats:
        """Whether the first reply is preferred, over both orders where it matters."""
        if isinstance(proxy, Scored):
            return self.hits(proxy, pairs)[0]
        chance_N = np.mean(kept_chances(proxy, pairs, self.keep, self.tell), axis=0)
        return choices_of(chance_N, np.full(len(chance_N), 0.5))


def _human(
    proxies: Sequence[Proxy],
    votes: HumanVotes,
    config: PpeConfig,
    maker: BoardMaker,
    *,
    asking: _Asking,
    warnings: list[str],
) -> list[Figure]:
    choices = {one.name: asking.choices(one, votes.pairs) for one in proxies}
    masks, few = human_domains(votes.preferences, config.least_pairs)
    if few:
        listed = ", ".join(f"{name} ({count})" for name, count in few.items())
        warnings.append(f"views with fewer than {config.least_pairs} votes are left out: {listed}")
    if any(one.weight != 1 for one in votes.preferences):
        warnings.append("the votes have weights, which are not used here: each vote counts once")
    if not votes.models:
        warnings.append("the votes do not say whose replies they are on: there are no boards, and no rows of win rates")
    shown: list[Figure] = []
    for name, mask_B in masks.items():
        rounds, counts = human_rounds(
            votes, choices, mask_B, maker, rounds=config.rounds, board_rounds=config.board_rounds, seed=config.seed
        )
        shown += figures("human", name, rounds, counts, config.confidence)
    return shown


def _correctness(
    proxies: Sequence[Proxy], samples: Sequence[Samples], config: PpeConfig, asking: _Asking
) -> tuple[list[Figure], list[Curve]]:
    domains = domains_of(samples, config.rounds, config.seed)
    outcomes: dict[str, list[Outcome]] = {one.name: [] for one in proxies}
    for domain in domains:
        for proxy in proxies:
            if isinstance(proxy, Scored):
                scores_N = kept_scores(proxy, replies_of(domain.samples), asking.keep, asking.tell)
                outcomes[proxy.name].append(scored_outcome(domain, scores_N))
            else:
                pairs, right_N, row_N = pairs_of(domain.samples)
                chosen_N = asking.choices(proxy, pairs)
                outcomes[proxy.name].append(compared_outcome(domain, chosen_N, right_N, row_N))
    return correctness_figures(domains, outcomes, config.confidence)
