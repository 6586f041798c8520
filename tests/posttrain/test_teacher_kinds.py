"""Teachers behind an endpoint, on Ray, and whose a prompt is."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
import uvicorn
from fastapi import FastAPI, Request
from small_language_model import small_model

from palaestra.errors import InputError
from palaestra.learn.backbone import load_backbone
from palaestra.posttrain.divergences import divergence, with_rest
from palaestra.posttrain.examples import Example
from palaestra.posttrain.routes import by_label, by_strength, labelled
from palaestra.posttrain.teacher_endpoint import Endpoint, Mixed
from palaestra.posttrain.teachers import Folders, Row

ROWS = [Row([5, 6, 7, 8, 1], 2), Row([9, 10, 1], 1), Row([4, 5, 6, 7, 8, 9, 10, 11], 6)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small_model(tmp_path_factory.mktemp("teachers") / "one", 1)


@contextmanager
def served(app: FastAPI) -> Generator[str]:
    """An application on a port of its own, on the loopback interface."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.should_exit = True
        thread.join()


def speaking(folder: str, spoil: Any = lambda position: position, fail: int = 0) -> FastAPI:
    """An endpoint that answers as vLLM does: `prompt_logprobs` beside each choice, by token number."""
    app, model = FastAPI(), load_backbone(folder).model
    left = [fail]

    @app.post("/v1/completions")
    async def completions(request: Request) -> Any:
        from fastapi.responses import JSONResponse

        if left[0] > 0:
            left[0] -= 1
            return JSONResponse({"error": {"message": "busy"}}, status_code=503)
        said = await request.json()
        with torch.no_grad():
            log_TV = torch.log_softmax(model(torch.tensor([said["prompt"]])).logits[0], -1)
        positions: list[Any] = [None]
        for at, token in enumerate(said["prompt"][1:]):
            best = log_TV[at].topk(said["prompt_logprobs"]).indices.tolist()
            positions.append(
                {str(t): {"logprob": log_TV[at, t].item(), "rank": 1, "decoded_token": "?"} for t in {*best, token}}
            )
        choice = {"index": 0, "text": "x", "finish_reason": "length", "prompt_logprobs": spoil(positions)}
        return {"id": "1", "object": "text_completion", "created": 1, "model": said["model"], "choices": [choice]}

    return app


def test_an_endpoint_tells_what_the_folder_does(folder: str) -> None:
    whole = Folders({"one": folder}, folder, dtype="float32")["one"](ROWS).logprob_NK
    student = torch.log_softmax(torch.randn(whole.shape), -1)
    with served(speaking(folder, fail=2)) as url:
        told = Endpoint(url, "one", top=6)(ROWS)
    assert told.token_NK.shape == told.logprob_NK.shape == (len(whole), 7)
    known = told.token_NK >= 0
    torch.testing.assert_close(
        told.logprob_NK[known], whole.gather(1, told.token_NK.clamp(min=0))[known], atol=2e-5, rtol=1e-4
    )
    from palaestra.posttrain.divergences import log_rest

    theirs = torch.cat([told.logprob_NK, log_rest(told.logprob_NK)[:, None]], 1)
    part = divergence(with_rest(student, told.token_NK), theirs)
    assert (part <= divergence(student, whole) + 1e-5).all()
    assert (part > 0).all()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda _positions: None, "told 0 log-probabilities of a prompt of 5 tokens, expected as many; serve it"),
        (lambda positions: positions[:-1], "told 4 log-probabilities of a prompt of 5 tokens"),
        (lambda positions: [None, *({"7": {"logprob": 2.0}} for _ in positions[1:])], "expected log-probabilities"),
        (lambda positions: [None, *({"a": {"logprob": -2.0}} for _ in positions[1:])], "expected token numbers"),
    ],
    ids=["none", "too few", "above 0", "words"],
)  # fmt: skip
def test_an_endpoint_that_tells_something_else_is_refused(spoil: Any, said: str, folder: str) -> None:
    with served(speaking(folder, spoil)) as url, pytest.raises(InputError, match=said):
        Endpoint(url, "one", top=6)(ROWS[:1])


def test_an_endpoint_that_is_away_is_named() -> None:
    with pytest.raises(InputError, match=r"the teacher one at http://127\.0\.0\.1:9/v1"):
        Endpoint("http://127.0.0.1:9/v1", "one", retries=0)(ROWS)


def test_teachers_of_several_kinds_stand_side_by_side(folder: str) -> None:
    folders = Folders({"near": folder}, folder, dtype="float32")
    mixed = Mixed({"near": folders, "far": folders["near"]})
    torch.testing.assert_close(mixed["near"](ROWS).logprob_NK, mixed["far"](ROWS).logprob_NK)
    with pytest.raises(InputError, match="found no teacher 'else', expected one of near, far"):
        mixed["else"]


@pytest.mark.slow
def test_actors_of_ray_say_what_folders_do(folder: str, tmp_path: Any) -> None:
    from palaestra.posttrain.teacher_actors import teachers_on_ray

    other = small_model(tmp_path / "two", 2)
    folders = {"one": folder, "two": other}
    here = Folders(folders, folder, dtype="float32")
    with teachers_on_ray(folders, folder, actors=2, dtype="float32") as there:
        for name in ("two", "one", "two"):
            torch.testing.assert_close(there[name](ROWS).logprob_NK, here[name](ROWS).logprob_NK, atol=1e-6, rtol=1e-5)


def examples(*domains: str) -> list[Example]:
    return [Example.of(f"{domain} {number}", domain=domain) for number in range(6) for domain in domains]


def test_labels_decide_and_a_star_takes_the_rest() -> None:
    route = by_label({"a": ["add"], "b": ["sub", "add"], "c": ["*"]})
    assert route(examples("add", "sub", "mul")[:3]) == [{"a": 0.5, "b": 0.5}, {"b": 1.0}, {"c": 1.0}]
    with pytest.raises(InputError, match="found no teacher for mul, expected one for each domain"):
        by_label({"a": ["add"]})(examples("add", "mul"))


def vectors(texts: Any) -> Any:
    return np.array([[text.count("add"), text.count("sub"), 1.0] for text in texts], dtype=np.float32)


def test_a_classifier_labels_what_has_no_domain_and_nothing_else() -> None:
    known = examples("add", "sub")
    unknown = [Example.of("add 77"), Example.of("sub 77"), Example.of("mul 77"), Example.of("add 1", domain="sub")]
    found, count = labelled(unknown, known, vectors, sure=0.7)
    assert [one.domain for one in found] == ["add", "sub", "all", "sub"]
    assert count == 3
    with pytest.raises(InputError, match="expected two domains or more"):
        labelled(unknown, examples("add"), vectors)


def test_strengths_decide_prompt_by_prompt() -> None:
    def strengths(texts: Any) -> Any:
        return ("x", "y", "z"), np.array([[0.0, 1.0, 9.0] if "add" in text else [2.0, 1.0, 9.0] for text in texts])

    asked = examples("add", "sub")[:2]
    assert by_strength(["x", "y"], strengths)(asked) == [{"y": 1.0}, {"x": 1.0}]
    shares = by_strength(["x", "y"], strengths, best_alone=False)(asked)[0]
    assert shares["y"] == pytest.approx(np.e * shares["x"])
    with pytest.raises(InputError, match="found no strength of w"):
        by_strength(["w"], strengths)(asked)
