"""A trained language model behind an OpenAI-compatible endpoint, in a process of its own.

This module run as a program is the worker of `local:/path/to/folder`: it loads a folder of Hugging Face, listens on a
loopback port, writes one line with its address (or with what is wrong), and ends when its standard input closes, which
happens however its parent dies, also by kill -9. The gateway starts it by its name, as it does llama.cpp's
(`gateway/local.py`), so that no web server ever waits for a matrix product.

A conversation goes through the model's own chat template; the answer ends at the end of the turn (`eos_token` of the
tokenizer, and what `generation_config.json` names), at a stop string, at `max_tokens`, or where the context ends.

Not here: rewards (`rewards/serve.py`), routers (`p2l/serve.py`), models that need more than one machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import sys
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Self

from palaestra.errors import InputError, MissingPartError, ModelError, PalaestraError
from palaestra.gateway.client import Completion, Sampling
from palaestra.learn.backbone import Backbone, Dtype, conversation_text, libraries, load_backbone, unreadable
from palaestra.learn.generation import end_tokens
from palaestra.posttrain.decoding import ROWS, Batch, Request
from palaestra.posttrain.spoken import Spoken
from palaestra.schema import ErrorRecord, Message, Usage

_UNBOUNDED = 1 << 20
_WAIT_S = 0.2


class ServedModel:
    """A language model that answers conversations; one thread computes. A context manager.

    Args:
        backbone: the model.
    """

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self.ends = set(end_tokens(backbone.model, backbone.tokenizer))
        self.context = int(getattr(backbone.model.config, "max_position_embeddings", None) or _UNBOUNDED)
        self._batch = Batch(backbone.model, self.ends)
        self._waiting: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._closed = False
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="decoding", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._thread.join()

    @property
    def busy(self) -> int:
        """How many requests are computed now."""
        return len(self._batch.rows)

    async def complete(
        self, _: str, messages: Sequence[Message], sampling: Sampling
    ) -> AsyncGenerator[str | Completion]:
        """The answer to a conversation: pieces of text, and a Completion last.

        Raises:
            ModelError: the conversation cannot be read by this model, or fills its whole context; or computing failed.
        """
        asked, first = time.monotonic(), None
        prompt = self._tokens(messages)
        spoken = Spoken(self._backbone.tokenizer, sampling.stop)
        loop, pieces = asyncio.get_running_loop(), asyncio.Queue[str | None]()

        def tell(token: int | None) -> bool:
            piece = spoken.rest() if token is None else spoken.push(token)
            if piece:
                loop.call_soon_threadsafe(pieces.put_nowait, piece)
            if token is None:
                loop.call_soon_threadsafe(pieces.put_nowait, None)
            return spoken.stopped

        request = Request(
            prompt, min(sampling.max_tokens or _UNBOUNDED, self.context - len(prompt)), tell,
            temperature=1.0 if sampling.temperature is None else sampling.temperature, seed=sampling.seed,
        )  # fmt: skip
        try:
            self._waiting.put(request)
            while (piece := await pieces.get()) is not None:
                first = first or time.monotonic()
                yield piece
            if request.end is None:
                raise ModelError(ErrorRecord(kind="server_error", detail=f"computing failed: {self._failed}"))
            now = time.monotonic()
            usage = Usage(input_tokens=len(prompt), output_tokens=request.tokens)
            yield Completion(usage, request.end, (first or now) - asked, now - asked)
        finally:
            request.left = True

    def _tokens(self, messages: Sequence[Message]) -> list[int]:
        try:
            text = conversation_text(self._backbone.tokenizer, messages)
        except InputError as error:
            raise ModelError(ErrorRecord(kind="refused", detail=str(error))) from error
        tokens: list[int] = self._backbone.tokenizer(text, add_special_tokens=False)["input_ids"]
        if not 0 < len(tokens) < self.context:
            words = f"found a conversation of {len(tokens)} tokens, expected 1 to {self.context - 1}"
            raise ModelError(ErrorRecord(kind="refused", detail=words))
        return tokens

    def _work(self) -> None:
        """The thread: whoever waits joins between two tokens."""
        while not self._closed:
            new: list[Request] = []
            try:
                if new := self._arrived():
                    self._batch.join(new)
                self._batch.step()
            except Exception as error:  # noqa: BLE001 - a request that cannot be computed ends, the server does not
                self._failed = error
                failed = dict.fromkeys([*self._batch.rows, *new])
                self._batch = Batch(self._backbone.model, self.ends)
                for request in failed:
                    request.end = None
                    request.tell(None)

    def _arrived(self) -> list[Request]:
        """The requests that join now. With nothing else to do, it waits for one a while."""
        batch, found = self._batch, list[Request]()
        while batch.joins and len(batch.rows) + len(found) < ROWS:
            try:
                idle = not batch.rows and not found
                request = self._waiting.get(timeout=_WAIT_S) if idle else self._waiting.get_nowait()
            except queue.Empty:
                break
            if not request.left:
                found.append(request)
        return found


def load_served(folder: str) -> ServedModel:
    """The model of a folder of Hugging Face: 32-bit weights are computed in 32 bits, as they were trained.

    Raises:
        InputError: there is no such model, or it cannot be read.
        MissingPartError: the extra `train` is not installed.
    """
    _, transformers = libraries()
    transformers.logging.set_verbosity_error()
    return ServedModel(load_backbone(folder, dtype=_dtype(Path(folder))))


def _dtype(folder: Path) -> Dtype:
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        saved = settings.get("dtype") or settings.get("torch_dtype")
    except (OSError, ValueError, AttributeError) as error:
        raise unreadable(folder, error) from error
    return "float32" if saved == "float32" else "auto"


def main(folder: str, name: str) -> None:
    """The worker: load, say where, and wait for the parent to go."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        served = load_served(folder)
        from socket import create_server

        import uvicorn

        from palaestra.gateway.server import app_for
    except (PalaestraError, ImportError) as error:
        missing = isinstance(error, ImportError) and not isinstance(error, PalaestraError)
        said = f"serving needs {error.name}: pip install 'palaestra[train,server]'" if missing else str(error)
        kind = "missing" if missing or isinstance(error, MissingPartError) else "input"
        _say({"error": said, "kind": kind})
        return
    with served, create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app_for(served.complete, [name]), log_level="error", server_header=False)
        _say({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"})
        uvicorn.Server(config).run(sockets=[listening])


def _say(line: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
