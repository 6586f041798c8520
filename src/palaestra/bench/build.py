"""`palaestra bench build`: prompts in, a benchmark out.

    read, clean, drop duplicates, embed, drop what stands elsewhere, find topics, name them, score, hold against
    thresholds, draw evenly over topics, write

After BenchBuilder (Li et al., 2024); `docs/bench.md` says where it differs. Each stage keeps its artefact in a work
folder (`stages.py`): killed at any moment, the same command goes on, and ends with the same bytes.

Not here: how a judge is reached (`asking.py` says what is asked of the caller), and answers to the prompts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from palaestra.bench.account import Account, Funnel, places, score_bins, topic_lines
from palaestra.bench.asking import Ask
from palaestra.bench.caveats import none_left, of_the_judge, of_the_set
from palaestra.bench.cleaning import Dropped, clean
from palaestra.bench.contamination import contaminated
from palaestra.bench.duplicates import without_duplicates
from palaestra.bench.embeddings import Embedded, EmbedderSource, embed
from palaestra.bench.naming import Named, names_by_judge, names_from_words, words_of_topics
from palaestra.bench.pool import Pool
from palaestra.bench.scorer import Scorer, read_scorer
from palaestra.bench.scoring import Asking, Scores, by_judge, by_scorer
from palaestra.bench.selection import ROUNDS, Thresholds, above, draw
from palaestra.bench.stages import Artefact, Tell, Work, content, untold
from palaestra.bench.topics import Topics, find_topics
from palaestra.errors import InputError
from palaestra.gateway.embed import LOCAL, Precision
from palaestra.schema import ModelSpec, Prompt
from palaestra.schema.run import InputFile
from palaestra.store.prompts import prompts_sha256, read_prompts

_REVISION = 1
"""Of the stages: raised when one of them computes something else from the same input."""
_UPPER_WORDS = 3


class BenchConfig(BaseModel):
    """How prompts become a benchmark."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = Field(default=None, min_length=1)
    """The set's name; that of its folder, if left out."""
    version: str = "1.0"
    """The set's version."""
    license: str = "unknown"
    """The licence of the prompts, as the Hub spells it."""
    size: int = Field(default=500, ge=1)
    """Prompts of the benchmark."""
    per_topic: int = Field(default=2, ge=1)
    """Prompts from each topic."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of everything that is drawn."""
    shortest: int = Field(default=33, ge=1)
    """Fewest characters of a prompt."""
    longest: int = Field(default=10_000, ge=1)
    """Most characters of a prompt."""
    languages: tuple[str, ...] = ()
    """Only prompts whose column language is one of these."""
    near: float = Field(default=0.8, gt=0, le=1)
    """Jaccard similarity of two prompts from which one of them goes."""
    overlap: float = Field(default=0.5, gt=0, le=1)
    """Share of 8-grams in common with a prompt of --against from which a prompt goes."""
    similarity: float = Field(default=0.9, gt=0, le=1)
    """Cosine with a prompt of --against from which a prompt goes."""
    embedder: str = LOCAL
    """local:minilm, or a model with /embeddings of the models.toml."""
    precision: Precision = "auto"
    """Of the local embedder: bfloat16 where the processor has it, unless said otherwise."""
    topic_size: int = Field(default=8, ge=2)
    """Fewest prompts of a topic, when topics are found."""
    outlier_similarity: float = Field(default=0.3, ge=-1, le=1)
    """Cosine with a topic's centroid from which a prompt that was left over joins it."""
    upper_topics: int | None = Field(default=None, ge=1)
    """How many upper topics; the square root of the topics, at most eight, if left out."""
    name_by: Literal["judge", "words"] | None = None
    """Who names topics; the judge where there is one, if left out."""
    label: int | None = Field(default=None, ge=1)
    """The judge labels so many prompts, and a scorer learns from them; all, and nothing is learnt, if left out."""
    scale: Literal["judge", "expected"] = "judge"
    """What thresholds are held against: a scorer's scores brought to the judge's scale, or expected scores as they
    are."""
    first_score: float = Field(default=5.0, allow_inf_nan=False)
    """Score that a prompt needs in the first round."""
    first_mean: float = Field(default=3.0, allow_inf_nan=False)
    """Mean score that its topic needs in the first round."""
    score: float = Field(default=6.0, allow_inf_nan=False)
    """Score that a prompt needs in the second round."""
    mean: float = Field(default=6.0, allow_inf_nan=False)
    """Mean score that its topic needs in the second round."""
    ray: bool = False
    """Embed in actors of Ray Data, on all machines of a cluster if `ray.init` has joined one."""

    @property
    def thresholds(self) -> Thresholds:
        """The four thresholds."""
        return Thresholds(self.first_score, self.first_mean, self.score, self.mean)


@dataclass(frozen=True, slots=True)
class Built:
    """A benchmark that has been drawn, and what else goes into its folder."""

    prompts: list[Prompt]
    account: Account
    dropped: list[Dropped]
    labels: list[dict[str, Any]]
    scorer: Scorer | None


@dataclass(frozen=True, slots=True)
class _Seeds:
    topics: int
    names: int
    labels: int
    learning: int
    draw: int
    map: int

    @classmethod
    def of(cls, seed: int) -> _Seeds:
        return cls(*(int(one) for one in np.random.SeedSequence(seed).generate_state(6)))


@dataclass(frozen=True, slots=True)
class _Run:
    """What every stage of one build needs."""

    config: BenchConfig
    work: Work
    seeds: _Seeds
    funnel: Funnel
    source: EmbedderSource
    ask: Ask | None

    def embed(self, prompts: Sequence[Prompt]) -> Embedded:
        texts = [prompt.text for prompt in prompts]
        return embed(texts, self.source, self.work, prompts_sha256(prompts), ray=self.config.ray)


def build(
    sources: Sequence[str | Path],
    config: BenchConfig,
    *,
    name: str,
    work_folder: str | Path,
    ask: Ask | None = None,
    scorer: str | Path | None = None,
    against: Sequence[str | Path] = (),
    specs: Sequence[ModelSpec] = (),
    tell: Tell = untold,
) -> Built:
    """A benchmark from prompts.

    Args:
        sources: files, folders or arenas' databases with prompts.
        config: settings.
        name: of the set.
        work_folder: where the stages keep their artefacts.
        ask: asks the judge; not needed with a scorer.
        scorer: the file of a trained scorer.
        against: sets whose prompts must not be in the benchmark.
        specs: models that may embed.
        tell: told of progress.

    Raises:
        InputError: prompts cannot be read, there are too few, none passes the thresholds, neither a judge nor a scorer
            is given or both are, the judge does not answer, or a setting names something that is not there.
        MissingPartError: an extra or a key is missing.
        ModelError: the embedder did not answer.
    """
    given = _checked_scorer(ask, scorer, config)
    source = EmbedderSource(config.embedder, config.precision, tuple(specs))
    run = _Run(config, Work(work_folder, tell), _Seeds.of(config.seed), Funnel(), source, ask)
    found = read_sources(sources)
    prompts = _distinct(run, [prompt for read in found.values() for prompt in read])
    prompts, embedded, held_against = _unheard(run, prompts, against)
    topics = _topics(run, embedded)
    named, uppers = _named(run, prompts, topics)
    names = list(named.names.values())
    scores = _scored(run, prompts, embedded, topics, given)
    scored, kept, chosen = _selected(run, prompts, topics, scores)
    ids = {prompt.id for prompt in chosen.prompts}
    account = Account(
        name=name,
        inputs=tuple(_input(path, read) for path, read in found.items()),
        against=held_against,
        embedder=embedded.made_by,
        scored_by="judge" if scores.scorer is None else "scorer",
        labels=scores.counts,
        validation=scores.scorer.validation if scores.scorer else None,
        steps=tuple(run.funnel.steps),
        topics=topic_lines(topics, names, uppers, scored=scored, kept=kept, chosen=chosen),
        outliers=int((topics.topic_P < 0).sum()),
        scores=score_bins(scored, chosen),
        places=places(
            topics, names, uppers, chosen_P=np.array([prompt.id in ids for prompt in prompts]), seed=run.seeds.map
        ),
        prompts_of_map=len(prompts),
        settings=config.model_dump(mode="json"),
        warnings=(*of_the_set(config, topics, kept, chosen), *of_the_judge(scores, named)),
    )
    return Built(chosen.named(names), account, run.funnel.dropped, scores.labels, scores.scorer)


def read_sources(sources: Sequence[str | Path]) -> dict[str | Path, list[Prompt]]:
    """The prompts of each source. Of several, each id gets its source's name before it, so that no two are the same.

    Raises:
        InputError: a source cannot be read, or two have the same name.
    """
    read = {source: read_prompts(source) for source in sources}
    if len(read) == 1:
        return read
    stems = {source: Path(str(source).rstrip("/")).name.partition(".")[0] for source in read}
    if len(set(stems.values())) < len(stems) or len(read) < len(sources):
        raise InputError(f"found two sources of the same name among {', '.join(map(str, sources))}; rename one of them")
    return {
        source: [prompt.model_copy(update={"id": f"{stems[source]}/{prompt.id}"}) for prompt in found]
        for source, found in read.items()
    }


def _checked_scorer(ask: Ask | None, path: str | Path | None, config: BenchConfig) -> Scorer | None:
    if ask is None and path is None:
        raise InputError(
            "found neither a judge nor a scorer; give --judge NAME (with --label N for a scorer), or --scorer FILE"
        )
    if path is None:
        return None
    if config.label is not None:
        raise InputError("found both --label and --scorer; a scorer that is given is not trained again: leave one out")
    return read_scorer(path)


def _distinct(run: _Run, everything: Sequence[Prompt]) -> list[Prompt]:
    """Clean prompts, each once, sorted by id."""
    config, funnel = run.config, run.funnel
    funnel.add("read", len(everything))
    fit, unfit = clean(everything, shortest=config.shortest, longest=config.longest, languages=config.languages)
    funnel.add("cleaning", len(fit), unfit)
    if not fit:
        raise InputError(
            f"found no prompt left of {len(everything)} after cleaning, the first went as: {unfit[0].reason}; "
            "see --shortest, --longest and --languages"
        )
    fit.sort(key=lambda prompt: prompt.id)

    def make() -> Artefact:
        kept, twice = without_duplicates(fit, config.near, tell=run.work.tell)
        return Artefact(meta={"kept": [prompt.id for prompt in kept], "dropped": [asdict(one) for one in twice]})

    key = {"revision": _REVISION, "prompts": prompts_sha256(fit), "near": config.near}
    found = run.work.stage("duplicates", key, make).meta
    kept = set(found["kept"])
    funnel.add("duplicates", len(kept), [Dropped(**row) for row in found["dropped"]])
    return [prompt for prompt in fit if prompt.id in kept]


def _unheard(
    run: _Run, prompts: list[Prompt], against: Sequence[str | Path]
) -> tuple[list[Prompt], Embedded, tuple[InputFile, ...]]:
    """The prompts that stand in no other set, with their vectors; and what they were held against."""
    embedded = run.embed(prompts)
    sets = {path: read_prompts(path) for path in against}
    names = _short_names(sets)
    others = {f"{names[path]}: {prompt.id}": prompt for path, read in sets.items() for prompt in read}
    if not others:
        return prompts, embedded, ()
    flagged = contaminated(
        prompts,
        embedded.vectors_PD,
        others,
        run.embed(list(others.values())).vectors_PD,
        overlap=run.config.overlap,
        similarity=run.config.similarity,
    )
    gone = {one.id for one in flagged}
    left = [prompt for prompt in prompts if prompt.id not in gone]
    run.funnel.add("contamination", len(left), flagged)
    stay_P = np.array([prompt.id not in gone for prompt in prompts])
    return left, embedded.take(stay_P), tuple(_input(path, read) for path, read in sets.items())


def _short_names(paths: Iterable[str | Path]) -> dict[str | Path, str]:
    """What each set is called: its file's name, or its path where another file has that name too."""
    names = {path: Path(str(path)).name for path in paths}
    met = Counter(names.values())
    return {path: name if met[name] == 1 else str(path) for path, name in names.items()}


def _topics(run: _Run, embedded: Embedded) -> Topics:
    config = run.config
    settings = {"least": config.topic_size, "similarity": config.outlier_similarity, "upper": config.upper_topics}

    def make() -> Artefact:
        return find_topics(
            embedded.vectors_PD,
            least=config.topic_size,
            similarity=config.outlier_similarity,
            upper=config.upper_topics,
            seed=run.seeds.topics,
            tell=run.work.tell,
        ).artefact()

    key = {"revision": _REVISION, "vectors": content(embedded.vectors_PD), "seed": run.seeds.topics, **settings}
    return Topics.of(run.work.stage("topics", key, make))


def _named(run: _Run, prompts: Sequence[Prompt], topics: Topics) -> tuple[Named, list[str]]:
    """Names of topics, and of upper topics."""
    ask, seed = run.ask, run.seeds.names
    if run.config.name_by == "judge" and ask is None:
        raise InputError("found --name-by judge without a judge; give --judge NAME")
    texts = _texts(prompts, topics.topic_P)
    upper_P = np.where(topics.topic_P >= 0, topics.upper_T[topics.topic_P], -1)
    uppers = list(names_from_words(words_of_topics(_texts(prompts, upper_P)), count=_UPPER_WORDS).values())
    words = words_of_topics(texts)
    if ask is None or run.config.name_by == "words":
        return Named(names_from_words(words)), uppers

    def make() -> Artefact:
        named = names_by_judge(words, texts, ask, seed)
        meta = {"names": list(named.names.values()), "unfit": named.unfit, "failed": named.failed}
        return Artefact(meta=meta, unfinished=bool(named.failed))

    key = {"judge": ask.identity, "topics": content(topics.topic_P), "prompts": prompts_sha256(prompts), "seed": seed}
    found = run.work.stage("names", {"revision": _REVISION, **key}, make).meta
    return Named(dict(enumerate(found["names"])), found["unfit"], found["failed"]), uppers


def _texts(prompts: Sequence[Prompt], label_P: NDArray[np.int64]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {label: [] for label in range(label_P.max() + 1)}
    for prompt, label in zip(prompts, label_P.tolist(), strict=True):
        if label >= 0:
            found[label].append(prompt.text)
    return found


def _scored(run: _Run, prompts: Sequence[Prompt], embedded: Embedded, topics: Topics, scorer: Scorer | None) -> Scores:
    if scorer is not None:
        return by_scorer(prompts, embedded, scorer, run.work, run.config.scale)
    if run.ask is None:
        raise InputError("found no judge; give --judge NAME")
    asking = Asking(run.ask, run.config.label, run.config.scale, run.seeds.labels, run.seeds.learning)
    return by_judge(prompts, embedded, topics.topic_P, asking, run.work)


def _selected(run: _Run, prompts: Sequence[Prompt], topics: Topics, scores: Scores) -> tuple[Pool, Pool, Pool]:
    """The prompts with a score, those that pass the thresholds, and those that are drawn."""
    config, funnel = run.config, run.funnel
    pool = Pool(tuple(prompts), topics.topic_P, scores.chance_PC, scores.chance_PC.sum(axis=1), scores.scale_P)
    scored = pool.take(scores.has_P)
    unscored = [Dropped(prompt.id, "scoring", "no label") for prompt in pool.take(~scores.has_P).prompts]
    funnel.add("scoring", left := len(scored), unscored)
    kept, failed = above(scored, config.thresholds)
    for name in ROUNDS:
        there = [one for one in failed if one.step == name]
        left -= len(there)
        funnel.add(name, left, there)
    if not len(kept):
        raise InputError(none_left(scored, config))
    chosen = draw(kept, topics.upper_T, size=config.size, per_topic=config.per_topic, seed=run.seeds.draw)
    ids = {prompt.id for prompt in chosen.prompts}
    undrawn = [Dropped(prompt.id, "draw", "not drawn") for prompt in kept.prompts if prompt.id not in ids]
    funnel.add("draw", len(chosen), undrawn)
    return scored, kept, chosen


def _input(path: str | Path, read: Sequence[Prompt]) -> InputFile:
    """A source by its name alone: a path would say whose machine this was."""
    return InputFile(path=Path(str(path)).name, sha256=prompts_sha256(read))
