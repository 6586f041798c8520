"""A trained head: its arrays, its folder, and boards of prompts from it.

A prompt's vector x becomes z = (x - mean) basis: its principal components, of which the mean square over the prompts
of training is one. Strengths are a + W z, the head's number for ties t + v·z; `members` are the same of each member of
the ensemble. What the head was made from stays beside it: counts of votes by pair and outcome, the plain board, and
hashes of the prompts, by which an evaluation knows what it may not count. A language model that was trained with the
head lies beside it, in `backbone/`.

Not here: how weights are found (`fitting.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from palaestra.errors import InputError
from palaestra.learn.checkpoint import read_checkpoint, write_checkpoint
from palaestra.learn.features import Featurizer
from palaestra.p2l.fitting import Vectors, Weights, tie_parameters
from palaestra.p2l.model import HEAD, Coefficients, Kind, checked_prompts, load_prompt_boards
from palaestra.p2l.tuned import BACKBONE_FOLDER, PromptStates, Tuned
from palaestra.schema import ModelSpec

Floats = NDArray[np.float64]

_LEAST_VARIANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Projection:
    """From a featurizer's vectors (D) to those that the head sees (K)."""

    mean_D: Floats
    basis_DK: Floats

    @classmethod
    def of(cls, x_PD: Vectors, components: int) -> Projection:
        """The first principal components of prompts, none where all prompts are alike.

        Raises:
            InputError: a vector is no number.
        """
        if not np.isfinite(x_PD).all():
            raise InputError("found a vector of a prompt that is no number, expected finite ones")
        mean_D = x_PD.mean(axis=0, dtype=np.float64)
        covariance_DD = np.zeros((len(mean_D), len(mean_D)))
        for start in range(0, len(x_PD), 65_536):
            off_PD = x_PD[start : start + 65_536].astype(np.float64) - mean_D
            covariance_DD += off_PD.T @ off_PD
        value_K, basis_DK = np.linalg.eigh(covariance_DD / len(x_PD))
        value_K, basis_DK = value_K[::-1][:components], basis_DK[:, ::-1][:, :components]
        there_K = value_K > _LEAST_VARIANCE * max(float(np.square(mean_D).sum()), float(value_K.sum()))
        basis_DK = (
            basis_DK[:, there_K] * np.sign(basis_DK[np.abs(basis_DK).argmax(axis=0), range(len(value_K))])[there_K]
        )
        scale = np.sqrt(value_K[there_K].sum()) if there_K.any() else 1.0
        return cls(mean_D, np.ascontiguousarray(basis_DK / scale))

    def __call__(self, x_PD: Vectors) -> Vectors:
        """The head's vectors, shape (P, K)."""
        parts = [(x_PD[start : start + 65_536] - self.mean_D) @ self.basis_DK for start in range(0, len(x_PD), 65_536)]
        return np.ascontiguousarray(np.concatenate(parts), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Head:
    """Everything that was learnt, and what it was learnt from."""

    models: tuple[str, ...]
    kind: Kind
    features: str
    projection: Projection
    weights: Weights
    members: tuple[Weights, ...]
    plain: Weights
    spread: float
    counts_OMM: Floats
    asked: NDArray[np.uint64]
    report: dict[str, Any]
    tuned: Tuned | None = None
    """The language model that makes the vectors, where it was trained with the head."""

    def coefficients_of(self, z_PK: Vectors) -> Coefficients:
        """The coefficients of prompts with these vectors."""
        found = self.weights.at(self.kind, z_PK)
        if not self.members:
            return found
        w_RMK = np.stack([member.w_MK for member in self.members])
        draws_RPM = np.einsum("pk,rmk->rpm", z_PK, w_RMK, optimize=True)
        draws_RPM += np.stack([member.a_M for member in self.members])[:, None]
        if found.eta_P is None:
            return Coefficients(found.beta_PM, None, draws_RPM)
        tie_RC = np.stack([member.tie_C for member in self.members])
        eta_RP = tie_parameters(self.kind, tie_RC[:, :1] + tie_RC[:, 1:] @ z_PK.T)
        return Coefficients(found.beta_PM, found.eta_P, draws_RPM, eta_RP)

    @property
    def parts(self) -> tuple[tuple[str, ...], ...]:
        """Sets of models that votes connect, the largest first; strengths of different sets do not compare.

        Grounded strengths are all measured from where a usable answer begins, and are one set.
        """
        return (self.models,) if self.kind == "grounded" else self._sets("weak")

    @property
    def outside(self) -> tuple[str, ...]:
        """Models whose strength no vote bounds on one side: as of one that has only won, or only lost, in its set.

        Of a set that falls apart into models alone, all.
        """
        if self.kind == "grounded":
            return ()
        inside: set[str] = set()
        strong = self._sets("strong")
        for part in self.parts:
            core = max((one for one in strong if one[0] in part), key=len)
            inside |= {*core} if len(core) > 1 else set()
        return tuple(name for name in self.models if name not in inside)

    def _sets(self, connection: str) -> tuple[tuple[str, ...], ...]:
        first_MM, second_MM, *halves = self.counts_OMM
        either_MM = first_MM + second_MM.T + sum(one + one.T for one in halves)
        count, label_M = connected_components(csr_matrix(either_MM > 0), directed=True, connection=connection)
        found = [tuple(self.models[m] for m in np.flatnonzero(label_M == label)) for label in range(count)]
        return tuple(sorted(found, key=lambda part: (-len(part), self.models.index(part[0]))))

    @property
    def doubts(self) -> tuple[str, ...]:
        """What votes do not say about strengths: sets of models that never met, and strengths without a bound."""
        said, outside = [], self.outside
        if len(self.parts) > 1:
            said.append(
                f"The votes fall into {len(self.parts)} sets of models that never met; ratings, ranks and choices "
                "between models of different sets are guesses, and no interval holds for them."
            )
        if outside:
            more = f" and {len(outside) - 3} more" if len(outside) > 3 else ""  # noqa: PLR2004 - as below
            said.append(
                f"No vote bounds the strength of {', '.join(outside[:3])}{more} on one side, as of a model that has "
                "only won; such a rating and its interval are of the prior's making."
            )
        return tuple(said)

    @property
    def plain_coefficients(self) -> Coefficients:
        """Those of the plain board, for one prompt, whichever it is."""
        return self.plain.at(self.kind, np.zeros((1, 0), dtype=np.float32))

    def write(self, folder: str | Path, card: str) -> None:
        """Write the folder, whole or not at all.

        Raises:
            InputError: it is there already, cannot be written, or a weight is no number.
        """
        arrays: dict[str, NDArray[Any]] = {
            "mean_D": self.projection.mean_D, "basis_DK": self.projection.basis_DK, "counts_OMM": self.counts_OMM,
            "asked": self.asked, **_arrays("", [self.weights]), **_arrays("members_", self.members),
            **_arrays("plain_", [self.plain]),
        }  # fmt: skip
        config = {
            "models": list(self.models), "kind": self.kind, "features": self.features, "spread": self.spread,
            "report": self.report, **({"tuned": self.tuned.to_dict()} if self.tuned else {}),
        }  # fmt: skip
        folders = {BACKBONE_FOLDER: self.tuned.folder} if self.tuned else None
        write_checkpoint(folder, HEAD, config, arrays, texts={"card.md": card}, folders=folders)

    @classmethod
    def read(cls, folder: str | Path) -> Head:
        """Read a folder.

        Raises:
            InputError: it holds no head, or its weights were cut short or changed.
        """
        found = read_checkpoint(folder, HEAD)
        config, arrays = found.config, found.arrays
        try:
            return cls(
                models=tuple(config["models"]),
                kind=config["kind"],
                features=config["features"],
                projection=Projection(arrays["mean_D"], arrays["basis_DK"]),
                weights=_weights("", arrays)[0],
                members=tuple(_weights("members_", arrays)),
                plain=_weights("plain_", arrays)[0],
                spread=config["spread"],
                counts_OMM=arrays["counts_OMM"],
                asked=arrays["asked"],
                report=config["report"],
                tuned=Tuned.from_dict(Path(folder), config["tuned"]) if "tuned" in config else None,
            )
        except KeyError as error:
            raise InputError(
                f"found no {error.args[0]} in the model of {folder}, expected one; train it anew"
            ) from error


class HeadBoards:
    """Boards of prompts from a head; satisfies `PromptBoards`.

    Args:
        head: what was learnt.
        featurize: makes its featurizer, when the first prompt comes.
    """

    def __init__(self, head: Head, featurize: Callable[[], Featurizer] | None = None) -> None:
        self.head = head
        self._featurize = featurize or (lambda: _featurizer(head))
        self._featurizer: Featurizer | None = None

    @classmethod
    def load(cls, folder: str | Path, specs: Sequence[ModelSpec] = ()) -> HeadBoards:
        """The head of a folder.

        Args:
            folder: which.
            specs: models of a models.toml, where one of them makes vectors of prompts.

        Raises:
            InputError: it holds no head, or its weights were cut short or changed.
        """
        head = Head.read(folder)
        return cls(head, lambda: _featurizer(head, specs))

    @property
    def models(self) -> tuple[str, ...]:
        """The models, in the order of the coefficients."""
        return self.head.models

    @property
    def kind(self) -> Kind:
        """What the coefficients are coefficients of."""
        return self.head.kind

    @property
    def featurizer(self) -> Featurizer:
        """What makes vectors of prompts."""
        if self._featurizer is None:
            self._featurizer = self._featurize()
        return self._featurizer

    def vectors(self, prompts: Sequence[str]) -> Vectors:
        """What the head sees of prompts, shape (P, K)."""
        return self.head.projection(self.featurizer(checked_prompts(prompts)))

    def coefficients(self, prompts: Sequence[str]) -> Coefficients:
        """The coefficients of these prompts.

        Raises:
            InputError: there is no prompt, or an empty one.
        """
        return self.head.coefficients_of(self.vectors(prompts))


def load_head(folder: str | Path, specs: Sequence[ModelSpec] = ()) -> HeadBoards:
    """The boards of a folder, or of a run's, where they are those of a head.

    Raises:
        InputError: there is none, it is another kind of model, or its weights were cut short or changed.
    """
    boards = load_prompt_boards(folder, specs)
    if not isinstance(boards, HeadBoards):
        raise InputError(f"found another kind of model in {folder}, expected a head on vectors")
    return boards


def prompt_hashes(prompts: Sequence[str]) -> NDArray[np.uint64]:
    """A number for each prompt, sorted, by which it is known again; spaces around it do not matter."""
    digests = [
        hashlib.blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in prompts
    ]
    return np.sort(np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64))


def _featurizer(head: Head, specs: Sequence[ModelSpec] = ()) -> Featurizer:
    from palaestra.p2l.featurizers import featurizer_named

    return featurizer_named(head.features, specs) if head.tuned is None else PromptStates(head.tuned)


def _arrays(prefix: str, found: Sequence[Weights]) -> dict[str, NDArray[Any]]:
    names = ("a_M", "w_MK", "tie_C")
    return {f"{prefix}{name}": np.stack([getattr(one, name) for one in found]) for name in names} if found else {}


def _weights(prefix: str, arrays: dict[str, NDArray[Any]]) -> list[Weights]:
    names = ("a_M", "w_MK", "tie_C")
    if prefix and f"{prefix}a_M" not in arrays and prefix == "members_":
        return []
    parts = [arrays[f"{prefix}{name}"] for name in names]
    return [Weights(*one) for one in zip(*parts, strict=True)]
