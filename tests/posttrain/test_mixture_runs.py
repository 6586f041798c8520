"""Small runs: each in its own process, resumed after kill -9, failures as records; a small model; the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mixture_worlds import PlantedTrial, plan_of

from palaestra.cli import run
from palaestra.errors import InputError
from palaestra.posttrain.mixture.experiment import MixtureConfig, run_mixture
from palaestra.posttrain.mixture.page import write_mixture_page
from palaestra.posttrain.mixture.report import card, told
from palaestra.posttrain.mixture.small_run import SmallRun, batches
from palaestra.posttrain.mixture.trials import TRIALS_FILE, Ended, Journal, Outcome, make_runs, tried
from palaestra.posttrain.tokens import Tokens

NAMES = ("d0", "d1", "d2")
CONFIG = MixtureConfig(budget_tokens=150_000, runs=12, confirm=3, rounds=50)


def journal_of(folder: Path, trial: PlantedTrial, config: MixtureConfig = CONFIG) -> Journal:
    """All runs of a design ended already, as their lines."""
    journal = Journal(folder)
    for one in config.design(NAMES).runs:
        journal.write(Ended(one, tried(trial, one)))
    return journal


def test_the_whole_experiment_in_processes(tmp_path: Path) -> None:
    """What is foretold of the best is what its runs then measure, to within the noise; nothing is run twice."""
    asked = tmp_path / "asked"
    trial = PlantedTrial(str(asked))
    found = run_mixture(trial, NAMES, CONFIG, tmp_path, workers=2)
    seen = found.checks
    assert len(asked.read_text().splitlines()) == 15
    assert found.laws[0].name == "exponential"
    assert seen.spearman.value > 0.8  # of twelve runs, each foretold by the others
    assert seen.best_error is not None
    assert seen.best_measured is not None
    assert abs(seen.best_error) < 4 * seen.noise
    assert found.best.target.lower < seen.best_measured.value < found.best.target.upper
    assert found.effects.value_DS.diagonal().min() > 0
    measured_DS = found.effects.measured_DS
    np.testing.assert_allclose(measured_DS, found.effects.value_DS, atol=0.25)
    again = run_mixture(trial, NAMES, CONFIG, tmp_path, workers=2)
    assert len(asked.read_text().splitlines()) == 15
    assert json.dumps(told(again)) == json.dumps(told(found))
    text = card(found, "planted")
    assert "better than all domains alike" in text
    write_mixture_page(tmp_path / "page.html", "planted", found)
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 3
    assert "d2" in page


@pytest.mark.parametrize(
    ("how", "reason"),
    [("raise", "ValueError: the disk is full"), ("kill", "ended by signal 9"), ("nan", "no finite number for d0")],
)
def test_a_trial_that_fails_is_a_record(how: str, reason: str, tmp_path: Path) -> None:
    trial = PlantedTrial(str(tmp_path / "asked"), fails="d1", how=how)
    runs = [one for one in plan_of(3, 12).runs if one.kind in {"alone", "centre"}]
    ended = make_runs(runs, trial, Journal(tmp_path), workers=2)
    bad = [one for one in ended if one.outcome.scores is None]
    assert [one.run.id for one in bad] == ["alone-d1"]
    assert reason in (bad[0].outcome.error or "")
    assert len(ended) == 6


def test_an_experiment_goes_on_without_what_failed_and_says_so(tmp_path: Path) -> None:
    trial = PlantedTrial(str(tmp_path / "asked"), fails="d1")
    config = CONFIG.model_copy(update={"confirm": 0})
    journal_of(tmp_path, trial, config)
    found = run_mixture(trial, NAMES, config, tmp_path)
    assert [one.run.id for one in found.failed] == ["alone-d1"]
    assert len(found.runs.tokens_R) == 11
    assert "alone-d1 failed: ValueError: the disk is full" in card(found, "x")
    assert told(found)["checks"]["best_measured"] is None


def test_where_every_run_fails_the_reason_is_given(tmp_path: Path) -> None:
    trial = PlantedTrial(str(tmp_path / "asked"), fails="all")
    with pytest.raises(InputError, match="none of 12 small runs; the first: ValueError: the disk is full"):
        run_mixture(trial, NAMES, CONFIG, tmp_path, workers=2)


def test_what_failed_before_is_made_once_more(tmp_path: Path) -> None:
    """A disk that was full, a machine that had no memory: the next call may fare better."""
    first, second = CONFIG.design(NAMES).runs[:2]
    journal = Journal(tmp_path)
    journal.write(Ended(first, Outcome(error="OutOfMemory: no room")))
    journal.write(Ended(second, tried(PlantedTrial(str(tmp_path / "before")), second)))
    ended = make_runs([first, second], PlantedTrial(str(tmp_path / "asked")), Journal(tmp_path))
    assert all(one.outcome.scores for one in ended)
    assert len((tmp_path / "asked").read_text().splitlines()) == 1
    assert len(Journal(tmp_path).ended) == 2


def test_scores_of_other_domains_are_a_failure(tmp_path: Path) -> None:
    """The runs could not be one table."""
    first, second = CONFIG.design(NAMES).runs[:2]
    journal = Journal(tmp_path)
    journal.write(Ended(first, Outcome({"x": 1.0})))
    ended = make_runs([first, second], PlantedTrial(str(tmp_path / "asked")), journal)
    assert ended[1].outcome.error == "found scores of d0, d1, d2; expected x"


def test_a_line_that_was_cut_is_made_again_and_another_plan_is_refused(tmp_path: Path) -> None:
    trial = PlantedTrial(str(tmp_path / "asked"))
    journal_of(tmp_path, trial)
    lines = (tmp_path / TRIALS_FILE).read_bytes()
    (tmp_path / TRIALS_FILE).write_bytes(lines[:-20])
    assert len(Journal(tmp_path).ended) == 11
    assert (tmp_path / TRIALS_FILE).read_bytes().endswith(b"\n")
    other = CONFIG.model_copy(update={"budget_tokens": 300_000})
    with pytest.raises(InputError, match="of another plan"):
        run_mixture(trial, NAMES, other, tmp_path)
    (tmp_path / TRIALS_FILE).write_text("{}\n")
    with pytest.raises(InputError, match="line 1 is no ended trial"):
        Journal(tmp_path)


def test_a_trial_that_no_process_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot send the trial"):
        make_runs(plan_of(3, 12).runs[:1], lambda weights, tokens, seed: {}, Journal(tmp_path))  # noqa: ARG005


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from mixture_worlds import PlantedTrial
from palaestra.posttrain.mixture.experiment import MixtureConfig, run_mixture
if __name__ == "__main__":
    run_mixture(PlantedTrial({asked!r}, seconds=0.3), ("d0", "d1", "d2"),
        MixtureConfig(budget_tokens=150_000, runs=12, confirm=3, rounds=50), Path({folder!r}), workers=2)
"""


def test_killed_and_resumed_the_result_is_the_same_and_no_ended_trial_is_run_twice(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    script = tmp_path / "story.py"
    script.write_text(KILLED.format(tests=str(Path(__file__).parent), asked=str(asked), folder=str(tmp_path)))
    story = subprocess.Popen([sys.executable, str(script)], env=dict(os.environ), cwd=tmp_path)
    lines = tmp_path / TRIALS_FILE
    until = time.monotonic() + 120
    while time.monotonic() < until and (not lines.is_file() or lines.read_bytes().count(b"\n") < 4):
        time.sleep(0.02)
    story.send_signal(signal.SIGKILL)
    story.wait()
    ended = {json.loads(line)["seed"] for line in lines.read_text().splitlines()}
    assert 4 <= len(ended) < 12
    time.sleep(1.5)  # what was in flight would have written by now if it lived on
    before = Counter(asked.read_text().split())
    found = run_mixture(PlantedTrial(str(asked)), NAMES, CONFIG, tmp_path, workers=2)
    after = Counter(asked.read_text().split())
    assert {seed for seed, times in after.items() if times > before[seed]} == {
        str(seed) for seed in set(range(15)) - ended
    }
    (tmp_path / "whole").mkdir()
    whole = run_mixture(PlantedTrial(str(asked)), NAMES, CONFIG, tmp_path / "whole", workers=3)
    assert json.dumps(told(found)) == json.dumps(told(whole))


def test_weights_are_shares_of_tokens() -> None:
    domains = ["short"] * 40 + ["long"] * 40
    sizes = [5] * 40 + [20] * 40
    rows = [
        Tokens(str(number), domain, (0,) * size, (False,) + (True,) * (size - 1))
        for number, (domain, size) in enumerate(zip(domains, sizes, strict=True))
    ]
    weights = {"short": 0.25, "long": 0.75}
    steps = batches(rows, weights, 20_000, batch=8, seed=0)
    used = Counter()
    for number in [number for step in steps for number in step]:
        used[domains[number]] += len(rows[number].tokens)
    total = sum(used.values())
    assert 20_000 <= total <= 20_000 + 8 * 20
    assert used["long"] / total == pytest.approx(0.75, abs=0.01)
    alone = batches(rows, {"short": 0.0, "long": 1.0}, 400, batch=4, seed=0)
    assert {domains[number] for step in alone for number in step} == {"long"}
    with pytest.raises(InputError, match="no example of other"):
        batches(rows, {"other": 1.0}, 100, batch=4, seed=0)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, and two domains: copies of a letter, and of a digit."""
    from small_language_model import small_model

    folder = tmp_path_factory.mktemp("world")
    small_model(folder / "model")
    chance = np.random.default_rng(0)
    for name, count in (("train", 60), ("held", 12)):
        with (folder / f"{name}.jsonl").open("w") as file:
            for domain, characters in (("letters", "abcd"), ("digits", "1234")):
                for number in range(count):
                    text = "".join(chance.choice(list(characters), 4))
                    row = {"id": f"{domain}{number}", "prompt": text, "completion": text, "domain": domain}
                    file.write(json.dumps(row) + "\n")
    return folder


def test_a_small_run_learns_what_it_is_given(world: Path) -> None:
    """The same seed, the same losses; the domain that it saw is learnt better; a hand-made loss agrees."""
    import torch

    from palaestra.learn.language_model import load_trainable
    from palaestra.posttrain.examples import read_examples
    from palaestra.posttrain.sft_trainer import domain_losses
    from palaestra.posttrain.tokens import tokenized

    trial = SmallRun(str(world / "model"), str(world / "train.jsonl"), str(world / "held.jsonl"), 8, 1e-2, 64)
    seen = trial({"letters": 1.0, "digits": 0.0}, 3000, 0)
    assert seen == trial({"letters": 1.0, "digits": 0.0}, 3000, 0)
    other = trial({"letters": 0.0, "digits": 1.0}, 3000, 0)
    assert seen["letters"] < other["letters"] - 0.5
    assert other["digits"] < seen["digits"] - 0.5
    model, tokenizer = load_trainable(str(world / "model"))
    held = read_examples(world / "held.jsonl").examples
    rows = tokenized(tokenizer, held, max_tokens=64).rows
    found = domain_losses(model, rows, tokenizer.pad_token_id)
    total, count = 0.0, 0
    for example in held:
        if example.domain == "letters":
            ids = tokenizer(f"{example.prompt[0].text}>{example.reply}<end>", add_special_tokens=False)["input_ids"]
            with torch.inference_mode():
                log_TV = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
            start = len(example.prompt[0].text) + 1
            total -= sum(float(log_TV[place - 1, ids[place]]) for place in range(start, len(ids)))
            count += len(ids) - start
    assert found["letters"].value == pytest.approx(total / count, abs=1e-5)


def test_the_command(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs, is asked again, and gives the same; files that are written, flags that are refused."""
    words = [
        "train", "mixture", str(world / "model"), str(world / "train.jsonl"), "--validate", str(world / "held.jsonl"),
        "--budget-tokens", "8e3", "--runs", "5", "--centre", "2", "--confirm", "0", "--learning-rate", "1e-2",
        "--workers", "2", "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    assert run([*words, "--html", str(tmp_path / "page.html"), "--json", "-"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == "palaestra.mixture/1"
    assert said["runs"]["scored"] == 5
    assert sum(one["value"] for one in said["best"]["weights"].values()) == pytest.approx(1)
    assert {each["left_out"] for each in said["effects"]} == {"digits", "letters"}
    kept = json.loads((tmp_path / "out" / "mixture.json").read_text())
    assert kept == {name: value for name, value in said.items() if name != "folder"}
    assert json.loads((tmp_path / "out" / "run.json").read_text())["state"] == "done"
    assert "<svg" in (tmp_path / "page.html").read_text()
    lines = (tmp_path / "out" / TRIALS_FILE).read_bytes()
    assert run([*words, "--resume"]) == 0
    assert "weight of digits" in capsys.readouterr().out
    assert (tmp_path / "out" / TRIALS_FILE).read_bytes() == lines
    assert run(words) == 2
    assert "--resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--least", "letters=0.7,digits=0.7"], "at most 1"),
        (["--most", "other=0.5"], "expected domains among digits, letters"),
        (["--target", "best"], "--target: found 'best'"),
        (["--target", "digits=x"], "expected a number, or name=number"),
        (["--levels", "1,half"], "--levels"),
        (["--runs", "3"], "--runs"),
        (["--html", "page.txt"], "ends in .html"),
    ],
)
def test_flags_that_do_not_hold_make_no_folder(
    flags: list[str], said: str, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "train", "mixture", str(world / "model"), str(world / "train.jsonl"), "--validate", str(world / "held.jsonl"),
        "--budget-tokens", "1e4", "--out", str(tmp_path / "out"), *flags,
    ]  # fmt: skip
    assert run(words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
