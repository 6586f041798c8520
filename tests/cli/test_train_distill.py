"""`palaestra train distill` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_language_model import small_model

from palaestra.cli import run
from palaestra.posttrain.examples import Example, write_examples

HOW = ["--steps", "6", "--batch", "8", "--block", "3", "--max-tokens", "3", "--check-every", "3", "--dtype", "float32"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    for seed, name in enumerate(("student", "add", "turn")):
        small_model(root / name, seed)
    examples = [
        Example.of(f"{name[0]}{number}", domain=name, reference=str(number), id=f"{name}{number}")
        for name in ("add", "turn")
        for number in range(20)
    ]
    write_examples(root / "train.jsonl", examples)
    write_examples(root / "held.jsonl", examples[::5])
    write_examples(root / "unlabelled.jsonl", [one.model_copy(update={"domain": "all"}) for one in examples])
    return root


def asked(world: Path, out: Path, *more: str, examples: str = "train.jsonl", teachers: bool = True) -> int:
    them = ["--teacher", f"add={world / 'add'}", "--teacher", f"turn={world / 'turn'}"] if teachers else []
    return run(
        ["train", "distill", str(world / "student"), str(world / examples), "--out", str(out), *them, *HOW, *more]
    )


def test_a_run_leaves_its_folder_and_says_what_came_of_it(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert asked(world, out, "--validate", str(world / "held.jsonl"), "--json", "-") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == "palaestra.distilled/1"
    assert (said["steps"], said["rows"]) == (6, 48)
    assert said["held_out"].keys() == said["experts"].keys() == {"add", "turn"}
    assert json.loads((out / "run.json").read_text())["state"] == "done"
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert any("divergence/add" in line for line in lines)
    assert any("kept/turn" in line for line in lines)
    samples = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
    assert len([row for row in samples if "step" not in row]) == 8
    assert {row["step"] for row in samples if "step" in row} == {0, 3}
    assert "Distilled on-policy (reverse divergence" in (out / "card.md").read_text()
    assert (out / "model" / "model.safetensors").is_file()
    assert asked(world, out) == 2
    assert "another run" in capsys.readouterr().err


def test_a_student_joins_the_contestants(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = tmp_path / "models.toml"
    assert asked(world, tmp_path / "new-one", "--enrol", str(models)) == 0
    assert 'name = "new-one"' in models.read_text()
    assert asked(world, tmp_path / "other", "--enrol", str(models), "--enrol-as", "new-one") == 2
    assert "new-one" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_a_finished_run_is_not_begun_again_without_a_word(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(world, tmp_path / "run") == 0
    first = (tmp_path / "run" / "model" / "model.safetensors").read_bytes()
    assert asked(world, tmp_path / "run") == 2
    assert "give --resume" in capsys.readouterr().err
    assert asked(world, tmp_path / "run", "--overwrite") == 0
    assert (tmp_path / "run" / "model" / "model.safetensors").read_bytes() == first


def test_teachers_of_a_file_and_one_for_all_else(world: Path, tmp_path: Path) -> None:
    (tmp_path / "teachers.toml").write_text(
        f'[[teacher]]\nname = "adder"\nmodel = "{world / "add"}"\ndomains = ["add"]\n'
    )
    assert asked(
        world, tmp_path / "run", "--teachers", str(tmp_path / "teachers.toml"), "--teacher", str(world / "turn"),
        teachers=False,
    ) == 0  # fmt: skip


@pytest.mark.slow
def test_a_classifier_gives_prompts_their_domains(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    route = ("--route", f"classifier:{world / 'train.jsonl'}")
    assert asked(world, tmp_path / "run", *route, examples="unlabelled.jsonl") == 0
    assert "looked at 40 prompts" in capsys.readouterr().err
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert {"divergence/add", "divergence/turn"} <= lines[0].keys()


def wrong(kind: str, world: Path, tmp_path: Path) -> tuple[list[str], str]:  # noqa: PLR0911 - as many faults
    if kind == "another vocabulary":
        other = small_model(tmp_path / "other", characters="abc")
        return ["--teacher", f"sub={other}"], "another vocabulary than the student: 6 and 46 tokens"
    if kind == "no folder":
        return ["--teacher", f"sub={tmp_path / 'nowhere'}"], "expected gguf:smollm2 or a folder"
    if kind == "twice":
        return ["--teacher", f"add={world / 'turn'}"], "found the teacher add twice"
    if kind == "no reference":
        write_examples(tmp_path / "held.jsonl", [Example.of("a1", domain="add")])
        return ["--validate", str(tmp_path / "held.jsonl")], "expected the right answer of each prompt"
    if kind == "route":
        return ["--route", "guess"], "found the route 'guess', expected label"
    if kind == "file":
        (tmp_path / "teachers.toml").write_text('[[teacher]]\nname = "x"\n')
        return ["--teachers", str(tmp_path / "teachers.toml")], "a teacher, model: found"
    return ["--beta", "2"], "found"


@pytest.mark.parametrize(
    "kind", ["another vocabulary", "no folder", "twice", "no reference", "route", "file", "setting"]
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    kind: str, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more, said = wrong(kind, world, tmp_path)
    assert asked(world, tmp_path / "run", *more) == 2
    error = capsys.readouterr().err
    assert said in error.replace("\n", " ")
    assert not (tmp_path / "run").exists()


def test_a_domain_without_teacher_is_named(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ("--teacher", f"add={world / 'add'}")
    assert asked(world, tmp_path / "run", *more, teachers=False) == 2
    assert "found no teacher for turn" in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "run").exists()
