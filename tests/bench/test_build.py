"""A benchmark from a simulated crowd, end to end: what is in it, what the folder says, what is wrong said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from crowds import HARD, TOPICS, Judge, crowd, embeddings_endpoint

from palaestra.bench.account import read_account
from palaestra.bench.build import BenchConfig, Built, build
from palaestra.bench.folder import write_bench
from palaestra.cli import run
from palaestra.errors import InputError
from palaestra.schema import ModelSpec, Prompt
from palaestra.store.prompts import read_prompt_set

PROMPTS, NAMES = crowd(420, seed=1)
TOPIC = {prompt.text: name for prompt, name in zip(PROMPTS, NAMES, strict=True)}
CONFIG = BenchConfig(size=24, per_topic=4, embedder="words", topic_size=20, near=0.97, seed=5)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with embeddings_endpoint() as found:
        yield found


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pool") / "crowd.jsonl"
    return written(path, PROMPTS)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def written(path: Path, prompts: list[Prompt]) -> Path:
    rows = [{"id": one.id, "prompt": one.text, "language": "en"} for one in prompts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def built(pool: Path, work: Path, url: str, judge: Judge | None = None, **more) -> Built:  # noqa: ANN003 - of the config and of build
    settings = {key: more.pop(key) for key in list(more) if key in BenchConfig.model_fields}
    config = BenchConfig(**(CONFIG.model_dump() | settings))
    specs = [ModelSpec(name="words", endpoint=url)]
    ask = None if "scorer" in more else judge or Judge()
    return build([pool], config, name="crowd", work_folder=work, ask=ask, specs=specs, **more)


def test_the_set_is_hard_even_and_has_its_own_topics(pool: Path, work: Path, url: str) -> None:
    found = built(pool, work, url)
    topics = {prompt.topic for prompt in found.prompts}
    assert len(found.prompts) == 24
    of_topic = {topic: [TOPIC[one.text] for one in found.prompts if one.topic == topic] for topic in topics}
    assert all(len(set(names)) == 1 for names in of_topic.values())
    assert sorted({names[0] for names in of_topic.values()} & set(HARD)) == sorted(HARD)
    assert all(one.score == 7 and "prove" in one.text for one in found.prompts)
    assert all(all(one.criteria.values()) for one in found.prompts)
    lines = found.account.topics
    assert sum(line.chosen for line in lines) == 24
    assert sum(line.found for line in lines) + found.account.outliers == found.account.prompts_of_map


def test_no_prompt_goes_without_an_account(pool: Path, work: Path, url: str) -> None:
    found = built(pool, work, url)
    gone = {one.id for one in found.dropped}
    kept = {prompt.id for prompt in found.prompts}
    assert not gone & kept
    assert gone | kept == {prompt.id for prompt in PROMPTS}
    assert len(found.dropped) == len(gone)
    before = len(PROMPTS)
    for step in found.account.steps:
        assert before - step.prompts == sum(step.dropped.values())
        before = step.prompts


def test_topics_stay_with_their_prompts_when_most_prompts_are_filtered_out(pool: Path, work: Path, url: str) -> None:
    """The reference program filters its prompts and not its clusters, and exports prompts under others' topics."""
    everything = built(pool, work, url, size=1000, first_score=0, first_mean=0, score=0, mean=0, name_by="words")
    topic = {prompt.id: prompt.topic for prompt in everything.prompts}
    few = built(pool, work, url, size=7, name_by="words")
    assert len(few.prompts) == 7
    assert {prompt.id: prompt.topic for prompt in few.prompts} == {
        prompt.id: topic[prompt.id] for prompt in few.prompts
    }
    for prompt in few.prompts:
        assert set(str(prompt.topic).split()) & set(TOPICS[TOPIC[prompt.text]].split())


def test_the_order_of_the_rows_changes_nothing(pool: Path, work: Path, url: str, tmp_path: Path) -> None:
    shuffled = [PROMPTS[place] for place in np.random.default_rng(3).permutation(len(PROMPTS)).tolist()]
    other = built(written(tmp_path / "crowd.jsonl", shuffled), tmp_path / "work", url)
    assert other.prompts == built(pool, work, url).prompts


def test_a_scorer_learns_the_judge_and_can_be_given_again(pool: Path, work: Path, url: str, tmp_path: Path) -> None:
    judge = Judge()
    found = built(pool, work, url, judge, label=200, name_by="words")
    assert len(judge.keys) == 200
    assert found.scorer is not None
    assert found.scorer.validation is not None
    assert found.scorer.validation.pearson.value > 0.9  # ty: ignore[unsupported-operator]
    assert found.account.labels is not None
    assert found.account.labels.read == 200
    assert found.account.labels.cost == 100.0
    assert all("prove" in prompt.text for prompt in found.prompts)
    write_bench(tmp_path / "set", found, CONFIG)
    again = built(pool, work, url, scorer=tmp_path / "set" / "scorer.json", name_by="words")
    assert again.prompts == found.prompts
    assert not again.labels


def test_what_stands_elsewhere_is_left_out_and_listed(pool: Path, work: Path, url: str, tmp_path: Path) -> None:
    chosen = built(pool, work, url).prompts
    others = [one.model_copy(update={"id": f"q{n}"}) for n, one in enumerate(chosen[:5])]
    found = built(pool, work, url, against=[written(tmp_path / "known.jsonl", others)], overlap=0.9, similarity=0.9999)
    flagged = {one.id: one.like for one in found.dropped if one.step == "contamination"}
    assert {one.id: f"known.jsonl: q{n}" for n, one in enumerate(chosen[:5])}.items() <= flagged.items()
    assert not {prompt.id for prompt in found.prompts} & set(flagged)
    assert [one.path for one in found.account.against] == ["known.jsonl"]
    (tmp_path / "more").mkdir()
    two = [
        tmp_path / "known.jsonl",
        written(tmp_path / "more" / "known.jsonl", [Prompt(id="q0", turns=("Elsewhere, nothing.",))]),
    ]
    again = built(pool, work, url, against=two, overlap=0.9, similarity=0.9999)  # the same name and id, another prompt
    assert {one.id for one in again.dropped if one.step == "contamination"} == set(flagged)


def test_the_folder_is_whole_and_says_the_same_everywhere(pool: Path, work: Path, url: str, tmp_path: Path) -> None:
    pytest.importorskip("altair")
    found = built(pool, work, url, license="cc-by-4.0")
    (tmp_path / ".set.part").mkdir()
    (tmp_path / ".set.part" / "labels.parquet").write_text("of a run that was killed")
    (tmp_path / ".set.part" / "junk").write_text("of a run that was killed")
    write_bench(tmp_path / "set", found, BenchConfig(license="cc-by-4.0"))
    files = {
        "prompts.parquet",
        "promptset.json",
        "card.md",
        "build.json",
        "dropped.parquet",
        "labels.parquet",
        "page.html",
    }
    assert {path.name for path in (tmp_path / "set").iterdir()} == files
    record, prompts = read_prompt_set(tmp_path / "set")
    assert prompts == found.prompts
    assert (record.prompts, record.topics, record.license) == (24, len({one.topic for one in prompts}), "cc-by-4.0")
    assert read_account(tmp_path / "set") == found.account
    labels = pq.read_table(tmp_path / "set" / "labels.parquet").to_pylist()
    assert {row["answer"] for row in labels} == {"[1]", "[1, 2, 3, 4, 5, 6, 7]"}
    card = (tmp_path / "set" / "card.md").read_text()
    head = card.split("---\n")[1]
    assert 'license: "cc-by-4.0"' in head
    assert "- en\n" in head
    assert "- n<1K" in head
    assert all(step.step in card for step in found.account.steps)
    page = (tmp_path / "set" / "page.html").read_text()
    assert page.count("<svg") == 4
    assert "<script" not in page
    with pytest.raises(InputError, match="which exists"):
        write_bench(tmp_path / "set", found, BenchConfig())


def test_hostile_prompts_do_not_break_out_of_the_page(pool: Path, work: Path, url: str, tmp_path: Path) -> None:
    pytest.importorskip("altair")
    found = built(pool, work, url)
    evil = "<script>alert(1)</script> | --- \n`</blockquote>`"
    prompts = [one.model_copy(update={"turns": (evil,), "id": evil}) for one in found.prompts]
    write_bench(tmp_path / "set", Built(prompts, found.account, [], [], None), BenchConfig())
    assert "<script" not in (tmp_path / "set" / "page.html").read_text()
    assert "<script" not in (tmp_path / "set" / "card.md").read_text()


def test_sources_of_the_same_ids_are_told_apart(work: Path, url: str, tmp_path: Path) -> None:
    a, b = written(tmp_path / "a.jsonl", PROMPTS[:200]), written(tmp_path / "b.jsonl", crowd(200, seed=9)[0])
    specs = [ModelSpec(name="words", endpoint=url)]
    found = build([a, b], CONFIG, name="two", work_folder=tmp_path / "w", ask=Judge(), specs=specs)
    assert {prompt.id.partition("/")[0] for prompt in found.prompts} == {"a", "b"}
    (tmp_path / "other").mkdir()
    twin = written(tmp_path / "other" / "a.jsonl", PROMPTS[:5])
    with pytest.raises(InputError, match="two sources of the same name"):
        build([a, twin], CONFIG, name="two", work_folder=tmp_path / "w", ask=Judge(), specs=specs)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"score": 8.0}, "found no prompt that passes the thresholds .* the best prompt has 7.00 of 420"),
        ({"shortest": 9000}, "found no prompt left of 420 after cleaning, the first went as: shorter than 9000"),
        ({"languages": ("de",)}, "found no prompt left of 420 after cleaning, the first went as: another language"),
        ({"topic_size": 300}, "found 420 prompts to find topics in, expected at least 600"),
        ({"embedder": "nobody"}, "found the embedder 'nobody'"),
        ({"label": 20}, "found 20 labels that can be read, expected at least 80"),
    ],
)
def test_what_cannot_be_built_is_said(pool: Path, work: Path, url: str, more: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        built(pool, work, url, **more)


def test_a_judge_or_a_scorer_is_needed_and_not_both_ways(pool: Path, work: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found neither a judge nor a scorer"):
        build([pool], CONFIG, name="x", work_folder=work)
    with pytest.raises(InputError, match="found both --label and --scorer"):
        build([pool], BenchConfig(label=100), name="x", work_folder=work, scorer=tmp_path / "s.json")


def models_file(folder: Path, url: str) -> Path:
    (path := folder / "models.toml").write_text(
        f'[[model]]\nname = "words"\nendpoint = "{url}"\n\n[[model]]\nname = "rule"\nendpoint = "scripted:criteria"\n'
        '\n[[model]]\nname = "mute"\nendpoint = "scripted:empty"\n'
    )
    return path


def test_the_commands(pool: Path, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("altair")
    out, models = str(tmp_path / "set"), str(models_file(tmp_path, url))
    asked = ["bench", "build", str(pool), "--out", out, "--models", models, "--judge", "rule", "--embedder", "words"]
    asked += [
        "--label",
        "150",
        "--size",
        "12",
        "--score",
        "3",
        "--mean",
        "3",
        "--first-score",
        "3",
        "--first-mean",
        "1",
        "--topic-size",
        "20",
        "--near",
        "0.97",
    ]
    asked += ["--html", str(tmp_path / "page.html"), "--json", "-"]
    assert run(asked) == 0
    said = capsys.readouterr()
    data = json.loads(said.out)
    assert list(data) == ["set", "build"]
    assert (data["set"]["schema"], data["build"]["schema"]) == ("palaestra.promptset/1", "palaestra.bench/1")
    assert data["build"]["labels"] == {
        "judge": "rule", "asked": 150, "read": 150, "unreadable": 0, "failed": 0, "cost": 0.0,
    }  # fmt: skip
    assert "warning: the licence of the prompts is not known" in said.err
    assert (tmp_path / "page.html").read_text() == (tmp_path / "set" / "page.html").read_text()
    assert run(["bench", "show", out, "--html", str(tmp_path / "again.html")]) == 0
    said = capsys.readouterr()
    assert "in the set" in said.out
    assert "prompts left after each step: read 420" in said.out.replace("\n", " ")
    assert (tmp_path / "again.html").read_text() == (tmp_path / "page.html").read_text()
    assert run(asked) == 2
    assert "which exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--judge", "nobody"], "found no model 'nobody'; expected one of words, rule, mute"),
        (["--judge", "mute"], "the judge mute answered none of 256 questions, the first with: an empty answer"),
        (["--judge", "rule", "--against", "nowhere.jsonl"], "no file nowhere.jsonl"),
        (["--scorer", "nowhere.json"], "cannot read the scorer nowhere.json"),
        (["--judge", "rule", "--html", "page.pdf"], "expected a path that ends in .html"),
        (["--judge", "rule", "--near", "7"], "near"),
        ([], "found neither a judge nor a scorer"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    *, pool: Path, url: str, tmp_path: Path, more: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, models = tmp_path / "set", models_file(tmp_path, url)
    fixed = ["--models", str(models), "--embedder", "words", "--topic-size", "20", "--name-by", "words"]
    fixed = fixed if "--judge" in more else fixed[:-2]
    assert run(["bench", "build", str(pool), "--out", str(out), *fixed, *more]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""
    assert not out.exists()


def test_a_folder_that_is_no_benchmark_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "show", str(tmp_path)]) == 2
    assert "cannot read the set of prompts" in capsys.readouterr().err
