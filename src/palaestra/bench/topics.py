"""What prompts are about: clusters of their vectors, on two levels.

    reduce    principal components (50), exact neighbours, then UMAP (McInnes, Healy and Melville, 2018) to five
              dimensions, from a start by principal components
    cluster   HDBSCAN (Campello, Moulavi and Sander, 2013) with a least size of a topic; the leaves of its tree, since
              the most stable clusters may hold a third of all prompts, and would be drawn from as seldom as a small one
    assign    an outlier joins the topic with the nearest centroid in the space of the vectors, if their cosine is at
              least the threshold; else it stays an outlier, in no topic
    upper     centroids agglomerated (Ward, 1963) into a few upper topics
    map       UMAP to two dimensions, for the eye alone: nothing is computed from it

After the pipeline of BERTopic (Grootendorst, 2022). Vectors have unit length, so that Euclidean neighbours are those of
the cosine. Everything is seeded and runs on one thread: the same vectors and the same seed give the same topics. No
prompt is left out for the sake of time.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palaestra.bench.stages import Artefact, Tell, untold
from palaestra.errors import InputError, MissingPartError
from palaestra.stats.newton import one_thread

Floats = NDArray[np.floating]
Labels = NDArray[np.int64]

OUTLIER = -1
"""The label of a prompt in no topic."""
_COMPONENTS, _DIMENSIONS, _NEIGHBOURS = 50, 5, 15
_FEWEST = 4 * _DIMENSIONS
_MOST_UPPER = 8


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics of prompts, the largest first.

    `topic_P` holds each prompt's topic, -1 for none; `upper_T` each topic's upper topic; `centroid_TD` unit vectors;
    `map_P2` places for a picture; `joined_P` says who was an outlier of the clustering and has been assigned since.
    """

    topic_P: Labels
    upper_T: Labels
    centroid_TD: Floats
    map_P2: Floats
    joined_P: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """How many topics there are, outliers aside."""
        return len(self.upper_T)

    def artefact(self) -> Artefact:
        """As arrays, for the disk."""
        return Artefact({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def of(cls, artefact: Artefact) -> Topics:
        """From the arrays."""
        return cls(**{name: artefact[name] for name in cls.__slots__})


def find_topics(
    vectors_PD: Floats, *, least: int, similarity: float, upper: int | None, seed: int, tell: Tell = untold
) -> Topics:
    """The topics of prompts.

    Args:
        vectors_PD: unit vectors.
        least: the fewest prompts of a topic.
        similarity: the cosine with a centroid from which an outlier joins its topic.
        upper: how many upper topics; None for the square root of the topics, at most eight.
        seed: of UMAP.
        tell: told of progress.

    Raises:
        InputError: too few prompts, or no topic of this size.
        MissingPartError: the extra `bench` is not installed.
    """
    if len(vectors_PD) < max(_FEWEST, 2 * least):
        raise InputError(
            f"found {len(vectors_PD)} prompts to find topics in, expected at least {max(_FEWEST, 2 * least)}; "
            "give more prompts, or lower --topic-size"
        )
    low_P5, map_P2 = _reduced(vectors_PD, seed, tell)
    tell("topics", 3, 4)
    found_P = _clustered(low_P5, least)
    if found_P.max() < 0:
        raise InputError(f"found no topic of at least {least} prompts among {len(vectors_PD)}; lower --topic-size")
    centroid_TD = centroids(vectors_PD, found_P)
    topic_P = assigned(vectors_PD, found_P, centroid_TD, similarity)
    topic_P, old_T = by_size(topic_P)
    centroid_TD = centroid_TD[old_T]
    return Topics(topic_P, agglomerated(centroid_TD, upper), centroid_TD, map_P2, (found_P < 0) & (topic_P >= 0))


def centroids(vectors_PD: Floats, label_P: Labels) -> Floats:
    """The mean direction of each label's vectors, of unit length; those without a label aside."""
    sum_TD = np.zeros((label_P.max() + 1, vectors_PD.shape[1]))
    np.add.at(sum_TD, label_P[label_P >= 0], vectors_PD[label_P >= 0])
    return sum_TD / np.linalg.norm(sum_TD, axis=1, keepdims=True)


def assigned(vectors_PD: Floats, label_P: Labels, centroid_TD: Floats, similarity: float) -> Labels:
    """The labels, with those outliers assigned that are near enough to a centroid."""
    label_P = label_P.copy()
    outliers = np.flatnonzero(label_P < 0)
    cosine_PT = vectors_PD[outliers] @ centroid_TD.T
    near_P = cosine_PT.max(axis=1, initial=-1) >= similarity
    label_P[outliers[near_P]] = cosine_PT[near_P].argmax(axis=1)
    return label_P


def by_size(label_P: Labels) -> tuple[Labels, Labels]:
    """Labels renumbered from the largest topic to the smallest, and the old number of each new one."""
    old_T = np.argsort(-np.bincount(label_P[label_P >= 0]), kind="stable")
    new_T = np.empty(len(old_T) + 1, dtype=np.int64)
    new_T[old_T], new_T[-1] = np.arange(len(old_T)), OUTLIER
    return new_T[label_P], old_T


def agglomerated(centroid_TD: Floats, upper: int | None) -> Labels:
    """The upper topic of each topic, numbered in the order in which they come."""
    wanted = min(_MOST_UPPER, round(len(centroid_TD) ** 0.5)) if upper is None else upper
    wanted = min(max(wanted, 1), len(centroid_TD))
    if wanted == 1:
        return np.zeros(len(centroid_TD), dtype=np.int64)
    from sklearn.cluster import AgglomerativeClustering

    found_T = AgglomerativeClustering(wanted, linkage="ward").fit_predict(centroid_TD)
    first = {old: new for new, old in enumerate(dict.fromkeys(found_T.tolist()))}
    return np.array([first[old] for old in found_T.tolist()], dtype=np.int64)


def _reduced(vectors_PD: Floats, seed: int, tell: Tell) -> tuple[Floats, Floats]:
    """Five dimensions to cluster in, and two to look at; both from one graph of neighbours."""
    umap, nearest = _umap()
    tell("topics", 0, 4)
    with one_thread():
        principal_PC = _principal(vectors_PD)
    neighbours = min(_NEIGHBOURS, len(principal_PC) - 1)
    apart_PN, near_PN = nearest(n_neighbors=neighbours, algorithm="brute").fit(principal_PC).kneighbors(principal_PC)
    shared = {
        "n_neighbors": neighbours,
        "precomputed_knn": (near_PN.astype(np.int32), apart_PN.astype(np.float32)),
        "random_state": seed,
        "init": "pca",
        "n_jobs": 1,
    }
    found = []
    for step, (dimensions, least) in enumerate([(_DIMENSIONS, 0.0), (2, 0.1)], start=1):
        tell("topics", step, 4)
        with one_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that nothing can be mapped into this space later, which nobody wants
            found.append(umap(n_components=dimensions, min_dist=least, **shared).fit_transform(principal_PC))
    return found[0], found[1]


def _principal(vectors_PD: Floats) -> Floats:
    """The first principal components; their signs by the largest entry, so that no library decides them."""
    centred_PD = vectors_PD - vectors_PD.mean(axis=0, dtype=np.float64).astype(np.float32)
    _, axes_DD = np.linalg.eigh((centred_PD.T @ centred_PD).astype(np.float64))
    axes_DC = axes_DD[:, ::-1][:, : min(_COMPONENTS, *centred_PD.shape)]
    axes_DC = axes_DC * np.sign(axes_DC[np.abs(axes_DC).argmax(axis=0), np.arange(axes_DC.shape[1])])
    return (centred_PD @ axes_DC.astype(np.float32)).astype(np.float32)


def _clustered(low_P5: Floats, least: int) -> Labels:
    from sklearn.cluster import HDBSCAN

    found = HDBSCAN(min_cluster_size=least, cluster_selection_method="leaf", copy=True)
    return found.fit_predict(low_P5).astype(np.int64)


def _umap() -> tuple[Any, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tensorflow, which nobody asked for
            from sklearn.neighbors import NearestNeighbors
            from umap import UMAP
    except ImportError as error:
        raise MissingPartError(f"finding topics needs {error.name}: pip install 'palaestra[bench]'") from error
    return UMAP, NearestNeighbors
