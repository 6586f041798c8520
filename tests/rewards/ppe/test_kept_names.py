"""A kept folder answers for the reward that it was asked, and for no other of its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from palaestra.cli import run


def test_another_reward_of_a_known_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"q{number}", "chosen": "x" * number, "rejected": "y"} for number in range(2, 12)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    rest = ["--pairs", str(pairs), "--keep", str(tmp_path / "kept"), "--rounds", "100", "--json", "-"]
    assert run(["reward", "ppe", "mine=rule:length", *rest]) == 0
    first = json.loads(capsys.readouterr().out)
    assert run(["reward", "ppe", "mine=rule:-length", *rest]) == 2
    assert "found answers of another 'mine'" in capsys.readouterr().err
    assert run(["reward", "ppe", "mine=rule:length", *rest]) == 0
    assert json.loads(capsys.readouterr().out) == first
