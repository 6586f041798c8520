"""A simulated crowd whose topics are known, an endpoint that embeds its prompts, and a judge that is a function.

The endpoint speaks the OpenAI protocol over a socket. A vector says which of the topics' words a text has, with a
little noise that follows from the text, so that topics are as far apart as they should be.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from palaestra.bench.asking import Question, Reply
from palaestra.schema import Prompt

TOPICS = {
    "sailing": "sail mast harbour keel anchor rudder",
    "baking": "flour oven yeast dough crust butter",
    "chemistry": "acid molecule bond reaction catalyst solvent",
    "tax": "income deduction invoice audit revenue liability",
    "chess": "knight bishop castle gambit endgame checkmate",
    "gardening": "soil seed compost pruning tulip fertilizer",
}
HARD = ("chemistry", "tax", "chess", "sailing")
"""Topics in which most prompts meet six criteria."""
DIMENSIONS = 40


def crowd(count: int, seed: int = 0) -> tuple[list[Prompt], list[str]]:
    """Prompts, and the topic of each."""
    rng = np.random.default_rng(seed)
    names = [list(TOPICS)[int(place)] for place in rng.integers(len(TOPICS), size=count)]
    prompts = []
    for number, name in enumerate(names):
        words = rng.permutation(TOPICS[name].split())[:4]
        easy = rng.random() < (0.15 if name in HARD else 0.85)
        said = "Say a word" if easy else "Work out all the steps, prove them and show an example"
        case = f"mind the {words[2]} near {words[3]}; case {rng.integers(10**9):,}."
        text = f"{said} about {words[0]} and {words[1]}, {case}"
        prompts.append(Prompt(id=f"p{number:04}", turns=(text,), language="en"))
    return prompts, names


def vector(text: str) -> np.ndarray:
    """The direction of a text."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]))
    found = 0.08 * rng.normal(size=DIMENSIONS)
    for place, words in enumerate(TOPICS.values()):
        found[place] += sum(word in text for word in words.split())
    found[-1] += 2.0 * ("prove" in text)
    return found


@contextmanager
def embeddings_endpoint(answer: Callable[[list[str]], list] | None = None) -> Generator[str]:
    """The base URL of a running endpoint."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
            given = answer(asked) if answer else [vector(text).tolist() for text in asked]
            rows = [{"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(given)]
            usage = {"prompt_tokens": 1, "total_tokens": 1}
            body = json.dumps({"object": "list", "model": "words", "data": rows[::-1], "usage": usage})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


class Judge:
    """Answers from a function of the question's text; counts what it is asked."""

    judge = identity = "function"

    def __init__(self, answer: Callable[[str], str | None] | None = None) -> None:
        self.answer = answer or hard_or_not
        self.keys: list[str] = []

    def __call__(self, questions: Sequence[Question]) -> Sequence[Reply]:
        self.keys += [question.key for question in questions]
        said = [self.answer(question.messages[-1].text) for question in questions]
        return [Reply(text, None if text else "no answer", 0.5) for text in said]


def hard_or_not(asked: str) -> str | None:
    """Seven criteria, or one."""
    if "<prompt>" not in asked:
        return "A Name Of It"
    return "[1, 2, 3, 4, 5, 6, 7]" if "prove" in asked.rpartition("<prompt>")[2] else "[1]"
