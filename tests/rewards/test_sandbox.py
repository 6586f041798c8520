"""Programs with their tests: right ones pass, wrong ones do not, and the guard rails hold."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from palaestra.errors import InputError
from palaestra.rewards.rules import Verifier, rule
from palaestra.rewards.sandbox import Limits, isolation, passes_tests
from palaestra.schema import Message

TESTS = "assert double(2) == 4\nassert double('a') == 'aa'"
RIGHT = "import math, json, re, collections\ndef double(x):\n    return x + x"


def test_a_right_program_passes_and_a_wrong_one_does_not() -> None:
    assert passes_tests(RIGHT, TESTS)
    assert not passes_tests("def double(x):\n    return 2", TESTS)
    assert not passes_tests("def double(x) return", TESTS)
    assert not passes_tests("", TESTS)
    assert passes_tests("class A:\n    pass\nimport dataclasses\n@dataclasses.dataclass\nclass B:\n    x: int", "B(1)")
    with pytest.raises(InputError, match="found no tests"):
        passes_tests(RIGHT, " ")


@pytest.mark.parametrize(
    "program",
    [
        "import sys; sys.exit(0)",
        "import os; os._exit(0)",
        "raise SystemExit",
        "print('x' * 40)\nimport os; os._exit(0)",
        "def double(x): return x",
    ],
)
def test_ending_early_is_no_way_to_pass(program: str) -> None:
    assert not passes_tests(program, TESTS)


def test_time_and_memory_end() -> None:
    began = time.monotonic()
    assert not passes_tests("while True: pass", TESTS, Limits(cpu_seconds=1, wall_seconds=20))
    assert not passes_tests("import time; time.sleep(60)", TESTS, Limits(wall_seconds=1))
    assert time.monotonic() - began < 15
    assert not passes_tests(f"{RIGHT}\nx = bytearray(600 << 20)", TESTS)
    assert passes_tests(f"{RIGHT}\nx = bytearray(60 << 20)", TESTS)


def test_nothing_is_written_removed_started_or_sent(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("here")
    tries = [
        f"open({str(tmp_path / 'new')!r}, 'w')",
        f"import os; os.open({str(tmp_path / 'new')!r}, os.O_CREAT | os.O_WRONLY)",
        f"import os; os.remove({str(kept)!r})",
        f"import pathlib; pathlib.Path({str(kept)!r}).rename({str(tmp_path / 'new')!r})",
        f"import os; os.truncate({str(kept)!r}, 0)",
        f"import os; os.system('touch {tmp_path / 'new'}')",
        f"import subprocess; subprocess.run(['touch', {str(tmp_path / 'new')!r}])",
        "import os; os.fork()",
        "import socket; socket.socket().connect(('127.0.0.1', 9))",
        "import ctypes; ctypes.CDLL(None)",
        "import os; os.kill(os.getppid(), 9)",
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9, 9))",
    ]
    for each in tries:
        assert not passes_tests(f"{each}\n{RIGHT}", TESTS), each
        assert [path.name for path in tmp_path.iterdir()] == ["kept"]
        assert kept.read_text() == "here"


def test_no_environment_and_no_network_where_namespaces_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALAESTRA_SECRET", "x")
    assert passes_tests("import os", "assert 'PALAESTRA_SECRET' not in os.environ and os.listdir('.') == []")
    assert isolation() in {"namespaces", "hook"}
    if isolation() == "namespaces":
        lines = "[line.split(':')[0].strip() for line in open('/proc/self/net/dev').readlines()[2:]]"
        assert passes_tests(f"names = {lines}", "assert names == ['lo']")
        assert passes_tests("import os", "assert os.getpid() < 10")  # processes of its own
    assert "PALAESTRA_SECRET" in os.environ


def test_rule_code_takes_the_last_block_of_a_reply() -> None:
    prompt = [Message.of("user", "Write double.")]
    reply = f"First try:\n```python\ndef double(x): return 0\n```\nBetter:\n```python\n{RIGHT}\n```\nDone."
    code = rule("rule:code", {"Write double.": TESTS})
    assert code.score([prompt] * 2, [reply, "no code"]).tolist() == [1, 0]
    assert isinstance(other := rule("rule:code", {"?": TESTS}), Verifier)
    assert other.against([prompt], [RIGHT], [TESTS]).tolist() == [1]
    with pytest.raises(InputError, match="found no reference for the prompt 'Write double"):
        rule("rule:code", {"?": TESTS}).score([prompt], [RIGHT])
    with pytest.raises(InputError, match="found no references"):
        rule("rule:code")
