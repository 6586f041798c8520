"""Accuracy against tokens: the figures by hand, their coverage, the page, and both commands from files to results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from tiny_llama import make_tiny_llama

from palaestra.cli import run
from palaestra.errors import InputError
from palaestra.posttrain.answering import Answered, read_answers, write_answers
from palaestra.posttrain.examples import Example, write_examples
from palaestra.posttrain.frontier import area, best_of, frontier
from palaestra.posttrain.frontier_page import cells, curve_charts, write_run_page


def _answered(right: list[float], tokens: list[int], domains: tuple[str, ...] = ("a",)) -> tuple[Answered, ...]:
    return tuple(
        Answered(str(n), domains[n % len(domains)], is_right, count, "said")
        for n, (is_right, count) in enumerate(zip(right, tokens, strict=True))
    )


def test_the_figures_by_hand() -> None:
    long = _answered([1, 1, 1, 0], [10, 20, 30, 40])
    short = _answered([1, 1, 0, 0], [5, 5, 10, 5])
    worse = _answered([1, 0, 0, 0], [30, 30, 30, 30])
    found = frontier({"long": long, "short": short, "worse": worse})
    first, second, third = found.points
    assert [point.accuracy.value for point in found.points] == [0.75, 0.5, 0.25]
    assert [point.tokens.value for point in found.points] == [25, 6.25, 30]
    assert first.tokens_per_right.value == pytest.approx(100 / 3)
    assert (first.fewer.value, second.fewer.value) == (1.0, 4.0)
    assert second.accuracy_gain.value == -0.25
    assert [point.on_frontier for point in found.points] == [True, True, False]
    assert found.area.value == pytest.approx((6.25 * 0 + 18.75 * 0.5 + 5 * 0.75) / 30)
    assert third.tokens_per_right.lower is None  # one prompt alone stands behind it
    none = frontier({"none": _answered([0, 0], [3, 4])}).points[0]
    assert none.tokens_per_right.value is None
    assert cells(none)[3] == "none"


def test_domains_have_their_points_and_other_prompts_are_refused() -> None:
    rows = _answered([1, 0, 1, 0], [1, 2, 3, 4], ("a", "b"))
    found = frontier({"x": rows, "y": rows})
    assert {name: points[0].accuracy.value for name, points in found.domains.items()} == {"a": 1.0, "b": 0.0}
    assert found.points[1].accuracy_gain.value == found.points[1].accuracy_gain.lower == 0.0
    with pytest.raises(InputError, match="expected the same ones"):
        frontier({"x": rows, "y": rows[:3]})
    with pytest.raises(InputError, match="found a model without answers"):
        frontier({})


POINTS = some.lists(some.tuples(some.floats(0, 1), some.floats(1, 100)), min_size=1, max_size=6)


@given(points=POINTS)
def test_the_area_is_that_of_the_frontier_and_grows_with_every_model(points: list[tuple[float, float]]) -> None:
    accuracy_M, tokens_M = (np.array(column) for column in zip(*points, strict=True))
    on_M = best_of(accuracy_M, tokens_M)
    assert on_M.any()
    for m in np.flatnonzero(~on_M):
        assert any(accuracy_M[k] >= accuracy_M[m] and tokens_M[k] <= tokens_M[m] for k in range(len(points)) if k != m)
    whole = area(accuracy_M, tokens_M, 100)
    assert whole == pytest.approx(area(accuracy_M[on_M], tokens_M[on_M], 100))
    assert whole >= area(accuracy_M[:1], tokens_M[:1], 100) - 1e-12
    grid = np.linspace(0, 100, 20_001)[1:]
    steps = [max([a for a, t in points if t < budget], default=0.0) for budget in grid[::10]]
    assert whole == pytest.approx(float(np.mean(steps)), abs=0.01)


def test_intervals_cover() -> None:
    """150 worlds, prompts of differing hardness, two models: the gain and the ratio lie inside 95 of 100 times."""
    inside = np.zeros(4)
    worlds = 150
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        hard = rng.random(120)
        ask = [(rng.random(120) < 0.9 - 0.5 * hard, rng.poisson(20 + 40 * hard) + 1) for _ in range(2)]
        models = {
            str(n): _answered(list(right.astype(float)), list(map(int, count))) for n, (right, count) in enumerate(ask)
        }
        point = frontier(models, seed=seed).points[1]
        truth = (0.65, 41.0, 0.0, 1.0)
        for place, (figure, value) in enumerate(
            zip((point.accuracy, point.tokens, point.accuracy_gain, point.fewer), truth, strict=True)
        ):
            assert figure.lower is not None
            assert figure.upper is not None
            inside[place] += figure.lower <= value <= figure.upper
    assert (inside / worlds >= 0.9).all(), inside / worlds


def test_answers_are_written_and_read_again(tmp_path: Path) -> None:
    rows = _answered([1, 0], [3, 4])
    write_answers(tmp_path / "a.jsonl", rows)
    assert read_answers(tmp_path / "a.jsonl") == rows
    (tmp_path / "b.jsonl").write_text('{"id": "x"}\n')
    with pytest.raises(InputError, match="expected id, right and tokens"):
        read_answers(tmp_path / "b.jsonl")


def test_a_page_has_the_picture_and_the_curves(tmp_path: Path) -> None:
    found = frontier({"before": _answered([1, 0, 1], [9, 9, 9]), "after <b>": _answered([1, 1, 1], [5, 6, 7])})
    metrics = [{"step": step, "domain": "all", "reward": step / 9, "tokens": 9.0 - step} for step in (0, 1, 1, 2)]
    assert len(curve_charts(metrics)) == 2
    write_run_page(tmp_path / "page.html", "A run", found, metrics, ["the reward is being fooled"])
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 3
    assert "after &lt;b&gt;" in page
    assert "being fooled" in page
    assert "<b>" not in page


def _examples(folder: Path) -> str:
    path = folder / "examples.jsonl"
    write_examples(
        path, [Example.of(f"say {n}", reference=str(n % 3), domain=("x", "y")[n % 2]) for n in range(20)]
    )  # fmt: skip
    return str(path)


def test_both_commands_from_files_to_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = str(make_tiny_llama(tmp_path / "llama"))
    examples, out = _examples(tmp_path), tmp_path / "run"
    words = [
        "train", "rl", tiny, examples, "--out", str(out), "--reward", "rule:regex:[a-z]", "--reward", "rule:exact:0.5",
        "--judge", "rule:json", "--steps", "3", "--prompts", "2", "--group", "4", "--max-tokens", "5",
        "--learning-rate", "1e-3", "--length-penalty", "group", "--held-out", "0.3", "--trl", "max_grad_norm=0.5",
    ]  # fmt: skip
    assert run([*words, "--json", "-"]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert said["schema"] == "palaestra.train-rl/1"
    assert said["steps"] == said["rollouts"] == 3
    assert said["last"].keys() >= {"reward", "reward_rule:regex:[a-z]", "reward_rule:exact", "judge", "tokens"}
    assert [point["name"] for point in said["frontier"]["points"]] == ["before", "after"]
    assert said["frontier"]["prompts"] == 6
    for name in ("run.json", "metrics.jsonl", "samples.jsonl", "card.md", "page.html", "model/config.json"):
        assert (out / name).is_file(), name
    assert "On held-out prompts" in (out / "card.md").read_text()
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert {line["domain"] for line in lines if "domain" in line} == {"all", "x", "y"}
    assert run(words) == 2
    assert "give --resume" in capsys.readouterr().err
    assert run([*words, "--resume"]) == 0
    capsys.readouterr()

    asked = ["train", "frontier", tiny, f"taught={out}", "--examples", examples, "--reward", "rule:exact"]
    more = ["--max-tokens", "5", "--json", str(tmp_path / "f.json"), "--html", str(tmp_path / "f.html")]
    assert run([*asked, *more]) == 0
    found = json.loads((tmp_path / "f.json").read_text())
    assert [point["name"] for point in found["points"]] == ["llama", "taught"]
    assert "<svg" in (tmp_path / "f.html").read_text()
    assert run([*asked, "--max-tokens", "5"]) == 0
    assert "area under the frontier" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--reward", "rule:nice"], "expected one of"),
        (["--reward", "rule:length", "--steps", "0"], "--steps: found 0"),
        (["--reward", "rule:length", "--trl", "use_vllm"], "expected name=value"),
        (["--reward", "rule:length", "--held-out", "1"], "expected a share"),
        (["--reward", "rule:length", "--length-penalty", "budget"], "without a budget"),
        (["--reward", "rule:length", "--html", "page.txt"], "ends in .html"),
    ],
)
def test_bad_input_leaves_no_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    code = run(["train", "rl", str(tmp_path / "m"), _examples(tmp_path), "--out", str(tmp_path / "run"), *more])
    assert code == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run" / "model").exists()
