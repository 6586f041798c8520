"""`palaestra p2l route`, with boards whose strengths are known in the place of a trained model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from router_worlds import KnownBoards, specs

from palaestra.cli import run
from palaestra.p2l import router

MODELS = "".join(
    f'[[model]]\nname = "{spec.name}"\nendpoint = "scripted:echo"\noutput_price = {spec.output_price}\n'
    f"input_price = {spec.input_price}\nmax_tokens = 100\n"
    for spec in specs()
)
OUTCOMES = "prompt,cheap_correct,middle_correct,dear_correct\n" + "".join(
    f"{kind} {number},{kind == 'poem'},{kind == 'fact'},{kind != 'poem'}\n"
    for number in range(8)
    for kind in ("poem", "code", "fact")
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(router, "load_prompt_boards", lambda *_: KnownBoards())
    (tmp_path / "models.toml").write_text(MODELS)
    (tmp_path / "outcomes.csv").write_text(OUTCOMES)
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "poem on sand"}\n{"prompt": "code a sort"}\n')
    return tmp_path


def test_decisions_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["p2l", "route", "head", "prompts.jsonl", "--budget", "0.05", "--json", "-"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert [next(iter(row["chances"])) for row in found["prompts"]] == ["cheap", "middle"]
    assert found["prompts"][1]["expected_cost"] <= 0.05
    assert "counts with its max_tokens" in said.err
    assert found["realised_quality"] is None


def test_a_total_is_kept_and_its_price_told(capsys: pytest.CaptureFixture[str]) -> None:
    for more in ([], ["--whole"]):
        assert run(["p2l", "route", "head", "prompts.jsonl", "--total", "0.1", *more, "--json", "-"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["expected_cost"] <= 0.1
        assert found["price"] > 0
    assert all(len(row["chances"]) == 1 for row in found["prompts"])


def test_outcomes_say_what_came_out_and_a_page_shows_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(
        ["p2l", "route", "head", "outcomes.csv", "--outcomes", "--total", "3", "--html", "page.html", "--json", "-"]
    )
    assert done == 0
    found = json.loads(capsys.readouterr().out)
    assert found["realised_quality"] > 0.6
    assert found["curve"]["gain"]["value"] > 0.1
    page = (folder / "page.html").read_text()
    assert "What came out, by cost" in page
    assert "<svg" in page


def test_a_table_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["p2l", "route", "head", "prompts.jsonl"]) == 0
    assert "is the best on this prompt" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--budget", "1", "--total", "1"], "found --total beside --budget"),
        (["--budget", "1", "--price", "1"], "found a budget and a price"),
        (["--budget", "0.0001"], "the cheapest model costs"),
        (["--total", "0.0001"], "with the cheapest model on each they cost"),
        (["--only", "nobody"], "found --only 'nobody'"),
        (["--models", "two.toml"], "found no endpoint of 'dear' in two.toml"),
    ],
)
def test_what_cannot_be_routed_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], flags: list[str], words: str
) -> None:
    (folder / "two.toml").write_text(MODELS[: MODELS.rindex("[[model]]")])
    assert run(["p2l", "route", "head", "prompts.jsonl", *flags]) == 2
    assert words in capsys.readouterr().err


def test_only_leaves_out_what_has_no_endpoint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "two.toml").write_text(MODELS[: MODELS.rindex("[[model]]")])
    flags = ["--models", "two.toml", "--only", "cheap", "--only", "middle", "--json", "-"]
    assert run(["p2l", "route", "head", "prompts.jsonl", *flags]) == 0
    assert "dear" not in json.loads(capsys.readouterr().out)["prompts"][1]["chances"]


def test_opponents_that_the_boards_do_not_know_are_told_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "met.csv").write_text("model_a,model_b,winner\ncheap,dear,model_a\ncheap,other,tie\n")
    assert run(["p2l", "route", "head", "prompts.jsonl", "--opponents", "met.csv", "--json", "-"]) == 0
    assert "25% of the opponents in met.csv are models that the boards do not know, and are left out: other" in (
        " ".join(capsys.readouterr().err.split())
    )


def test_a_purse_needs_both_of_its_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["p2l", "serve", "head", "--total", "1", "--port", "0"]) == 2
    assert "found one of --purse and --total" in capsys.readouterr().err


def test_where_the_cheapest_is_the_best_there_are_decisions_and_no_curve(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "poems.jsonl").write_text('{"prompt": "poem on sand"}\n{"prompt": "poem on rain"}\n')
    assert run(["p2l", "route", "head", "poems.jsonl", "--budget", "1", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["chances"] for row in found["prompts"]] == [{"cheap": 1.0}] * 2
    assert found["curve"] is None
