"""Scores of all prompts: by a judge that looks at each, or by a scorer, given or learnt from some of its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from palaestra.bench.account import Labels
from palaestra.bench.asking import Ask
from palaestra.bench.criteria import NAMES, Label, label_prompts, met_PC
from palaestra.bench.embeddings import Embedded
from palaestra.bench.features import text_features
from palaestra.bench.scorer import Floats, Scorer
from palaestra.bench.stages import Artefact, Work, content
from palaestra.bench.training import draw_to_label, stands_for, train_scorer
from palaestra.errors import InputError
from palaestra.schema import Prompt
from palaestra.store.prompts import prompts_sha256

Scale = Literal["judge", "expected"]
_REVISION = 1


@dataclass(frozen=True, slots=True)
class Scores:
    """What is known of each prompt's criteria. `has_P` says who has a score; the others' numbers are zero."""

    chance_PC: Floats
    scale_P: Floats
    has_P: NDArray[np.bool_]
    scorer: Scorer | None = None
    counts: Labels | None = None
    labels: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Asking:
    """How a judge is used: it labels `label` prompts for a scorer, or all prompts where that is None."""

    ask: Ask
    label: int | None
    scale: Scale
    draw_seed: int
    learning_seed: int


def by_scorer(prompts: Sequence[Prompt], embedded: Embedded, scorer: Scorer, work: Work, scale: Scale) -> Scores:
    """Scores by a scorer that is there.

    Raises:
        InputError: its vectors come from another embedder.
    """
    if embedded.made_by.partition("/")[0] != scorer.embedder.partition("/")[0]:
        raise InputError(
            f"found vectors of {embedded.made_by}, the scorer has learnt from those of {scorer.embedder}: "
            "give that --embedder"
        )
    return _of(scorer, embedded, _features(prompts, work), scale)


def by_judge(
    prompts: Sequence[Prompt], embedded: Embedded, topic_P: NDArray[np.int64], asking: Asking, work: Work
) -> Scores:
    """Scores by a judge: of all prompts, or of some, from which a scorer learns.

    Raises:
        InputError: the judge does not answer, or too few of its answers can be read.
    """
    asked = np.arange(len(prompts))
    if asking.label is not None:
        asked = draw_to_label(topic_P, asking.label, asking.draw_seed)
    drawn = [prompts[place] for place in asked.tolist()]
    labels = label_prompts(drawn, asking.ask, work, prompts_sha256(drawn))
    read = np.array([label.met is not None for label in labels], dtype=bool)
    met_LC = met_PC([label for label in labels if label.met is not None])
    counts, rows = _counts(labels, asking.ask.judge), [asdict(label) for label in labels]
    if asking.label is None:
        chance_PC = np.zeros((len(prompts), len(NAMES)))
        chance_PC[read] = met_LC
        return Scores(chance_PC, chance_PC.sum(axis=1), read, None, counts, rows)
    features_PF = _features(prompts, work)
    scorer = _trained(embedded, features_PF, topic_P, labelled_L=asked[read], met_LC=met_LC, asking=asking, work=work)
    return replace(_of(scorer, embedded, features_PF, asking.scale), counts=counts, labels=rows)


def _trained(
    embedded: Embedded,
    features_PF: Floats,
    topic_P: NDArray[np.int64],
    *,
    labelled_L: NDArray[np.int64],
    met_LC: NDArray[np.bool_],
    asking: Asking,
    work: Work,
) -> Scorer:
    def make() -> Artefact:
        trained = train_scorer(
            np.hstack([embedded.vectors_PD.astype(np.float64), features_PF]),
            labelled_L,
            met_LC,
            stands_for(topic_P, labelled_L),
            embedder=embedded.made_by,
            judge=asking.ask.judge,
            seed=asking.learning_seed,
        )
        return Artefact(meta=trained.to_dict())

    known = content(embedded.vectors_PD, features_PF, topic_P, labelled_L, met_LC)
    key = {"revision": _REVISION, "judge": asking.ask.identity, "known": known, "seed": asking.learning_seed}
    return Scorer.from_dict(work.stage("scorer", key, make).meta)


def _of(scorer: Scorer, embedded: Embedded, features_PF: Floats, scale: Scale) -> Scores:
    chance_PC = scorer.chances(embedded.vectors_PD, features_PF)
    expected_P = chance_PC.sum(axis=1)
    scale_P = scorer.equated(expected_P) if scale == "judge" else expected_P
    return Scores(chance_PC, scale_P, np.ones(len(chance_PC), dtype=bool), scorer, warnings=_constant(scorer))


def _features(prompts: Sequence[Prompt], work: Work) -> Floats:
    key = {"revision": _REVISION, "prompts": prompts_sha256(prompts)}
    made = work.stage("features", key, lambda: Artefact({"x": text_features([prompt.text for prompt in prompts])}))
    return made["x"]


def _counts(labels: Sequence[Label], judge: str) -> Labels:
    costs = [label.cost for label in labels if label.answer is not None]
    return Labels(
        judge=judge,
        asked=len(labels),
        read=sum(label.met is not None for label in labels),
        unreadable=sum(label.met is None and label.answer is not None for label in labels),
        failed=sum(label.answer is None for label in labels),
        cost=None if any(cost is None for cost in costs) else sum(cost for cost in costs if cost is not None),
    )


def _constant(scorer: Scorer) -> list[str]:
    constant = [name for name, one in scorer.criteria.items() if not one.weights]
    if not constant:
        return []
    return [f"not learnt, since nearly all or nearly none of the labelled prompts meet it: {', '.join(constant)}"]
