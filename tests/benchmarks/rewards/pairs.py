"""What rewards are worth on real human preferences, against length, likelihood and frozen embeddings.

Every figure is on prompts that neither the head nor the choice of its ridge has seen (nested folds by prompt). Length
is which way it goes, learnt on the training folds. "All together" is the mean of the log-odds of heads that are named
below, each trained by itself; which heads take part was written down before the table was made, and no layer, pooling
or weight is chosen on what it shows.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from reading import LAYERS, Reading

from palaestra.learn.backbone import conversation_text
from palaestra.learn.features import Featurizer, features
from palaestra.pictures.drawing import altair, save_chart, styled
from palaestra.pictures.palette import FIRST, INK, SOFT
from palaestra.rewards.calibration import Figure
from palaestra.rewards.comparisons import Comparisons, Floats, compared
from palaestra.rewards.config import Loss
from palaestra.rewards.cross_fit import cross_fit
from palaestra.rewards.evaluation import Judged
from palaestra.rewards.head import designed
from palaestra.rewards.likelihood import Likelihood, law_for
from palaestra.rewards.style import StyleColumns, style_columns
from palaestra.rewards.vectors import featurizer, vectors
from palaestra.schema import Preference
from palaestra.store.preferences import read_preferences

LENGTH, LIKELIHOOD, MINILM, STATES, OURS = (
    "length alone",
    "likelihood of the reply (perplexity)",
    "head on frozen MiniLM",
    "heads on SmolLM2's states",
    "all together",
)
BASELINES = (LENGTH, LIKELIHOOD, MINILM)
FOLDS, DIRECTIONS = 5, 128
HEADING = """# Rewards on real pairs

`tests/benchmarks/rewards/pairs.py`; 95 % intervals by prompt, nested folds by prompt. SmolLM2 reads as many of the
2,312 pairs of hh-rlhf and of the 1,392 of auto-j as are named below, drawn by a hash, and all of LLMBar's; of each at
most 192 tokens of the prompt with its reply."""
DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "preferences"
CACHE = Path(tempfile.gettempdir()) / "palaestra-pair-vectors"


Read = Callable[[], tuple[list[Preference], list[Preference]]]
"""Reads the pairs of a collection, and with them all those that MiniLM reads."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Preferences, what both models make of their replies, and how to name them."""

    name: str
    comparisons: Comparisons
    replies: Sequence[str]
    minilm_ND: Floats
    reading_ND: Floats
    loss: Loss


def some(preferences: Sequence[Preference], count: int) -> list[Preference]:
    """So many of them, the same ones every time."""
    return sorted(preferences, key=lambda one: sha256((one.id + one.prompt[-1].text).encode()).hexdigest())[:count]


def rewards_of(sample: Sample, seed: int) -> dict[str, Floats]:
    """Rewards of all replies by each way, each made without their prompts."""
    style, _ = style_columns(sample.replies, sample.comparisons, ("length",), ())
    rich, _ = style_columns(sample.replies, sample.comparisons, ("length", "markdown"), ())
    said_NS = sample.reading_ND[:, -2:]
    beside = StyleColumns((*rich.names, "mean likelihood", "likelihood"), 0, np.hstack([rich.value_NS, said_NS]))
    states = [principal(state_ND) for state_ND in np.split(sample.reading_ND[:, :-2], 2 * len(LAYERS), axis=1)]
    nothing = StyleColumns((), 0, np.zeros((len(sample.replies), 0)))
    likelihood = Likelihood(law_for(sample.loss, sample.comparisons), sample.comparisons)

    def head(vector_ND: Floats, columns: StyleColumns) -> tuple[Floats, Floats]:
        design = designed(vector_ND, columns, sample.comparisons, sample.name)
        found = cross_fit(likelihood, design, ridge=None, folds=FOLDS, seed=seed)
        return found.whole_N, found.style_N

    minilm_N = head(sample.minilm_ND, nothing)[0]
    length_N = head(sample.minilm_ND[:, :2], style)[1]
    read_N = np.mean([head(state_ND, nothing)[0] for state_ND in states], axis=0)
    both_N = np.mean([head(state_ND, beside)[0] for state_ND in states], axis=0)
    return {
        LENGTH: length_N,
        LIKELIHOOD: said_NS[:, 0],
        MINILM: minilm_N,
        STATES: read_N,
        OURS: both_N + head(sample.minilm_ND, beside)[0],
    }


def principal(vector_ND: Floats) -> Floats:
    """Vectors in their first principal directions, found without any rank; so many heads fit in minutes."""
    centred_ND = vector_ND - vector_ND.mean(axis=0)
    _, direction_DD = np.linalg.eigh(centred_ND.T @ centred_ND)
    return centred_ND @ direction_DD[:, -DIRECTIONS:]


def shown(figure: Figure, sign: str = "") -> str:
    """A figure with its interval, in per cent."""
    value, lower, upper = (100 * (end or 0.0) for end in (figure.value, figure.lower, figure.upper))
    return f"{value:{sign}.1f} ({lower:{sign}.1f} to {upper:{sign}.1f})"


def measured(sample: Sample, seed: int) -> str:
    """A part of the page."""
    judged = Judged(sample.comparisons, 0.95)
    rewards = rewards_of(sample, seed)
    hits = {name: judged.hits(reward_N) for name, reward_N in rewards.items()}
    accuracy = {name: judged.accuracy(reward_N) for name, reward_N in rewards.items()}
    gains = {name: judged.mean(hits[OURS] - hits[name]) for name in rewards if name != OURS}
    level = len(sample.comparisons.first_B) - len(judged.won_B)
    beaten = [name for name in BASELINES if (gains[name].lower or 0) > 0]
    out = [
        f"{len(judged.won_B):,} decided pairs, {level:,} level; {sample.comparisons.clusters:,} prompts.",
        "",
        "| reward | accuracy, % | all together less this, points |",
        "|---|---|---|",
        *(
            f"| {name} | {shown(accuracy[name])} | {shown(gains[name], '+') if name in gains else ''} |"
            for name in rewards
        ),
        "",
        f"Surely beaten: {', '.join(beaten) or 'none'}. "
        + ("Goal met." if len(beaten) == len(BASELINES) else "**Goal not met.**"),
    ]
    return "\n".join(out)


def sections(text: str) -> dict[str, str]:
    """What a page has under each of its headings."""
    parts = re.split(r"^## (.*)$", text, flags=re.MULTILINE)
    return {title: part.strip() for title, part in zip(parts[1::2], parts[2::2], strict=True)}


def collections(data: Path, pairs: int, of_auto_j: int) -> dict[str, Read]:
    """The pairs of each collection that are read, and all of those that MiniLM reads."""

    def hh() -> tuple[list[Preference], list[Preference]]:
        whole = read_preferences(data / "hh-rlhf" / "harmless-base_test.jsonl.gz", skip_bad=50).preferences
        return some(whole, pairs), list(whole)

    def llmbar() -> tuple[list[Preference], list[Preference]]:
        files = sorted((data / "llmbar").glob("LLMBar*.gz"))
        found = [
            one.model_copy(update={"id": f"{file.name} {one.id}"})
            for file in files
            for one in read_preferences(file).preferences
        ]
        return found, found

    def auto_j() -> tuple[list[Preference], list[Preference]]:
        found = some(read_preferences(data / "auto-j" / "testdata_pairwise.jsonl.gz").preferences, of_auto_j)
        return found, found

    return {"hh-rlhf, harmless": hh, "LLMBar": llmbar, "auto-j": auto_j}


def samples(known: dict[str, Read], cache: Path, only: Sequence[str]) -> Iterator[Sample]:
    """The collections, read by both models."""
    reader, maker = Reading("gguf:smollm2"), featurizer("local:minilm")
    for name, read in known.items():
        if only and name.partition(",")[0] not in only:
            continue
        preferences, whole = read()
        sys.stderr.write(f"{name}: {len(preferences)} pairs are read\n")
        replies = [reply for one in preferences for reply in one.replies]
        prompts = [one.prompt for one in preferences for _ in one.replies]
        minilm = minilm_of(maker, whole, cache)
        minilm_ND = np.concatenate([minilm[one.id] for one in preferences])
        tokenizer = reader.loaded.tokenizer
        texts = [conversation_text(tokenizer, *pair) for pair in zip(prompts, replies, strict=True)]
        reading_ND = features(reader, texts, cache).astype(np.float64)
        ties = any(one.is_tie for one in preferences)
        for loss in ("bradley-terry", "rao-kupper") if ties else ("bradley-terry",):
            title = name + ", level pairs learnt from" * (loss != "bradley-terry")
            yield Sample(title, compared(preferences), replies, minilm_ND, reading_ND, loss)


def minilm_of(maker: Featurizer, preferences: Sequence[Preference], cache: Path) -> dict[str, Floats]:
    """MiniLM's vectors of the replies of each preference."""
    prompts = [one.prompt for one in preferences for _ in one.replies]
    replies = [reply for one in preferences for reply in one.replies]
    vector_ND = vectors(maker, ("reply", "product"), prompts, replies, folder=cache).astype(np.float64)
    ends = np.cumsum([len(one.replies) for one in preferences])[:-1]
    return dict(zip([one.id for one in preferences], np.split(vector_ND, ends), strict=True))


def draw(known: dict[str, str], path: Path) -> None:
    """Accuracy of each way on each collection, with intervals, as the page has them."""
    alt = altair()
    row = re.compile(r"^\| ([^|]+) \| (\S+) \((\S+) to (\S+)\) \|", re.MULTILINE)
    rows = [
        {"data": data, "reward": name, **dict(zip(("value", "lower", "upper"), map(float, ends), strict=True)),
         "coin": 50, "ours": name == OURS}
        for data, part in known.items()
        for name, *ends in row.findall(part)
    ]  # fmt: skip
    y = alt.Y("reward:N", sort=None, title=None, axis=alt.Axis(grid=False, labelLimit=260))
    base = alt.Chart().encode(y=y, color=alt.condition("datum.ours", alt.value(FIRST), alt.value(SOFT)))
    x = alt.X("lower:Q", scale=alt.Scale(zero=False), title="pairs ranked as people did, %")
    layers = alt.layer(
        alt.Chart().mark_rule(color=INK, strokeWidth=1).encode(x="coin:Q"),
        base.mark_rule(strokeWidth=1.6).encode(x=x, x2="upper:Q"),
        base.mark_point(filled=True, size=48, opacity=1).encode(x="value:Q"),
        data=alt.Data(values=rows),
    ).properties(width=420, height=alt.Step(22))
    header = alt.Header(orient="top", labelAnchor="start", title=None)
    chart = layers.facet(alt.Facet("data:N", sort=list(known), header=header), columns=1)
    save_chart(styled(chart, "Rewards on real pairs", "held-out prompts, 95 % intervals; the line is a coin"), path)


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=DATA, help="folder of hh-rlhf, llmbar and auto-j")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where vectors are kept")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--pairs", type=int, default=800, help="of hh-rlhf")
    parser.add_argument("--auto-j", type=int, default=400, help="pairs of auto-j")
    parser.add_argument("--only", nargs="*", help="hh-rlhf, LLMBar or auto-j; the others stay as the page has them")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    read = collections(given.data, given.pairs, given.auto_j)
    known = sections(given.out.read_text(encoding="utf-8")) if given.out and given.out.is_file() else {}
    for sample in samples(read, given.cache, given.only or ()):
        known[sample.name] = measured(sample, given.seed)
        sys.stderr.write(f"## {sample.name}\n\n{known[sample.name]}\n")
        if given.out:
            parts = [f"## {title}\n\n{part}" for title, part in known.items()]
            given.out.write_text("\n\n".join([HEADING, *parts]) + "\n", encoding="utf-8")
        if given.picture:
            draw(known, given.picture)


if __name__ == "__main__":
    main()
