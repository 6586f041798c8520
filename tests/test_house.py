"""What holds the house: what a bare install imports, which names may stand where, what every file says of itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "palaestra"
MODULES = sorted(SOURCE.rglob("*.py"))
DRAWERS = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "base", "shared", "lib", "core"}
HEAVY = (
    "torch",
    "transformers",
    "trl",
    "ray",
    "fastapi",
    "starlette",
    "uvicorn",
    "jinja2",
    "openai",
    "xllamacpp",
    "sentence_transformers",
    "umap",
    "sklearn",
    "datasketch",
)


def python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return result.stdout.strip()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_module_says_what_it_is(module: Path) -> None:
    tree = ast.parse(module.read_text())
    said = ast.get_docstring(tree)
    assert said is not None, f"{module} opens without saying what it is"
    assert len(said) > 20


def test_no_drawers() -> None:
    names = {path.stem for path in MODULES} | {path.name for path in SOURCE.rglob("*") if path.is_dir()}
    assert names & DRAWERS == set()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_stay_short(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 400


def test_nothing_is_left_unfinished() -> None:
    unfinished = re.compile(r"NotImplementedError|TODO|FIXME|XXX")
    assert [path.name for path in MODULES if unfinished.search(path.read_text())] == []


@pytest.mark.parametrize(
    "imported",
    [
        "palaestra",
        "palaestra.cli",
        "palaestra.schema",
        "palaestra.ranking",
        "palaestra.store.ledger",
        "palaestra.store.ballots",
        "palaestra.store.formats",
        "palaestra.bench.build",
    ],
)
def test_a_bare_install_stays_light(imported: str) -> None:
    code = f"import sys, {imported}; print([name for name in {HEAVY} if name in sys.modules])"
    assert python(code) == "[]"


def test_help_loads_no_room() -> None:
    code = (
        "import sys\nfrom palaestra.cli import run\nrun(['--help'])\n"
        "print([m for m in ('palaestra.arena', 'palaestra.ranking', 'polars') if m in sys.modules])"
    )
    assert python(code).endswith("[]")


def test_the_import_rules_hold() -> None:
    result = subprocess.run(["lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False, env=_path())
    assert result.returncode == 0, result.stdout


def test_the_import_rules_know_every_room() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    named = {room.strip() for layer in layers for room in layer.split("|")}
    rooms = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").is_file()}
    rooms |= {path.stem for path in SOURCE.glob("*.py")} - {"__init__"}
    assert named == rooms


def test_constraints_name_versions_and_nothing_else() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._\[\]-]+==[0-9][0-9A-Za-z.]*( ; .*)?", line), line


def test_the_readme_is_short_and_has_its_picture() -> None:
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) < 150
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", readme)
    assert pictures
    assert all((ROOT / picture).is_file() for picture in pictures)


def test_links_between_documents_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def _path() -> dict[str, str]:
    import os

    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
