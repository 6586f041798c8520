"""Boards whose strengths are known: a prompt says in its first word which model is good at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from palaestra.p2l.model import Coefficients, Kind, checked_prompts
from palaestra.schema import ModelSpec

NAMES = ("cheap", "middle", "dear")
GOOD_AT = {"poem": (2.0, 0.0, 0.5), "code": (-1.0, 0.5, 2.0), "fact": (0.0, 1.0, 1.2)}


@dataclass(frozen=True)
class KnownBoards:
    """Coefficients by the prompt's first word."""

    models: tuple[str, ...] = NAMES
    kind: Kind = "bradley-terry"

    def coefficients(self, prompts: Sequence[str]) -> Coefficients:
        beta_PM = np.array([GOOD_AT[text.split()[0]] for text in checked_prompts(prompts)])
        eta_P = None if self.kind == "bradley-terry" else np.full(len(prompts), 0.4)
        return Coefficients(beta_PM, eta_P, np.stack([beta_PM - 0.1, beta_PM, beta_PM + 0.1]))


def specs(**endpoints: str) -> list[ModelSpec]:
    """Contestants with prices; an answer of 100 tokens costs 1, 5 and 20 hundredths."""
    return [
        ModelSpec(
            name=name, endpoint=endpoints.get(name, "scripted:echo"), output_price=price, max_tokens=100,
            input_price=price / 10,
        )
        for name, price in zip(NAMES, (100.0, 500.0, 2000.0), strict=True)
    ]  # fmt: skip
