"""What every trained model of this room gives: for any prompts, the strength of each model on each of them.

Prompt-to-Leaderboard (Frick et al., 2025). A trained model is a folder, whatever is in it: a head on frozen vectors
(`head.py`) or a language model with a head (`backbone.py`). `load_prompt_boards` gives something that answers.

Strengths are natural log odds. Of `bradley-terry` and `rao-kupper` only differences mean something; in `grounded`
zero is where a usable answer begins. The parameter of ties, one a prompt, is the threshold eta > 0 of Rao and Kupper,
or the s of the grounded model, whose theta is 1 + e^s; these are the shapes of `stats/likelihoods.py`.

Not here: boards of many prompts (`aggregate.py`), and which model to send a prompt to (`router.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.stats.likelihoods import VoteModel

Floats = NDArray[np.float64]
Kind = Literal["bradley-terry", "rao-kupper", "grounded"]

VOTE_MODELS: dict[Kind, VoteModel] = {
    "bradley-terry": VoteModel.BRADLEY_TERRY,
    "rao-kupper": VoteModel.RAO_KUPPER,
    "grounded": VoteModel.GROUNDED,
}
"""Each kind's likelihood of one vote."""

HEAD, BACKBONE = "p2l-head", "p2l-backbone"
"""Kinds of folders."""

MODEL = "model"
"""Where in the folder of a run the trained model lies."""


@dataclass(frozen=True, slots=True)
class Coefficients:
    """What P prompts say of M models.

    `beta_PM` are strengths, `eta_P` the parameter of ties, None for `bradley-terry`. `draws_RPM` and `eta_draws_RP` are
    the same of each of R members of an ensemble, which differ as far as the truth may differ from `beta_PM`; None where
    nobody knows how far that is.
    """

    beta_PM: Floats
    eta_P: Floats | None = None
    draws_RPM: Floats | None = None
    eta_draws_RP: Floats | None = None

    def of(self, kept_P: NDArray[np.bool_] | NDArray[np.int64]) -> Coefficients:
        """Those of some of the prompts."""
        return Coefficients(
            self.beta_PM[kept_P],
            None if self.eta_P is None else self.eta_P[kept_P],
            None if self.draws_RPM is None else self.draws_RPM[:, kept_P],
            None if self.eta_draws_RP is None else self.eta_draws_RP[:, kept_P],
        )

    @property
    def members(self) -> list[Coefficients]:
        """Each member of the ensemble by itself; none where there is no ensemble."""
        if self.draws_RPM is None:
            return []
        return [
            Coefficients(beta_PM, None if self.eta_draws_RP is None else self.eta_draws_RP[r])
            for r, beta_PM in enumerate(self.draws_RPM)
        ]


class PromptBoards(Protocol):
    """Foretells how models do on prompts that nobody has voted on."""

    @property
    def models(self) -> tuple[str, ...]:
        """The M models, in the order of the coefficients."""
        ...

    @property
    def kind(self) -> Kind:
        """What the coefficients are coefficients of."""
        ...

    def coefficients(self, prompts: Sequence[str]) -> Coefficients:
        """The coefficients of these prompts.

        Args:
            prompts: at least one; of a conversation, the user's turns joined by a blank line.

        Raises:
            InputError: there is no prompt, or an empty one.
        """
        ...


def load_prompt_boards(folder: str | Path) -> PromptBoards:
    """The trained model of a folder, or of a run's.

    Raises:
        InputError: there is none, or its weights were cut short or changed.
        MissingPartError: an extra that it needs is not installed.
    """
    from palaestra.learn.checkpoint import CONFIG_FILE, kind_of

    folder = Path(folder)
    if not (folder / CONFIG_FILE).is_file() and (folder / MODEL / CONFIG_FILE).is_file():
        folder /= MODEL
    kind = kind_of(folder)
    if kind == HEAD:
        from palaestra.p2l.head import HeadBoards

        return HeadBoards.load(folder)
    raise InputError(f"found a model of kind {kind!r} in {folder}, expected {HEAD}, as `palaestra p2l train` writes it")


def checked_prompts(prompts: Sequence[str]) -> list[str]:
    """The prompts, none of which is empty.

    Raises:
        InputError: there is no prompt, or an empty one.
    """
    if isinstance(prompts, str):
        raise InputError("found one text, expected a list of prompts")
    found = list(prompts)
    if not found:
        raise InputError("found no prompt, expected at least one")
    if empty := [place for place, text in enumerate(found, start=1) if not text.strip()]:
        raise InputError(f"found an empty prompt (number {empty[0]} of {len(found)}), expected what is asked")
    return found


def number_of(models: Sequence[str], name: str) -> int:
    """The place of a model.

    Raises:
        InputError: there is no such model.
    """
    if name not in models:
        near = ", ".join(list(models)[:5])
        raise InputError(f"found the model {name!r}, expected one of the {len(models)} trained on, such as {near}")
    return list(models).index(name)
