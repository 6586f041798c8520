"""The two real models in processes of their own: they answer, several at once, and never outlive their parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from palaestra.errors import ModelError
from palaestra.gateway import Completion, Gateway, load_models
from palaestra.schema import Message, ModelSpec

ROOT = Path(__file__).parent.parent.parent
SMOL = ModelSpec(name="smol", endpoint="local:smollm2", temperature=0.0, max_tokens=24, input_price=1.0)
pytestmark = pytest.mark.real_models


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not yet buried does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


async def ask(gateway: Gateway, name: str, prompt: str) -> tuple[str, Completion]:
    text = ""
    async for piece in gateway.stream(name, [Message.of("user", prompt)]):
        if isinstance(piece, Completion):
            return text, piece
        text += piece
    pytest.fail("the answer had no end")


def test_both_models_answer_at_once_and_several_times() -> None:
    specs = [spec.model_copy(update={"max_tokens": 24}) for spec in load_models(ROOT / "models.toml")]

    async def story() -> list[tuple[str, Completion]]:
        async with Gateway(specs) as gateway:
            assert len(gateway.workers) == 2
            pids = {worker.pid for worker in gateway.workers.values()}
            answers = await asyncio.gather(*(ask(gateway, spec.name, "What is rain?") for spec in specs))
        assert not any(alive(pid) for pid in pids if pid)
        return answers

    for text, end in asyncio.run(story()):
        assert len(text.split()) >= 3, text
        assert "Question:" not in text
        assert "<|im_" not in text
        assert end.usage.output_tokens
        assert 0 < end.usage.output_tokens <= 24
        assert end.finish_reason in {"stop", "length"}


def test_a_stop_frees_the_place_and_a_killed_worker_comes_back() -> None:
    async def story() -> None:
        long = SMOL.model_copy(update={"max_tokens": 2000})
        async with Gateway([long]) as gateway:
            started = time.monotonic()
            for _ in range(8):
                async with aclosing(gateway.stream("smol", [Message.of("user", "Count to a thousand.")])) as stream:
                    await anext(stream)
            assert time.monotonic() - started < 30, "answers that nobody reads go on"
            worker = gateway.workers["local:smollm2"]
            pid = worker.pid
            assert pid
            os.kill(pid, signal.SIGKILL)
            for _ in range(100):
                await asyncio.sleep(0.02)
                if worker.pid is None:
                    break
            async with aclosing(gateway.stream("smol", [Message.of("user", "Are you there?")])) as stream:
                assert isinstance(await anext(stream), str)
            assert worker.pid != pid

    asyncio.run(story())


def test_the_worker_dies_with_its_parent() -> None:
    code = (
        "import asyncio\nfrom palaestra.gateway.local import LocalWorker\n"
        "async def main():\n"
        "    worker = LocalWorker('smollm2')\n    await worker.url()\n    print(worker.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    end = time.monotonic() + 10
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(pid)


def test_a_file_that_is_no_model_says_so(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_text("no weights here")

    async def story() -> None:
        async with Gateway([ModelSpec(name="broken", endpoint=f"local:{path}")]):
            pytest.fail("it started")

    with pytest.raises(ModelError, match=r"local:.*broken\.gguf did not start"):
        asyncio.run(story())
