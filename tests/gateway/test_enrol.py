"""A checkpoint joins a models.toml: what was there stays byte for byte, and names stay apart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError, ModelsFileError
from palaestra.gateway import load_models
from palaestra.gateway.endpoints import read_models
from palaestra.gateway.enrol import check_place, checkpoint_spec, enrol, table_of
from palaestra.schema import ModelSpec

BEFORE = '# ours, by hand\r\n[[model]]  # the first\r\nname = "one"\r\nendpoint = "scripted:echo"\r\n# and that is all'
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "small" / "model"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


@given(
    name=TEXT, system=st.none() | TEXT, stop=st.lists(TEXT, max_size=3), price=st.floats(0, 1e9),
    temperature=st.none() | st.floats(0, 9), most=st.none() | st.integers(1, 10**9),
)  # fmt: skip
def test_every_field_is_read_back(  # noqa: PLR0917 - one a field
    name: str, system: str | None, stop: list[str], price: float, temperature: float | None, most: int | None
) -> None:
    spec = ModelSpec(
        name=name, endpoint="scripted:echo", system=system, stop=tuple(stop), input_price=price,
        temperature=temperature, max_tokens=most, capabilities=("chat", "tools"),
    )  # fmt: skip
    assert read_models(table_of(spec).encode(), Path("m.toml")) == (spec,)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(end=st.sampled_from(["", "\n", "\r\n", "\n\n# note"]))
def test_what_was_there_stays_byte_for_byte(tmp_path: Path, checkpoint: Path, end: str) -> None:
    models = tmp_path / "models.toml"
    before = (BEFORE + end).encode()
    models.write_bytes(before)
    models.chmod(0o640)
    enrol(checkpoint_spec(checkpoint), models)
    assert models.read_bytes().startswith(before)
    assert b"\n" not in models.read_bytes().removeprefix(before).replace(b"\r\n", b"")
    assert [spec.name for spec in load_models(models)] == ["one", "small"]
    assert load_models(models)[1].endpoint == f"local:{checkpoint.resolve()}"
    assert models.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_new_file_is_made_and_a_link_stays_a_link(tmp_path: Path, checkpoint: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "models.toml"
    link.symlink_to(real)
    enrol(checkpoint_spec(checkpoint.parent, "a"), link)
    enrol(checkpoint_spec(checkpoint, "b", temperature=0.5), link)
    assert link.is_symlink()
    assert [(spec.name, spec.temperature) for spec in load_models(real)] == [("a", None), ("b", 0.5)]


def test_a_name_that_is_there_is_refused_before_and_after(tmp_path: Path, checkpoint: Path) -> None:
    models = tmp_path / "models.toml"
    models.write_bytes(BEFORE.encode())
    for name in ("one", "ONE"):
        with pytest.raises(ModelsFileError, match="found a model named 'one' already, expected a new name"):
            check_place(models, name)
        with pytest.raises(ModelsFileError, match="already"):
            enrol(checkpoint_spec(checkpoint, name), models)
    assert models.read_bytes() == BEFORE.encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("model = []\n", "no \\[\\[model\\]\\] table"),
        ('model = [{name = "a", endpoint = "scripted:echo"}]\n', "cannot read"),
        ("[[model]]\n", "field 'name'"),
        ("not toml", "cannot read"),
    ],
)
def test_a_file_that_takes_no_table_stays_as_it_is(tmp_path: Path, checkpoint: Path, content: str, words: str) -> None:
    models = tmp_path / "models.toml"
    models.write_text(content)
    with pytest.raises(ModelsFileError, match=words):
        enrol(checkpoint_spec(checkpoint), models)
    assert models.read_text() == content


def test_what_is_no_checkpoint_or_no_folder_is_said(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(InputError, match=r"found no config.json in .*, expected the folder of a trained model"):
        checkpoint_spec(tmp_path)
    with pytest.raises(InputError, match="temperature: found -1"):
        checkpoint_spec(checkpoint, temperature=-1)
    with pytest.raises(InputError, match="found no folder"):
        check_place(tmp_path / "nowhere" / "models.toml", "a")
    with pytest.raises(InputError, match="half of a character"):
        table_of(ModelSpec.model_construct(name="a\ud800", endpoint="scripted:echo"))


def test_runs_that_end_together_all_join(tmp_path: Path, checkpoint: Path) -> None:
    code = (
        "import sys\nfrom palaestra.gateway.enrol import checkpoint_spec, enrol\n"
        "for k in range(8): enrol(checkpoint_spec(sys.argv[1], f'{sys.argv[3]}-{k}'), sys.argv[2])"
    )
    models = tmp_path / "models.toml"
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(checkpoint), str(models), name]) for name in ("a", "b", "c")
    ]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    assert sorted(spec.name for spec in load_models(models)) == [f"{name}-{k}" for name in "abc" for k in range(8)]
