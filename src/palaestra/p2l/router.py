"""Which model a prompt is sent to: the best one that the money buys, by the prompt's own leaderboard.

The value of model i on a prompt is its expected score against what it would be compared with (Frick et al.,
*Prompt-to-leaderboard*, 2025): sum_j q_j P(i beats j), a tie half, with q the opponents' shares; for grounded
strengths it is P(usable) = sigma(beta_i), which needs no opponents. `hull.py` buys the greatest value, `budget.py` for
many prompts at once. The router has a strength of its own: that of a single model with its expected score.

Not here: asking the model (`serve.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.optimize import elementwise
from scipy.special import expit, logit

from palaestra.errors import InputError
from palaestra.p2l.aggregate import AT_ONCE
from palaestra.p2l.budget import spread
from palaestra.p2l.costs import Costs, expect_costs, read_usage
from palaestra.p2l.hull import Mixtures, at_budget, at_price, strictly, upper_hulls
from palaestra.p2l.model import Coefficients, Kind, PromptBoards, checked_prompts, load_prompt_boards

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_CELLS = 10_000_000
_BEYOND = 40.0


class RouterConfig(BaseModel):
    """What a router may spend, and how it keeps to that."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    budget: float | None = Field(default=None, ge=0)
    """Money that a call may cost, on average over draws; without one, the best model is taken."""
    price: float | None = Field(default=None, ge=0)
    """Instead of a budget: take the model with the greatest value - price x cost. `p2l route --total` prints it."""
    rule: Literal["mix", "strict"] = "mix"
    """mix: two models may be mixed, so that the budget is spent; strict: the best model whose call is within it."""
    seed: int = Field(default=0, ge=0)
    """Seed of the draws."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.budget is not None and self.price is not None:
            raise ValueError("found a budget and a price, expected one of them")
        if self.rule == "strict" and self.budget is None:
            raise ValueError("found the rule strict without a budget, expected --budget")
        return self


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of P prompts before anything is bought: what each of the M routed models is worth, and costs.

    The coefficients are without the ensemble where prompts are many (`aggregate.AT_ONCE`): nothing here needs it.
    """

    coefficients: Coefficients
    value_PM: Floats
    cost_PM: Floats


@dataclass(frozen=True, slots=True)
class Routing:
    """What was decided for P prompts. `price` is that of the last money, where one budget was for all."""

    models: tuple[str, ...]
    outlook: Outlook
    mixtures: Mixtures
    strength_P: Floats
    price: float | None = None
    reason_P: tuple[str, ...] = field(default=())

    def chances(self, prompt: int) -> dict[str, float]:
        """The models that may be taken on a prompt, the likelier one first."""
        one = self.mixtures
        share = float(one.share_P[prompt])
        both = {self.models[one.high_P[prompt]]: share, self.models[one.low_P[prompt]]: 1 - share}
        if one.low_P[prompt] == one.high_P[prompt]:
            both = {self.models[one.low_P[prompt]]: 1.0}
        return {name: chance for name, chance in sorted(both.items(), key=lambda pair: -pair[1]) if chance > 0}


class Router:
    """Sends prompts to models.

    Args:
        boards: a trained model's leaderboards for prompts.
        costs: the models that may be taken, all of them on the boards.
        config: what may be spent.
        opponents: how often each model of the boards is met, by name, those left out never; all alike, if None.

    `notes` say what had to be supposed, and what the votes do not say of the models.

    Raises:
        InputError: a model or opponent that the boards do not know, or opponents that are never met.
    """

    def __init__(
        self,
        boards: PromptBoards,
        costs: Costs,
        config: RouterConfig | None = None,
        opponents: Mapping[str, float] | None = None,
    ) -> None:
        self.boards, self.costs, self.config = boards, costs, config or RouterConfig()
        self.models = tuple(spec.name for spec in costs.specs)
        place = {name: number for number, name in enumerate(boards.models)}
        for name in (*self.models, *(opponents or ())):
            if name not in place:
                raise InputError(
                    f"found the model {name!r}, expected one of those that were trained on: {', '.join(boards.models)}"
                )
        self._columns = [place[name] for name in self.models]
        self.opponents_M = _shares(boards.models, opponents)
        head = getattr(boards, "head", None)
        self.notes = (*costs.notes, *(head.doubts if head is not None else ()))

    def outlook(self, prompts: Sequence[str], lengths: Sequence[int] | None = None) -> Outlook:
        """What the models are worth and cost.

        Args:
            prompts: what the user has said, turn by turn, joined by a blank line.
            lengths: characters that would be sent, where those are not the prompts alone.

        Raises:
            InputError: there is no prompt, or an empty one.
        """
        found = self._coefficients(checked_prompts(prompts))
        value_PM = scores(found, self.boards.kind, self.opponents_M)[:, self._columns]
        cost_PM = self.costs.of([len(prompt) for prompt in prompts] if lengths is None else lengths)
        return Outlook(found, value_PM, cost_PM)

    def _coefficients(self, prompts: list[str]) -> Coefficients:
        if len(prompts) <= AT_ONCE:
            return self.boards.coefficients(prompts)
        betas, etas = [], []
        for start in range(0, len(prompts), AT_ONCE):
            part = self.boards.coefficients(prompts[start : start + AT_ONCE])
            betas.append(part.beta_PM)
            etas += [] if part.eta_P is None else [part.eta_P]
        return Coefficients(np.concatenate(betas), np.concatenate(etas) if etas else None)

    def route(self, outlook: Outlook, *, total: float | None = None, allowed_M: Flags | None = None) -> Routing:
        """Decide.

        Args:
            outlook: of the prompts.
            total: one budget for all prompts, instead of the config's.
            allowed_M: which of the routed models may be taken; all, if None.

        Raises:
            InputError: the budget is below what the cheapest models cost.
        """
        cost_PM, value_PM, price = outlook.cost_PM, outlook.value_PM, None
        allowed_M = np.ones(len(self.models), dtype=bool) if allowed_M is None else allowed_M
        kept = np.flatnonzero(allowed_M)
        hulls = upper_hulls(cost_PM[:, kept], value_PM[:, kept])
        if total is not None:
            spent = spread(hulls, total)
            mixtures, price = spent.mixtures, spent.price
        elif self.config.price is not None:
            mixtures = at_price(hulls, self.config.price)
        elif self.config.rule == "strict" and self.config.budget is not None:
            mixtures = strictly(cost_PM[:, kept], value_PM[:, kept], self.config.budget)
        else:
            mixtures = at_budget(hulls, self.config.budget)
        return self._explained(outlook, mixtures.renamed(kept), price, total)

    def whole(self, routing: Routing, total: float | None = None) -> Routing:
        """The same with mixtures rounded down to their cheaper models."""
        return self._explained(routing.outlook, routing.mixtures.whole(), routing.price, total)

    def _explained(self, outlook: Outlook, mixtures: Mixtures, price: float | None, total: float | None) -> Routing:
        strength_P = strength_of_score(mixtures.value_P, outlook.coefficients, self.boards.kind, self.opponents_M)
        return Routing(self.models, outlook, mixtures, strength_P, price, self._reasons(outlook, mixtures, total))

    def _reasons(self, outlook: Outlook, mixtures: Mixtures, total: float | None) -> tuple[str, ...]:
        best_P, config = outlook.value_PM.argmax(axis=1), self.config
        if total is not None:
            limit = f"within {total:.6g} for all prompts"
        elif config.price is not None:
            limit = f"at a price of {config.price:.6g}"
        else:
            limit = "without a budget" if config.budget is None else f"within {config.budget:.6g} a call"
        reasons = []
        for prompt, best in enumerate(best_P):
            low, high = self.models[mixtures.low_P[prompt]], self.models[mixtures.high_P[prompt]]
            if mixtures.mixed_P[prompt]:
                reasons.append(f"{low} mixed with {high}, drawn {mixtures.share_P[prompt]:.0%} of the time: {limit}")
            elif mixtures.value_P[prompt] >= outlook.value_PM[prompt, best]:
                reasons.append(f"{high} is the best on this prompt: {limit}")
            else:
                reasons.append(f"{self.models[best]} is better on this prompt, {high} is what can be had: {limit}")
        return tuple(reasons)


def scores(found: Coefficients, kind: Kind, opponents_M: Floats) -> Floats:
    """The expected score of each model on each prompt, P by M; P(usable) where strengths are grounded.

    Args:
        found: the coefficients.
        kind: what they are coefficients of.
        opponents_M: the opponents' shares, of sum 1.
    """
    beta_PM = found.beta_PM
    if kind == "grounded":
        return expit(beta_PM)
    eta_P = np.zeros(len(beta_PM)) if kind == "bradley-terry" or found.eta_P is None else found.eta_P
    met = np.flatnonzero(opponents_M)
    parts, step = [], max(1, _CELLS // max(1, beta_PM.shape[1] * len(met)))
    for start in range(0, len(beta_PM), step):
        now = slice(start, start + step)
        apart_PMM = beta_PM[now, :, None] - beta_PM[now][:, None, met]
        parts.append(_score(apart_PMM, eta_P[now, None, None]) @ opponents_M[met])
    return np.concatenate(parts)


def strength_of_score(value_P: Floats, found: Coefficients, kind: Kind, opponents_M: Floats) -> Floats:
    """The strength at which one model has this expected score on each prompt; natural log odds, as the models' own.

    The root of sum_j q_j P(theta' beats j) = value, which rises in theta'.
    """
    if kind == "grounded":
        return logit(value_P)
    eta_P = np.zeros(len(value_P)) if kind == "bradley-terry" or found.eta_P is None else found.eta_P
    met = np.flatnonzero(opponents_M)
    rival_PM = found.beta_PM[:, met]

    def missed(theta_P: Floats, prompt_P: Floats) -> Floats:
        rows = prompt_P.astype(np.int64)
        apart_PM = theta_P[..., None] - rival_PM[rows]
        return _score(apart_PM, eta_P[rows][..., None]) @ opponents_M[met] - value_P[rows]

    reach_P = _BEYOND + eta_P
    ends = (rival_PM.min(axis=1) - reach_P, rival_PM.max(axis=1) + reach_P)
    return elementwise.find_root(missed, ends, args=(np.arange(len(value_P), dtype=float),)).x


def _score(apart: Floats, eta: Floats) -> Floats:
    """P(win) + P(tie) / 2 at a difference of strengths; both bad is a tie to these models."""
    return 0.5 + 0.5 * (expit(apart - eta) - expit(-apart - eta))


def _shares(models: Sequence[str], opponents: Mapping[str, float] | None) -> Floats:
    if opponents is None:
        return np.full(len(models), 1 / len(models))
    weight_M = np.array([float(opponents.get(name, 0.0)) for name in models])
    if not (np.isfinite(weight_M).all() and (weight_M >= 0).all() and weight_M.sum() > 0):
        raise InputError(
            f"found the opponents' weights {dict(opponents)}, expected numbers from 0 up, not all of them 0"
        )
    return weight_M / weight_M.sum()


def load_router(
    folder: str | Path,
    models: str | Path,
    config: RouterConfig | None = None,
    *,
    usage: str | Path | None = None,
    opponents: str | Path | None = None,
    only: Sequence[str] = (),
) -> Router:
    """A router from files.

    Args:
        folder: a trained model's.
        models: a models.toml with the endpoints and prices of the models that may be taken.
        config: what may be spent.
        usage: what says how long answers are (`costs.read_usage`).
        opponents: votes, in any format; how often a model stands in them is how often it is met.
        only: the models that may be taken; all of the boards, if empty.

    Raises:
        InputError: a model that may be taken has no endpoint in models.toml, or a file does not hold what it should.
        MissingPartError: an extra is not installed.
    """
    from palaestra.gateway import load_models

    known = load_models(models)
    boards, specs = load_prompt_boards(folder, known), {spec.name: spec for spec in known}
    wanted = [name for name in boards.models if not only or name in only]
    if strangers := sorted(set(only) - set(boards.models)):
        raise InputError(f"found --only {strangers[0]!r}, expected models of the boards: {', '.join(boards.models)}")
    if missing := [name for name in wanted if name not in specs]:
        raise InputError(
            f"found no endpoint of {', '.join(map(repr, missing))} in {models}, expected one for every model of the "
            "boards; add them there, or name the models that may be taken with --only"
        )
    lengths = None if usage is None else read_usage(usage)
    costs = expect_costs([specs[name] for name in wanted], lengths)
    if opponents is None:
        return Router(boards, costs, config)
    times = met(opponents)
    known_times = {name: often for name, often in times.items() if name in boards.models}
    router = Router(boards, costs, config, known_times)
    if strangers := sorted(times.keys() - known_times.keys()):
        share = 1 - sum(known_times.values()) / sum(times.values())
        note = f"{share:.0%} of the opponents in {opponents} are models that the boards do not know, and are left out: "
        router.notes += (note + ", ".join(strangers),)
    return router


def met(source: str | Path) -> dict[str, float]:
    """How often each model stands in votes.

    Raises:
        VoteFileError: the votes cannot be read.
    """
    import polars as pl

    from palaestra.store.formats import read_votes

    frame = read_votes(source, wanted=lambda _: []).frame
    weight = frame["weight"] if "weight" in frame.columns else pl.repeat(1.0, len(frame), eager=True)
    both = pl.concat([frame[side].cast(pl.String).rename("model") for side in ("model_a", "model_b")])
    counted = pl.DataFrame({"model": both, "weight": pl.concat([weight, weight])}).group_by("model").sum()
    return {name: float(times) for name, times in counted.iter_rows()}
