"""Rollouts for several steps at once: the student samples, teachers say what they think of it, rows are dealt to steps.

With a step for each block, a batch of 24 domains would be 24 passes over four rows each. A block holds `steps` steps:
its prompts are sampled together, its rows sorted by teacher, and each teacher reads its own in one go while it is in
memory. What a teacher said stays beside each row. Rows of a step are cut into parts by length, so that little is
padded. A row is at most `steps - 1` updates old; what is compared at each of its positions is not.

Chance is that of the seed, the block and the process, so that a run that goes on from a block's beginning repeats it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from palaestra.errors import InputError
from palaestra.learn.backbone import libraries
from palaestra.learn.generation import Sampling, sample
from palaestra.posttrain.divergences import Blend, blended
from palaestra.posttrain.teachers import Row, Told


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as tokens, its domain, whose it is, and the completion that its example has, if any."""

    tokens: list[int]
    domain: str
    teachers: Mapping[str, float]
    """The share of each teacher; one of share 1 as a rule."""
    given: list[int] | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A row, its domain, and what its teacher says of each of its completion's tokens."""

    row: Row
    domain: int
    logprob_TK: Any
    token_TK: Any
    rest_T: Any
    behaviour_T: Any
    """Log-probabilities with which the student sampled; None for a completion that was given."""
    ended: bool = True


@dataclass(frozen=True, slots=True)
class Block:
    """The rows of some steps, of one process: `parts[step][part]`; and tokens and rows by step and domain."""

    first: int
    parts: list[list[list[Judged]]]
    tokens_SD: Any
    rows_SD: Any


class Rollouts:
    """Makes blocks.

    Args:
        prompts: what can be asked.
        names: domains, in the order in which they are numbered.
        teachers: by name.
        how: the student samples.
        ends: tokens that end a completion.
        given: the share of rows that take the example's own completion in place of a sampled one.
        blend: how several teachers of a prompt become one.
        seed: of chance.
    """

    def __init__(
        self,
        prompts: Sequence[Prompt],
        names: Sequence[str],
        teachers: Any,  # noqa: ANN401 - teachers by name
        *,
        how: Sampling,
        ends: Sequence[int],
        given: float = 0.0,
        blend: Blend = "geometric",
        seed: int = 0,
    ) -> None:
        self._prompts, self._teachers = prompts, teachers
        self._number = {name: number for number, name in enumerate(names)}
        self._how, self._ends, self._given, self._blend, self._seed = how, tuple(ends), given, blend, seed

    def block(
        self,
        model: Any,  # noqa: ANN401 - of transformers
        first: int,
        steps: Sequence[Sequence[int]],
        parts: int,
        *,
        place: tuple[int, int] = (0, 1),
        total: Callable[[Any], Any] = lambda tensor: tensor,
    ) -> Block:
        """Sample and judge what these steps ask.

        Args:
            model: the student.
            first: the number of the first step.
            steps: numbers of prompts of each step, all processes'.
            parts: into how many a step is cut.
            place: which process this is, of how many.
            total: adds a tensor up over processes.
        """
        torch, _ = libraries()
        process, processes = place
        mine = [numbers[process::processes] for numbers in steps]
        flat = [number for numbers in mine for number in numbers]
        rows, behaviour, ended = self._completed(model, flat, (self._seed, first, process))
        judged = self._judged(flat, rows, behaviour, ended)
        counts = torch.zeros(2, len(steps), len(self._number))
        cut: list[list[list[Judged]]] = []
        at = 0
        for step, numbers in enumerate(mine):
            here = judged[at : at + len(numbers)]
            at += len(numbers)
            for one in here:
                counts[0, step, one.domain] += one.row.length
                counts[1, step, one.domain] += 1
            cut.append(_by_length(here, parts))
        counts = total(counts)
        return Block(first, cut, counts[0], counts[1])

    def _completed(
        self,
        model: Any,  # noqa: ANN401 - of transformers
        numbers: Sequence[int],
        chance: tuple[int, int, int],
    ) -> tuple[list[Row], list[Any], list[bool]]:
        torch, _ = libraries()
        drawn = np.random.default_rng(chance)
        generator = torch.Generator(model.device).manual_seed(int(drawn.integers(2**62)))
        prompts = [self._prompts[number] for number in numbers]
        takes = [prompt.given is not None and drawn.random() < self._given for prompt in prompts]
        asked = [prompt.tokens for prompt, given in zip(prompts, takes, strict=True) if not given]
        sampled = iter(sample(model, asked, self._how, ends=self._ends, generator=generator) if asked else ())
        rows, behaviour, ended = [], [], []
        for prompt, given in zip(prompts, takes, strict=True):
            one = None if given else next(sampled)
            completion = (prompt.given or []) if one is None else one.tokens
            rows.append(Row(prompt.tokens + completion, len(prompt.tokens)))
            behaviour.append(None if one is None else torch.tensor(one.logprobs))
            ended.append(one is None or one.ended)
        return rows, behaviour, ended

    def _judged(
        self, numbers: Sequence[int], rows: Sequence[Row], behaviour: Sequence[Any], ended: Sequence[bool]
    ) -> list[Judged]:
        """Rows in their order, with what their teachers say; each teacher is asked once."""
        prompts = [self._prompts[number] for number in numbers]
        whose: dict[str, list[int]] = {}
        for place, prompt in enumerate(prompts):
            for teacher in prompt.teachers:
                whose.setdefault(teacher, []).append(place)
        said: list[list[tuple[float, Any, Any, Any]]] = [[] for _ in rows]
        for teacher in sorted(whose):
            places = sorted(whose[teacher], key=lambda place: len(rows[place].tokens))
            told = self._teachers[teacher]([rows[place] for place in places])
            at = 0
            for place in places:
                until = at + rows[place].length
                said[place].append((prompts[place].teachers[teacher], *_cut(told, at, until)))
                at = until
        return [
            Judged(row, self._number[prompts[place].domain], *self._one(said[place]), behaviour[place], ended[place])
            for place, row in enumerate(rows)
        ]

    def _one(self, said: Sequence[tuple[float, Any, Any, Any]]) -> tuple[Any, Any, Any]:
        """What several teachers say of a row, as one."""
        if len(said) == 1:
            return said[0][1:]
        torch, _ = libraries()
        if any(tokens is not None for _, _, tokens, _ in said):
            raise InputError(
                "found several teachers of one prompt that tell their likeliest tokens alone, expected all of the "
                "vocabulary; give each prompt one teacher, or let them tell all"
            )
        logs_GTV = torch.stack([log for _, log, _, _ in said])
        share_G = torch.tensor([share for share, _, _, _ in said], device=logs_GTV.device)
        return blended(logs_GTV, share_G / share_G.sum(), self._blend), None, None


def _cut(told: Told, at: int, until: int) -> tuple[Any, Any, Any]:
    tokens, rest = (None if part is None else part[at:until] for part in (told.token_NK, told.rest_N))
    return told.logprob_NK[at:until], tokens, rest


def _by_length(rows: Sequence[Judged], parts: int) -> list[list[Judged]]:
    """Rows in so many parts of about as many, the short ones together."""
    ordered = sorted(rows, key=lambda one: len(one.row.tokens))
    bounds = [len(ordered) * part // parts for part in range(parts + 1)]
    return [ordered[low:high] for low, high in itertools.pairwise(bounds)]
